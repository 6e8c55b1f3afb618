//! What the workers of a runtime share, and what others may reach of them.
//!
//! A [`Pool`] is a row of workers and what stands between them: the injector, the reactor, and which are
//! parked. A worker's own half, its loop, is in `worker.rs`; its other half, which other workers steal
//! from, is here: [`WorkerShared`]. All else, a task's waker, a handle, a `block_on`, comes through
//! `Member`'s `schedule` or [`Pool::spawn`]: on a worker's thread into its own queue, elsewhere into the
//! injector.
//!
//! What must hold:
//! - A task is in its owner's list from before it is first scheduled until it has ended. So a shutdown
//!   finds it there, also one that only its own socket knows.
//! - Once closed, the pool takes in nothing: what comes is refused, and dropped where it came from.
//! - No user code runs under a lock.
//!
//! **Alternative:** a pool that lets go of its tasks when it is dropped and trusts their wakers to do the
//! rest. A task and the source it waits for keep each other alive.

use std::{
    fmt, io,
    num::NonZeroUsize,
    sync::{
        Arc as StdArc, OnceLock,
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
            fence,
        },
    },
    thread::available_parallelism,
    time::Duration,
};

use futures_task::ArcWake;

use self::{
    cost::{PollCost, worth_sharing},
    idle::Idle,
    numbers::Numbers,
    parker::Notified,
    threads::{ThreadSettings, Threads},
    watch::GuardState,
};
use crate::engine::{
    base::{
        clock,
        id::{self, TaskId},
        location::Origin,
        primitives::{Arc, AtomicBool, Mutex, seeded, sized},
        stats::{Counter, WorkerCounters, WorkerStats},
        this_poll,
    },
    blocking::{self, BlockingStats},
    reactor::shared::SharedReactor,
    run_queue::{
        injector::Injector,
        stealing::{CAPACITY, Owner, Thief},
    },
    task::{
        join::JoinHandle,
        local,
        owned::Owned,
        reach::{Ending, Reach},
        shared::{self, Shut, Task},
        spawned::{NewTask, SpawnedSend},
    },
    timer::{SharedAction, SharedTimers, TimerKey},
};

mod cost;
mod guard;
pub(crate) mod idle;
mod numbers;
pub(crate) mod parker;
mod parking;
mod sharing;
pub(crate) mod threads;
mod watch;
pub(crate) mod worker;
pub(crate) mod worker_thread;

/// What a pool is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    /// How often in a row the task just woken may run before the others.
    pub(crate) lifo_uses: u32,
    /// Polls between two looks; 0: by the clock.
    pub(crate) look_interval: u32,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_queue: usize,
}

impl Settings {
    pub(crate) fn usual() -> Self {
        Self {
            workers: available_parallelism().map_or(1, NonZeroUsize::get),
            // Two tasks that wake each other would have the worker for themselves.
            lifo_uses: 16,
            look_interval: 0,
            blocking_threads: 512,
            blocking_queue: 1_024,
        }
    }
}

/// A task of a pool, as it stands in a queue.
pub(crate) type Runnable = shared::Runnable<Member>;

/// What a task knows of its pool.
///
/// When a pool closes, each of its tasks ends. So one that comes too late, into
/// the queue of a later pool of that number, does no harm: it is dropped there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// The pool's number.
    pool: u16,
    /// In which of the pool's lists the task stands.
    list: u16,
}

static POOLS: Numbers<Pool> = Numbers::new();

/// A worker that a thread begins with: its number and its queue.
pub(crate) type FirstWorker = (usize, Owner<Runnable>);

/// What a thread does that runs workers: `run_thread` of `runtime.rs`. It is handed in because this file may not
/// import `current.rs`; `worker_thread.rs` has the chain of calls.
pub(crate) type RunThread = fn(&StdArc<Pool>, Option<FirstWorker>);

/// How long a poll that took long makes others likely that do, in nanoseconds.
const LATELY: u64 = 100_000_000;

/// Events that are taken from the kernel in one call: as many tasks as half of a worker's ring has room for.
const ROOM: usize = CAPACITY / 2;

impl Member {
    /// What a task's handle knows it by: the pool, the list, and the index there. Never 0.
    fn key(self, index: u32) -> u64 {
        u64::from(self.pool) << 48 | u64::from(self.list) << 32 | u64::from(index)
    }
}

/// The task of this key; if that has ended, it may be another by now.
fn find_by_key(key: u64) -> Option<Runnable> {
    let list = usize::from((key >> 32) as u16);
    POOLS.find((key >> 48) as u16)?.owned.get(list)?.get(key as u32)
}

/// The same, if it is of this identity.
fn find_exactly(key: u64, id: TaskId) -> Option<Runnable> {
    find_by_key(key).filter(|task| task.origin().id == id)
}

/// Where the task of this identity comes from, if it is a pool's and this is its key.
pub(crate) fn origin_by_key(key: u64, id: TaskId) -> Option<Origin> {
    find_exactly(key, id).map(|task| task.origin().clone())
}

/// How the handles of a pool's tasks reach them.
static REACH: Reach = Reach {
    wake: |key| {
        if let Some(task) = find_by_key(key) {
            ArcWake::wake(task);
        }
    },
    end: |key, id| {
        let Some(task) = find_exactly(key, id) else { return Ending::Gone };
        match task.shut_down() {
            Shut::Dropped | Shut::Ended => Ending::Gone,
            Shut::Running if this_poll::task() == Some(id) => Ending::Here,
            Shut::Running => Ending::Elsewhere,
        }
    },
};

/// How many lists there are for the tasks that no worker spawned. They end on any worker, so with one
/// list all would wait for its lock.
const OUTSIDE_LISTS: u64 = sized(8, 1) as u64;

pub(crate) struct Pool {
    pub(crate) id: u64,
    /// Its number among the pools that there are.
    number: u16,
    idle: Idle,
    watch: Mutex<GuardState>,
    /// When a poll was last seen to take long. By any worker, and none relies on it.
    long_poll_at: AtomicU64,
    injector: Injector<Runnable>,
    reactor: SharedReactor,
    workers: Box<[WorkerShared]>,
    /// The tasks of each worker, then those spawned elsewhere.
    owned: Box<[Owned<Member>]>,
    /// Into which worker's timers the next timer of another thread goes.
    next_timers: AtomicUsize,
    pub(crate) threads: Threads,
    run_thread: RunThread,
    closed: AtomicBool,
    settings: Settings,
    blocking: OnceLock<Arc<blocking::BlockingPool>>,
}

/// What others reach of a worker. Each on cache lines of its own.
#[repr(align(128))]
struct WorkerShared {
    thief: Mutex<Thief<Runnable>>,
    counters: WorkerCounters,
    poll_cost: PollCost,
    timers: Arc<SharedTimers>,
    /// 1: the guard has seen it stuck. By the guard alone.
    stuck: Counter,
}

impl Pool {
    /// Makes a pool and starts a thread for each of its workers. After an error those that were started end.
    pub(crate) fn new(
        settings: Settings,
        threads: ThreadSettings,
        run_thread: RunThread,
    ) -> io::Result<StdArc<Self>> {
        let (pool, queues) = Self::without_threads(settings, threads, run_thread)?;
        for first in queues.into_iter().enumerate() {
            pool.start_thread(Some(first)).inspect_err(|_| pool.close())?;
        }
        Ok(pool)
    }

    /// Makes a pool, and the queues of its workers.
    pub(crate) fn without_threads(
        settings: Settings,
        threads: ThreadSettings,
        run_thread: RunThread,
    ) -> io::Result<(StdArc<Self>, Vec<Owner<Runnable>>)> {
        let queues: Vec<_> = (0..settings.workers).map(|_| Owner::new()).collect();
        let id = id::draw_loop_id();
        let reactor = SharedReactor::new(id, ROOM)?;
        let lists = settings.workers + OUTSIDE_LISTS as usize;
        let number = POOLS.draw()?;
        let pool = StdArc::new(Self {
            id,
            number,
            idle: Idle::new(settings.workers),
            watch: Mutex::new(GuardState::new(settings.workers)),
            long_poll_at: AtomicU64::new(0),
            injector: Injector::new(),
            reactor,
            workers: queues.iter().map(|queue| WorkerShared::new(id, queue)).collect(),
            owned: (0..lists).map(|_| Owned::new()).collect(),
            next_timers: AtomicUsize::new(0),
            threads: Threads::new(threads, settings.workers + settings.blocking_threads),
            run_thread,
            closed: AtomicBool::new(false),
            settings,
            blocking: OnceLock::new(),
        });
        POOLS.publish(number, &pool);
        Ok((pool, queues))
    }

    fn start_thread(self: &StdArc<Self>, first: Option<FirstWorker>) -> io::Result<()> {
        let (pool, run) = (self.clone(), self.run_thread);
        let worker = first.as_ref().map(|(index, _)| *index);
        self.threads.start(worker, move || run(&pool, first))
    }

    /// Leaves a worker to another thread: its own is about to block.
    fn hand_off(self: &StdArc<Self>, worker: usize) {
        if self.threads.declare_vacant(worker)
            && let Err(error) = self.start_thread(None)
            && self.threads.is_first_failure()
        {
            eprintln!(
                "whirligig: no thread could be started for a worker whose own blocks, so its tasks are \
                 left to the others: {error}"
            );
        }
    }

    /// Puts a task where any worker finds it. Once the pool is closed, drops it.
    fn inject(&self, task: Runnable) {
        // A closed injector hands the task back, and this reference to it is dropped here. The future is
        // not: `close` drops that, through the list that the task stands in.
        if self.injector.push(task).is_ok()
            && let Some(notified) = self.idle.unpark_for_injected(|| self.comes_one_soon())
        {
            self.carry_out(notified);
        }
    }

    /// Whether an awake worker is known to look at the injector soon: its polls are short, as far as they
    /// were measured just now.
    fn comes_one_soon(&self) -> bool {
        let now = clock::real_now();
        self.workers.iter().any(|worker| !worth_sharing(1, worker.poll_cost.known(now)))
    }

    /// A poll was seen to take long.
    fn note_long_poll(&self, now: u64) {
        self.long_poll_at.store(now, Relaxed);
    }

    /// Whether any worker's polls have taken long of late.
    fn has_long_polls(&self) -> bool {
        let last = self.long_poll_at.load(Relaxed);
        last != 0 && clock::real_now().saturating_sub(last) < LATELY
    }

    /// Ends the wait of a worker that was notified.
    fn carry_out(&self, notified: Notified) {
        if notified == Notified::InReactor {
            self.reactor.unpark();
        }
    }

    /// Where descriptors are registered.
    pub(crate) fn reactor(&self) -> &SharedReactor {
        &self.reactor
    }

    /// Inserts a timer from a thread that is no worker: into the wheel of each worker in turn. `None`: the
    /// pool is closed.
    pub(crate) fn insert_timer(
        &self,
        deadline: u64,
        action: impl Into<SharedAction>,
    ) -> Option<(Arc<SharedTimers>, TimerKey)> {
        let worker = self.next_timers.fetch_add(1, Relaxed) % self.workers.len();
        let timers = &self.workers[worker].timers;
        let (key, is_first) = timers.insert(deadline, action).ok()?;
        // The timer first, then the look: a worker announces that it parks before it reads its timers.
        fence(SeqCst);
        if is_first && self.idle.is_parked(worker) {
            // An error: the descriptor is broken. The worker in the reactor finds that as well, and says so.
            let _ = self.reactor.alarm_no_later_than(deadline, clock::real_now());
        }
        Some((timers.clone(), key))
    }

    pub(crate) fn stats(&self) -> Vec<WorkerStats> {
        self.workers.iter().map(|worker| worker.counters.read()).collect()
    }

    pub(crate) fn blocking_stats(&self) -> BlockingStats {
        self.blocking.get().map(|blocking| blocking.stats()).unwrap_or_default()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(SeqCst)
    }

    pub(crate) fn blocking(&self) -> &Arc<blocking::BlockingPool> {
        let Settings { blocking_threads, blocking_queue, .. } = self.settings;
        let blocking = self.blocking.get_or_init(|| {
            Arc::new(blocking::BlockingPool::new(blocking_threads, blocking_queue))
        });
        // It is there, then the look at the flag; `close` does it the other way round. One of the two
        // sees the other, or a job would begin in a pool that nothing closes.
        fence(SeqCst);
        if self.is_closed() {
            blocking.close();
        }
        blocking
    }

    /// The last thread has ended: closes the reactor, and wakes all that still wait on its sources.
    fn close_reactor(&self) {
        self.reactor.close().into_iter().for_each(local::wake_waiter);
    }

    /// Waits until all threads have ended, and all calls on the blocking pool that had begun, while anything
    /// is `left` of the time for it.
    pub(crate) fn wait_ended(&self, left: impl Fn() -> Duration) {
        self.threads.wait_ended(&left);
        if let Some(blocking) = self.blocking.get() {
            blocking.wait_ended(left);
        }
    }

    /// The tasks that have not ended.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = Runnable> {
        self.owned.iter().flat_map(Owned::tasks)
    }

    /// Where the task of this identity comes from.
    pub(crate) fn origin(&self, id: TaskId) -> Option<Origin> {
        self.tasks().find(|task| task.origin().id == id).map(|task| task.origin().clone())
    }

    /// The blocking pool, if there is one by now.
    pub(crate) fn blocking_if_made(&self) -> Option<&Arc<blocking::BlockingPool>> {
        self.blocking.get()
    }

    /// Takes in nothing from here on, drops each task that no thread polls, and has the workers drop
    /// the others and end. Returns at once. May be called again.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        // See `blocking`.
        fence(SeqCst);
        if let Some(blocking) = self.blocking.get() {
            blocking.close();
        }
        // To drop what is in the injector drops no future: `owned` still holds each task.
        if !seeded("pool_leaves_its_injector_open") {
            drop(self.injector.close());
        }
        // All of the lists, before any task is dropped: its destructor may spawn into another's.
        let tasks: Vec<_> = self.owned.iter().flat_map(Owned::close).collect();
        for task in tasks {
            task.shut_down();
        }
        for worker in &self.workers {
            worker.timers.close();
        }
        for worker in 0..self.workers.len() {
            self.carry_out(self.idle.parker(worker).notify());
        }
        self.threads.close();
    }
}

impl Pool {
    /// Spawns a future from outside the workers. A pool that is closed drops it, and the handle says
    /// cancelled.
    pub(crate) fn spawn<T>(&self, new: NewTask<SpawnedSend, T>) -> JoinHandle<T> {
        let id = TaskId::draw();
        let list = self.workers.len() + id.get().rem_euclid(OUTSIDE_LISTS) as usize;
        let (task, handle) = self.make_task(list, id, new);
        if let Some(task) = task {
            self.inject(task);
        }
        handle
    }

    /// Makes a task, to be put into a queue; none if the pool is closed.
    fn make_task<T>(
        &self,
        list: usize,
        id: TaskId,
        new: NewTask<SpawnedSend, T>,
    ) -> (Option<Runnable>, JoinHandle<T>) {
        let member = Member { pool: self.number, list: list as u16 };
        let (task, mut handle) = Task::new(new, id, member, &REACH);
        let Ok(index) = self.owned[list].insert(&task) else {
            task.shut_down();
            return (None, handle);
        };
        handle.set_key(member.key(index));
        task.report_spawned();
        (Some(task), handle)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        POOLS.retire(self.number);
    }
}

impl WorkerShared {
    fn new(pool_id: u64, queue: &Owner<Runnable>) -> Self {
        Self {
            thief: Mutex::new(queue.thief()),
            counters: WorkerCounters::default(),
            poll_cost: PollCost::unknown(),
            timers: Arc::new(SharedTimers::new(pool_id)),
            stuck: Counter::default(),
        }
    }

    fn is_stuck(&self) -> bool {
        self.stuck.get() != 0
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("id", &self.id)
            .field("workers", &self.workers.len())
            .field("idle", &self.idle)
            .field("injected", &self.injector.len())
            .field("tasks", &self.owned.iter().map(Owned::len).sum::<usize>())
            .field("sources", &self.reactor.count())
            .field("timers", &self.workers.iter().map(|w| w.timers.len()).sum::<usize>())
            .finish_non_exhaustive()
    }
}
