//! One worker of a pool: an event loop that steals.
//!
//! [`Worker::turn`] is the loop; what it does when nothing is ready is in `parking.rs`. It reads like the
//! event loop's (`scheduler/event_loop.rs`), and what differs is what more than one thread makes
//! different: the messages are in the injector, the reactor is shared, a queue that has run dry may be
//! filled from another's, and before a worker waits it announces that.
//!
//! A worker is not a thread. It has a queue, timers and a number, and some thread runs it; one that is about
//! to block leaves it to another thread (`threads.rs`).
//!
//! What must hold:
//! - A worker with work that is known to be short makes no system call for others, takes no lock that
//!   others want and writes to no memory that others write to, but for the tasks themselves.
//! - It is never blind for longer than a millisecond and the poll that runs: to the reactor, to the
//!   injector, and to timers, its own and those of workers that do not get round to theirs.
//!
//! **Alternative:** work that is handed over, not stolen: each task to a worker of its own, by some rule.
//! Then no worker searches, and a busy one may have a queue while another is parked.

use std::{
    cell::{Cell, RefCell},
    io,
    mem::ManuallyDrop,
    rc::Rc,
    sync::Arc as StdArc,
};

use super::{Member, POOLS, Pool, ROOM, Runnable, Settings, WorkerShared};
use crate::engine::{
    base::{
        clock::{self, NEVER},
        id::TaskIds,
        primitives::Arc,
        stats::WorkerCounters,
        trace::{self, EventKind, Stamp},
    },
    reactor::{Found, woken::Woken},
    run_queue::stealing::{CAPACITY, Owner},
    scheduler::poll_interval::PollInterval,
    task::{
        join::JoinHandle,
        local,
        poll::PollOutcome,
        shared::{Ran, Schedule, Task},
        spawned::{NewTask, SpawnedSend},
    },
    timer::{SharedAction, SharedTimers, TimerKey},
};

/// For how long a due timer is left to its own worker, in nanoseconds. One that gets on looks far more
/// often.
const OVERDUE: u64 = 200_000;

pub(crate) struct Worker {
    index: usize,
    pub(crate) pool: StdArc<Pool>,
    pub(super) queue: Owner<Runnable>,
    ids: TaskIds,
    pub(super) interval: PollInterval,
    /// How often the lifo slot may be used before the ring's turn.
    lifo_left: Cell<u32>,
    polling: Cell<bool>,
    /// It counts among those that search.
    pub(super) searching: Cell<bool>,
    /// Where the next search begins.
    pub(super) next_victim: Cell<usize>,
    /// Something was put into the queue that another worker could run.
    shows_work: Cell<bool>,
    /// A task was spawned since the clock was read, and what it costs is not known.
    spawned: Cell<bool>,
    /// Another thread runs this worker by now.
    pub(crate) handed_off: Cell<bool>,
    /// What is about to be woken, kept for its memory.
    pub(super) woken: RefCell<Woken>,
    /// Polls when the clock was last read.
    pub(super) polls_sampled: Cell<u64>,
}

/// How the tasks that are ready came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// None is left.
    RanDry,
    /// Something else is due; the rest keeps its place.
    LookDue,
}

const NO_WORKER: ManuallyDrop<Option<Rc<Worker>>> = ManuallyDrop::new(None);

thread_local! {
    // Without a destructor it is there to the thread's very end. The guard empties it.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Worker>>>> =
        const { RefCell::new(NO_WORKER) };
}

impl Schedule for Member {
    /// Into the queue of this thread's worker, if that is one of the pool; else into the injector.
    #[inline]
    // ANCHOR: schedule
    fn schedule(task: Runnable) {
        let mut task = Some(task);
        // An error: never where the system has thread-locals of its own: no destructor takes this key.
        let _ = CURRENT.try_with(|current| {
            if let Some(worker) = &**current.borrow()
                && let Some(task) = task.take_if(|task| worker.pool.number == task.scheduler().pool)
            {
                worker.schedule(task);
            }
        });
        if let Some(task) = task
            && let Some(pool) = POOLS.find(task.scheduler().pool)
        {
            pool.inject(task);
        }
    }
    // END: schedule

    fn key(task: &Task<Self>) -> u64 {
        task.scheduler().key(task.index().unwrap_or(u32::MAX))
    }

    fn ended(task: &Runnable, _outcome: PollOutcome) {
        let member = *task.scheduler();
        let remove = |pool: &Pool| pool.owned[usize::from(member.list)].remove(task);
        let removed = CURRENT.try_with(|current| match &**current.borrow() {
            Some(worker) if worker.pool.number == member.pool => {
                remove(&worker.pool);
                true
            }
            _ => false,
        });
        if removed != Ok(true)
            && let Some(pool) = POOLS.find(member.pool)
        {
            remove(&pool);
        }
    }
}

impl Worker {
    /// On the thread that runs it.
    pub(crate) fn new(pool: StdArc<Pool>, index: usize, queue: Owner<Runnable>) -> Self {
        let now = clock::real_now();
        let Settings { look_interval, lifo_uses, .. } = pool.settings;
        // Another thread may have run this worker before.
        let polls = pool.workers[index].counters.polls.get();
        Self {
            index,
            pool,
            queue,
            ids: TaskIds::new(),
            interval: PollInterval::new(now, look_interval),
            lifo_left: Cell::new(lifo_uses),
            polling: Cell::new(false),
            searching: Cell::new(false),
            next_victim: Cell::new(index + 1),
            shows_work: Cell::new(false),
            spawned: Cell::new(false),
            handed_off: Cell::new(false),
            woken: RefCell::default(),
            polls_sampled: Cell::new(polls),
        }
    }

    /// Makes this worker the thread's, until the guard is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> EnteredWorker {
        CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(self.clone()))));
        EnteredWorker(())
    }

    /// Turns until the pool is closed, or another thread runs this worker.
    pub(crate) fn run(&self) {
        while !self.pool.is_closed() && !self.handed_off.get() {
            if let Err(error) = self.turn() {
                panic!("a worker cannot wait: {error}");
            }
        }
        // What was put here after the hand-off could not be stolen, so it goes to the injector. Of a closed pool,
        // `close` drops the futures; only the empty tasks are left here, and `inject` drops those.
        while let Some(task) = self.next() {
            self.pool.inject(task);
        }
    }

    // ANCHOR: turn
    /// One trip round the loop.
    fn turn(&self) -> io::Result<()> {
        self.counters().turns.add(1);
        // 1. What was spawned and woken elsewhere, or did not fit into a queue.
        let first = self.take_injected();
        // 2. The tasks that are ready, until something else is due.
        let batch = self.run_ready(first);
        // 3. The reactor; and with nothing left to run, first another worker's tasks, then the wait. (Tasks come before
        //    timers: those that are due each time could keep this worker from all others for ever.)
        if batch == Batch::LookDue {
            self.look()?;
        } else if !self.find_work() {
            if self.is_timer_due() {
                self.look()?;
            } else {
                self.park()?;
            }
        }
        // 4. The timers that are due, if they are this thread's still.
        if !self.handed_off.get() {
            self.fire_timers();
        }
        Ok(())
    }
    // END: turn

    /// When and where something happens on this worker, for the trace.
    pub(crate) fn stamp(&self) -> Stamp {
        let turn = self.counters().turns.get();
        Stamp { at: clock::real_now(), turn, worker: Some(self.index) }
    }

    /// The time of this turn, never ahead of the clock.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.interval.now().unwrap_or_else(|| self.read_clock())
    }

    /// Reads the clock, for all who ask until the next reading.
    #[cold]
    pub(super) fn read_clock(&self) -> u64 {
        let now = clock::real_now();
        self.interval.set_now(now);
        self.polls_sampled.set(self.counters().polls.get());
        now
    }

    /// Inserts a timer from a task of this worker, which is awake, and looks before it parks. `None`:
    /// the pool is closed.
    pub(crate) fn insert_timer(
        &self,
        deadline: u64,
        action: impl Into<SharedAction>,
    ) -> Option<(Arc<SharedTimers>, TimerKey)> {
        let (key, _is_first) = self.timers().insert(deadline, action).ok()?;
        Some((self.timers().clone(), key))
    }

    pub(crate) fn timers(&self) -> &Arc<SharedTimers> {
        &self.shared().timers
    }

    /// Asks the reactor without waiting, unless a parked worker waits there; and fires the timers of those
    /// workers that do not get round to it.
    fn look(&self) -> io::Result<()> {
        if self.handed_off.get() {
            return Ok(());
        }
        self.interval.looked();
        let overdue = self.interval.last_reading().saturating_sub(OVERDUE);
        for worker in &self.pool.workers {
            if worker.timers.earliest() <= overdue {
                self.fire(&worker.timers, self.interval.last_reading());
            }
        }
        if self.pool.reactor.len() == 0 {
            return Ok(());
        }
        // No more than the queue has room for: the rest waits in the kernel, in order, and ahead of what
        // becomes ready later. An overflow would turn that round.
        // (A power of two, since each change of size makes a new buffer.)
        let room = 1 << (CAPACITY - self.queue.len()).clamp(1, ROOM).ilog2();
        let mut woken = self.woken.take();
        let Some(found) = self.pool.reactor.try_look(room, &mut woken) else {
            self.woken.replace(woken);
            return Ok(());
        };
        self.counters().looks.add(1);
        let found = found?;
        trace::report(|| EventKind::Looked { found: found.events });
        self.wake(found, woken);
        if found.alarm {
            self.fire_all(self.read_clock());
        }
        Ok(())
    }

    /// Wakes the tasks that waited for what was found. Wakers are user code: with nothing borrowed.
    pub(super) fn wake(&self, found: Found, mut woken: Woken) {
        self.counters().events.add(found.events as u64);
        woken.wake_all(local::wake_waiter);
        self.woken.replace(woken);
    }

    #[inline]
    fn fire_timers(&self) {
        if self.timers().earliest() <= self.now() {
            self.fire(self.timers(), self.now());
        }
    }

    /// Fires what is due of one worker's timers. Returns how many that were.
    pub(super) fn fire(&self, timers: &SharedTimers, now: u64) -> usize {
        let fired = timers.fire(now);
        self.counters().timers_fired.add(fired as u64);
        fired
    }

    /// Fires what is due of all workers' timers. Returns how many that were.
    pub(super) fn fire_all(&self, now: u64) -> usize {
        let due = self.pool.workers.iter().filter(|worker| worker.timers.earliest() <= now);
        due.map(|worker| self.fire(&worker.timers, now)).sum()
    }

    /// Whether any of its own timers is due, by a clock that is read for it.
    fn is_timer_due(&self) -> bool {
        let earliest = self.timers().earliest();
        earliest != NEVER && earliest <= self.read_clock()
    }

    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// What others reach of this worker.
    pub(super) fn shared(&self) -> &WorkerShared {
        &self.pool.workers[self.index]
    }

    pub(super) fn counters(&self) -> &WorkerCounters {
        &self.shared().counters
    }

    /// Moves this worker's share from the injector into its queue, but for the first, which is to be run
    /// now: there may be no room for it.
    #[inline]
    pub(crate) fn take_injected(&self) -> Option<Runnable> {
        let first = self.pool.injector.pop_share(&self.queue, self.pool.workers.len())?;
        self.counters().injected.add(1);
        Some(first)
    }

    fn run_ready(&self, mut first: Option<Runnable>) -> Batch {
        while let Some(task) = first.take().or_else(|| self.next()) {
            if self.searching.get() {
                self.end_search();
            }
            // Once a poll, and not once for each task that was put into the queue.
            if self.shows_work.take() {
                self.unpark_for_backlog();
            }
            self.run_task(task);
            if self.interval.is_over() && self.is_look_due() {
                return Batch::LookDue;
            }
        }
        Batch::RanDry
    }

    /// The task that was just woken, within bounds; else the one that has waited longest.
    #[inline]
    pub(crate) fn next(&self) -> Option<Runnable> {
        if let Some(task) = self.queue.take_lifo() {
            self.lifo_left.set(self.lifo_left.get() - 1);
            return Some(task);
        }
        self.lifo_left.set(self.pool.settings.lifo_uses);
        self.queue.pop()
    }

    #[inline]
    pub(crate) fn run_task(&self, task: Runnable) {
        self.counters().polls.add(1);
        self.polling.set(true);
        let ran = task.run();
        self.polling.set(false);
        if let Ran::Again(task) = ran {
            self.push(task);
        }
    }

    /// A task was woken on this thread. By another task: it runs next, since what that one wrote is
    /// still in the cache.
    #[inline]
    fn schedule(&self, task: Runnable) {
        if self.polling.get() && self.lifo_left.get() > 0 {
            if let Some(bumped) = self.queue.put_lifo(task) {
                self.shows_work.set(true);
                self.push(bumped);
            }
        } else {
            self.shows_work.set(true);
            self.push(task);
        }
    }

    /// Puts a task behind the others.
    #[inline]
    pub(super) fn push(&self, task: Runnable) {
        if let Err(overflow) = self.queue.push(task) {
            let counters = self.counters();
            counters.overflowed.add(overflow.len() as u64);
            // A closed injector hands it back, to be dropped here. See `Pool::inject`.
            drop(self.pool.injector.push_overflow(overflow));
            self.shows_work.set(true);
        }
    }

    /// Spawns a task, which starts after those that are ready.
    pub(crate) fn spawn<T>(&self, new: NewTask<SpawnedSend, T>) -> JoinHandle<T> {
        let (task, handle) = self.pool.make_task(self.index, self.ids.draw(), new);
        if let Some(task) = task {
            self.push(task);
            self.shows_work.set(true);
            // What it costs is not known from the polls of others, this one least of all.
            if self.queue.len() > 1 {
                self.shared().poll_cost.forget();
                self.interval.cut_short();
                self.spawned.set(true);
            }
        }
        handle
    }

    /// Its thread is about to block: leaves the worker to another thread, until the guard is dropped.
    /// What this thread wakes and spawns meanwhile goes to the injector.
    pub(crate) fn hand_off(self: &Rc<Self>) -> HandedOff {
        // Called from a waker, it may be searching still; its next thread would not know.
        if self.searching.take() {
            let _ = self.pool.idle.found();
        }
        while let Some(task) = self.next() {
            self.pool.inject(task);
        }
        self.shared().poll_cost.forget();
        CURRENT.with(|current| drop(ManuallyDrop::into_inner(current.replace(NO_WORKER))));
        self.pool.hand_off(self.index);
        HandedOff(self.clone())
    }

    /// Asked every so many polls, as the poll interval says.
    #[cold]
    fn is_look_due(&self) -> bool {
        if self.handed_off.get() {
            return true;
        }
        let now = clock::real_now();
        let polls = self.counters().polls.get();
        let sampled = polls.saturating_sub(self.polls_sampled.replace(polls));
        let cost = (now - self.interval.last_reading()) / sampled.max(1);
        let look = self.interval.sample(now);
        if self.spawned.take() {
            // That was the poll which spawned. The next is one of the new tasks'.
            self.interval.cut_short();
        } else if self.shared().poll_cost.measured(cost, now) {
            self.pool.note_long_poll(now);
        }
        self.shows_work.set(true);
        look || self.timers().earliest() <= now || self.pool.is_closed()
    }
}

/// See [`Worker::hand_off`].
pub(crate) struct HandedOff(Rc<Worker>);

impl Drop for HandedOff {
    /// Takes the worker back, if no other thread has come for it yet.
    fn drop(&mut self) {
        let Self(worker) = self;
        if worker.pool.threads.take_back(worker.index) {
            CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(worker.clone()))));
        } else {
            worker.handed_off.set(true);
            // The poll that goes on is the last that this thread runs of it.
            worker.interval.end();
        }
    }
}

/// See [`Worker::enter`].
pub(crate) struct EnteredWorker(());

impl Drop for EnteredWorker {
    fn drop(&mut self) {
        let worker = CURRENT.with(|current| current.replace(NO_WORKER));
        drop(ManuallyDrop::into_inner(worker));
    }
}
