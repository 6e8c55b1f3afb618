//! The futures of a [`Source`]: an operation, and readiness alone.

use std::{
    fmt,
    future::Future,
    io,
    os::fd::{AsFd, BorrowedFd},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::source::Source;
use crate::engine::reactor::{
    flags::Direction,
    source::{Place, Seen, WaiterKey},
};

impl<T: AsFd> Source<T> {
    /// Waits until the kernel says that reading would not block: there is data, the end, or an error. What
    /// asyncio's `add_reader` calls back for.
    ///
    /// It asks the kernel each time, and so may be used where others do the reading, such as a C library. It
    /// may be wrong by the time one reads, if others read too: prefer [`read_with`](Self::read_with).
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Errors
    /// What the kernel says to watching the descriptor.
    ///
    /// # Panics
    /// On a thread that no loop runs. (The other futures of a source do so only when they must wait.)
    ///
    /// ```
    /// use std::io::{Read, Write, pipe};
    /// use whirligig::io::Source;
    ///
    /// whirligig::run(async {
    ///     let (reader, mut writer) = pipe()?;
    ///     let reader = Source::new(reader)?;
    ///     writer.write_all(b"two")?;
    ///     reader.readable().await?;
    ///     // Whatever reads it, and however little: what is left counts as well.
    ///     reader.get_ref().read_exact(&mut [0])?;
    ///     reader.readable().await?;
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn readable(&self) -> Ready<'_, T> {
        Ready::new(self, Direction::Read, Location::caller())
    }

    /// Waits until the kernel says that writing would not block. See [`readable`](Self::readable).
    #[track_caller]
    pub fn writable(&self) -> Ready<'_, T> {
        Ready::new(self, Direction::Write, Location::caller())
    }

    /// Calls `op` until it does something else than fail with `WouldBlock`, waiting for readiness to
    /// read before each further try. `op` must not block, and must return `WouldBlock` as it got it. It
    /// should make one system call: what it took before a `WouldBlock` is lost.
    ///
    /// The returned future is to be kept until it is ready: one that is made anew for each poll has nobody
    /// to wake, for a dropped future waits no more.
    ///
    /// *Cancel safety*: as safe as `op`. It is not called after the returned future was dropped.
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the descriptor.
    #[track_caller]
    pub fn read_with<R, F>(&self, op: F) -> Operation<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        Operation::new(self, Direction::Read, op, Location::caller())
    }

    /// The same with readiness to write. See [`read_with`](Self::read_with).
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the descriptor.
    #[track_caller]
    pub fn write_with<R, F>(&self, op: F) -> Operation<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        Operation::new(self, Direction::Write, op, Location::caller())
    }

    /// [`writable`](Self::writable), for a place that was noted earlier.
    pub(crate) fn writable_from(&self, place: &'static Location<'static>) -> Ready<'_, T> {
        Ready::new(self, Direction::Write, place)
    }

    /// [`read_with`](Self::read_with), for a place that was noted earlier.
    pub(crate) fn read_with_from<R, F>(
        &self,
        op: F,
        place: &'static Location<'static>,
    ) -> Operation<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        Operation::new(self, Direction::Read, op, place)
    }

    /// Moves a stream's bytes, up to `asked` of them. See [`poll_transfer`](Self::poll_transfer).
    #[track_caller]
    pub(crate) fn transfer<F>(
        &self,
        direction: Direction,
        asked: usize,
        op: F,
    ) -> Transfer<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<usize>,
    {
        let place = Location::caller();
        Transfer { waiting: Waiting { source: self, direction, key: 0, place }, asked, op }
    }
}

/// A keyed place among those who wait for a source, given up when dropped.
struct Waiting<'a, T: AsFd> {
    source: &'a Source<T>,
    direction: Direction,
    key: WaiterKey,
    place: &'static Location<'static>,
}

impl<T: AsFd> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if self.key != 0 {
            drop(self.source.registration().readiness().leave(self.direction, self.key));
        }
    }
}

/// The future of [`Source::read_with`] and [`Source::write_with`].
#[must_use = "futures do nothing unless awaited"]
pub struct Operation<'a, T: AsFd, F> {
    waiting: Waiting<'a, T>,
    op: F,
}

impl<'a, T: AsFd, F> Operation<'a, T, F> {
    pub(super) fn new(
        source: &'a Source<T>,
        direction: Direction,
        op: F,
        place: &'static Location<'static>,
    ) -> Self {
        Self { waiting: Waiting { source, direction, key: 0, place }, op }
    }
}

// `op` is never pinned: it is called by reference.
impl<T: AsFd, F> Unpin for Operation<'_, T, F> {}

impl<T: AsFd, F, R> Future for Operation<'_, T, F>
where
    F: FnMut(&T) -> io::Result<R>,
{
    type Output = io::Result<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { waiting, op } = &mut *self;
        let place = Place::Keyed(&mut waiting.key);
        let op = |io: &T, _: Seen| op(io);
        waiting.source.poll_op(waiting.direction, place, cx, waiting.place, op)
    }
}

impl<T: AsFd, F> fmt::Debug for Operation<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Operation").field("place", &self.waiting.place).finish_non_exhaustive()
    }
}

/// The future of [`Source::transfer`].
#[must_use = "futures do nothing unless awaited"]
pub(crate) struct Transfer<'a, T: AsFd, F> {
    waiting: Waiting<'a, T>,
    asked: usize,
    op: F,
}

impl<T: AsFd, F> Unpin for Transfer<'_, T, F> {}

impl<T: AsFd, F> Future for Transfer<'_, T, F>
where
    F: FnMut(&T) -> io::Result<usize>,
{
    type Output = io::Result<usize>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { waiting, asked, op } = &mut *self;
        let Waiting { source, direction, key, place } = waiting;
        source.poll_transfer(*direction, Place::Keyed(key), cx, place, *asked, op)
    }
}

/// The future of [`Source::readable`] and [`Source::writable`].
#[must_use = "futures do nothing unless awaited"]
pub struct Ready<'a, T: AsFd> {
    waiting: Waiting<'a, T>,
}

impl<'a, T: AsFd> Ready<'a, T> {
    pub(super) fn new(
        source: &'a Source<T>,
        direction: Direction,
        place: &'static Location<'static>,
    ) -> Self {
        Self { waiting: Waiting { source, direction, key: 0, place } }
    }
}

impl<T: AsFd> Future for Ready<'_, T> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Waiting { source, direction, key, place } = &mut self.waiting;
        let (direction, place) = (*direction, *place);
        // Watched first: that refuses what is always ready, and a fresh descriptor is not asked twice.
        if let Err(error) = source.attach(place) {
            return Poll::Ready(Err(error));
        }
        let op = |io: &T, _: Seen| ask_kernel(io.as_fd(), direction);
        source.poll_op(direction, Place::Keyed(key), cx, place, op)
    }
}

/// Whether an operation would not block, by the kernel's word: what the readiness says of it is old as soon as
/// anybody reads who does not say so.
fn ask_kernel(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<()> {
    let flags = match direction {
        Direction::Read => PollFlags::IN | PollFlags::PRI,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    // An error and a hang-up are reported unasked.
    let ready = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    if ready == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
}

impl<T: AsFd> fmt::Debug for Ready<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("place", &self.waiting.place).finish_non_exhaustive()
    }
}
