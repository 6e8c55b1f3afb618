//! A descriptor and its registration.
//!
//! [`Source::poll_op`] is the one way in which an operation on a descriptor meets the reactor:
//!
//! 1. If the descriptor may be ready, try the system call. A fresh one may.
//! 2. On `WouldBlock`, note that it is not, unless an event came since.
//! 3. Make sure that the loop that polls us watches it, leave a waker, and wait.
//!
//! The futures and the `poll_*` functions of `operation.rs` both go that way. They differ in how their waiter
//! is kept: a future has a key and takes its waiter out when it is dropped; of the callers of `poll_*` there is
//! one for each direction, for nothing says when it has lost interest.

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    panic::Location,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        location::{WaitsFor, WaitsOn},
        this_poll,
    },
    current,
    reactor::{
        flags::Direction,
        registration::Registration,
        source::{Caller, Seen},
    },
    task::local,
};

/// A descriptor that tasks can wait on. asyncio's `add_reader` and `add_writer`.
///
/// It is put into non-blocking mode. Dropping it ends the registration, then closes the descriptor.
///
/// # How many tasks may use it
///
/// Any number may await its futures at once, also in the same direction: each readiness wakes all of them.
///
/// Of the `poll_*` functions there is one waiter for each direction, and the last waker wins: two tasks that call
/// [`poll_readable`](Self::poll_readable) or [`poll_read_with`](Self::poll_read_with) by turns take each other's
/// place, and one is never woken. One that reads and one that writes do not disturb each other, nor do futures.
///
/// # On which loop
///
/// It belongs to no loop. The one on which a task waits for it watches it, and it moves there if nothing waits
/// elsewhere. Two loops that wait for it at once are both woken by each event; if they are to share work, such as
/// the connections of a listener, give each loop a descriptor of its own, by `try_clone`.
///
/// There can be one source for a descriptor on a loop or runtime. A second one says so when it must wait.
///
/// Regular files cannot be watched (the kernel calls them ready always): use
/// [`spawn_blocking`](crate::task::spawn_blocking) for them.
///
/// ```
/// use std::io::{Read, Write, pipe};
/// use whirligig::io::Source;
///
/// whirligig::run(async {
///     let (reader, mut writer) = pipe()?;
///     let reader = Source::new(reader)?;
///     writer.write_all(b"x")?;
///     let mut byte = [0];
///     reader.read_with(|mut pipe| pipe.read(&mut byte)).await?;
///     assert_eq!(&byte, b"x");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "AsyncFd")]
#[doc(alias = "Async")]
#[doc(alias = "add_reader")]
#[doc(alias = "add_writer")]
pub struct Source<T: AsFd> {
    /// `None` only while it is being taken apart.
    io: Option<T>,
    registration: Registration,
    /// The user's line that made it: that of waits behind other people's traits.
    location: &'static Location<'static>,
}

impl<T: AsFd> Source<T> {
    /// Watches `io`, from the first time that a task has to wait for it.
    ///
    /// # Errors
    /// If the descriptor cannot be put into non-blocking mode.
    #[track_caller]
    pub fn new(io: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Ok(Self::from_nonblocking(io))
    }

    /// For a descriptor that is in non-blocking mode already, or whose operations never meet it in another.
    #[track_caller]
    pub(crate) fn from_nonblocking(io: T) -> Self {
        let location = Location::caller();
        Self { io: Some(io), registration: Registration::new(), location }
    }

    /// What is watched. Do not put it back into blocking mode.
    #[inline]
    pub fn get_ref(&self) -> &T {
        self.io.as_ref().expect("a source has its descriptor until it is taken apart")
    }

    /// Gives it back, no longer watched. It stays in non-blocking mode.
    pub fn into_inner(mut self) -> T {
        self.registration.detach(self.as_fd());
        self.io.take().expect("a source has its descriptor until it is taken apart")
    }

    /// Calls `op` once if reading may be worth it. Waits for nothing.
    ///
    /// # Errors
    /// Those of `op`, and `WouldBlock` if the descriptor is known not to be ready.
    pub fn try_read_with<R>(&self, op: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_op(Direction::Read, op)
    }

    /// Calls `op` once if writing may be worth it. Waits for nothing.
    ///
    /// # Errors
    /// Those of `op`, and `WouldBlock` if the descriptor is known not to be ready.
    pub fn try_write_with<R>(&self, op: impl FnOnce(&T) -> io::Result<R>) -> io::Result<R> {
        self.try_op(Direction::Write, op)
    }

    fn try_op<R>(
        &self,
        direction: Direction,
        op: impl FnOnce(&T) -> io::Result<R>,
    ) -> io::Result<R> {
        // Not ready means so only while this thread's loop watches: no other loop says when it ends.
        if !self.registration.is_watched_by(current::loop_id()) {
            return op(self.get_ref());
        }
        let readiness = self.registration.readiness();
        let seen = readiness.ready(direction).ok_or(io::ErrorKind::WouldBlock)?;
        let result = op(self.get_ref());
        if matches!(&result, Err(error) if error.kind() == io::ErrorKind::WouldBlock) {
            readiness.clear(direction, seen);
        }
        result
    }

    /// Tries `op` while it is worth it, and waits when it is not. `op` is told the readiness it acts
    /// on, to say more of it than `WouldBlock` does.
    #[inline(always)]
    pub(crate) fn poll_op<R>(
        &self,
        direction: Direction,
        mut caller: Caller<'_>,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
        mut op: impl FnMut(&T, Seen) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        // ANCHOR: poll_op
        loop {
            ready!(this_poll::poll_budget(cx, location));
            if let Some(seen) = self.registration.readiness().ready(direction) {
                match op(self.get_ref(), seen) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.registration.readiness().clear(direction, seen);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                        this_poll::charge();
                        continue;
                    }
                    result => {
                        this_poll::charge();
                        return Poll::Ready(result);
                    }
                }
            }
            match self.watch().wait(direction, &mut caller, cx, location) {
                Ok(true) => return Poll::Pending,
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // END: poll_op
    }

    /// [`poll_op`](Self::poll_op) for a stream's bytes: a count short of what was `asked` spares the
    /// next operation the system call that would block. Nothing is `asked` (0) where such a count tells nothing. See
    /// [`clear_after_short_count`](crate::engine::reactor::source::Readiness::clear_after_short_count).
    #[inline(always)]
    pub(crate) fn poll_transfer(
        &self,
        direction: Direction,
        caller: Caller<'_>,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
        asked: usize,
        mut op: impl FnMut(&T) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let op = |io: &T, seen: Seen| {
            let n = op(io)?;
            if 0 < n && n < asked {
                self.registration.readiness().clear_after_short_count(direction, seen);
            }
            Ok(n)
        };
        self.poll_op(direction, caller, cx, location, op)
    }

    /// Wakes all who wait for it: another has taken what they wait for the news of.
    pub(crate) fn wake_waiters(&self) {
        self.registration.take_waiters().into_iter().for_each(local::wake_waiter);
    }

    /// The line that made it.
    #[inline]
    pub(crate) fn location(&self) -> &'static Location<'static> {
        self.location
    }

    #[inline]
    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }

    /// What concerns readiness, whatever is watched.
    #[inline]
    pub(super) fn watch(&self) -> Watched<'_> {
        Watched { registration: &self.registration, fd: self.as_fd() }
    }
}

/// A source of any type, as far as its readiness is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watched<'a> {
    pub(super) registration: &'a Registration,
    pub(super) fd: BorrowedFd<'a>,
}

impl Watched<'_> {
    /// Waits for readiness. `false`: the descriptor became ready meanwhile.
    pub(super) fn wait(
        self,
        direction: Direction,
        caller: &mut Caller<'_>,
        cx: &Context<'_>,
        location: &'static Location<'static>,
    ) -> io::Result<bool> {
        let loop_id = current::loop_id();
        let waiter = || local::waiter_of(cx.waker());
        let attach = || self.register(location);
        // Written out for each, so that what differs between the directions is known beforehand.
        let (waits, what) = match direction {
            Direction::Read => {
                let read = Direction::Read;
                let waits = self.registration.wait(loop_id, read, caller, waiter, attach)?;
                (waits, WaitsFor::Readable)
            }
            Direction::Write => {
                let write = Direction::Write;
                let waits = self.registration.wait(loop_id, write, caller, waiter, attach)?;
                (waits, WaitsFor::Writable)
            }
        };
        if waits {
            this_poll::note_on(what, WaitsOn::Source(self.fd.as_raw_fd() as u64), location);
        }
        Ok(waits)
    }

    /// Has this thread's loop watch the descriptor, if it does not. `true`: from now on.
    pub(super) fn attach(self, location: &'static Location<'static>) -> io::Result<bool> {
        if self.registration.is_watched_by(current::loop_id()) {
            return Ok(false);
        }
        self.register(location)?;
        Ok(true)
    }

    /// Has this thread's loop watch the descriptor, for a wait at `location`.
    #[cold]
    fn register(self, location: &'static Location<'static>) -> io::Result<()> {
        let current = current::expect_at("waiting for a descriptor", location);
        let mut woken = Vec::new();
        let watched = current.watch(self.registration, self.fd, &mut woken);
        woken.into_iter().for_each(local::wake_waiter);
        watched
    }
}

impl<T: AsFd> AsFd for Source<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.get_ref().as_fd()
    }
}

impl<T: AsFd> Drop for Source<T> {
    fn drop(&mut self) {
        if let Some(io) = &self.io {
            self.registration.detach(io.as_fd());
        }
        // A task that waits in `poll_*` without holding the source finds it gone.
        self.registration.take_waiters().into_iter().for_each(local::wake_waiter);
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(self.get_ref()).finish()
    }
}
