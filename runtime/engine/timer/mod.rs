//! A loop's timers: what to do at which moment, and when to wake up for it.
//!
//! `time::Sleep` inserts, re-arms and cancels (through `armed_timer.rs`); the scheduler asks when to
//! wake up and fires what is due, in the order of deadlines, equal ones in the order of creation. The
//! wheel is plain data (`wheel.rs`), and so is the decision when to wake up (`slack.rs`).
//!
//! One text serves both variants, for the two differ only in the shell around that data: an event
//! loop's [`LocalTimers`] are borrowed, a worker's [`SharedTimers`] are locked. A task moves between
//! workers, and its timer does not: it stays in the wheel it was inserted into, and fires there. So
//! other workers may cancel it or have it wake another waker; other threads may insert one; and while a
//! worker is stuck in a poll, another worker fires what is due. Mostly it is the worker itself, and then
//! the lock is free.
//!
//! Whether anything is due is asked in each turn, and costs one load: a moment no later than the
//! earliest deadline is kept beside the shell. It is written while the shell is open, so it is never
//! later than the wheel's own. It may be earlier: a cancelled timer leaves it as it was, unless it was
//! the last one.
//!
//! Wakers and calls are user code: none is cloned, called or dropped while the shell is open.
//!
//! **Alternative:** to post each insert and cancel to the owner, as other threads do to an event loop.
//! That needs no lock; and no other thread could fire the timers of a worker that is stuck.

use std::{cell::RefCell, fmt, mem, task::Waker};

pub(crate) use self::wheel::TimerKey;
use self::{
    slack::Slack,
    wheel::{Due, KEPT, Wheel},
};
use crate::engine::{
    base::{
        clock::NEVER,
        primitives::{AtomicU64, Mutex, Ordering, seeded},
        trace::{self, Cause, EventKind},
        user_code,
    },
    waiting::shell::Shell,
};

pub(crate) mod slack;
pub(crate) mod wheel;

/// Which of the two variants timers belong to.
pub(crate) trait Variant {
    /// What a timer can call.
    type Call: FnOnce();
    type Shell: Shell<TimerState<Self::Call>>;
}

/// The timers of an event loop.
pub(crate) enum InEventLoop {}

impl Variant for InEventLoop {
    type Call = Box<dyn FnOnce()>;
    type Shell = RefCell<TimerState<Self::Call>>;
}

/// The timers of a worker.
pub(crate) enum InWorker {}

impl Variant for InWorker {
    type Call = Box<dyn FnOnce() + Send>;
    type Shell = Mutex<TimerState<Self::Call>>;
}

pub(crate) type LocalTimers = Timers<InEventLoop>;
pub(crate) type SharedTimers = Timers<InWorker>;
pub(crate) type LocalAction = Action<<InEventLoop as Variant>::Call>;
pub(crate) type SharedAction = Action<<InWorker as Variant>::Call>;

/// What a timer does when it fires.
pub(crate) enum Action<C> {
    Wake(Waker),
    /// Boxed once more, so that an entry of the wheel has two words for it and not three.
    Call(Box<C>),
}

impl<C> From<Waker> for Action<C> {
    fn from(waker: Waker) -> Self {
        Self::Wake(waker)
    }
}

/// Nothing, in an entry that is vacant.
impl<C> Default for Action<C> {
    #[inline]
    fn default() -> Self {
        Self::Wake(Waker::noop().clone())
    }
}

pub(crate) struct Timers<V: Variant> {
    /// The identity of the event loop, or of the runtime.
    pub(crate) runtime_id: u64,
    /// No deadline is earlier. [`NEVER`]: none ever comes.
    earliest: AtomicU64,
    shell: V::Shell,
}

/// What is behind the shell.
pub(crate) struct TimerState<C> {
    wheel: Wheel<Action<C>>,
    /// Where due timers are sorted, kept for its memory.
    due: Vec<Due<Action<C>>>,
    slack: Slack,
    closed: bool,
}

impl<V: Variant> Timers<V> {
    pub(crate) fn new(runtime_id: u64) -> Self {
        let core =
            TimerState { wheel: Wheel::new(), due: Vec::new(), slack: Slack::new(), closed: false };
        Self { runtime_id, earliest: AtomicU64::new(NEVER), shell: V::Shell::around(core) }
    }

    /// A moment no later than the earliest deadline; [`NEVER`] if none ever comes.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        self.earliest.load(Ordering::Relaxed)
    }

    /// Whether nothing will ever fire.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.earliest() == NEVER
    }

    pub(crate) fn len(&self) -> usize {
        self.shell.open().wheel.len()
    }

    /// Does `action` at `deadline`. Also tells whether no other timer is earlier: if its worker has parked,
    /// the reactor's alarm must be set anew then (`Pool::insert_timer`). The action
    /// comes back if the loop is closed, and nothing fires any more.
    #[inline]
    pub(crate) fn insert(
        &self,
        deadline: u64,
        action: impl Into<Action<V::Call>>,
    ) -> Result<(TimerKey, bool), Action<V::Call>> {
        let action = action.into();
        let mut core = self.shell.open();
        if core.closed {
            return Err(action);
        }
        let key = core.wheel.insert(deadline, action);
        let is_first = deadline < self.earliest();
        if seeded("timers_insert_notes_unlocked") {
            drop(core);
        }
        if is_first {
            self.earliest.store(deadline, Ordering::Relaxed);
        }
        Ok((key, is_first))
    }

    /// Has the timer wake `waker`. `false` if it has fired, even if it did so just now and woke the
    /// waker it had before.
    pub(crate) fn set_waker(&self, key: TimerKey, waker: &Waker) -> bool {
        // `will_wake` compares two words: no user code.
        let kept = self.shell.open().wheel.get_mut(key).map(|action| action.will_wake(waker));
        match kept {
            None => return false,
            Some(true) => return true,
            Some(false) => {}
        }
        let mut action = Action::from(waker.clone());
        let armed = match self.shell.open().wheel.get_mut(key) {
            Some(kept) => {
                mem::swap(kept, &mut action);
                true
            }
            None => seeded("timers_lose_a_new_waker"),
        };
        drop(action);
        armed
    }

    /// Moves a deadline. `false` if the timer has fired. No thread is unparked for it: only for timers of
    /// the loop that runs this thread.
    pub(crate) fn re_arm(&self, key: TimerKey, deadline: u64) -> bool {
        let mut core = self.shell.open();
        let armed = core.wheel.re_arm(key, deadline);
        if armed && deadline < self.earliest() {
            self.earliest.store(deadline, Ordering::Relaxed);
        }
        armed
    }

    /// Takes the timer out. Its action is dropped by the caller.
    #[inline]
    #[must_use]
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Action<V::Call>> {
        let mut core = self.shell.open();
        let action = core.wheel.cancel(key)?;
        if core.wheel.len() == 0 {
            self.earliest.store(NEVER, Ordering::Relaxed);
        }
        Some(action)
    }

    /// A moment no later than the earliest deadline, and exact if few timers are due then.
    pub(crate) fn next_deadline(&self) -> u64 {
        if self.is_empty() { NEVER } else { self.look_up_next(&mut self.shell.open()) }
    }

    /// When to wake up: at the next deadline, or somewhat later if timers are dense.
    pub(crate) fn wake_up_at(&self) -> u64 {
        if self.is_empty() {
            return NEVER;
        }
        let mut core = self.shell.open();
        let next = self.look_up_next(&mut core);
        if next == NEVER { NEVER } else { core.slack.wake_up_at(next, &core.wheel) }
    }

    fn look_up_next(&self, core: &mut TimerState<V::Call>) -> u64 {
        let next = core.wheel.next_deadline().unwrap_or(NEVER);
        if !seeded("timers_keep_an_old_deadline") {
            self.earliest.store(next, Ordering::Relaxed);
        }
        next
    }

    /// Fires what is due at `now`. Returns how many that were.
    #[inline]
    pub(crate) fn fire(&self, now: u64) -> usize {
        if self.earliest() > now { 0 } else { self.fire_due(now) }
    }

    fn fire_due(&self, now: u64) -> usize {
        let mut due = {
            let mut core = self.shell.open();
            let mut due = mem::take(&mut core.due);
            core.wheel.expire(now, &mut due);
            core.slack.fired(now, due.len());
            let next = core.wheel.next_deadline().unwrap_or(NEVER);
            if seeded("timers_fire_notes_unlocked") {
                drop(core);
            }
            self.earliest.store(next, Ordering::Relaxed);
            due
        };
        let fired = due.len();
        if fired == 0 {
            return 0;
        }
        for Due { id, value: action, .. } in due.drain(..) {
            if trace::on() {
                trace::report(|| EventKind::Fired { timer: id });
                let before = trace::set_cause(Cause::Timer(id));
                action.run();
                trace::set_cause(before);
            } else {
                action.run();
            }
        }
        due.shrink_to(KEPT);
        self.shell.open().due = due;
        fired
    }

    /// The loop is closed, and takes no timer any more. Those who wait are woken; calls are dropped.
    /// Returns how many timers there were.
    pub(crate) fn close(&self) -> usize {
        let left = self.take_all();
        let count = left.len();
        left.into_iter().for_each(Action::give_up);
        count
    }

    fn take_all(&self) -> Vec<Action<V::Call>> {
        if seeded("timers_close_in_two_steps") {
            let left = self.shell.open().wheel.take_all();
            self.shell.open().closed = true;
            return left;
        }
        let mut core = self.shell.open();
        core.closed = true;
        core.due = Vec::new();
        self.earliest.store(NEVER, Ordering::Relaxed);
        core.wheel.take_all()
    }
}

impl<C> Action<C> {
    fn will_wake(&self, waker: &Waker) -> bool {
        matches!(self, Self::Wake(kept) if kept.will_wake(waker))
    }
}

impl<C: FnOnce()> Action<C> {
    /// Does it. A panic of one is reported, and harms none of the others.
    fn run(self) {
        match self {
            Self::Wake(waker) => user_code::wake(waker),
            Self::Call(call) => user_code::call("a closure called by a timer", *call),
        }
    }

    /// Its moment never comes: a task that waits for it is polled, and a call is dropped.
    fn give_up(self) {
        match self {
            Self::Wake(waker) => user_code::wake(waker),
            Self::Call(call) => user_code::call("a closure that a timer held", || drop(call)),
        }
    }
}

impl<V: Variant> fmt::Debug for Timers<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("len", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "timers_tests.rs"]
mod tests;
