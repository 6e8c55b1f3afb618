//! Where a thread sleeps, and what ends its sleep.
//!
//! A loop sleeps in one system call, [`Wait::wait`]: mio's poll over epoll or kqueue. Another thread
//! ends that sleep with the loop's [`Unparker`]: an eventfd, behind mio's `Waker`. Only the parking
//! protocol in `park.rs` decides when that call is worth making.
//!
//! loom cannot see the kernel. Under loom an unparker is a flag and a condition variable, and a model
//! sleeps on it with `wait_unparked`.

use std::{io, time::Duration};

use mio::{Events, Poll, Registry, Token};

/// The token of the unparker.
pub(crate) const UNPARK: Token = Token(usize::MAX);

/// mio's poll, and room for what it reports.
#[derive(Debug)]
pub(crate) struct Wait {
    poll: Poll,
    events: Events,
}

impl Wait {
    /// One that takes up to `room` events from the kernel in one call. The others keep their order
    /// there, and are the first in the next.
    pub(crate) fn new(room: usize) -> io::Result<Self> {
        Ok(Self { poll: Poll::new()?, events: Events::with_capacity(room) })
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Asks the kernel, and waits up to `timeout` for an answer (for ever on `None`). A signal ends
    /// the wait early with no event.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<&Events> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            other => other?,
        }
        Ok(&self.events)
    }
}

/// Ends another thread's wait.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Unparker(mio::Waker);

#[cfg(not(loom))]
impl Unparker {
    pub(crate) fn new(wait: &Wait) -> io::Result<Self> {
        mio::Waker::new(wait.registry(), UNPARK).map(Self)
    }

    /// Ends the present or the next wait.
    pub(crate) fn unpark(&self) {
        // Writing to an eventfd fails only if its counter would overflow, which mio handles, or if
        // the descriptor is broken: then the loop is lost, and staying silent would hide it.
        self.0.wake().expect("the loop's eventfd takes a write");
    }
}

/// Ends another thread's wait. loom's stand-in.
#[cfg(loom)]
#[derive(Debug, Default)]
pub(crate) struct Unparker {
    unparked: loom::sync::Mutex<bool>,
    changed: loom::sync::Condvar,
}

#[cfg(loom)]
impl Unparker {
    pub(crate) fn new(_wait: &Wait) -> io::Result<Self> {
        Ok(Self::default())
    }

    pub(crate) fn unpark(&self) {
        *self.unparked.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// What `Wait::wait` is to the real one. Only models sleep here.
    #[cfg(test)]
    pub(crate) fn wait_unparked(&self) {
        let mut unparked = self.unparked.lock().unwrap();
        while !*unparked {
            unparked = self.changed.wait(unparked).unwrap();
        }
        *unparked = false;
    }
}
