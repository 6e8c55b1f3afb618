//! One worker of a pool: an event loop that steals.
//!
//! [`Worker::turn`] is the loop; what it does when nothing is ready is in `parking.rs`. It reads like the event loop's (`scheduler/event_loop.rs`), and what
//! differs is what more than one thread makes different: the messages are in the injector, a queue
//! that has run dry may be filled from a neighbour's, and before a worker sleeps it says so.
//!
//! What must hold:
//! - A worker that has work makes no system call, takes no lock and writes to no memory that others
//!   write to, but for the tasks themselves.
//! - What it unparks a neighbour for is weighed (`idle.rs`) each time the clock is read, every 64
//!   polls or 20 microseconds, not with each task.
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
    task::Waker,
};

use super::{Member, Pool, Runnable, Seat, Shared, idle::worth_stealing};
use crate::{
    clock,
    id::TaskIds,
    place::Name,
    primitives::Arc,
    reactor::{
        Found,
        shared::{SharedReactor, Woken},
    },
    run_queue::stealing::{Owner, Thief},
    scheduler::cadence::Cadence,
    stats::WorkerCounters,
    task::{
        join::JoinHandle,
        local,
        shared::{Ran, Schedule},
        spawned::End,
    },
    timer::{
        TimerKey,
        shared::{DueTimers, SharedTimers},
    },
    trace::{self, Event},
};

pub(crate) struct Worker {
    number: usize,
    pub(crate) pool: Arc<Pool>,
    member: Arc<Member>,
    queue: Owner<Runnable>,
    ids: TaskIds,
    pub(super) cadence: Cadence,
    /// How often the lifo slot may be used before the ring's turn.
    lifo_left: Cell<u32>,
    polling: Cell<bool>,
    /// It counts among those who search.
    pub(super) searching: Cell<bool>,
    /// Where the next search begins.
    next_victim: Cell<usize>,
    /// What is about to fire, kept for its memory.
    due: RefCell<DueTimers>,
    /// Who is about to be woken, kept for its memory.
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

const NOBODY: ManuallyDrop<Option<Rc<Worker>>> = ManuallyDrop::new(None);

thread_local! {
    // Without a destructor it is there to the thread's very end. The guard empties it.
    static CURRENT: RefCell<ManuallyDrop<Option<Rc<Worker>>>> =
        const { RefCell::new(NOBODY) };
}

impl Schedule for Member {
    /// Into the queue of this thread's worker, if that is one of the pool; else into the injector.
    #[inline]
    fn schedule(task: Runnable) {
        let mut task = Some(task);
        // An error: this thread is being torn down, and runs no worker any more.
        let _ = CURRENT.try_with(|current| {
            if let Some(worker) = &**current.borrow()
                && let Some(task) =
                    task.take_if(|task| Arc::ptr_eq(&worker.pool, &task.scheduler().pool))
            {
                worker.schedule(task);
            }
        });
        if let Some(task) = task {
            let member = task.scheduler().clone();
            member.pool.inject(task);
        }
    }

    fn ended(task: &Runnable, _end: End) {
        if let Some(home) = task.home() {
            let pool = &task.scheduler().pool;
            pool.owned[home.worker as usize].remove(task);
        }
    }
}

impl Worker {
    /// On the worker's own thread.
    pub(crate) fn new(seat: Seat) -> Self {
        let Seat { pool, number, queue } = seat;
        let settings = pool.settings.clone();
        Self {
            number,
            member: Pool::member(&pool, number),
            pool,
            queue,
            ids: TaskIds::new(),
            cadence: Cadence::new(clock::real_now(), settings.look_interval),
            lifo_left: Cell::new(settings.lifo_uses),
            polling: Cell::new(false),
            searching: Cell::new(false),
            next_victim: Cell::new(number + 1),
            due: RefCell::new(DueTimers::new()),
            woken: RefCell::default(),
            polls_sampled: Cell::new(0),
        }
    }

    /// Makes this worker the thread's, until the guard is dropped.
    pub(crate) fn enter(self: &Rc<Self>) -> Entered {
        CURRENT.with(|current| current.replace(ManuallyDrop::new(Some(self.clone()))));
        Entered(())
    }

    /// The pool as this worker's tasks know it.
    pub(crate) fn member(&self) -> &Arc<Member> {
        &self.member
    }

    /// Turns until the pool is closed. [`end`](Self::end) comes after it.
    pub(crate) fn run(&self) {
        while !self.pool.is_closed() {
            if let Err(error) = self.turn() {
                panic!("a worker cannot wait: {error}");
            }
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
        self.take_injected();
        // 2. The tasks that are ready, until something else is due.
        let batch = self.run_ready();
        // 3. What neighbours have too much of; failing that, what the reactor has.
        if batch == Batch::LookDue {
            self.look()?;
        } else if !self.find_work() {
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
        self.cadence.now().unwrap_or_else(|| self.read_clock())
    }

    /// Reads the clock, for all who ask until the next reading.
    #[cold]
    pub(super) fn read_clock(&self) -> u64 {
        let now = clock::real_now();
        self.cadence.set_now(now);
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

    pub(crate) fn reactor(&self) -> &SharedReactor {
        &self.shared().reactor
    }

    pub(crate) fn timers(&self) -> &Arc<SharedTimers> {
        &self.shared().timers
    }

    /// Asks the reactor without waiting.
    fn look(&self) -> io::Result<()> {
        self.cadence.looked();
        if self.reactor().len() == 0 {
            return Ok(());
        }
        let mut woken = self.woken.take();
        let found = self.reactor().look(&mut woken);
        self.counters().looks.add(1);
        let found = found?;
        trace::report(|| Event::Looked { found: found.events });
        self.wake(found, woken);
        Ok(())
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
    fn shared(&self) -> &Shared {
        &self.pool.workers[self.number]
    }

    pub(super) fn counters(&self) -> &WorkerCounters {
        &self.shared().counters
    }

    /// Moves this worker's share from the injector into its queue.
    #[inline]
    pub(crate) fn take_injected(&self) -> bool {
        let workers = self.pool.workers.len();
        let Some(first) = self.pool.injector.pop_share(&self.queue, workers) else { return false };
        self.counters().injected.add(1);
        self.push(first);
        true
    }

    fn run_ready(&self) -> Batch {
        while let Some(task) = self.next() {
            if self.searching.take() {
                self.end_search();
            }
            self.run_task(task);
            if self.cadence.count() && self.is_look_due() {
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
            self.get_help();
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
        let (task, handle) = Member::make_task(&self.member, future, self.ids.draw(), name, place);
        if let Some(task) = task {
            self.push(task);
            // A task that spawns many in one poll gets help before that poll is over.
            if self.queue.len() == self.pool.settings.help.backlog.saturating_add(1) {
                self.get_help();
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

    /// Asked every so many polls, as the cadence says.
    #[cold]
    fn is_look_due(&self) -> bool {
        let now = clock::real_now();
        let counters = self.counters();
        let polls = counters.polls.get();
        let cost = (now - self.cadence.last_reading())
            / (polls - self.polls_sampled.replace(polls)).max(1);
        counters.poll_cost.set(cost);
        counters.clock_read_at.set(now);
        let look = self.cadence.sample(now, false) && self.reactor().len() > 0;
        let waiting = self.queue.len() + self.pool.injector.len();
        if self.pool.settings.help.is_worth_it(waiting, cost) {
            self.get_help();
        }
        look || self.timers().earliest() <= now
            || !self.pool.injector.is_empty()
            || self.pool.is_closed()
    }

    /// Unparks a neighbour, if there is one that sleeps and none that searches anyway.
    fn get_help(&self) {
        if self.pool.idle.has_help()
            && let Some(neighbour) = self.pool.idle.pick()
        {
            self.counters().unparked.add(1);
            self.pool.unpark(Some(neighbour));
        }
    }

    /// The queue has run dry: looks for work in the injector, then at the neighbours.
    fn find_work(&self) -> bool {
        if self.take_injected() {
            return true;
        }
        if !self.searching.get() && !self.pool.idle.search() {
            return false;
        }
        self.searching.set(true);
        self.steal() || self.take_injected()
    }

    fn steal(&self) -> bool {
        let workers = self.pool.workers.len();
        let first = self.next_victim.get();
        for victim in (first..first + workers).map(|at| at % workers) {
            let Shared { thief, counters, .. } = &self.pool.workers[victim];
            if victim == self.number || !worth_stealing(thief.len(), counters.poll_cost.get()) {
                continue;
            }
            if self.steal_from(thief) {
                trace::report(|| Event::Stole { worker: victim });
                self.next_victim.set(victim);
                return true;
            }
        }
        false
    }

    /// Steals half of what waits in a neighbour's ring.
    pub(super) fn steal_from(&self, thief: &Thief<Runnable>) -> bool {
        let Some(task) = self.queue.steal_from(thief) else { return false };
        self.counters().steals.add(1);
        self.push(task);
        true
    }

    /// The search has brought work. The last to search unparks the next if there is more.
    #[cold]
    fn end_search(&self) {
        if self.pool.idle.found() {
            let waiting = self.queue.len() + self.pool.injector.len();
            let cost = self.counters().poll_cost.get();
            if self.pool.settings.help.is_worth_it(waiting, cost) {
                self.get_help();
            }
        }
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
