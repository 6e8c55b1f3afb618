//! The single-threaded loop, whole.
//!
//! [`Core::turn`] is the loop: asyncio's `_run_once`, in one function. Everything else here is a step
//! of it, or stands in `waiting.rs`. The loop owns its table of tasks, its timers and its reactor; the
//! front door (`runtime/event_loop.rs`, `handle.rs`) and the leaf futures reach them through
//! `current.rs`.
//!
//! What must hold:
//! - What a task wakes during a turn runs in the next: a turn runs as many runnables as were ready
//!   when it began. A batch that is cut short for a look keeps its place at the front of the queue.
//! - The loop is not blind for long: `cadence.rs` says when to look at the reactor while tasks are
//!   ready.
//! - It parks only with an empty run queue, after the inbox agreed that no message is left.
//!
//! The rival, one loop type for both variants of the runtime, makes every task pay for threads that a
//! single-threaded program does not have.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    rc::Rc,
    sync::Arc as StdArc,
    time::Duration,
};

use super::{
    cadence::Cadence,
    ledger::{Ledger, several_processors},
    remote::Remote,
};
use crate::engine::{
    base::{
        clock::{Clock, NEVER, nanos},
        foreign,
        id::{TaskId, TaskIds},
        place::Origin,
        primitives::Arc,
        stats::{Counters, Stats},
        trace::{self, Cause, EventKind, Stamp},
    },
    blocking::Pool,
    inbox::{Address, Inbox, Message, Number},
    reactor::{Found, Reactor},
    task::{
        join::JoinHandle,
        key::Key,
        local::{self, Root, Table},
        spawned::{NewTask, Spawned, SpawnedSend},
        tasks::Batch,
    },
    timer::LocalTimers,
};

/// What a loop is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) look_before_parking: bool,
    /// Polls between two looks while tasks are ready; 0: as time goes by.
    pub(crate) look_interval: u32,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_queue: usize,
}

impl Settings {
    pub(crate) fn usual() -> Self {
        Self {
            clock: Clock::Real,
            look_interval: 0,
            look_before_parking: several_processors(),
            blocking_threads: 64,
            blocking_queue: 1024,
        }
    }
}

/// An event loop's parts. One thread's alone.
pub(crate) struct Core {
    pub(crate) id: u64,
    number: Number,
    pub(crate) inbox: &'static Inbox,
    messages: RefCell<Vec<Message>>,
    pub(crate) table: Rc<Table>,
    ids: TaskIds,
    pub(crate) timers: LocalTimers,
    pub(crate) reactor: Reactor,
    pub(super) clock: Clock,
    pub(crate) remote: StdArc<Remote>,
    /// Shared with the loop's handles, which read them.
    pub(crate) counters: StdArc<Counters>,
    pub(super) cadence: Cadence,
    pub(super) ledger: Option<RefCell<Ledger>>,
    /// The moment the reactor's alarm is set for; [`NEVER`] if it is not, or was seen to ring.
    pub(super) alarm_at: Cell<u64>,
    turning: Cell<bool>,
    /// Left to its host, with the inbox's word on parked.
    resting: Cell<bool>,
    pub(super) stopping: Cell<bool>,
}

/// How long a turn may wait when nothing is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// For ever, and as many turns as it takes: the root future's end is all that is asked for.
    UntilEnded,
    /// For ever, in the one turn that a host asked for, if it finds nothing to do.
    Forever,
    /// For ever, unless the loop was asked to stop.
    UntilStopped,
    /// So long, likewise.
    Nanos(u64),
}

impl Core {
    pub(crate) fn new(settings: Settings, forget: fn(Address, mio::Token)) -> io::Result<Self> {
        let number = Number::draw()?;
        let id = crate::engine::base::id::draw_loop_id();
        let inbox = crate::engine::inbox::find(number.get()).expect("a drawn number has an inbox");
        let (reactor, unparker) = Reactor::new(id, inbox, forget)?;
        inbox.open(id, Arc::new(unparker));
        let now = settings.clock.now();
        if let Clock::Test(clock) = &settings.clock {
            clock.listen(id, std::sync::Arc::new(move || inbox.nudge(id)));
        }
        let Settings { blocking_threads, blocking_queue, .. } = settings;
        let blocking = Arc::new(Pool::new(blocking_threads, blocking_queue));
        let address = Address { loop_id: id, inbox };
        let counters = StdArc::<Counters>::default();
        Ok(Self {
            id,
            inbox,
            messages: RefCell::default(),
            table: Rc::new(Table::new(number.get(), number.first_generation)),
            number,
            ids: TaskIds::new(),
            timers: LocalTimers::new(id),
            reactor,
            clock: settings.clock.clone(),
            remote: StdArc::new(Remote::new(address, blocking, settings.clock, counters.clone())),
            counters,
            cadence: Cadence::new(now, settings.look_interval),
            ledger: settings.look_before_parking.then(|| RefCell::new(Ledger::new(now))),
            alarm_at: Cell::new(NEVER),
            turning: Cell::new(false),
            resting: Cell::new(false),
            stopping: Cell::new(false),
        })
    }

    /// Turns until the root future has ended.
    pub(crate) fn run(&self, mut root: Root<'_>) -> io::Result<()> {
        while self.turn(&mut root, Limit::UntilEnded)? != Batch::RootEnded {}
        Ok(())
    }

    // ANCHOR: turn
    /// One trip round the loop. (For `block_on`, also the turns after it, while they are quiet: see
    /// [`run_ready`](Self::run_ready).)
    #[inline(always)]
    pub(crate) fn turn(&self, root: &mut Root<'_>, limit: Limit) -> io::Result<Batch> {
        self.counters.turns.add(1);
        let done_before = self.work_done();
        // 1. What other threads left: wakes, futures, closures.
        if self.inbox.has_news() {
            self.take_messages();
        }
        // 2. The tasks that were ready when the turn began. What they wake waits for the next.
        let batch = self.run_ready(root, limit);
        // 3. What the reactor has: a look while tasks are ready, else a wait.
        match batch {
            Batch::LookDue => drop(self.look()?),
            Batch::Dry if self.work_done() == done_before => self.wait_for_something(limit)?,
            Batch::Dry => self.wait_for_something(limit.after_work())?,
            Batch::Done | Batch::RootEnded => {}
        }
        // 4. The timers that are due.
        if !self.timers.is_empty() {
            self.counters.timers_fired.add(self.timers.fire(self.now()) as u64);
        }
        Ok(batch)
    }
    // END: turn

    /// A number that grows with each poll and each message.
    #[inline(always)]
    fn work_done(&self) -> u64 {
        self.counters.polls.get() + self.counters.messages.get()
    }

    #[cold]
    fn take_messages(&self) {
        let mut messages = self.messages.take();
        self.inbox.take(&mut messages);
        self.counters.messages.add(messages.len() as u64);
        let before = trace::set_cause(Cause::Thread);
        for message in messages.drain(..) {
            match message {
                Message::Wake(key) => self.table.wake(Key::from_bits(key)),
                Message::Call(call) => foreign::call("a closure sent to an event loop", call),
            }
        }
        trace::set_cause(before);
        self.messages.replace(messages);
    }

    #[inline]
    fn run_ready(&self, root: &mut Root<'_>, limit: Limit) -> Batch {
        let is_look_due = || self.cadence.count() && self.is_look_due();
        // A turn whose steps 1, 3 and 4 have nothing to do begins here, where the last one ends. Not for
        // a host, who asked for one, nor for `run_forever`, which asks after each whether to stop.
        let next_turn = || {
            if limit != Limit::UntilEnded || self.inbox.has_news() || !self.timers.is_empty() {
                return false;
            }
            self.counters.turns.add(1);
            true
        };
        self.table.run_batch(root, &self.counters, is_look_due, next_turn)
    }

    /// Asked every so many polls, as the cadence says.
    #[cold]
    fn is_look_due(&self) -> bool {
        let has_sources = self.reactor.len() > 0;
        if !has_sources && self.timers.is_empty() {
            self.cadence.rest();
            return false;
        }
        self.counters.clock_samples.add(1);
        let now = self.clock.now();
        let stands_still = matches!(self.clock, Clock::Test(_));
        let look = self.cadence.sample(now, stands_still);
        (has_sources && look) || self.timers.earliest() <= now
    }

    /// Asks the reactor without waiting.
    pub(super) fn look(&self) -> io::Result<usize> {
        self.cadence.looked();
        if self.reactor.len() == 0 {
            return Ok(0);
        }
        self.counters.looks.add(1);
        let found = self.ask_reactor(Some(Duration::ZERO))?;
        self.counters.events.add(found.events as u64);
        trace::report(|| EventKind::Looked { found: found.events });
        self.wake_found();
        Ok(found.events)
    }

    /// Wakes whoever waited for what the reactor found.
    pub(super) fn wake_found(&self) {
        self.reactor.wake_found(local::wake_waiter);
    }

    /// Asks the reactor, which wakes the loop's own tasks at once and leaves the others for
    /// [`wake_found`](Self::wake_found).
    #[inline]
    pub(super) fn ask_reactor(&self, timeout: Option<Duration>) -> io::Result<Found> {
        let found = self.reactor.wait(timeout, self.table.waking())?;
        if found.alarm {
            self.alarm_at.set(NEVER);
        }
        Ok(found)
    }

    /// The loop's time: of this turn, not to the nanosecond, and never ahead of the clock.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match &self.clock {
            Clock::Real => self.cadence.now().unwrap_or_else(|| self.read_clock()),
            Clock::Test(_) => self.clock.now(),
        }
    }

    /// Reads the real clock, for all who ask until the next reading.
    #[cold]
    pub(super) fn read_clock(&self) -> u64 {
        let now = self.clock.now();
        self.cadence.set_now(now);
        now
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Spawns a task onto this loop, from its own thread.
    #[inline]
    pub(crate) fn spawn<T>(&self, new: NewTask<Spawned, T>) -> JoinHandle<T> {
        let (task, origin, handle) = new.identify(self.ids.draw(), local::wake_bits);
        self.counters.spawned.add(1);
        // A table that refuses drops the task, and the handle says cancelled.
        let _ = self.table.spawn(origin, |key| {
            task.set_address(key.bits());
            task
        });
        handle
    }

    /// Spawns a task that another thread sent.
    pub(crate) fn spawn_sent(&self, origin: Origin, task: SpawnedSend) {
        self.counters.spawned.add(1);
        let task = task.into_local();
        let _ = self.table.spawn(origin, |key| {
            task.publish_address(key.bits());
            task
        });
    }

    /// When and where something happens on this loop, for the trace.
    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { at: self.clock.now(), turn: self.counters.turns.get(), worker: None }
    }

    pub(crate) fn draw_task_id(&self) -> TaskId {
        self.ids.draw()
    }

    pub(crate) fn address(&self) -> Address {
        self.remote.address
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.read()
    }

    pub(crate) fn count_registration(&self) {
        self.counters.registrations.add(1);
    }

    /// Marks the loop as turning, until the guard is dropped.
    #[track_caller]
    pub(crate) fn begin_turning(&self) -> Turning<'_> {
        assert!(
            !self.turning.replace(true),
            "this event loop is turning already: `block_on`, `turn` and `run_forever` cannot be \
             called from its own tasks. Await the future instead, or spawn it"
        );
        Turning(self)
    }

    /// Asks `run_forever` to return.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
    }

    /// Whether it was asked, and not answered yet.
    pub(crate) fn take_stop(&self) -> bool {
        self.stopping.replace(false)
    }

    /// Leaves the loop to its host: whatever comes next makes its descriptor readable. `false`: there
    /// is something to do already.
    pub(crate) fn rest(&self) -> io::Result<bool> {
        if self.table.is_ready() || self.inbox.has_news() {
            return Ok(false);
        }
        let next = self.timers.wake_up_at();
        if next != NEVER {
            let now = self.clock.now();
            match &self.clock {
                _ if next <= now => return Ok(false),
                Clock::Real if next < self.alarm_at.get() => self.set_alarm(now, next)?,
                Clock::Real => {}
                // The next turn has the clock jump.
                Clock::Test(clock) if clock.may_advance() => return Ok(false),
                Clock::Test(_) => {}
            }
        }
        let rests = self.inbox.park();
        self.resting.set(rests);
        Ok(rests)
    }

    /// Ends the host's wait, if the loop was left to it.
    pub(crate) fn rouse(&self) {
        if self.resting.get() {
            self.inbox.nudge(self.id);
        }
    }

    /// Takes the loop back from its host.
    pub(crate) fn resume(&self) {
        self.resting.set(false);
        self.inbox.unparked();
    }

    /// Drops the blocking calls that have not begun and all tasks, then wakes whoever else counted on this
    /// loop's timers and sources. Called once, with the loop entered. Returns how many tasks were left.
    pub(crate) fn close(&self) -> usize {
        if let Clock::Test(clock) = &self.clock {
            clock.unlisten(self.id);
        }
        let (messages, unparker) = self.inbox.close();
        foreign::call("a message to a loop that is gone", || drop(messages));
        self.remote.blocking.close();
        let left = self.table.close();
        self.timers.close();
        self.reactor.close().into_iter().for_each(local::wake_waiter);
        drop(unparker);
        self.number.retire(self.table.next_generation());
        left
    }
}

/// See [`Core::begin_turning`].
#[derive(Debug)]
pub(crate) struct Turning<'a>(&'a Core);

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.0.turning.set(false);
    }
}

impl Limit {
    pub(crate) fn of(timeout: Option<Duration>) -> Self {
        timeout.map_or(Self::Forever, |timeout| Self::Nanos(nanos(timeout)))
    }

    /// How long to wait in a turn that has done something. A host may have waited for just that, and wants
    /// its turn back; whoever asked for more than a turn does not.
    #[inline]
    fn after_work(self) -> Self {
        match self {
            Self::Forever | Self::Nanos(_) => Self::Nanos(0),
            Self::UntilEnded | Self::UntilStopped => self,
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventLoop")
            .field("id", &self.id)
            .field("tasks", &self.table)
            .field("timers", &self.timers)
            .field("reactor", &self.reactor)
            .finish_non_exhaustive()
    }
}
