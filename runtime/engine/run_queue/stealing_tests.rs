//! The local queue against a list, one thread; then two threads that steal from each other.
//!
//! The list is the oracle of the order: what a ring holds is what was pushed and not yet popped, stolen
//! or overflowed, oldest first. What threads do to each other is loom's matter. The test with threads
//! here is for what loom leaves out: rings of full size, millions of steps, the real machine.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU32, Ordering},
    },
    thread,
};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Act {
    Push(usize),
    Pop(usize),
    /// The other queue's owner steals from this one.
    Stolen,
    FillFrom(usize),
    PutLifo,
    TakeLifo,
    StealLifo,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1..CAPACITY).prop_map(Act::Push),
        3 => (1..CAPACITY).prop_map(Act::Pop),
        2 => Just(Act::Stolen),
        1 => (0..2 * CAPACITY).prop_map(Act::FillFrom),
        2 => Just(Act::PutLifo),
        1 => Just(Act::TakeLifo),
        1 => Just(Act::StealLifo),
    ]
}

/// A queue and what it must hold.
struct Checked {
    queue: Owner<u32>,
    ring: VecDeque<u32>,
    lifo: Option<u32>,
}

impl Checked {
    fn new() -> Self {
        Self { queue: Owner::new(), ring: VecDeque::new(), lifo: None }
    }

    fn push(&mut self, item: u32) {
        match self.queue.push(item) {
            Ok(()) => self.ring.push_back(item),
            Err(overflow) => {
                assert_eq!(self.ring.len(), CAPACITY, "there was room");
                let mut expected: Vec<_> = self.ring.drain(..CAPACITY / 2).collect();
                expected.push(item);
                assert_eq!(overflow.collect::<Vec<_>>(), expected);
            }
        }
    }

    fn stolen_by(&mut self, thief: &mut Self) {
        let share = self.ring.len().div_ceil(2).min(CAPACITY - thief.ring.len() + 1);
        let mut expected = self.ring.drain(..share);
        assert_eq!(thief.queue.steal_from(&self.queue.thief()), expected.next());
        thief.ring.extend(expected);
    }

    fn fill_from(&mut self, items: std::ops::Range<u32>, most: usize) {
        let mut list: VecDeque<_> = items.clone().collect();
        self.queue.fill_from(&mut list, most);
        let moved = most.min(items.len()).min(CAPACITY - self.ring.len());
        assert_eq!(list, items.clone().skip(moved).collect::<VecDeque<_>>());
        self.ring.extend(items.take(moved));
    }

    fn steal_lifo(&mut self) {
        assert_eq!(self.queue.thief().steal_lifo(), self.lifo.take());
    }

    fn check(&self) {
        assert_eq!(self.queue.len(), self.ring.len());
        assert_eq!(self.queue.thief().len() == 0, self.ring.is_empty());
    }
}

proptest! {
    #[test]
    fn two_queues_hold_what_two_lists_do(acts in prop::collection::vec((any::<bool>(), act()), 1..200)) {
        let (mut ours, mut other) = (Checked::new(), Checked::new());
        let mut fresh = 0..;
        for (swap, act) in acts {
            if swap {
                std::mem::swap(&mut ours, &mut other);
            }
            match act {
                Act::Push(count) => fresh.by_ref().take(count).for_each(|item| ours.push(item)),
                Act::Pop(count) => (0..count).for_each(|_| {
                    assert_eq!(ours.queue.pop(), ours.ring.pop_front());
                }),
                Act::Stolen => ours.stolen_by(&mut other),
                Act::FillFrom(most) => {
                    let first = fresh.next().unwrap();
                    fresh.start = first + CAPACITY as u32;
                    ours.fill_from(first..fresh.start, most);
                }
                Act::PutLifo => {
                    let item = fresh.next().unwrap();
                    assert_eq!(ours.queue.put_lifo(item), ours.lifo.replace(item));
                }
                Act::TakeLifo => assert_eq!(ours.queue.take_lifo(), ours.lifo.take()),
                Act::StealLifo => ours.steal_lifo(),
            }
            ours.check();
            other.check();
        }
    }
}

/// Each half is what the other relies on. The last line is ambiguous, and no Rust, if the owner is
/// `Sync`.
#[test]
fn an_owner_can_be_sent_and_not_shared() {
    trait Shareable<Which> {
        fn which() {}
    }
    impl<T: ?Sized> Shareable<()> for T {}
    impl<T: ?Sized + Sync> Shareable<u8> for T {}
    fn sent<T: Send>() {}
    fn shared<T: Send + Sync>() {}

    sent::<Owner<Cell<u32>>>();
    shared::<Thief<Cell<u32>>>();
    <Owner<u32> as Shareable<_>>::which();
}

/// An owner steals from itself: of no use, and harmless.
#[test]
fn a_queue_may_be_its_own_victim() {
    let queue = Owner::new();
    (0..CAPACITY).for_each(|item| assert!(queue.push(item).is_ok()));
    assert_eq!(queue.steal_from(&queue.thief()), Some(0), "a full ring has room for one");
    assert_eq!(queue.steal_from(&queue.thief()), Some(1));
    let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(rest, (3..CAPACITY).chain([2]).collect::<Vec<_>>());
}

/// While an overflow is carried off no thread steals, and what is pushed meanwhile goes with it alone.
#[test]
fn an_overflow_in_progress_keeps_its_slots() {
    let (queue, thief) = (Owner::new(), Owner::new());
    (0..CAPACITY).for_each(|item| assert!(queue.push(item).is_ok()));
    let first = queue.push(CAPACITY).expect_err("the ring is full");
    let second = queue.push(CAPACITY + 1).expect_err("no slot is free yet");
    assert_eq!(second.collect::<Vec<_>>(), [CAPACITY + 1]);
    assert_eq!(thief.steal_from(&queue.thief()), None);
    assert_eq!(queue.pop(), Some(CAPACITY / 2), "a pop goes on beside it");
    assert_eq!(first.len(), CAPACITY / 2 + 1);
    drop(first);
    assert!(queue.push(CAPACITY + 2).is_ok());
    assert_eq!(thief.steal_from(&queue.thief()), Some(CAPACITY / 2 + 1));
}

#[test]
fn a_queue_drops_what_is_left_in_it() {
    let (queue, item) = (Owner::new(), Arc::new(()));
    for _ in 0..CAPACITY {
        assert!(queue.push(item.clone()).is_ok());
    }
    drop(queue.pop());
    assert!(queue.put_lifo(item.clone()).is_none());
    let thief = queue.thief();
    drop(queue);
    assert_eq!(Arc::strong_count(&item), CAPACITY + 1, "the thieves may still want it");
    drop(thief);
    assert_eq!(Arc::strong_count(&item), 1);
}

/// Each of two workers pushes, pops, uses its lifo slot, and steals from the other all the while.
/// Every item comes out once, wherever that is.
#[test]
fn two_workers_that_steal_from_each_other_lose_nothing() {
    const ITEMS: u32 = 200_000;
    let seen: Arc<Vec<AtomicU32>> = Arc::new((0..2 * ITEMS).map(|_| AtomicU32::new(0)).collect());
    let queues = [Owner::<Box<u32>>::new(), Owner::new()];
    let thieves = [queues[1].thief(), queues[0].thief()];
    let start = Arc::new(Barrier::new(2));
    let workers = queues.into_iter().zip(thieves).zip([0, ITEMS]).map(|((queue, other), first)| {
        let (seen, start) = (seen.clone(), start.clone());
        thread::spawn(move || {
            let run = |item: Option<Box<u32>>| {
                item.is_some_and(|item| {
                    seen[*item as usize].fetch_add(1, Ordering::Relaxed);
                    true
                })
            };
            start.wait();
            for item in first..first + ITEMS {
                // Bursts, so that rings overflow, run empty and are stolen from in turn.
                let bumped = match item % 3 {
                    0 => queue.put_lifo(Box::new(item)),
                    _ => Some(Box::new(item)),
                };
                if let Some(Err(overflow)) = bumped.map(|item| queue.push(item)) {
                    overflow.for_each(|item| {
                        run(Some(item));
                    });
                }
                if item / 1000 % 2 == 1 {
                    run(queue.take_lifo());
                    run(queue.pop());
                    run(queue.pop());
                }
                if item % 50 == 0 {
                    run(queue.steal_from(&other));
                    run(other.steal_lifo());
                }
            }
            while run(queue.take_lifo()) || run(queue.pop()) {}
        })
    });
    workers.collect::<Vec<_>>().into_iter().for_each(|worker| worker.join().unwrap());
    let wrong = seen.iter().position(|seen| seen.load(Ordering::Relaxed) != 1);
    assert_eq!(wrong, None, "an item came out twice or never");
}
