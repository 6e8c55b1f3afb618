//! The core of the locks, in every way that two or three threads can interleave: no permit is lost, none is there
//! twice, and what waits is woken. A lost wake shows as a deadlock, which loom reports.
//!
//! What the core makes visible of what was written under a lock, the models of the mutex show: there is a value.

use super::{
    bounded_model,
    queue::{block_on, poll_once},
    seeded_bug_is_caught,
};
use crate::{engine::base::primitives::thread, sync::Semaphore};

fn shared(permits: usize) -> loom::sync::Arc<Semaphore> {
    loom::sync::Arc::new(Semaphore::new(permits))
}

#[test]
fn an_acquire_hears_of_the_release_that_came_while_it_joined_the_line() {
    loom::model(|| {
        let semaphore = shared(1);
        let permit = semaphore.try_acquire().unwrap();
        let other = thread::spawn({
            let semaphore = semaphore.clone();
            move || drop(block_on(semaphore.acquire()).unwrap())
        });
        drop(permit);
        other.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.waiters()), (1, 0));
    });
}

#[test]
fn two_releases_serve_one_that_asks_for_two() {
    bounded_model(2, || {
        let semaphore = shared(0);
        let adding = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.add_permits(1)
        });
        let other = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.add_permits(1)
        });
        let permit = block_on(semaphore.acquire_many(2)).unwrap();
        assert_eq!((permit.count(), semaphore.available_permits()), (2, 0));
        drop(permit);
        adding.join().unwrap();
        other.join().unwrap();
        assert_eq!(semaphore.available_permits(), 2);
    });
}

#[test]
fn a_cancelled_acquire_passes_its_grant_on() {
    bounded_model(2, || {
        let semaphore = shared(0);
        let waiting = thread::spawn({
            let semaphore = semaphore.clone();
            move || block_on(semaphore.acquire()).unwrap().forget()
        });
        let adding = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.add_permits(1)
        });
        // Where this finds the permit it gives it back; where it was granted one it passes that on.
        drop(poll_once(semaphore.acquire()));
        adding.join().unwrap();
        waiting.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.waiters()), (0, 0));
    });
}

#[test]
fn a_cancelled_request_for_many_lets_those_behind_it_go() {
    loom::model(|| {
        let semaphore = shared(1);
        let other = thread::spawn({
            let semaphore = semaphore.clone();
            move || block_on(semaphore.acquire()).unwrap().forget()
        });
        drop(poll_once(semaphore.acquire_many(2)));
        other.join().unwrap();
        assert_eq!((semaphore.available_permits(), semaphore.waiters()), (0, 0));
    });
}

#[test]
fn close_ends_what_waits_and_no_permit_is_gone() {
    bounded_model(2, || {
        let semaphore = shared(1);
        let permit = semaphore.try_acquire().unwrap();
        let waiting = thread::spawn({
            let semaphore = semaphore.clone();
            move || drop(block_on(semaphore.acquire()))
        });
        let closing = thread::spawn({
            let semaphore = semaphore.clone();
            move || semaphore.close()
        });
        drop(permit);
        waiting.join().unwrap();
        closing.join().unwrap();
        assert!(semaphore.try_acquire().is_err());
        assert_eq!((semaphore.available_permits(), semaphore.waiters()), (1, 0));
    });
}

#[test]
fn an_acquire_that_does_not_look_again_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::semaphore::an_acquire_hears_of_the_release_that_came_while_it_joined_the_line",
        "permits_no_second_look",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_cancelled_acquire_that_keeps_its_grant_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::semaphore::a_cancelled_acquire_passes_its_grant_on",
        "permits_cancelled_grant_is_lost",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_cancelled_request_that_still_holds_up_the_line_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::semaphore::a_cancelled_request_for_many_lets_those_behind_it_go",
        "permits_cancelled_wait_blocks_the_line",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_close_that_keeps_what_was_granted_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::semaphore::close_ends_what_waits_and_no_permit_is_gone",
        "permits_close_keeps_grants",
    );
    assert!(finding.contains("left: (0, 0)"), "a permit is gone: {finding}");
}
