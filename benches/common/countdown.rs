//! Telling that the last of many tasks has ended, without joining any of them.
//!
//! The count begins at the sum of what all tasks will take off it, so that one atomic subtraction a
//! task both counts the tasks and checks what each of them worked out. A task that is lost leaves the
//! count above zero, and the waiter sees a sender dropped. Used on both sides by the workloads that
//! spawn many tasks and keep no handle.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering::AcqRel},
};

use futures_channel::oneshot;

/// What is left to be taken off, and whom to tell at zero.
#[derive(Clone)]
pub(crate) struct Countdown(Arc<(AtomicU64, Mutex<Option<oneshot::Sender<()>>>)>);

impl Countdown {
    /// A count of `sum`, and what resolves when it has come to zero.
    pub(crate) fn from(sum: u64) -> (Self, oneshot::Receiver<()>) {
        let (all_done, wait) = oneshot::channel();
        (Self(Arc::new((AtomicU64::new(sum), Mutex::new(Some(all_done))))), wait)
    }

    /// Takes `part` off.
    pub(crate) fn take(&self, part: u64) {
        let (left, all_done) = &*self.0;
        if left.fetch_sub(part, AcqRel) == part {
            let sender = all_done.lock().expect("no task panics").take();
            sender.expect("only one task is the last").send(()).expect("somebody waits");
        }
    }
}
