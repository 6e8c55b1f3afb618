//! Models of a source, `reactor/source.rs`: readiness comes from the reactor while operations clear
//! it and wait for it.
//!
//! Events are edges: each comes once. So whatever is lost here is a task that waits for ever, and loom
//! calls that a deadlock. The kernel is a count of bytes. It is deliberately weaker than a kernel, for
//! it orders nothing: whoever sees the readiness must see the byte by that alone.
//!
//! The rival is a real socket under a stress test: the window is a few instructions wide, and no
//! number of rounds says that none was missed.

use super::{join::Sleeper, seeded_bug_is_caught};
use crate::{
    foreign,
    primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    reactor::source::{Direction, Flags, Place, Readiness, WaiterKey},
};

use self::Direction::{Read, Write};

/// A socket without a kernel.
struct Socket {
    bytes: AtomicU32,
    readiness: Readiness,
}

/// In which of the two ways a reader waits.
#[derive(Clone, Copy)]
enum WaitsIn {
    Slot,
    List,
}

impl Socket {
    /// As the kernel hands it out: no bytes, and counted as ready until an operation says otherwise.
    fn fresh() -> Arc<Self> {
        Arc::new(Self { bytes: AtomicU32::new(0), readiness: Readiness::new() })
    }

    /// A socket that all who wait already found empty.
    fn drained() -> Arc<Self> {
        let socket = Self::fresh();
        socket.readiness.forget();
        socket
    }

    /// The reactor's side: bytes came, and with them an event.
    fn arrive(&self, bytes: u32) {
        self.bytes.fetch_add(bytes, Relaxed);
        self.event(Flags::READABLE);
    }

    fn event(&self, flags: Flags) {
        let mut wakers = Vec::new();
        self.readiness.set(flags, &mut wakers);
        foreign::wake_all(wakers.drain(..));
    }

    /// Reads a byte. `false`: that would block.
    fn read(&self) -> bool {
        self.bytes.fetch_update(Relaxed, Relaxed, |bytes| bytes.checked_sub(1)).is_ok()
    }

    /// Reads a byte as an operation of a socket does: tries while that is worth it, else waits.
    fn receive(&self, waits_in: WaitsIn) {
        let (sleeper, waker) = Sleeper::new();
        let mut key: WaiterKey = 0;
        loop {
            if let Some(seen) = self.readiness.ready(Read) {
                if self.read() {
                    break;
                }
                self.readiness.clear(Read, seen);
            }
            let place = match waits_in {
                WaitsIn::Slot => Place::Slot,
                WaitsIn::List => Place::Keyed(&mut key),
            };
            let (waits, old) = self.readiness.wait(Read, place, waker.clone());
            drop(old);
            if waits {
                sleeper.sleep();
            }
        }
        // What is dropped with an operation's future.
        drop(self.readiness.leave(key));
    }
}

/// The least that must hold. The event may come before the first try, between a try and its clear,
/// between the clear and the wait, and during the sleep.
#[test]
fn a_byte_that_comes_is_read() {
    loom::model(|| {
        let socket = Socket::fresh();
        let theirs = socket.clone();
        let reactor = thread::spawn(move || theirs.arrive(1));
        socket.receive(WaitsIn::Slot);
        reactor.join().unwrap();
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// The same for a reader in the list, and with a second event, which may come while the first is
/// being served.
#[test]
fn a_second_byte_comes_while_the_first_is_read() {
    loom::model(|| {
        let socket = Socket::fresh();
        let theirs = socket.clone();
        let reactor = thread::spawn(move || {
            theirs.arrive(1);
            theirs.arrive(1);
        });
        socket.receive(WaitsIn::List);
        socket.receive(WaitsIn::List);
        reactor.join().unwrap();
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// The tick alone: a try that met `WouldBlock` before an event says nothing of the time after it.
#[test]
fn a_clear_from_before_the_event_is_void() {
    loom::model(|| {
        let socket = Socket::fresh();
        let seen = socket.readiness.ready(Read).expect("a fresh socket is worth a try");
        let theirs = socket.clone();
        let reactor = thread::spawn(move || theirs.event(Flags::READABLE));
        socket.readiness.clear(Read, seen);
        reactor.join().unwrap();
        assert!(socket.readiness.ready(Read).is_some(), "the event is lost");
    });
}

/// A socket moves to another loop and is registered there. A try from before that may not clear what
/// the new registration's first event says.
#[test]
fn a_clear_from_before_a_new_registration_is_void() {
    loom::model(|| {
        let socket = Socket::fresh();
        let seen = socket.readiness.ready(Read).expect("a fresh socket is worth a try");
        let theirs = socket.clone();
        let mover = thread::spawn(move || {
            theirs.readiness.forget();
            theirs.event(Flags::READABLE);
        });
        socket.readiness.clear(Read, seen);
        mover.join().unwrap();
        assert!(socket.readiness.ready(Read).is_some(), "the event is lost");
    });
}

/// A reader and a writer share the word. Both find their direction blocked, and neither clear undoes
/// the other or is undone by it.
#[test]
fn both_directions_are_cleared_at_once() {
    loom::model(|| {
        let socket = Socket::fresh();
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
    loom::model(|| {
        let socket = Socket::drained();
        let waiters = [(); 2].map(|()| {
            let theirs = socket.clone();
            thread::spawn(move || {
                let (sleeper, waker) = Sleeper::new();
                let place = Place::Keyed(&mut 0);
                let (waits, _) = theirs.readiness.wait(Read, place, waker);
                waits.then_some(sleeper)
            })
        });
        socket.event(Flags::READABLE);
        for waiter in waiters {
            // To sleep here and not there spares loom the orders of what concerns one thread only.
            if let Some(sleeper) = waiter.join().unwrap() {
                sleeper.sleep();
            }
        }
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// A waiter whose future is dropped as the event comes. Its waker is woken or handed back, and its
/// neighbour in the list is woken in any case.
#[test]
fn a_waiter_leaves_as_the_event_comes() {
    loom::model(|| {
        let socket = Socket::drained();
        let (neighbour, waker) = Sleeper::new();
        let mut key = 0;
        let (waits, _) = socket.readiness.wait(Read, Place::Keyed(&mut key), waker);
        assert!(waits, "nothing is ready");
        let theirs = socket.clone();
        let leaver = thread::spawn(move || {
            let (_sleeper, waker) = Sleeper::new();
            let mut key = 0;
            drop(theirs.readiness.wait(Read, Place::Keyed(&mut key), waker));
            drop(theirs.readiness.leave(key));
        });
        socket.event(Flags::READABLE);
        neighbour.sleep();
        leaver.join().unwrap();
        assert!(!socket.readiness.is_waited_on(), "who left still waits");
    });
}

/// An event for readers leaves a writer asleep, however it falls beside the writer's coming: it waits
/// for one of its own, which must find it.
#[test]
fn an_event_of_one_direction_leaves_the_other() {
    loom::model(|| {
        let socket = Socket::drained();
        let theirs = socket.clone();
        let reactor = thread::spawn(move || {
            theirs.event(Flags::READABLE);
            theirs.event(Flags::WRITABLE);
        });
        let (sleeper, waker) = Sleeper::new();
        let (waits, _) = socket.readiness.wait(Write, Place::Keyed(&mut 0), waker);
        if waits {
            sleeper.sleep();
        }
        assert!(socket.readiness.ready(Write).is_some(), "woken for the other direction");
        reactor.join().unwrap();
        assert!(!socket.readiness.is_waited_on(), "somebody still waits");
    });
}

/// A clear that ignores the tick wipes out an event that came since the try.
#[test]
fn clearing_without_the_tick_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::a_clear_from_before_the_event_is_void",
        "source_clear_ignores_tick",
    );
    assert!(finding.contains("the event is lost"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::source::a_byte_that_comes_is_read",
        "source_clear_ignores_tick",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// One event that wakes one waiter leaves the other with its connection in the kernel's queue.
#[test]
fn waking_one_waiter_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source::one_event_wakes_two_waiters",
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
