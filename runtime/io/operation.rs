//! What can be awaited of a [`Source`], an operation or readiness alone: as futures, and as `poll_*` functions.

use std::{
    fmt,
    future::Future,
    io,
    os::fd::{AsFd, BorrowedFd},
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::retry_on_intr,
};

use super::source::{Source, Watched};
use crate::engine::{
    base::this_poll,
    reactor::{
        flags::Direction,
        registration::Registration,
        source::{Caller, WaiterKey},
    },
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
    #[doc(alias = "add_reader")]
    pub fn readable(&self) -> Ready<'_> {
        self.ready_from(Direction::Read, Location::caller())
    }

    /// Waits until the kernel says that writing would not block. See [`readable`](Self::readable).
    ///
    /// # Errors
    /// What the kernel says to watching the descriptor.
    ///
    /// # Panics
    /// On a thread that no loop runs.
    #[track_caller]
    #[doc(alias = "add_writer")]
    pub fn writable(&self) -> Ready<'_> {
        self.ready_from(Direction::Write, Location::caller())
    }

    /// Calls `op` until it does something else than fail with `WouldBlock`, waiting for readiness to
    /// read before each further try. `op` must not block, and must return `WouldBlock` as it got it. It
    /// should make one system call: what it took before a `WouldBlock` is lost.
    ///
    /// The returned future is to be kept until it is ready: one that is made anew for each poll has nothing
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

    /// Whether reading would not block, by the kernel's word; if it would, the task of `cx` is woken when that
    /// changes. It is what glue for other people's traits is made of; elsewhere [`readable`](Self::readable)
    /// serves better.
    ///
    /// One task at a time may wait this way: see [above](Self#how-many-tasks-may-use-it).
    ///
    /// # Errors
    /// As [`readable`](Self::readable).
    ///
    /// # Panics
    /// On a thread that no loop runs.
    ///
    /// ```
    /// use std::{future::poll_fn, io::{Write, pipe}};
    /// use whirligig::io::Source;
    ///
    /// whirligig::run(async {
    ///     let (reader, mut writer) = pipe()?;
    ///     let reader = Source::new(reader)?;
    ///     writer.write_all(b"x")?;
    ///     poll_fn(|cx| reader.poll_readable(cx)).await
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "poll_read_ready")]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready_from(Direction::Read, cx, Location::caller())
    }

    /// The same with writing. See [`poll_readable`](Self::poll_readable).
    ///
    /// # Errors
    /// As [`writable`](Self::writable).
    ///
    /// # Panics
    /// On a thread that no loop runs.
    #[track_caller]
    #[doc(alias = "poll_write_ready")]
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_ready_from(Direction::Write, cx, Location::caller())
    }

    /// Calls `op` until it does something else than fail with `WouldBlock`; then the task of `cx` is woken
    /// when the descriptor is ready to read. [`read_with`](Self::read_with), for other people's traits.
    ///
    /// One task at a time may wait this way: see [above](Self#how-many-tasks-may-use-it).
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the descriptor.
    ///
    /// ```
    /// use std::{future::poll_fn, io::{Read, Write, pipe}};
    /// use whirligig::io::Source;
    ///
    /// whirligig::run(async {
    ///     let (reader, mut writer) = pipe()?;
    ///     let reader = Source::new(reader)?;
    ///     writer.write_all(b"x")?;
    ///     let mut byte = [0];
    ///     poll_fn(|cx| reader.poll_read_with(cx, |mut pipe| pipe.read(&mut byte))).await
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "poll_read_ready")]
    #[doc(alias = "async_io")]
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let location = Location::caller();
        self.poll_op(Direction::Read, Caller::PollFn, cx, location, |io, _| op(io))
    }

    /// The same with readiness to write. See [`poll_read_with`](Self::poll_read_with).
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the descriptor.
    #[track_caller]
    #[doc(alias = "poll_write_ready")]
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let location = Location::caller();
        self.poll_op(Direction::Write, Caller::PollFn, cx, location, |io, _| op(io))
    }

    /// [`readable`](Self::readable) or [`writable`](Self::writable), for a line that was noted earlier.
    pub(crate) fn ready_from(
        &self,
        direction: Direction,
        location: &'static Location<'static>,
    ) -> Ready<'_> {
        Ready { watch: self.watch(), direction, key: 0, location }
    }

    /// [`read_with`](Self::read_with), for a line that was noted earlier.
    pub(crate) fn read_with_from<R, F>(
        &self,
        op: F,
        location: &'static Location<'static>,
    ) -> Operation<'_, T, F>
    where
        F: FnMut(&T) -> io::Result<R>,
    {
        Operation::new(self, Direction::Read, op, location)
    }

    /// [`poll_readable`](Self::poll_readable) or [`poll_writable`](Self::poll_writable), for a line that was noted
    /// earlier.
    pub(crate) fn poll_ready_from(
        &self,
        direction: Direction,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<io::Result<()>> {
        poll_ready(self.watch(), direction, Caller::PollFn, cx, location)
    }

    /// Takes out a waiter that [`poll_op`](Self::poll_op) may have kept under this key: its future is dropped.
    pub(crate) fn leave(&self, direction: Direction, key: WaiterKey) {
        leave(self.registration(), direction, key);
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
        let location = Location::caller();
        Transfer { waiting: Waiting::new(self, direction, location), asked, op }
    }
}

/// A waiter of a source, under a key of its own. It leaves when it is dropped. What the futures here are made of, and
/// others that do more than one operation.
pub(crate) struct Waiting<'a, T: AsFd> {
    source: &'a Source<T>,
    direction: Direction,
    key: WaiterKey,
    location: &'static Location<'static>,
}

impl<'a, T: AsFd> Waiting<'a, T> {
    pub(crate) fn new(
        source: &'a Source<T>,
        direction: Direction,
        location: &'static Location<'static>,
    ) -> Self {
        Self { source, direction, key: 0, location }
    }

    /// Calls `op` until it does something else than fail with `WouldBlock`, and waits for readiness before each
    /// further try.
    pub(crate) fn poll_op<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&T) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        let Self { source, direction, key, location } = self;
        source.poll_op(*direction, Caller::Future(key), cx, location, |io: &T, _| op(io))
    }
}

impl<T: AsFd> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        leave(self.source.registration(), self.direction, self.key);
    }
}

/// A future that may have waited is dropped.
#[inline]
fn leave(registration: &Registration, direction: Direction, key: WaiterKey) {
    if key != 0 {
        drop(registration.readiness().leave(direction, key));
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
        location: &'static Location<'static>,
    ) -> Self {
        Self { waiting: Waiting::new(source, direction, location), op }
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
        waiting.poll_op(cx, op)
    }
}

impl<T: AsFd, F> fmt::Debug for Operation<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let location = &self.waiting.location;
        f.debug_struct("Operation").field("location", location).finish_non_exhaustive()
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
        let Waiting { source, direction, key, location } = waiting;
        source.poll_transfer(*direction, Caller::Future(key), cx, location, *asked, op)
    }
}

/// The future of [`Source::readable`] and [`Source::writable`], and of the functions of that name elsewhere.
#[must_use = "futures do nothing unless awaited"]
pub struct Ready<'a> {
    watch: Watched<'a>,
    direction: Direction,
    key: WaiterKey,
    location: &'static Location<'static>,
}

impl Future for Ready<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { watch, direction, key, location } = &mut *self;
        poll_ready(*watch, *direction, Caller::Future(key), cx, location)
    }
}

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        leave(self.watch.registration, self.direction, self.key);
    }
}

/// Asks the kernel whether an operation would not block, and waits while it would.
pub(super) fn poll_ready(
    watch: Watched<'_>,
    direction: Direction,
    mut caller: Caller<'_>,
    cx: &mut Context<'_>,
    location: &'static Location<'static>,
) -> Poll<io::Result<()>> {
    let readiness = watch.registration.readiness();
    // Watched first: that refuses what is always ready.
    match watch.attach(location) {
        // The registration's event is still to come, and the kernel can be asked at once.
        Ok(true) => readiness.refresh(),
        Ok(false) => {}
        Err(error) => return Poll::Ready(Err(error)),
    }
    loop {
        ready!(this_poll::poll_budget(cx, location));
        if let Some(seen) = readiness.ready(direction) {
            match ask_kernel(watch.fd, direction) {
                Ok(false) => readiness.clear(direction, seen),
                Ok(true) => {
                    this_poll::charge();
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        match watch.wait(direction, &mut caller, cx, location) {
            Ok(true) => return Poll::Pending,
            Ok(false) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Whether an operation would not block, by the kernel's word: what the readiness says of it is old as soon as
/// a reader skips it.
pub(super) fn ask_kernel(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<bool> {
    let flags = match direction {
        Direction::Read => PollFlags::IN | PollFlags::PRI,
        Direction::Write => PollFlags::OUT,
    };
    let mut fds = [PollFd::from_borrowed_fd(fd, flags)];
    // An error and a hang-up are reported unasked.
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(retry_on_intr(|| poll(&mut fds, Some(&at_once)))? > 0)
}

impl fmt::Debug for Ready<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").field("location", &self.location).finish_non_exhaustive()
    }
}
