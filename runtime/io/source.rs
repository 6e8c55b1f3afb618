//! A descriptor and its registration.
//!
//! [`Source::poll_op`] is the one way in which an operation on a descriptor meets the reactor:
//!
//! 1. If the descriptor may be ready, try the system call. A fresh one may.
//! 2. On `WouldBlock`, note that it is not, unless an event came since.
//! 3. Make sure that the loop that polls us watches it, leave a waker, and wait.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    panic::Location,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{place::WaitsFor, this_poll},
    current,
    reactor::{
        flags::Direction,
        registration::Registration,
        source::{Place, Seen, Waited},
    },
    task::local,
};

/// A descriptor that tasks can wait on. asyncio's `add_reader` and `add_writer`.
///
/// It is put into non-blocking mode. It may be used by several tasks at once, also in the same
/// direction: each readiness wakes all of them. It may be used on another loop than before: it
/// registers there. Dropping it ends the registration, then closes the descriptor.
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
}

impl<T: AsFd> Source<T> {
    /// Watches `io`, from the first time that somebody has to wait for it.
    ///
    /// # Errors
    /// If the descriptor cannot be put into non-blocking mode.
    pub fn new(io: T) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&io, true)?;
        Ok(Self::from_nonblocking(io))
    }

    /// For a descriptor that is in non-blocking mode already.
    pub(crate) fn from_nonblocking(io: T) -> Self {
        Self { io: Some(io), registration: Registration::new() }
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
        // Not ready means so only while this thread's loop watches: nobody else says when it ends.
        if !self.registration.is_at(current::loop_id()) {
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
        mut waits_in: Place<'_>,
        cx: &mut Context<'_>,
        place: &'static Location<'static>,
        mut op: impl FnMut(&T, Seen) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        ready!(this_poll::poll_budget(cx, place));
        // ANCHOR: poll_op
        loop {
            if let Some(seen) = self.registration.readiness().ready(direction) {
                match op(self.get_ref(), seen) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        self.registration.readiness().clear(direction, seen);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    result => {
                        this_poll::charge();
                        return Poll::Ready(result);
                    }
                }
            }
            match self.wait(direction, &mut waits_in, cx, place) {
                Ok(true) => return Poll::Pending,
                Ok(false) => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // END: poll_op
    }

    /// [`poll_op`](Self::poll_op) for a stream's bytes: a count short of what was `asked` spares the
    /// next operation the system call that would block. See
    /// [`clear_after_short_count`](crate::engine::reactor::source::Readiness::clear_after_short_count).
    #[inline(always)]
    pub(crate) fn poll_transfer(
        &self,
        direction: Direction,
        waits_in: Place<'_>,
        cx: &mut Context<'_>,
        place: &'static Location<'static>,
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
        self.poll_op(direction, waits_in, cx, place, op)
    }

    /// Waits for readiness. `false`: the descriptor became ready meanwhile.
    #[inline]
    fn wait(
        &self,
        direction: Direction,
        waits_in: &mut Place<'_>,
        cx: &mut Context<'_>,
        place: &'static Location<'static>,
    ) -> io::Result<bool> {
        loop {
            match wait(&self.registration, direction, waits_in, cx, place) {
                Wait::Waits => return Ok(true),
                Wait::Ready => return Ok(false),
                Wait::Elsewhere => register(&self.registration, self.as_fd(), place)?,
            }
        }
    }

    /// Has this thread's loop watch the descriptor, if it does not, for a wait at `place`.
    #[inline]
    pub(super) fn attach(&self, place: &'static Location<'static>) -> io::Result<()> {
        if self.registration.is_at(current::loop_id()) {
            return Ok(());
        }
        register(&self.registration, self.as_fd(), place)
    }

    pub(super) fn registration(&self) -> &Registration {
        &self.registration
    }
}

/// What came of waiting.
enum Wait {
    Waits,
    Ready,
    /// This thread's loop does not watch the descriptor.
    Elsewhere,
}

/// [`Source::wait`], whatever the source is.
fn wait(
    registration: &Registration,
    direction: Direction,
    waits_in: &mut Place<'_>,
    cx: &mut Context<'_>,
    place: &'static Location<'static>,
) -> Wait {
    let here = current::loop_id();
    if !registration.is_at(here) {
        return Wait::Elsewhere;
    }
    let readiness = registration.readiness();
    let waiter = local::waiter_of(cx.waker());
    // Said apart, so that what differs between the directions is known beforehand.
    let (waited, what) = match direction {
        Direction::Read => (readiness.wait(Direction::Read, waits_in, waiter), WaitsFor::Readable),
        Direction::Write => {
            (readiness.wait(Direction::Write, waits_in, waiter), WaitsFor::Writable)
        }
    };
    match waited {
        Waited::Ready(_waiter) => return Wait::Ready,
        Waited::Kept(old) => drop(old),
    }
    // Meanwhile another loop may have taken the source over, and gone before we were there to be
    // woken. Whoever takes it over from here on finds us.
    if !registration.is_at(here) {
        return Wait::Elsewhere;
    }
    this_poll::note(what, place);
    Wait::Waits
}

/// Has this thread's loop watch the descriptor, for a wait at `place`.
#[cold]
fn register(
    registration: &Registration,
    fd: BorrowedFd<'_>,
    place: &'static Location<'static>,
) -> io::Result<()> {
    let current = current::expect_at("waiting for a descriptor", place);
    let mut woken = Vec::new();
    let watched = current.watch(registration, fd, &mut woken);
    woken.into_iter().for_each(local::wake_waiter);
    watched
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
        // Whoever waits in `poll_*` without holding us finds us gone.
        self.registration.take_waiters().into_iter().for_each(local::wake_waiter);
    }
}

impl<T: AsFd + fmt::Debug> fmt::Debug for Source<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(self.get_ref()).finish()
    }
}
