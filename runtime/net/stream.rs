//! A TCP connection.

use std::{
    fmt,
    future::Future,
    io::{self, IoSlice, IoSliceMut, Read},
    net::{self, Shutdown, SocketAddr},
    ops::Deref,
    os::fd::{AsFd, BorrowedFd},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::SockRef;

use super::{
    addresses::{self, ToAddrs, resolve},
    socket::TcpSocket,
};
use crate::{
    engine::reactor::{flags::Direction, source::Place},
    io::Source,
    time::timeout,
};

/// A TCP connection: futures-io's [`AsyncRead`] and [`AsyncWrite`], and the same by `&self`.
///
/// `Send + Sync`. It may be used on another loop than before, and by several tasks at once; of the
/// `poll_*` traits there is one reader and one writer at a time, as their `&mut` says.
///
/// Dropping it closes the connection. [`shutdown`](Self::shutdown) ends one direction.
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use whirligig::net::{TcpListener, TcpStream};
///
/// whirligig::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
///     let (mut server, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     let mut greeting = [0; 5];
///     server.read_exact(&mut greeting).await?;
///     assert_eq!(&greeting, b"hello");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "open_connection")]
pub struct TcpStream {
    source: Source<net::TcpStream>,
}

impl TcpStream {
    /// Connects to an address, or to a name and port: then each address of the name is tried in turn.
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// That of the last address that was tried, or of the resolver.
    #[track_caller]
    #[doc(alias = "create_connection")]
    pub fn connect(to: impl ToAddrs) -> impl Future<Output = io::Result<Self>> {
        let place = Location::caller();
        let to = addresses::of(to);
        async move {
            let mut last = None;
            for address in resolve(to).await? {
                // A kind of address that the system does not speak is passed over as well.
                let connected = match TcpSocket::for_address(address) {
                    Ok(socket) => socket.connect_from(address, place).await,
                    Err(error) => Err(error),
                };
                match connected {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "no address to connect to")
            }))
        }
    }

    /// Connects, resolving included, within `limit`.
    ///
    /// # Errors
    /// `TimedOut` when time is up, and as [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_timeout(
        to: impl ToAddrs,
        limit: Duration,
    ) -> impl Future<Output = io::Result<Self>> {
        let connect = Self::connect(to);
        async move { timeout(limit, connect).await? }
    }

    /// Takes over a connection of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        Ok(Self { source: Source::new(stream)? })
    }

    pub(super) fn from_source(source: Source<net::TcpStream>) -> Self {
        Self { source }
    }

    pub(super) fn from_nonblocking(stream: net::TcpStream) -> Self {
        Self { source: Source::from_nonblocking(stream) }
    }

    /// Gives the connection to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::TcpStream {
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
        self.source.transfer(Direction::Read, buf.len(), move |stream| read(stream, buf))
    }

    /// Reads what is there without taking it. 0 is the end.
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |stream| stream.peek(buf))
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
        self.source.transfer(Direction::Read, asked, move |mut stream| stream.read_vectored(bufs))
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
        self.source.get_ref().shutdown(how)
    }

    /// Our end's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().peer_addr()
    }

    /// Whether small writes go out at once.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn nodelay(&self) -> io::Result<bool> {
        self.source.get_ref().nodelay()
    }

    /// Has small writes go out at once, without waiting to be joined by others.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.source.get_ref().set_nodelay(nodelay)
    }

    /// The other options, by socket2: buffers, keepalive, linger.
    ///
    /// ```
    /// # use whirligig::net::TcpStream;
    /// # async fn linger(stream: TcpStream) -> std::io::Result<()> {
    /// stream.options().set_keepalive(true)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source.get_ref())
    }

    /// The connection as a source: readiness, and operations of one's own.
    pub fn as_source(&self) -> &Source<net::TcpStream> {
        &self.source
    }

    #[track_caller]
    #[inline]
    pub(super) fn poll_read_op(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        op: impl FnMut(&net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let place = Location::caller();
        self.source.poll_transfer(Direction::Read, Place::Traits, cx, place, asked, op)
    }

    #[track_caller]
    #[inline]
    pub(super) fn poll_write_op(
        &self,
        cx: &mut Context<'_>,
        asked: usize,
        op: impl FnMut(&net::TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let place = Location::caller();
        self.source.poll_transfer(Direction::Write, Place::Traits, cx, place, asked, op)
    }
}

impl TcpSocket {
    /// Connects.
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// What the kernel says: refused, unreachable, and the like.
    #[track_caller]
    pub fn connect(self, to: SocketAddr) -> impl Future<Output = io::Result<TcpStream>> {
        self.connect_from(to, Location::caller())
    }

    pub(super) async fn connect_from(
        self,
        to: SocketAddr,
        place: &'static Location<'static>,
    ) -> io::Result<TcpStream> {
        match self.0.connect(&to.into()) {
            Ok(()) => {}
            // On its way: the socket is writable when it has arrived, or failed to.
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
                    || error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let source = Source::from_nonblocking(net::TcpStream::from(self.0));
        source.writable_from(place).await?;
        if let Some(error) = source.get_ref().take_error()? {
            return Err(error);
        }
        Ok(TcpStream::from_source(source))
    }
}

/// The two calls that a request is made of, without std's way through the C library: some twenty
/// instructions less each.
#[inline]
pub(super) fn read(stream: &net::TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    let (length, _) = rustix::net::recv(stream, buf, RecvFlags::empty())?;
    Ok(length)
}

/// A peer that is gone is an error, and no signal.
#[cfg(not(target_vendor = "apple"))]
const QUIETLY: SendFlags = SendFlags::NOSIGNAL;
/// Here the socket is asked for that when it is made.
#[cfg(target_vendor = "apple")]
const QUIETLY: SendFlags = SendFlags::empty();

/// See [`read`].
#[inline]
pub(super) fn write(stream: &net::TcpStream, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, buf, QUIETLY)?)
}

/// See [`write`](fn@write). (std's way may raise the signal.)
pub(super) fn write_vectored(stream: &net::TcpStream, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
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

/// The traits of futures-io for whatever reaches a [`TcpStream`] by `&self`.
macro_rules! async_read {
    ($half:ty, |$self:ident| $stream:expr) => {
        impl AsyncRead for $half {
            #[track_caller]
            #[inline]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut [u8],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                $stream.poll_read_op(cx, buf.len(), |stream| $crate::net::stream::read(stream, buf))
            }

            #[track_caller]
            fn poll_read_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &mut [IoSliceMut<'_>],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                let asked = $crate::net::stream::asked(bufs);
                $stream.poll_read_op(cx, asked, |mut stream| stream.read_vectored(bufs))
            }
        }
    };
}

macro_rules! async_write {
    ($half:ty, |$self:ident| $stream:expr) => {
        impl AsyncWrite for $half {
            #[track_caller]
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                $stream
                    .poll_write_op(cx, buf.len(), |stream| $crate::net::stream::write(stream, buf))
            }

            #[track_caller]
            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let $self = self.get_mut();
                let asked = $crate::net::stream::asked(bufs);
                let write = |stream: &_| $crate::net::stream::write_vectored(stream, bufs);
                $stream.poll_write_op(cx, asked, write)
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

async_read!(TcpStream, |this| this);
async_write!(TcpStream, |this| this);

pub(super) use {async_read, async_write};

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl fmt::Debug for TcpStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.get_ref().fmt(f)
    }
}
