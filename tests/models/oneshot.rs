//! The two ends of a oneshot channel, which meet, or miss each other, in every order.
//!
//! What must hold: a value that was sent is received once, or given back, or dropped with the receiver; an end
//! that waits for the other is woken. A lost wake shows as a deadlock, and a lost value as a leak: each value here
//! holds one of loom's `Arc`s.

use std::task::Poll;

use super::{both_ways, queue::block_on, queue::poll_once, seeded_bug_is_caught};
use crate::{
    engine::base::primitives::{Arc, thread},
    sync::oneshot::{self, RecvError, TryRecvError},
};

#[test]
fn a_value_is_sent_and_received() {
    both_ways(|sides| {
        let value = Arc::new(());
        let (sender, receiver) = oneshot::channel();
        let (sent, received) =
            sides.at_once(move || sender.send(value), move || block_on(receiver));
        assert!(sent.is_ok() && received.is_ok());
    });
}

#[test]
fn a_sender_that_is_dropped_is_told() {
    both_ways(|sides| {
        let (sender, receiver) = oneshot::channel::<Arc<()>>();
        let ((), received) = sides.at_once(move || drop(sender), move || block_on(receiver));
        assert!(matches!(received, Err(RecvError)));
    });
}

#[test]
fn a_value_meets_a_receiver_that_closes() {
    both_ways(|sides| {
        let (sender, mut receiver) = oneshot::channel();
        let (sent, received) = sides.at_once(
            move || sender.send(Arc::new(())),
            move || {
                receiver.close();
                receiver.try_recv()
            },
        );
        match received {
            Ok(_) => assert!(sent.is_ok(), "received, and given back"),
            Err(TryRecvError::Closed) => assert!(sent.is_err(), "the value is lost"),
            Err(TryRecvError::Empty) => panic!("closed, and still open"),
        }
    });
}

#[test]
fn a_value_meets_a_receiver_that_waits_and_is_dropped() {
    both_ways(|sides| {
        let (sender, receiver) = oneshot::channel();
        let (sent, received) =
            sides.at_once(move || sender.send(Arc::new(())), move || poll_once(receiver));
        // Sent, and dropped with the receiver: that is no loss. Received, and given back would be a double.
        if let Poll::Ready(received) = received {
            assert!(received.is_ok() && sent.is_ok());
        }
    });
}

#[test]
fn a_sender_hears_that_the_receiver_is_gone() {
    both_ways(|sides| {
        let (mut sender, receiver) = oneshot::channel();
        let (sent, ()) = sides.at_once(
            move || {
                block_on(sender.closed());
                sender.send(Arc::new(()))
            },
            move || drop(receiver),
        );
        assert!(sent.is_err());
    });
}

#[test]
fn a_receiver_moves_to_another_task_while_it_waits() {
    loom::model(|| {
        let (sender, mut receiver) = oneshot::channel();
        let sending = thread::spawn(move || sender.send(Arc::new(())));
        let received = match poll_once(&mut receiver) {
            Poll::Ready(received) => received,
            Poll::Pending => block_on(receiver),
        };
        assert!(received.is_ok() && sending.join().unwrap().is_ok());
    });
}

#[test]
fn a_value_for_a_closed_receiver_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::oneshot::a_value_meets_a_receiver_that_closes",
        "oneshot_sends_to_a_closed",
    );
    assert!(finding.contains("the value is lost"), "{finding}");
}

#[test]
fn a_receiver_that_keeps_its_first_task_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::oneshot::a_receiver_moves_to_another_task_while_it_waits",
        "wait_alone_keeps_the_first",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_sender_that_waits_in_any_case_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::oneshot::a_sender_hears_that_the_receiver_is_gone",
        "oneshot_closed_no_second_look",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}
