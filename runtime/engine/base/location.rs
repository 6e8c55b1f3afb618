//! Where a task comes from, and what it waits for: on which object, and at which line.
//!
//! Every leaf future of ours is made by a `#[track_caller]` function and keeps the caller's
//! [`Location`]. When its poll returns `Pending` it notes that and what it waits for (`this_poll.rs`), and the
//! scheduler, right after the poll, keeps the note with the task. So the loop can say of each task what it
//! waits for and where, at the price of two stores a wait. An `async fn` would lose the caller, which is
//! why the leaves are named types.
//!
//! What has an identity (a task, a queue, a source, a lock) is noted with it. So a report can say not only
//! that a task waits for another, but for which; and which tasks wait for each other in a circle.

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
    /// A lock: `Mutex::lock`, `RwLock::read` and `write`.
    Lock,
    /// Permits of a semaphore.
    Permit,
    /// A signal: an event, a condition, a barrier, a cancelled token.
    Signal,
    /// A value: `oneshot`, `watch`, `broadcast`, `OnceCell`.
    Value,
    /// A signal of the operating system: `signal::Signal`, `signal::ctrl_c`.
    OsSignal,
    /// A child process's end: `process::Child::wait`.
    Process,
    /// Several futures: `gather`, `as_completed`, `wait`, `race`.
    Futures,
}

impl WaitsFor {
    /// Each of them.
    const ALL: [Self; 16] = [
        Self::Timer,
        Self::Turn,
        Self::Task,
        Self::Item,
        Self::Room,
        Self::QueueDone,
        Self::Readable,
        Self::Writable,
        Self::Blocking,
        Self::Lock,
        Self::Permit,
        Self::Signal,
        Self::Value,
        Self::OsSignal,
        Self::Process,
        Self::Futures,
    ];
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
            Self::Lock => "a lock",
            Self::Permit => "a permit",
            Self::Signal => "a signal",
            Self::Value => "a value",
            Self::OsSignal => "a signal of the operating system",
            Self::Process => "a child process to end",
            Self::Futures => "several futures",
        })
    }
}

/// Which object a task waits on, if what it waits for is one that has an identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum WaitsOn {
    /// The task of this identity.
    Task(TaskId),
    /// The queue of this number.
    Queue(u64),
    /// The source with the descriptor of this number.
    Source(u64),
    /// The lock or semaphore of this number.
    Lock(u64),
    /// The signal of the operating system of this number.
    OsSignal(u64),
    /// The process of this number.
    Process(u64),
    /// The event of this number.
    Event(u64),
    /// The channel of this number: `watch`, `broadcast`.
    Channel(u64),
    /// The condition of this number.
    Condition(u64),
    /// The barrier of this number.
    Barrier(u64),
}

impl fmt::Display for WaitsOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Task(task) => write!(f, "task {task}"),
            Self::Queue(number) => write!(f, "queue {number}"),
            Self::Source(number) => write!(f, "descriptor {number}"),
            Self::Lock(number) => write!(f, "lock {number}"),
            Self::OsSignal(number) => write!(f, "signal {number}"),
            Self::Process(number) => write!(f, "process {number}"),
            Self::Event(number) => write!(f, "event {number}"),
            Self::Channel(number) => write!(f, "channel {number}"),
            Self::Condition(number) => write!(f, "condition {number}"),
            Self::Barrier(number) => write!(f, "barrier {number}"),
        }
    }
}

/// A task's name: one word in a slot, and shared with its handle.
pub(crate) type Name = Option<Arc<Box<str>>>;

pub(crate) fn into_name(name: Option<String>) -> Name {
    name.map(|name| Arc::new(name.into_boxed_str()))
}

/// Where a task comes from: enough to name it in a report.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) id: TaskId,
    pub(crate) name: Name,
    pub(crate) location: &'static Location<'static>,
    /// The task that spawned it; `None` if no task did.
    pub(crate) parent: Option<TaskId>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {} '{name}'", self.id)?,
            None => write!(f, "task {}", self.id)?,
        }
        write!(f, ", spawned at {}", self.location)
    }
}

/// One wait: what for, on which object, and the line that asked.
///
/// Two words, for it is written at each `Pending` and kept in each task's slot. So the first word holds three
/// things: what for, what kind of object, and which. Of an identity of more than 52 bits the upper ones are
/// lost, and the object is not told apart from another.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitNote {
    word: u64,
    pub(crate) location: &'static Location<'static>,
}

#[cfg(test)]
const _: () = assert!(size_of::<Option<WaitNote>>() == 16, "a task's slot has one");

const KIND_SHIFT: u32 = 8;
const ID_SHIFT: u32 = 12;

impl WaitNote {
    /// A wait for what has no identity.
    #[inline(always)]
    pub(crate) fn new(what: WaitsFor, location: &'static Location<'static>) -> Self {
        Self { word: what as u64, location }
    }

    /// A wait on an object.
    #[inline(always)]
    pub(crate) fn on(
        what: WaitsFor,
        object: WaitsOn,
        location: &'static Location<'static>,
    ) -> Self {
        let (kind, id) = match object {
            WaitsOn::Task(task) => (1, task.get()),
            WaitsOn::Queue(number) => (2, number),
            WaitsOn::Source(number) => (3, number),
            WaitsOn::Lock(number) => (4, number),
            WaitsOn::OsSignal(number) => (5, number),
            WaitsOn::Process(number) => (6, number),
            WaitsOn::Event(number) => (7, number),
            WaitsOn::Channel(number) => (8, number),
            WaitsOn::Condition(number) => (9, number),
            WaitsOn::Barrier(number) => (10, number),
        };
        Self { word: what as u64 | kind << KIND_SHIFT | id << ID_SHIFT, location }
    }

    pub(crate) fn what(self) -> WaitsFor {
        let code = self.word as u8;
        *WaitsFor::ALL.iter().find(|what| **what as u8 == code).expect("made of one of them")
    }

    pub(crate) fn object(self) -> Option<WaitsOn> {
        let id = self.word >> ID_SHIFT;
        match self.word >> KIND_SHIFT & 0xf {
            1 => TaskId::from_number(id).map(WaitsOn::Task),
            2 => Some(WaitsOn::Queue(id)),
            3 => Some(WaitsOn::Source(id)),
            4 => Some(WaitsOn::Lock(id)),
            5 => Some(WaitsOn::OsSignal(id)),
            6 => Some(WaitsOn::Process(id)),
            7 => Some(WaitsOn::Event(id)),
            8 => Some(WaitsOn::Channel(id)),
            9 => Some(WaitsOn::Condition(id)),
            10 => Some(WaitsOn::Barrier(id)),
            _ => None,
        }
    }
}

impl fmt::Debug for WaitNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitNote")
            .field("what", &self.what())
            .field("object", &self.object())
            .field("location", &self.location)
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wait_keeps_what_it_is_made_of() {
        let location = Location::caller();
        let task = WaitsOn::Task(TaskId::draw());
        for what in WaitsFor::ALL {
            let wait = WaitNote::new(what, location);
            assert_eq!((wait.what(), wait.object()), (what, None));
            let most = (1 << 52) - 1;
            for object in [
                task,
                WaitsOn::Queue(0),
                WaitsOn::Queue(most),
                WaitsOn::Source(1),
                WaitsOn::Source(most),
                WaitsOn::Lock(most),
                WaitsOn::OsSignal(9),
                WaitsOn::Process(most),
                WaitsOn::Event(most),
                WaitsOn::Channel(most),
                WaitsOn::Condition(most),
                WaitsOn::Barrier(most),
            ] {
                let wait = WaitNote::on(what, object, location);
                assert_eq!((wait.what(), wait.object()), (what, Some(object)));
            }
        }
    }
}
