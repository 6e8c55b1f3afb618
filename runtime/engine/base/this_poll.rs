//! The poll that this thread is in: whose it is, how much it may still do, and what it noted last.
//!
//! **Whose.** The identity of the task that is polled, for its own code to ask for, and for what it does to be
//! told as its doing: the tasks it spawns have it as their parent.
//!
//! **Budget.** A task that finds its queue, socket or timer ready every time it asks would never return
//! to the loop. So each poll begins with a budget of ready operations. A leaf future of ours asks
//! [`poll_budget`] first and calls [`charge`] when it returns `Ready`; once the budget is used up it
//! answers `Pending` after waking its task, which runs again in the next turn. Only a `Ready` is
//! charged: a `Pending` ends the poll by itself, and `try_*` calls never wait. **Alternative:** to make
//! every await yield (asyncio's `sleep(0)` habit, trio's checkpoints): simple, and a turn for every
//! operation.
//!
//! **Running again.** A task that gives way says so with [`run_again`], and at which line. The scheduler, which
//! has the task in hand when the poll ends, puts it into the run queue.
//!
//! **What it waits for.** The last act of any other leaf before it returns `Pending` is to [`note`] what it
//! waits for, and at which line, or [`note_on`] with the object as well. The scheduler puts the last note into
//! the task's slot.
//!
//! All of it stands side by side in one thread-local, for reaching one costs an address, and a poll of a
//! few nanoseconds looks here six times.

use std::{
    cell::Cell,
    panic::Location,
    ptr,
    task::{Context, Poll, Waker},
};

use crate::engine::base::{
    id::TaskId,
    local_key, locals,
    location::{WaitNote, WaitsFor, WaitsOn},
};

/// Ready operations in one poll.
pub(crate) const BUDGET: i32 = 128;

/// Refusals in one poll, after which there is another budget. What goes on after so many may be code that does
/// not return to the loop for being refused: another executor's `block_on` inside the task would ask for ever.
const PATIENCE: i32 = 1024;

/// Outside any poll, or in one whose budget was lifted. It is counted down like any other, which costs less
/// than to ask; [`give_way`] sets it up again.
const UNCOUNTED: i32 = i32::MAX;

struct ThisPoll {
    /// The task that is polled. `None` outside any poll, and for a future that is no task.
    task: Cell<Option<TaskId>>,
    /// By which key its scheduler finds that task. It may be another's, while a task is dropped inside a poll.
    key: Cell<u64>,
    /// Ready operations left. A task with less than one gives way.
    left: Cell<i32>,
    /// The task wants to run again in the next turn: the line that gave way.
    again: Cell<Option<&'static Location<'static>>>,
    /// What the last leaf that noted something waits for, and where.
    noted: Cell<Option<WaitNote>>,
    /// The waker that the scheduler made for this poll. Only ever compared. Null outside any poll.
    waker: Cell<*const Waker>,
    /// The budget was lifted.
    is_lifted: Cell<bool>,
    /// An event loop or a worker runs this thread, also between polls.
    runs_tasks: Cell<bool>,
}

thread_local! {
    static THIS: ThisPoll = const {
        ThisPoll {
            task: Cell::new(None),
            key: Cell::new(0),
            left: Cell::new(UNCOUNTED),
            again: Cell::new(None),
            noted: Cell::new(None),
            waker: Cell::new(ptr::null()),
            is_lifted: Cell::new(false),
            runs_tasks: Cell::new(false),
        }
    };
}

/// A poll begins, of the task that its scheduler finds by this key, with a full budget and this waker. The scheduler
/// calls this before it polls. `None`: the future is no task, as that of a runtime's `block_on`.
#[inline(always)]
pub(crate) fn begin(waker: &Waker, task: Option<TaskId>, key: u64) {
    local_key::with(&THIS, |this| {
        this.task.set(task);
        this.key.set(key);
        this.left.set(BUDGET);
        this.again.set(None);
        this.noted.set(None);
        this.waker.set(waker);
    });
}

/// The task that is polled on this thread, if one is.
#[inline(always)]
pub(crate) fn task() -> Option<TaskId> {
    local_key::with(&THIS, |this| this.task.get())
}

/// By which key the scheduler of the task that is polled finds it. Compare the identities: see [`ThisPoll::key`].
pub(crate) fn key() -> u64 {
    local_key::with(&THIS, |this| this.key.get())
}

/// Where the task that was polled gave way, if it did: then it wants to run again in the next turn.
#[inline(always)]
pub(crate) fn gave_way_at() -> Option<&'static Location<'static>> {
    local_key::with(&THIS, |this| this.again.get())
}

/// What the task waits for after this poll, or after the one that has just ended, and at which line: its next turn
/// if it gave way, or else what the last leaf noted. `None` if only other crates' futures wait.
#[inline(always)]
pub(crate) fn noted() -> Option<WaitNote> {
    local_key::with(&THIS, |this| match this.again.get() {
        Some(location) => Some(WaitNote::new(WaitsFor::Turn, location)),
        None => this.noted.get(),
    })
}

/// The poll, or a batch of them, is over. What it noted can still be asked for.
#[inline]
pub(crate) fn end() {
    local_key::with(&THIS, |this| {
        this.task.set(None);
        this.left.set(UNCOUNTED);
        this.waker.set(ptr::null());
    });
}

/// Whether this thread is inside a task's poll.
pub(crate) fn is_polling() -> bool {
    local_key::with(&THIS, |this| !this.waker.get().is_null())
}

/// Whether no task waits for this thread: it is not within a poll, nor in what else a loop or a worker calls.
pub(crate) fn may_block() -> bool {
    !is_polling() && !local_key::with(&THIS, |this| this.runs_tasks.get())
}

/// Whether this is a poll that a worker or a loop began, and no nested one.
pub(crate) fn is_own_poll() -> bool {
    is_polling() && local_key::with(&THIS, |this| this.runs_tasks.get())
}

/// Notes whether a loop or a worker runs this thread. Gives what was so before.
pub(crate) fn set_runs_tasks(runs_tasks: bool) -> bool {
    local_key::with(&THIS, |this| this.runs_tasks.replace(runs_tasks))
}

/// What a nested loop must put back when it leaves the thread.
#[derive(Debug)]
pub(crate) struct Suspended {
    task: Option<TaskId>,
    key: u64,
    left: i32,
    again: Option<&'static Location<'static>>,
    is_lifted: bool,
    noted: Option<WaitNote>,
    waker: *const Waker,
}

/// Sets the state of the poll that is going on aside, for a loop nested in it.
pub(crate) fn suspend() -> Suspended {
    local_key::with(&THIS, |this| Suspended {
        task: this.task.take(),
        key: this.key.get(),
        left: this.left.replace(UNCOUNTED),
        again: this.again.take(),
        is_lifted: this.is_lifted.replace(false),
        noted: this.noted.take(),
        waker: this.waker.replace(ptr::null()),
    })
}

impl Suspended {
    /// Goes on with that poll.
    pub(crate) fn resume(&self) {
        local_key::with(&THIS, |this| {
            this.task.set(self.task);
            this.key.set(self.key);
            this.left.set(self.left);
            this.again.set(self.again);
            this.is_lifted.set(self.is_lifted);
            this.noted.set(self.noted);
            this.waker.set(self.waker);
        });
    }
}

/// Runs `f`, which drops this task's future, as the task's doing. It sees no values of the task that calls.
pub(crate) fn as_task<R>(task: TaskId, f: impl FnOnce() -> R) -> R {
    struct Restore(Option<TaskId>);
    impl Drop for Restore {
        fn drop(&mut self) {
            local_key::with(&THIS, |this| this.task.set(self.0));
        }
    }
    let _restore = local_key::with(&THIS, |this| Restore(this.task.replace(Some(task))));
    locals::without(f)
}

/// Runs `f` as if outside any poll: it may block. What it does is still the task's doing.
pub(crate) fn blocked<R>(f: impl FnOnce() -> R) -> R {
    struct Resume(Suspended);
    impl Drop for Resume {
        fn drop(&mut self) {
            self.0.resume();
        }
    }
    let suspended = suspend();
    local_key::with(&THIS, |this| this.task.set(suspended.task));
    let _resume = Resume(suspended);
    f()
}

/// Has the task that is polled run again in the next turn. `location` is the line that gives way.
///
/// This is what waking oneself comes to, and costs a comparison and a word that the scheduler looks
/// at when it has the task in hand anyway. A future that is polled with another waker than the
/// scheduler's (inside a `FuturesUnordered`, say) wakes that one.
#[inline]
// ANCHOR: run_again
pub(crate) fn run_again(cx: &Context<'_>, location: &'static Location<'static>) {
    local_key::with(&THIS, |this| {
        // The scheduler's waker lives until the poll is over, so no other can have its address.
        if ptr::eq(this.waker.get(), cx.waker()) {
            this.again.set(Some(location));
        } else {
            wake_oneself(cx, location);
        }
    });
}
// END: run_again

#[cold]
fn wake_oneself(cx: &Context<'_>, location: &'static Location<'static>) {
    cx.waker().wake_by_ref();
    note(WaitsFor::Turn, location);
}

/// `Ready` while the budget lasts; otherwise the task runs again in the next turn, and the answer is `Pending`.
/// `location` is the line that asks.
#[inline]
pub(crate) fn poll_budget(cx: &mut Context<'_>, location: &'static Location<'static>) -> Poll<()> {
    let left = local_key::with(&THIS, |this| this.left.get());
    if left > 0 { Poll::Ready(()) } else { give_way(cx, location) }
}

#[cold]
fn give_way(cx: &mut Context<'_>, location: &'static Location<'static>) -> Poll<()> {
    if !is_polling() || local_key::with(&THIS, |this| this.is_lifted.get()) {
        // Two thousand million operations later. There is no loop to give way to, or none that it should
        // give way to.
        local_key::with(&THIS, |this| this.left.set(UNCOUNTED));
        return Poll::Ready(());
    }
    // Below 0 it counts the refusals.
    charge();
    if local_key::with(&THIS, |this| this.left.get()) < -PATIENCE {
        // A budget and no more: it may also be a task with a thousand futures, which does return.
        local_key::with(&THIS, |this| this.left.set(BUDGET));
        return Poll::Ready(());
    }
    run_again(cx, location);
    Poll::Pending
}

/// Counts one ready operation.
#[inline(always)]
pub(crate) fn charge() {
    local_key::with(&THIS, |this| this.left.set(this.left.get().wrapping_sub(1)));
}

/// Runs `f` without a budget, and puts back what was left.
pub(crate) fn lifted<R>(f: impl FnOnce() -> R) -> R {
    struct Restore(i32, bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            local_key::with(&THIS, |this| {
                this.left.set(self.0);
                this.is_lifted.set(self.1);
            });
        }
    }
    let _restore = local_key::with(&THIS, |this| {
        Restore(this.left.replace(UNCOUNTED), this.is_lifted.replace(true))
    });
    f()
}

/// A leaf's last act before it returns `Pending`, unless it gives way.
#[inline]
pub(crate) fn note(what: WaitsFor, location: &'static Location<'static>) {
    local_key::with(&THIS, |this| this.noted.set(Some(WaitNote::new(what, location))));
}

/// [`note`], with the object that is waited on.
#[inline]
pub(crate) fn note_on(what: WaitsFor, object: WaitsOn, location: &'static Location<'static>) {
    local_key::with(&THIS, |this| this.noted.set(Some(WaitNote::on(what, object, location))));
}

/// Puts a note back that was taken.
pub(crate) fn note_again(wait: WaitNote) {
    local_key::with(&THIS, |this| this.noted.set(Some(wait)));
}

/// Takes the last note back.
pub(crate) fn take_note() -> Option<WaitNote> {
    let wait = noted();
    local_key::with(&THIS, |this| this.noted.set(None));
    wait
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Two thousand million operations were counted.
    fn use_up() {
        local_key::with(&THIS, |this| this.left.set(0));
    }

    fn is_ready() -> bool {
        poll_budget(&mut Context::from_waker(Waker::noop()), Location::caller()).is_ready()
    }

    #[test]
    fn what_is_not_counted_never_gives_way() {
        use_up();
        assert!(is_ready() && is_ready(), "outside any poll there is no loop to give way to");
        begin(Waker::noop(), None, 0);
        lifted(|| {
            use_up();
            assert!(is_ready());
            blocked(use_up); // a nested loop's affair
            assert!(is_ready());
        });
        assert!(is_ready());
        use_up();
        assert!(!is_ready(), "but a poll does when its budget is there no more");
        end();
        assert!(is_ready());
    }

    #[test]
    fn what_asks_on_and_on_is_let_through_in_the_end() {
        begin(Waker::noop(), None, 0);
        use_up();
        let refusals = (0..2 * PATIENCE).take_while(|_| !is_ready()).count();
        assert_eq!(refusals, PATIENCE as usize);
        (0..BUDGET).for_each(|_| charge());
        assert!(!is_ready(), "once more");
        end();
    }
}
