//! The lifo slot: the task just woken, to be run before the ring.
//!
//! What its waker wrote for it is still in the cache, and in an exchange of messages each side is run as
//! soon as the other waits. How many times in a row the slot is used is the worker's business.
//!
//! One word says who may touch the item beside it:
//!
//! ```text
// ANCHOR: states
//!                    +---+ put
//!       put          |   v        steal
//!        +---------> +------+ --------------------+
//!        |           | FULL |                     v
//!        |           +------+                +---------+
//!     +-------+  take   |                    | CLAIMED |
//!     | EMPTY | <-------+                    +---------+
//!     +-------+ <--------------------------------+
//!                      carried away
//!
//!     EMPTY: the owner may touch the item      FULL: neither     CLAIMED: the thief
// END: states
//! ```
//!
//! An item put a moment ago is its owner's: to steal it is to carry a warm task to a cold cache, for a
//! wait of one poll. But behind a long poll it must not wait for long. So a thief steals from here only
//! where the owner was seen to make no progress (`scheduler/pool/guard.rs`). Should the owner come back
//! in that very moment, a fresh task is carried off: that costs time, and nothing else.
//!
//! An owner that puts and takes pays one read-modify-write, for the take: into an empty slot no other thread
//! puts, so a put there is a plain store. To replace an occupant is one more. A take without any would
//! need a fence, so that owner and thief cannot both believe to be first; it costs the same.
//!
//! **Alternative:** a slot that no thief steals from, as tokio had it for years: then the task in it waits
//! as long as the poll before it takes.

#![allow(unsafe_code)]

use crate::engine::base::primitives::{
    AtomicU8,
    Ordering::{Acquire, Relaxed, Release},
    UnsafeCell, seeded,
};

const EMPTY: u8 = 0;
const FULL: u8 = 1;
const CLAIMED: u8 = 2;

pub(super) struct LifoSlot<T> {
    word: AtomicU8,
    item: UnsafeCell<Option<T>>,
}

impl<T> LifoSlot<T> {
    pub(super) fn new() -> Self {
        Self { word: AtomicU8::new(EMPTY), item: UnsafeCell::new(None) }
    }

    /// Puts an item in. Returns the one that must go into the ring: the occupant before; or the new
    /// item, while a thief is carrying that one away.
    ///
    /// # Safety
    /// The caller is the slot's one owner.
    #[inline]
    pub(super) unsafe fn put(&self, item: T) -> Option<T> {
        // Acquire: a thief that emptied the slot has done so before it is filled again.
        let mut word = self.word.load(Acquire);
        if word == FULL {
            // The exchange makes the item the owner's, which put it in.
            word = match self.word.compare_exchange(FULL, EMPTY, Relaxed, Acquire) {
                Ok(_) => EMPTY,
                Err(now) => now,
            };
        }
        if word == CLAIMED {
            return Some(item);
        }
        // SAFETY: only an owner leaves EMPTY, and the caller is it. Model:
        // `models::lifo::a_thief_beside_put_and_put`.
        let bumped = self.item.with_mut(|cell| unsafe { (*cell).replace(item) });
        // Release: comes before the read of a thief that sees this occupant.
        let release = if seeded("lifo_puts_relaxed") { Relaxed } else { Release };
        self.word.store(FULL, release);
        bumped
    }

    /// Takes the item out.
    ///
    /// # Safety
    /// The caller is the slot's one owner.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<T> {
        if self.word.load(Relaxed) != FULL {
            return None;
        }
        self.word.compare_exchange(FULL, EMPTY, Relaxed, Relaxed).ok()?;
        // SAFETY: as in `put`: EMPTY again, and by the owner's own exchange. Model:
        // `models::lifo::a_thief_beside_take_and_put`.
        self.item.with_mut(|cell| unsafe { (*cell).take() })
    }

    /// Steals the item.
    // ANCHOR: steal
    pub(super) fn steal(&self) -> Option<T> {
        let claimed = if seeded("lifo_empties_first") { EMPTY } else { CLAIMED };
        // Acquire: comes after the put of this occupant.
        self.word.compare_exchange(FULL, claimed, Acquire, Relaxed).ok()?;
        // SAFETY: only the thief whose exchange made it CLAIMED touches the item. Model:
        // `models::lifo::a_thief_beside_take_and_put`.
        let item = self.item.with_mut(|cell| unsafe { (*cell).take() });
        // Release: comes before the next put.
        self.word.store(EMPTY, Release);
        item
    }
    // END: steal
}
