//! Models of the injector, `run_queue/injector.rs`: it is pushed to and popped from while it closes.
//!
//! All that comes is popped, left for the one who closes, or handed back; and the length beside the
//! lock, by which workers go, is right when all is quiet.

use super::seeded_bug_is_caught;
use crate::engine::{
    base::primitives::{Arc, thread},
    run_queue::{
        injector::Injector,
        stealing::{CAPACITY, Owner},
    },
};

/// Each of `0..pushed` is there once.
fn check(pushed: u32, mut all: Vec<u32>) {
    all.sort_unstable();
    assert!(all.iter().copied().eq(0..pushed), "pushed: 0..{pushed}, found: {all:?}");
}

fn pop_all(injector: &Injector<u32>) -> impl Iterator<Item = u32> {
    std::iter::from_fn(|| injector.pop())
}

/// Shutdown: what is spawned meanwhile is run, dropped by the one who shuts down, or refused.
#[test]
fn a_push_and_a_pop_beside_a_close() {
    loom::model(|| {
        let injector = Arc::new(Injector::new());
        assert!(injector.push(0).is_ok());
        let (pushes, pops) = (injector.clone(), injector.clone());
        let pusher = thread::spawn(move || pushes.push(1).err());
        let popper = thread::spawn(move || pops.pop());
        let mut all: Vec<_> = injector.close().into();
        all.extend(pusher.join().unwrap());
        all.extend(popper.join().unwrap());
        assert!(injector.is_empty(), "a closed injector holds something");
        check(2, all);
    });
}

/// An overflow stays whole: all of it is in, or all of it is handed back.
#[test]
fn an_overflow_beside_a_close() {
    loom::model(|| {
        let injector = Arc::new(Injector::new());
        let closes = injector.clone();
        let closer = thread::spawn(move || closes.close());
        let queue = Owner::new();
        let items = CAPACITY as u32;
        assert!((0..items).all(|item| queue.push(item).is_ok()));
        let overflow = queue.push(items).expect_err("the ring is full");
        let mut all: Vec<_> =
            injector.push_overflow(overflow).err().into_iter().flatten().collect();
        let left = closer.join().unwrap();
        assert!(all.is_empty() || left.is_empty(), "split: {all:?} and {left:?}");
        all.extend(left);
        all.extend(std::iter::from_fn(|| queue.pop()));
        assert!(injector.is_empty(), "a closed injector holds something");
        check(items + 1, all);
    });
}

/// A worker takes its share while another pushes: what it leaves is counted.
#[test]
fn a_share_beside_a_push() {
    loom::model(|| {
        let injector = Arc::new(Injector::new());
        assert!(injector.push(0).is_ok() && injector.push(1).is_ok());
        let pushes = injector.clone();
        let pusher = thread::spawn(move || pushes.push(2));
        let queue = Owner::new();
        let first = injector.pop_share(&queue, 1);
        assert_eq!((first, queue.pop()), (Some(0), Some(1)), "first in, first out");
        assert!(pusher.join().unwrap().is_ok());
        check(3, [0, 1].into_iter().chain(pop_all(&injector)).collect());
    });
}

/// Two pushers: the length is that of both, whoever was last.
#[test]
fn two_pushers() {
    loom::model(|| {
        let injector = Arc::new(Injector::new());
        let pushes = injector.clone();
        let pusher = thread::spawn(move || pushes.push(0));
        assert!(injector.push(1).is_ok() && pusher.join().unwrap().is_ok());
        assert_eq!(injector.len(), 2);
        check(2, pop_all(&injector).collect());
    });
}

/// What is pushed between the taking and the closing would stay there for ever.
#[test]
fn closing_in_two_steps_is_caught() {
    seeded_bug_is_caught(
        "models::injector::a_push_and_a_pop_beside_a_close",
        "injector_closes_in_two_steps",
    );
}

/// An older length, written last, hides an item from everybody.
#[test]
fn counting_outside_the_lock_is_caught() {
    seeded_bug_is_caught("models::injector::two_pushers", "injector_counts_unlocked");
}
