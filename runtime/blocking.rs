//! The blocking pool: threads for calls that would stop a loop.
//!
//! Name resolution, files, a library without async: such calls run here, and their outcome travels
//! through a join cell like that of any task. Each loop and each runtime has a pool of its own, made when
//! first used.
//!
//! The pool is bounded twice. Threads are added while jobs wait and none is idle, up to a number, and
//! retire after [`KEEP_ALIVE`] without work. Jobs queue up to a number; then whoever asks has to
//! wait for room, first come, first served. An endless queue, tokio's way, only moves the problem to
//! where nobody sees it: memory.
//!
//! The pool knows neither loop nor task. It is plain locks and threads, with foreign code (jobs and
//! wakers) run and dropped outside them.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::Location,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    task::Waker,
    thread,
    time::Duration,
};

use slab::Slab;

use crate::foreign;

/// Work for the pool. It tells its own outcome; run or dropped, it is told once.
pub(crate) struct Job {
    pub(crate) run: Box<dyn FnOnce() + Send>,
    /// The line that made the call, to name it if it does not end.
    pub(crate) place: &'static Location<'static>,
}

/// After how long without work a thread ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How a blocking pool stands, from `EventLoop::blocking_stats` or `Runtime::blocking_stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockingStats {
    /// Threads there are.
    pub threads: usize,
    /// Threads without work.
    pub idle: usize,
    /// Jobs in the queue.
    pub queued: usize,
    /// Callers that wait for room in the queue.
    pub waiting: usize,
    /// Jobs that ended since the pool was made.
    pub ended: u64,
}

#[derive(Debug)]
pub(crate) struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    most_threads: usize,
    most_queued: usize,
    state: Mutex<State>,
    work: Condvar,
    /// A call has ended in a closed pool.
    all_ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    /// The calls that have begun and not ended.
    running: Slab<&'static Location<'static>>,
    /// Those who wait for room, in order. The first as many as there is room for may come.
    waiting: VecDeque<(Ticket, Option<Waker>)>,
    last_ticket: Ticket,
    threads: usize,
    idle: usize,
    ended: u64,
    closed: bool,
}

/// A place in the line for room. 0 is none.
pub(crate) type Ticket = u64;

/// Why a job was not taken.
pub(crate) enum Refused {
    /// The queue is full.
    Full(Job),
    /// No thread could be started, and there is none.
    NoThread(Job, io::Error),
    /// The pool is closed.
    Closed(Job),
}

impl Pool {
    pub(crate) fn new(most_threads: usize, most_queued: usize) -> Self {
        let shared = Shared {
            most_threads,
            most_queued,
            state: Mutex::default(),
            work: Condvar::new(),
            all_ended: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes a job, if there is room for one without a place in the line, or for this place. Once
    /// that is certain, `admit` may put something around it.
    pub(crate) fn submit(
        &self,
        job: Job,
        ticket: Ticket,
        admit: impl FnOnce(Job) -> Job,
    ) -> Result<(), Refused> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(Refused::Closed(job));
        }
        let before_us = match ticket {
            0 => state.waiting.len(),
            ticket => state.position(ticket).unwrap_or(0),
        };
        if before_us >= self.shared.room(&state) {
            return Err(Refused::Full(job));
        }
        if let Some(at) = (ticket != 0).then(|| state.position(ticket)).flatten() {
            state.waiting.remove(at);
        }
        if state.idle <= state.queue.len() && state.threads < self.shared.most_threads {
            match self.shared.clone().start_thread() {
                Ok(()) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(Refused::NoThread(job, error)),
                // The threads there are will get to it.
                Err(_) => {}
            }
        }
        state.queue.push_back(admit(job));
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// Waits in the line for room. `false`: there is room for this place now. The waker that is not
    /// kept comes back, to be dropped in the open.
    pub(crate) fn wait(&self, ticket: &mut Ticket, waker: Waker) -> (bool, Option<Waker>) {
        let mut state = self.shared.lock();
        let at = match state.position(*ticket) {
            Some(at) => at,
            None => {
                state.last_ticket += 1;
                *ticket = state.last_ticket;
                let entry = (*ticket, None);
                state.waiting.push_back(entry);
                state.waiting.len() - 1
            }
        };
        if state.closed || at < self.shared.room(&state) {
            return (false, Some(waker));
        }
        (true, state.waiting[at].1.replace(waker))
    }

    /// Gives up a place in the line; whoever moves up into the room there is, is woken.
    pub(crate) fn leave(&self, ticket: Ticket) {
        let mut state = self.shared.lock();
        let Some(at) = state.position(ticket) else { return };
        let left = state.waiting.remove(at);
        let woken = self.shared.next_to_come(&mut state);
        drop(state);
        drop(left);
        foreign::wake_all(woken.into_iter());
    }

    pub(crate) fn stats(&self) -> BlockingStats {
        let state = self.shared.lock();
        BlockingStats {
            threads: state.threads,
            idle: state.idle,
            queued: state.queue.len(),
            waiting: state.waiting.len(),
            ended: state.ended,
        }
    }

    /// The lines of the calls that have begun and not ended.
    pub(crate) fn running(&self) -> Vec<&'static Location<'static>> {
        self.shared.lock().running.iter().map(|(_, place)| *place).collect()
    }

    /// Waits until all calls have ended, or nothing is `left` of the time for it. Once closed.
    pub(crate) fn wait_ended(&self, left: impl Fn() -> Duration) {
        let mut state = self.shared.lock();
        while !state.running.is_empty() && !left().is_zero() {
            let waited = self.shared.all_ended.wait_timeout(state, left());
            state = waited.unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    /// Takes no more jobs, drops those that have not begun, and has idle threads end. Does not wait
    /// for those that have.
    pub(crate) fn close(&self) {
        let (queue, waiting) = {
            let mut state = self.shared.lock();
            state.closed = true;
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.waiting))
        };
        self.shared.work.notify_all();
        foreign::call("a blocking job that was dropped", || drop(queue));
        foreign::wake_all(waiting.into_iter().filter_map(|(_, waker)| waker));
    }
}

impl State {
    fn position(&self, ticket: Ticket) -> Option<usize> {
        // Tickets rise along the line.
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Places free in the queue. An idle thread is one too.
    fn room(&self, state: &State) -> usize {
        self.most_queued.saturating_add(state.idle).saturating_sub(state.queue.len())
    }

    /// The waker of the last of those in line that there is room for: the one a new place is for.
    fn next_to_come(&self, state: &mut State) -> Option<Waker> {
        let room = self.room(state);
        state.waiting.iter_mut().take(room).find_map(|(_, waker)| waker.take())
    }

    fn start_thread(self: Arc<Self>) -> io::Result<()> {
        let name = "whirligig-blocking".to_owned();
        thread::Builder::new().name(name).spawn(move || self.work()).map(drop)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            while let Some(Job { run, place }) = state.queue.pop_front() {
                let woken = self.next_to_come(&mut state);
                let running = state.running.insert(place);
                drop(state);
                foreign::wake_all(woken.into_iter());
                foreign::call("a blocking job's outcome", run);
                state = self.lock();
                state.running.remove(running);
                state.ended += 1;
                if state.closed {
                    self.all_ended.notify_all();
                }
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let woken = self.next_to_come(&mut state);
            if woken.is_some() {
                drop(state);
                foreign::wake_all(woken.into_iter());
                state = self.lock();
            }
            let mut timed_out = false;
            while state.queue.is_empty() && !state.closed && !timed_out {
                let waited = self.work.wait_timeout(state, KEEP_ALIVE);
                let (guard, timeout) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
                state = guard;
                timed_out = timeout.timed_out();
            }
            state.idle -= 1;
            if state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("most_threads", &self.most_threads)
            .field("most_queued", &self.most_queued)
            .finish_non_exhaustive()
    }
}
