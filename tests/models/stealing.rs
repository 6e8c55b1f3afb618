//! Models of a worker's ring, `run_queue/stealing.rs`: the owner pushes and pops while others steal.
//!
//! A ring has four slots here, and its counts begin two below their wrap. loom checks by itself that
//! no two touch a slot unordered. What is left to ask is conservation: all that was pushed comes out,
//! once, wherever that is; and a thread that takes several from one ring takes them in the order in which
//! they were pushed.
//!
//! **Alternative:** a list of all histories that are right. There are thousands, and what makes them right
//! is these two things.

use super::{bounded_model, seeded_bug_is_caught};
use crate::engine::{
    base::primitives::thread,
    run_queue::stealing::{CAPACITY, Owner, Thief},
};

/// A queue that holds these items.
fn filled(items: impl IntoIterator<Item = u32>) -> Owner<u32> {
    let queue = Owner::new();
    items.into_iter().for_each(|item| assert!(queue.push(item).is_ok(), "no room"));
    queue
}

/// Pushes, and gives what overflows.
fn push(queue: &Owner<u32>, item: u32) -> Vec<u32> {
    queue.push(item).err().into_iter().flatten().collect()
}

/// Steals once, with a queue of its own, and gives all that it got.
fn steal(victim: &Thief<u32>) -> Vec<u32> {
    let queue = Owner::new();
    let first = queue.steal_from(victim);
    assert!(first.is_some() || queue.is_empty(), "the first of a share is missing");
    first.into_iter().chain(drain(&queue)).collect()
}

fn drain(queue: &Owner<u32>) -> Vec<u32> {
    std::iter::from_fn(|| queue.pop()).collect()
}

/// Each of `0..pushed` is in one of `taken`, once, and each of those is in order.
fn check(pushed: u32, taken: &[Vec<u32>]) {
    for taken in taken {
        assert!(taken.is_sorted(), "taken out of order: {taken:?}");
    }
    let mut all = taken.concat();
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..pushed), "pushed: 0..{pushed}, taken: {taken:?}");
}

/// All is quiet, and the ring is empty: it holds as much as a new one, and can be stolen from.
fn check_ring(queue: &Owner<u32>) {
    assert!((0..CAPACITY as u32).all(|item| queue.push(item).is_ok()), "slots were not freed");
    assert_eq!(steal(&queue.thief()).len(), CAPACITY / 2, "nobody can steal from it any more");
}

/// The least that must hold. The owner comes round to the slots that were stolen from, and its pops
/// fall before, between and after the steps of the thief.
#[test]
fn a_thief_beside_push_and_pop() {
    bounded_model(4, || {
        let queue = filled(0..2);
        let victim = queue.thief();
        let thief = thread::spawn(move || steal(&victim));
        let (mut popped, mut taken) = (Vec::new(), Vec::new());
        for item in 2..6 {
            popped.extend(queue.pop());
            taken.push(push(&queue, item));
        }
        popped.extend(drain(&queue));
        taken.extend([popped, thief.join().unwrap()]);
        check(6, &taken);
    });
}

/// A thief that comes twice may meet, with an old tail, a head that has moved on.
#[test]
fn a_thief_beside_an_owner_that_runs_empty() {
    bounded_model(4, || {
        let queue = filled([0]);
        let victim = queue.thief();
        let thief = thread::spawn(move || [steal(&victim), steal(&victim)].concat());
        let mut popped = drain(&queue);
        assert!(queue.push(1).is_ok() && queue.push(2).is_ok());
        popped.extend(drain(&queue));
        check(3, &[popped, thief.join().unwrap()]);
        check_ring(&queue);
    });
}

/// Two thieves want the same half. While one carries it away the other gets nothing.
#[test]
fn two_thieves_of_one_owner() {
    bounded_model(2, || {
        let queue = filled(0..3);
        let thieves = [(); 2].map(|()| {
            let victim = queue.thief();
            thread::spawn(move || steal(&victim))
        });
        let overflows = [3, 4, 5].map(|item| push(&queue, item));
        let mut taken = vec![drain(&queue)];
        taken.extend(overflows);
        taken.extend(thieves.map(|thief| thief.join().unwrap()));
        check(6, &taken);
    });
}

/// The ring is full, and the owner and a thief both want the older half of it. Who comes second leaves
/// it to the other; and a third, who comes during it, gets nothing.
#[test]
fn an_overflow_beside_a_thief() {
    loom::model(|| {
        let queue = filled(0..CAPACITY as u32);
        let victim = queue.thief();
        let thief = thread::spawn(move || steal(&victim));
        let overflows = [4, 5].map(|item| push(&queue, item));
        let mut taken = vec![drain(&queue), thief.join().unwrap()];
        taken.extend(overflows);
        check(6, &taken);
    });
}

/// Two workers with little to do steal from each other: each carries away and is stolen from at once,
/// what it has just stolen as well.
#[test]
fn two_owners_steal_from_each_other() {
    loom::model(|| {
        let (ours, theirs) = (filled(0..2), filled(2..5));
        let (victim, other_victim) = (theirs.thief(), ours.thief());
        let other = thread::spawn(move || {
            let stolen = theirs.steal_from(&other_victim);
            (stolen, drain(&theirs))
        });
        let stolen = ours.steal_from(&victim);
        let popped = drain(&ours);
        let (other_stolen, other_popped) = other.join().unwrap();
        let mut all: Vec<_> = [popped, other_popped].concat();
        all.extend(stolen.into_iter().chain(other_stolen));
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3, 4]);
    });
}

/// The guard empties the queue of a worker that is stuck: share by share, to the last item.
#[test]
fn a_queue_can_be_stolen_whole() {
    loom::model(|| {
        let queue = Owner::new();
        let victim = queue.thief();
        let thief = thread::spawn(move || {
            let ours = Owner::new();
            let mut stolen = Vec::new();
            while let Some(first) = ours.steal_from(&victim) {
                stolen.push(first);
                stolen.extend(drain(&ours));
            }
            stolen
        });
        assert!((0..3).all(|item| queue.push(item).is_ok()));
        let mut stolen = thief.join().unwrap();
        let rest = queue.thief();
        while rest.len() != 0 {
            stolen.extend(steal(&rest));
        }
        check(3, &[stolen]);
    });
}

/// A thief goes by the length. It may be old; it is never one that the queue did not have.
#[test]
fn a_length_beside_a_thief() {
    loom::model(|| {
        let queue = Owner::new();
        let (victim, watched) = (queue.thief(), queue.thief());
        let thief = thread::spawn(move || steal(&victim));
        let watcher = thread::spawn(move || watched.len());
        assert!(queue.push(0).is_ok());
        assert!(watcher.join().unwrap() <= 1, "a tail behind the head");
        check(1, &[drain(&queue), thief.join().unwrap()]);
    });
}

#[test]
fn a_tail_published_without_its_item_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::stealing::a_queue_can_be_stolen_whole",
        "stealing_publishes_relaxed",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// Freed at once, the slots are filled again while the thief still reads them.
#[test]
fn slots_freed_before_they_are_empty_are_caught() {
    let finding = seeded_bug_is_caught(
        "models::stealing::a_thief_beside_push_and_pop",
        "stealing_frees_before_carrying",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// The first of two claimers to be done would free the slots of both.
#[test]
fn two_claims_at_once_are_caught() {
    seeded_bug_is_caught(
        "models::stealing::two_thieves_of_one_owner",
        "stealing_claims_beside_another",
    );
}

/// A head ahead of the tail looks like a queue of four billion.
#[test]
fn a_tail_behind_the_head_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::stealing::a_length_beside_a_thief",
        "stealing_claims_relaxed",
    );
    assert!(finding.contains("a tail behind the head"), "{finding}");
    seeded_bug_is_caught(
        "models::stealing::a_thief_beside_an_owner_that_runs_empty",
        "stealing_pops_relaxed",
    );
}

/// What the owner popped while a thief carried stays in use, and the ring looks claimed for ever.
#[test]
fn a_claim_that_frees_its_own_share_only_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::stealing::a_thief_beside_an_owner_that_runs_empty",
        "stealing_frees_its_own_share",
    );
    assert!(finding.contains("slots were not freed"), "{finding}");
}

#[test]
fn counts_that_do_not_wrap_are_caught() {
    seeded_bug_is_caught(
        "models::stealing::a_thief_beside_push_and_pop",
        "stealing_room_does_not_wrap",
    );
}
