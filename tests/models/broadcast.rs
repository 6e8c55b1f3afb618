//! The broadcast channel, in every way that two or three threads can interleave.
//!
//! What must hold: each receiver gets each value once, and hears of the end; a value is dropped when all have had it, or
//! the last that has not is gone. A lost wake shows as a deadlock, and a lost value as a leak: each value here holds
//! one of loom's `Arc`s.

use super::{bounded_model, queue::block_on, queue::poll_once, seeded_bug_is_caught};
use crate::{
    engine::base::primitives::{Arc, thread},
    sync::broadcast::{self, RecvError},
};

#[test]
fn a_receiver_hears_of_the_value_that_came_while_it_joined_the_list() {
    loom::model(|| {
        let (sender, mut receiver) = broadcast::channel(1);
        let receiving = thread::spawn(move || block_on(receiver.recv()).is_ok());
        sender.send(Arc::new(())).unwrap();
        assert!(receiving.join().unwrap());
        assert!(sender.is_empty());
    });
}

#[test]
fn a_receiver_hears_of_the_end() {
    loom::model(|| {
        let (sender, mut receiver) = broadcast::channel::<Arc<()>>(1);
        let receiving =
            thread::spawn(move || matches!(block_on(receiver.recv()), Err(RecvError::Closed)));
        drop(sender);
        assert!(receiving.join().unwrap());
    });
}

#[test]
fn two_receivers_get_a_value_each_and_one_is_given_up() {
    bounded_model(2, || {
        let (sender, mut first) = broadcast::channel(1);
        let mut second = sender.subscribe();
        let mut third = sender.subscribe();
        let value = Arc::new(());
        let receiving = thread::spawn(move || block_on(first.recv()).is_ok());
        let giving_up = thread::spawn(move || drop(poll_once(third.recv())));
        assert!(matches!(sender.send(value.clone()), Ok(2 | 3)));
        assert!(second.try_recv().is_ok());
        assert!(receiving.join().unwrap());
        giving_up.join().unwrap();
        assert!(sender.is_empty(), "a value is kept that all have had");
    });
}

#[test]
fn a_sender_that_wakes_nobody_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::broadcast::a_receiver_hears_of_the_value_that_came_while_it_joined_the_list",
        "broadcast_sends_in_silence",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_receiver_that_leaves_its_values_behind_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::broadcast::two_receivers_get_a_value_each_and_one_is_given_up",
        "broadcast_leaves_values_behind",
    );
    assert!(finding.contains("a value is kept that all have had"), "{finding}");
}
