//! A socket whose unit is the datagram: what `UdpSocket` and `UnixDatagram` have in common.
//!
//! `udp.rs` and `unix/datagram.rs` have what needs addresses.
//!
//! An operation tries its system call, and waits for the reactor when that would block. Other than of a stream's
//! bytes, a count says nothing of what else is there; so only `WouldBlock` means that a socket is empty, and a reader
//! that keeps up pays for one call that blocks for each wait.

use std::{
    fmt,
    future::Future,
    io,
    marker::PhantomData,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    task::{Context, Poll},
};

use rustix::net::{RecvFlags, SendFlags, addr::SocketAddrArg};

use super::family::{Family, local_address, peer_address, show};
use crate::io::{Ready, Source};

/// A socket for datagrams: a [`UdpSocket`](super::UdpSocket), or a [`UnixDatagram`](super::UnixDatagram).
///
/// `Send + Sync`: all of it works by `&self`, so it may be shared, by reference or `Arc`, between tasks that send and
/// tasks that receive, on any loops. Of the `poll_*` functions there is one waiter for each direction, and the last
/// waker wins.
///
/// Each call moves one datagram, whole: two of them are never joined, and none is parted. One that is longer
/// than the buffer is cut, and the rest is lost.
#[doc(alias = "DatagramTransport")]
pub struct DatagramSocket<F: Family> {
    pub(super) source: Source<OwnedFd>,
    family: PhantomData<F>,
}

impl<F: Family> DatagramSocket<F> {
    /// A socket in non-blocking mode.
    pub(super) fn from_nonblocking(socket: OwnedFd) -> Self {
        Self { source: Source::from_nonblocking(socket), family: PhantomData }
    }

    /// Any socket.
    pub(super) fn from_any(socket: OwnedFd) -> io::Result<Self> {
        Ok(Self { source: Source::new(socket)?, family: PhantomData })
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.source.into_inner()
    }

    /// Receives a datagram: how long it is. A connected socket receives those of its peer alone. 0 is an empty
    /// datagram, and no end.
    ///
    /// *Cancel safety*: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// What the kernel says. A connected socket is told here that nobody receives at its peer's address.
    #[track_caller]
    #[doc(alias = "datagram_received")]
    #[doc(alias = "sock_recv")]
    pub fn recv<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |socket| recv(socket, buf, RecvFlags::empty()))
    }

    /// Receives a datagram: how long it is, and who sent it.
    ///
    /// *Cancel safety*: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    #[doc(alias = "recvfrom")]
    #[doc(alias = "sock_recvfrom")]
    pub fn recv_from<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, F::Address)>> + 'a {
        self.source.read_with(move |socket| recv_from::<F>(socket, buf, RecvFlags::empty()))
    }

    /// Reads the next datagram without taking it. See [`recv`](Self::recv).
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    #[doc(alias = "MSG_PEEK")]
    pub fn peek<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |socket| recv(socket, buf, RecvFlags::PEEK))
    }

    /// Reads the next datagram, and who sent it, without taking it. See [`recv_from`](Self::recv_from).
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    #[doc(alias = "MSG_PEEK")]
    pub fn peek_from<'a>(
        &'a self,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<(usize, F::Address)>> + 'a {
        self.source.read_with(move |socket| recv_from::<F>(socket, buf, RecvFlags::PEEK))
    }

    /// Sends a datagram to the peer to which the socket is connected. Waits while the socket's buffer has no room
    /// for it. It is sent whole or not at all.
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says: the socket is not connected, the datagram is too long, and the like.
    #[track_caller]
    #[doc(alias = "sock_sendall")]
    pub fn send<'a>(&'a self, datagram: &'a [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.write_with(move |socket| send(socket, datagram))
    }

    /// Receives a datagram that is there. See [`recv`](Self::recv).
    ///
    /// # Errors
    /// `WouldBlock` if none is, and what the kernel says.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.source.try_read_with(|socket| recv(socket, buf, RecvFlags::empty()))
    }

    /// Receives a datagram that is there, and says who sent it. See [`recv_from`](Self::recv_from).
    ///
    /// # Errors
    /// `WouldBlock` if none is, and what the kernel says.
    pub fn try_recv_from(&self, buf: &mut [u8]) -> io::Result<(usize, F::Address)> {
        self.source.try_read_with(|socket| recv_from::<F>(socket, buf, RecvFlags::empty()))
    }

    /// Sends a datagram if there is room. See [`send`](Self::send).
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the kernel says.
    pub fn try_send(&self, datagram: &[u8]) -> io::Result<usize> {
        self.source.try_write_with(|socket| send(socket, datagram))
    }

    /// [`recv`](Self::recv), for other people's traits. One task at a time may wait this way, and the last waker
    /// wins.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    #[track_caller]
    pub fn poll_recv(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.source.poll_read_with(cx, |socket| recv(socket, buf, RecvFlags::empty()))
    }

    /// [`recv_from`](Self::recv_from), for other people's traits. See [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// As [`recv_from`](Self::recv_from).
    #[track_caller]
    pub fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, F::Address)>> {
        self.source.poll_read_with(cx, |socket| recv_from::<F>(socket, buf, RecvFlags::empty()))
    }

    /// [`send`](Self::send), for other people's traits. See [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[track_caller]
    pub fn poll_send(&self, cx: &mut Context<'_>, datagram: &[u8]) -> Poll<io::Result<usize>> {
        self.source.poll_write_with(cx, |socket| send(socket, datagram))
    }

    /// Waits until the kernel says that receiving would not block: there is a datagram, or an error.
    ///
    /// It may be wrong by the time one receives, if others do too.
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

    /// Waits until the kernel says that sending would not block. See [`readable`](Self::readable).
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    ///
    /// # Panics
    /// When polled on a thread that no loop runs.
    #[track_caller]
    pub fn writable(&self) -> Ready<'_> {
        self.source.writable()
    }

    /// [`readable`](Self::readable), for other people's traits. See [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    #[track_caller]
    #[doc(alias = "poll_read_ready")]
    #[doc(alias = "poll_recv_ready")]
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_readable(cx)
    }

    /// [`writable`](Self::writable), for other people's traits. See [`poll_recv`](Self::poll_recv).
    ///
    /// # Errors
    /// What the kernel says to watching the socket.
    #[track_caller]
    #[doc(alias = "poll_write_ready")]
    #[doc(alias = "poll_send_ready")]
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.source.poll_writable(cx)
    }

    /// The socket as a [`Source`], for operations of one's own: its `read_with`, `try_write_with`, and the like.
    #[doc(alias = "async_io")]
    #[doc(alias = "try_io")]
    pub fn as_source(&self) -> &Source<OwnedFd> {
        &self.source
    }

    /// Our end's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<F::Address> {
        local_address::<F>(self)
    }

    /// The address to which the socket is connected.
    ///
    /// # Errors
    /// `NotConnected`, and what the kernel says.
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<F::Address> {
        peer_address::<F>(self)
    }

    /// An error that came in between two calls, taken out: the next call does not meet it any more.
    ///
    /// # Errors
    /// What the kernel says to the question.
    #[doc(alias = "SO_ERROR")]
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(rustix::net::sockopt::socket_error(self)?.err().map(io::Error::from))
    }
}

fn recv(socket: &OwnedFd, buf: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (length, _) = rustix::net::recv(socket, buf, flags)?;
    Ok(length)
}

fn recv_from<F: Family>(
    socket: &OwnedFd,
    buf: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, F::Address)> {
    let (length, _, peer) = rustix::net::recvfrom(socket, buf, flags)?;
    Ok((length, F::address(peer)?))
}

fn send(socket: &OwnedFd, datagram: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(socket, datagram, QUIETLY)?)
}

/// Sends to an address of either family.
pub(super) fn send_to(
    socket: &OwnedFd,
    datagram: &[u8],
    to: &impl SocketAddrArg,
) -> io::Result<usize> {
    Ok(rustix::net::sendto(socket, datagram, QUIETLY, to)?)
}

/// A peer that is gone is an error, and no signal.
#[cfg(not(target_vendor = "apple"))]
pub(super) const QUIETLY: SendFlags = SendFlags::NOSIGNAL;
/// Here the socket is asked for that when it is made.
#[cfg(target_vendor = "apple")]
pub(super) const QUIETLY: SendFlags = SendFlags::empty();

impl<F: Family> AsFd for DatagramSocket<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl<F: Family> fmt::Debug for DatagramSocket<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show::<F>(self, F::DATAGRAM, f)
    }
}
