//! A model of listening for a signal, `signal/delivery.rs`: one pipe and one readiness for several listeners.
//!
//! The handler writes a byte and the reactor tells of it, once. One listener takes the byte, and may use the readiness up
//! in looking for more, while another is about to wait. The pipe is a real one: what is in it at each step of loom is
//! in it, and it orders nothing. (Events that come at every moment of a wait are the source's models'.)

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    task::Poll,
};

use super::{
    both_ways, seeded_bug_is_caught,
    source::{As, Socket},
};
use crate::{
    engine::{
        base::primitives::Arc,
        reactor::{
            flags::{Direction, Flags},
            source::{Caller, WaiterKey},
        },
    },
    signal::Heard,
};

struct Signal {
    pipe: PipeReader,
    socket: Arc<Socket>,
    heard: Heard,
}

impl Signal {
    fn new() -> (Arc<Self>, PipeWriter) {
        let (pipe, handler) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&pipe, true).unwrap();
        let (socket, heard) = (Socket::drained(2), Heard::new());
        (Arc::new(Self { pipe, socket, heard }), handler)
    }

    /// The handler's byte, and the reactor's word of it.
    fn comes(&self, mut handler: &PipeWriter) {
        handler.write_all(b"!").unwrap();
        self.socket.event(Flags::READABLE);
    }

    /// As `Source::poll_op` does it: tries while that is worth it, or else waits.
    fn poll(&self, number: usize, seen: &mut u64, key: &mut WaiterKey) -> Poll<io::Result<()>> {
        let readiness = &self.socket.readiness;
        self.heard.poll(seen, |hear| {
            loop {
                if let Some(seen) = readiness.ready(Direction::Read) {
                    match hear(&self.pipe) {
                        Err(_) => readiness.clear(Direction::Read, seen),
                        heard => return Poll::Ready(heard),
                    }
                }
                let mut caller = Caller::Future(key);
                if self.socket.wait(Direction::Read, number, As::Task, &mut caller) {
                    return Poll::Pending;
                }
            }
        })
    }

    fn recv(&self, number: usize, seen: &mut u64) {
        let mut key = 0;
        while self.poll(number, seen, &mut key).is_pending() {
            self.socket.sleep(number);
        }
        drop(self.socket.readiness.leave(Direction::Read, key));
    }

    /// Looks for one more, and gives it up.
    fn try_recv(&self, number: usize, seen: &mut u64) -> bool {
        let mut key = 0;
        let heard = self.poll(number, seen, &mut key).is_ready();
        drop(self.socket.readiness.leave(Direction::Read, key));
        heard
    }
}

/// It comes while one listener is about to wait.
#[test]
fn a_listener_hears_it() {
    both_ways(|sides| {
        let (signal, handler) = Signal::new();
        let (ours, theirs) = (signal.clone(), signal.clone());
        sides.at_once(move || ours.recv(0, &mut 0), move || theirs.comes(&handler));
        assert!(!signal.socket.readiness.is_waited_on());
    });
}

/// It has come, and one listener looks for more than there is, while another has not yet heard it.
#[test]
fn each_listener_hears_it() {
    both_ways(|sides| {
        let (signal, handler) = Signal::new();
        signal.comes(&handler);
        let (ours, theirs) = (signal.clone(), signal.clone());
        let looks_twice = move || {
            let mut seen = 0;
            [(); 2].map(|()| theirs.try_recv(1, &mut seen))
        };
        let (_, heard) = sides.at_once(move || ours.recv(0, &mut 0), looks_twice);
        assert_eq!(heard, [true, false], "one signal is heard once");
    });
}

#[test]
fn looking_once_is_caught() {
    seeded_bug_is_caught("models::signals::each_listener_hears_it", "signal_listener_looks_once");
}

#[test]
fn counting_unlocked_is_caught() {
    seeded_bug_is_caught("models::signals::each_listener_hears_it", "signal_counted_unlocked");
}
