//! Unix datagram sockets: what only they can do. All else is in the file of the same name one folder up.

use std::{
    future::Future,
    io,
    net::Shutdown,
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::net::{self, SocketAddr},
    },
    panic::Location,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::{SockRef, Type};

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::peer_cred::{PeerCred, peer_cred};
use super::{
    address::{Unix, from_path, raw},
    ancillary::{recv_fds, send_fds},
    retry::Retry,
    stream,
};
use crate::{
    engine::reactor::flags::Direction,
    io::Waiting,
    net::{
        datagram::{DatagramSocket, send_to},
        error::AddressError,
    },
};

/// Datagrams within this machine. None is lost, none overtakes another, and who sends waits while the receiver's
/// queue is full.
///
/// It may be shared between tasks: see [`DatagramSocket`].
///
/// ```
/// use whirligig::net::UnixDatagram;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("socket");
/// whirligig::run(async {
///     let server = UnixDatagram::bind(&path)?;
///     let client = UnixDatagram::unbound()?;
///     client.send_to(b"hello", &path).await?;
///     let (length, peer) = server.recv_from(&mut [0; 16]).await?;
///     assert!(length == 5 && peer.is_unnamed());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub type UnixDatagram = DatagramSocket<Unix>;

impl UnixDatagram {
    /// A socket at a path, which must not exist. On Linux, one that begins with a zero byte is an abstract name.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](AddressError).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&from_path(path.as_ref())?)
    }

    /// A socket at an address.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        let bind = || {
            let socket = stream::new(Type::DGRAM)?;
            rustix::net::bind(&socket, &raw(address)?)?;
            Ok(Self::from_nonblocking(socket))
        };
        bind().map_err(|error| AddressError::wrap("bind to", address.clone(), error))
    }

    /// A socket without an address: it sends, and nobody can answer, unless it is connected.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left, and the like.
    pub fn unbound() -> io::Result<Self> {
        Ok(Self::from_nonblocking(stream::new(Type::DGRAM)?))
    }

    /// Two sockets, connected to each other.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left, and the like.
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = stream::pair(Type::DGRAM)?;
        Ok((Self::from_nonblocking(ours), Self::from_nonblocking(theirs)))
    }

    /// Takes over a socket of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(socket: net::UnixDatagram) -> io::Result<Self> {
        Self::from_any(socket.into())
    }

    /// Gives the socket to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::UnixDatagram {
        self.into_fd().into()
    }

    /// Connects to the socket at a path: [`send`](Self::send) sends there. It may be called again.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](AddressError): that nobody is there, and the like.
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        self.connect_addr(&from_path(path.as_ref())?)
    }

    /// Connects to the socket at an address. See [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        let connect = || Ok(rustix::net::connect(self, &raw(address)?)?);
        connect().map_err(|error| AddressError::wrap("connect to", address.clone(), error))
    }

    /// Sends a datagram to the socket at a path. Waits while that one's queue is full.
    ///
    /// Where others have filled the queue, it is tried again and again, up to 64 milliseconds apart: the kernel does
    /// not say when there is room. To a socket that [`connect`](Self::connect) was called for, [`send`](Self::send)
    /// needs no such thing.
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](AddressError).
    #[track_caller]
    #[doc(alias = "sendto")]
    pub fn send_to<'a>(
        &'a self,
        datagram: &'a [u8],
        path: impl AsRef<Path>,
    ) -> impl Future<Output = io::Result<usize>> {
        let (address, location) = (from_path(path.as_ref()), Location::caller());
        async move { SendTo::new(self, datagram, address?, location).await }
    }

    /// Sends a datagram to the socket at an address, such as that of a sender. See [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    #[track_caller]
    pub fn send_to_addr<'a>(
        &'a self,
        datagram: &'a [u8],
        address: &SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + use<'a> {
        let (address, location) = (address.clone(), Location::caller());
        async move { SendTo::new(self, datagram, address, location).await }
    }

    /// Sends a datagram to the socket at a path if there is room. See [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the kernel says.
    pub fn try_send_to(&self, datagram: &[u8], path: impl AsRef<Path>) -> io::Result<usize> {
        self.try_send_to_addr(datagram, &from_path(path.as_ref())?)
    }

    /// Sends a datagram to the socket at an address if there is room. See [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the kernel says.
    pub fn try_send_to_addr(&self, datagram: &[u8], address: &SocketAddr) -> io::Result<usize> {
        // Whatever is known of our own socket: it is the other's queue that must have room.
        send_once(self.source.get_ref(), datagram, address)
    }

    /// Ends one direction, or both: the peer's next `send` fails, or our next `recv` gives 0.
    ///
    /// # Errors
    /// What the kernel says: the socket is not connected, and the like.
    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        SockRef::from(self).shutdown(how)
    }

    /// Who made the pair that this socket is of, by the kernel's word.
    ///
    /// # Errors
    /// What the kernel says.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[doc(alias = "SO_PEERCRED")]
    pub fn peer_cred(&self) -> io::Result<PeerCred> {
        peer_cred(self)
    }

    /// Sends a datagram to the peer to which the socket is connected, and has `fds` go along with it: the peer gets
    /// descriptors of its own for the same open files. No more than 253 of them. Ours stay open.
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says, and `InvalidInput` if there are too many descriptors.
    #[track_caller]
    #[doc(alias = "SCM_RIGHTS")]
    pub fn send_fds<'a>(
        &'a self,
        datagram: &'a [u8],
        fds: &'a [BorrowedFd<'a>],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.write_with(move |socket| send_fds(socket, datagram, fds))
    }

    /// Receives a datagram, as [`recv`](Self::recv) does, and appends the descriptors that come along to `fds`. (A
    /// plain `recv` closes them.)
    ///
    /// *Cancel safety*: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// What the kernel says; and that descriptors were lost because this process may open no more: the datagram is
    /// lost then as well, and `fds` has those that were not.
    #[track_caller]
    #[doc(alias = "SCM_RIGHTS")]
    pub fn recv_fds<'a>(
        &'a self,
        buf: &'a mut [u8],
        fds: &'a mut Vec<OwnedFd>,
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |socket| recv_fds(socket, buf, fds))
    }
}

fn send_once(socket: &OwnedFd, datagram: &[u8], address: &SocketAddr) -> io::Result<usize> {
    let sent = raw(address).and_then(|to| send_to(socket, datagram, &to));
    sent.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => error,
        _ => AddressError::wrap("send to", address.clone(), error),
    })
}

/// A send that waits for our own socket's readiness, which comes when the peer takes what we sent; and, for nothing
/// tells when it takes what others sent, for its next try.
struct SendTo<'a> {
    waiting: Waiting<'a, OwnedFd>,
    retry: Retry,
    socket: &'a OwnedFd,
    datagram: &'a [u8],
    address: SocketAddr,
}

impl<'a> SendTo<'a> {
    fn new(
        socket: &'a UnixDatagram,
        datagram: &'a [u8],
        address: SocketAddr,
        location: &'static Location<'static>,
    ) -> Self {
        let (source, retry) = (&socket.source, Retry::new(location));
        let waiting = Waiting::new(source, Direction::Write, location);
        Self { waiting, retry, socket: source.get_ref(), datagram, address }
    }
}

impl Future for SendTo<'_> {
    type Output = io::Result<usize>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Self { waiting, retry, socket, datagram, address } = &mut *self;
        loop {
            if retry.is_waiting() && retry.poll(cx).is_ready() {
                match send_once(socket, datagram, address) {
                    Err(error)
                        if error.kind() == io::ErrorKind::WouldBlock
                            || error.kind() == io::ErrorKind::Interrupted => {}
                    sent => return Poll::Ready(sent),
                }
            }
            let send = |socket: &OwnedFd| send_once(socket, datagram, address);
            if let Poll::Ready(sent) = waiting.poll_op(cx, send) {
                return Poll::Ready(sent);
            }
            if retry.is_waiting() {
                return Poll::Pending;
            }
            retry.refused();
        }
    }
}
