//! Models of a source, `reactor/source.rs`: readiness comes from the reactor while operations clear
//! it and wait for it.
//!
//! Events are edges: each comes once. So whatever is lost here is a task that waits for ever, and loom
//! calls that a deadlock. The kernel is a count of bytes. It is deliberately weaker than a kernel, for
//! it orders nothing: a thread that sees the readiness must see the byte by that alone.
//!
//! **Alternative:** a real socket under a stress test: the window is a few instructions wide, and no
//! number of rounds says that none was missed.

use super::{Sides, both_ways, bounded_model, join::Sleeper, seeded_bug_is_caught};
use crate::engine::{
    base::{
        primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
        user_code,
    },
    reactor::{
        flags::{Direction, Flags},
        source::{Caller, Readiness, Waited, WaiterKey},
    },
    waiting::waiter::Waiter,
};

use std::{sync::Arc as StdArc, task::Waker};

use self::Direction::{Read, Write};

/// A socket without a kernel, and the tasks that may wait for it. They are there from the beginning,
/// so that finding a task by its number orders nothing.
pub(super) struct Socket {
    bytes: AtomicU32,
    pub(super) readiness: Readiness,
    tasks: Vec<(StdArc<Sleeper>, Waker)>,
}

/// As whom one waits.
#[derive(Clone, Copy)]
pub(super) enum As {
    /// A task of an event loop, by its number.
    Task,
    /// Somebody with a waker. loom tells if it is dropped twice, or never.
    Waker,
}

impl Socket {
    /// As the kernel hands it out: no bytes, and counted as ready until an operation says otherwise.
    fn fresh(tasks: usize) -> Arc<Self> {
        let tasks = (0..tasks).map(|_| Sleeper::new()).collect();
        Arc::new(Self { bytes: AtomicU32::new(0), readiness: Readiness::new(), tasks })
    }

    /// A socket that all who wait already found empty.
    pub(super) fn drained(tasks: usize) -> Arc<Self> {
        let socket = Self::fresh(tasks);
        forget(&socket.readiness);
        socket
    }

    /// The reactor's side: bytes came, and with them an event.
    fn arrive(&self, bytes: u32) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.event(Flags::READABLE);
    }

    pub(super) fn event(&self, flags: Flags) {
        let mut woken = Vec::new();
        self.readiness.set(flags, |waiter| woken.push(waiter));
        for waiter in woken {
            match waiter {
                Waiter::Task(number) => self.tasks[number as usize].1.wake_by_ref(),
                Waiter::Waker(waker) => user_code::wake(waker),
            }
        }
    }

    /// Reads a byte. `false`: that would block.
    fn read(&self) -> bool {
        self.bytes.fetch_update(Relaxed, Relaxed, |bytes| bytes.checked_sub(1)).is_ok()
    }

    /// One who waits, as the task of this number or with its waker.
    fn waiter(&self, number: usize, who: As) -> Waiter {
        match who {
            As::Task => Waiter::Task(number as u64),
            As::Waker => Waiter::Waker(self.tasks[number].1.clone()),
        }
    }

    /// Waits in a direction. `false`: it is ready.
    pub(super) fn wait(
        &self,
        direction: Direction,
        number: usize,
        who: As,
        caller: &mut Caller<'_>,
    ) -> bool {
        match self.readiness.wait(direction, caller, self.waiter(number, who)) {
            Waited::Kept(old) => {
                drop(old);
                true
            }
            Waited::Ready(_) => false,
        }
    }

    pub(super) fn sleep(&self, number: usize) {
        self.tasks[number].0.sleep();
    }

    /// Reads a byte as an operation of a socket does: tries while that is worth it, else waits.
    fn receive(&self, number: usize, who: As, mut caller: Caller<'_>) {
        loop {
            if let Some(seen) = self.readiness.ready(Read) {
                if self.read() {
                    break;
                }
                self.readiness.clear(Read, seen);
            }
            if self.wait(Read, number, who, &mut caller) {
                self.sleep(number);
            }
        }
        // What is dropped with an operation's future.
        if let Caller::Future(key) = caller {
            drop(self.readiness.leave(Read, *key));
        }
    }
}

/// What was known of a descriptor is void: it is registered anew.
pub(super) fn forget(readiness: &Readiness) {
    assert!(readiness.unless_waited_on(true, || ()).is_empty(), "nobody waits");
}

/// What a task does with the socket and what the reactor does, at once.
pub(super) fn beside(
    socket: &Arc<Socket>,
    sides: Sides,
    task: impl FnOnce(&Socket) + 'static,
    reactor: impl FnOnce(&Socket) + 'static,
) {
    let (ours, theirs) = (socket.clone(), socket.clone());
    sides.at_once(move || task(&ours), move || reactor(&theirs));
    assert!(!socket.readiness.is_waited_on(), "somebody still waits");
}

/// The least that must hold. The event may come before the first try, between a try and its clear,
/// between the clear and the claim of the slot, between that and the wait, and during the sleep.
fn a_byte_comes(who: As) {
    both_ways(move |sides| {
        let task = move |socket: &Socket| socket.receive(0, who, Caller::PollFn);
        beside(&Socket::fresh(1), sides, task, |socket| socket.arrive(1));
    });
}

#[test]
fn a_byte_that_comes_is_read() {
    a_byte_comes(As::Task);
}

#[test]
fn a_byte_that_comes_is_read_through_a_waker() {
    a_byte_comes(As::Waker);
}

/// A second event may come while the first is being served.
#[test]
fn a_second_byte_comes_while_the_first_is_read() {
    // One way round only: the other takes half a minute.
    loom::model(|| {
        let socket = Socket::fresh(1);
        let theirs = socket.clone();
        let reactor = thread::spawn(move || {
            theirs.arrive(1);
            theirs.arrive(1);
        });
        socket.receive(0, As::Task, Caller::Future(&mut 0));
        socket.receive(0, As::Waker, Caller::Future(&mut 0));
        reactor.join().unwrap();
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// The event count alone: a try that met `WouldBlock` before an event says nothing of the time after it.
#[test]
fn a_clear_from_before_the_event_is_void() {
    both_ways(|sides| {
        let socket = Socket::fresh(0);
        let seen = socket.readiness.ready(Read).expect("a fresh socket is worth a try");
        let clear = move |socket: &Socket| socket.readiness.clear(Read, seen);
        beside(&socket, sides, clear, |socket| socket.event(Flags::READABLE));
        assert!(socket.readiness.ready(Read).is_some(), "the event is lost");
    });
}

/// A socket moves to another loop and is registered there, or nobody watches it any more. A try from
/// before that may not clear what the new registration's first event says, nor that one must ask anew.
#[test]
fn a_clear_from_before_a_new_registration_is_void() {
    let moved = |socket: &Socket| {
        forget(&socket.readiness);
        socket.event(Flags::READABLE);
    };
    for mover in [moved, |socket: &Socket| socket.readiness.refresh()] {
        both_ways(move |sides| {
            let socket = Socket::fresh(0);
            let seen = socket.readiness.ready(Read).expect("a fresh socket is worth a try");
            beside(&socket, sides, move |socket| socket.readiness.clear(Read, seen), mover);
            assert!(socket.readiness.ready(Read).is_some(), "the event is lost");
        });
    }
}

/// A reader and a writer share the word. Both find their direction blocked, and neither clear undoes
/// the other or is undone by it.
#[test]
fn both_directions_are_cleared_at_once() {
    loom::model(|| {
        let socket = Socket::fresh(0);
        let theirs = socket.clone();
        let clear = |socket: &Socket, direction| {
            let seen = socket.readiness.ready(direction).expect("nobody else clears this");
            socket.readiness.clear(direction, seen);
        };
        let writer = thread::spawn(move || clear(&theirs, Write));
        clear(&socket, Read);
        writer.join().unwrap();
        assert!(socket.readiness.ready(Read).is_none(), "the readers' clear was undone");
        assert!(socket.readiness.ready(Write).is_none(), "the writers' clear was undone");
    });
}

/// Two tasks wait in `accept` on one listener, and one event brings two connections: each that waits
/// must be woken, for no further event comes.
#[test]
fn one_event_wakes_two_waiters() {
    // Three threads that exchange one word in turn: every order takes minutes, three preemptions two
    // seconds.
    bounded_model(3, || {
        let socket = Socket::drained(2);
        let waiters = [0, 1].map(|number| {
            let theirs = socket.clone();
            thread::spawn(move || {
                let waits = theirs.wait(Read, number, As::Task, &mut Caller::Future(&mut 0));
                waits.then_some(number)
            })
        });
        socket.event(Flags::READABLE);
        for waiter in waiters {
            // To sleep here and not there spares loom the orders of what concerns one thread only.
            if let Some(number) = waiter.join().unwrap() {
                socket.sleep(number);
            }
        }
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// One in the slot and two in the list, at one event.
#[test]
fn one_event_wakes_three_wakers() {
    both_ways(|sides| {
        let socket = Socket::drained(3);
        for number in 0..3 {
            assert!(socket.wait(Read, number, As::Waker, &mut Caller::Future(&mut 0)));
        }
        let tasks = |socket: &Socket| (0..3).for_each(|number| socket.sleep(number));
        beside(&socket, sides, tasks, |socket| socket.event(Flags::READABLE));
    });
}

/// A waiter whose future is dropped as the event comes. It is woken or not; its neighbour is woken in
/// any case. Beside a neighbour in its own direction it stands in the list, else in a slot.
fn leave_beside_a_neighbour(leaver: As, neighbours: Direction) {
    both_ways(move |sides| {
        let socket = Socket::drained(2);
        assert!(socket.wait(neighbours, 0, As::Task, &mut Caller::Future(&mut 0)));
        let leave = move |socket: &Socket| {
            let mut key: WaiterKey = 0;
            socket.wait(Read, 1, leaver, &mut Caller::Future(&mut key));
            drop(socket.readiness.leave(Read, key));
        };
        beside(&socket, sides, leave, |socket| {
            socket.event(Flags(Flags::READABLE.0 | Flags::WRITABLE.0));
        });
        socket.sleep(0);
    });
}

#[test]
fn a_waiter_leaves_the_list_as_the_event_comes() {
    leave_beside_a_neighbour(As::Waker, Read);
}

#[test]
fn a_task_leaves_the_slot_as_the_event_comes() {
    leave_beside_a_neighbour(As::Task, Write);
}

#[test]
fn a_waker_leaves_the_slot_as_the_event_comes() {
    leave_beside_a_neighbour(As::Waker, Write);
}

/// One leaves the slot and another takes it, while the reactor reads whose it is.
fn a_slot_changes_hands(who: As) {
    both_ways(move |sides| {
        let socket = Socket::drained(2);
        let mut key = 0;
        assert!(socket.wait(Read, 0, who, &mut Caller::Future(&mut key)), "nothing is ready");
        let change = move |socket: &Socket| {
            drop(socket.readiness.leave(Read, key));
            if socket.wait(Read, 1, who, &mut Caller::Future(&mut 0)) {
                socket.sleep(1);
            }
        };
        beside(&socket, sides, change, |socket| socket.event(Flags::READABLE));
    });
}

#[test]
fn a_slot_changes_hands_as_the_event_comes() {
    a_slot_changes_hands(As::Task);
}

#[test]
fn a_slot_changes_wakers_as_the_event_comes() {
    a_slot_changes_hands(As::Waker);
}

/// A future that waits is polled by another task, as the event comes.
#[test]
fn a_waiter_changes_its_waker_as_the_event_comes() {
    both_ways(|sides| {
        let socket = Socket::drained(2);
        let mut key = 0;
        assert!(socket.wait(Read, 0, As::Waker, &mut Caller::Future(&mut key)));
        let change = move |socket: &Socket| {
            if socket.wait(Read, 1, As::Waker, &mut Caller::Future(&mut key)) {
                socket.sleep(1);
            }
        };
        beside(&socket, sides, change, |socket| socket.event(Flags::READABLE));
    });
}

/// A future that waits is polled with another's waker, as the event comes and the slot passes to a future
/// of that other. What the slot holds is then this very waker, but for somebody who may leave any time.
#[test]
fn a_waiter_meets_its_waker_in_anothers_slot() {
    // Every order takes minutes.
    bounded_model(3, || {
        let socket = Socket::drained(2);
        let mut key = 0;
        assert!(socket.wait(Read, 0, As::Task, &mut Caller::Future(&mut key)));
        let theirs = socket.clone();
        let other = thread::spawn(move || {
            theirs.event(Flags::READABLE);
            if let Some(seen) = theirs.readiness.ready(Read) {
                theirs.readiness.clear(Read, seen);
            }
            let mut key = 0;
            theirs.wait(Read, 1, As::Task, &mut Caller::Future(&mut key));
            drop(theirs.readiness.leave(Read, key));
        });
        let waits = socket.wait(Read, 1, As::Task, &mut Caller::Future(&mut key));
        other.join().unwrap();
        if waits {
            socket.event(Flags::READABLE);
            socket.sleep(1);
        }
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// A source that goes drops the waker that stands in its slot. loom tells if it does not.
#[test]
fn a_waker_left_behind_is_dropped() {
    loom::model(|| {
        let socket = Socket::drained(1);
        assert!(socket.wait(Read, 0, As::Waker, &mut Caller::Future(&mut 0)));
    });
}

/// One in the slot is being woken when another finds the socket empty and takes that slot.
#[test]
fn a_slot_is_taken_while_its_waiter_is_woken() {
    loom::model(|| {
        let socket = Socket::drained(2);
        assert!(socket.wait(Read, 0, As::Task, &mut Caller::Future(&mut 0)), "nothing is ready");
        let theirs = socket.clone();
        let reactor = thread::spawn(move || theirs.event(Flags::READABLE));
        let theirs = socket.clone();
        let second = thread::spawn(move || {
            if let Some(seen) = theirs.readiness.ready(Read) {
                theirs.readiness.clear(Read, seen);
                let waits = theirs.wait(Read, 1, As::Task, &mut Caller::Future(&mut 0));
                assert!(waits, "it was cleared");
            }
        });
        socket.sleep(0);
        reactor.join().unwrap();
        second.join().unwrap();
    });
}

/// An event for readers leaves a writer asleep, however it falls beside the writer's coming: it waits
/// for one of its own, which must find it.
#[test]
fn an_event_of_one_direction_leaves_the_other() {
    both_ways(|sides| {
        let writer = |socket: &Socket| {
            if socket.wait(Write, 0, As::Task, &mut Caller::Future(&mut 0)) {
                socket.sleep(0);
            }
            assert!(socket.readiness.ready(Write).is_some(), "woken for the other direction");
        };
        beside(&Socket::drained(1), sides, writer, |socket| {
            [Flags::READABLE, Flags::WRITABLE].into_iter().for_each(|flags| socket.event(flags));
        });
    });
}

/// A clear that ignores the event count wipes out an event that came since the try.
#[test]
fn clearing_without_the_tick_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_clear_from_before_the_event_is_void",
        "source_clear_ignores_the_count",
    );
    assert!(finding.contains("the event is lost"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::source::a_byte_that_comes_is_read",
        "source_clear_ignores_the_count",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// One event that wakes one waiter leaves the other with its connection in the kernel's queue.
#[test]
fn waking_one_waiter_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::one_event_wakes_three_wakers",
        "source_wakes_one_waiter",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// A waker left without a second look at the word: the event that came since the clear found nobody.
#[test]
fn waiting_without_a_second_look_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_byte_that_comes_is_read",
        "source_wait_without_second_look",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// A slot that is left with the event count as it was looks untouched once the next has moved in: the event
/// wakes the one who left.
#[test]
fn leaving_without_a_tick_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_slot_changes_hands_as_the_event_comes",
        "source_leaves_uncounted",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// Two who wait with one waker are two all the same: what was read of a slot that changed hands meanwhile
/// is the other's.
#[test]
fn trusting_what_was_read_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_waiter_meets_its_waker_in_anothers_slot",
        "source_trusts_what_it_read",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// A waker that stands in a slot is two numbers, which nobody drops by themselves.
#[test]
fn keeping_the_last_waker_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_waker_left_behind_is_dropped",
        "source_keeps_its_last_waker",
    );
    assert!(finding.contains("leaked"), "{finding}");
}

/// Whose slot it was must be read before the slot is given free.
#[test]
fn reading_a_slot_that_is_free_again_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_slot_is_taken_while_its_waiter_is_woken",
        "source_reads_slot_late",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}
