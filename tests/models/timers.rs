//! Models of a worker's timers (`timer/mod.rs`): handed over between threads, fired by the worker and by
//! another worker that takes over, and inserted from outside while the worker parks.
//!
//! Each timer's waker is called, or handed back, exactly once. A worker that stays parked past a
//! deadline stays so for ever here, for a model has no alarm; loom calls that a deadlock.

use std::{
    sync::Arc as StdArc,
    task::{Wake, Waker},
};

use super::{both_ways, seeded_bug_is_caught};
use crate::engine::{
    base::primitives::{Arc, AtomicU32, Ordering::AcqRel, thread},
    timer::SharedTimers,
};

/// The identity of the runtime.
const POOL: u64 = 1;
/// The present moment, in all models.
const NOW: u64 = 10;

/// Counts how often it is called.
struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: StdArc<Self>) {
        self.0.fetch_add(1, AcqRel);
    }
}

fn timers() -> (Arc<SharedTimers>, StdArc<Count>, Waker) {
    let count = StdArc::new(Count(AtomicU32::new(0)));
    (Arc::new(SharedTimers::new(POOL)), count.clone(), Waker::from(count))
}

fn called(count: &Count) -> u32 {
    count.0.load(std::sync::atomic::Ordering::Acquire)
}

/// The worker is back from its poll just when another worker takes over.
#[test]
fn two_workers_fire_a_timer_once() {
    loom::model(|| {
        let (timers, count, waker) = timers();
        assert!(timers.insert(NOW - 1, waker).is_ok());
        let theirs = timers.clone();
        let other = thread::spawn(move || theirs.fire(NOW));
        let ours = timers.fire(NOW);
        assert_eq!(ours + other.join().unwrap(), 1);
        assert_eq!(called(&count), 1);
    });
}

/// A sleep is dropped on one worker while its timer fires on another.
#[test]
fn a_timer_is_cancelled_or_fires() {
    loom::model(|| {
        let (timers, count, waker) = timers();
        let (key, _) = timers.insert(NOW, waker).unwrap_or_else(|_| panic!("nobody closed it"));
        let theirs = timers.clone();
        let canceller = thread::spawn(move || theirs.cancel(key).is_some());
        let fired = timers.fire(NOW);
        let cancelled = canceller.join().unwrap();
        assert_ne!(cancelled, fired == 1);
        assert_eq!(called(&count), u32::from(!cancelled));
    });
}

/// A sleep is polled on one worker, with a new waker, while its timer fires on another: one of the two
/// wakers is called, and the sleep knows which. If it is not the new one it sets another timer.
#[test]
fn a_waker_is_replaced_or_its_timer_fires() {
    loom::model(|| {
        let (timers, old, waker) = timers();
        let (key, _) = timers.insert(NOW, waker).unwrap_or_else(|_| panic!("nobody closed it"));
        let new = StdArc::new(Count(AtomicU32::new(0)));
        let (theirs, their_waker) = (timers.clone(), Waker::from(new.clone()));
        let poller = thread::spawn(move || theirs.set_waker(key, &their_waker));
        assert_eq!(timers.fire(NOW), 1);
        let replaced = poller.join().unwrap();
        assert_eq!([called(&old), called(&new)], if replaced { [0, 1] } else { [1, 0] });
    });
}

/// The earliest deadline that stands beside the lock is never later than the wheel's: whoever goes by it
/// would be late.
#[test]
fn two_timers_come_at_once() {
    both_ways(|sides| {
        let (timers, _, waker) = timers();
        let insert = |deadline| {
            let (timers, waker) = (timers.clone(), waker.clone());
            move || assert!(timers.insert(deadline, waker).is_ok())
        };
        sides.at_once(insert(NOW + 1), insert(NOW + 2));
        assert_eq!(timers.earliest(), NOW + 1, "the other's was noted last");
    });
}

/// The same beside one that fires.
#[test]
fn a_timer_comes_as_another_fires() {
    both_ways(|sides| {
        let (timers, _, waker) = timers();
        assert!(timers.insert(NOW - 1, waker.clone()).is_ok());
        let (ours, theirs) = (timers.clone(), timers.clone());
        sides.at_once(
            move || assert!(ours.insert(NOW + 1, waker).is_ok()),
            move || assert_eq!(theirs.fire(NOW), 1),
        );
        assert!(timers.earliest() <= NOW + 1, "a timer is there, and nobody looks for it");
    });
}

/// A timer is inserted while the runtime shuts down. Its waker is handed out by one side or the other,
/// or it would be kept, and its task with it.
#[test]
fn a_timer_comes_while_its_wheel_is_closed() {
    loom::model(|| {
        let (timers, _, waker) = timers();
        let theirs = timers.clone();
        let inserter = thread::spawn(move || theirs.insert(NOW, waker).is_ok());
        let left = timers.close();
        let accepted = inserter.join().unwrap();
        assert_eq!(left, usize::from(accepted), "accepted, and kept for ever");
        assert_eq!(timers.len(), 0);
    });
}

#[test]
fn closing_a_wheel_in_two_steps_is_caught() {
    seeded_bug_is_caught(
        "models::timers::a_timer_comes_while_its_wheel_is_closed",
        "timers_close_in_two_steps",
    );
}

#[test]
fn a_new_waker_taken_for_kept_is_caught() {
    seeded_bug_is_caught(
        "models::timers::a_waker_is_replaced_or_its_timer_fires",
        "timers_lose_a_new_waker",
    );
}

/// A deadline noted when the lock is let go may be older than what stands there.
#[test]
fn noting_a_deadline_unlocked_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::timers::two_timers_come_at_once",
        "timers_insert_notes_unlocked",
    );
    assert!(finding.contains("noted last"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::timers::a_timer_comes_as_another_fires",
        "timers_fire_notes_unlocked",
    );
    assert!(finding.contains("nobody looks for it"), "{finding}");
}
