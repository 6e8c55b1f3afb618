//! The condition, in every way that two or three threads can interleave: what is changed under the mutex, and then
//! notified, is heard of. A lost notification shows as a deadlock, which loom reports.

use super::{
    bounded_model,
    queue::{block_on, poll_once},
    seeded_bug_is_caught,
};
use crate::{
    engine::base::primitives::thread,
    sync::{Condition, Mutex},
};

type Shared = loom::sync::Arc<(Mutex<bool>, Condition)>;

fn shared() -> Shared {
    Shared::new((Mutex::new(false), Condition::new()))
}

async fn wait_until_set((is_set, changed): &(Mutex<bool>, Condition)) {
    let mut guard = is_set.lock().await;
    while !*guard {
        guard = changed.wait(guard).await;
    }
}

fn set_and_notify((is_set, changed): &(Mutex<bool>, Condition)) {
    *block_on(is_set.lock()) = true;
    changed.notify_one();
}

#[test]
fn a_wait_hears_of_what_is_changed_after_it_looked() {
    loom::model(|| {
        let shared = shared();
        let waiting = thread::spawn({
            let shared = shared.clone();
            move || block_on(wait_until_set(&shared))
        });
        set_and_notify(&shared);
        waiting.join().unwrap();
        assert_eq!((shared.0.waiters(), shared.1.waiters()), (0, 0));
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn a_cancelled_wait_passes_its_notification_on() {
    bounded_model(2, || {
        let shared = shared();
        let waiting = thread::spawn({
            let shared = shared.clone();
            move || block_on(wait_until_set(&shared))
        });
        let notifying = thread::spawn({
            let shared = shared.clone();
            move || set_and_notify(&shared)
        });
        let _ = poll_once(async { drop(shared.1.wait(shared.0.lock().await).await) });
        notifying.join().unwrap();
        waiting.join().unwrap();
        assert_eq!((shared.0.waiters(), shared.1.waiters()), (0, 0));
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn a_wait_that_unlocks_too_early_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::condition::a_wait_hears_of_what_is_changed_after_it_looked",
        "condition_unlocks_before_it_joins",
    );
    assert!(finding.contains("deadlock"), "a lost notification: {finding}");
}

#[test]
fn a_cancelled_wait_that_keeps_its_notification_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::condition::a_cancelled_wait_passes_its_notification_on",
        "condition_cancelled_wait_keeps_its_notification",
    );
    assert!(finding.contains("deadlock"), "a lost notification: {finding}");
}
