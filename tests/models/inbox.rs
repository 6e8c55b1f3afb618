//! Models of how other threads reach a loop: `park.rs`, the word, and `inbox.rs`, the messages beside it.
//!
//! A lost wake is a loop that stays parked for ever, and loom calls that a deadlock. So most bodies only
//! have the loop wait for what was sent. The loop's side is the code that ships, `Inbox::take` when it is
//! notified and `Inbox::park`, which hold all that an event loop asks before it waits; only the wait
//! itself is loom's stand-in for the eventfd. The table that finds an inbox by number is outside the
//! models: it only ever grows.
//!
//! **Alternative:** a model of the whole loop. Its polls and timers would be steps to interleave, and none
//! of them touches what two threads share.

use std::collections::VecDeque;

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

/// An inbox, and what the loop that reads it waits on.
struct Loop {
    inbox: Inbox,
    unparker: Arc<Unparker>,
}

impl Loop {
    fn open() -> Arc<Self> {
        let unparker = Arc::new(Unparker::default());
        let inbox = Inbox::new();
        inbox.open(LOOP, unparker.clone());
        Arc::new(Self { inbox, unparker })
    }

    /// Step 1 of a turn: takes the messages there are, if it was notified.
    fn take_into(&self, taken: &mut Vec<Message>) {
        if self.inbox.is_notified() {
            let mut messages = VecDeque::new();
            self.inbox.take(&mut messages);
            taken.extend(messages);
        }
    }

    /// Step 3: parks, unless it was notified. Whether it was notified meanwhile, if it parked.
    fn park(&self) -> Option<bool> {
        self.inbox.park(|| self.unparker.wait_unparked()).map(|((), notified)| notified)
    }

    /// Goes round as a loop does that has nothing else to do, until it has taken `count` messages.
    fn receive(&self, count: usize) -> Vec<Message> {
        let mut taken = Vec::new();
        loop {
            self.take_into(&mut taken);
            if taken.len() >= count {
                return taken;
            }
            self.park();
        }
    }

    /// Sends a closure that holds `held`. `false`: it was refused.
    fn call(&self, owner: u64, held: &Arc<()>, urgency: Urgency) -> bool {
        let held = held.clone();
        self.inbox.call(owner, Box::new(move || drop(held)), urgency).is_ok()
    }
}

/// The keys of what must all be wakes.
fn keys(messages: &[Message]) -> Vec<u64> {
    let key = |message: &Message| match message {
        Message::Wake(key) => *key,
        Message::Call(_) => panic!("no closure was sent"),
    };
    messages.iter().map(key).collect()
}

/// The least that must hold: the message comes before the loop looks, or between its look and its
/// park, or when it is parked.
#[test]
fn a_message_ends_the_wait() {
    loom::model(|| {
        let reader = Loop::open();
        let theirs = reader.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(7));
        assert_eq!(keys(&reader.receive(1)), [7]);
        sender.join().unwrap();
    });
}

/// The second may come while the first is being taken, which is when the word is reset.
#[test]
fn a_message_comes_while_another_is_taken() {
    loom::model(|| {
        let reader = Loop::open();
        let theirs = reader.clone();
        let sender = thread::spawn(move || {
            theirs.inbox.wake(7);
            theirs.inbox.wake(8);
        });
        assert_eq!(keys(&reader.receive(2)), [7, 8], "one sender's messages keep their order");
        sender.join().unwrap();
    });
}

/// A task that is woken again and again is one message until that is taken, and another one after it: the
/// loop sees what was written before the last wake.
#[test]
fn a_task_is_woken_again_while_its_wake_is_taken() {
    loom::model(|| {
        let reader = Loop::open();
        let datum = Arc::new(AtomicU32::new(0));
        let (theirs, their_datum) = (reader.clone(), datum.clone());
        let sender = thread::spawn(move || {
            for value in 1..=2 {
                their_datum.store(value, Relaxed);
                theirs.inbox.wake(7);
            }
        });
        let mut messages = 0;
        while datum.load(Relaxed) < 2 {
            // Its task reads the datum when it is polled, and waits for the next wake.
            messages += reader.receive(1).len();
        }
        assert!(messages <= 2);
        sender.join().unwrap();
    });
}

/// All wakes of one task are one message, whichever thread they come from.
#[test]
fn two_threads_wake_one_task() {
    loom::model(|| {
        let reader = Loop::open();
        let senders = [(); 2].map(|()| {
            let theirs = reader.clone();
            thread::spawn(move || theirs.inbox.wake(7))
        });
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_eq!(keys(&reader.receive(1)), [7], "one message");
        assert!(!reader.inbox.is_notified());
    });
}

/// A loop that has not handled all that it took does not park, and takes what comes meanwhile after that.
#[test]
fn what_was_taken_and_not_handled_goes_first() {
    loom::model(|| {
        let reader = Loop::open();
        reader.inbox.wake(7);
        reader.inbox.wake(8);
        let theirs = reader.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(9));
        let mut messages = VecDeque::new();
        let mut handled = Vec::new();
        while handled.len() < 3 {
            if reader.inbox.is_notified() {
                reader.inbox.take(&mut messages);
                handled.extend(messages.pop_front());
                if !messages.is_empty() {
                    reader.inbox.notify_oneself();
                }
            } else {
                reader.park();
            }
        }
        assert_eq!(keys(&handled), [7, 8, 9]);
        sender.join().unwrap();
    });
}

/// Only one of two senders makes the call that unparks, and the other relies on it. The loop is parked
/// from the start: how it gets there beside a sender is in the models above.
#[test]
fn two_senders_find_one_parked_loop() {
    loom::model(|| {
        let reader = Loop::open();
        // As a loop that a host waits for.
        assert!(reader.inbox.leave_to_host(), "no other thread knows of the inbox yet");
        let senders = [7, 8].map(|key| {
            let theirs = reader.clone();
            thread::spawn(move || theirs.inbox.wake(key))
        });
        reader.unparker.wait_unparked();
        reader.inbox.host_is_back();
        let mut keys = keys(&reader.receive(2));
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
        assert!(word.park(), "no other thread knows of the word yet");
        let theirs = word.clone();
        let other = thread::spawn(move || theirs.notify());
        let ours = word.notify();
        assert_ne!(ours, other.join().unwrap());
        assert!(word.unparked(), "messages wait");
    });
}

/// A loop that parks only when nothing is left must see that it was unparked as it sees a message.
#[test]
fn to_be_unparked_ends_the_wait() {
    loom::model(|| {
        let reader = Loop::open();
        let theirs = reader.clone();
        let other = thread::spawn(move || theirs.inbox.unpark(LOOP));
        assert_ne!(reader.park(), Some(false), "it was notified");
        assert!(reader.inbox.is_notified());
        other.join().unwrap();
    });
}

/// A message that does not unpark the loop: its alarm does. Wherever the message falls into the turn,
/// the loop has it or is notified of it.
#[test]
fn a_pending_message_is_found_when_the_loop_is_back() {
    loom::model(|| {
        let reader = Loop::open();
        let held = Arc::new(());
        let (theirs, their_hold) = (reader.clone(), held.clone());
        let sender = thread::spawn(move || theirs.call(LOOP, &their_hold, Urgency::Whenever));
        let mut taken = Vec::new();
        reader.take_into(&mut taken);
        reader.inbox.park(|| ());
        assert!(sender.join().unwrap(), "the loop is there");
        reader.take_into(&mut taken);
        assert_eq!(taken.len(), 1, "a message is pending, and the word does not say so");
    });
}

/// A loop with a message pending is parked all the same: the next sender must unpark it.
#[test]
fn a_pending_message_does_not_hide_that_the_loop_is_parked() {
    loom::model(|| {
        let reader = Loop::open();
        let held = Arc::new(());
        let (theirs, their_hold) = (reader.clone(), held.clone());
        let sender = thread::spawn(move || {
            theirs.call(LOOP, &their_hold, Urgency::Whenever);
            theirs.inbox.wake(7);
        });
        let taken = reader.receive(2);
        assert!(matches!(taken[..], [Message::Call(_), Message::Wake(7)]));
        sender.join().unwrap();
    });
}

/// A loop moves out while it is sent a closure, and another moves in. The closure is handed back by
/// one side or the other, and never reaches the new loop.
#[test]
fn a_closure_for_a_loop_that_goes() {
    loom::model(|| {
        let reader = Loop::open();
        let held = Arc::new(());
        let (theirs, their_hold) = (reader.clone(), held.clone());
        let sender = thread::spawn(move || theirs.call(LOOP, &their_hold, Urgency::Now));
        let (left, unparker) = reader.inbox.close();
        drop(unparker);
        reader.inbox.open(NEXT_LOOP, reader.unparker.clone());
        let accepted = sender.join().unwrap();
        assert_eq!(left.len(), usize::from(accepted), "accepted, and gone");
        let mut taken = VecDeque::new();
        reader.inbox.take(&mut taken);
        assert!(taken.is_empty(), "a closure for the loop before");
        drop(left);
        assert_eq!(
            Arc::strong_count(&held),
            1,
            "a message that was handed back to no thread was kept"
        );
    });
}

/// A wake names a number and no loop, so it may reach the loop that has the number now: a spurious
/// poll. It must not stay there unseen until something else comes.
#[test]
fn a_wake_for_a_loop_that_goes() {
    loom::model(|| {
        let reader = Loop::open();
        let theirs = reader.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(7));
        let (left, unparker) = reader.inbox.close();
        drop(unparker);
        reader.inbox.open(NEXT_LOOP, reader.unparker.clone());
        sender.join().unwrap();
        let mut seen = Vec::new();
        reader.take_into(&mut seen);
        let mut unseen = VecDeque::new();
        reader.inbox.take(&mut unseen);
        assert!(unseen.is_empty(), "it was not notified of it");
        assert!(left.len() + seen.len() <= 1, "one wake became two");
    });
}

/// A wake is on its way to a loop that goes, and the next loop is parked already when it arrives. What that
/// one is sent must unpark it all the same.
#[test]
fn the_next_loop_is_unparked_beside_a_wake_for_the_one_before() {
    // Every order takes a minute.
    bounded_model(2, || {
        let reader = Loop::open();
        let theirs = reader.clone();
        let late = thread::spawn(move || theirs.inbox.wake(7));
        drop(reader.inbox.close());
        let unparker = Arc::new(Unparker::default());
        reader.inbox.open(NEXT_LOOP, unparker.clone());
        let theirs = reader.clone();
        let sender = thread::spawn(move || theirs.inbox.wake(8));
        let mut taken = Vec::new();
        while !keys(&taken).contains(&8) {
            reader.inbox.park(|| unparker.wait_unparked());
            reader.take_into(&mut taken);
        }
        late.join().unwrap();
        sender.join().unwrap();
    });
}

/// Parked without a second look: the message that came since the first does not end the wait.
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

/// The word notified when the lock is let go: meanwhile it may have become another loop's.
#[test]
fn notifying_the_word_unlocked_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::inbox::the_next_loop_is_unparked_beside_a_wake_for_the_one_before",
        "inbox_notifies_unlocked",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// The keys not forgotten when they are taken: the next wake of the same task is taken for one that is pending.
#[test]
fn keeping_the_keys_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::inbox::a_task_is_woken_again_while_its_wake_is_taken",
        "inbox_keeps_keys",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}
