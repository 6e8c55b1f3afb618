//! Where: the line a task was spawned at, and the line it waits at.
//!
//! Every leaf future of ours is made by a `#[track_caller]` function and keeps the caller's
//! [`Location`]. When its poll returns `Pending` it notes both (`this_poll.rs`), and the scheduler, right
//! after the poll, keeps the note with the task. So the loop can say of each task what it waits
//! for and where, at the price of two stores a wait. An `async fn` would lose the caller, which is
//! why the leaves are named types.

use std::{fmt, panic::Location, sync::Arc};

use crate::engine::base::id::TaskId;

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitsFor {
    /// A moment: `sleep`, `interval`, `timeout`.
    Timer,
    /// Its next turn: `yield_now`, or a used-up budget.
    Turn,
    /// Another task's end: a `JoinHandle`.
    Task,
    /// An item, in `Queue::get`.
    Item,
    /// Room, in `Queue::put`.
    Room,
    /// `Queue::join`: the end of all unfinished items.
    QueueDone,
    /// Readiness to read.
    Readable,
    /// Readiness to write.
    Writable,
    /// A job on the blocking pool.
    Blocking,
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timer => "a timer",
            Self::Turn => "its next turn",
            Self::Task => "a task",
            Self::Item => "an item",
            Self::Room => "room in a queue",
            Self::QueueDone => "a queue's unfinished items",
            Self::Readable => "readiness to read",
            Self::Writable => "readiness to write",
            Self::Blocking => "a blocking job",
        })
    }
}

/// A task's name: one word in a slot, and shared with its handle.
pub(crate) type Name = Option<Arc<Box<str>>>;

/// Where a task comes from: enough to name it in a report.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) id: TaskId,
    pub(crate) name: Name,
    pub(crate) place: &'static Location<'static>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {} '{name}'", self.id)?,
            None => write!(f, "task {}", self.id)?,
        }
        write!(f, ", spawned at {}", self.place)
    }
}

/// One wait: what for, and the line that asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) what: WaitsFor,
    pub(crate) place: &'static Location<'static>,
}
