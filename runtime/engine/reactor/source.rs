//! One descriptor's readiness, and the tasks that wait for it.
//!
//! A [`Readiness`] is what the reactor and a socket share: a word that says in which directions the
//! kernel last called the descriptor ready, and the waiters to be woken when that changes. The reactor sets
//! flags; an operation that met `WouldBlock` clears them. Between the two stands an *event count*: the reactor
//! advances it with each event, and a clear counts only if it is still the one read before the
//! system call. Else an event that arrived between the call and the clear would be lost, and with
//! edge-triggered registration it never comes again.
//!
//! ```text
// ANCHOR: word
//!    63                            16  12    11 10      9 8    7        0
//!   +--------------------------------+---+---------+---------+----------+
//!   |          event count           | o |  writer |  reader |  flags   |
//!   +--------------------------------+---+---------+---------+----------+
//!                                  others  waiting, claimed of each slot
// END: word
//! ```
//!
//! Each direction has a *slot* for one waiter, and nearly always that is all who wait. A waker is two
//! words (and that of an event loop's task only a number), so a slot is a few atomics, and bits of the word
//! say whose they are: a waiter claims the slot, writes its waker there, and sets it waiting, unless an event
//! came meanwhile; the event that sets the flags takes it out in the same step. No lock is taken.
//! A second waiter in the same direction (two tasks may well wait in `accept` on one listener) goes into an
//! ordered map behind a lock, from which it can leave in a few steps however many there are. Readiness wakes
//! all of them, first come first.
//!
//! A fresh descriptor counts as ready: its first operation goes straight to the kernel.
//!
//! **Alternative:** one lock around word and wakers: no `unsafe`, fewer states, and for a request on a socket
//! two locks more, one to wait and one to be woken.

use std::{collections::BTreeMap, mem};

use super::{
    flags::{Direction, Flags},
    slot::Slot,
};
use crate::engine::{
    base::primitives::{AtomicU64, Mutex, Ordering, lock, seeded},
    waiting::waiter::Waiter,
};

/// What one waiter's slot says of itself in the word. Neither bit: it is free.
const CLAIMED: u64 = 1 << 8;
const WAITING: u64 = 1 << 9;
/// There are waiters beside the slots, in the maps.
const OTHERS: u64 = 1 << 12;
/// One event more. A waiter that leaves its slot counts as one.
const EVENT: u64 = 1 << 16;
const FLAGS: u64 = 0xff;

impl Direction {
    /// The bits of this direction's slot.
    #[inline]
    const fn slot(self, bits: u64) -> u64 {
        bits << (2 * self as u32)
    }
}

/// The word as it stood before an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(u64);

/// Names a waiter of one source and direction. 0 is none yet. In a slot it is the event count at which the
/// waiter came, so that it is never mistaken for a later one; beside the slot a count with the top bit.
pub(crate) type WaiterKey = u64;

/// The key of the one who calls `poll_*` functions, one for each direction.
const POLL_FN: WaiterKey = 1 << 62;
const BESIDE_SLOT: WaiterKey = 1 << 63;

#[derive(Debug)]
pub(crate) struct Readiness {
    word: AtomicU64,
    /// The identity of the loop that watches the descriptor, if one does and no other; else 0, and the
    /// registration knows more. It is here, where a reactor that closes can reach it.
    watched_by: AtomicU64,
    slots: [Slot; 2],
    others: Mutex<Others>,
}

/// The waiters that found their direction's slot taken.
#[derive(Debug)]
struct Others {
    /// Of each direction. Keys grow, so their order is that in which the waiters came.
    waiting: [BTreeMap<WaiterKey, Waiter>; 2],
    last_key: u64,
}

/// As what a task waits.
#[derive(Debug)]
pub(crate) enum Caller<'a> {
    /// As the direction's one caller of `poll_*` functions. Of two, the later replaces the earlier.
    PollFn,
    /// As a future that keeps this key; a key of 0 is replaced by a new one.
    Future(&'a mut WaiterKey),
}

impl Caller<'_> {
    #[inline]
    fn key(&self) -> WaiterKey {
        match self {
            Self::PollFn => POLL_FN,
            Self::Future(key) => **key,
        }
    }

    /// Its key is `new` from now on, unless it has a fixed one. Gives the key that it has then.
    #[inline]
    fn set_key(&mut self, new: WaiterKey) -> WaiterKey {
        if let Self::Future(key) = self {
            **key = new;
        }
        self.key()
    }
}

/// What came of asking to be woken.
#[derive(Debug)]
#[must_use]
pub(crate) enum Waited {
    /// The waiter is kept. The caller drops the waker that it replaced, with no lock held.
    Kept(Option<Waiter>),
    /// The direction is ready already, and nothing is kept.
    Ready(Waiter),
}

impl Readiness {
    pub(crate) fn new() -> Self {
        let waiting = [BTreeMap::new(), BTreeMap::new()];
        Self {
            word: AtomicU64::new(Flags::FRESH.into()),
            watched_by: AtomicU64::new(0),
            slots: [Slot::new(), Slot::new()],
            others: Mutex::new(Others { waiting, last_key: 0 }),
        }
    }

    /// Whether the loop of this identity watches the descriptor, or a worker of that runtime, and no other does.
    /// No loop has the identity 0.
    #[inline]
    pub(crate) fn is_watched_by(&self, loop_id: u64) -> bool {
        loop_id != 0 && self.watched_by.load(Ordering::Acquire) == loop_id
    }

    /// That loop watches it from here on, and no other. 0: look in the registration.
    pub(crate) fn set_watched_by(&self, loop_id: u64) {
        self.watched_by.swap(loop_id, Ordering::AcqRel);
    }

    /// That loop does not watch it any more.
    pub(crate) fn unwatch(&self, loop_id: u64) {
        // Written even if unchanged: of this and `set_watched_by`, the later must see what came before the
        // earlier, and a mere load would order nothing.
        let _ = self.watched_by.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |watched_by| {
            let is_ours = watched_by == loop_id;
            let is_written = is_ours || !seeded("source_unwatches_by_a_load");
            is_written.then_some(if is_ours { 0 } else { watched_by })
        });
    }

    /// Has `end` end watches, unless a task waits. Gives those who came to wait in the same moment, to be woken:
    /// they may have found their loop watching. If the descriptor is to be registered anew, what was known of
    /// it is void: the registration's first event says how things stand.
    pub(crate) fn unless_waited_on(&self, is_new: bool, end: impl FnOnce()) -> Vec<Waiter> {
        let mut late = Vec::new();
        if self.is_waited_on() {
            return late;
        }
        end();
        let mask = if is_new { !FLAGS } else { u64::MAX };
        // Written in any case: what waits from here on finds that its loop watches no more.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some((word & mask).wrapping_add(EVENT))
        });
        if self.is_waited_on() && !seeded("source_moves_without_second_look") {
            self.take_waiters(&mut late);
        }
        late
    }

    /// The word, if an operation in this direction is worth trying.
    #[inline]
    pub(crate) fn ready(&self, direction: Direction) -> Option<Seen> {
        let word = self.word.load(Ordering::Acquire);
        is_ready(word, direction).then_some(Seen(word))
    }

    /// The operation met `WouldBlock`: the direction is not ready, unless an event came meanwhile.
    pub(crate) fn clear(&self, direction: Direction, seen: Seen) {
        self.clear_flags(direction.mask(), seen);
    }

    /// A stream gave or took less than it was asked for, so the next operation would meet
    /// `WouldBlock`, unless the stream is at its end or has urgent data ahead: measured, a read stops
    /// before an urgent byte, and no event follows for what lies behind it.
    #[inline]
    pub(crate) fn clear_after_short_count(&self, direction: Direction, seen: Seen) {
        if seen.0 & u64::from(direction.no_short_cut()) == 0 {
            self.clear_flags(direction.mask(), seen);
        }
    }

    // ANCHOR: clear
    #[inline]
    fn clear_flags(&self, flags: u32, seen: Seen) {
        let flags = u64::from(flags);
        if seeded("source_clear_ignores_the_count") {
            self.word.fetch_and(!flags, Ordering::AcqRel);
            return;
        }
        // Another event count: an event came, and the readiness stands. (Or a waiter left, and the next operation
        // is tried for nothing.) The same: the other direction was cleared or waited for, and this one
        // still can be.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word / EVENT == seen.0 / EVENT).then_some(word & !flags)
        });
    }
    // END: clear

    /// An event: sets flags, advances the event count, and takes out those who wait. Each is given to `wake`,
    /// which calls no user code: those beside the slots come with their lock held.
    #[inline]
    pub(crate) fn set(&self, flags: Flags, mut wake: impl FnMut(Waiter)) {
        let concerns = |direction: Direction| flags.0 & direction.mask() != 0;
        let waiting = |direction: Direction| {
            if concerns(direction) { direction.slot(WAITING) } else { 0 }
        };
        let take = waiting(Direction::Read) | waiting(Direction::Write);
        let before = self.advance(flags.0.into(), take, &mut wake);
        if before & OTHERS != 0 {
            self.take_others(concerns, &mut wake);
        }
    }

    /// Takes out those beside the slots, of the directions that `concerns` names.
    #[cold]
    fn take_others(&self, concerns: impl Fn(Direction) -> bool, wake: &mut impl FnMut(Waiter)) {
        let mut others = lock(&self.others);
        for direction in [Direction::Read, Direction::Write] {
            let waiting = &mut others.waiting[direction as usize];
            if !concerns(direction) {
                continue;
            }
            if seeded("source_wakes_one_waiter") {
                waiting.pop_first().into_iter().for_each(|(_, waiter)| wake(waiter));
            } else {
                mem::take(waiting).into_values().for_each(&mut *wake);
            }
        }
        if seeded("source_notes_its_list_unlocked") && others.are_none() {
            drop(others);
            self.word.fetch_and(!OTHERS, Ordering::AcqRel);
            return;
        }
        self.note_others(&others);
    }

    /// Tells events whether there is anybody beside the slots. With the lock held.
    fn note_others(&self, others: &Others) {
        if others.are_none() {
            self.word.fetch_and(!OTHERS, Ordering::AcqRel);
        }
    }

    /// It may be that no loop watches the descriptor: as if fresh, the next operation asks the kernel. What
    /// else is known of it stays, for if a loop does watch, it is not told again.
    pub(crate) fn refresh(&self) {
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some((word | u64::from(Flags::FRESH)).wrapping_add(EVENT))
        });
    }

    /// Keeps `waiter` until the direction is ready.
    #[inline]
    pub(crate) fn wait(
        &self,
        direction: Direction,
        caller: &mut Caller<'_>,
        waiter: Waiter,
    ) -> Waited {
        let slot = &self.slots[direction as usize];
        let taken = direction.slot(CLAIMED | WAITING);
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if is_ready(word, direction) && !seeded("source_wait_without_second_look") {
                return Waited::Ready(waiter);
            }
            if word & taken != 0 || caller.key() & BESIDE_SLOT != 0 {
                return self.wait_beside(direction, caller, waiter);
            }
            let claimed = word | direction.slot(CLAIMED);
            match self.word.compare_exchange(word, claimed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break word = claimed,
                Err(now) => word = now,
            }
        }
        // No other thread writes a slot that is claimed.
        slot.write(waiter, caller.set_key(word / EVENT + 1));
        // If the word has not changed, no event came since the claim. The next will find us waiting.
        let waiting = word ^ taken;
        match self.word.compare_exchange(word, waiting, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Waited::Kept(None),
            Err(now) => self.end_claim(direction, now),
        }
    }

    /// [`wait`](Self::wait), where the slot is not free: it may be one's own.
    #[cold]
    fn wait_beside(&self, direction: Direction, caller: &mut Caller<'_>, waiter: Waiter) -> Waited {
        let slot = &self.slots[direction as usize];
        let word = self.word.load(Ordering::Acquire);
        let is_waiting = word & direction.slot(WAITING) != 0;
        if caller.key() & BESIDE_SLOT != 0 || !is_waiting || slot.key() != caller.key() {
            return self.wait_among_others(direction, caller, waiter);
        }
        if slot.read().will_wake(&waiter) {
            // What was read may be another's already, with the same waker, which is gone when that one
            // leaves. As in `advance`: not if the word is still this one. An exchange and no load, which
            // may be of a time before what was read.
            let again = self.word.compare_exchange(word, word, Ordering::AcqRel, Ordering::Acquire);
            if again.is_ok() || seeded("source_trusts_what_it_read") {
                return Waited::Kept(Some(waiter));
            }
        }
        // Another task polls now, or the word has changed. It comes in anew.
        drop(self.leave_slot(direction, caller.key()));
        self.wait(direction, caller, waiter)
    }

    /// [`wait`](Self::wait), behind the lock.
    fn wait_among_others(
        &self,
        direction: Direction,
        caller: &mut Caller<'_>,
        waiter: Waiter,
    ) -> Waited {
        let mut others = lock(&self.others);
        // Under the lock: an event sets the word before it takes the lock to look for waiters, so
        // either we see its flags here or it sees us there.
        let noted = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let ready = is_ready(word, direction) && !seeded("source_wait_without_second_look");
            (!ready).then_some(word | OTHERS)
        });
        if noted.is_err() {
            self.note_others(&others);
            return Waited::Ready(waiter);
        }
        let Others { waiting, last_key } = &mut *others;
        let waiting = &mut waiting[direction as usize];
        if let Some(kept) = waiting.get_mut(&caller.key()) {
            return Waited::Kept(Some(mem::replace(kept, waiter)));
        }
        *last_key += 1;
        waiting.insert(caller.set_key(BESIDE_SLOT | *last_key), waiter);
        Waited::Kept(None)
    }

    /// Removes a waiter whose future is dropped. The caller drops what it kept, with no lock held.
    #[must_use]
    #[inline]
    pub(crate) fn leave(&self, direction: Direction, key: WaiterKey) -> Option<Waiter> {
        // Mostly an event has taken it out.
        let word = self.word.load(Ordering::Acquire);
        let others = if seeded("source_leaves_slots_only") { 0 } else { OTHERS };
        if word & (direction.slot(WAITING) | others) == 0 {
            return None;
        }
        self.leave_now(direction, key)
    }

    #[cold]
    fn leave_now(&self, direction: Direction, key: WaiterKey) -> Option<Waiter> {
        if key & BESIDE_SLOT == 0 {
            return self.leave_slot(direction, key);
        }
        let mut others = lock(&self.others);
        let left = others.waiting[direction as usize].remove(&key)?;
        self.note_others(&others);
        Some(left)
    }

    /// Takes out all waiters: nothing would wake them any more.
    pub(crate) fn take_waiters(&self, woken: &mut Vec<Waiter>) {
        let mut woken = |waiter| woken.push(waiter);
        let both = Direction::Read.slot(WAITING) | Direction::Write.slot(WAITING);
        self.advance(0, both, &mut woken);
        if !seeded("source_takes_slots_only") {
            self.take_others(|_| true, &mut woken);
        }
    }

    /// Whether a task waits.
    pub(crate) fn is_waited_on(&self) -> bool {
        let slots = CLAIMED | WAITING;
        let any = Direction::Read.slot(slots) | Direction::Write.slot(slots) | OTHERS;
        self.word.load(Ordering::Acquire) & any != 0
    }
}

impl Others {
    fn are_none(&self) -> bool {
        self.waiting.iter().all(BTreeMap::is_empty)
    }
}

#[inline]
fn is_ready(word: u64, direction: Direction) -> bool {
    word & u64::from(direction.mask()) != 0
}

// The three ways out of a slot. A slot whose word says *waiting* is not written, and whatever ends that
// advances the event count: so the thread that exchanges the word it has read, with that bit in it, for one without
// takes out what it has read, and no other does. `tests/models/source.rs` runs all of them under loom.
#[allow(unsafe_code)]
impl Readiness {
    /// Advances the event count, sets flags, and takes out the waiters in the slots of `take`. Gives the word
    /// from before.
    #[inline]
    fn advance(&self, flags: u64, take: u64, wake: &mut impl FnMut(Waiter)) -> u64 {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            // Read first: once it is out of the word, a slot may be claimed anew. It was not if the
            // exchange succeeds, for whatever frees a slot advances the event count.
            let read = |direction: Direction| {
                let is_taken = word & take & direction.slot(WAITING) != 0;
                is_taken.then(|| self.slots[direction as usize].read())
            };
            let read = [read(Direction::Read), read(Direction::Write)];
            let next = ((word & !take) | flags).wrapping_add(EVENT);
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    for (raw, slot) in read.into_iter().zip(&self.slots) {
                        let Some(mut raw) = raw else { continue };
                        if seeded("source_reads_slot_late") {
                            raw = slot.read();
                        }
                        // SAFETY: read while it was waiting, and taken out by our exchange.
                        wake(unsafe { raw.into_waiter() });
                    }
                    return word;
                }
                Err(now) => word = now,
            }
        }
    }

    /// The word has changed since a slot was claimed: waits all the same, unless it was by an event
    /// that concerns the direction.
    #[cold]
    fn end_claim(&self, direction: Direction, mut word: u64) -> Waited {
        let raw = self.slots[direction as usize].read();
        loop {
            let ready = is_ready(word, direction) && !seeded("source_wait_without_second_look");
            let bits = direction.slot(if ready { CLAIMED } else { CLAIMED | WAITING });
            let next = word ^ bits;
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: the slot is claimed by this thread, which wrote it; and it never was waiting,
                // so no other thread takes it out.
                Ok(_) if ready => return Waited::Ready(unsafe { raw.into_waiter() }),
                Ok(_) => return Waited::Kept(None),
                Err(now) => word = now,
            }
        }
    }

    /// Frees the slot if the waiter of this key is in it.
    #[must_use]
    fn leave_slot(&self, direction: Direction, key: WaiterKey) -> Option<Waiter> {
        let slot = &self.slots[direction as usize];
        let mut word = self.word.load(Ordering::Acquire);
        while word & direction.slot(WAITING) != 0 && slot.key() == key {
            let raw = slot.read();
            // As in `advance`: the event count says that the slot was not claimed anew in between.
            let event = if seeded("source_leaves_uncounted") { 0 } else { EVENT };
            let next = (word & !direction.slot(WAITING)).wrapping_add(event);
            match self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Acquire) {
                // SAFETY: read while it was waiting, and taken out by our exchange.
                Ok(_) => return Some(unsafe { raw.into_waiter() }),
                Err(now) => word = now,
            }
        }
        None
    }
}

impl Drop for Readiness {
    /// No task waits any more; but a waker that was left here is to be dropped.
    fn drop(&mut self) {
        if !seeded("source_keeps_its_last_waker") {
            let mut left = Vec::new();
            self.take_waiters(&mut left);
        }
    }
}
