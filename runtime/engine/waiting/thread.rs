//! A plain thread that waits for one of our futures: `JoinHandle::wait`, and the `blocking_` form of what tasks await.
//!
//! The thread polls, and parks until it is woken. That may not happen where tasks wait for the thread: the loop or
//! worker that it runs may be what would wake it. There only a future that is ready at once is answered.
//!
//! **Alternative:** a condition variable in each object, beside its list of wakers. Then threads and tasks would not
//! wait in one line, first come, first served.

use std::{
    ops::ControlFlow,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

use crate::engine::base::this_poll;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits on this thread for `future`, one of ours that needs no reactor.
///
/// # Panics
/// With `advice`, if the future is not ready at once and this thread runs tasks.
#[track_caller]
pub(crate) fn wait_on_thread<F: Future>(advice: &str, future: F) -> F::Output {
    wait_on_thread_until(advice, None, future).expect("without a deadline none passes")
}

/// As [`wait_on_thread`], but no longer than until `deadline`, if there is one. `None`: it has passed.
///
/// # Panics
/// As there, unless the deadline has passed already: then nothing blocks.
#[track_caller]
pub(crate) fn wait_on_thread_until<F: Future>(
    advice: &str,
    deadline: Option<Instant>,
    future: F,
) -> Option<F::Output> {
    let left = || deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
    let mut is_refused = false;
    let output = poll_and_park(future, || match left() {
        Some(Duration::ZERO) => ControlFlow::Break(()),
        left => {
            if !this_poll::may_block() {
                is_refused = true;
                return ControlFlow::Break(());
            }
            match left {
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
            ControlFlow::Continue(())
        }
    });
    // Not in the closure, which has no caller to name.
    assert!(!is_refused, "{advice}");
    output
}

/// Waits on this thread for `future`, wherever that is: the caller knows that what wakes it needs no task of this
/// thread.
#[track_caller]
pub(crate) fn park_until<F: Future>(future: F) -> F::Output {
    let output = poll_and_park(future, || {
        thread::park();
        ControlFlow::Continue(())
    });
    output.expect("the wait has no other end")
}

/// Polls `future` on this thread, and calls `park` in between, which parks the thread or breaks off.
#[track_caller]
fn poll_and_park<F: Future>(
    future: F,
    mut park: impl FnMut() -> ControlFlow<()>,
) -> Option<F::Output> {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    // Nothing here can give way to other tasks.
    this_poll::lifted(|| {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return Some(output);
            }
            if park().is_break() {
                return None;
            }
        }
    })
}
