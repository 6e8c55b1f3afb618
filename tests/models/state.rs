//! Models of a task's word alone, `task/state.rs`: a claim ends as a wake comes.
//!
//! Here a poll gives way as well as waits, which the models of the whole task (`task.rs`) leave out.

use super::seeded_bug_is_caught;
use crate::engine::{
    base::primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    task::state::{AfterClaim, Life, Wake},
};

// ANCHOR: sender
/// A word that is claimed, a datum, and a thread that leaves it and wakes. The thread's answer: it is
/// to schedule the task.
fn sender(life: &Arc<Life<()>>, datum: &Arc<AtomicU32>) -> thread::JoinHandle<bool> {
    let (life, datum) = (life.clone(), datum.clone());
    thread::spawn(move || {
        datum.store(1, Relaxed);
        life.wake() == Wake::Schedule
    })
}
// END: sender

/// Whether the pause says to schedule the task.
fn schedules(paused: AfterClaim<'_, ()>) -> bool {
    match paused {
        AfterClaim::Idle => false,
        AfterClaim::Schedule => true,
        AfterClaim::ShutDown(_) => panic!("nobody shuts down"),
    }
}

// ANCHOR: model
/// One of the two schedules the task, and the thread that starts it then sees the datum.
#[test]
fn a_poll_that_waits_ends_as_a_wake_comes() {
    loom::model(|| {
        let (life, datum) = (Arc::new(Life::new(())), Arc::new(AtomicU32::new(0)));
        let claim = life.start().expect("born scheduled");
        let sender = sender(&life, &datum);
        let paused = schedules(claim.pause(false));
        let woken = sender.join().unwrap();
        assert_ne!(paused, woken, "one of the two schedules");
        assert!(life.start().is_some());
        assert_eq!(datum.load(Relaxed), 1);
    });
}
// END: model

/// The task is scheduled in any case, and runs again while the wake may still be under way. That poll
/// sees the datum, or another one follows.
#[test]
fn a_poll_that_gives_way_ends_as_a_wake_comes() {
    loom::model(|| {
        let (life, datum) = (Arc::new(Life::new(())), Arc::new(AtomicU32::new(0)));
        let claim = life.start().expect("born scheduled");
        let sender = sender(&life, &datum);
        assert!(schedules(claim.pause(true)), "it gave way, and is not scheduled");
        let claim = life.start().expect("scheduled, and nobody else pops it");
        let seen = datum.load(Relaxed) == 1;
        let paused = schedules(claim.pause(false));
        let woken = sender.join().unwrap();
        assert!(seen || paused || woken, "the wake is lost");
        assert!(!(paused && woken), "it is scheduled twice");
    });
}

// ANCHOR: caught
/// A pause that does not ask whether the task was woken meanwhile.
#[test]
fn a_pause_that_forgets_wakes_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::state::a_poll_that_waits_ends_as_a_wake_comes",
        "task_pause_forgets_wakes",
    );
    assert!(finding.contains("one of the two schedules"), "{finding}");
}
// END: caught
