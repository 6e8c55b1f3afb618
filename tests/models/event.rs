//! The event, in every way that two or three threads can interleave.
//!
//! What must hold: a `wait` that begins after `set` is ready, or is woken; what was done before `set` is seen after
//! the `wait`. A lost wake shows as a deadlock, which loom reports.

use super::{
    bounded_model,
    queue::{block_on, poll_once},
    seeded_bug_is_caught,
};
use crate::{
    engine::base::primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    sync::Event,
};

#[test]
fn a_wait_hears_of_the_set_that_came_while_it_joined_the_list() {
    loom::model(|| {
        let event = Arc::new(Event::new());
        let done = Arc::new(AtomicU32::new(0));
        let waiter = thread::spawn({
            let (event, done) = (event.clone(), done.clone());
            move || {
                block_on(event.wait());
                assert_eq!(done.load(Relaxed), 1, "what was done before `set` is seen");
            }
        });
        done.store(1, Relaxed);
        event.set();
        waiter.join().unwrap();
    });
}

#[test]
fn one_set_ends_two_waits_and_a_third_is_given_up() {
    bounded_model(2, || {
        let event = Arc::new(Event::new());
        let waiters: Vec<_> = (0..2)
            .map(|_| {
                let event = event.clone();
                thread::spawn(move || block_on(event.wait()))
            })
            .collect();
        let _ = poll_once(event.wait());
        event.set();
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn a_wait_that_does_not_look_again_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::event::a_wait_hears_of_the_set_that_came_while_it_joined_the_list",
        "event_no_second_look",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_flag_that_publishes_nothing_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::event::a_wait_hears_of_the_set_that_came_while_it_joined_the_list",
        "event_relaxed_flag",
    );
    assert!(finding.contains("is seen"), "{finding}");
}
