//! A worker's timers: the same wheel, behind a lock.
//!
//! A task moves between workers, and its timer does not: it stays where it was inserted, and fires
//! there. So others may cancel it, have it wake another waker, or, from outside the workers, insert
//! it; and when the worker is stuck in a poll, the sentry fires what is due. Mostly it is the worker
//! itself, and then the lock is free.
//!
//! Whether anything is due is asked at each turn, and costs one load: a moment no later than the
//! earliest deadline stands beside the lock. It is written with the lock held, so it is never later
//! than the wheel's own. It may be earlier: a cancelled timer leaves it as it was.
//!
//! The rival is to post each insert and cancel to the owner, as to an event loop. That needs no lock;
//! and nobody could fire the timers of a worker that is stuck.

use std::{fmt, task::Waker};

use super::{
    TimerKey,
    pace::Pace,
    wake_due,
    wheel::{Due, Wheel},
};
use crate::engine::base::primitives::{AtomicU64, Mutex, Ordering, lock, seeded};

pub(crate) struct SharedTimers {
    /// The identity of the runtime.
    pub(crate) pool_id: u64,
    /// No deadline is earlier. `u64::MAX`: there is no timer.
    earliest: AtomicU64,
    state: Mutex<State>,
}

struct State {
    wheel: Wheel<Waker>,
    pace: Pace,
    closed: bool,
}

/// Timers that are to fire, and the memory for them.
pub(crate) type DueTimers = Vec<Due<Waker>>;

impl SharedTimers {
    pub(crate) fn new(pool_id: u64) -> Self {
        let state = State { wheel: Wheel::new(), pace: Pace::new(), closed: false };
        Self { pool_id, earliest: AtomicU64::new(u64::MAX), state: Mutex::new(state) }
    }

    /// A moment no later than the earliest deadline; `u64::MAX` if there is no timer.
    #[inline]
    pub(crate) fn earliest(&self) -> u64 {
        self.earliest.load(Ordering::Relaxed)
    }

    /// Wakes `waker` at `deadline`. Also tells whether no other timer is earlier: a worker that sleeps
    /// must know then. The waker comes back if the runtime has shut down, and nothing fires any more.
    pub(crate) fn insert(&self, deadline: u64, waker: Waker) -> Result<(TimerKey, bool), Waker> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(waker);
        }
        let key = state.wheel.insert(deadline, waker);
        let is_first = deadline < self.earliest();
        if seeded("timers_insert_notes_unlocked") {
            drop(state);
        }
        if is_first {
            self.earliest.store(deadline, Ordering::Relaxed);
        }
        Ok((key, is_first))
    }

    /// Whether the timer has not fired, and would wake whom `waker` wakes.
    pub(crate) fn will_wake(&self, key: TimerKey, waker: &Waker) -> Option<bool> {
        // `will_wake` compares two words: no foreign code.
        lock(&self.state).wheel.get_mut(key).map(|kept| kept.will_wake(waker))
    }

    /// Has the timer wake `waker` instead. The waker that is not kept comes back, to be dropped in
    /// the open.
    pub(crate) fn replace_waker(&self, key: TimerKey, waker: Waker) -> Waker {
        match lock(&self.state).wheel.get_mut(key) {
            Some(kept) => std::mem::replace(kept, waker),
            None => waker,
        }
    }

    /// Takes the timer out. Its waker is dropped by the caller.
    #[must_use]
    pub(crate) fn cancel(&self, key: TimerKey) -> Option<Waker> {
        lock(&self.state).wheel.cancel(key)
    }

    /// When to wake up; `u64::MAX` if there is no timer.
    pub(crate) fn wake_up_at(&self) -> u64 {
        if self.earliest() == u64::MAX {
            return u64::MAX;
        }
        let State { wheel, pace, .. } = &mut *lock(&self.state);
        let next = wheel.next_deadline().unwrap_or(u64::MAX);
        if !seeded("timers_keep_an_old_deadline") {
            self.earliest.store(next, Ordering::Relaxed);
        }
        if next == u64::MAX { next } else { pace.wake_up_at(next, wheel) }
    }

    /// Fires what is due at `now`. Returns how many that were. `due` is memory, empty before and
    /// after.
    pub(crate) fn fire(&self, now: u64, due: &mut DueTimers) -> usize {
        if self.earliest() > now {
            return 0;
        }
        {
            let mut state = lock(&self.state);
            let State { wheel, pace, .. } = &mut *state;
            wheel.expire(now, due);
            pace.fired(now, due.len());
            let next = wheel.next_deadline().unwrap_or(u64::MAX);
            if seeded("timers_fire_notes_unlocked") {
                drop(state);
            }
            self.earliest.store(next, Ordering::Relaxed);
        }
        let fired = due.len();
        wake_due(due);
        fired
    }

    /// The runtime shuts down: takes no timer any more, and hands out all wakers.
    #[must_use]
    pub(crate) fn close(&self) -> Vec<Waker> {
        if seeded("timers_close_in_two_steps") {
            let left = lock(&self.state).wheel.take_all();
            lock(&self.state).closed = true;
            return left;
        }
        let mut state = lock(&self.state);
        state.closed = true;
        self.earliest.store(u64::MAX, Ordering::Relaxed);
        state.wheel.take_all()
    }

    pub(crate) fn len(&self) -> usize {
        lock(&self.state).wheel.len()
    }
}

impl fmt::Debug for SharedTimers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedTimers").field("len", &self.len()).finish_non_exhaustive()
    }
}
