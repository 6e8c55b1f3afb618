//! Timers that never fire: create a sleep of 30 seconds, poll it once, drop it.
//!
//! This is what a request's timeout costs, and almost all timeouts end this way. Called by
//! `benches/timers.rs` and by `peers micro`. Both sides read the clock once per sleep, because the
//! deadline is counted from now. What firing costs is measured by `peers sleeps`, which takes real
//! seconds.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use tokio::runtime::Runtime;
use whirligig::EventLoop;

/// Sleeps inserted and cancelled in one run.
pub(crate) const OPERATIONS: u64 = 10_000;
const LONG: Duration = Duration::from_secs(30);

pub(crate) fn whirligig(event_loop: &EventLoop) {
    let pending = event_loop.block_on(async {
        let mut pending = 0;
        for _ in 0..OPERATIONS {
            pending += u64::from(is_pending(pin!(whirligig::time::sleep(LONG))).await);
        }
        pending
    });
    assert_eq!(pending, OPERATIONS);
}

pub(crate) fn tokio(runtime: &Runtime) {
    let pending = runtime.block_on(async {
        let mut pending = 0;
        for _ in 0..OPERATIONS {
            pending += u64::from(is_pending(pin!(tokio::time::sleep(LONG))).await);
        }
        pending
    });
    assert_eq!(pending, OPERATIONS);
}

/// Polls `future` once, with the task's waker.
async fn is_pending<F: Future>(mut future: Pin<&mut F>) -> bool {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}
