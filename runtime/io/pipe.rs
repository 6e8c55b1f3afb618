//! Pipes: of this process, and to a child of it.
//!
//! A pipe has a reader and a writer. Those of [`pipe`] are new ones; those of a child process are made by std when
//! the child is spawned, and come here by [`PipeReader::from_std`]. Named pipes do too: std makes one of its pipe
//! ends of any descriptor.
//!
//! A write that takes less than was asked has filled the pipe, which spares the next one the `WouldBlock`
//! (`Source::poll_transfer`). A read that gives less may not have emptied it: whoever holds an end can have it carry
//! packets (`O_DIRECT`).
//!
//! What must hold: the reader reads the end once the last writer is closed. So closing a writer (`poll_close`) closes
//! its descriptor, as dropping it does; a pipe has no half to shut down.
//!
//! **Alternative:** std's pipe ends in a `Source`, which reads and writes as well. But there closing flushes and no
//! more, and a program that writes to a child, closes and waits would wait for ever.

use std::{
    fmt, io,
    io::{IoSlice, IoSliceMut, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    pin::Pin,
    process::Stdio,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{operation::Ready, source::Source};
use crate::engine::reactor::{flags::Direction, source::Caller};

/// A new pipe, both ends for tasks. `os.pipe` with asyncio's `connect_read_pipe` and `connect_write_pipe`.
///
/// # Errors
/// What the kernel says: there are too many descriptors already, for the most part.
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
///
/// whirligig::run(async {
///     let (mut reader, mut writer) = whirligig::io::pipe()?;
///     writer.write_all(b"through it").await?;
///     drop(writer);
///     let mut text = String::new();
///     reader.read_to_string(&mut text).await?;
///     assert_eq!(text, "through it");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "connect_read_pipe")]
#[doc(alias = "connect_write_pipe")]
#[doc(alias = "unix_pipe")]
pub fn pipe() -> io::Result<(PipeReader, PipeWriter)> {
    let (reader, writer) = io::pipe()?;
    Ok((PipeReader::from_std(reader)?, PipeWriter::from_std(writer)?))
}

/// The end of a pipe that reads: futures-io's [`AsyncRead`], and the same by `&self`.
///
/// One task at a time reads by the trait; any number may await [`read`](Self::read). Dropping it closes the end:
/// who writes then meets a broken pipe.
pub struct PipeReader {
    source: Source<io::PipeReader>,
}

impl PipeReader {
    /// Takes over an end of std's, which is put into non-blocking mode. Whatever has the other end does not notice.
    ///
    /// For a named pipe, open it as a file, and make an `OwnedFd` and std's reader of that.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    #[track_caller]
    pub fn from_std(reader: io::PipeReader) -> io::Result<Self> {
        Ok(Self { source: Source::new(reader)? })
    }

    /// Gives the end to std, in blocking mode again: for threads, or as the standard input of a child.
    ///
    /// # Errors
    /// If it cannot be put into blocking mode.
    pub fn into_std(self) -> io::Result<io::PipeReader> {
        into_blocking(self.source)
    }

    /// Reads what is there, up to the buffer's length; waits while nothing is. 0 is the end: the last writer is
    /// closed.
    ///
    /// *Cancel safety*: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    pub fn read<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.transfer(Direction::Read, 0, move |mut pipe| pipe.read(buf))
    }

    /// Reads what is there, or fails with `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock`, and what the kernel says.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.try_read_with(|mut pipe| pipe.read(buf))
    }

    /// Waits until reading would not block. See [`Source::readable`].
    ///
    /// # Errors
    /// What the kernel says to watching the pipe.
    ///
    /// # Panics
    /// When polled on a thread that no loop runs.
    #[track_caller]
    pub fn readable(&self) -> Ready<'_> {
        self.source.readable()
    }

    /// Reads to the end, behind what is in `into` already. With the waits of a `poll_*` function.
    pub(crate) fn poll_read_to_end(
        &self,
        cx: &mut Context<'_>,
        into: &mut Vec<u8>,
    ) -> Poll<io::Result<()>> {
        loop {
            into.reserve(CHUNK);
            let read = |pipe: &io::PipeReader| {
                Ok(rustix::io::read(pipe, rustix::buffer::spare_capacity(into))?)
            };
            match self.poll_read_op(cx, read) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// `poll_read` into memory that need not be initialised. Of it as many bytes are, as this says.
    #[cfg(feature = "tokio-io")]
    pub(crate) fn poll_read_uninit(
        &self,
        cx: &mut Context<'_>,
        room: &mut [std::mem::MaybeUninit<u8>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_op(cx, |pipe| Ok(rustix::io::read(pipe, &mut *room)?.0.len()))
    }

    fn poll_read_op(
        &self,
        cx: &mut Context<'_>,
        op: impl FnMut(&io::PipeReader) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let location = self.source.location();
        self.source.poll_transfer(Direction::Read, Caller::PollFn, cx, location, 0, op)
    }
}

/// The least room that a read to the end asks for: what a pipe of Linux holds.
const CHUNK: usize = 64 * 1024;

/// The end of a pipe that writes: futures-io's [`AsyncWrite`], and [`write`](Self::write) by `&self`.
///
/// Closing it (`close` of the extension traits) or dropping it lets the reader read the end. A write after that fails
/// with `BrokenPipe`, as it does when the reader is gone.
pub struct PipeWriter {
    /// `None` once it was closed.
    source: Option<Source<io::PipeWriter>>,
}

impl PipeWriter {
    /// Takes over an end of std's, which is put into non-blocking mode. Whatever has the other end does not notice.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    #[track_caller]
    pub fn from_std(writer: io::PipeWriter) -> io::Result<Self> {
        Ok(Self { source: Some(Source::new(writer)?) })
    }

    /// Gives the end to std, in blocking mode again: for threads, or as the standard output of a child.
    ///
    /// # Errors
    /// If it was closed, or cannot be put into blocking mode.
    pub fn into_std(mut self) -> io::Result<io::PipeWriter> {
        into_blocking(self.source.take().ok_or_else(closed)?)
    }

    /// Writes what fits, at least a byte; waits while nothing does. What fits into `PIPE_BUF` (4,096 bytes on Linux)
    /// is written whole, and no other writer's bytes come in between.
    ///
    /// *Cancel safety*: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// `BrokenPipe` if no reader is left, or this end was closed; and what the kernel says.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        let write = match self.open() {
            Ok(source) => {
                let write = move |mut pipe: &io::PipeWriter| pipe.write(buf);
                Ok(source.transfer(Direction::Write, buf.len(), write))
            }
            Err(error) => Err(error),
        };
        async move { write?.await }
    }

    /// Writes what fits, or fails with `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock`, `BrokenPipe`, and what the kernel says.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.open()?.try_write_with(|mut pipe| pipe.write(buf))
    }

    fn open(&self) -> io::Result<&Source<io::PipeWriter>> {
        self.source.as_ref().ok_or_else(closed)
    }

    fn poll_write_op(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        op: impl FnMut(&io::PipeWriter) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let source = self.open()?;
        let location = source.location();
        source.poll_transfer(Direction::Write, Caller::PollFn, cx, location, asked, op)
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "this end of the pipe was closed")
}

fn into_blocking<T: AsFd>(source: Source<T>) -> io::Result<T> {
    let pipe = source.into_inner();
    rustix::io::ioctl_fionbio(&pipe, false)?;
    Ok(pipe)
}

/// Bytes that a call for several buffers asks for, of as many buffers as the kernel takes in one.
fn total(lengths: impl Iterator<Item = usize>) -> usize {
    const MOST_BUFFERS: usize = 1024;
    lengths.take(MOST_BUFFERS).sum()
}

impl AsyncRead for &PipeReader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_op(cx, |mut pipe| pipe.read(buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_read_op(cx, |mut pipe| pipe.read_vectored(bufs))
    }
}

impl AsyncRead for PipeReader {
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

impl AsyncWrite for PipeWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_op(cx, buf.len(), |mut pipe| pipe.write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let asked = total(bufs.iter().map(|buf| buf.len()));
        self.poll_write_op(cx, asked, |mut pipe| pipe.write_vectored(bufs))
    }

    /// The kernel has what was written; there is nothing of ours to flush.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Closes this end, at once. Closing it again does nothing.
    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        drop(self.get_mut().source.take());
        Poll::Ready(Ok(()))
    }
}

impl AsFd for PipeReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// For a child: it reads this pipe. In blocking mode again, which is what most programs expect.
impl TryFrom<PipeReader> for Stdio {
    type Error = io::Error;

    fn try_from(reader: PipeReader) -> io::Result<Self> {
        Ok(OwnedFd::from(reader.into_std()?).into())
    }
}

/// For a child: it writes this pipe. In blocking mode again, which is what most programs expect.
impl TryFrom<PipeWriter> for Stdio {
    type Error = io::Error;

    fn try_from(writer: PipeWriter) -> io::Result<Self> {
        Ok(OwnedFd::from(writer.into_std()?).into())
    }
}

impl fmt::Debug for PipeReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PipeReader").field(&self.as_fd()).finish()
    }
}

impl fmt::Debug for PipeWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => f.debug_tuple("PipeWriter").field(&source.as_fd()).finish(),
            None => f.write_str("PipeWriter(closed)"),
        }
    }
}
