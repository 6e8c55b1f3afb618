//! Where a thread waits for the kernel, and what ends its wait.
//!
//! A loop waits in one system call, [`Wait::wait`]: mio's poll over epoll or kqueue. Another thread
//! ends that wait with the loop's [`Unparker`]: an eventfd, behind mio's `Waker`. Only the parking
//! protocol in `park.rs` decides when that call is worth making.
//!
//! loom cannot see the kernel. Under loom a wait is one on a flag and a condition variable, which the
//! unparker sets; it gets no event, and no timeout ever ends it, for in a model there is no time. So a
//! model runs all of a loop's code but for the system call.

use std::{io, time::Duration};

use mio::{Events, Poll, Registry, Token};

/// The token of the unparker.
pub(crate) const UNPARK: Token = Token(usize::MAX);

/// mio's poll, and room for what it reports.
#[derive(Debug)]
pub(crate) struct Wait {
    poll: Poll,
    events: Events,
    #[cfg(loom)]
    flag: Unparker,
}

impl Wait {
    /// One that takes up to `room` events from the kernel in one call. The others keep their order
    /// there, and are the first in the next.
    pub(crate) fn new(room: usize) -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(room),
            #[cfg(loom)]
            flag: Unparker::default(),
        })
    }

    /// Takes up to so many from now on.
    pub(crate) fn set_room(&mut self, room: usize) {
        if self.events.capacity() != room {
            self.events = Events::with_capacity(room);
        }
    }

    pub(crate) fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// Asks the kernel, and waits up to `timeout` for an answer (for ever on `None`). A signal ends
    /// the wait early with no event.
    #[cfg(not(loom))]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<&Events> {
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            other => other?,
        }
        Ok(&self.events)
    }

    /// The same under loom.
    #[cfg(loom)]
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> io::Result<&Events> {
        match timeout {
            Some(Duration::ZERO) => self.flag.hear(),
            _ => self.flag.wait_unparked(),
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

/// Ends another thread's wait, under loom.
#[cfg(loom)]
#[derive(Debug, Clone, Default)]
pub(crate) struct Unparker(loom::sync::Arc<Flag>);

#[cfg(loom)]
#[derive(Debug, Default)]
struct Flag {
    unparked: loom::sync::Mutex<bool>,
    changed: loom::sync::Condvar,
}

#[cfg(loom)]
impl Unparker {
    pub(crate) fn new(wait: &Wait) -> io::Result<Self> {
        Ok(wait.flag.clone())
    }

    pub(crate) fn unpark(&self) {
        *self.0.unparked.lock().unwrap() = true;
        self.0.changed.notify_all();
    }

    /// Waits until it is unparked.
    pub(crate) fn wait_unparked(&self) {
        self.wait_until(true);
        self.hear();
    }

    /// Waits until what it was unparked for was heard, by a wait or a look.
    #[cfg(test)]
    pub(crate) fn wait_heard(&self) {
        self.wait_until(false);
    }

    fn hear(&self) {
        *self.0.unparked.lock().unwrap() = false;
        self.0.changed.notify_all();
    }

    fn wait_until(&self, unparked: bool) {
        let mut now = self.0.unparked.lock().unwrap();
        while *now != unparked {
            now = self.0.changed.wait(now).unwrap();
        }
    }
}
