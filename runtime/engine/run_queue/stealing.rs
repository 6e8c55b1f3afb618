//! A worker's local queue: a ring that its owner pushes and pops, and others steal half of.
//!
//! First in, first out. The [`Owner`] is held by the worker, a [`Thief`] by each other worker;
//! both also reach the lifo slot, which lies in the same allocation (`lifo.rs`). The queue knows no
//! task, and calls no user code.
//!
//! ```text
// ANCHOR: ring
//!            carried away        waiting              free
//!         +---------------+---------------------+--------------
//!   slots |   x   x   x   |   o   o   o   o   o |                 and round to the front again
//!         +---------------+---------------------+--------------
//!         ^               ^                     ^
//!       freed            head                  tail
// END: ring
//!
//!   tail    owner, by what it pushes
//!   head    owner, by one (pop); thief, by half (steal); owner, by half (overflow)
//!   freed   with head, while no thread carries half away; else by the one that does, when done
//! ```
//!
//! `freed <= head <= tail <= freed + CAPACITY`, always. The three are counts that wrap, and the low
//! bits of a count name a slot. A slot has one user at any time:
//!
//! | slots             | which threads may touch them                         |
//! | ----------------- | ---------------------------------------------------- |
//! | `freed` to `head` | the threads that moved `head` over them, each a part |
//! | `head` to `tail`  | none                                                 |
//! | all others        | the owner                                            |
//!
//! `freed` and `head` share one word, so that a thief takes its share and marks it as being carried
//! away in a single exchange. Until it is done, `freed` differs from `head`: other thieves go
//! elsewhere, pops move `head` alone, and a push finds those slots still in use. An owner whose ring
//! is full claims half of it as a thief would, and hands that out as an [`Overflow`].
//!
//! What it costs, uncontended, in steps on the shared words. On x86-64 loads and stores are plain ones,
//! and a read-modify-write is the dear thing:
//!
//! | operation         | read-modify-writes | loads | stores |
//! | ----------------- | ------------------ | ----- | ------ |
//! | push              | 0                  | 2     | 1      |
//! | pop               | 1                  | 2     | 0      |
//! | pop, empty        | 0                  | 2     | 0      |
//! | steal of any size | 2                  | 6     | 1      |
//!
//! **Alternatives:** a ring whose thieves read first and claim after. It needs no `freed`, and reads slots that
//! the owner may be writing: a data race, unless each slot is an atomic. Or a pop without a
//! read-modify-write. It needs a fence, which costs no less; or it takes several at once into a list of its
//! own, and behind a long poll those would wait where no thief reaches them.
//!
//! A count of 32 bits comes round after 4 billion pops. A thread that is suspended between its load and its
//! exchange while exactly so many pass, to the item, exchanges in error: minutes, at the least.

#![allow(unsafe_code)]

use std::{cell::Cell, collections::VecDeque, marker::PhantomData, mem::MaybeUninit};

use super::lifo::LifoSlot;
use crate::engine::base::primitives::{
    Arc, AtomicU32, AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    UnsafeCell, seeded, sized,
};

/// How many items a ring holds. A power of two, so that the low bits of a count name a slot.
pub(crate) const CAPACITY: usize = LIMIT as usize;
const LIMIT: u32 = sized(256, 4);

/// Where the counts begin: they wrap after half a round. So a mistake in that shows in each test,
/// and not after weeks.
const FIRST: u32 = 0u32.wrapping_sub(LIMIT / 2);

/// Room for one item. The tables above say who may use it when.
struct Slot<T>(UnsafeCell<MaybeUninit<T>>);

impl<T> Slot<T> {
    fn empty() -> Self {
        Self(UnsafeCell::new(MaybeUninit::uninit()))
    }

    /// # Safety
    /// The caller is the one user of the slot.
    #[inline(always)]
    unsafe fn fill(&self, item: T) {
        // SAFETY: by the caller's promise. loom checks it at each access, in all models.
        self.0.with_mut(|slot| unsafe { (*slot).write(item) });
    }

    /// # Safety
    /// The caller is the one user of the slot, and it was filled since it was last emptied.
    #[inline(always)]
    unsafe fn empty_out(&self) -> T {
        // SAFETY: by the caller's promise, as above.
        self.0.with_mut(|slot| unsafe { (*slot).assume_init_read() })
    }
}

/// The ring and the lifo slot: what owner and thieves share. Aligned to two cache lines, which some
/// processors fetch together, so that what lies beside it in memory shares no line with them.
#[repr(align(128))]
struct Ring<T> {
    front: AtomicU64,
    tail: AtomicU32,
    lifo: LifoSlot<T>,
    slots: [Slot<T>; CAPACITY],
}

// SAFETY: items are moved in by one thread and out by another, which is what `T: Send` allows. No
// reference to one is ever given out. The tables above say why no slot has two users at once; the
// models in `tests/models/stealing.rs` check it.
unsafe impl<T: Send> Sync for Ring<T> {}

/// `freed` and `head`, as they stand in one word.
#[derive(Clone, Copy)]
struct Front {
    freed: u32,
    head: u32,
}

impl Front {
    const fn unpack(word: u64) -> Self {
        Self { freed: (word >> 32) as u32, head: word as u32 }
    }

    const fn pack(self) -> u64 {
        (self.freed as u64) << 32 | self.head as u64
    }

    /// Whether a thread is carrying items away.
    const fn is_claimed(self) -> bool {
        self.freed != self.head
    }
}

impl<T> Ring<T> {
    fn slot(&self, count: u32) -> &Slot<T> {
        &self.slots[(count % LIMIT) as usize]
    }

    fn front(&self) -> Front {
        Front::unpack(self.front.load(Acquire))
    }

    /// A hint: the two counts are not of the same moment. The tail is the later, so never behind.
    fn len(&self) -> usize {
        let head = self.front().head;
        let waiting = self.tail.load(Acquire).wrapping_sub(head);
        waiting.min(LIMIT) as usize
    }

    /// Takes the older half of what waits, rounded up, but no more than `most`. `None`: nothing
    /// waits, or another thread is carrying items away.
    // ANCHOR: claim
    fn claim(&self, most: u32) -> Option<Claim<'_, T>> {
        let mut front = self.front();
        loop {
            // Read after the head, so that it is not behind it.
            let waiting = self.tail.load(Acquire).wrapping_sub(front.head);
            let share = waiting.div_ceil(2).min(most);
            let refused = front.is_claimed() && !seeded("stealing_claims_beside_another");
            if refused || share == 0 {
                return None;
            }
            let mut after = Front { head: front.head.wrapping_add(share), ..front };
            if seeded("stealing_frees_before_carrying") {
                after.freed = after.head;
            }
            // Release: as for a pop. What the owner filled came with the tail.
            let release = if seeded("stealing_claims_relaxed") { Relaxed } else { Release };
            match self.front.compare_exchange(front.pack(), after.pack(), release, Acquire) {
                Ok(_) => return Some(Claim { shared: self, next: front.head, end: after.head }),
                Err(word) => front = Front::unpack(word),
            }
        }
    }
    // END: claim
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        let (mut head, tail) = (self.front().head, self.tail.load(Relaxed));
        while head != tail {
            // SAFETY: alone here. What lies between head and tail was filled and not taken.
            drop(unsafe { self.slot(head).empty_out() });
            head = head.wrapping_add(1);
        }
    }
}

/// Items that are being carried away. When it is dropped, what was not taken is dropped, and the slots
/// are free. (Should an item's drop panic, they never are: room is lost, and nothing else.)
struct Claim<'a, T> {
    shared: &'a Ring<T>,
    next: u32,
    end: u32,
}

impl<T> Iterator for Claim<'_, T> {
    type Item = T;

    #[inline]
    fn next(&mut self) -> Option<T> {
        if self.next == self.end {
            return None;
        }
        // SAFETY: this claim moved the head over the slots from `next` to `end`, which the owner had
        // filled; each is emptied once, and the owner fills none of them again before `freed` moves.
        // Model: `models::stealing::a_thief_beside_push_and_pop`.
        let item = unsafe { self.shared.slot(self.next).empty_out() };
        self.next = self.next.wrapping_add(1);
        Some(item)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.wrapping_sub(self.next) as usize;
        (left, Some(left))
    }
}

impl<T> Drop for Claim<'_, T> {
    fn drop(&mut self) {
        self.for_each(drop);
        // What the owner popped meanwhile becomes free along with the claim.
        let freed = |word| {
            let Front { head, .. } = Front::unpack(word);
            let freed = if seeded("stealing_frees_its_own_share") { self.end } else { head };
            Some(Front { freed, head }.pack())
        };
        // Release: the owner, when it finds the slots free, comes after the reads of this claim.
        let _ = self.shared.front.fetch_update(Release, Relaxed, freed);
    }
}

/// The owner's half: `Send`, and not `Sync`, so that its methods need no `&mut`. None of them runs
/// user code, so none of them finds another half-done.
pub(crate) struct Owner<T> {
    shared: Arc<Ring<T>>,
    _not_sync: PhantomData<Cell<()>>,
}

impl<T> Owner<T> {
    pub(crate) fn new() -> Self {
        let shared = Ring {
            front: AtomicU64::new(Front { freed: FIRST, head: FIRST }.pack()),
            tail: AtomicU32::new(FIRST),
            lifo: LifoSlot::new(),
            slots: std::array::from_fn(|_| Slot::empty()),
        };
        Self { shared: Arc::new(shared), _not_sync: PhantomData }
    }

    /// A thieves' half of this queue.
    pub(crate) fn thief(&self) -> Thief<T> {
        Thief { shared: self.shared.clone() }
    }

    /// How many items wait in the ring.
    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Only the owner moves the tail, so it needs no order with itself.
    #[inline(always)]
    fn tail(&self) -> u32 {
        self.shared.tail.load(Relaxed)
    }

    /// How many items can be pushed. May grow at any time; only the owner makes it less.
    #[inline(always)]
    fn room(&self, tail: u32) -> u32 {
        let freed = self.shared.front().freed;
        let used = match seeded("stealing_room_does_not_wrap") {
            true => tail.saturating_sub(freed),
            false => tail.wrapping_sub(freed),
        };
        LIMIT - used
    }

    /// Pushes an item behind all others. A ring without room gives back its older half, and the item
    /// behind that: put them all into the injector, under one lock.
    #[inline]
    // ANCHOR: push
    pub(crate) fn push(&self, item: T) -> Result<(), Overflow<'_, T>> {
        let tail = self.tail();
        if self.room(tail) == 0 {
            return Err(self.overflow(item));
        }
        // SAFETY: there is room, so the slot at the tail is the owner's, and empty. Model:
        // `models::stealing::a_thief_beside_push_and_pop`.
        unsafe { self.shared.slot(tail).fill(item) };
        self.publish(tail.wrapping_add(1));
        Ok(())
    }
    // END: push

    /// Shows what was filled, up to the new tail, to the thieves.
    #[inline(always)]
    fn publish(&self, tail: u32) {
        let release = if seeded("stealing_publishes_relaxed") { Relaxed } else { Release };
        self.shared.tail.store(tail, release);
    }

    /// With a thief at work there is nothing to claim, and the new item goes alone.
    #[cold]
    #[inline(never)]
    fn overflow(&self, item: T) -> Overflow<'_, T> {
        Overflow { older: self.shared.claim(LIMIT / 2), newest: Some(item) }
    }

    /// Pops the item that has waited longest.
    #[inline]
    // ANCHOR: pop
    pub(crate) fn pop(&self) -> Option<T> {
        let tail = self.tail();
        let mut front = Front::unpack(self.shared.front.load(Relaxed));
        loop {
            if front.head == tail {
                return None;
            }
            let head = front.head.wrapping_add(1);
            let freed = if front.is_claimed() { front.freed } else { head };
            let after = Front { freed, head }.pack();
            // Release: who sees this head sees a tail that is not behind it.
            let release = if seeded("stealing_pops_relaxed") { Relaxed } else { Release };
            match self.shared.front.compare_exchange_weak(front.pack(), after, release, Relaxed) {
                // SAFETY: the exchange moved the head over this slot and no other, and it was filled
                // by this thread. Model: `models::stealing::a_thief_beside_push_and_pop`.
                Ok(_) => return Some(unsafe { self.shared.slot(front.head).empty_out() }),
                Err(word) => front = Front::unpack(word),
            }
        }
    }
    // END: pop

    /// Steals the older half of what waits in the ring of `victim`: the first of it for the caller, as
    /// there may be no room for it, the rest behind all that waits here. `None`: nothing waits there, or
    /// another thief is at it.
    pub(crate) fn steal_from(&self, victim: &Thief<T>) -> Option<T> {
        let mut stolen = victim.shared.claim(self.room(self.tail()) + 1)?;
        let first = stolen.next();
        // SAFETY: there is room for all but the first, and a claim does not use its own thief.
        unsafe { self.append(stolen) };
        first
    }

    /// Moves items from the front of `queue` behind all that waits here: `most`, or fewer if they or
    /// the room end before.
    pub(crate) fn fill_from(&self, queue: &mut VecDeque<T>, most: usize) {
        let most = most.min(self.room(self.tail()) as usize).min(queue.len());
        // SAFETY: there is room for `most`, and a list does not use this owner.
        unsafe { self.append(queue.drain(..most)) };
    }

    /// # Safety
    /// There is room for all `items`, and to fetch them does not use this owner.
    unsafe fn append(&self, items: impl Iterator<Item = T>) {
        let mut tail = self.tail();
        for item in items {
            // SAFETY: there is room, so the slot is the owner's, and empty; the tail is published
            // behind it only after that. Model: `models::stealing::two_owners_steal_from_each_other`.
            unsafe { self.shared.slot(tail).fill(item) };
            tail = tail.wrapping_add(1);
        }
        self.publish(tail);
    }

    /// See [`LifoSlot::put`].
    #[inline]
    pub(crate) fn put_lifo(&self, item: T) -> Option<T> {
        // SAFETY: this is the owner, on its one thread.
        unsafe { self.shared.lifo.put(item) }
    }

    /// See [`LifoSlot::take`].
    #[inline]
    pub(crate) fn take_lifo(&self) -> Option<T> {
        // SAFETY: this is the owner, on its one thread.
        unsafe { self.shared.lifo.take() }
    }
}

/// The thieves' half: any number of them, on any thread.
pub(crate) struct Thief<T> {
    shared: Arc<Ring<T>>,
}

impl<T> Clone for Thief<T> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<T> Thief<T> {
    /// How many items wait in the ring, or did a moment ago.
    pub(crate) fn len(&self) -> usize {
        self.shared.len()
    }

    /// See [`LifoSlot::steal`].
    pub(crate) fn steal_lifo(&self) -> Option<T> {
        self.shared.lifo.steal()
    }
}

/// What did not fit into a ring, oldest first. To be carried off soon: until it is dropped, no thread
/// can steal from that ring.
pub(crate) struct Overflow<'a, T> {
    older: Option<Claim<'a, T>>,
    newest: Option<T>,
}

impl<T> Iterator for Overflow<'_, T> {
    type Item = T;

    fn next(&mut self) -> Option<T> {
        self.older.as_mut().and_then(Iterator::next).or_else(|| self.newest.take())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.older.as_ref().map_or(0, |older| older.size_hint().0);
        let left = left + usize::from(self.newest.is_some());
        (left, Some(left))
    }
}

impl<T> ExactSizeIterator for Overflow<'_, T> {}

#[cfg(all(test, not(loom)))]
#[path = "stealing_tests.rs"]
mod tests;
