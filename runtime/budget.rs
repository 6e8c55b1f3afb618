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

/// Outside any poll: nothing is counted, for there is no loop to yield to.
const OUTSIDE: u32 = u32::MAX;
/// In a poll, but not counted.
const LIFTED: u32 = u32::MAX - 1;

thread_local! {
    static LEFT: Cell<u32> = const { Cell::new(OUTSIDE) };
}

/// A poll begins, with a full budget. The scheduler calls this before it polls a task.
#[inline]
pub(crate) fn begin() {
    LEFT.with(|left| left.set(BUDGET));
}

/// A batch of polls is over.
#[inline]
pub(crate) fn end() {
    LEFT.set(OUTSIDE);
}

/// Whether this thread is inside a task's poll.
pub(crate) fn is_polling() -> bool {
    LEFT.get() != OUTSIDE
}

/// What a nested loop must put back when it leaves the thread.
#[derive(Debug)]
pub(crate) struct Suspended(u32);

/// Sets the state of the poll that is going on aside, for a loop nested in it.
pub(crate) fn suspend() -> Suspended {
    Suspended(LEFT.replace(OUTSIDE))
}

impl Suspended {
    /// Goes on with that poll.
    pub(crate) fn resume(&self) {
        LEFT.set(self.0);
    }
}

/// `Ready` while the budget lasts; otherwise wakes the task and answers `Pending`.
#[inline]
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    if LEFT.with(Cell::get) != 0 { Poll::Ready(()) } else { give_way(cx) }
}

#[cold]
fn give_way(cx: &mut Context<'_>) -> Poll<()> {
    cx.waker().wake_by_ref();
    Poll::Pending
}

/// Counts one ready operation.
#[inline]
pub(crate) fn charge() {
    LEFT.with(|cell| {
        let left = cell.get();
        // Neither of the two marks is a count; and a `Ready` that nobody asked for costs nothing.
        if left.wrapping_sub(1) < BUDGET {
            cell.set(left - 1);
        }
    });
}

/// Runs `f` without a budget, and puts back what was left.
pub(crate) fn lifted<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(Suspended);
    impl Drop for Restore {
        fn drop(&mut self) {
            self.0.resume();
        }
    }
    let left = LEFT.get();
    let _restore = Restore(Suspended(left));
    LEFT.set(if left == OUTSIDE { OUTSIDE } else { LIFTED });
    f()
}
