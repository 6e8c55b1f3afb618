//! What the tasks of a loop or a runtime wait for.
//!
//! A dump is a list, taken at one moment of an event loop and at one moment for each task of a
//! runtime. It holds nothing back and nothing up: no task is polled for it.

use std::{fmt, panic::Location};

use crate::engine::{
    base::{
        id::TaskId,
        location::{Origin, WaitNote, WaitsFor, WaitsOn},
    },
    current::{self, Current},
    scheduler::{event_loop::Core, pool::Pool},
    task::spawned::TaskStage,
};

/// Each task of the loop or the runtime that runs this thread. See
/// [`EventLoop::dump`](crate::EventLoop::dump).
///
/// # Panics
/// If no runtime runs this thread, or an event loop does that another thread turns.
#[track_caller]
#[doc(alias = "all_tasks")]
pub fn dump() -> Dump {
    match current::expect("`dump`") {
        Current::EventLoop(core) => Dump::of_event_loop(&core),
        Current::Worker(worker) => Dump::of_pool(&worker.pool),
        Current::EnteredPool(pool) => Dump::of_pool(&pool),
        Current::Outside(_) => panic!(
            "`dump` reads an event loop's tasks on its own thread, and this one has only entered the loop"
        ),
    }
}

/// The tasks of a loop or a runtime, as [`dump`] found them. `Display` prints a line each.
#[derive(Debug, Clone)]
pub struct Dump {
    /// The tasks that have not ended. An event loop's root future is the first; a runtime's is no task.
    pub tasks: Vec<TaskDump>,
}

/// One task in a [`Dump`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskDump {
    /// Its identity.
    pub id: TaskId,
    /// Its name, if it was given one.
    pub name: Option<String>,
    /// The line that spawned it (or called `block_on`).
    pub spawned_at: &'static Location<'static>,
    /// What it waits for and the line that waits, as the last of our own leaf futures noted it;
    /// `None` if it has not waited yet, or waits for a future of another crate.
    pub waits: Option<(WaitsFor, &'static Location<'static>)>,
    /// On which task, queue, source or lock, if what it waits for said so.
    pub waits_on: Option<WaitsOn>,
    /// The task that spawned it; `None` if no task did.
    pub parent: Option<TaskId>,
    /// It stands in a run queue.
    pub scheduled: bool,
    /// It is being polled, on any worker. On an event loop: the dump was asked for inside it.
    pub running: bool,
}

impl Dump {
    pub(crate) fn of_event_loop(core: &Core) -> Self {
        let mut tasks = Vec::new();
        core.table.each(|origin, wait, stage| tasks.push(TaskDump::new(origin, wait, stage)));
        Self { tasks }
    }

    pub(crate) fn of_pool(pool: &Pool) -> Self {
        let mut tasks = Vec::new();
        for task in pool.tasks() {
            let wait = task.waits();
            if let Some(stage) = task.stage() {
                tasks.push(TaskDump::new(task.origin().clone(), wait, stage));
            }
        }
        Self { tasks }
    }
}

impl TaskDump {
    fn new(origin: Origin, wait: Option<WaitNote>, stage: TaskStage) -> Self {
        Self {
            id: origin.id,
            name: origin.name.map(|name| name.to_string()),
            spawned_at: origin.location,
            waits: wait.map(|wait| (wait.what(), wait.location)),
            waits_on: wait.and_then(WaitNote::object),
            parent: origin.parent,
            scheduled: stage == TaskStage::Scheduled,
            running: stage == TaskStage::Running,
        }
    }
}

impl fmt::Display for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for task in &self.tasks {
            writeln!(f, "{task}")?;
        }
        Ok(())
    }
}

impl fmt::Display for TaskDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.id)?;
        if let Some(name) = &self.name {
            write!(f, " '{name}'")?;
        }
        write!(f, ", spawned at {}, ", self.spawned_at)?;
        match self.waits {
            _ if self.running => f.write_str("is running"),
            _ if self.scheduled => f.write_str("is scheduled"),
            Some((what, location)) => {
                write!(f, "waits for {what} at {location}")?;
                self.waits_on.map_or(Ok(()), |object| write!(f, ": {object}"))
            }
            None => f.write_str("waits for a future that is not whirligig's"),
        }
    }
}
