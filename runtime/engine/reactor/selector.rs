//! What a registration asks of the kernel: to watch a descriptor, and to stop.
//!
//! That is `epoll_ctl` (or kqueue's counterpart), by way of mio. It is all that the models of
//! `registration.rs` replace: under loom a [`Selector`] keeps a list of what it watches, and can be told to
//! refuse. What is asked, when, and what becomes of the waiters meanwhile is then the code that ships.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd},
};

use mio::Token;

/// The kernel's half of a reactor, for any thread.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Selector(mio::Registry);

#[cfg(not(loom))]
impl Selector {
    pub(super) fn new(mio: &mio::Registry) -> io::Result<Self> {
        mio.try_clone().map(Self)
    }

    /// Has the kernel watch a descriptor, in both directions, and report its changes.
    pub(super) fn register(&self, fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        use mio::{Interest, unix::SourceFd};
        use std::os::fd::AsRawFd;
        let interest = Interest::READABLE | Interest::WRITABLE;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        self.0.register(&mut SourceFd(&fd.as_raw_fd()), token, interest)
    }

    pub(super) fn deregister(&self, fd: BorrowedFd<'_>, _token: Token) {
        use mio::unix::SourceFd;
        use std::os::fd::AsRawFd;
        // It fails if the descriptor is not open any more; then the kernel has forgotten it already.
        let _ = self.0.deregister(&mut SourceFd(&fd.as_raw_fd()));
    }
}

#[cfg(not(loom))]
impl AsFd for Selector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The kernel's half of a reactor. loom's stand-in.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Selector {
    mio: mio::Registry,
    watched: loom::sync::Mutex<Vec<Token>>,
    refuses: std::sync::atomic::AtomicBool,
}

#[cfg(loom)]
impl Selector {
    pub(super) fn new(mio: &mio::Registry) -> io::Result<Self> {
        let watched = loom::sync::Mutex::new(Vec::new());
        Ok(Self { mio: mio.try_clone()?, watched, refuses: false.into() })
    }

    pub(super) fn register(&self, _fd: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        // Each call is a step at which another thread may go on.
        let mut watched = self.watched.lock().unwrap();
        if self.refuses.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        watched.push(token);
        Ok(())
    }

    pub(super) fn deregister(&self, _fd: BorrowedFd<'_>, token: Token) {
        self.watched.lock().unwrap().retain(|watched| *watched != token);
    }

    /// The tokens that are watched: where an event would go to.
    #[cfg(test)]
    pub(crate) fn watched(&self) -> Vec<Token> {
        self.watched.lock().unwrap().clone()
    }

    /// Refuses from now on.
    #[cfg(test)]
    pub(crate) fn refuse(&self) {
        self.refuses.store(true, std::sync::atomic::Ordering::Relaxed);
    }
}

#[cfg(loom)]
impl AsFd for Selector {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mio.as_fd()
    }
}
