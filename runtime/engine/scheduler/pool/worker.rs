//! One worker of a pool: an event loop that steals.
//!
//! [`Worker::turn`] is the loop; what it does when nothing is ready is in `parking.rs`. It reads like the
//! event loop's (`scheduler/event_loop.rs`), and what differs is what more than one thread makes
//! different: the messages are in the injector, a queue that has run dry may be filled from a
//! neighbour's, and before a worker sleeps it says so.
//!
//! What must hold:
//! - Between two looks, a worker that has work makes no system call, takes no lock that others want and
//!   writes to no memory that others write to, but for the tasks themselves.
//! - To unpark a neighbour is the exception, and that is weighed (`idle.rs`) each time the clock is
//!   read, every 64 polls or 20 microseconds, not with each task.
//!
//! The rival is work that is handed over, not stolen: each task to a worker of its own, by some rule.
//! Then nobody searches, and one busy worker may have a queue while its neighbour sleeps.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    io,
    mem::ManuallyDrop,
    panic::Location,
    rc::Rc,
    sync::Arc as StdArc,
    task::Waker,
};

use super::{LONG_POLL, Member, POOLS, Pool, Runnable, Seat, Settings, Shared};
use crate::engine::{
    base::{
        clock,
        id::TaskIds,
        place::{Name, Origin},
        primitives::Arc,
        stats::WorkerCounters,
        trace::{self, Event},
    },
    reactor::{Found, shared::SharedReactor, woken::Woken},
    run_queue::stealing::{CAPACITY, Owner},
    scheduler::{poll_interval::PollInterval, spin::Spin},
    task::{
        join::JoinHandle,
        local,
        shared::{Ran, Schedule},
        visit::End,
    },
    timer::{
        TimerKey,
        shared::{DueTimers, SharedTimers},
    },
};

/// So many tasks that wait, and a new one behind them, have its worker measure anew what a poll costs.
const MANY: usize = 16;
/// Polls for which a full queue may put off a look: all that waited has had a turn by then.
const LONGEST_BLIND: u64 = 2 * CAPACITY as u64;

pub(crate) struct Worker {
    number: usize,
    pub(crate) pool: StdArc<Pool>,
    pub(super) queue: Owner<Runnable>,
    ids: TaskIds,
    pub(super) interval: PollInterval,
    /// How often the lifo slot may be used before the ring's turn.
    lifo_left: Cell<u32>,
    polling: Cell<bool>,
    /// It counts among those who search.
    pub(super) searching: Cell<bool>,
    /// Where the next search begins.
    pub(super) next_victim: Cell<usize>,
    /// Whether to look before parking. `None`: never.
    pub(super) ledger: Option<RefCell<Spin>>,
    /// What is about to fire, kept for its memory.
    due: RefCell<DueTimers>,
    /// Who is about to be woken, kept for its memory.
    pub(super) woken: RefCell<Woken>,
    /// Polls when the clock was last read.
    pub(super) polls_sampled: Cell<u64>,
    /// When it last got up, or got help.
    pub(super) busy_since: Cell<u64>,
    /// What the last polls took says nothing of those that wait.
    in_doubt: Cell<bool>,
    /// Polls when it last looked.
    polls_looked: Cell<u64>,
}

/// How the tasks that are ready came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Batch {
    /// None is left.
    RanDry,
    /// Something else is due; the rest keeps its place.
    LookDue,
}

const NOBODY: ManuallyDrop<Option<Rc<Worker>>> = ManuallyDrop::new(None);

thread_local! {
    // Without a destructor it is there to the thread's very end. The guard empties it.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Worker>>>> =
        const { RefCell::new(NOBODY) };
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

    fn ended(task: &Runnable, _end: End) {
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
    /// On the worker's own thread.
    pub(crate) fn new(seat: Seat) -> Self {
        let Seat { pool, number, queue } = seat;
        let now = clock::real_now();
        let Settings { look_interval, lifo_uses, look_before_parking, .. } = pool.settings;
        Self {
            number,
            pool,
            queue,
            ids: TaskIds::new(),
            interval: PollInterval::new(now, look_interval),
            lifo_left: Cell::new(lifo_uses),
            polling: Cell::new(false),
            searching: Cell::new(false),
            next_victim: Cell::new(number + 1),
            ledger: look_before_parking.then(|| RefCell::new(Spin::new(now))),
            due: RefCell::new(DueTimers::new()),
            woken: RefCell::default(),
            polls_sampled: Cell::new(0),
            busy_since: Cell::new(now),
            in_doubt: Cell::new(false),
            polls_looked: Cell::new(0),
        }
    }

    /// Makes this worker the thread's, until the guard is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(self.clone()))));
        Entered(())
    }

    /// Turns until the pool is closed. [`end`](Self::end) comes after it.
    pub(crate) fn run(&self) {
        let mut waited = self.rest_from_birth();
        while waited.is_ok() && !self.pool.is_closed() {
            waited = self.turn();
        }
        if let Err(error) = waited {
            panic!("a worker cannot wait: {error}");
        }
        // Whoever closed the pool has dropped what these hold. They hold the pool.
        while let Some(task) = self.next() {
            drop(task);
        }
    }

    /// Nothing runs on this worker's thread any more.
    pub(crate) fn end(&self) {
        self.pool.end_worker();
    }

    // ANCHOR: turn
    /// One trip round the loop.
    fn turn(&self) -> io::Result<()> {
        // 1. What was spawned and woken elsewhere, or did not fit into a queue.
        let first = self.take_injected();
        // 2. The tasks that are ready, until something else is due.
        let batch = self.run_ready(first);
        // 3. What neighbours have too much of; failing that, what the reactor has.
        if batch == Batch::LookDue {
            self.look()?;
        } else if !self.find_work() && !self.look_before_parking()? {
            self.park()?;
        }
        // 4. The timers that are due.
        self.fire_timers();
        Ok(())
    }
    // END: turn

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
        self.counters().clock_read_at.set(now);
        now
    }

    /// Inserts a timer from a task of this worker, which is awake, and looks before it sleeps. `None`:
    /// the pool is closed.
    pub(crate) fn insert_timer(
        &self,
        deadline: u64,
        waker: Waker,
    ) -> Option<(Arc<SharedTimers>, TimerKey)> {
        let (key, _is_first) = self.timers().insert(deadline, waker).ok()?;
        Some((self.timers().clone(), key))
    }

    /// Where its tasks register their descriptors.
    pub(crate) fn reactor_for_sources(&self) -> &SharedReactor {
        self.pool.reactor_for_sources(self.number)
    }

    /// Where it sleeps.
    pub(super) fn reactor(&self) -> &SharedReactor {
        &self.shared().reactor
    }

    pub(crate) fn timers(&self) -> &Arc<SharedTimers> {
        &self.shared().timers
    }

    /// Asks the reactor without waiting, if the queue has room for what it may say. What is ready
    /// waits in the kernel otherwise, in order: behind those that wait here in any case, and ahead of
    /// who becomes ready later, which an overflow would turn round. But not for ever.
    pub(super) fn look(&self) -> io::Result<()> {
        self.interval.looked();
        let polls = self.counters().polls.get();
        if self.queue.len() > CAPACITY / 2 && polls - self.polls_looked.get() < LONGEST_BLIND {
            return Ok(());
        }
        self.polls_looked.set(polls);
        let Some(first) = self.whom_to_ask() else { return Ok(()) };
        let mut woken = self.woken.take();
        let asked = if std::ptr::eq(first, self.shared()) {
            Some(first.reactor.look(&mut woken))
        } else {
            first.reactor.try_look(&mut woken)
        };
        let Some(found) = asked else {
            self.woken.replace(woken);
            return Ok(());
        };
        self.counters().looks.add(1);
        let found = found?;
        trace::report(|| Event::Looked { found: found.events });
        self.wake(found, woken);
        Ok(())
    }

    /// Where its tasks' sockets stand, if there are any and nobody else asks: that is itself, or the first
    /// of its eight when that one is held up, and has not read the clock of late.
    fn whom_to_ask(&self) -> Option<&Shared> {
        let first = self.pool.first_of(self.number);
        let lately = self.interval.last_reading().saturating_sub(LONG_POLL);
        let asks_itself =
            !std::ptr::eq(first, self.shared()) && first.counters.clock_read_at.get() > lately;
        (first.reactor.len() > 0 && !asks_itself).then_some(first)
    }

    /// Wakes whoever waited for what was found. Wakers are foreign code: with nothing borrowed.
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

    /// Fires what is due of its own timers, or of a neighbour's. Returns how many that were.
    pub(super) fn fire(&self, timers: &SharedTimers, now: u64) -> usize {
        let mut due = self.due.take();
        let fired = timers.fire(now, &mut due);
        self.due.replace(due);
        self.counters().timers_fired.add(fired as u64);
        fired
    }

    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What others reach of this worker.
    pub(super) fn shared(&self) -> &Shared {
        &self.pool.workers[self.number]
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
            if self.searching.take() {
                self.end_search();
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
                self.push(bumped);
            }
        } else {
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
            self.get_help_if_worth_it();
        }
    }

    /// Spawns a task, which starts after those that are ready.
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
        let origin = Origin { id: self.ids.draw(), name, place };
        let (task, handle) = self.pool.make_task(self.number, future, origin);
        if let Some(task) = task {
            self.push(task);
            // What they will cost is not known from the polls of others, this one least of all.
            if self.queue.len() == MANY {
                self.interval.cut_short();
                self.in_doubt.set(true);
            }
        }
        handle
    }

    /// This worker is about to be blocked: leaves what it has to the others, and what its thread wakes
    /// as well, until the guard is dropped.
    pub(crate) fn step_out(self: &Rc<Self>) -> SteppedOut {
        while let Some(task) = self.next() {
            self.pool.inject(task);
        }
        self.get_help();
        CURRENT.with(|current| drop(ManuallyDrop::into_inner(current.replace(NOBODY))));
        SteppedOut(self.clone())
    }

    /// Asked every so many polls, as the poll interval says.
    #[cold]
    fn is_look_due(&self) -> bool {
        let now = clock::real_now();
        let counters = self.counters();
        let polls = counters.polls.get();
        let cost = (now - self.interval.last_reading())
            / (polls - self.polls_sampled.replace(polls)).max(1);
        counters.clock_read_at.set(now);
        let look = self.interval.sample(now)
            && (self.whom_to_ask().is_some() || !self.pool.injector.is_empty());
        if !self.in_doubt.take() {
            self.shared().note_poll_cost(cost);
            self.get_help_if_worth_it();
        }
        look || self.timers().earliest() <= now || self.pool.is_closed()
    }
}

/// See [`Worker::step_out`].
pub(crate) struct SteppedOut(Rc<Worker>);

impl Drop for SteppedOut {
    fn drop(&mut self) {
        CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(self.0.clone()))));
    }
}

/// See [`Worker::enter`].
pub(crate) struct Entered(());

impl Drop for Entered {
    fn drop(&mut self) {
        let worker = CURRENT.with(|current| current.replace(NOBODY));
        drop(ManuallyDrop::into_inner(worker));
    }
}
