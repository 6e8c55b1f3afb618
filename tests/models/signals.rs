//! A model of listening for a signal, `signal/delivery.rs`: one pipe and one readiness for several listeners.
//!
//! The handler writes a byte and the reactor tells of it, once. One listener takes the byte, and may use the readiness up
//! in looking for more, while another is about to wait. The pipe is a real one: what is in it at each step of loom is
//! in it, and it orders nothing.

use std::{
    io::{self, PipeReader, Write},
    task::Poll,
};

use super::{
    bounded_model, seeded_bug_is_caught,
    source::{As, Socket},
};
use crate::{
    engine::{
        base::primitives::{Arc, thread},
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

#[test]
fn each_listener_hears_it() {
    bounded_model(2, || {
        let (pipe, mut handler) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&pipe, true).unwrap();
        let (socket, heard) = (Socket::drained(2), Heard::new());
        let signal = Arc::new(Signal { pipe, socket, heard });
        let (ours, reactor) = (signal.clone(), signal.clone());
        let other = thread::spawn(move || {
            let mut seen = 0;
            let heard = [(); 2].map(|()| ours.try_recv(1, &mut seen));
            assert_ne!(heard, [true; 2], "one signal is heard once");
        });
        let kernel = thread::spawn(move || {
            handler.write_all(b"!").unwrap();
            reactor.socket.event(Flags::READABLE);
        });
        signal.recv(0, &mut 0);
        other.join().unwrap();
        kernel.join().unwrap();
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
