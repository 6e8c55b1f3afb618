//! One list of tasks that have not ended: a worker's, or one of those for tasks spawned outside the workers.
//!
//! A task that waits is kept alive by its wakers, and often those are in its own socket, which its
//! future owns: a cycle that nothing else reaches. So each task stands in a locked list as well, by number: in
//! that of the worker that spawned it, or, spawned outside the workers, in one of the pool's `OUTSIDE_LISTS`. It
//! takes itself out when it ends. A shutdown walks the lists, and so does a dump.
//!
//! A task may end on another worker while it is shut down or looked at. The lock is held for one
//! step of the list, never while a task is run, dropped or asked anything.
//!
//! **Alternative:** a list linked through the tasks, with no memory of its own, and a pointer dance in
//! `unsafe` for each end. One list for the whole runtime would be a lock that all workers share.

use std::fmt;

use slab::Slab;

use super::shared::{Runnable, Schedule};
use crate::engine::base::primitives::{Mutex, lock, seeded};

/// One list of tasks: a worker's, or one of those for tasks spawned outside. Each on cache lines of its own.
#[repr(align(128))]
pub(crate) struct Owned<S> {
    list: Mutex<List<S>>,
}

struct List<S> {
    tasks: Slab<Runnable<S>>,
    closed: bool,
}

/// The list is closed: shut the task down.
#[derive(Debug)]
pub(crate) struct Closed;

impl<S: Schedule> Owned<S> {
    pub(crate) fn new() -> Self {
        Self { list: Mutex::new(List { tasks: Slab::new(), closed: false }) }
    }

    /// Takes a new task in, and tells its index. Before it is in a run queue.
    pub(crate) fn insert(&self, task: &Runnable<S>) -> Result<u32, Closed> {
        let mut list = lock(&self.list);
        if list.closed && !seeded("owned_takes_a_late_task") {
            return Err(Closed);
        }
        let entry = list.tasks.vacant_entry();
        let index = u32::try_from(entry.key()).expect("a worker owns no more than 2^32 tasks");
        task.set_index(index);
        entry.insert(task.clone());
        Ok(index)
    }

    /// A task of this list has ended.
    pub(crate) fn remove(&self, task: &Runnable<S>) {
        // A task that was refused has no index.
        let Some(index) = task.index() else { return };
        let removed = lock(&self.list).tasks.try_remove(index as usize);
        debug_assert!(removed.is_some(), "a task ends once");
    }

    /// The task of this index.
    pub(crate) fn get(&self, index: u32) -> Option<Runnable<S>> {
        lock(&self.list).tasks.get(index as usize).cloned()
    }

    /// Takes no more tasks from here on. Returns those there are, for the caller to shut down.
    pub(crate) fn close(&self) -> Vec<Runnable<S>> {
        if seeded("owned_closes_in_two_steps") {
            let left = self.tasks();
            lock(&self.list).closed = true;
            return left;
        }
        let mut list = lock(&self.list);
        list.closed = true;
        list.tasks.iter().map(|(_, task)| task.clone()).collect()
    }

    /// The tasks at this moment.
    pub(crate) fn tasks(&self) -> Vec<Runnable<S>> {
        lock(&self.list).tasks.iter().map(|(_, task)| task.clone()).collect()
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        lock(&self.list).tasks.len()
    }
}

impl<S> fmt::Debug for Owned<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owned").finish_non_exhaustive()
    }
}
