//! A loop's timers: a wheel of wakers, and when to wake up for them.
//!
//! `time::Sleep` inserts, re-arms and cancels; the loop asks when to wake up and fires what is due.
//! Due timers fire in the order of their deadlines, equal ones in the order of creation.
//!
//! The wheel is plain data (`wheel.rs`), and so is the decision when to wake up (`pace.rs`). This is
//! the shell around them of a loop that shares them with nobody; a worker's is in `shared.rs`.

use std::{
    cell::{Cell, RefCell},
    fmt,
    task::Waker,
};

pub(crate) use self::wheel::TimerKey;
use self::{
    pace::Pace,
    wheel::{Due, Wheel},
};
use crate::engine::base::{
    foreign,
    trace::{self, Cause, EventKind},
};

pub(crate) mod pace;
pub(crate) mod shared;
pub(crate) mod wheel;

pub(crate) struct Timers {
    wheel: RefCell<Wheel<Waker>>,
    /// Timers in the wheel. Each turn asks, and need not open it.
    len: Cell<usize>,
    /// Where due timers are sorted, kept for its memory.
    due: RefCell<Vec<Due<Waker>>>,
    pace: RefCell<Pace>,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self {
            wheel: RefCell::new(Wheel::new()),
            len: Cell::new(0),
            due: RefCell::new(Vec::new()),
            pace: RefCell::new(Pace::new()),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }

    /// Wakes `waker` at `deadline`. Wakers are foreign: the caller cloned it in the open.
    #[inline]
    pub(crate) fn insert(&self, deadline: u64, waker: Waker) -> TimerKey {
        let key = self.wheel.borrow_mut().insert(deadline, waker);
        self.len.set(self.len.get() + 1);
        key
    }

    /// Has the timer wake `waker` instead. The waker that is not kept comes back, to be dropped in
    /// the open; as an error if the timer has fired.
    pub(crate) fn replace_waker(&self, key: TimerKey, waker: Waker) -> Result<Waker, Waker> {
        match self.wheel.borrow_mut().get_mut(key) {
            Some(kept) => Ok(std::mem::replace(kept, waker)),
            None => Err(waker),
        }
    }

    /// Whether the timer has not fired, and would wake whom `waker` wakes.
    pub(crate) fn will_wake(&self, key: TimerKey, waker: &Waker) -> Option<bool> {
        // `will_wake` compares two words: no foreign code.
        self.wheel.borrow_mut().get_mut(key).map(|kept| kept.will_wake(waker))
    }

    /// Moves a deadline. `false` if the timer has fired.
    pub(crate) fn re_arm(&self, key: TimerKey, deadline: u64) -> bool {
        self.wheel.borrow_mut().re_arm(key, deadline)
    }

    /// Takes the timer out. Its waker is dropped by the caller.
    #[inline]
    #[must_use]
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        let waker = self.wheel.borrow_mut().cancel(key)?;
        self.len.set(self.len.get() - 1);
        Some(waker)
    }

    /// A moment no later than the earliest deadline.
    #[inline]
    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.wheel.borrow_mut().next_deadline()
    }

    /// When to wake up: at the next deadline, or somewhat later if timers are dense.
    pub(crate) fn wake_up_at(&self) -> Option<u64> {
        let next = self.next_deadline()?;
        Some(self.pace.borrow_mut().wake_up_at(next, &self.wheel.borrow()))
    }

    /// Fires what is due at `now`. Returns how many that were.
    pub(crate) fn fire(&self, now: u64) -> usize {
        if self.next_deadline().is_none_or(|next| next > now) {
            return 0;
        }
        let mut due = self.due.take();
        self.wheel.borrow_mut().expire(now, &mut due);
        let fired = due.len();
        self.len.set(self.len.get() - fired);
        debug_assert_eq!(self.len.get(), self.wheel.borrow().len());
        self.pace.borrow_mut().fired(now, fired);
        wake_due(&mut due);
        self.due.replace(due);
        fired
    }

    /// The loop goes: hands out all wakers.
    pub(crate) fn close(&self) -> Vec<Waker> {
        self.len.set(0);
        self.wheel.borrow_mut().take_all()
    }
}

/// Wakes those whose time has come, in order. Wakers are foreign code: with nothing borrowed.
fn wake_due(due: &mut Vec<Due<Waker>>) {
    for Due { id, value: waker, .. } in due.drain(..) {
        if trace::on() {
            trace::report(|| EventKind::Fired { timer: id });
            let before = trace::set_cause(Cause::Timer(id));
            foreign::wake(waker);
            trace::set_cause(before);
        } else {
            foreign::wake(waker);
        }
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("len", &self.len()).finish_non_exhaustive()
    }
}
