//! The mutex, in every way that two or three threads can interleave. Each look at the value is checked by loom: one
//! that does not come after the last one's release is a finding.

use std::{
    pin::pin,
    task::{Context, Waker},
};

use super::{bounded_model, queue::block_on, seeded_bug_is_caught};
use crate::{engine::base::primitives::thread, sync::Mutex};

fn shared() -> loom::sync::Arc<Mutex<u32>> {
    loom::sync::Arc::new(Mutex::new(0))
}

/// A thread that locks, and adds 1.
fn adds(mutex: &loom::sync::Arc<Mutex<u32>>) -> thread::JoinHandle<()> {
    let mutex = mutex.clone();
    thread::spawn(move || *block_on(mutex.lock()) += 1)
}

#[test]
fn what_was_written_under_the_lock_is_seen_by_the_next() {
    loom::model(|| {
        let mutex = shared();
        let other = adds(&mutex);
        *block_on(mutex.lock()) += 1;
        other.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 2);
        assert_eq!(mutex.waiters(), 0);
    });
}

#[test]
fn a_try_lock_takes_what_is_free() {
    loom::model(|| {
        let mutex = shared();
        let trying = thread::spawn({
            let mutex = mutex.clone();
            move || mutex.try_lock().map(|mut guard| *guard += 1).is_ok()
        });
        *block_on(mutex.lock()) += 1;
        let tried = trying.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 1 + u32::from(tried));
    });
}

#[test]
fn a_try_lock_takes_nobody_s_turn() {
    loom::model(|| {
        let mutex = shared();
        let guard = mutex.try_lock().unwrap();
        let mut waiting = pin!(mutex.lock());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        let trying = thread::spawn({
            let mutex = mutex.clone();
            move || mutex.try_lock().is_ok()
        });
        drop(guard);
        let granted = waiting.as_mut().poll(&mut cx);
        assert!(!trying.join().unwrap(), "it was overtaken");
        assert!(granted.is_ready());
    });
}

#[test]
fn a_lock_that_another_s_cancellation_hands_on_shows_what_was_written() {
    bounded_model(3, || {
        let mutex = std::sync::Arc::new(Mutex::new(0));
        let mut guard = mutex.try_lock().unwrap();
        // It is first in line, and is dropped on a thread that knows nothing of what is written here.
        let mut first = Box::pin(mutex.clone().lock_owned());
        assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let waiting = thread::spawn({
            let mutex = mutex.clone();
            move || *block_on(mutex.lock()) += 1
        });
        let cancelling = thread::spawn(move || drop(first));
        *guard += 1;
        drop(guard);
        waiting.join().unwrap();
        cancelling.join().unwrap();
        assert_eq!(*mutex.try_lock().unwrap(), 2);
    });
}

#[test]
fn a_release_that_shows_nothing_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::mutex::what_was_written_under_the_lock_is_seen_by_the_next",
        "permits_release_relaxed",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}

#[test]
fn a_grant_that_shows_nothing_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::mutex::a_lock_that_another_s_cancellation_hands_on_shows_what_was_written",
        "permits_hand_out_relaxed",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}

#[test]
fn a_try_lock_that_overtakes_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::mutex::a_try_lock_takes_nobody_s_turn",
        "permits_try_overtakes",
    );
    assert!(finding.contains("it was overtaken"), "{finding}");
}
