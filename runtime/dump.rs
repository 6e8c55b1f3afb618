//! What the tasks of a loop or a runtime wait for.
//!
//! A dump is a list, taken at one moment of an event loop and at one moment for each task of a
//! runtime. It holds nothing back and nothing up: no task is polled for it.
//!
//! While checks are on, it tells of each task that waits for a lock which tasks hold it. So a deadlock can be read off
//! it: two tasks, each of which waits for a lock that is held by the other.

use std::{fmt, panic::Location};

use crate::engine::{
    base::{
        holders,
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
    /// What holds the lock that it waits for, the earliest first. Empty if it waits for none, or if checks are off: they
    /// are on in builds with debug assertions, or with `WHIRLIGIG_DEBUG=1`.
    pub held_by: Vec<Holder>,
    /// The task that spawned it; `None` if no task did.
    pub parent: Option<TaskId>,
    /// It stands in a run queue.
    pub scheduled: bool,
    /// It is being polled, on any worker. On an event loop: the dump was asked for inside it.
    pub running: bool,
}

/// What holds a lock for which a task in a [`Dump`] waits. `Display` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Holder {
    /// The task that locked it; `None` if that was done outside of any task.
    pub task: Option<TaskId>,
    /// That task's name, if it has one and is in the same dump.
    pub name: Option<String>,
}

impl Dump {
    pub(crate) fn of_event_loop(core: &Core) -> Self {
        let mut tasks = Vec::new();
        core.table.each(|origin, wait, stage| tasks.push(TaskDump::new(origin, wait, stage)));
        Self::of_tasks(tasks)
    }

    pub(crate) fn of_pool(pool: &Pool) -> Self {
        let mut tasks = Vec::new();
        for task in pool.tasks() {
            let wait = task.waits();
            if let Some(stage) = task.stage() {
                tasks.push(TaskDump::new(task.origin().clone(), wait, stage));
            }
        }
        Self::of_tasks(tasks)
    }

    /// Adds who holds the locks that they wait for.
    fn of_tasks(mut tasks: Vec<TaskDump>) -> Self {
        for at in 0..tasks.len() {
            let Some(WaitsOn::Lock(lock)) = tasks[at].waits_on else { continue };
            let name = |id| tasks.iter().find(|task| task.id == id)?.name.clone();
            let holder = |task: Option<TaskId>| Holder { task, name: task.and_then(name) };
            tasks[at].held_by = holders::of(lock).into_iter().map(holder).collect();
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
            held_by: Vec::new(),
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
                self.waits_on.map_or(Ok(()), |object| write!(f, ": {object}"))?;
                for (at, holder) in self.held_by.iter().enumerate() {
                    write!(f, "{} {holder}", if at == 0 { ", held by" } else { "," })?;
                }
                Ok(())
            }
            None => f.write_str("waits for a future that is not whirligig's"),
        }
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.task, &self.name) {
            (Some(task), Some(name)) => write!(f, "task {task} '{name}'"),
            (Some(task), None) => write!(f, "task {task}"),
            (None, _) => f.write_str("something that is no task"),
        }
    }
}
