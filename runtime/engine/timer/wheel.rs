//! The timing wheel: which deadline comes next, and which have passed.
//!
//! Plain `&mut` data that knows no thread, no lock, no task and no clock. A loop's timers
//! (`timer/mod.rs`) hold one and tell it the time, in nanoseconds.
//!
//! Time is written in base 256: a moment is eight digits of eight bits, one for each level. A timer is
//! on the level of the highest digit in which its deadline differs from the wheel's own time, in the
//! slot named by that digit. So everything on a level is earlier than everything on the next, slots are
//! in order within a level, and a bitmap for each level finds the first occupied one. What must hold at
//! all times: a timer's slot follows from its deadline and the wheel's time alone. When the wheel turns,
//! by however much, the levels below the highest digit that changed are due as a whole, and so are the
//! slots before that digit's new value; of the slot it names, what is not due yet moves to lower levels.
//! So a timer moves at most once a level, whatever the others do. Wider digits move it less often, and
//! make the slots of a loop take more memory.
//!
//! Nothing is rounded: slots say where to look, deadlines say what is due, and what is due comes out
//! by deadline, ties in the order of creation.
//!
//! Timers are scattered in memory, and to follow a list through it is to wait for memory at each step.
//! Therefore a slot's timers are spread over [`LISTS`] lists, and a turn of the wheel first walks all
//! lists it has to do with, side by side, and only then touches what it found.
//!
//! After a burst the memory goes back: vectors that only serve a turn are kept up to [`KEPT`] elements,
//! and vacant entries at the end are given up once most entries are vacant. (An entry in use cannot
//! move, for its key holds its index.)
//!
//! After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987). **Alternative:** a heap, or
//! a sorted map: it always knows the exact next deadline, and pays a logarithm for each insert and
//! cancel. Most timers are timeouts that are cancelled long before they are due, so here those two
//! are O(1), and finding the next deadline is what may cost a short search.
//!
//! Vacant entries are kept in a list here, where other files take a `slab`: an id says by itself whether
//! an entry is taken, so the slab's own check at each access would only cost.

use std::num::NonZeroU32;

const DIGIT_BITS: u32 = 8;
const SLOTS: usize = 1 << DIGIT_BITS;
/// Eight levels of 8 bits are the 64 bits of a deadline.
const LEVELS: usize = 8;
/// One level more, never searched: a deadline of `u64::MAX` means never.
const NEVER: usize = LEVELS;
/// Lists of a slot. A timer's index says in which of them it is.
const LISTS: usize = 4;
/// The end of a list.
const NIL: u32 = u32::MAX;
/// The id of a vacant entry. Counted ids never come this far.
const VACANT: u64 = u64::MAX;
/// No slot.
const NO_SLOT: usize = usize::MAX;
/// In `prev`: this timer is the first of a list, whose number is in the low bits. So a timer can leave
/// its list without working out its slot.
const FIRST: u32 = 1 << 31;
/// How many timers of one slot, or timers that are too late, a search looks at.
const SEARCH: usize = 32;
/// Elements of a vector whose memory is kept, however few are in use.
pub(super) const KEPT: usize = 1024;

/// Names a timer. `id` counts insertions and is never reused, so a stale key does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TimerKey {
    /// One more than the index, so that having no timer takes no memory beside it.
    pub(crate) number: NonZeroU32,
    pub(crate) id: u64,
}

impl TimerKey {
    #[inline]
    fn new(index: u32, id: u64) -> Self {
        Self { number: NonZeroU32::MIN.saturating_add(index), id }
    }

    #[inline]
    fn index(self) -> u32 {
        self.number.get() - 1
    }
}

/// A timer whose deadline has passed, on its way out of the wheel.
#[derive(Debug)]
pub(crate) struct Due<T> {
    pub(crate) deadline: u64,
    pub(crate) id: u64,
    pub(crate) value: T,
}

/// 24 bytes and those of `T`. A vacant entry holds a default value, has the id of no key, and is linked
/// by `next` to the next vacant one.
struct Entry<T> {
    deadline: u64,
    id: u64,
    next: u32,
    prev: u32,
    value: T,
}

/// Timers of one loop. See the module's essay. A `T::default()` holds no memory and runs no user code
/// when it is dropped.
pub(crate) struct Wheel<T> {
    entries: Vec<Entry<T>>,
    /// The first vacant entry.
    vacant: u32,
    len: usize,
    occupied: [Occupied; LEVELS + 1],
    /// The first timers of each slot's lists. Slot numbers run through the levels: level * 256 +
    /// digit. Made by the first insert: a loop without timers allocates nothing.
    first: Vec<[u32; LISTS]>,
    /// What the wheel walks through when it turns, kept for its memory.
    walk: Vec<u32>,
    /// The moment the wheel has turned to. Never moves back.
    now: u64,
    inserted: u64,
    /// No timer is earlier. `u64::MAX`: there is none.
    earliest: u64,
    /// Whether `earliest` is the answer to give, or only a bound left over from before a change.
    known: bool,
    /// The slot that was too crowded to search, if `earliest` only bounds what is in it.
    crowded: usize,
    /// With fewer timers than this, the vacant entries at the end are worth giving up.
    spacious_below: usize,
}

impl<T: Default> Wheel<T> {
    /// An empty wheel, which has not allocated.
    pub(crate) const fn new() -> Self {
        Wheel {
            entries: Vec::new(),
            vacant: NIL,
            len: 0,
            occupied: [Occupied::NONE; LEVELS + 1],
            first: Vec::new(),
            walk: Vec::new(),
            now: 0,
            inserted: 0,
            earliest: u64::MAX,
            known: true,
            crowded: NO_SLOT,
            spacious_below: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Adds a timer. One whose deadline has passed is due at the next [`expire`](Self::expire); one
    /// of `u64::MAX` is kept and never due.
    ///
    /// # Panics
    ///
    /// With 2^31 timers in the wheel, which take 80 GiB.
    #[inline(always)]
    pub(crate) fn insert(&mut self, deadline: u64, value: T) -> TimerKey {
        let index = self.vacant;
        let slot = slot_of(deadline, self.now);
        let Some(entry) = self.entries.get_mut(index as usize) else {
            return self.insert_growing(deadline, value);
        };
        let key = TimerKey::new(index, self.inserted);
        self.vacant = entry.next;
        self.inserted += 1;
        self.len += 1;
        (entry.deadline, entry.id) = (deadline, key.id);
        // Said this way, the compiler need not drop the vacant entry's default value.
        std::mem::forget(std::mem::replace(&mut entry.value, value));
        self.link(index, slot);
        self.earliest = self.earliest.min(deadline);
        key
    }

    /// The insert that finds no entry vacant: it makes one.
    #[cold]
    fn insert_growing(&mut self, deadline: u64, value: T) -> TimerKey {
        let index = self.entries.len();
        assert!(index < FIRST as usize, "a wheel holds at most 2^31 timers");
        self.first.resize(NEVER * SLOTS + 1, [NIL; LISTS]);
        let value_of_vacant = T::default();
        self.entries.push(Entry {
            deadline: 0,
            id: VACANT,
            next: NIL,
            prev: NIL,
            value: value_of_vacant,
        });
        self.vacant = index as u32;
        self.spacious_below = spacious_below(self.entries.len());
        self.insert(deadline, value)
    }

    /// Takes a timer out, unless it has fired. The value is the caller's to drop: it may be a waker,
    /// and the wheel is borrowed now.
    #[inline]
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let entry = self.entries.get_mut(key.index() as usize)?;
        if entry.id != key.id {
            return None;
        }
        let (deadline, next, prev) = (entry.deadline, entry.next, entry.prev);
        (entry.id, entry.next) = (VACANT, self.vacant);
        let value = std::mem::take(&mut entry.value);
        self.vacant = key.index();
        self.len -= 1;
        self.unlink(deadline, next, prev);
        if self.len < self.spacious_below {
            self.give_memory_back();
        }
        Some(value)
    }

    /// The value of a timer that has not fired.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        let entry = self.entries.get_mut(key.index() as usize)?;
        (entry.id == key.id).then_some(&mut entry.value)
    }

    /// Gives a timer another deadline. It keeps its place in the order of creation. `false` if it has
    /// fired or was cancelled.
    #[inline]
    pub(crate) fn re_arm(&mut self, key: TimerKey, deadline: u64) -> bool {
        let Some(entry) = self.entries.get_mut(key.index() as usize) else { return false };
        if entry.id != key.id {
            return false;
        }
        let old = std::mem::replace(&mut entry.deadline, deadline);
        let slot = slot_of(deadline, self.now);
        // A timeout moved a little further mostly stays in its wide slot.
        if slot == slot_of(old, self.now) {
            self.known &= old != self.earliest;
        } else {
            let (next, prev) = (entry.next, entry.prev);
            self.unlink(old, next, prev);
            self.link(key.index(), slot);
        }
        self.earliest = self.earliest.min(deadline);
        true
    }

    /// When to come back: never later than the earliest deadline, `None` if there is none.
    ///
    /// Exact while few timers share the first occupied slot. Where they crowd, it may be the start of
    /// that slot: coming then spreads them over lower levels, where they are few. Coming back at each
    /// answer always makes progress. Asked again, it searches again only if the earliest timer was
    /// cancelled, moved or expired in between.
    #[inline]
    pub(crate) fn next_deadline(&mut self) -> Option<u64> {
        if !self.known {
            self.search();
        }
        (self.earliest != u64::MAX).then_some(self.earliest)
    }

    /// Turns the wheel to `now` and moves each timer whose deadline is not later to the end of `due`,
    /// by deadline, ties in the order of creation.
    ///
    /// The cost is that of the timers moved, however far time has jumped. A `now` earlier than the
    /// last one is no error: the wheel stays where it is.
    pub(crate) fn expire(&mut self, now: u64, due: &mut Vec<Due<T>>) {
        if now < self.earliest {
            return;
        }
        let old = self.now;
        self.now = old.max(now);
        let from = due.len();

        // The levels below the highest changed digit are past, and so are the slots before it. The
        // slot now falls into holds both what is due and what is not.
        let mut walk = std::mem::take(&mut self.walk);
        let top = level_of(self.now ^ old);
        for level in 0..=top {
            let last = if level < top { SLOTS - 1 } else { digit_of(self.now, top) };
            while let Some(found) = self.occupied[level].first().filter(|&found| found <= last) {
                let lists = self.take_slot(level * SLOTS + found);
                walk.extend(lists.into_iter().filter(|&first| first != NIL));
            }
        }
        // ANCHOR: walk
        // Side by side: what follows each timer joins at the end, so that many loads are under way.
        // What is left is earlier than all that is elsewhere.
        let (mut walked, mut earliest_left) = (0, u64::MAX);
        while let Some(&index) = walk.get(walked) {
            let Entry { deadline, next, .. } = self.entries[index as usize];
            if next != NIL {
                walk.push(next);
            }
            if deadline > now {
                earliest_left = earliest_left.min(deadline);
            }
            walked += 1;
        }
        // END: walk
        looked_at(walked);

        for index in walk.drain(..) {
            let deadline = self.entries[index as usize].deadline;
            if deadline > now {
                self.link(index, slot_of(deadline, self.now));
            } else {
                self.hand_over(index, due);
            }
        }
        walk.shrink_to(KEPT);
        self.walk = walk;

        if earliest_left != u64::MAX {
            (self.earliest, self.known, self.crowded) = (earliest_left, true, NO_SLOT);
        } else if due.len() > from {
            // All that is left is later than now.
            (self.earliest, self.known) = (now.saturating_add(1), false);
        }
        due[from..].sort_unstable_by_key(|due| (due.deadline, due.id));
        if self.len < self.spacious_below {
            self.give_memory_back();
        }
    }

    /// How many deadlines are not later than `limit`, counted up to `at_most`, and the latest of
    /// those counted (0 if none). For sharing a wake-up among timers that come densely.
    ///
    /// Cheap rather than complete: it gives up after some timers that are too late, so in a crowded
    /// slot that reaches beyond `limit` it may count too few. It never counts too many.
    pub(crate) fn due_until(&self, limit: u64, at_most: usize) -> (usize, u64) {
        let (mut count, mut latest, mut too_late) = (0, 0, 0);
        for level in 0..LEVELS {
            let mut occupied = self.occupied[level];
            while let Some(found) = occupied.first() {
                // A timer that is overdue is in the first slot, whatever its start.
                if self.start_of(level, found) > limit && (level, found) != self.here() {
                    return (count, latest);
                }
                occupied.remove(found);
                for Entry { deadline, .. } in self.timers_of(level * SLOTS + found) {
                    if count >= at_most || too_late >= SEARCH {
                        return (count, latest);
                    }
                    looked_at(1);
                    if *deadline <= limit {
                        count += 1;
                        latest = latest.max(*deadline);
                    } else {
                        too_late += 1;
                    }
                }
            }
        }
        (count, latest)
    }

    /// Empties the wheel of all timers, also those that never fire, in no particular order, and gives
    /// its memory back. For a loop that is closed.
    pub(crate) fn take_all(&mut self) -> Vec<T> {
        let left = Self { now: self.now, inserted: self.inserted, ..Self::new() };
        let entries = std::mem::replace(self, left).entries;
        let taken = entries.into_iter().filter(|entry| entry.id != VACANT);
        taken.map(|entry| entry.value).collect()
    }

    /// Gives up the vacant entries at the end, if they are at least half of all. Else they are looked
    /// at again when half as many timers are left, so that what this costs is paid by the inserts
    /// that made the entries.
    #[cold]
    fn give_memory_back(&mut self) {
        let is_taken = |entry: &Entry<T>| entry.id != VACANT;
        let used = self.entries.iter().rposition(is_taken).map_or(0, |last| last + 1).max(KEPT);
        looked_at(self.entries.len() - used);
        if used > self.entries.len() / 2 {
            self.spacious_below = (self.len / 2).max(1);
            return;
        }
        self.entries.truncate(used);
        self.entries.shrink_to_fit();
        self.spacious_below = spacious_below(used);
        // The first entries are taken first, so that the last ones become vacant.
        self.vacant = NIL;
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            if entry.id == VACANT {
                (entry.next, self.vacant) = (self.vacant, index as u32);
            }
        }
    }

    /// Empties a slot. Its lists are now the caller's.
    fn take_slot(&mut self, slot: usize) -> [u32; LISTS] {
        self.occupied[slot / SLOTS].remove(slot % SLOTS);
        std::mem::replace(&mut self.first[slot], [NIL; LISTS])
    }

    /// The timers of a slot, list by list.
    fn timers_of(&self, slot: usize) -> impl Iterator<Item = &Entry<T>> {
        self.first[slot].iter().flat_map(|&first| {
            // NIL is the index of no entry.
            let entry = |index: u32| self.entries.get(index as usize);
            std::iter::successors(entry(first), move |timer| entry(timer.next))
        })
    }

    /// Level and slot of the moment the wheel has turned to.
    fn here(&self) -> (usize, usize) {
        (0, digit_of(self.now, 0))
    }

    /// The first instant of an occupied slot. Its digits above `level` are the wheel's own.
    fn start_of(&self, level: usize, slot: usize) -> u64 {
        let shift = level as u32 * DIGIT_BITS;
        let above = self.now >> shift >> DIGIT_BITS << DIGIT_BITS;
        (above | slot as u64) << shift
    }

    /// Makes a timer, which is in no list, the first of one of a slot's.
    #[inline]
    fn link(&mut self, index: u32, slot: usize) {
        let list = index as usize % LISTS;
        let next = std::mem::replace(&mut self.first[slot][list], index);
        self.occupied[slot / SLOTS].insert(slot % SLOTS);
        // NIL is the index of no entry.
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.prev = index;
        }
        let entry = &mut self.entries[index as usize];
        (entry.next, entry.prev) = (next, FIRST | (slot * LISTS + list) as u32);
    }

    /// Takes a timer out of its slot's list, given the links to the timers before and after it.
    #[inline]
    fn unlink(&mut self, deadline: u64, next: u32, prev: u32) {
        // Another timer that is as early stays the answer only by luck: look again.
        self.known &= deadline != self.earliest;
        if let Some(entry) = self.entries.get_mut(next as usize) {
            entry.prev = prev;
        }
        // With FIRST in it, `prev` is the index of no entry either.
        if let Some(entry) = self.entries.get_mut(prev as usize) {
            entry.next = next;
            return;
        }
        let list = (prev & !FIRST) as usize;
        let slot = list / LISTS;
        let Some(first) = self.first.get_mut(slot) else { return };
        first[list % LISTS] = next;
        // One by one: they were written one by one, and a wide load would have to wait for that.
        if first.iter().all(|&first| first == NIL) {
            if let Some(occupied) = self.occupied.get_mut(slot / SLOTS) {
                occupied.remove(slot % SLOTS);
            }
            // The bound was for a slot that is empty now.
            self.known &= slot != self.crowded;
        }
    }

    /// Moves a timer, whose list is no longer kept, to `due`.
    fn hand_over(&mut self, index: u32, due: &mut Vec<Due<T>>) {
        let entry = &mut self.entries[index as usize];
        let (deadline, id) = (entry.deadline, entry.id);
        let value = std::mem::take(&mut entry.value);
        (entry.id, entry.next) = (VACANT, self.vacant);
        self.vacant = index;
        self.len -= 1;
        due.push(Due { deadline, id, value });
    }

    /// Finds the earliest deadline, or the best bound a short search gives.
    fn search(&mut self) {
        let bound = std::mem::replace(&mut self.earliest, u64::MAX);
        (self.known, self.crowded) = (true, NO_SLOT);
        let first = |level: usize| Some((level, self.occupied[level].first()?));
        let Some((level, found)) = (0..LEVELS).find_map(first) else { return };
        let slot = level * SLOTS + found;
        let (mut looked_at, mut earliest) = (0, u64::MAX);
        for timer in self.timers_of(slot).take(SEARCH + 1) {
            looked_at += 1;
            earliest = earliest.min(timer.deadline);
        }
        self::looked_at(looked_at);
        if looked_at <= SEARCH {
            self.earliest = earliest;
            return;
        }
        // The slot the wheel has reached holds what is overdue, which a start says nothing of.
        let start = if (level, found) == self.here() { 0 } else { self.start_of(level, found) };
        (self.earliest, self.crowded) = (bound.max(start), slot);
    }
}

/// The slot of a timer: see the essay. What is overdue waits in the slot the wheel has reached.
#[inline]
// ANCHOR: slot_of
fn slot_of(deadline: u64, now: u64) -> usize {
    if deadline == u64::MAX {
        return NEVER * SLOTS;
    }
    let deadline = deadline.max(now);
    let level = level_of(deadline ^ now);
    level * SLOTS + digit_of(deadline, level)
}
// END: slot_of

/// Below how many timers so many entries are too many.
fn spacious_below(entries: usize) -> usize {
    if entries > 2 * KEPT { entries / 4 } else { 0 }
}

/// The highest digit that is not zero.
#[inline]
fn level_of(differing: u64) -> usize {
    ((differing | 1).ilog2() / DIGIT_BITS) as usize
}

#[inline]
fn digit_of(moment: u64, level: usize) -> usize {
    (moment >> (level as u32 * DIGIT_BITS)) as usize % SLOTS
}

#[cfg(test)]
std::thread_local! {
    /// Timers that searches and turns have looked at.
    static LOOKED_AT: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many timers were looked at. Tests hold the sum against the number of timers.
#[inline(always)]
fn looked_at(_timers: usize) {
    #[cfg(test)]
    LOOKED_AT.set(LOOKED_AT.get() + _timers);
}

/// Which slots of a level are not empty: a bit for each.
#[derive(Clone, Copy)]
struct Occupied([u64; SLOTS / 64]);

impl Occupied {
    const NONE: Self = Self([0; SLOTS / 64]);

    #[inline]
    fn insert(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    #[inline]
    fn first(&self) -> Option<usize> {
        let at = self.0.iter().position(|&word| word != 0)?;
        Some(at * 64 + self.0[at].trailing_zeros() as usize)
    }
}

#[cfg(all(test, not(loom)))]
#[path = "wheel_tests.rs"]
mod tests;
