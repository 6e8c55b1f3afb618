//! Models of the lifo slot, `run_queue/lifo.rs`: the owner puts and takes while a thief wants the
//! occupant that it has seen.
//!
//! All that was put comes out, once; and a thief gets the one it has seen or none. The owner must not
//! find its slot in use for longer than the thief takes: when all is done, it is good for the next.

use super::seeded_bug_is_caught;
use crate::engine::{base::primitives::thread, run_queue::stealing::Owner};

/// A queue with `0` in its lifo slot, seen by a thief that goes for it.
fn queue_and_thief() -> (Owner<u32>, thread::JoinHandle<Option<u32>>) {
    let queue = Owner::new();
    assert_eq!(queue.put_lifo(0), None);
    let thief = queue.thief();
    let seen = thief.sight_lifo().expect("an item was put");
    (queue, thread::spawn(move || thief.steal_lifo(seen)))
}

/// All of `0..put` came out once, with what the thief has, which is the one it saw; and the slot works.
fn check(put: u32, queue: &Owner<u32>, mut out: Vec<u32>, stolen: Option<u32>) {
    assert!(matches!(stolen, None | Some(0)), "stolen unseen: {stolen:?}");
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

/// Two that have seen the same, and an owner that takes it: one of the three has it.
#[test]
fn two_thieves_of_one_occupant() {
    loom::model(|| {
        let (queue, one) = queue_and_thief();
        let two = queue.thief();
        let seen = two.sight_lifo();
        let two = thread::spawn(move || seen.and_then(|seen| two.steal_lifo(seen)));
        let mut out: Vec<_> = queue.take_lifo().into_iter().collect();
        out.extend(queue.put_lifo(1));
        out.extend(two.join().unwrap());
        let stolen = one.join().unwrap();
        check(2, &queue, out, stolen);
    });
}

/// A thief that takes whatever it sees, at once: that, whole, or nothing.
#[test]
fn a_thief_that_does_not_wait() {
    loom::model(|| {
        let queue = Owner::new();
        let thief = queue.thief();
        let thief = thread::spawn(move || {
            let seen = thief.sight_lifo()?;
            thief.steal_lifo(seen)
        });
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
        seeded_bug_is_caught("models::lifo::a_thief_that_does_not_wait", "lifo_puts_relaxed");
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// Without the count, or without comparing it, a thief carries off what was put a moment ago.
#[test]
fn stealing_an_occupant_unseen_is_caught() {
    let finding =
        seeded_bug_is_caught("models::lifo::a_thief_beside_take_and_put", "lifo_steals_any");
    assert!(finding.contains("stolen unseen"), "{finding}");
}

/// Empty by its word, the slot is filled again while the thief still reads it.
#[test]
fn a_slot_emptied_by_word_only_is_caught() {
    let finding =
        seeded_bug_is_caught("models::lifo::a_thief_beside_put_and_put", "lifo_empties_first");
    assert!(finding.contains("Causality violation"), "{finding}");
}
