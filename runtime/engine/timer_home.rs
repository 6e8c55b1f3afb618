//! A timer, whoever has it: an event loop, or a worker of a runtime.
//!
//! A sleep does not know where it is polled. Its timer goes into the wheel of whoever runs the thread.
//! There it stays while the sleep moves between the workers of one runtime, whose wheels are behind
//! locks; an event loop's is its own, and others can only ask it, by a message. Wakers are foreign
//! code: none is cloned or dropped here with anything borrowed or locked.

use std::task::Waker;

use crate::engine::{
    base::{clock, primitives::Arc},
    current::{self, Current, Outside},
    inbox::{Address, Urgency},
    timer::{TimerKey, shared::SharedTimers},
};

/// A timer in somebody's wheel.
pub(crate) struct Timer {
    home: Home,
    key: TimerKey,
}

/// Whose wheel it is in.
enum Home {
    EventLoop(Address),
    Worker(Arc<SharedTimers>),
}

/// The time of this turn, never ahead of the clock.
#[inline]
pub(crate) fn turn_time(current: &Current) -> u64 {
    match current {
        Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. }) => core.now(),
        Current::Worker(worker) => worker.now(),
        Current::Guest(_) => clock::real_now(),
        Current::Outside(Outside { home, own: None }) => home.clock.now(),
    }
}

impl Timer {
    /// Has whoever runs this thread wake `waker` at `deadline`. `None`: the runtime has shut down, or turns
    /// on another thread.
    #[inline]
    pub(crate) fn insert(current: &Current, deadline: u64, waker: Waker) -> Option<Self> {
        match current {
            Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. }) => {
                let key = core.timers.insert(deadline, waker);
                Some(Self { home: Home::EventLoop(core.address()), key })
            }
            Current::Worker(worker) => Self::in_shared(worker.insert_timer(deadline, waker)),
            Current::Guest(pool) => Self::in_shared(pool.insert_timer(deadline, waker)),
            Current::Outside(Outside { own: None, .. }) => None,
        }
    }

    fn in_shared(inserted: Option<(Arc<SharedTimers>, TimerKey)>) -> Option<Self> {
        inserted.map(|(timers, key)| Self { home: Home::Worker(timers), key })
    }

    /// Has it wake `waker`. `false`: it has fired, or it is not in the wheel of whoever runs this
    /// thread, or of a neighbour in the same runtime.
    #[inline]
    pub(crate) fn set_waker(&self, waker: &Waker) -> bool {
        let key = self.key;
        match &self.home {
            Home::EventLoop(home) if home.loop_id == current::loop_id() => {
                let Some(core) = current::event_loop() else { return false };
                let will_wake = core.timers.will_wake(key, waker);
                if will_wake == Some(false) {
                    drop(core.timers.replace_waker(key, waker.clone()));
                }
                will_wake.is_some()
            }
            Home::Worker(timers) if timers.pool_id == current::loop_id() => {
                let will_wake = timers.will_wake(key, waker);
                if will_wake == Some(false) {
                    drop(timers.replace_waker(key, waker.clone()));
                }
                will_wake.is_some()
            }
            _ => false,
        }
    }

    /// Moves the deadline, if that can be done from here.
    pub(crate) fn re_arm(&self, deadline: u64) -> bool {
        match &self.home {
            Home::EventLoop(home) => current::event_loop().is_some_and(|core| {
                core.id == home.loop_id && core.timers.re_arm(self.key, deadline)
            }),
            // Its worker may sleep, and would have to be told.
            Home::Worker(_) => false,
        }
    }

    /// Takes it out of its wheel: at once if that is shared or this thread's, else by a message that
    /// need not unpark its loop. At the worst it wakes a task for nothing meanwhile.
    #[inline]
    pub(crate) fn cancel(self) {
        let Self { home, key } = self;
        match home {
            Home::EventLoop(home) => match current::event_loop() {
                Some(core) if core.id == home.loop_id => drop(core.timers.cancel(key)),
                _ => cancel_elsewhere(home, key),
            },
            Home::Worker(timers) => drop(timers.cancel(key)),
        }
    }
}

#[cold]
fn cancel_elsewhere(home: Address, key: TimerKey) {
    let cancel = Box::new(move || {
        if let Some(core) = current::event_loop() {
            drop(core.timers.cancel(key));
        }
    });
    // A loop that is gone has no timers.
    drop(home.call(cancel, Urgency::Whenever));
}
