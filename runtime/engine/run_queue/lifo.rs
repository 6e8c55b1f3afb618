//! The lifo slot: the task just woken, to be run before the ring.
//!
//! What its waker wrote for it is still in the cache, and in an exchange of messages each side finds
//! itself run as soon as the other waits. How many times in a row it is used is the worker's business.
//!
//! One word says who may touch the item beside it, and which occupant that is:
//!
//! ```text
// ANCHOR: states
//!                    +---+ put (count + 1)
//!       put          |   v        steal, of the occupant seen
//!     (count + 1)   +------+
//!        +--------> | FULL | ------------------+
//!        |          +------+                   v
//!        |             |                  +---------+
//!     +-------+  take  |                  | CLAIMED |
//!     | EMPTY | <------+                  +---------+
//!     +-------+ <------------------------------+
//!                      carried away
//!
//!     EMPTY: the owner may touch the item      FULL: nobody      CLAIMED: the thief
// END: states
//! ```
//!
//! An item put a moment ago is its owner's: who stole it would carry a warm task to a cold cache, for
//! a wait of one poll. But behind a long poll it must not wait for ever. So a thief names the occupant
//! it wants, by a [`Sighting`], and gets that one or nothing: the count of occupants is part of the
//! word that it exchanges. The sentry steals whom it saw at its look before, and so only what has aged.
//!
//! An owner that puts and takes pays one read-modify-write, for the take: into an empty slot nobody
//! else puts, so a put there is a plain store, the count included. To replace an occupant is one more.
//! A take without any would need a fence, so that owner and thief cannot both believe to be first; it
//! costs the same.
//!
//! The rivals. The time of each put beside the item: a clock read for every wake, and two words that
//! are not of the same moment. The item's address as the word, without a count: less code, and a task
//! that was run and came back is taken for one that never left.

#![allow(unsafe_code)]

use crate::engine::base::primitives::{
    AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
    UnsafeCell, seeded,
};

const EMPTY: u32 = 0;
const FULL: u32 = 1;
const CLAIMED: u32 = 2;

/// The two low bits of the word are the state, the others count the occupants, and wrap.
const STATE: u32 = 3;
const ONE_OCCUPANT: u32 = 4;

pub(super) struct LifoSlot<T> {
    word: AtomicU32,
    item: UnsafeCell<Option<T>>,
}

/// One occupant, as a thief saw it. Equal sightings of a slot are of an occupant that never left it
/// (or of one that a billion others followed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sighting(u32);

impl<T> LifoSlot<T> {
    pub(super) fn new() -> Self {
        // The next occupant's count is 0 again: a mistake in the wrapping shows at once.
        Self { word: AtomicU32::new(EMPTY.wrapping_sub(ONE_OCCUPANT)), item: UnsafeCell::new(None) }
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
        if word & STATE == FULL {
            // The exchange makes the item the owner's, who put it in.
            match self.word.compare_exchange(word, word - FULL, Relaxed, Acquire) {
                Ok(_) => word -= FULL,
                Err(now) => word = now,
            }
        }
        if word & STATE == CLAIMED {
            return Some(item);
        }
        // SAFETY: only an owner leaves EMPTY, and the caller is it. Model:
        // `models::lifo::a_thief_beside_put_and_put`.
        let bumped = self.item.with_mut(|place| unsafe { (*place).replace(item) });
        // Release: comes before the read of a thief that sees this occupant.
        let release = if seeded("lifo_puts_relaxed") { Relaxed } else { Release };
        self.word.store((word + FULL).wrapping_add(ONE_OCCUPANT), release);
        bumped
    }

    /// Takes the item out.
    ///
    /// # Safety
    /// The caller is the slot's one owner.
    #[inline]
    pub(super) unsafe fn take(&self) -> Option<T> {
        let word = self.word.load(Relaxed);
        if word & STATE != FULL {
            return None;
        }
        self.word.compare_exchange(word, word - FULL, Relaxed, Relaxed).ok()?;
        // SAFETY: as in `put`: EMPTY again, and by the owner's own exchange. Model:
        // `models::lifo::a_thief_beside_take_and_put`.
        self.item.with_mut(|place| unsafe { (*place).take() })
    }

    /// Which occupant is in.
    pub(super) fn sight(&self) -> Option<Sighting> {
        let word = self.word.load(Relaxed);
        (word & STATE == FULL).then_some(Sighting(word))
    }

    /// Steals this occupant, if it is still in.
    // ANCHOR: steal
    pub(super) fn steal(&self, seen: Sighting) -> Option<T> {
        let Sighting(word) = if seeded("lifo_steals_any") { self.sight()? } else { seen };
        let empty = word - FULL;
        let claimed = if seeded("lifo_empties_first") { empty } else { empty + CLAIMED };
        // Acquire: comes after the put of this occupant.
        self.word.compare_exchange(word, claimed, Acquire, Relaxed).ok()?;
        // SAFETY: nobody but the thief whose exchange made it CLAIMED touches the item. Model:
        // `models::lifo::a_thief_beside_take_and_put`.
        let item = self.item.with_mut(|place| unsafe { (*place).take() });
        // Release: comes before the next put.
        self.word.store(empty, Release);
        item
    }
    // END: steal
}
