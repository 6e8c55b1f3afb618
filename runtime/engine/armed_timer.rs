//! An armed timer: in which loop's wheel it is, and under which key.
//!
//! It wakes a task, or calls a closure on the thread of the loop or of some worker. A sleep does not know where it is polled. Its timer goes into the wheel of the loop or worker that
//! runs the thread. There it stays while the sleep moves between the workers of one runtime, whose
//! wheels are behind locks; an event loop's belongs to it alone, and other threads can only send it a
//! message. Wakers are user code: none is cloned or dropped here with anything borrowed or locked.

use std::{num::NonZeroU32, task::Waker};

use crate::engine::{
    base::{clock, primitives::Arc},
    current::{self, Current, Outside},
    inbox::{Address, Urgency},
    scheduler::event_loop::Core,
    timer::{LocalAction, SharedAction, SharedTimers, TimerKey},
};

/// A timer that was put into a wheel. It may have fired since. The key is kept in two parts, so that
/// the time beside them takes no memory of its own.
pub(crate) struct ArmedTimer {
    wheel: InWheel,
    id: u64,
    number: NonZeroU32,
    /// The low digits of the turn's time when the sleep was polled last.
    polled_at: u32,
}

enum InWheel {
    EventLoop(Address),
    Worker(Arc<SharedTimers>),
}

/// The time of this turn, never ahead of the clock.
#[inline]
pub(crate) fn turn_time(current: &Current) -> u64 {
    match current {
        Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. }) => core.now(),
        Current::Worker(worker) => worker.now(),
        Current::EnteredPool(_) => clock::real_now(),
        Current::Outside(Outside { remote, own: None }) => remote.clock.now(),
    }
}

impl ArmedTimer {
    /// Has the loop or worker that runs this thread wake `waker` at `deadline`. `None`: the runtime has
    /// shut down, or turns on another thread.
    #[inline]
    pub(crate) fn new(
        current: &Current,
        turn_time: u64,
        deadline: u64,
        waker: Waker,
    ) -> Option<Self> {
        let (wheel, key) = match current {
            Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. }) => {
                let (key, _is_first) = core.timers.insert(deadline, waker).ok()?;
                (InWheel::EventLoop(core.address()), key)
            }
            Current::Worker(worker) => in_worker(worker.insert_timer(deadline, waker))?,
            Current::EnteredPool(pool) => in_worker(pool.insert_timer(deadline, waker))?,
            Current::Outside(Outside { own: None, .. }) => return None,
        };
        Some(Self::in_wheel(wheel, key, turn_time))
    }

    /// Has the loop or worker that runs this thread run `call` at `deadline`. `None`, and the call is dropped, as
    /// for [`new`](Self::new).
    pub(crate) fn calling(
        current: &Current,
        deadline: u64,
        call: impl FnOnce() + Send + 'static,
    ) -> Option<Self> {
        let shared = |call| SharedAction::Call(Box::new(Box::new(call)));
        let (wheel, key) = match current {
            Current::EventLoop(core) => return Self::calling_local(core, deadline, call),
            Current::Worker(worker) => in_worker(worker.insert_timer(deadline, shared(call)))?,
            Current::EnteredPool(pool) => in_worker(pool.insert_timer(deadline, shared(call)))?,
            Current::Outside(_) => return None,
        };
        Some(Self::in_wheel(wheel, key, 0))
    }

    /// The same for a call that must stay on the event loop's thread.
    pub(crate) fn calling_local(
        core: &Core,
        deadline: u64,
        call: impl FnOnce() + 'static,
    ) -> Option<Self> {
        let action = LocalAction::Call(Box::new(Box::new(call)));
        let (key, _is_first) = core.timers.insert(deadline, action).ok()?;
        Some(Self::in_wheel(InWheel::EventLoop(core.address()), key, 0))
    }

    fn in_wheel(wheel: InWheel, key: TimerKey, turn_time: u64) -> Self {
        Self { wheel, id: key.id, number: key.number, polled_at: turn_time as u32 }
    }

    fn key(&self) -> TimerKey {
        TimerKey { number: self.number, id: self.id }
    }

    /// Whether the turn's time is what it was at the last poll, so that only the clock can tell how
    /// much has passed since. (Where the low digits agree by chance, the clock is read for nothing.)
    #[inline]
    pub(crate) fn polled_again(&mut self, turn_time: u64) -> bool {
        std::mem::replace(&mut self.polled_at, turn_time as u32) == turn_time as u32
    }

    /// Has it wake `waker`. `false`: it has fired, or it is not in the wheel of the loop that runs this
    /// thread, or of a worker of the same runtime.
    #[inline]
    pub(crate) fn set_waker(&self, waker: &Waker) -> bool {
        match &self.wheel {
            InWheel::EventLoop(address) if address.loop_id == current::loop_id() => {
                current::event_loop().is_some_and(|core| core.timers.set_waker(self.key(), waker))
            }
            InWheel::Worker(timers) if timers.runtime_id == current::loop_id() => {
                timers.set_waker(self.key(), waker)
            }
            _ => false,
        }
    }

    /// Moves the deadline, if that can be done from here.
    pub(crate) fn re_arm(&self, deadline: u64) -> bool {
        match &self.wheel {
            InWheel::EventLoop(address) => current::event_loop().is_some_and(|core| {
                core.id == address.loop_id && core.timers.re_arm(self.key(), deadline)
            }),
            // Its worker may have parked, and the reactor's alarm would have to be set anew.
            InWheel::Worker(_) => false,
        }
    }

    /// Takes it out of its wheel: at once if that is shared or this thread's, else by a message that
    /// need not unpark its loop. At the worst it wakes a task for nothing meanwhile.
    #[inline]
    pub(crate) fn cancel(self) {
        let key = self.key();
        match self.wheel {
            InWheel::EventLoop(address) => match current::event_loop() {
                Some(core) if core.id == address.loop_id => drop(core.timers.cancel(key)),
                _ => cancel_elsewhere(address, key),
            },
            InWheel::Worker(timers) => drop(timers.cancel(key)),
        }
    }
}

fn in_worker(inserted: Option<(Arc<SharedTimers>, TimerKey)>) -> Option<(InWheel, TimerKey)> {
    inserted.map(|(timers, key)| (InWheel::Worker(timers), key))
}

#[cold]
fn cancel_elsewhere(address: Address, key: TimerKey) {
    let cancel = Box::new(move || {
        if let Some(core) = current::event_loop() {
            drop(core.timers.cancel(key));
        }
    });
    // A loop that is gone has no timers.
    drop(address.call(cancel, Urgency::Whenever));
}
