//! A connection: what `TcpStream` and `UnixStream` have in common.
//!
//! What is a call of ours (`read`, `write`) notes the line that calls it, for the dump. The traits of futures-io are
//! called by adapters, such as futures-lite's `read_exact`, and their caller is a line of that crate, which tells a
//! user nothing. So what waits behind them notes where the connection was made or taken over, or where it was
//! split: the nearest line of the user's that we have seen.
//!
//! **Alternative:** the traits' caller all the same, where it is a line of the user's. Nothing tells the two apart
//! but the path of the file.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice, IoSliceMut},
    marker::PhantomData,
    net::Shutdown,
    ops::Deref,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};
use rustix::net::{RecvFlags, SendAncillaryBuffer};

use super::{
    datagram::QUIETLY,
    family::{Family, local_address, peer_address, show},
};
use crate::{
    engine::reactor::{flags::Direction, source::Caller},
    io::{Ready, Source},
};

/// A connection: a [`TcpStream`](super::TcpStream), or a [`UnixStream`](super::UnixStream). Futures-io's
/// [`AsyncRead`] and [`AsyncWrite`], and the same by `&self`.
///
/// `Send + Sync`. It may be used on another loop than before, and by several tasks at once. Of the traits and
/// the `poll_*` functions there is one waiter for each direction, and the last waker wins: one reader and one writer
/// at a time, as the traits' `&mut` says.
///
/// [`dump`](crate::dump()) names the line that called [`read`](Self::read) or [`write`](Self::write). For a task that
/// waits behind the traits, it is the line that connected, accepted or split.
///
/// Dropping it closes the connection. [`shutdown`](Self::shutdown) ends one direction.
pub struct Stream<F: Family> {
    pub(super) source: Source<OwnedFd>,
    /// The user's line where it comes from: that of waits behind the traits.
    pub(super) location: &'static Location<'static>,
    family: PhantomData<F>,
}

impl<F: Family> Stream<F> {
    pub(super) fn from_source(
        source: Source<OwnedFd>,
        location: &'static Location<'static>,
    ) -> Self {
        Self { source, location, family: PhantomData }
    }

    pub(super) fn from_nonblocking(stream: OwnedFd, location: &'static Location<'static>) -> Self {
        Self::from_source(Source::from_nonblocking(stream), location)
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.source.into_inner()
    }

    /// Reads what is there, up to the buffer's length; waits while nothing is. 0 is the end.
    ///
    /// *Cancel safety*: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// What the kernel says: the connection was reset, and the like.
    #[track_caller]
    pub fn read<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source
            .transfer(Direction::Read, telling::<F>(buf.len()), move |stream| read(stream, buf))
    }

    /// Reads what is there without taking it. 0 is the end.
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |stream| recv(stream, buf, RecvFlags::PEEK))
    }

    /// Writes what fits, at least a byte; waits while nothing does.
    ///
    /// *Cancel safety*: dropped before it is ready, it has written nothing.
    ///
    /// # Errors
    /// What the kernel says: the peer is gone, and the like.
    #[track_caller]
    pub fn write<'a>(&'a self, buf: &'a [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.transfer(Direction::Write, buf.len(), move |stream| write(stream, buf))
    }

    /// Reads into several buffers at once. See [`read`](Self::read).
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    pub fn read_vectored<'a>(
        &'a self,
        bufs: &'a mut [IoSliceMut<'_>],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        let asked = asked(bufs);
        self.source.transfer(Direction::Read, telling::<F>(asked), move |stream| {
            read_vectored(stream, bufs)
        })
    }

    /// Writes from several buffers at once. See [`write`](Self::write).
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    pub fn write_vectored<'a>(
        &'a self,
        bufs: &'a [IoSlice<'_>],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        let asked = asked(bufs);
        self.source.transfer(Direction::Write, asked, move |stream| write_vectored(stream, bufs))
    }

    /// Reads what is there, or fails with `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock`, and what the kernel says.
    pub fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.try_read_with(|stream| read(stream, buf))
    }

    /// Writes what fits, or fails with `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock`, and what the kernel says.
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        self.source.try_write_with(|stream| write(stream, buf))
    }

    /// Ends one direction, or both. The peer reads the end once it has read all that was written.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(self, how)?)
    }

    /// Our end's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<F::Address> {
        local_address::<F>(self)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<F::Address> {
        peer_address::<F>(self)
    }

    /// Waits until the kernel says that reading would not block: there is data, the end, or an error.
    ///
    /// It may be wrong by the time one reads, if others read too.
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    ///
    /// # Panics
    /// When polled on a thread that no loop runs.
    #[track_caller]
    pub fn readable(&self) -> Ready<'_> {
        self.source.readable()
    }

    /// Waits until the kernel says that writing would not block. See [`readable`](Self::readable).
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    #[track_caller]
    pub fn writable(&self) -> Ready<'_> {
        self.source.writable()
    }

    /// [`readable`](Self::readable), for other people's traits. One task at a time may wait this way, and the last
    /// waker wins.
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    #[track_caller]
    #[doc(alias = "poll_read_ready")]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_readable(cx)
    }

    /// [`writable`](Self::writable), for other people's traits. See [`poll_readable`](Self::poll_readable).
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    #[track_caller]
    #[doc(alias = "poll_write_ready")]
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_writable(cx)
    }

    /// An operation of one's own, which reads: `op` is called with the socket until it does something else than fail
    /// with `WouldBlock`. See [`Source::read_with`].
    ///
    /// *Cancel safety*: as safe as `op`. It is not called after the returned future was dropped.
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the socket.
    #[track_caller]
    #[doc(alias = "async_io")]
    pub fn read_with<R>(
        &self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.source.read_with(move |stream| op(stream.as_fd()))
    }

    /// An operation of one's own, which writes. See [`read_with`](Self::read_with).
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the socket.
    #[track_caller]
    pub fn write_with<R>(
        &self,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> impl Future<Output = io::Result<R>> {
        self.source.write_with(move |stream| op(stream.as_fd()))
    }

    /// [`read_with`](Self::read_with), for other people's traits. One task at a time may wait this way, and the last
    /// waker wins.
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the socket.
    #[track_caller]
    pub fn poll_read_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.source.poll_read_with(cx, |stream| op(stream.as_fd()))
    }

    /// [`write_with`](Self::write_with), for other people's traits. See [`poll_read_with`](Self::poll_read_with).
    ///
    /// # Errors
    /// Those of `op`, and what the kernel says to watching the socket.
    #[track_caller]
    pub fn poll_write_with<R>(
        &self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(BorrowedFd<'_>) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        self.source.poll_write_with(cx, |stream| op(stream.as_fd()))
    }

    #[inline]
    pub(super) fn poll_read_op(
        &self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
        asked: usize,
        op: impl FnMut(&OwnedFd) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let asked = telling::<F>(asked);
        self.source.poll_transfer(Direction::Read, Caller::PollFn, cx, location, asked, op)
    }

    #[inline]
    pub(super) fn poll_write_op(
        &self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
        asked: usize,
        op: impl FnMut(&OwnedFd) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        self.source.poll_transfer(Direction::Write, Caller::PollFn, cx, location, asked, op)
    }
}

/// What a read is said to ask for: nothing, where a count short of it tells nothing.
const fn telling<F: Family>(asked: usize) -> usize {
    if F::SHORT_READ_EMPTIES { asked } else { 0 }
}

/// The two calls that a request is made of, without std's way through the C library: some twenty
/// instructions less each.
#[inline]
pub(super) fn read(stream: &OwnedFd, buf: &mut [u8]) -> io::Result<usize> {
    recv(stream, buf, RecvFlags::empty())
}

/// See [`read`].
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
#[inline]
pub(super) fn read_uninit(
    stream: &OwnedFd,
    room: &mut [std::mem::MaybeUninit<u8>],
) -> io::Result<usize> {
    let ((read, _), _) = rustix::net::recv(stream, room, RecvFlags::empty())?;
    Ok(read.len())
}

#[inline]
fn recv(stream: &OwnedFd, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (length, _) = rustix::net::recv(stream, buf, flags)?;
    Ok(length)
}

/// See [`read`].
#[inline]
pub(super) fn write(stream: &OwnedFd, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, buf, QUIETLY)?)
}

pub(super) fn read_vectored(stream: &OwnedFd, bufs: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
    let most = bufs.len().min(MOST_BUFFERS);
    Ok(rustix::io::readv(stream, &mut bufs[..most])?)
}

/// See [`write`](fn@write). (std's way may raise the signal.)
pub(super) fn write_vectored(stream: &OwnedFd, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
    let bufs = &bufs[..bufs.len().min(MOST_BUFFERS)];
    let mut no_control = SendAncillaryBuffer::default();
    Ok(rustix::net::sendmsg(stream, bufs, &mut no_control, QUIETLY)?)
}

/// Buffers in one call. The kernel takes no more than 1,024 (`IOV_MAX`, on all systems that mio serves).
const MOST_BUFFERS: usize = 1024;

/// Bytes that one call asks for, in or out. Those of buffers beyond the most are not asked for, so a count up to
/// there is not short.
pub(super) fn asked(bufs: &[impl Deref<Target = [u8]>]) -> usize {
    bufs.iter().take(MOST_BUFFERS).map(|buf| buf.len()).sum()
}

/// The traits of futures-io for what reaches a [`Stream`] by `&self` and has the line of its waits.
macro_rules! async_read {
    ($half:ty, |$self:ident| $stream:expr) => {
        impl<F: Family> AsyncRead for $half {
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                let asked = buf.len();
                let read = |stream: &_| $crate::net::stream::read(stream, buf);
                $stream.poll_read_op(cx, $self.location, asked, read)
            }

            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                let asked = $crate::net::stream::asked(bufs);
                let read = |stream: &_| $crate::net::stream::read_vectored(stream, bufs);
                $stream.poll_read_op(cx, $self.location, asked, read)
            }
        }

        #[cfg(any(feature = "tokio-io", feature = "hyper"))]
        impl<F: Family> $half {
            /// `poll_read` into memory that need not be initialised. Of it as many bytes are, as this says.
            // hyper reads whole streams alone.
            #[cfg_attr(not(feature = "tokio-io"), allow(dead_code))]
            #[inline]
            pub(crate) fn poll_read_uninit(
                &mut self,
                cx: &mut Context<'_>,
                room: &mut [std::mem::MaybeUninit<u8>],
            ) -> Poll<io::Result<usize>> {
                let $self = self;
                let asked = room.len();
                let read = |stream: &_| $crate::net::stream::read_uninit(stream, room);
                $stream.poll_read_op(cx, $self.location, asked, read)
            }
        }
    };
}

macro_rules! async_write {
    ($half:ty, |$self:ident| $stream:expr) => {
        impl<F: Family> AsyncWrite for $half {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                let write = |stream: &_| $crate::net::stream::write(stream, buf);
                $stream.poll_write_op(cx, $self.location, buf.len(), write)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                let asked = $crate::net::stream::asked(bufs);
                let write = |stream: &_| $crate::net::stream::write_vectored(stream, bufs);
                $stream.poll_write_op(cx, $self.location, asked, write)
            }

            /// The kernel has what was written; there is nothing of ours to flush.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            /// Ends the direction of writing.
            fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                let $self = self.get_mut();
                match $stream.shutdown(Shutdown::Write) {
                    // The peer was faster: the direction is closed, as asked.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                        Poll::Ready(Ok(()))
                    }
                    result => Poll::Ready(result),
                }
            }
        }
    };
}

async_read!(Stream<F>, |this| this);
async_write!(Stream<F>, |this| this);

pub(super) use {async_read, async_write};

impl<F: Family> AsFd for Stream<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl<F: Family> fmt::Debug for Stream<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show::<F>(self, F::STREAM, f)
    }
}
