//! Models of the door to a loop: `park.rs`, the word, and `inbox.rs`, what is left behind it.
//!
//! A lost wake is a loop that sleeps for ever, and loom calls that a deadlock. So most bodies only
//! have the loop wait for what was sent. The loop's side goes round as the event loop does: take what
//! there is news of, then park, then sleep on loom's stand-in for the eventfd. The table that finds an
//! inbox by number is outside the models: it only ever grows.
//!
//! The rival is a model of the whole loop. Its polls and timers would be steps to interleave, and
//! none of them touches what two threads share.

use super::{bounded_model, seeded_bug_is_caught};
use crate::engine::{
    base::primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    inbox::{Inbox, Message, Urgency},
    park::ParkWord,
    wait::Unparker,
};

/// The loop that reads the inbox, and the one that reads it after that.
const LOOP: u64 = 1;
const NEXT_LOOP: u64 = 2;

/// An inbox with a loop behind it.
struct Door {
    inbox: Inbox,
    unparker: Arc<Unparker>,
}

impl Door {
    fn open() -> Arc<Self> {
        let unparker = Arc::new(Unparker::default());
        let inbox = Inbox::new();
        inbox.open(LOOP, unparker.clone());
        Arc::new(Self { inbox, unparker })
    }

    /// Takes what there is news of.
    fn take_into(&self, taken: &mut Vec<Message>) {
        if self.inbox.has_news() {
            let mut messages = Vec::new();
            self.inbox.take(&mut messages);
            taken.append(&mut messages);
        }
    }

    /// Goes round as a loop does that has nothing else to do, until it has taken `count` messages.
    fn receive(&self, count: usize) -> Vec<Message> {
        let mut taken = Vec::new();
        loop {
            self.take_into(&mut taken);
            if taken.len() >= count {
                return taken;
            }
            if self.inbox.park() {
                self.unparker.wait_unparked();
                self.inbox.unparked();
            }
        }
    }

    /// Leaves a closure that holds `held`. `false`: it was refused.
    fn call(&self, owner: u64, held: &Arc<()>, urgency: Urgency) -> bool {
        let held = held.clone();
        self.inbox.call(owner, Box::new(move || drop(held)), urgency).is_ok()
    }
}

/// The keys of what must all be wakes.
fn keys(messages: &[Message]) -> Vec<u64> {
    let key = |message: &Message| match message {
        Message::Wake(key) => *key,
        Message::Call(_) => panic!("nobody sent a closure"),
    };
    messages.iter().map(key).collect()
}

/// The least that must hold: the message comes before the loop looks, or between its look and its
/// sleep, or when it sleeps.
#[test]
fn a_message_ends_the_wait() {
    loom::model(|| {
        let door = Door::open();
        let theirs = door.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(7));
        assert_eq!(keys(&door.receive(1)), [7]);
        sender.join().unwrap();
    });
}

/// The second may come while the first is being taken, which is when the word is reset.
#[test]
fn a_message_comes_while_another_is_taken() {
    loom::model(|| {
        let door = Door::open();
        let theirs = door.clone();
        let sender = thread::spawn(move || {
            theirs.inbox.wake(7);
            theirs.inbox.wake(8);
        });
        assert_eq!(keys(&door.receive(2)), [7, 8], "one sender's messages keep their order");
        sender.join().unwrap();
    });
}

/// Only one of two senders makes the call that unparks, and the other relies on it. The loop is parked
/// from the start: how it gets there beside a sender is in the models above.
#[test]
fn two_senders_find_one_sleeper() {
    loom::model(|| {
        let door = Door::open();
        assert!(door.inbox.park(), "nobody knows of the inbox yet");
        let senders = [7, 8].map(|key| {
            let theirs = door.clone();
            thread::spawn(move || theirs.inbox.wake(key))
        });
        door.unparker.wait_unparked();
        door.inbox.unparked();
        let mut keys = keys(&door.receive(2));
        keys.sort_unstable();
        assert_eq!(keys, [7, 8]);
        for sender in senders {
            sender.join().unwrap();
        }
    });
}

/// A system call is made for a loop that parked, and for no other. What came before the notification
/// is there for a loop that heeds it: there need be no lock beside the word.
#[test]
fn a_loop_is_called_if_it_parked() {
    loom::model(|| {
        let word = Arc::new(ParkWord::new());
        let datum = Arc::new(AtomicU32::new(0));
        let (their_word, their_datum) = (word.clone(), datum.clone());
        let notifier = thread::spawn(move || {
            their_datum.store(1, Relaxed);
            their_word.notify()
        });
        let parked = word.park();
        if !parked {
            assert_eq!(datum.load(Relaxed), 1, "notified of what cannot be seen");
        }
        let called = notifier.join().unwrap();
        assert_eq!(called, parked, "to park and to be called go together");
        assert!(word.is_notified());
    });
}

/// Each further call would be a system call for nothing.
#[test]
fn of_two_notifiers_one_calls() {
    loom::model(|| {
        let word = Arc::new(ParkWord::new());
        assert!(word.park(), "nobody knows of the word yet");
        let theirs = word.clone();
        let other = thread::spawn(move || theirs.notify());
        let ours = word.notify();
        assert_ne!(ours, other.join().unwrap());
        assert!(word.unparked(), "messages wait");
    });
}

/// A loop that only goes to sleep when nothing is left must be told of a nudge like of a message.
#[test]
fn a_nudge_ends_the_wait() {
    loom::model(|| {
        let door = Door::open();
        let theirs = door.clone();
        let nudger = thread::spawn(move || theirs.inbox.nudge(LOOP));
        if door.inbox.park() {
            door.unparker.wait_unparked();
            assert!(door.inbox.unparked(), "the nudge is news");
        }
        assert!(door.inbox.has_news());
        nudger.join().unwrap();
    });
}

/// Mail ends no wait, so here the loop's alarm does. Wherever the mail falls into the turn, the loop
/// has it or knows of it.
#[test]
fn mail_is_found_when_the_loop_is_back() {
    loom::model(|| {
        let door = Door::open();
        let held = Arc::new(());
        let (theirs, their_hold) = (door.clone(), held.clone());
        let sender = thread::spawn(move || theirs.call(LOOP, &their_hold, Urgency::Whenever));
        let mut mail = Vec::new();
        door.take_into(&mut mail);
        if door.inbox.park() {
            door.inbox.unparked();
        }
        assert!(sender.join().unwrap(), "the loop is there");
        door.take_into(&mut mail);
        assert_eq!(mail.len(), 1, "mail waits, and the word does not say so");
    });
}

/// A loop that was left mail while it was parked still is parked: the next sender must call.
#[test]
fn mail_does_not_hide_that_the_loop_is_parked() {
    loom::model(|| {
        let door = Door::open();
        let held = Arc::new(());
        let (theirs, their_hold) = (door.clone(), held.clone());
        let sender = thread::spawn(move || {
            theirs.call(LOOP, &their_hold, Urgency::Whenever);
            theirs.inbox.wake(7);
        });
        let taken = door.receive(2);
        assert!(matches!(taken[..], [Message::Call(_), Message::Wake(7)]));
        sender.join().unwrap();
    });
}

/// A loop moves out while it is sent a closure, and another moves in. The closure is handed back by
/// one side or the other, and never reaches the new loop.
#[test]
fn a_closure_for_a_loop_that_goes() {
    loom::model(|| {
        let door = Door::open();
        let held = Arc::new(());
        let (theirs, their_hold) = (door.clone(), held.clone());
        let sender = thread::spawn(move || theirs.call(LOOP, &their_hold, Urgency::Now));
        let (left, unparker) = door.inbox.close();
        drop(unparker);
        door.inbox.open(NEXT_LOOP, door.unparker.clone());
        let accepted = sender.join().unwrap();
        assert_eq!(left.len(), usize::from(accepted), "accepted, and gone");
        let mut taken = Vec::new();
        door.inbox.take(&mut taken);
        assert!(taken.is_empty(), "a closure for the loop before");
        drop(left);
        assert_eq!(Arc::strong_count(&held), 1, "a message that nobody has was kept");
    });
}

/// A wake names a number and no loop, so it may reach the loop that has the number now: a spurious
/// poll. It must not lie there unseen until something else comes.
#[test]
fn a_wake_for_a_loop_that_goes() {
    loom::model(|| {
        let door = Door::open();
        let theirs = door.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(7));
        let (left, unparker) = door.inbox.close();
        drop(unparker);
        door.inbox.open(NEXT_LOOP, door.unparker.clone());
        sender.join().unwrap();
        let mut seen = Vec::new();
        door.take_into(&mut seen);
        let mut unseen = Vec::new();
        door.inbox.take(&mut unseen);
        assert!(unseen.is_empty(), "there was no news of it");
        assert!(left.len() + seen.len() <= 1, "one wake became two");
    });
}

/// A wake is on its way to a loop that goes, and the next loop sleeps already when it arrives. What that
/// one is sent must wake it all the same.
#[test]
fn the_next_loop_is_woken_beside_a_wake_for_the_one_before() {
    // Every order takes a minute.
    bounded_model(2, || {
        let door = Door::open();
        let theirs = door.clone();
        let late = thread::spawn(move || theirs.inbox.wake(7));
        drop(door.inbox.close());
        let unparker = Arc::new(Unparker::default());
        door.inbox.open(NEXT_LOOP, unparker.clone());
        let theirs = door.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(8));
        let mut taken = Vec::new();
        while !keys(&taken).contains(&8) {
            if door.inbox.park() {
                unparker.wait_unparked();
                door.inbox.unparked();
            }
            door.take_into(&mut taken);
        }
        late.join().unwrap();
        sender.join().unwrap();
    });
}

/// Parked without a second look: the message that came since the first is slept through.
#[test]
fn parking_without_a_second_look_is_caught() {
    let finding =
        seeded_bug_is_caught("models::inbox::a_message_ends_the_wait", "park_without_second_look");
    assert!(finding.contains("deadlock"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::inbox::a_loop_is_called_if_it_parked",
        "park_without_second_look",
    );
    assert!(finding.contains("to park and to be called go together"), "{finding}");
}

/// The word reset after the messages were taken: the reset wipes out the news of one that came
/// between.
#[test]
fn resetting_the_word_too_late_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::inbox::a_message_comes_while_another_is_taken",
        "inbox_awake_after_take",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// The word told when the lock is let go: meanwhile it may have become another loop's.
#[test]
fn telling_the_word_unlocked_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::inbox::the_next_loop_is_woken_beside_a_wake_for_the_one_before",
        "inbox_tells_unlocked",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}
