//! The protocol of parking: one word between a loop and all other threads.
//!
//! A thread that leaves a message and a loop that parks race. The message must not be missed,
//! and a system call for a loop that is awake is wasted. The rule, on both sides: *first* make your
//! step visible, *then* look at the other's.
//!
//! ```text
// ANCHOR: states
//!                notify: no call              notify: no call
//!                 +-----------+                +-----------+
//!                 v           |                v           |
//!   take      +-------+       |  notify   +----------+     |
//!   +-------> | AWAKE | ------+---------> | NOTIFIED | ----+
//!   |         +-------+                   +----------+
//!   |           |   ^                       ^      |
//!   |     park  |   | unparked              |      |
//!   |           v   |                       |      |
//!   |         +--------+  notify: unpark!   |      |
//!   |         | PARKED | -------------------+      |
//!   |         +--------+                           |
//!   +----------------------------------------------+
// END: states
//! ```
//!
//! (Not drawn: a parked loop may be notified lazily, which does not unpark it; the notification counts
//! when it is back.) A notifier publishes its message, then swaps in `NOTIFIED`: the one that finds
//! `PARKED` there, and no other, makes the call. The loop parks only by exchanging `AWAKE` for `PARKED`,
//! which fails when a notification came first: that exchange is its second look.
//!
//! **Alternative:** a count of parked threads under the queue's own lock: simpler, and a lock in every turn
//! of the loop.

use crate::engine::base::primitives::{AtomicU8, Ordering, seeded};

const AWAKE: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;
/// Parked, and a message is pending that is not worth unparking it for.
const PARKED_MESSAGE_PENDING: u8 = 3;

/// The word.
#[derive(Debug)]
pub(crate) struct ParkWord(AtomicU8);

impl ParkWord {
    pub(crate) fn new() -> Self {
        Self(AtomicU8::new(AWAKE))
    }

    /// Called after a message was published. `true`: the loop is parked, and the caller must unpark
    /// it.
    #[must_use]
    pub(crate) fn notify(&self) -> bool {
        // Release: the message is visible to a loop that takes the notification.
        matches!(self.0.swap(NOTIFIED, Ordering::AcqRel), PARKED | PARKED_MESSAGE_PENDING)
    }

    /// Called after a message was published that keeps until the loop is unparked anyway.
    pub(crate) fn notify_lazily(&self) {
        let noted = |word| match word {
            AWAKE => Some(NOTIFIED),
            PARKED => Some(PARKED_MESSAGE_PENDING),
            _ => None,
        };
        // An error means that the word says so already.
        let _ = self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, noted);
    }

    /// Whether there is a notification. One plain load on most machines: asked every turn.
    #[inline]
    pub(crate) fn is_notified(&self) -> bool {
        self.0.load(Ordering::Acquire) == NOTIFIED
    }

    /// The loop is awake, and about to look at its messages. Must come *before* it looks: a message
    /// left after that look finds `AWAKE` and notifies again.
    pub(crate) fn awake(&self) {
        self.0.swap(AWAKE, Ordering::AcqRel);
    }

    /// The loop wants to park. `false`: a notification came first, and it must not.
    #[must_use]
    pub(crate) fn park(&self) -> bool {
        if seeded("park_without_second_look") {
            self.0.store(PARKED, Ordering::Release);
            return true;
        }
        self.0.compare_exchange(AWAKE, PARKED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// The loop is back from its wait. `true`: messages wait to be taken.
    pub(crate) fn unparked(&self) -> bool {
        match self.0.compare_exchange(PARKED, AWAKE, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => false,
            Err(_) => {
                // A message that was pending counts as a notification from here on.
                self.0.swap(NOTIFIED, Ordering::AcqRel);
                true
            }
        }
    }
}
