//! Where a thread waits that has nothing to do: on a condition variable, or in the reactor.
//!
//! A worker has one of these, and so has the thread of a `block_on`, which polls one future and is no
//! worker. One word says where the thread is, so that a thread that has something for it makes a system call
//! only if it waits, and the right one.
//!
//! ```text
//!              park              notify: the condition variable
//!   AWAKE ------------> PARKED ----------------+
//!    | ^                                       v
//!    | |  reset, or the end of the wait     NOTIFIED
//!    | +---------------------------------------+
//!    |                                         ^
//!    +---------------> IN_REACTOR -------------+
//!      enter_reactor           notify: the reactor's unparker
//! ```
//!
//! What must hold: a notification ends the present wait or, if there is none, the next. So the word goes
//! from AWAKE to a wait only by an exchange, which fails when a notification came first.
//!
//! **Alternative:** std's `thread::park`, which has such a word of its own. But its token is the
//! thread's, and user code may use it up.

use std::{sync::Arc, task::Wake, time::Duration};

use crate::engine::base::primitives::{
    AtomicU8, Condvar, Mutex, Ordering, lock, seeded, wait_timeout,
};

const AWAKE: u8 = 0;
/// Waits on the condition variable.
const PARKED: u8 = 1;
/// Waits in the reactor.
const IN_REACTOR: u8 = 2;
const NOTIFIED: u8 = 3;

/// Counted by std also under loom: a waker is made of it.
#[derive(Debug)]
pub(crate) struct Parker {
    word: AtomicU8,
    lock: Mutex<()>,
    notified: Condvar,
}

/// What is left to do once a thread was notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a thread that waits in the reactor goes on waiting"]
pub(crate) enum Notified {
    Done,
    /// It waits in the reactor: end that wait.
    InReactor,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { word: AtomicU8::new(AWAKE), lock: Mutex::new(()), notified: Condvar::new() }
    }

    /// Ends the present or the next wait.
    // ANCHOR: notify
    pub(crate) fn notify(&self) -> Notified {
        match self.word.swap(NOTIFIED, Ordering::AcqRel) {
            IN_REACTOR => return Notified::InReactor,
            PARKED => {
                // The parked thread holds the lock from its look at the word until it waits. Without
                // it, the notification could fall in between.
                if !seeded("parker_notifies_without_the_lock") {
                    drop(lock(&self.lock));
                }
                self.notified.notify_one();
            }
            _ => {}
        }
        Notified::Done
    }
    // END: notify

    /// Forgets a notification. Before a look at what one may have been for.
    pub(crate) fn reset(&self) {
        self.word.swap(AWAKE, Ordering::AcqRel);
    }

    /// Waits on the condition variable until it is notified, if it was not already, but for no longer
    /// than `timeout`. Says whether it was notified, and forgets it.
    pub(crate) fn park(&self, timeout: Option<Duration>) -> bool {
        if self.exchange(PARKED) {
            let mut guard = lock(&self.lock);
            while self.word.load(Ordering::Acquire) != NOTIFIED {
                match timeout {
                    None => {
                        let waited = self.notified.wait(guard);
                        guard = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
                    }
                    Some(timeout) => {
                        let timed_out;
                        (guard, timed_out) = wait_timeout(&self.notified, guard, timeout);
                        if timed_out {
                            break;
                        }
                    }
                }
            }
        }
        self.word.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    /// The last step before the thread waits in the reactor, where it leads. `false`: it was
    /// notified, and must not wait.
    #[must_use]
    pub(crate) fn enter_reactor(&self) -> bool {
        self.exchange(IN_REACTOR)
    }

    /// It is back from the reactor. Says whether it was notified, and forgets it.
    pub(crate) fn leave_reactor(&self) -> bool {
        self.word.swap(AWAKE, Ordering::AcqRel) == NOTIFIED
    }

    /// Whether it waits in the reactor, or did a moment ago.
    pub(crate) fn is_in_reactor(&self) -> bool {
        self.word.load(Ordering::Acquire) == IN_REACTOR
    }

    fn exchange(&self, to: u8) -> bool {
        if seeded("parker_waits_unasked") {
            self.word.swap(to, Ordering::AcqRel);
            return true;
        }
        self.word.compare_exchange(AWAKE, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    /// Of the thread of a `block_on`, which is never in the reactor.
    fn wake_by_ref(self: &Arc<Self>) {
        let _done = self.notify();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_wait_in_the_reactor_says_whether_it_was_notified() {
        let parker = Parker::new();
        assert!(parker.enter_reactor() && parker.is_in_reactor());
        assert!(!parker.leave_reactor() && !parker.is_in_reactor());
        assert!(parker.enter_reactor());
        assert_eq!(parker.notify(), Notified::InReactor);
        assert!(parker.leave_reactor() && !parker.leave_reactor(), "and forgets it");
        assert_eq!(parker.notify(), Notified::Done);
        assert!(!parker.enter_reactor(), "it came before the wait");
    }
}
