//! Which workers no thread runs, and which threads have none to run.
//!
//! A thread that is about to block in the middle of a task (`block_in_place`, another loop's `block_on`)
//! *hands off* its worker: it declares it vacant, and a spare thread comes and runs it from there. So as many
//! workers run tasks as before. When the blocking call is over before another thread has come, the worker is
//! taken back. If not, the task's poll goes on to its end on a thread that is no worker's any more; after
//! that the thread is a spare one. A spare thread that waited in vain for [`KEEP_ALIVE`] ends.
//!
//! What passes is the worker's number: with it come its timers and its counters. Its queue is empty by then,
//! for what waited there went to the injector, and the next thread begins with a new one
//! (`worker_thread.rs`).
//!
//! What must hold: a worker is run by one thread at a time, or it is vacant. Both `take` and `take_back` take
//! its number out of one list, under one lock.
//!
//! **Alternative:** to leave the worker idle meanwhile, and have the others run what it had. With all
//! workers in such calls no task runs any more, also the one that a call waits for.

use std::{io, sync::Arc, time::Duration};

use crate::engine::base::primitives::{
    Condvar, Mutex, has_ended, lock, seeded, thread, wait_timeout,
};

/// How long a spare thread waits for a worker to run.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a user wants done on each thread that runs workers. It is given the number of the first of them.
pub(crate) type Hook = Arc<dyn Fn(usize) + Send + Sync>;

/// How the threads are made.
#[derive(Clone)]
pub(crate) struct ThreadSettings {
    /// A worker's number is put behind it.
    pub(crate) name: String,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
}

impl ThreadSettings {
    pub(crate) fn usual() -> Self {
        let name = "whirligig".to_owned();
        Self { name, stack_size: None, on_start: None, on_stop: None }
    }
}

pub(crate) struct Threads {
    pub(super) settings: ThreadSettings,
    /// Threads there may be at most.
    most: usize,
    state: Mutex<State>,
    /// A worker is vacant, or the pool is closed.
    vacancy: Condvar,
    /// The last thread has ended.
    ended: Condvar,
}

struct State {
    /// Workers that no thread runs, the longest vacant first.
    vacant: Vec<usize>,
    /// Spare threads that are inside their wait for one. More workers may be vacant than that; each thread
    /// looks at `vacant` before it waits again.
    spare: usize,
    /// Threads that have not ended.
    alive: usize,
    handles: Vec<thread::JoinHandle<()>>,
    closed: bool,
    /// That a thread could not be started was said.
    told: bool,
}

impl Threads {
    pub(super) fn new(settings: ThreadSettings, most: usize) -> Self {
        let state = State {
            vacant: Vec::new(),
            spare: 0,
            alive: 0,
            handles: Vec::new(),
            closed: false,
            told: false,
        };
        Self {
            settings,
            most,
            state: Mutex::new(state),
            vacancy: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// Starts a thread that does this. `worker`: the one that it begins with.
    pub(super) fn start(
        &self,
        worker: Option<usize>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let ThreadSettings { name, stack_size, .. } = &self.settings;
        let name = worker.map_or(format!("{name}-spare"), |number| format!("{name}-{number}"));
        let mut builder = thread::Builder::new().name(name);
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(*bytes);
        }
        lock(&self.state).alive += 1;
        let started = builder.spawn(run);
        let mut state = lock(&self.state);
        match started {
            Ok(handle) => {
                // A thread that has ended keeps its stack until it is joined or its handle is dropped.
                state.handles.retain(|handle| !has_ended(handle));
                state.handles.push(handle);
            }
            Err(error) => {
                state.alive -= 1;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Declares a worker vacant. `true`: no spare thread is there to come for it, and one may be started.
    #[must_use]
    pub(crate) fn declare_vacant(&self, worker: usize) -> bool {
        let mut state = lock(&self.state);
        state.vacant.push(worker);
        // Some may be on their way to a worker that was vacant before.
        if state.spare >= state.vacant.len() {
            self.vacancy.notify_one();
            return false;
        }
        state.alive < self.most && !state.closed
    }

    /// Takes a worker back that was declared vacant. `false`: another thread runs it.
    pub(crate) fn take_back(&self, worker: usize) -> bool {
        let mut state = lock(&self.state);
        let index = state.vacant.iter().position(|&vacant| vacant == worker);
        if let Some(index) = index
            && !seeded("threads_leave_vacant_what_is_taken_back")
        {
            state.vacant.remove(index);
        }
        index.is_some()
    }

    /// A vacant worker, for a thread that has none; waits for one. `None`: the thread is to end.
    pub(crate) fn take(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if !state.vacant.is_empty() {
                return Some(state.vacant.remove(0));
            }
            state.spare += 1;
            let timed_out;
            (state, timed_out) = wait_timeout(&self.vacancy, state, KEEP_ALIVE);
            state.spare -= 1;
            if timed_out && state.vacant.is_empty() {
                return None;
            }
        }
    }

    /// A thread could not be started. `true`: that was not said yet.
    pub(super) fn is_first_failure(&self) -> bool {
        !std::mem::replace(&mut lock(&self.state).told, true)
    }

    /// The pool is closed: spare threads end.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.vacant.clear();
        drop(state);
        self.vacancy.notify_all();
    }

    /// A thread ends. The last one of a closed pool calls `at_the_end`, and counts until that is done.
    pub(super) fn end(&self, at_the_end: impl FnOnce()) {
        {
            let mut state = lock(&self.state);
            if state.alive > 1 || !state.closed {
                state.alive -= 1;
                return;
            }
        }
        at_the_end();
        lock(&self.state).alive = 0;
        self.ended.notify_all();
    }

    /// Waits until all threads have ended, but for no longer than is `left`.
    pub(super) fn wait_ended(&self, left: impl Fn() -> Duration) {
        let mut state = lock(&self.state);
        while state.alive > 0 && !left().is_zero() {
            state = wait_timeout(&self.ended, state, left()).0;
        }
    }

    /// Waits until all threads have ended, however long that takes. On none of them.
    pub(crate) fn join(&self) {
        loop {
            let Some(handle) = lock(&self.state).handles.pop() else { return };
            // A worker that panicked has said so.
            let _ = handle.join();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn threads(most: usize) -> Arc<Threads> {
        Arc::new(Threads::new(ThreadSettings::usual(), most))
    }

    #[test]
    fn a_spare_thread_comes_for_one_vacant_worker() {
        let threads = threads(1);
        let theirs = threads.clone();
        let spare = thread::spawn(move || theirs.take());
        while lock(&threads.state).spare == 0 {
            thread::yield_now();
        }
        assert!(!threads.declare_vacant(3), "one is there to come for it");
        assert_eq!(spare.join().unwrap(), Some(3));
        assert!(threads.declare_vacant(4), "and is not there any more");
        assert!(threads.take_back(4) && !threads.take_back(4));
    }
    #[test]
    fn a_failure_to_start_is_told_once() {
        let threads = threads(1);
        assert!(threads.is_first_failure() && !threads.is_first_failure());
    }

    #[test]
    fn a_thread_that_has_ended_keeps_no_stack() {
        let threads = Threads::new(ThreadSettings::usual(), 8);
        for _ in 0..20 {
            threads.start(None, || {}).unwrap();
            while !lock(&threads.state).handles.iter().all(has_ended) {
                thread::yield_now();
            }
        }
        assert_eq!(lock(&threads.state).handles.len(), 1, "the last is left to `join`");
    }
}
