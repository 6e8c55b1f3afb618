//! The watch channel, in every way that two or three threads can interleave.
//!
//! What must hold: who waits hears of a value that was not seen, and of the end; what was done before `send` is seen
//! after it was noticed; changes at once lose none. A lost wake shows as a deadlock, which loom reports.

use super::{queue::block_on, seeded_bug_is_caught};
use crate::{
    engine::base::primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    sync::watch::{self, RecvError},
};

#[test]
fn a_receiver_hears_of_the_value_that_came_while_it_joined_the_list() {
    loom::model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let receiving = thread::spawn(move || {
            block_on(receiver.changed()).unwrap();
            *receiver.borrow()
        });
        sender.send(1).unwrap();
        assert_eq!(receiving.join().unwrap(), 1);
    });
}

#[test]
fn a_receiver_hears_of_the_end() {
    loom::model(|| {
        let (sender, mut receiver) = watch::channel(0);
        let receiving = thread::spawn(move || block_on(receiver.changed()));
        drop(sender);
        assert_eq!(receiving.join().unwrap(), Err(RecvError));
    });
}

#[test]
fn a_sender_hears_that_the_last_receiver_is_gone() {
    loom::model(|| {
        let (sender, receiver) = watch::channel(0);
        let sending = thread::spawn(move || block_on(sender.closed()));
        drop(receiver);
        sending.join().unwrap();
    });
}

#[test]
fn what_was_done_before_a_value_was_sent_is_seen() {
    loom::model(|| {
        let (sender, receiver) = watch::channel(0);
        let done = Arc::new(AtomicU32::new(0));
        let sending = thread::spawn({
            let done = done.clone();
            move || {
                done.store(1, Relaxed);
                sender.send(1).unwrap();
                sender
            }
        });
        if receiver.has_changed() == Ok(true) {
            assert_eq!(done.load(Relaxed), 1, "what came before the value");
        }
        drop(sending.join().unwrap());
    });
}

#[test]
fn changes_at_once_lose_none() {
    loom::model(|| {
        let (sender, receiver) = watch::channel(0);
        let changing = thread::spawn({
            let sender = sender.clone();
            move || sender.send_modify(|n| *n += 1)
        });
        sender.send_modify(|n| *n += 1);
        changing.join().unwrap();
        assert_eq!(*receiver.borrow(), 2, "an update was lost");
    });
}

#[test]
fn a_receiver_that_does_not_look_again_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::watch::a_receiver_hears_of_the_value_that_came_while_it_joined_the_list",
        "watch_no_second_look",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_version_that_publishes_nothing_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::watch::what_was_done_before_a_value_was_sent_is_seen",
        "watch_relaxed_version",
    );
    assert!(finding.contains("what came before the value"), "{finding}");
}

#[test]
fn a_change_that_does_not_look_again_is_caught() {
    let finding =
        seeded_bug_is_caught("models::watch::changes_at_once_lose_none", "watch_loses_an_update");
    assert!(finding.contains("an update was lost"), "{finding}");
}
