//! How much a task may still do in this poll.
//!
//! A task that finds its queue, socket or timer ready every time it asks would never return to the
//! loop. So each poll begins with a budget of ready operations. A leaf future of ours asks
//! [`poll_budget`] first and calls [`charge`] when it returns `Ready`; once the budget is used up it
//! answers `Pending` after waking its task, which runs again in the next turn.
//!
//! Only a `Ready` is charged: a `Pending` ends the poll by itself, and `try_*` calls never wait.
//! The rival is to make every await yield (asyncio's `sleep(0)` habit, trio's checkpoints): simple,
//! and a turn for every operation.

use std::{
    cell::Cell,
    task::{Context, Poll},
};

/// Ready operations in one poll.
pub(crate) const BUDGET: u32 = 128;

thread_local! {
    // Outside any poll nothing is counted: there is no loop to yield to.
    static LEFT: Cell<u32> = const { Cell::new(u32::MAX) };
    static POLLING: Cell<bool> = const { Cell::new(false) };
}

/// A poll begins, with a full budget. The scheduler calls this before it polls a task.
#[inline]
pub(crate) fn begin() {
    LEFT.set(BUDGET);
    POLLING.set(true);
}

/// The poll is over.
#[inline]
pub(crate) fn end() {
    LEFT.set(u32::MAX);
    POLLING.set(false);
}

/// Whether this thread is inside a task's poll.
pub(crate) fn is_polling() -> bool {
    POLLING.get()
}

/// What a nested loop must put back when it leaves the thread.
#[derive(Debug)]
pub(crate) struct Suspended {
    left: u32,
    polling: bool,
}

/// Sets the state of the poll that is going on aside, for a loop nested in it.
pub(crate) fn suspend() -> Suspended {
    Suspended { left: LEFT.replace(u32::MAX), polling: POLLING.replace(false) }
}

impl Suspended {
    /// Goes on with that poll.
    pub(crate) fn resume(&self) {
        LEFT.set(self.left);
        POLLING.set(self.polling);
    }
}

/// `Ready` while the budget lasts; otherwise wakes the task and answers `Pending`.
#[inline]
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    if LEFT.get() == 0 {
        cx.waker().wake_by_ref();
        return Poll::Pending;
    }
    Poll::Ready(())
}

/// Counts one ready operation.
#[inline]
pub(crate) fn charge() {
    let left = LEFT.get();
    if left != u32::MAX {
        LEFT.set(left.saturating_sub(1));
    }
}

/// Runs `f` without a budget, and puts back what was left.
pub(crate) fn lifted<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(u32);
    impl Drop for Restore {
        fn drop(&mut self) {
            LEFT.set(self.0);
        }
    }
    let _restore = Restore(LEFT.replace(u32::MAX));
    f()
}
