//! Models of the lifo slot, `run_queue/lifo.rs`: the owner puts and takes while a thief steals.
//!
//! All that was put comes out, once. The owner must not find its slot in use for longer than the thief
//! takes: when all is done, it is good for the next.

use super::seeded_bug_is_caught;
use crate::engine::{base::primitives::thread, run_queue::stealing::Owner};

/// A queue with `0` in its lifo slot, and a thief that goes for it.
fn queue_and_thief() -> (Owner<u32>, thread::JoinHandle<Option<u32>>) {
    let queue = Owner::new();
    assert_eq!(queue.put_lifo(0), None);
    let thief = queue.thief();
    (queue, thread::spawn(move || thief.steal_lifo()))
}

/// All of `0..put` came out once, with what the thief has; and the slot works.
fn check(put: u32, queue: &Owner<u32>, mut out: Vec<u32>, stolen: Option<u32>) {
    out.extend(queue.take_lifo().into_iter().chain(stolen));
    out.sort_unstable();
    assert!(out.iter().copied().eq(0..put), "put: 0..{put}, out: {out:?}");
    assert_eq!((queue.put_lifo(9), queue.take_lifo()), (None, Some(9)), "the slot is stuck");
}

/// The usual round: the owner runs the occupant, which puts the next.
#[test]
fn a_thief_beside_take_and_put() {
    loom::model(|| {
        let (queue, thief) = queue_and_thief();
        let mut out: Vec<_> = queue.take_lifo().into_iter().collect();
        out.extend(queue.put_lifo(1));
        out.extend(queue.take_lifo());
        out.extend(queue.put_lifo(2));
        let stolen = thief.join().unwrap();
        check(3, &queue, out, stolen);
    });
}

/// A task that wakes several: each bumps the one before.
#[test]
fn a_thief_beside_put_and_put() {
    loom::model(|| {
        let (queue, thief) = queue_and_thief();
        let mut out: Vec<_> = queue.put_lifo(1).into_iter().collect();
        out.extend(queue.put_lifo(2));
        let stolen = thief.join().unwrap();
        check(3, &queue, out, stolen);
    });
}

/// Two thieves, and an owner that takes: each occupant goes to one of the three.
#[test]
fn two_thieves_of_one_slot() {
    loom::model(|| {
        let (queue, one) = queue_and_thief();
        let two = queue.thief();
        let two = thread::spawn(move || two.steal_lifo());
        let mut out: Vec<_> = queue.take_lifo().into_iter().collect();
        out.extend(queue.put_lifo(1));
        out.extend(two.join().unwrap());
        let stolen = one.join().unwrap();
        check(2, &queue, out, stolen);
    });
}

/// A thief that finds the slot empty at first.
#[test]
fn a_thief_beside_the_first_put() {
    loom::model(|| {
        let queue = Owner::new();
        let thief = queue.thief();
        let thief = thread::spawn(move || thief.steal_lifo());
        let mut out: Vec<_> = queue.put_lifo(0).into_iter().collect();
        out.extend(queue.take_lifo());
        out.extend(queue.put_lifo(1));
        out.extend(thief.join().unwrap());
        check(2, &queue, out, None);
    });
}

#[test]
fn an_occupant_announced_before_it_is_in_is_caught() {
    let finding =
        seeded_bug_is_caught("models::lifo::a_thief_beside_the_first_put", "lifo_puts_relaxed");
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// Empty by its word, the slot is filled again while the thief still reads it.
#[test]
fn a_slot_emptied_by_word_only_is_caught() {
    let finding =
        seeded_bug_is_caught("models::lifo::a_thief_beside_put_and_put", "lifo_empties_first");
    assert!(finding.contains("Causality violation"), "{finding}");
}
