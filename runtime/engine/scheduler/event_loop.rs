//! The single-threaded loop, whole.
//!
//! [`Core::turn`] is the loop: asyncio's `_run_once`, in one function. Everything else here is a step
//! of it, or stands in `waiting.rs`. The loop owns its table of tasks, its timers and its reactor; what
//! users call (`runtime/event_loop.rs`, `handle.rs`) and the leaf futures reach them through
//! `current.rs`.
//!
//! What must hold:
//! - What a task wakes during a turn runs in the next: a turn runs as many tasks as were ready when it
//!   began. A batch that is cut short keeps its place at the front of the queue.
//! - Nothing keeps the loop from its reactor, timers and inbox for long: not the tasks of a batch, not
//!   the messages of other threads. `poll_interval.rs` says how long.
//! - It parks only with an empty run queue, after the inbox agreed that no message is left.
//!
//! **Alternative:** one loop type for both variants of the runtime. Then every task pays for threads that
//! a single-threaded program does not have.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt, io,
    rc::Rc,
    sync::Arc as StdArc,
    time::Duration,
};

use super::{
    poll_interval::PollInterval,
    remote::Remote,
    spin::{Spin, several_processors},
};
use crate::engine::{
    base::{
        clock::{Clock, NEVER, nanos},
        id::{TaskId, TaskIds},
        locals::SetAside,
        location::Origin,
        primitives::Arc,
        stats::{Counters, Stats},
        trace::{self, Cause, EventKind, Stamp},
        user_code,
    },
    blocking::BlockingPool,
    inbox::{self, Address, Inbox, Message, Number},
    reactor::{Found, Reactor},
    task::{
        join::JoinHandle,
        key::Key,
        local::{self, Root, Table},
        spawned::{NewTask, Spawned, SpawnedSend},
        tasks::BatchEnd,
    },
    timer::LocalTimers,
};

/// What a loop is made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) clock: Clock,
    pub(crate) spin_before_park: bool,
    /// Polls between two looks while tasks are ready; 0: by time.
    pub(crate) look_interval: u32,
    pub(crate) blocking_threads: usize,
    pub(crate) blocking_queue: usize,
}

impl Settings {
    pub(crate) fn usual() -> Self {
        Self {
            clock: Clock::Real,
            look_interval: 0,
            spin_before_park: false,
            blocking_threads: 64,
            blocking_queue: 1024,
        }
    }
}

/// Polls between two looks under a test clock.
const TEST_INTERVAL: u32 = 64;
/// Intervals after which a loop that does not park gives back the memory of a burst that is over.
const TIDY_EVERY: u64 = 256;

/// An event loop's parts. One thread's alone.
pub(crate) struct Core {
    pub(crate) id: u64,
    number: Number,
    pub(crate) inbox: &'static Inbox,
    /// Those that were taken from the inbox and not handled yet.
    messages: RefCell<VecDeque<Message>>,
    pub(crate) table: Rc<Table>,
    ids: TaskIds,
    pub(crate) timers: LocalTimers,
    pub(crate) reactor: Reactor,
    pub(super) clock: Clock,
    pub(crate) remote: StdArc<Remote>,
    /// Shared with the loop's handles, which read them.
    pub(crate) counters: StdArc<Counters>,
    pub(super) interval: PollInterval,
    pub(super) spin: Option<RefCell<Spin>>,
    /// There is, or was, a source to look at.
    has_sources: Cell<bool>,
    /// The poll interval was over, and with it the turn's batch: it is time for a look.
    look_due: Cell<bool>,
    /// What `clock_samples` was when memory was last given back.
    tidied_at: Cell<u64>,
    /// The moment the reactor's alarm is set for; [`NEVER`] if it is not, or was seen to ring.
    pub(super) alarm_at: Cell<u64>,
    turning: Cell<bool>,
    /// Its host waits for it: the inbox says that it is parked.
    is_left_to_host: Cell<bool>,
    pub(super) stopping: Cell<bool>,
}

/// How long a turn may wait when nothing is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// For ever, and as many turns as the root future takes.
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
        let mut look_interval = settings.look_interval;
        if let Clock::Test(clock) = &settings.clock {
            // Its time stands still while tasks are polled.
            look_interval = if look_interval == 0 { TEST_INTERVAL } else { look_interval };
            clock.listen(id, StdArc::new(move || inbox.unpark(id)));
        }
        let Settings { blocking_threads, blocking_queue, .. } = settings;
        let blocking = Arc::new(BlockingPool::new(blocking_threads, blocking_queue));
        let address = Address { loop_id: id, inbox };
        let counters = StdArc::<Counters>::default();
        Ok(Self {
            id,
            inbox,
            messages: RefCell::default(),
            table: Rc::new(Table::new(number.get(), number.first_generation, counters.clone())),
            number,
            ids: TaskIds::new(),
            timers: LocalTimers::new(id),
            reactor,
            clock: settings.clock.clone(),
            remote: StdArc::new(Remote::new(address, blocking, settings.clock, counters.clone())),
            counters,
            interval: PollInterval::new(now, look_interval),
            spin: (settings.spin_before_park && several_processors())
                .then(|| RefCell::new(Spin::new(now))),
            has_sources: Cell::new(false),
            look_due: Cell::new(false),
            tidied_at: Cell::new(0),
            alarm_at: Cell::new(NEVER),
            turning: Cell::new(false),
            is_left_to_host: Cell::new(false),
            stopping: Cell::new(false),
        })
    }

    /// Turns until the root future has ended.
    pub(crate) fn run(&self, mut root: Root<'_>) -> io::Result<()> {
        while self.turn(&mut root, Limit::UntilEnded)? != BatchEnd::RootEnded {}
        Ok(())
    }

    // ANCHOR: turn
    /// One trip round the loop.
    #[inline(always)]
    pub(crate) fn turn(&self, root: &mut Root<'_>, limit: Limit) -> io::Result<BatchEnd> {
        self.counters.turns.add(1);
        let done_before = self.work_done();
        // 1. What other threads sent: wakes, futures, closures.
        if self.inbox.is_notified() {
            self.handle_messages();
        }
        // 2. The tasks that were ready when the turn began. What they wake waits for the next.
        let batch = self.table.run_batch(root, || self.is_batch_over());
        // 3. What the reactor has: a look if one is due, a wait if nothing is ready.
        if self.look_due.get() {
            self.look()?;
        } else if batch == BatchEnd::NothingReady {
            self.wait_for_something(limit.after(self.work_done() - done_before))?;
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

    /// Handles the messages there are, until they or the poll interval are over. What they send in their
    /// turn, and what is left, waits for the next turn.
    #[cold]
    fn handle_messages(&self) {
        self.inbox.take(&mut self.messages.borrow_mut());
        let before = trace::set_cause(Cause::Thread);
        loop {
            let message = self.messages.borrow_mut().pop_front();
            // Asked also if there is none: the loop can be notified without a message, again and again.
            let is_over = message.is_none() | self.is_interval_over();
            match message {
                Some(Message::Wake(key)) => self.table.wake(Key::from_bits(key)),
                Some(Message::Call(call)) => {
                    user_code::call("a closure sent to an event loop", call)
                }
                None => break,
            }
            self.counters.messages.add(1);
            if is_over {
                break;
            }
        }
        trace::set_cause(before);
        if !self.messages.borrow().is_empty() {
            self.inbox.notify_oneself();
        }
        if self.look_due.get() {
            // The tasks have an interval of their own: else a flood of messages would leave them no time.
            self.interval.looked();
        }
    }

    /// Asked after each poll: whether the rest of the batch waits until something else was done. With
    /// nothing to look for, no clock is read.
    #[inline(always)]
    fn is_batch_over(&self) -> bool {
        let is_watching = self.has_sources.get() || !self.timers.is_empty();
        (is_watching || self.inbox.is_notified()) && self.is_interval_over()
    }

    /// Counts a poll, or a message: whether it is time to do something else.
    #[inline(always)]
    fn is_interval_over(&self) -> bool {
        self.interval.is_over() && self.is_look_due()
    }

    /// The poll interval is over: whether there is something to look for, or a message.
    #[cold]
    fn is_look_due(&self) -> bool {
        self.has_sources.set(self.reactor.len() > 0);
        self.counters.clock_samples.add(1);
        let now = self.clock.now();
        let has_news = self.has_sources.get() || self.inbox.is_notified();
        let look = self.interval.sample(now) && has_news;
        let is_due = look || self.timers.earliest() <= now;
        if is_due {
            self.look_due.set(true);
        }
        is_due
    }

    /// Asks the reactor without waiting.
    pub(super) fn look(&self) -> io::Result<usize> {
        self.look_due.set(false);
        self.interval.looked();
        if self.counters.clock_samples.get() - self.tidied_at.get() >= TIDY_EVERY {
            self.give_back();
        }
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

    /// Wakes what waited for what the reactor found.
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
            Clock::Real => self.interval.now().unwrap_or_else(|| self.read_clock()),
            Clock::Test(_) => self.clock.now(),
        }
    }

    /// Reads the real clock, for all that ask until the next reading.
    #[cold]
    pub(super) fn read_clock(&self) -> u64 {
        let now = self.clock.now();
        self.interval.set_now(now);
        now
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Spawns a task onto this loop, from its own thread.
    #[inline]
    pub(crate) fn spawn<T>(&self, new: NewTask<Spawned, T>) -> JoinHandle<T> {
        let (task, origin, handle) = new.identify(self.ids.draw(), &local::REACH);
        self.counters.spawned.add(1);
        // A table that refuses drops the task, and the handle says cancelled.
        let _ = self.table.spawn(origin, |key| {
            task.set_key(key.bits());
            task
        });
        handle
    }

    /// Spawns a task that another thread sent.
    pub(crate) fn spawn_sent(&self, origin: Origin, task: SpawnedSend) {
        self.counters.spawned.add(1);
        let task = task.into_local();
        let _ = self.table.spawn(origin, |key| {
            task.publish_key(key.bits());
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
        self.has_sources.set(true);
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
        Turning { core: self, _outer: SetAside::new() }
    }

    /// Asks `run_forever` to return.
    pub(crate) fn stop(&self) {
        self.stopping.set(true);
    }

    /// Whether it was asked, and not answered yet.
    pub(crate) fn take_stop(&self) -> bool {
        self.stopping.replace(false)
    }

    /// Leaves the loop to its host: what comes next makes its descriptor readable. `false`: there is
    /// something to do already.
    pub(crate) fn leave_to_host(&self) -> io::Result<bool> {
        if self.table.is_ready() || self.inbox.is_notified() {
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
        let may_wait = self.inbox.leave_to_host();
        self.is_left_to_host.set(may_wait);
        Ok(may_wait)
    }

    /// Ends the host's wait, if the loop was left to it.
    pub(crate) fn unpark_host(&self) {
        if self.is_left_to_host.get() {
            self.inbox.unpark(self.id);
        }
    }

    /// Takes the loop back from its host, if it was left to one.
    pub(crate) fn resume(&self) {
        if self.is_left_to_host.replace(false) {
            self.inbox.host_is_back();
        }
    }

    /// Gives back the memory of a burst that is over.
    pub(super) fn give_back(&self) {
        self.tidied_at.set(self.counters.clock_samples.get());
        self.table.give_back();
        inbox::give_back(&mut self.messages.borrow_mut());
    }

    /// Drops the blocking calls that have not begun and all tasks, then wakes all else that waits on this
    /// loop's timers and sources. Called once, with the loop entered. Returns how many tasks were left.
    pub(crate) fn close(&self) -> usize {
        if let Clock::Test(clock) = &self.clock {
            clock.unlisten(self.id);
        }
        let (messages, unparker) = self.inbox.close();
        // Each by itself: a panic in the drop of one must not meet that of another.
        for message in self.messages.take().into_iter().chain(messages) {
            user_code::call("a message to a loop that is gone", || drop(message));
        }
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
pub(crate) struct Turning<'a> {
    core: &'a Core,
    /// The values of the task that turns the loop, which are not those of the loop's own.
    _outer: SetAside,
}

impl Drop for Turning<'_> {
    fn drop(&mut self) {
        self.core.turning.set(false);
    }
}

impl Limit {
    pub(crate) fn of(timeout: Option<Duration>) -> Self {
        timeout.map_or(Self::Forever, |timeout| Self::Nanos(nanos(timeout)))
    }

    /// How long that is; `None`: for ever.
    pub(super) fn nanos(self) -> Option<u64> {
        match self {
            Self::UntilEnded | Self::Forever | Self::UntilStopped => None,
            Self::Nanos(limit) => Some(limit),
        }
    }

    /// How long to wait in a turn that has done so much. `EventLoop::turn` returns once it has done anything;
    /// `block_on` and `run_forever` go on to wait.
    #[inline]
    fn after(self, work_done: u64) -> Self {
        match self {
            Self::Forever | Self::Nanos(_) if work_done > 0 => Self::Nanos(0),
            limit => limit,
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
