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
    ptr,
    task::{Context, Poll, Waker},
};

use crate::local_key;

/// Ready operations in one poll.
pub(crate) const BUDGET: u32 = 128;

/// Outside any poll: nothing is counted, for there is no loop to yield to.
const OUTSIDE: u32 = u32::MAX;
/// In a poll, but not counted.
const LIFTED: u32 = u32::MAX - 1;

/// The poll that this thread is in.
struct Current {
    left: Cell<u32>,
    /// The task wants to run again in the next turn.
    again: Cell<bool>,
    /// The waker that the scheduler made for this poll. Only ever compared.
    waker: Cell<*const Waker>,
}

thread_local! {
    static CURRENT: Current = const {
        Current { left: Cell::new(OUTSIDE), again: Cell::new(false), waker: Cell::new(ptr::null()) }
    };
}

/// A poll begins, with a full budget and this waker. The scheduler calls this before it polls a task.
#[inline(always)]
pub(crate) fn begin(waker: &Waker) {
    local_key::with(&CURRENT, |current| {
        current.left.set(BUDGET);
        current.again.set(false);
        current.waker.set(waker);
    });
}

/// Whether the task that was polled wants to run again in the next turn.
#[inline(always)]
pub(crate) fn runs_again() -> bool {
    local_key::with(&CURRENT, |current| current.again.get())
}

/// A batch of polls is over.
#[inline]
pub(crate) fn end() {
    local_key::with(&CURRENT, |current| {
        current.left.set(OUTSIDE);
        current.waker.set(ptr::null());
    });
}

/// Whether this thread is inside a task's poll.
pub(crate) fn is_polling() -> bool {
    local_key::with(&CURRENT, |current| current.left.get() != OUTSIDE)
}

/// What a nested loop must put back when it leaves the thread.
#[derive(Debug)]
pub(crate) struct Suspended {
    left: u32,
    again: bool,
    waker: *const Waker,
}

/// Sets the state of the poll that is going on aside, for a loop nested in it.
pub(crate) fn suspend() -> Suspended {
    local_key::with(&CURRENT, |current| Suspended {
        left: current.left.replace(OUTSIDE),
        again: current.again.replace(false),
        waker: current.waker.replace(ptr::null()),
    })
}

impl Suspended {
    /// Goes on with that poll.
    pub(crate) fn resume(&self) {
        local_key::with(&CURRENT, |current| {
            current.left.set(self.left);
            current.again.set(self.again);
            current.waker.set(self.waker);
        });
    }
}

/// Runs `f` as if outside any poll: it may block.
pub(crate) fn blocked<R>(f: impl FnOnce() -> R) -> R {
    struct Resume(Suspended);
    impl Drop for Resume {
        fn drop(&mut self) {
            self.0.resume();
        }
    }
    let _resume = Resume(suspend());
    f()
}

/// Has the task that is polled run again in the next turn.
///
/// This is what waking oneself comes to, and costs a comparison and a flag that the scheduler looks
/// at when it has the task in hand anyway. A future that is polled with another waker than the
/// scheduler's (inside a `FuturesUnordered`, say) wakes that one.
#[inline]
// ANCHOR: run_again
pub(crate) fn run_again(cx: &Context<'_>) {
    local_key::with(&CURRENT, |current| {
        // The scheduler's waker lives until the poll is over, so no other can have its address.
        if ptr::eq(current.waker.get(), cx.waker()) {
            current.again.set(true);
        } else {
            cx.waker().wake_by_ref();
        }
    });
}
// END: run_again

/// `Ready` while the budget lasts; otherwise wakes the task and answers `Pending`.
#[inline]
pub(crate) fn poll_budget(cx: &mut Context<'_>) -> Poll<()> {
    let left = local_key::with(&CURRENT, |current| current.left.get());
    if left != 0 { Poll::Ready(()) } else { give_way(cx) }
}

#[cold]
fn give_way(cx: &mut Context<'_>) -> Poll<()> {
    run_again(cx);
    Poll::Pending
}

/// Counts one ready operation.
#[inline]
pub(crate) fn charge() {
    local_key::with(&CURRENT, |current| {
        let left = current.left.get();
        // Neither of the two marks is a count; and a `Ready` that nobody asked for costs nothing.
        if left.wrapping_sub(1) < BUDGET {
            current.left.set(left - 1);
        }
    });
}

/// Runs `f` without a budget, and puts back what was left.
pub(crate) fn lifted<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(u32);
    impl Drop for Restore {
        fn drop(&mut self) {
            local_key::with(&CURRENT, |current| current.left.set(self.0));
        }
    }
    let left = local_key::with(&CURRENT, |current| current.left.get());
    let _restore = Restore(left);
    local_key::with(&CURRENT, |current| {
        current.left.set(if left == OUTSIDE { OUTSIDE } else { LIFTED })
    });
    f()
}
