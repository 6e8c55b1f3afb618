//! What the workers of a runtime share, and what others may reach of them.
//!
//! A [`Pool`] is a row of workers and what stands between them: the injector, and who sleeps. A
//! worker's own half, its loop, is in `worker.rs`; its other half is here, the [`Shared`] one, which
//! neighbours steal from and unpark by. Everybody else, a task's waker, a handle, a `block_on`,
//! comes through `Member`'s `schedule` or [`Pool::spawn`]: on a worker's thread into its own queue,
//! elsewhere into the injector.
//!
//! What must hold:
//! - A task is in its owner's list from before it is first scheduled until it has ended. So whoever
//!   shuts down finds it there, also one that only its own socket knows.
//! - Once closed, the pool takes in nothing: what comes is refused, and dropped where it came from.
//! - No foreign code runs under a lock.
//!
//! The rival is a pool that lets go of its tasks when it is dropped and trusts their wakers to do the
//! rest. A task and the source it waits for keep each other alive.

use std::{
    fmt,
    future::Future,
    io,
    num::NonZeroUsize,
    panic::Location,
    sync::{
        Arc as StdArc, OnceLock,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
            fence,
        },
    },
    task::Waker,
    thread::available_parallelism,
    time::Duration,
};

use futures_task::ArcWake;

use self::{idle::Idle, numbers::Numbers, watch::Watch};
use crate::engine::{
    base::{
        clock, foreign,
        id::{self, TaskId},
        place::{Name, Origin},
        primitives::{Arc, Condvar, Mutex, lock, seeded, sized, wait_timeout},
        stats::{WorkerCounters, WorkerStats},
    },
    blocking::{self, BlockingStats},
    reactor::shared::SharedReactor,
    run_queue::{
        injector::Injector,
        stealing::{CAPACITY, Owner, Thief},
    },
    scheduler::spin::several_processors,
    task::{
        join::JoinHandle,
        local,
        owned::Owned,
        shared::{self, Task},
    },
    timer::{TimerKey, shared::SharedTimers},
};

pub(crate) mod idle;
mod looking;
mod numbers;
pub(crate) mod parker;
mod parking;
mod sharing;
mod watch;
pub(crate) mod worker;

/// What a pool is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) workers: usize,
    /// Between two looks of the sentry, at the most.
    pub(crate) sentry_tick: Duration,
    /// How often in a row the task just woken may run before the others.
    pub(crate) lifo_uses: u32,
    /// Polls between two looks; 0: by the clock.
    pub(crate) look_interval: u32,
    pub(crate) look_before_parking: bool,
    /// What it takes until a neighbour is up and at work, in nanoseconds.
    pub(crate) help_takes: u64,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_queue: usize,
}

impl Settings {
    pub(crate) fn usual() -> Self {
        Self {
            workers: available_parallelism().map_or(1, NonZeroUsize::get),
            sentry_tick: Duration::from_millis(10),
            // Two tasks that wake each other would have the worker for themselves.
            lifo_uses: 16,
            look_interval: 0,
            look_before_parking: several_processors(),
            help_takes: idle::HELP_TAKES,
            blocking_threads: 512,
            blocking_queue: 1_024,
        }
    }
}

/// A worker that has not read the clock for so many nanoseconds is in a long poll, or parked. Some
/// times what there is between two readings (`poll_interval.rs`).
const LONG_POLL: u64 = 100_000;

/// A task of a pool, as it stands in a queue.
pub(crate) type Runnable = shared::Runnable<Member>;

/// What a task knows of its pool.
///
/// When a pool closes, each of its tasks ends. So whoever comes too late with one, and puts it into
/// the queue of a later pool of that number, does no harm: it is dropped there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    /// The pool's number.
    pool: u16,
    /// In which of the pool's lists the task stands.
    list: u16,
}

static POOLS: Numbers<Pool> = Numbers::new();

/// So many workers have their sockets in one reactor, that of the first of them.
///
/// One call to the kernel then finds all that is ready, and whoever has too much of it gets help; the
/// others sleep on. With the sockets spread over them, each gets up for the few of its own, though one
/// could do it all (measured, 64 connections on two workers: a quarter more requests together). To find
/// an event costs a twentieth of what the smallest request does, so one can feed eight.
const WORKERS_PER_REACTOR: usize = 8;

impl Member {
    /// What a task's handle knows it by: the pool, the list, and the place there. Never 0.
    fn key(self, place: u32) -> u64 {
        u64::from(self.pool) << 48 | u64::from(self.list) << 32 | u64::from(place)
    }
}

/// Wakes the task of this key; if it has ended, that may be another by now, for nothing.
fn wake_by_key(key: u64) {
    let list = usize::from((key >> 32) as u16);
    let pool = POOLS.find((key >> 48) as u16);
    if let Some(task) = pool.and_then(|pool| pool.owned.get(list)?.get(key as u32)) {
        ArcWake::wake(task);
    }
}

/// How many lists there are for the tasks that no worker spawned. They end on any worker, so with one
/// list all would wait for its lock.
const OUTSIDE_LISTS: u64 = sized(8, 1) as u64;

pub(crate) struct Pool {
    pub(crate) id: u64,
    /// Its number among the living.
    number: u16,
    idle: Idle,
    /// What the sentry saw.
    watch: Mutex<Watch>,
    injector: Injector<Runnable>,
    workers: Box<[Shared]>,
    /// The tasks of each worker, then those spawned elsewhere.
    owned: Box<[Owned<Member>]>,
    /// Whose turn it is to serve a thread that is no worker.
    next_guest: AtomicUsize,
    /// Workers that have not ended.
    alive: Mutex<usize>,
    ended: Condvar,
    closed: AtomicBool,
    settings: Settings,
    blocking: OnceLock<Arc<blocking::Pool>>,
}

/// What others reach of a worker. Each on cache lines of its own.
#[repr(align(128))]
struct Shared {
    thief: Thief<Runnable>,
    counters: WorkerCounters,
    reactor: SharedReactor,
    timers: Arc<SharedTimers>,
}

impl Pool {
    /// Makes a pool, and its workers, whose threads are still to be started.
    pub(crate) fn new(settings: Settings) -> io::Result<(StdArc<Self>, Vec<Seat>)> {
        let queues: Vec<_> = (0..settings.workers).map(|_| Owner::new()).collect();
        let id = id::draw_loop_id();
        let workers = queues.iter().map(|queue| Shared::new(id, queue));
        let workers = workers.collect::<io::Result<_>>()?;
        let lists = settings.workers + OUTSIDE_LISTS as usize;
        let number = POOLS.draw()?;
        let pool = StdArc::new(Self {
            id,
            number,
            idle: Idle::new(settings.workers),
            watch: Mutex::new(Watch::new(settings.workers, clock::nanos(settings.sentry_tick))),
            injector: Injector::new(),
            workers,
            owned: (0..lists).map(|_| Owned::new()).collect(),
            next_guest: AtomicUsize::new(0),
            alive: Mutex::new(settings.workers),
            ended: Condvar::new(),
            closed: AtomicBool::new(false),
            settings,
            blocking: OnceLock::new(),
        });
        POOLS.publish(number, &pool);
        let seat = |(number, queue)| Seat { pool: pool.clone(), number, queue };
        let seats = queues.into_iter().enumerate().map(seat).collect();
        Ok((pool, seats))
    }

    /// Puts a task where any worker finds it. Refused once the pool is closed: then the caller has
    /// the task to drop.
    fn inject(&self, task: Runnable) {
        // A closed injector hands the task back, and it is dropped here. Its future is not: whoever
        // shut the pool down has it, through the list of its owner.
        if self.injector.push(task).is_ok() {
            self.unpark(self.idle.pick_for_injected(|| self.are_all_in_long_polls()));
        }
    }

    /// Whether whoever is awake may not come to the injector soon: a worker between polls reads the
    /// clock more often than that. (One that has just parked has read it, too, and then the sentry
    /// comes.)
    fn are_all_in_long_polls(&self) -> bool {
        let lately = clock::real_now().saturating_sub(LONG_POLL);
        self.workers.iter().all(|worker| worker.counters.clock_read_at.get() < lately)
    }

    fn unpark(&self, worker: Option<usize>) {
        if let Some(worker) = worker {
            self.workers[worker].reactor.unpark();
        }
    }

    /// The worker whose turn it is to serve a thread that is none.
    fn next_worker(&self) -> usize {
        self.next_guest.fetch_add(1, Relaxed) % self.workers.len()
    }

    /// Where a worker registers a descriptor.
    fn reactor_for_sources(&self, worker: usize) -> &SharedReactor {
        &self.first_of(worker).reactor
    }

    /// The first of the workers that share a reactor with this one.
    fn first_of(&self, worker: usize) -> &Shared {
        &self.workers[worker - worker % WORKERS_PER_REACTOR]
    }

    /// Where a thread that is no worker registers a descriptor.
    pub(crate) fn next_reactor(&self) -> &SharedReactor {
        self.reactor_for_sources(self.next_worker())
    }

    /// Inserts a timer from a thread that is no worker: into the wheel of each worker in turn, which
    /// is roused if it would sleep too long. `None`: the pool is closed.
    pub(crate) fn insert_timer(
        &self,
        deadline: u64,
        waker: Waker,
    ) -> Option<(Arc<SharedTimers>, TimerKey)> {
        let worker = self.next_worker();
        let timers = &self.workers[worker].timers;
        let (key, is_first) = timers.insert(deadline, waker).ok()?;
        if is_first {
            self.unpark(self.idle.rouse(worker).then_some(worker));
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

    pub(crate) fn blocking(&self) -> &Arc<blocking::Pool> {
        let Settings { blocking_threads, blocking_queue, .. } = self.settings;
        let blocking = self
            .blocking
            .get_or_init(|| Arc::new(blocking::Pool::new(blocking_threads, blocking_queue)));
        // It is there, then the look at the flag; `close` does it the other way round. One of the two
        // sees the other, or a job would begin in a pool that nobody closes.
        fence(SeqCst);
        if self.is_closed() {
            blocking.close();
        }
        blocking
    }

    /// A worker has ended. The last one closes what all of them had of the kernel, and wakes whoever
    /// else waits on their sources.
    fn end_worker(&self) {
        {
            let mut alive = lock(&self.alive);
            if *alive > 1 {
                *alive -= 1;
                return;
            }
        }
        // It counts until that is done: whoever waits for the end may rely on it.
        for worker in &self.workers {
            worker.reactor.close().into_iter().for_each(local::wake_waiter);
        }
        *lock(&self.alive) = 0;
        self.ended.notify_all();
    }

    /// Waits until all workers have ended, and all calls on the blocking pool that had begun, but for
    /// no longer than `timeout`.
    pub(crate) fn wait_ended(&self, timeout: Duration) {
        let end = clock::real_now().saturating_add(clock::nanos(timeout));
        let left = || Duration::from_nanos(end.saturating_sub(clock::real_now()));
        let mut alive = lock(&self.alive);
        while *alive > 0 && !left().is_zero() {
            alive = wait_timeout(&self.ended, alive, left()).0;
        }
        drop(alive);
        if let Some(blocking) = self.blocking.get() {
            blocking.wait_ended(left);
        }
    }

    /// The tasks that have not ended.
    pub(crate) fn tasks(&self) -> impl Iterator<Item = Runnable> {
        self.owned.iter().flat_map(Owned::tasks)
    }

    /// The lines whose calls on the blocking pool have not ended.
    pub(crate) fn blocking_calls(&self) -> Vec<&'static Location<'static>> {
        self.blocking.get().map(|blocking| blocking.running()).unwrap_or_default()
    }

    /// Takes in nothing from here on, drops each task that nobody polls, and has the workers drop
    /// the others and end. Returns at once. May be called again.
    pub(crate) fn close(&self) {
        self.closed.store(true, SeqCst);
        // The rest of these is known to the owners' lists.
        if !seeded("pool_leaves_its_injector_open") {
            drop(self.injector.close());
        }
        // All of the lists, before any task is dropped: its destructor may spawn into another's.
        let tasks: Vec<_> = self.owned.iter().flat_map(Owned::close).collect();
        for task in tasks {
            task.shut_down();
        }
        for worker in &self.workers {
            foreign::wake_all(worker.timers.close().into_iter());
        }
        for worker in 0..self.workers.len() {
            self.unpark(self.idle.rouse(worker).then_some(worker));
        }
        // See `blocking`.
        fence(SeqCst);
        if let Some(blocking) = self.blocking.get() {
            blocking.close();
        }
    }
}

impl Pool {
    /// Spawns a future from outside the workers. A pool that is closed drops it, and the handle says
    /// cancelled.
    pub(crate) fn spawn<F>(
        &self,
        future: F,
        name: Name,
        place: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let id = TaskId::draw();
        let list = self.workers.len() + id.get().rem_euclid(OUTSIDE_LISTS) as usize;
        let (task, handle) = self.make_task(list, future, Origin { id, name, place });
        if let Some(task) = task {
            self.inject(task);
        }
        handle
    }

    /// Makes a task, to be put into a queue; none if the pool is closed.
    fn make_task<F>(
        &self,
        list: usize,
        future: F,
        origin: Origin,
    ) -> (Option<Runnable>, JoinHandle<F::Output>)
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let member = Member { pool: self.number, list: list as u16 };
        let (task, handle) = Task::new(future, origin, member, wake_by_key);
        let Ok(place) = self.owned[list].insert(&task) else {
            task.shut_down();
            return (None, handle);
        };
        handle.set_key(member.key(place));
        task.report_spawned();
        (Some(task), handle)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        POOLS.retire(self.number);
    }
}

impl Shared {
    /// What polls took since the clock was last read. By the worker itself.
    fn note_poll_cost(&self, cost: u64) {
        let WorkerCounters { poll_cost, poll_cost_before, .. } = &self.counters;
        poll_cost_before.set(idle::peak(poll_cost_before.get(), poll_cost.get()));
        poll_cost.set(cost);
    }

    /// What a poll there is likely to take, with so many waiting behind it.
    fn poll_cost(&self, waiting: usize) -> u64 {
        let WorkerCounters { poll_cost, poll_cost_before, .. } = &self.counters;
        idle::likely_cost(waiting, poll_cost.get(), poll_cost_before.get())
    }

    fn new(pool_id: u64, queue: &Owner<Runnable>) -> io::Result<Self> {
        Ok(Self {
            thief: queue.thief(),
            counters: WorkerCounters::default(),
            reactor: SharedReactor::new(pool_id, CAPACITY / 2)?,
            timers: Arc::new(SharedTimers::new(pool_id)),
        })
    }
}

/// What a worker's thread is started with.
pub(crate) struct Seat {
    pool: StdArc<Pool>,
    pub(crate) number: usize,
    queue: Owner<Runnable>,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("id", &self.id)
            .field("workers", &self.workers.len())
            .field("idle", &self.idle)
            .field("injected", &self.injector.len())
            .field("tasks", &self.owned.iter().map(Owned::len).sum::<usize>())
            .field("sources", &self.workers.iter().map(|w| w.reactor.count()).sum::<usize>())
            .field("timers", &self.workers.iter().map(|w| w.timers.len()).sum::<usize>())
            .finish_non_exhaustive()
    }
}
