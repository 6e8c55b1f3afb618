//! The threads that run workers, and how a worker passes from one to another.
//!
//! A thread that is about to block in the middle of a task (`block_in_place`, another loop's `block_on`)
//! *hands off* its worker: it declares it vacant, and a spare thread comes and runs it from there. So as many
//! workers run tasks as before. When the blocking call is over before another thread has come, the worker is
//! taken back. If not, the task's poll goes on to its end on a thread that is no worker's any more; after
//! that the thread is a spare one. A spare thread that waited in vain for [`KEEP_ALIVE`] ends.
//!
//! What passes is the worker's number: with it come its timers and its counters. Its queue is empty by then,
//! for what waited there went to the injector, and the next thread begins with a new one.
//!
//! What must hold: a worker is run by one thread at a time, or it is vacant. Both `take` and `take_back` take
//! its number out of one list, under one lock.
//!
//! **Alternative:** to leave the worker idle meanwhile, and have the others run what it had. With all
//! workers in such calls no task runs any more, also the one that a call waits for.

use std::{io, sync::Arc as StdArc, time::Duration};

use super::Pool;
use crate::engine::{
    base::{
        foreign,
        primitives::{Condvar, Mutex, lock, seeded, thread, wait_timeout},
    },
    run_queue::stealing::Owner,
    scheduler::pool::worker::Worker,
};

/// How long a spare thread waits for a worker to run.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// What a user wants done on each thread that runs workers. It is given the number of the first of them.
pub(crate) type Hook = StdArc<dyn Fn(usize) + Send + Sync>;

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

/// Makes a worker this thread's, and calls what is given with it.
pub(crate) type Enter = fn(Worker, &mut dyn FnMut(&Worker));

pub(crate) struct Threads {
    settings: ThreadSettings,
    enter: Enter,
    /// Threads beyond the workers, at most.
    most_spare: usize,
    state: Mutex<State>,
    /// A worker is vacant, or the pool is closed.
    vacancy: Condvar,
    /// The last thread has ended.
    ended: Condvar,
}

struct State {
    /// Workers that no thread runs, the longest vacant first.
    vacant: Vec<usize>,
    /// Spare threads that wait for one, and were not notified.
    spare: usize,
    /// Threads that have not ended.
    alive: usize,
    handles: Vec<thread::JoinHandle<()>>,
    closed: bool,
    /// That a thread could not be started was said.
    told: bool,
}

impl Threads {
    pub(crate) fn new(settings: ThreadSettings, enter: Enter, most_spare: usize) -> Self {
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
            enter,
            most_spare,
            state: Mutex::new(state),
            vacancy: Condvar::new(),
            ended: Condvar::new(),
        }
    }

    /// Starts a thread that begins with this worker.
    pub(crate) fn start(
        pool: &StdArc<Pool>,
        index: usize,
        queue: Owner<super::Runnable>,
    ) -> io::Result<()> {
        Self::start_with(pool, Some((index, queue)))
    }

    fn start_with(
        pool: &StdArc<Pool>,
        first: Option<(usize, Owner<super::Runnable>)>,
    ) -> io::Result<()> {
        let ThreadSettings { name, stack_size, .. } = &pool.threads.settings;
        let number = first.as_ref().map(|(index, _)| *index);
        let name = number.map_or(format!("{name}-spare"), |number| format!("{name}-{number}"));
        let mut builder = thread::Builder::new().name(name);
        if let Some(bytes) = stack_size {
            builder = builder.stack_size(*bytes);
        }
        lock(&pool.threads.state).alive += 1;
        let theirs = pool.clone();
        let started = builder.spawn(move || Self::run(&theirs, first));
        let mut state = lock(&pool.threads.state);
        match started {
            Ok(handle) => state.handles.push(handle),
            Err(error) => {
                state.alive -= 1;
                return Err(error);
            }
        }
        Ok(())
    }

    /// A thread's life.
    fn run(pool: &StdArc<Pool>, mut next: Option<(usize, Owner<super::Runnable>)>) {
        let threads = &pool.threads;
        let mut first = None;
        while let Some((index, queue)) = next.take().or_else(|| threads.take(pool)) {
            let is_first = first.is_none();
            let number = *first.get_or_insert(index);
            (threads.enter)(Worker::new(pool.clone(), index, queue), &mut |worker| {
                if is_first {
                    call_hook("an `on_thread_start` hook", &threads.settings.on_start, number);
                }
                worker.run();
                if pool.is_closed() {
                    call_hook("an `on_thread_stop` hook", &threads.settings.on_stop, number);
                    first = None;
                }
            });
        }
        if let Some(number) = first {
            call_hook("an `on_thread_stop` hook", &threads.settings.on_stop, number);
        }
        threads.end(pool);
    }

    /// Declares a worker vacant, and sees to it that a thread comes for it.
    pub(crate) fn hand_off(pool: &StdArc<Pool>, index: usize) {
        let threads = &pool.threads;
        let mut state = lock(&threads.state);
        state.vacant.push(index);
        if state.spare > 0 {
            state.spare -= 1;
            threads.vacancy.notify_one();
            return;
        }
        let may_start = state.alive < pool.workers.len() + threads.most_spare && !state.closed;
        drop(state);
        if may_start && let Err(error) = Self::start_with(pool, None) {
            let told = std::mem::replace(&mut lock(&threads.state).told, true);
            if !told {
                eprintln!(
                    "whirligig: no thread could be started for a worker whose own blocks, so its \
                     tasks are left to the others: {error}"
                );
            }
        }
    }

    /// Takes a worker back that was declared vacant. `false`: another thread runs it.
    pub(crate) fn take_back(&self, index: usize) -> bool {
        let mut state = lock(&self.state);
        let at = state.vacant.iter().position(|&vacant| vacant == index);
        if let Some(at) = at
            && !seeded("threads_take_back_leaves_it_vacant")
        {
            state.vacant.remove(at);
        }
        at.is_some()
    }

    /// A vacant worker to run, with a new queue. `None`: the thread is to end.
    fn take(&self, pool: &Pool) -> Option<(usize, Owner<super::Runnable>)> {
        let mut state = lock(&self.state);
        loop {
            if state.closed {
                return None;
            }
            if !state.vacant.is_empty() {
                let index = state.vacant.remove(0);
                drop(state);
                let queue = Owner::new();
                *lock(&pool.workers[index].thief) = queue.thief();
                return Some((index, queue));
            }
            state.spare += 1;
            let timed_out;
            (state, timed_out) = wait_timeout(&self.vacancy, state, KEEP_ALIVE);
            if timed_out && state.vacant.is_empty() {
                state.spare = state.spare.saturating_sub(1);
                return None;
            }
        }
    }

    /// The pool is closed: spare threads end.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.vacant.clear();
        drop(state);
        self.vacancy.notify_all();
    }

    /// A thread ends. The last one of a closed pool closes what all of them had of the kernel.
    fn end(&self, pool: &Pool) {
        {
            let mut state = lock(&self.state);
            if state.alive > 1 || !state.closed {
                state.alive -= 1;
                return;
            }
        }
        // It counts until that is done: whoever waits for the end may rely on it.
        pool.close_reactor();
        lock(&self.state).alive = 0;
        self.ended.notify_all();
    }

    /// Waits until all threads have ended, but for no longer than is `left`.
    pub(crate) fn wait_ended(&self, left: impl Fn() -> Duration) {
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

/// Hooks are user code: one that panics is reported, and the thread goes on.
fn call_hook(what: &str, hook: &Option<Hook>, worker: usize) {
    if let Some(hook) = hook {
        foreign::call(what, || hook(worker));
    }
}
