//! Where the thread of a `block_on` sleeps.
//!
//! That thread polls one future and is no worker: it has no queue and no reactor, so nothing but a
//! wake of its future can give it work, and it sleeps on a condition variable. The word of `park.rs`
//! keeps a wake of one that is awake down to a single step.
//!
//! The rival is std's `thread::park`, which has such a word of its own. But its token is the thread's,
//! and foreign code may use it up.

use std::{sync::Arc, task::Wake};

use crate::engine::{
    base::primitives::{Condvar, Mutex, lock, seeded},
    park::ParkWord,
};

/// Counted by std also under loom: a waker is made of it.
#[derive(Debug)]
pub(crate) struct Parker {
    word: ParkWord,
    asleep: Mutex<()>,
    notified: Condvar,
}

impl Parker {
    pub(crate) fn new() -> Self {
        Self { word: ParkWord::new(), asleep: Mutex::new(()), notified: Condvar::new() }
    }

    /// Ends the present or the next sleep.
    // ANCHOR: notify
    pub(crate) fn notify(&self) {
        if self.word.notify() {
            // The sleeper holds the lock from its look at the word until it waits. Without it, the
            // notification could fall in between.
            if !seeded("parker_notifies_without_the_lock") {
                drop(lock(&self.asleep));
            }
            self.notified.notify_one();
        }
    }
    // END: notify

    /// Sleeps until it is notified, if it was not since the last sleep.
    pub(crate) fn sleep(&self) {
        if self.word.park() {
            let mut asleep = lock(&self.asleep);
            while !self.word.is_notified() {
                asleep =
                    self.notified.wait(asleep).unwrap_or_else(|poisoned| poisoned.into_inner());
            }
        }
        self.word.awake();
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        self.notify();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.notify();
    }
}
