//! The blocking pool: threads for calls that would stop a loop.
//!
//! Name resolution, files, a library without async: such calls run here, and their outcome travels
//! through a join cell like that of any task. Each loop and each runtime has a pool of its own, made
//! when first used.
//!
//! The pool is bounded twice. Threads are added while jobs wait for one, up to a number, and retire
//! when they had no work for long (`crew.rs` decides both). Jobs queue up to a number; then whoever
//! asks has to wait for room, first come, first served. An endless queue, tokio's way, only moves the
//! problem to where nobody sees it: memory.
//!
//! The pool knows no loop. It is plain locks and threads, with foreign code (jobs and wakers) run and
//! dropped outside them.
//!
//! The rival is a queue without a lock. Both sides of this one hold it for some tens of nanoseconds,
//! and what a call costs is the unparking of threads.

use std::{
    collections::VecDeque,
    fmt, io,
    panic::Location,
    task::{Context, Waker},
    time::Duration,
};

use self::crew::{Call, Crew, Door, Post, TimeUp};
use crate::engine::{
    base::{
        clock::{self, Hold},
        foreign,
        place::Origin,
        primitives::{Arc, Condvar, Mutex, MutexGuard, lock, seeded, thread, wait_timeout},
    },
    task::{
        poll::{OriginFn, PollArgs},
        spawned::SpawnedSend,
    },
};

mod crew;

/// Work for the pool: a task that ends with its first poll. Dropped before that, it tells its handle
/// that it was cancelled.
pub(crate) struct Job {
    task: Option<SpawnedSend>,
    origin: Origin,
    /// Under a test clock a queued job counts as busy: time may jump only when it has told its loop.
    pub(crate) hold: Option<Hold>,
}

impl Job {
    pub(crate) fn new(task: SpawnedSend, origin: Origin) -> Self {
        Self { task: Some(task), origin, hold: None }
    }

    fn run(mut self) {
        if let Some(task) = self.task.take() {
            let origin: OriginFn<'_> = &|| self.origin.clone();
            let polled = task
                .poll(&mut PollArgs { cx: Context::from_waker(Waker::noop()), origin: &origin });
            debug_assert!(polled.is_err(), "a job ends with its first poll");
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            let origin: OriginFn<'_> = &|| self.origin.clone();
            task.cancel(&origin);
        }
    }
}

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
    most_queued: usize,
    state: Mutex<State>,
    now: fn() -> u64,
    /// A call has ended in a closed pool.
    all_ended: Condvar,
}

struct State {
    crew: Crew,
    queue: VecDeque<Job>,
    /// Those who wait for room, in order. The first as many as there is room for may come.
    waiting: VecDeque<(Ticket, Option<Waker>)>,
    last_ticket: Ticket,
    ended: u64,
    closed: bool,
}

/// A place in the line for room. 0 is none.
pub(crate) type Ticket = u64;

/// Why a job was not taken.
pub(crate) enum Refused {
    /// The queue is full.
    Full(Job),
    /// The pool is closed.
    Closed(Job),
}

impl Pool {
    pub(crate) fn new(most_threads: usize, most_queued: usize) -> Self {
        Self::with(most_threads, most_queued, crew::LONG, clock::real_now)
    }

    /// A pool that takes jobs to cost so much until it knows, by this clock.
    pub(crate) fn with(
        most_threads: usize,
        most_queued: usize,
        job_cost: u64,
        now: fn() -> u64,
    ) -> Self {
        let state = State {
            crew: Crew::new(most_threads, job_cost),
            queue: VecDeque::new(),
            waiting: VecDeque::new(),
            last_ticket: 0,
            ended: 0,
            closed: false,
        };
        let shared =
            Shared { most_queued, state: Mutex::new(state), now, all_ended: Condvar::new() };
        Self { shared: Arc::new(shared) }
    }

    /// Takes a job, if there is room for one without a place in the line, or for this place. `hold` is
    /// asked once that is certain.
    pub(crate) fn submit(
        &self,
        mut job: Job,
        ticket: Ticket,
        hold: impl FnOnce() -> Option<Hold>,
    ) -> Result<(), Refused> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err(Refused::Closed(job));
        }
        let at = if ticket == 0 { None } else { state.position(ticket) };
        let before_us = match ticket {
            0 => state.waiting.len(),
            _ => at.unwrap_or(0),
        };
        if before_us >= self.shared.room(&state) {
            return Err(Refused::Full(job));
        }
        if let Some(at) = at {
            state.waiting.remove(at);
        }
        job.hold = hold();
        state.queue.push_back(job);
        let call = state.call();
        drop(state);
        Shared::carry_out(&self.shared, call);
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
            threads: state.crew.threads(),
            idle: state.crew.idle(),
            queued: state.queue.len(),
            waiting: state.waiting.len(),
            ended: state.ended,
        }
    }

    /// The lines of the calls that have begun and not ended.
    pub(crate) fn running(&self) -> Vec<&'static Location<'static>> {
        self.shared.lock().crew.running().collect()
    }

    /// Waits until all calls have ended, or nothing is `left` of the time for it. Once closed.
    pub(crate) fn wait_ended(&self, left: impl Fn() -> Duration) {
        let mut state = self.shared.lock();
        while state.crew.running().len() > 0 && !left().is_zero() {
            state = wait_timeout(&self.shared.all_ended, state, left()).0;
        }
    }

    /// Takes no more jobs, drops those that have not begun, and has idle threads end. Does not wait
    /// for those that have.
    pub(crate) fn close(&self) {
        let (queue, waiting, parked) = {
            let mut state = self.shared.lock();
            state.closed = true;
            let parked = state.crew.dismiss();
            (std::mem::take(&mut state.queue), std::mem::take(&mut state.waiting), parked)
        };
        parked.for_each(|door| door.notify_one());
        foreign::call("a blocking job that was dropped", || drop(queue));
        foreign::wake_all(waiting.into_iter().filter_map(|(_, waker)| waker));
    }
}

impl State {
    /// Whom the jobs that wait call.
    fn call(&mut self) -> Call {
        self.crew.call(self.queue.len())
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        // Tickets rise along the line.
        self.waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Places free in the queue. An idle thread is one too.
    fn room(&self, state: &State) -> usize {
        self.most_queued.saturating_add(state.crew.idle()).saturating_sub(state.queue.len())
    }

    /// The waker of the last of those in line that there is room for: the one a new place is for.
    fn next_to_come(&self, state: &mut State) -> Option<Waker> {
        let room = self.room(state);
        state.waiting.iter_mut().take(room).find_map(|(_, waker)| waker.take())
    }

    /// Has the thread come that was called.
    fn carry_out(shared: &Arc<Self>, call: Call) {
        match call {
            Call::Nobody => {}
            Call::Unpark(door) => door.notify_one(),
            Call::Start => Self::start_thread(shared),
        }
    }

    #[cold]
    fn start_thread(shared: &Arc<Self>) {
        let thread = shared.clone();
        let name = "whirligig-blocking".to_owned();
        if let Err(error) = thread::Builder::new().name(name).spawn(move || Self::work(&thread)) {
            shared.not_started(&error);
        }
    }

    /// A thread could not be started. Those there are will get to the jobs. Without any, nobody will: the
    /// jobs are dropped, and that is room for those in line, whom no thread will ever tell.
    fn not_started(&self, error: &io::Error) {
        let mut state = self.lock();
        if !state.crew.not_started() {
            return;
        }
        let dropped = std::mem::take(&mut state.queue);
        let room = self.room(&state);
        let in_line = state.waiting.iter_mut().take(room);
        let woken: Vec<_> = in_line.filter_map(|(_, waker)| waker.take()).collect();
        drop(state);
        eprintln!("whirligig: no thread could be started for a blocking job: {error}");
        foreign::call("a blocking job that was dropped", || drop(dropped));
        foreign::wake_all(woken.into_iter());
    }

    /// A thread's life.
    fn work(shared: &Arc<Self>) {
        let door = Door::new(Condvar::new());
        let mut state = shared.lock();
        state.crew.arrive();
        loop {
            if !state.crew.lacks_sentry() {
                while let Some(job) = state.queue.pop_front() {
                    state = Self::run(shared, state, job);
                }
            }
            let stays;
            (state, stays) = shared.rest(state, &door);
            if !stays {
                break;
            }
        }
        state.crew.leave();
    }

    /// Runs a job, with the lock let go.
    fn run<'a>(
        shared: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        job: Job,
    ) -> MutexGuard<'a, State> {
        let running = state.crew.begin_job(job.origin.location);
        let call = state.call();
        let woken = shared.next_to_come(&mut state);
        drop(state);
        if !seeded("blocking_leaves_jobs_uncalled") {
            Self::carry_out(shared, call);
        }
        foreign::wake_all(woken.into_iter());
        let began = (shared.now)();
        foreign::call("a blocking job's outcome", || job.run());
        let took = (shared.now)().saturating_sub(began);
        let mut state = shared.lock();
        state.crew.end_job(running, took);
        state.ended += 1;
        if state.closed {
            shared.all_ended.notify_all();
        }
        state
    }

    /// Without a job: sleeps until there may be one. `false`: the thread is to end.
    fn rest<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        door: &Door,
    ) -> (MutexGuard<'a, State>, bool) {
        if state.closed {
            return (state, false);
        }
        let queued = state.queue.len();
        state.crew.park(door, queued);
        // It is a place more for those who wait for one.
        if let Some(woken) = self.next_to_come(&mut state) {
            drop(state);
            foreign::wake(woken);
            state = self.lock();
        }
        let stays = loop {
            let post = state.crew.post(door);
            if post == Post::Called || state.closed {
                break !state.closed;
            }
            let timed_out;
            (state, timed_out) = wait_timeout(door, state, post.patience());
            if timed_out {
                let queued = state.queue.len();
                match state.crew.time_is_up(door, queued) {
                    TimeUp::Stay => {}
                    TimeUp::GetUp => break true,
                    TimeUp::End => break false,
                }
            }
        };
        state.crew.rise(door);
        (state, stays)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("most_queued", &self.most_queued).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::task::Wake;

    use super::*;
    use crate::engine::{
        base::{id::TaskId, primitives::counter},
        task::spawned::NewTask,
    };

    /// Counts how often it is called.
    struct Count(counter::AtomicU64);

    impl Wake for Count {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.fetch_add(1, counter::Relaxed);
        }
    }

    #[test]
    fn who_waits_in_line_hears_that_no_thread_could_be_started() {
        let pool = Pool::new(1, 1);
        let new = NewTask::new(async {}, None, Location::caller());
        let (task, origin, handle) = new.identify(TaskId::draw(), |_| {});
        let job = Job::new(task, origin);
        // As `submit` does, up to the start of a thread, which takes its time.
        let mut state = pool.shared.lock();
        state.queue.push_back(job);
        assert!(matches!(state.call(), Call::Start));
        drop(state);
        let count = std::sync::Arc::new(Count(counter::AtomicU64::new(0)));
        let mut tickets = [0; 2];
        for ticket in &mut tickets {
            assert!(pool.wait(ticket, Waker::from(count.clone())).0, "the queue is full");
        }
        pool.shared.not_started(&io::ErrorKind::WouldBlock.into());
        assert!(handle.is_finished(), "its job was dropped");
        assert_eq!(count.0.load(counter::Relaxed), 1, "there is room for one, who must know");
        tickets.into_iter().for_each(|ticket| pool.leave(ticket));
    }
}
