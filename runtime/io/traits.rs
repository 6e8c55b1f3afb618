//! The traits of futures-io, for any [`Source`] whose reference reads and writes.
//!
//! What has a descriptor and `impl Read for &T` (std's sockets, pipes and files all do, and so do many types of
//! other crates) is an asynchronous stream as soon as it is in a source. `read_exact`, `write_all`, buffers, lines,
//! `copy` and the like are not here: they come from the crates that build on these traits.
//!
//! The traits take `&mut self`, and are there for `&Source` too, as std has `impl Read for &File`: so two tasks can
//! share a source, one that reads and one that writes.
//!
//! What must hold: no count is taken to mean more than it says. A terminal gives one line for a read of a page, with
//! the next one behind it; so a short count does not spare the next system call here, as it does for the streams
//! that are known (`Source::poll_transfer`).
//!
//! **Alternative:** a wrapper of its own for each direction. It would name what the bounds say already.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::source::Source;
use crate::engine::reactor::{flags::Direction, source::Caller};

/// For any `T` that can be read by reference. Of these two functions and the `poll_*` ones there is
/// [one waiter for each direction](Source#how-many-tasks-may-use-it), and the last waker wins.
///
/// [`dump`](crate::dump()) names the line that made the source.
///
/// ```
/// use futures_lite::{AsyncBufReadExt, StreamExt, io::BufReader};
/// use std::os::unix::net::UnixStream;
/// use whirligig::io::Source;
///
/// whirligig::run(async {
///     let (ours, mut theirs) = UnixStream::pair()?;
///     std::io::Write::write_all(&mut theirs, b"one\ntwo\n")?;
///     drop(theirs);
///     let mut lines = BufReader::new(Source::new(ours)?).lines();
///     assert_eq!(lines.next().await.unwrap()?, "one");
///     assert_eq!(lines.next().await.unwrap()?, "two");
///     assert!(lines.next().await.is_none());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
impl<T: AsFd> AsyncRead for &Source<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = |mut io: &T, _| io.read(buf);
        self.poll_op(Direction::Read, Caller::PollFn, cx, self.location(), read)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let read = |mut io: &T, _| io.read_vectored(bufs);
        self.poll_op(Direction::Read, Caller::PollFn, cx, self.location(), read)
    }
}

/// For any `T` that can be written by reference.
///
/// Closing flushes, and no more: what ends one direction of a `T` is not known here. Dropping the source closes it.
impl<T: AsFd> AsyncWrite for &Source<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let write = |mut io: &T, _| io.write(buf);
        self.poll_op(Direction::Write, Caller::PollFn, cx, self.location(), write)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = |mut io: &T, _| io.write_vectored(bufs);
        self.poll_op(Direction::Write, Caller::PollFn, cx, self.location(), write)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = |mut io: &T, _| io.flush();
        self.poll_op(Direction::Write, Caller::PollFn, cx, self.location(), flush)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

/// As for `&Source`.
impl<T: AsFd> AsyncRead for Source<T>
where
    for<'a> &'a T: Read,
{
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read(cx, buf)
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_read_vectored(cx, bufs)
    }
}

/// As for `&Source`.
impl<T: AsFd> AsyncWrite for Source<T>
where
    for<'a> &'a T: Write,
{
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut &*self).poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut &*self).poll_close(cx)
    }
}
