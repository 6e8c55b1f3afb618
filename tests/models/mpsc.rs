//! The ends of an mpsc channel. Its items, and all that waits, are the queue's: `queue.rs` has the models of those.
//!
//! What must hold: the receiver hears of the end, after all that was sent before it; a sender hears that the receiver is
//! gone. A lost wake shows as a deadlock, which loom reports, and a lost item as a leak: each holds one of loom's `Arc`s.

use super::{bounded_model, queue::block_on, seeded_bug_is_caught};
use crate::{
    engine::base::primitives::{Arc, thread},
    sync::mpsc,
};

#[test]
fn the_end_comes_after_what_two_senders_sent() {
    bounded_model(2, || {
        let (sender, mut receiver) = mpsc::unbounded();
        let sending = thread::spawn({
            let sender = sender.clone();
            move || sender.try_send(Arc::new(())).unwrap()
        });
        let receiving = thread::spawn(move || {
            let mut received = 0;
            while block_on(receiver.recv()).is_some() {
                received += 1;
            }
            received
        });
        sender.try_send(Arc::new(())).unwrap();
        drop(sender);
        sending.join().unwrap();
        assert_eq!(receiving.join().unwrap(), 2);
    });
}

#[test]
fn a_sender_that_waits_has_its_item_back_when_the_receiver_is_gone() {
    bounded_model(2, || {
        let (sender, receiver) = mpsc::channel(1);
        sender.try_send(Arc::new(())).unwrap();
        let sending = thread::spawn(move || {
            let sent = block_on(sender.send(Arc::new(())));
            block_on(sender.closed());
            sent
        });
        drop(receiver);
        assert!(sending.join().unwrap().is_err());
    });
}

#[test]
fn a_last_sender_that_leaves_in_silence_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::mpsc::the_end_comes_after_what_two_senders_sent",
        "mpsc_never_ends",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}
