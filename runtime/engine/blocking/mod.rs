//! The blocking pool: threads for calls that would stop a loop.
//!
//! Files, names, a library without async: such a call is a *job* here, run by a thread of the pool. Its
//! outcome travels through a join cell like that of any task. `task::spawn_blocking` makes the jobs. Each
//! event loop and each runtime has a pool of its own, without a thread until the first job. An
//! `executor::ThreadPool` is one as well, that users make.
//!
//! One lock guards everything: the jobs that have not begun, in the order in which they came, and the
//! threads without a job. A thread runs jobs until there is none, then parks, and ends when it was not
//! needed for [`KEEP_ALIVE`]. The last to park is the first to be unparked: its caches are warm, and those
//! that a burst left behind get to end.
//!
//! **Who unparks.** A job that comes unparks an idle thread, or, without one, starts a thread while there
//! are fewer than allowed. Until that thread has come, further jobs unpark and start none. The thread that
//! comes takes a job and, if it leaves others behind, unparks or starts the next before it begins. So of
//! many jobs that come at once the caller pays for one unpark and the pool's threads for the rest, and no
//! job waits behind a running one while a thread can be had.
//!
//! **Bounds.** There is one on threads. The line of jobs has none: `spawn_blocking` gets in line whether or
//! not its outcome is awaited. `try_spawn_blocking` goes by `blocking_queue`, and refuses. Name look-ups may have half of the threads: a name server that does not answer holds
//! each for seconds, and files must not wait for it.
//!
//! **Leaving the line.** Jobs are kept by number in a map. A cancelled one is taken out at once: its
//! closure is dropped, its handle resolves, its room is free. Once begun, nothing ends a call from outside.
//!
//! **The end.** A pool that is finished takes no more jobs, and runs those it has. A closed one drops those that have
//! not begun. What has begun goes on, and [`wait_ended`](BlockingPool::wait_ended) waits for it: a file is not left
//! half written.
//!
//! **No thread to be had.** The system may refuse one (`EAGAIN`). That is said once on standard error.
//! The job stays in line; each job that ends asks again, and so does each handle that is awaited, every
//! [`ASK_AGAIN`].
//!
//! What must hold: while a job may begin, either a thread is on its way, or all threads that can be had
//! run jobs. User code (jobs, wakers) runs and is dropped with the lock released.
//!
//! **Alternative:** a queue without a lock. Both sides hold this lock for some hundred nanoseconds; what a
//! call costs is the unparking of threads. Another alternative: let a running thread that has been quick
//! so far take the next job too, and unpark none. That makes calls that do nothing cheaper, until one is
//! slow: then a further thread has to watch for that, and jobs wait until it looks.

use std::{
    cell::Cell,
    collections::BTreeMap,
    fmt, io, mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    task::{Context, Waker},
    time::Duration,
};

use slab::Slab;

use crate::engine::{
    base::{
        clock::Hold,
        id,
        location::Origin,
        primitives::{
            Arc, AtomicBool, Condvar, Mutex, MutexGuard, Ordering, lock, seeded, thread,
            wait_timeout,
        },
        user_code,
    },
    task::{
        poll::{AfterPoll, OriginFn, PollArgs},
        spawned::SpawnedSend,
    },
};

/// A thread that was not needed for so long ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// When the system had no thread to give: how long until it is asked again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_millis(5);

/// Work for the pool: a task that ends with its first poll. Dropped before that, it tells its handle
/// that it was cancelled.
pub(crate) struct Job {
    task: Option<SpawnedSend>,
    origin: Origin,
    kind: Kind,
    /// Under a test clock a job counts as busy: time may jump only when it has told its loop.
    _hold: Option<Hold>,
}

/// Which line a job stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Call,
    /// A name look-up: these may have half of the threads.
    LookUp,
}

/// A job's place in its line. Never that of another job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct JobNumber(u64);

impl JobNumber {
    /// The number, for a handle that knows numbers only. Never 0.
    pub(crate) fn get(self) -> u64 {
        self.0
    }

    pub(crate) fn from_number(number: u64) -> Self {
        Self(number)
    }
}

impl Job {
    pub(crate) fn new(task: SpawnedSend, origin: Origin, kind: Kind, hold: Option<Hold>) -> Self {
        Self { task: Some(task), origin, kind, _hold: hold }
    }

    fn run(mut self) {
        if let Some(task) = self.task.take() {
            let origin: OriginFn<'_> = &|| self.origin.clone();
            let polled = task
                .poll(&mut PollArgs { cx: Context::from_waker(Waker::noop()), origin: &origin });
            debug_assert!(matches!(polled, AfterPoll::Ended(_)), "a job ends with its first poll");
        }
    }

    /// Drops a job that has not begun. Its closure is user code.
    pub(crate) fn discard(self) {
        user_code::call("a blocking call that was dropped", || drop(self));
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
    /// Jobs that have not begun, up to `blocking_queue` of them.
    pub queued: usize,
    /// Jobs that have not begun beyond that.
    pub waiting: usize,
    /// Jobs that ended since the pool was made.
    pub ended: u64,
}

#[derive(Debug)]
pub(crate) struct BlockingPool {
    shared: Arc<BlockingShared>,
}

// A user's function names its threads. It is called with nothing held, and returns a name.
impl UnwindSafe for BlockingPool {}
impl RefUnwindSafe for BlockingPool {}

struct BlockingShared {
    id: u64,
    most_threads: usize,
    most_queued: usize,
    thread_name: ThreadName,
    state: Mutex<State>,
    /// The system would not give a thread when it was last asked for one.
    lacks_thread: AtomicBool,
    /// A call has ended in a closed pool.
    call_ended: Condvar,
}

/// The name of a pool's thread, by its number among those it has started, from 0 on.
pub(crate) type ThreadName = Box<dyn Fn(u64) -> String + Send + Sync + UnwindSafe + RefUnwindSafe>;

struct State {
    /// The jobs that have not begun, by number: in the order in which they came.
    calls: BTreeMap<JobNumber, Job>,
    look_ups: BTreeMap<JobNumber, Job>,
    last_job: u64,
    /// The calls that have begun and not ended.
    running: Slab<&'static Location<'static>>,
    look_ups_running: usize,
    /// Threads there are, or are being started.
    threads: usize,
    next_thread: u64,
    /// Parked threads, by number; the last to park is last.
    idle: Vec<(u64, Arc<Condvar>)>,
    /// The thread that was unparked for a job and has not looked for it yet. One at a time.
    unparked: Option<u64>,
    /// A thread is being started, and has not looked for a job yet. One at a time.
    starting: bool,
    ended: u64,
    closed: bool,
    /// That there was no thread to be had was said.
    has_complained: bool,
}

/// What a job needs done, with the lock released.
#[must_use]
enum Call {
    Nothing,
    Unpark(Arc<Condvar>),
    /// The thread of this number.
    Start(u64),
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

thread_local! {
    /// The identity of the pool whose thread this is; 0 if it is none's.
    static POOL_OF_THREAD: Cell<u64> = const { Cell::new(0) };
}

impl BlockingPool {
    /// The pool of a loop or a runtime.
    pub(crate) fn new(most_threads: usize, most_queued: usize) -> Self {
        Self::named(most_threads, most_queued, Box::new(|_| "whirligig-blocking".to_owned()))
    }

    /// A pool whose threads have names of their own.
    pub(crate) fn named(most_threads: usize, most_queued: usize, thread_name: ThreadName) -> Self {
        let state = State {
            calls: BTreeMap::new(),
            look_ups: BTreeMap::new(),
            last_job: 0,
            running: Slab::new(),
            look_ups_running: 0,
            threads: 0,
            next_thread: 0,
            idle: Vec::new(),
            unparked: None,
            starting: false,
            ended: 0,
            closed: false,
            has_complained: false,
        };
        let shared = BlockingShared {
            id: id::draw_loop_id(),
            most_threads,
            most_queued,
            thread_name,
            state: Mutex::new(state),
            lacks_thread: AtomicBool::new(false),
            call_ended: Condvar::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Takes a job in, at the end of the line.
    ///
    /// # Errors
    /// If the pool is closed; then the job is handed back.
    pub(crate) fn submit(&self, job: Job) -> Result<JobNumber, (Job, Refused)> {
        self.submit_if(job, |_| true)
    }

    /// Takes a job in if, with it, no more than `blocking_queue` wait for those that run to end.
    ///
    /// # Errors
    /// The job, if there is no room, or the pool is closed.
    pub(crate) fn try_submit(&self, job: Job) -> Result<JobNumber, (Job, Refused)> {
        let shared = &self.shared;
        let most = shared.most_threads.saturating_add(shared.most_queued);
        self.submit_if(job, |state| state.running.len() + state.queued() < most)
    }

    fn submit_if(
        &self,
        job: Job,
        has_room: impl FnOnce(&State) -> bool,
    ) -> Result<JobNumber, (Job, Refused)> {
        let mut state = self.shared.lock();
        if state.closed {
            return Err((job, Refused::Closed));
        }
        if !has_room(&state) {
            return Err((job, Refused::Full));
        }
        state.last_job += 1;
        let number = JobNumber(state.last_job);
        state.line(job.kind).insert(number, job);
        let call = self.shared.call(&mut state);
        drop(state);
        BlockingShared::carry_out(&self.shared, call);
        Ok(number)
    }

    /// Takes a job out of its line and drops it, here. `false`: it has begun.
    pub(crate) fn cancel(&self, number: JobNumber) -> bool {
        let mut state = self.shared.lock();
        let State { calls, look_ups, .. } = &mut *state;
        let job = calls.remove(&number).or_else(|| look_ups.remove(&number));
        let closed = state.closed;
        drop(state);
        let was_queued = job.is_some();
        job.into_iter().for_each(Job::discard);
        // No thread will end it, so none says so to those who wait for the pool's end.
        if was_queued && closed {
            self.shared.call_ended.notify_all();
        }
        was_queued
    }

    /// Whether this job has not begun.
    pub(crate) fn is_queued(&self, number: JobNumber) -> bool {
        let state = self.shared.lock();
        state.calls.contains_key(&number) || state.look_ups.contains_key(&number)
    }

    /// Whether the system would not give a thread when it was last asked for one.
    pub(crate) fn lacks_thread(&self) -> bool {
        self.shared.lacks_thread.load(Ordering::Relaxed)
    }

    /// Asks for a thread again.
    #[cold]
    pub(crate) fn ask_again(&self) {
        let call = self.shared.call(&mut self.shared.lock());
        BlockingShared::carry_out(&self.shared, call);
    }

    pub(crate) fn stats(&self) -> BlockingStats {
        let state = self.shared.lock();
        let all = state.queued();
        let queued = all.min(self.shared.most_queued);
        BlockingStats {
            threads: state.threads,
            idle: state.idle.len(),
            queued,
            waiting: all - queued,
            ended: state.ended,
        }
    }

    /// The lines of the calls that have begun and not ended.
    pub(crate) fn running(&self) -> Vec<&'static Location<'static>> {
        self.shared.lock().running.iter().map(|(_, location)| *location).collect()
    }

    /// Waits until all jobs have ended, or nothing is `left` of the time for it. Once finished or closed.
    pub(crate) fn wait_ended(&self, left: impl Fn() -> Duration) {
        let mut state = self.shared.lock();
        while (!state.running.is_empty() || state.queued() != 0) && !left().is_zero() {
            let lacks_thread = self.lacks_thread();
            let most = if lacks_thread { ASK_AGAIN } else { Duration::MAX };
            state = wait_timeout(&self.shared.call_ended, state, left().min(most)).0;
            if lacks_thread {
                drop(state);
                self.ask_again();
                state = self.shared.lock();
            }
        }
    }

    /// Whether this thread is one of the pool's: a call that it runs would wait for itself.
    pub(crate) fn owns_this_thread(&self) -> bool {
        POOL_OF_THREAD.get() == self.shared.id
    }

    /// Takes no more jobs, and has each thread end once there is none for it. Waits for nothing.
    pub(crate) fn finish(&self) {
        Self::end_idle(self.shared.lock());
    }

    /// The same, and drops the jobs that have not begun.
    pub(crate) fn close(&self) {
        let mut state = self.shared.lock();
        let calls = mem::take(&mut state.calls);
        let look_ups = mem::take(&mut state.look_ups);
        Self::end_idle(state);
        let dropped = calls.into_values().chain(look_ups.into_values());
        dropped.for_each(Job::discard);
        // Jobs that were waited for are gone.
        self.shared.call_ended.notify_all();
    }

    fn end_idle(mut state: MutexGuard<'_, State>) {
        state.closed = true;
        let idle = mem::take(&mut state.idle);
        drop(state);
        if !seeded("blocking_closes_past_the_idle") {
            idle.iter().for_each(|(_, condvar)| condvar.notify_one());
        }
    }
}

impl State {
    fn line(&mut self, kind: Kind) -> &mut BTreeMap<JobNumber, Job> {
        match kind {
            Kind::Call => &mut self.calls,
            Kind::LookUp => &mut self.look_ups,
        }
    }

    fn queued(&self) -> usize {
        self.calls.len() + self.look_ups.len()
    }

    /// The line whose first job is next: of the two, the one that has waited longer.
    fn next_line(&self, most_look_ups: usize) -> Option<Kind> {
        let call = self.calls.keys().next();
        let look_up = self.look_ups.keys().next().filter(|_| self.look_ups_running < most_look_ups);
        match (call, look_up) {
            (None, None) => None,
            (Some(call), Some(look_up)) if look_up < call => Some(Kind::LookUp),
            (Some(_), _) => Some(Kind::Call),
            (None, Some(_)) => Some(Kind::LookUp),
        }
    }
}

impl BlockingShared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// So many threads may look names up at once.
    fn most_look_ups(&self) -> usize {
        (self.most_threads / 2).max(1)
    }

    /// Which thread is to come, now that there may be a job for one more.
    fn call(&self, state: &mut State) -> Call {
        // ANCHOR: who_comes
        let has_job = state.next_line(self.most_look_ups()).is_some()
            && !(state.closed && seeded("blocking_finishes_without_a_thread"));
        if !has_job || state.unparked.is_some() {
            return Call::Nothing;
        }
        if let Some((number, condvar)) = state.idle.pop() {
            state.unparked = Some(number);
            return Call::Unpark(condvar);
        }
        if state.threads == self.most_threads || state.starting {
            return Call::Nothing;
        }
        state.threads += 1;
        state.starting = true;
        state.next_thread += 1;
        Call::Start(state.next_thread - 1)
        // END: who_comes
    }

    fn carry_out(shared: &Arc<Self>, call: Call) {
        match call {
            Call::Nothing => {}
            Call::Unpark(condvar) => condvar.notify_one(),
            Call::Start(number) => Self::start_thread(shared, number),
        }
    }

    #[cold]
    fn start_thread(shared: &Arc<Self>, number: u64) {
        let thread = shared.clone();
        let builder = thread::Builder::new().name((shared.thread_name)(number));
        if let Err(error) = builder.spawn(move || Self::work(&thread, number)) {
            shared.not_started(&error);
        }
    }

    /// The system would not give a thread. The jobs stay in line.
    fn not_started(&self, error: &io::Error) {
        let mut state = self.lock();
        state.threads -= 1;
        state.starting = false;
        self.lacks_thread.store(true, Ordering::Relaxed);
        let complain = !mem::replace(&mut state.has_complained, true);
        drop(state);
        if complain {
            user_code::say(format_args!(
                "the system gives no thread for a blocking call now, and is asked again: {error}"
            ));
        }
    }

    /// A thread's life.
    fn work(shared: &Arc<Self>, number: u64) {
        POOL_OF_THREAD.set(shared.id);
        shared.lacks_thread.store(false, Ordering::Relaxed);
        let condvar = Arc::new(Condvar::new());
        let mut state = shared.lock();
        if !seeded("blocking_starts_for_ever") {
            state.starting = false;
        }
        let mut comes = true;
        while comes {
            while let Some(kind) = state.next_line(shared.most_look_ups()) {
                let (_, job) = state.line(kind).pop_first().expect("a job is next in this line");
                state = Self::run(shared, state, job);
            }
            (state, comes) = shared.park(state, number, &condvar);
        }
        state.threads -= 1;
    }

    /// Runs a job, with the lock released.
    fn run<'a>(
        shared: &'a Arc<Self>,
        mut state: MutexGuard<'a, State>,
        job: Job,
    ) -> MutexGuard<'a, State> {
        let is_look_up = usize::from(job.kind == Kind::LookUp);
        state.look_ups_running += is_look_up;
        let running = state.running.insert(job.origin.location);
        let call = shared.call(&mut state);
        drop(state);
        if !seeded("blocking_leaves_jobs_uncalled") {
            Self::carry_out(shared, call);
        }
        user_code::call("a blocking call's outcome", || job.run());
        let mut state = shared.lock();
        state.running.remove(running);
        state.look_ups_running -= is_look_up;
        state.ended += 1;
        if state.closed && !seeded("blocking_ends_without_a_word") {
            shared.call_ended.notify_all();
        }
        state
    }

    /// Parks a thread that found no job. `true`: it was unparked for one; else it is to end.
    fn park<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        number: u64,
        condvar: &Arc<Condvar>,
    ) -> (MutexGuard<'a, State>, bool) {
        if state.closed {
            return (state, false);
        }
        state.idle.push((number, condvar.clone()));
        loop {
            let timed_out;
            (state, timed_out) = wait_timeout(condvar, state, KEEP_ALIVE);
            if state.unparked == Some(number) {
                if !seeded("blocking_forgets_who_came") {
                    state.unparked = None;
                }
                return (state, true);
            }
            if state.closed {
                return (state, false);
            }
            if timed_out {
                // The longest idle stand first.
                let at = state.idle.iter().position(|(idle, _)| *idle == number);
                state.idle.remove(at.expect("a parked thread is among the idle"));
                return (state, false);
            }
        }
    }
}

impl fmt::Debug for BlockingShared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("most_threads", &self.most_threads)
            .field("most_queued", &self.most_queued)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;
    use crate::engine::{
        base::id::TaskId,
        task::{join::JoinHandle, reach::Reach, spawned::NewTask},
    };

    fn job<T: Send + 'static>(
        kind: Kind,
        f: impl FnOnce() -> T + Send + 'static,
    ) -> (Job, JoinHandle<T>) {
        let new = NewTask::new(async { f() }, None, Location::caller());
        let (task, origin, handle) = new.identify(TaskId::draw(), Reach::NONE);
        (Job::new(task, origin, kind, None), handle)
    }

    /// A job that says that it has begun, and ends when it is let go.
    fn gate(kind: Kind, say: &Sender<Kind>) -> (Job, Sender<()>) {
        let (go, gone): (Sender<()>, Receiver<()>) = channel();
        let say = say.clone();
        let (job, handle) = job(kind, move || {
            say.send(kind).unwrap();
            let _ = gone.recv();
        });
        drop(handle);
        (job, go)
    }

    #[test]
    fn look_ups_have_half_of_the_threads_and_calls_the_rest() {
        let pool = BlockingPool::new(4, 100);
        let (say, said) = channel();
        let mut gates = Vec::new();
        for kind in [Kind::LookUp; 5].into_iter().chain([Kind::Call; 2]) {
            let (job, go) = gate(kind, &say);
            assert!(pool.submit(job).is_ok());
            gates.push(go);
        }
        // Four begin: two of the look-ups, though five came first, and both calls.
        let begun: Vec<_> = (0..4).map(|_| said.recv().unwrap()).collect();
        assert_eq!(begun.iter().filter(|kind| **kind == Kind::LookUp).count(), 2, "{begun:?}");
        assert_eq!((pool.stats().queued, pool.running().len()), (3, 4));
        // Another call is ahead of them: there is no room for a third look-up, and there is a thread.
        let (last, go) = gate(Kind::Call, &say);
        assert!(pool.submit(last).is_ok());
        gates.push(go);
        drop(gates.remove(5));
        assert_eq!(said.recv().unwrap(), Kind::Call);
        // The rest have their turn.
        drop(gates);
        assert!((0..3).all(|_| said.recv().unwrap() == Kind::LookUp));
        pool.close();
        pool.wait_ended(|| Duration::MAX);
    }

    #[test]
    fn one_thread_serves_calls_and_look_ups_in_the_order_in_which_they_came() {
        let pool = BlockingPool::new(1, 100);
        let (say, said) = channel();
        let (first, go) = gate(Kind::Call, &say);
        assert!(pool.submit(first).is_ok());
        assert_eq!(said.recv().unwrap(), Kind::Call);
        let order = [Kind::Call, Kind::LookUp, Kind::LookUp, Kind::Call, Kind::LookUp];
        for kind in order {
            assert!(pool.submit(gate(kind, &say).0).is_ok());
        }
        drop(go);
        assert_eq!(order.map(|_| said.recv().unwrap()), order);
        pool.close();
    }

    /// A thread is being started, which takes its time: a job does not wait for it if another is idle.
    #[test]
    fn a_job_is_left_to_an_idle_thread_while_another_is_being_started() {
        let pool = BlockingPool::new(2, 100);
        let (first, handle) = job(Kind::Call, || ());
        assert!(pool.submit(first).is_ok());
        handle.wait().unwrap();
        while pool.stats().idle == 0 {
            thread::yield_now();
        }
        let mut state = pool.shared.lock();
        state.threads += 1;
        state.starting = true;
        drop(state);
        let (second, handle) = job(Kind::Call, || ());
        assert!(pool.submit(second).is_ok());
        handle.wait().unwrap();
        // It could not be started after all.
        pool.shared.not_started(&io::ErrorKind::WouldBlock.into());
        assert_eq!(pool.stats().threads, 1);
        pool.close();
    }

    #[test]
    fn a_closed_pool_refuses_and_drops() {
        let pool = BlockingPool::new(1, 0);
        pool.close();
        let (late, handle) = job(Kind::Call, || ());
        let Err((late, Refused::Closed)) = pool.try_submit(late) else { panic!("it was taken") };
        late.discard();
        assert!(handle.wait().unwrap_err().is_cancelled());
    }
}
