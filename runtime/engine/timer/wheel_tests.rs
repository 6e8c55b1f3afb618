//! The wheel against a sorted map, and the edges by name.
//!
//! The map is the oracle: it sorts by (deadline, id), so its front is what must expire next. After
//! each step the wheel's lists and bitmaps are walked too: a wrong slot that happens to fire in time
//! is still an error.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::RngSeed};

use super::*;

/// The width of a slot of a level, in nanoseconds.
fn width(level: usize) -> u64 {
    1 << (DIGIT_BITS * level as u32)
}

/// Expires and returns the values, in order.
fn fire<T: Default>(wheel: &mut Wheel<T>, now: u64) -> Vec<T> {
    let mut due = Vec::new();
    wheel.expire(now, &mut due);
    check(wheel);
    due.into_iter().map(|due| due.value).collect()
}

/// Walks everything: each timer is in the slot its deadline says, linked both ways, under a set bit.
fn check<T: Default>(wheel: &Wheel<T>) {
    let mut found = 0;
    for (slot, lists) in wheel.first.iter().enumerate() {
        let bit = wheel.occupied[slot / SLOTS].0[slot % SLOTS / 64] >> (slot % 64) & 1;
        assert_eq!(bit == 1, lists != &[NIL; LISTS], "the bit of slot {slot}");
    }
    for (list, &first) in wheel.first.iter().flatten().enumerate() {
        let (mut index, mut prev) = (first, FIRST | list as u32);
        while index != NIL {
            let entry = &wheel.entries[index as usize];
            let here = slot_of(entry.deadline, wheel.now) * LISTS + index as usize % LISTS;
            assert_eq!((entry.prev, here), (prev, list), "the way back and the list of a timer");
            assert!(entry.id < wheel.inserted);
            assert!(entry.deadline >= wheel.earliest, "a timer before the earliest");
            found += 1;
            (index, prev) = (entry.next, index);
        }
    }
    assert_eq!((found, wheel.walk.len()), (wheel.len(), 0), "timers left on the way");
    let (mut index, mut vacant) = (wheel.vacant, 0);
    while index != NIL {
        let entry = &wheel.entries[index as usize];
        assert!(entry.id == VACANT);
        vacant += 1;
        index = entry.next;
    }
    assert_eq!(found + vacant, wheel.entries.len(), "an entry neither in a slot nor vacant");
}

#[derive(Clone, Debug)]
enum Step {
    Insert(When),
    /// So many at once, so far apart: crowds.
    Crowd(When, usize, u64),
    /// By a key of any age, counted back from the youngest.
    Cancel(usize),
    /// The earliest of all: what the cached answer stands on.
    CancelEarliest,
    ReArm(usize, When),
    Advance(u64),
    AdvanceToNext,
    Back(u64),
    Ask,
    DueUntil(u64, usize),
    TakeAll,
}

#[derive(Clone, Debug)]
enum When {
    In(u64),
    Ago(u64),
    Never,
}

impl When {
    fn deadline(&self, now: u64) -> u64 {
        match *self {
            When::In(delay) => now.saturating_add(delay),
            When::Ago(delay) => now.saturating_sub(delay),
            When::Never => u64::MAX,
        }
    }
}

/// A delay of up to so many bits, each magnitude as likely as the next.
fn delay(bits: u32) -> impl Strategy<Value = u64> {
    (0..=bits, any::<u64>()).prop_map(|(bits, any)| any.checked_shr(64 - bits).unwrap_or(0))
}

/// A delay of up to four seconds, where timers meet in slots.
fn short_delay() -> impl Strategy<Value = u64> {
    delay(32)
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        6 => delay(64).prop_map(When::In),
        6 => short_delay().prop_map(When::In),
        1 => delay(64).prop_map(When::Ago),
        1 => Just(When::Never),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => when().prop_map(Step::Insert),
        1 => (when(), 2..80usize, short_delay()).prop_map(|(when, many, apart)| {
            Step::Crowd(when, many, apart)
        }),
        4 => (0..50usize).prop_map(Step::Cancel),
        2 => Just(Step::CancelEarliest),
        4 => (0..50usize, when()).prop_map(|(key, when)| Step::ReArm(key, when)),
        3 => short_delay().prop_map(Step::Advance),
        1 => delay(64).prop_map(Step::Advance),
        4 => Just(Step::AdvanceToNext),
        1 => delay(64).prop_map(Step::Back),
        4 => Just(Step::Ask),
        2 => (delay(64), 0..20usize).prop_map(|(limit, at_most)| Step::DueUntil(limit, at_most)),
        1 => Just(Step::TakeAll),
    ]
}

/// The wheel and its oracle side by side. A value is its own number.
struct Pair {
    wheel: Wheel<usize>,
    oracle: BTreeMap<(u64, u64), usize>,
    /// Each key ever given out, with the deadline if it is still in.
    keys: Vec<(TimerKey, Option<u64>)>,
    now: u64,
    /// The most timers there ever were: with few, the answers are exact.
    most: usize,
}

impl Pair {
    fn new() -> Self {
        Pair { wheel: Wheel::new(), oracle: BTreeMap::new(), keys: Vec::new(), now: 0, most: 0 }
    }

    fn insert(&mut self, deadline: u64) {
        let number = self.keys.len();
        let key = self.wheel.insert(deadline, number);
        self.keys.push((key, Some(deadline)));
        self.oracle.insert((deadline, key.id), number);
        self.most = self.most.max(self.oracle.len());
    }

    fn cancel(&mut self, number: usize) {
        let (key, deadline) = &mut self.keys[number];
        let known = deadline.take().and_then(|deadline| self.oracle.remove(&(deadline, key.id)));
        assert_eq!(self.wheel.get_mut(*key).copied(), known);
        assert_eq!(self.wheel.cancel(*key), known);
        assert_eq!(self.wheel.get_mut(*key), None);
    }

    fn re_arm(&mut self, number: usize, new: u64) {
        let (key, deadline) = &mut self.keys[number];
        assert_eq!(self.wheel.re_arm(*key, new), deadline.is_some());
        if let Some(deadline) = deadline {
            self.oracle.remove(&(*deadline, key.id));
            self.oracle.insert((new, key.id), number);
            *deadline = new;
        }
    }

    /// The number `back` insertions ago, if there were so many.
    fn number(&self, back: usize) -> Option<usize> {
        self.keys.len().checked_sub(back + 1)
    }

    /// The oracle's earliest that is ever due.
    fn earliest(&self) -> Option<(u64, usize)> {
        let (&(deadline, _), &number) = self.oracle.first_key_value()?;
        (deadline != u64::MAX).then_some((deadline, number))
    }

    fn ask(&mut self) -> Option<u64> {
        let earliest = self.earliest().map(|(deadline, _)| deadline);
        let next = self.wheel.next_deadline();
        assert_eq!(next.is_some(), earliest.is_some());
        assert!(next <= earliest, "{next:?} is later than {earliest:?}");
        if self.most <= SEARCH {
            assert_eq!(next, earliest, "few timers, so exact");
        }
        next
    }

    /// `now` is what the wheel is told, be it earlier than before.
    fn expire(&mut self, now: u64) {
        self.now = self.now.max(now);
        let mut due = Vec::new();
        self.wheel.expire(now, &mut due);
        let fired: Vec<_> = due.iter().map(|due| ((due.deadline, due.id), due.value)).collect();
        let mut expected = Vec::new();
        while let Some(first) = self.oracle.first_entry() {
            if first.key().0 > now || first.key().0 == u64::MAX {
                break;
            }
            expected.push((*first.key(), *first.get()));
            self.keys[first.remove()].1 = None;
        }
        assert_eq!(fired, expected);
    }

    fn due_until(&mut self, limit: u64, at_most: usize) {
        let (count, latest) = self.wheel.due_until(limit, at_most);
        let all = self.oracle.keys().map(|key| key.0);
        let all: Vec<_> = all.filter(|&at| at <= limit && at != u64::MAX).collect();
        assert!(count <= at_most.min(all.len()));
        assert!(count == 0 || all.contains(&latest));
        assert!(self.most > SEARCH || count == at_most.min(all.len()), "few timers, so exact");
        assert!(count < all.len() || Some(latest) == all.last().copied().or(Some(0)));
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Insert(when) => self.insert(when.deadline(self.now)),
            Step::Crowd(when, many, apart) => {
                for number in 0..*many as u64 {
                    let from = when.deadline(self.now);
                    self.insert(from.saturating_add(number.saturating_mul(*apart)));
                }
            }
            Step::Cancel(back) => self.number(*back).into_iter().for_each(|n| self.cancel(n)),
            Step::CancelEarliest => {
                self.earliest().into_iter().for_each(|(_, n)| self.cancel(n));
            }
            Step::ReArm(back, when) => {
                let new = when.deadline(self.now);
                self.number(*back).into_iter().for_each(|n| self.re_arm(n, new));
            }
            Step::Advance(delay) => self.expire(self.now.saturating_add(*delay)),
            Step::AdvanceToNext => {
                if let Some(next) = self.ask() {
                    self.expire(next.max(self.now));
                }
            }
            Step::Back(delay) => self.expire(self.now.saturating_sub(*delay)),
            Step::Ask => _ = self.ask(),
            Step::DueUntil(delay, most) => self.due_until(self.now.saturating_add(*delay), *most),
            Step::TakeAll => {
                let mut taken = self.wheel.take_all();
                taken.sort_unstable();
                let mut expected: Vec<_> = self.oracle.values().copied().collect();
                expected.sort_unstable();
                self.oracle.clear();
                assert_eq!(taken, expected);
                self.keys.iter_mut().for_each(|key| key.1 = None);
            }
        }
        assert_eq!(self.wheel.len(), self.oracle.len());
        assert_eq!(self.wheel.len() == 0, self.oracle.is_empty());
        check(&self.wheel);
    }

    fn run(&mut self, steps: &[Step]) {
        steps.iter().for_each(|step| self.take(step));
        self.drain();
    }

    /// Comes back at each answer until nothing is left: at least every other time something fires.
    fn drain(&mut self) {
        let mut steps = 2 * self.oracle.len();
        let mut last = None;
        while let Some(next) = self.ask() {
            assert!(steps > 0 && last < Some(next), "no progress at {next}");
            steps -= 1;
            self.expire(next);
            last = Some(next);
        }
    }
}

/// The same cases each time. Widen the search with `PROPTEST_CASES`.
fn config() -> ProptestConfig {
    let rng_seed = RngSeed::Fixed(0x7157_1161);
    ProptestConfig { failure_persistence: None, rng_seed, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn agrees_with_a_sorted_map(steps in prop::collection::vec(step(), 1..150)) {
        Pair::new().run(&steps);
    }

    /// Without the crowds and the clearing out, so that the exact answers are tested too.
    #[test]
    fn is_exact_with_few_timers(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            let grows = matches!(step, Step::Insert(_)) && pair.oracle.len() >= SEARCH;
            if !grows && !matches!(step, Step::Crowd(..) | Step::TakeAll) {
                pair.take(step);
            }
        }
        pair.drain();
    }

    /// All in one short stretch, so that most share their slots with more than a search looks at.
    #[test]
    fn crowds_make_progress(
        bits in 8..40u32,
        delays in prop::collection::vec(any::<u64>(), 33..200),
        start in delay(64),
        steps in prop::collection::vec(step(), 0..20),
    ) {
        let mut pair = Pair::new();
        pair.expire(start >> 1);
        for delay in delays {
            pair.insert(pair.now + (delay >> (64 - bits)));
        }
        pair.run(&steps);
    }
}

#[test]
fn each_edge_of_each_level_fires_exactly_on_time() {
    // From here every level's slots are reached by a step up, not from zero.
    for start in [0, 1, width(2) - 1, width(5) + 5, width(7) - 1, width(7) * 255 + 12_345] {
        let edges = (0..LEVELS)
            .flat_map(|level| [width(level), width(level).saturating_mul(SLOTS as u64 - 1)]);
        let around = edges.flat_map(|edge| [edge - 1, edge, edge + 1]);
        for edge in around.filter(|&edge| edge > 0) {
            let deadline = start.saturating_add(edge).min(u64::MAX - 1);
            let mut wheel = Wheel::new();
            assert!(fire(&mut wheel, start).is_empty());
            wheel.insert(deadline, ());
            assert_eq!(wheel.next_deadline(), Some(deadline));
            assert!(fire(&mut wheel, deadline - 1).is_empty(), "{deadline} from {start}: early");
            assert_eq!(wheel.next_deadline(), Some(deadline));
            assert_eq!(fire(&mut wheel, deadline).len(), 1, "{deadline} from {start}: not on time");
            assert_eq!(wheel.next_deadline(), None);
        }
    }
}

#[test]
fn one_jump_fires_every_level_in_order() {
    let mut wheel = Wheel::new();
    (0..LEVELS).rev().for_each(|level| _ = wheel.insert(width(level) + 7, level));
    assert_eq!(fire(&mut wheel, u64::MAX), [0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_slot_is_looked_through_to_the_nanosecond() {
    let mut wheel = Wheel::new();
    [3, 1, 2].into_iter().for_each(|n| _ = wheel.insert(width(4) + n, n));
    assert!(fire(&mut wheel, width(4)).is_empty());
    assert_eq!(fire(&mut wheel, width(4) + 2), [1, 2]);
    assert_eq!(wheel.next_deadline(), Some(width(4) + 3));
    assert_eq!(fire(&mut wheel, width(4) + 3), [3]);
}

#[test]
fn never_is_kept_and_never_fires() {
    let mut wheel = Wheel::new();
    let key = wheel.insert(u64::MAX, 'n');
    assert_eq!((wheel.len(), wheel.next_deadline()), (1, None));
    assert!(fire(&mut wheel, u64::MAX).is_empty());
    assert_eq!(wheel.due_until(u64::MAX, 5), (0, 0));
    assert_eq!(wheel.cancel(key), Some('n'));
    wheel.insert(u64::MAX - 1, 'l');
    assert_eq!(wheel.next_deadline(), Some(u64::MAX - 1));
    assert_eq!(fire(&mut wheel, u64::MAX), ['l']);
}

#[test]
fn many_that_never_fire_do_not_hide_that_nothing_is_due() {
    let mut wheel = Wheel::new();
    let keys: Vec<_> = (0..100).map(|n| wheel.insert(u64::MAX, n)).collect();
    assert!(wheel.re_arm(keys[7], 9) && wheel.re_arm(keys[8], 5));
    assert_eq!((wheel.cancel(keys[8]), wheel.next_deadline()), (Some(8), Some(9)));
    assert_eq!(fire(&mut wheel, 9), [7]);
    assert_eq!((wheel.next_deadline(), wheel.len()), (None, 98));
}

#[test]
fn what_is_overdue_fires_at_the_next_look_also_if_time_stands_still_or_goes_back() {
    let mut wheel = Wheel::new();
    let now = 5 * width(3) + 17;
    assert!(fire(&mut wheel, now).is_empty());
    wheel.insert(0, 'z');
    wheel.insert(now, 'n');
    wheel.insert(now - width(3), 'p');
    wheel.insert(now + 1, 'f');
    assert_eq!(wheel.next_deadline(), Some(0));
    assert_eq!(wheel.due_until(now, 9), (3, now));
    assert_eq!(fire(&mut wheel, 0), ['z']);
    assert_eq!(fire(&mut wheel, now - 1), ['p']);
    assert_eq!(fire(&mut wheel, now), ['n']);
    assert!(fire(&mut wheel, now).is_empty());
    assert_eq!(fire(&mut wheel, now + 1), ['f']);
}

#[test]
fn ties_fire_in_the_order_of_creation_also_when_re_armed() {
    let mut wheel = Wheel::new();
    let at = 3 * width(4);
    let keys: Vec<_> = (0..40).map(|n| wheel.insert(at + 40 - n, n)).collect();
    // Entries are reused, last freed first: the order must not come from where they are.
    [30, 3, 20].into_iter().for_each(|n| _ = wheel.cancel(keys[n]));
    [40, 41, 42].into_iter().for_each(|n| _ = wheel.insert(at, n));
    for n in (0..40).rev() {
        assert_eq!(wheel.re_arm(keys[n], at), ![3, 20, 30].contains(&n));
    }
    let expected: Vec<u64> = (0..43).filter(|n| ![3, 20, 30].contains(n)).collect();
    assert_eq!(fire(&mut wheel, at), expected);
}

#[test]
fn a_stale_key_does_nothing_to_the_timer_in_its_entry() {
    let mut wheel = Wheel::new();
    let old = wheel.insert(10, 'o');
    assert_eq!(wheel.cancel(old), Some('o'));
    let new = wheel.insert(20, 'n');
    assert_eq!(old.number, new.number);
    assert_eq!((wheel.cancel(old), wheel.get_mut(old)), (None, None));
    assert!(!wheel.re_arm(old, 5));
    assert_eq!(wheel.get_mut(new), Some(&mut 'n'));
    assert_eq!(fire(&mut wheel, 20), ['n']);
    wheel.insert(30, 't');
    assert_eq!((wheel.cancel(new), wheel.take_all()), (None, vec!['t']));
    assert!(wheel.len() == 0 && wheel.cancel(new).is_none());
}

#[test]
fn only_losing_the_earliest_asks_for_a_search() {
    let mut wheel = Wheel::new();
    let first = wheel.insert(width(5), 0);
    let later = wheel.insert(width(5) + 9, 1);
    let far = wheel.insert(width(7), 2);
    assert!(wheel.re_arm(later, width(5) + 8) && wheel.re_arm(far, width(6)));
    wheel.cancel(later);
    wheel.cancel(far);
    assert!(fire(&mut wheel, 3 * width(3)).is_empty());
    assert!(wheel.known && wheel.earliest == width(5));
    wheel.insert(width(6), 3);
    assert!(wheel.re_arm(first, width(7)));
    assert!(!wheel.known);
    assert_eq!(wheel.next_deadline(), Some(width(6)));
}

#[test]
fn a_crowded_slot_answers_with_its_start_until_it_is_empty() {
    let mut wheel = Wheel::new();
    let start = 2 * width(5);
    let keys: Vec<_> = (1..=40).map(|n| wheel.insert(start + n * width(4), n)).collect();
    assert_eq!(wheel.next_deadline(), Some(start + width(4)));
    wheel.cancel(keys[0]);
    // Forty less one cannot be searched, and what was the earliest is the better bound.
    assert_eq!(wheel.next_deadline(), Some(start + width(4)));
    wheel.insert(7, 0);
    assert_eq!(fire(&mut wheel, 7), [0]);
    assert_eq!(wheel.next_deadline(), Some(start));
    for key in &keys[1..] {
        assert!(wheel.cancel(*key).is_some() && wheel.known != (wheel.len() == 0));
    }
    assert_eq!(wheel.next_deadline(), None);
}

#[test]
fn due_until_counts_no_further_than_asked() {
    let mut wheel = Wheel::new();
    (1..=100).for_each(|n| _ = wheel.insert(n * width(2), n));
    assert_eq!(wheel.due_until(0, 10), (0, 0));
    assert_eq!(wheel.due_until(5 * width(2) - 1, 10), (4, 4 * width(2)));
    assert_eq!(wheel.due_until(5 * width(2), 10), (5, 5 * width(2)));
    assert_eq!(wheel.due_until(u64::MAX, 10), (10, 10 * width(2)));
}

#[test]
fn allocates_at_the_first_insert_and_then_only_to_grow() {
    let mut wheel = Wheel::new();
    assert!(fire(&mut wheel, width(6)).is_empty());
    assert_eq!((wheel.entries.capacity(), wheel.first.capacity()), (0, 0));
    let mut keys: Vec<_> = (0..100).map(|n| wheel.insert(n * width(3), n)).collect();
    for n in 0..10_000 {
        let key = &mut keys[n as usize * 7 % 100];
        assert!(wheel.cancel(*key).is_some());
        *key = wheel.insert(width(7) + n * width(2), n);
    }
    assert_eq!((wheel.entries.len(), wheel.len()), (100, 100));
    assert_eq!(fire(&mut wheel, u64::MAX).len(), 100);
    let key = wheel.insert(u64::MAX, 0);
    assert_eq!((wheel.entries.len(), key.id), (100, 10_100));
    assert_eq!(wheel.take_all(), [0]);
    assert_eq!(wheel.entries.capacity() + wheel.first.capacity() + wheel.walk.capacity(), 0);
}

/// How many timers `f` has the wheel look at.
fn looks(f: impl FnOnce()) -> usize {
    let before = LOOKED_AT.get();
    f();
    LOOKED_AT.get() - before
}

const CROWD: usize = 20_000;

#[test]
fn timers_a_nanosecond_apart_are_walked_once_a_level_and_not_once_a_deadline() {
    let mut wheel = Wheel::new();
    let start = 3 * width(4);
    (0..CROWD as u64).for_each(|n| _ = wheel.insert(start + n, n));
    let mut fired = 0;
    let looked = looks(|| {
        let mut due = Vec::new();
        while let Some(next) = wheel.next_deadline() {
            wheel.expire(next, &mut due);
            fired += due.drain(..).count();
        }
    });
    assert_eq!(fired, CROWD);
    // Each is walked once a level; each answer and each firing looks at a few more.
    assert!(looked <= CROWD * (LEVELS + SEARCH), "{looked} for {CROWD}");
}

#[test]
fn a_storm_of_cancels_looks_at_a_few_timers_for_each() {
    for apart in [0, 1, width(1)] {
        let mut wheel = Wheel::new();
        let start = 7 * width(4);
        let keys: Vec<_> = (0..CROWD as u64).map(|n| wheel.insert(start + n * apart, n)).collect();
        let looked = looks(|| {
            for key in keys {
                assert!(wheel.next_deadline().is_some() && wheel.cancel(key).is_some());
            }
        });
        // A search for each, and now and then the vacant entries at the end.
        assert!(looked <= CROWD * (SEARCH + 2), "{looked} for {CROWD}");
        assert_eq!(wheel.next_deadline(), None);
    }
}

#[test]
fn a_storm_of_moves_looks_at_a_few_timers_for_each() {
    let mut wheel = Wheel::new();
    let keys: Vec<_> = (0..CROWD as u64).map(|n| wheel.insert(width(4) + n, n)).collect();
    let looked = looks(|| {
        for round in 1..=4 {
            for (n, key) in keys.iter().enumerate() {
                assert!(wheel.re_arm(*key, (round + 1) * width(4) + n as u64));
                assert!(wheel.next_deadline().is_some());
            }
        }
    });
    assert!(looked <= 4 * CROWD * (SEARCH + 1), "{looked} for {CROWD}");
}

#[test]
fn after_a_burst_the_memory_goes_back() {
    let mut wheel = Wheel::new();
    let burst = |wheel: &mut Wheel<u64>| -> Vec<_> {
        (0..100_000).map(|n| wheel.insert(width(4) + n, n)).collect()
    };
    let elements = |wheel: &Wheel<u64>| (wheel.entries.capacity(), wheel.walk.capacity());
    // Fired, with one that stays and was there first.
    let first = wheel.insert(u64::MAX, 7);
    burst(&mut wheel);
    assert_eq!(fire(&mut wheel, width(5)).len(), 100_000);
    assert_eq!(elements(&wheel), (KEPT, KEPT));
    assert_eq!(wheel.get_mut(first), Some(&mut 7));
    // Cancelled, in an order that leaves the last entry for the end.
    let keys = burst(&mut wheel);
    for key in keys {
        assert!(wheel.cancel(key).is_some());
    }
    check(&wheel);
    assert_eq!(elements(&wheel), (KEPT, KEPT));
    // What comes after goes where there is memory.
    (0..KEPT as u64 - 1).for_each(|n| _ = wheel.insert(width(5), n));
    assert_eq!(elements(&wheel).0, KEPT);
    check(&wheel);
}

#[test]
fn an_entry_in_use_keeps_those_before_it_until_it_is_cancelled() {
    let mut wheel = Wheel::new();
    let mut keys: Vec<_> = (0..10_000).map(|n| wheel.insert(width(4) + n, n)).collect();
    let last = keys.pop().unwrap();
    let looked = looks(|| keys.iter().for_each(|key| _ = wheel.cancel(*key)));
    assert!(wheel.entries.capacity() >= 10_000);
    assert!(looked <= 10, "it is looked for from the end: {looked}");
    assert_eq!(wheel.get_mut(last), Some(&mut 9_999));
    assert_eq!(wheel.cancel(last), Some(9_999));
    assert_eq!(wheel.entries.capacity(), KEPT);
    check(&wheel);
}
