//! How a task's handle reaches its task: through two functions that take the key which is in the join cell.
//!
//! A handle knows no scheduler. Each scheduler has one [`Reach`], and gives it to the handles of the tasks it makes.
//!
//! What must hold: a key may be stale, and name another task by now. To wake that one costs a spurious poll. To end
//! it must not happen, so the task's identity, which is never used again, comes along.
//!
//! **Alternative:** a reference to the scheduler in each handle. It would be counted for every spawn, for what few
//! handles ever ask.

use crate::engine::base::id::TaskId;

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Reach {
    /// Has the task polled, so that it finds out that it was cancelled. From any thread.
    pub(crate) wake: fn(u64),
    /// Drops the task's future on this thread, if it can. Its handle has asked for cancellation before.
    pub(crate) end: fn(u64, TaskId) -> Ending,
}

/// How far a task that is to end now has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a task that another thread polls is not gone yet"]
pub(crate) enum Ending {
    /// Its future is gone.
    Gone,
    /// Another thread has it in hand, and drops it at the end of its poll, or in its loop's next turn.
    Elsewhere,
    /// This thread polls or drops it right now: it ends when that is over.
    Here,
}

impl Reach {
    /// Of what is no task of a scheduler, such as a blocking call: it has no waker, and its future is not dropped
    /// from outside.
    pub(crate) const NONE: &'static Self = &Self { wake: |_| {}, end: |_, _| Ending::Elsewhere };
}
