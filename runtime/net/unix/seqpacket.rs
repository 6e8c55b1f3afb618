//! Connections within this machine that keep messages apart: `SOCK_SEQPACKET`.
//!
//! To connect and to accept they are Unix streams, to send and to receive Unix datagrams. So a connection here is a
//! datagram socket with fewer methods, a listener is the one of streams, and nothing is written twice. macOS has no such
//! sockets.
//!
//! **Alternative:** a fourth name for `DatagramSocket<F>`, with a family of its own. It would have `send_to` and
//! `recv_from`, which mean nothing on a connection.

use std::{
    fmt,
    future::Future,
    io,
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::SocketAddr,
    },
    panic::Location,
    path::Path,
};

use socket2::{SockRef, Type};

use super::{
    address::{Unix, from_path},
    datagram::UnixDatagram,
    peer_cred::PeerCred,
    stream::{self, ConnectUnix},
};
use crate::net::listener::Listener;

/// A connection within this machine that carries messages: each `send` is one `recv`, whole and in order.
///
/// It may be shared between tasks, by reference or `Arc`, and used on any loops.
///
/// Of Linux and Android.
///
/// ```
/// use whirligig::net::{UnixSeqpacket, UnixSeqpacketListener};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("socket");
/// whirligig::run(async {
///     let listener = UnixSeqpacketListener::bind(&path)?;
///     let client = UnixSeqpacket::connect(&path).await?;
///     let (server, _) = listener.accept().await?;
///     client.send(b"one").await?;
///     client.send(b"two").await?;
///     let mut message = [0; 16];
///     assert_eq!(server.recv(&mut message).await?, 3);
///     assert_eq!(&message[..3], b"one");
///     drop(client);
///     assert_eq!(server.recv(&mut message).await?, 3);
///     assert_eq!(server.recv(&mut message).await?, 0);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "SOCK_SEQPACKET")]
pub struct UnixSeqpacket {
    socket: UnixDatagram,
}

impl UnixSeqpacket {
    fn new(socket: OwnedFd) -> Self {
        Self { socket: UnixDatagram::from_nonblocking(socket) }
    }

    /// Connects to the listener at a path. On Linux, one that begins with a zero byte is an abstract name. A full backlog
    /// is waited for as in [`UnixStream::connect`](super::UnixStream::connect).
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](crate::net::AddressError).
    #[track_caller]
    pub fn connect(
        path: impl AsRef<Path>,
    ) -> impl Future<Output = io::Result<Self>> + Send + 'static {
        let (address, location) = (from_path(path.as_ref()), Location::caller());
        let connect = ConnectUnix::of_kind(Type::SEQPACKET, address, location);
        async move { Ok(Self::new(connect.await?.into_fd())) }
    }

    /// Connects to the listener at an address. See [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_addr(
        address: &SocketAddr,
    ) -> impl Future<Output = io::Result<Self>> + Send + use<> {
        let (address, location) = (Ok(address.clone()), Location::caller());
        let connect = ConnectUnix::of_kind(Type::SEQPACKET, address, location);
        async move { Ok(Self::new(connect.await?.into_fd())) }
    }

    /// Two ends of a connection that has no address.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left, and the like.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = stream::pair(Type::SEQPACKET)?;
        Ok((Self::new(ours), Self::new(theirs)))
    }

    /// Sends a message, whole or not at all. Waits while there is no room for it.
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says: `BrokenPipe` if the peer is gone, a message that is too long, and the like.
    #[track_caller]
    pub fn send<'a>(&'a self, message: &'a [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.socket.send(message)
    }

    /// Receives a message: how long it is. What is longer than the buffer is cut, and the rest is lost. 0 is the end: the
    /// peer is gone and all it sent was received. (Or a message without a byte, which cannot be told from it.)
    ///
    /// *Cancel safety*: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// What the kernel says.
    #[track_caller]
    pub fn recv<'a>(&'a self, buf: &'a mut [u8]) -> impl Future<Output = io::Result<usize>> + 'a {
        self.socket.recv(buf)
    }

    /// Sends a message if there is room. See [`send`](Self::send).
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the kernel says.
    pub fn try_send(&self, message: &[u8]) -> io::Result<usize> {
        self.socket.try_send(message)
    }

    /// Receives a message that is there. See [`recv`](Self::recv).
    ///
    /// # Errors
    /// `WouldBlock` if none is, and what the kernel says.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        self.socket.try_recv(buf)
    }

    /// Sends a message, and descriptors along with it. See [`UnixDatagram::send_fds`].
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    #[doc(alias = "SCM_RIGHTS")]
    pub fn send_fds<'a>(
        &'a self,
        message: &'a [u8],
        fds: &'a [BorrowedFd<'a>],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.socket.send_fds(message, fds)
    }

    /// Receives a message and the descriptors that come along. See [`UnixDatagram::recv_fds`].
    ///
    /// *Cancel safety*: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// As there.
    #[track_caller]
    #[doc(alias = "SCM_RIGHTS")]
    pub fn recv_fds<'a>(
        &'a self,
        buf: &'a mut [u8],
        fds: &'a mut Vec<OwnedFd>,
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.socket.recv_fds(buf, fds)
    }

    /// Ends one direction, or both.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self).shutdown(how)
    }

    /// Who the peer is, by the kernel's word.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_PEERCRED")]
    pub fn peer_cred(&self) -> io::Result<PeerCred> {
        self.socket.peer_cred()
    }

    /// Our end's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The peer's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getpeername")]
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl AsFd for UnixSeqpacket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl fmt::Debug for UnixSeqpacket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixSeqpacket").field(&self.socket).finish()
    }
}

/// Accepts [`UnixSeqpacket`] connections, at a path or an abstract name.
///
/// Several tasks may await [`accept`](Self::accept) at once. A path stays when the listener is gone. For an example see
/// [`UnixSeqpacket`].
pub struct UnixSeqpacketListener {
    listener: Listener<Unix>,
}

impl UnixSeqpacketListener {
    /// Listens at a path, which must not exist. On Linux, one that begins with a zero byte is an abstract name.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](crate::net::AddressError).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&from_path(path.as_ref())?)
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        stream::listen(Type::SEQPACKET, address).map(|listener| Self { listener })
    }

    /// Waits for a connection, and accepts it. What it does at the limit of descriptors, [`UnixListener`] tells.
    ///
    /// *Cancel safety*: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// What the kernel says.
    ///
    /// [`UnixListener`]: super::UnixListener
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(UnixSeqpacket, SocketAddr)>> + '_ {
        let accept = self.listener.accept();
        async move {
            let (stream, peer) = accept.await?;
            Ok((UnixSeqpacket::new(stream.into_fd()), peer))
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl AsFd for UnixSeqpacketListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl fmt::Debug for UnixSeqpacketListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UnixSeqpacketListener").field(&self.listener).finish()
    }
}
