//! A socket before it is anything: options first, then connect (`connect.rs`) or listen (`tcp.rs`).

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
};

use socket2::{Domain, Protocol, Socket, Type};

use super::{error::AddressError, options::options};

/// A TCP socket that is neither connected nor listening yet, for options that must be set first.
///
/// ```
/// use whirligig::net::TcpSocket;
///
/// # whirligig::run(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.set_reuse_port(true)?;
/// socket.bind("127.0.0.1:0".parse().unwrap())?;
/// let listener = socket.listen(128)?;
/// # std::io::Result::Ok(())
/// # })?;
/// # std::io::Result::Ok(())
/// ```
pub struct TcpSocket(pub(super) Socket);

impl TcpSocket {
    /// An IPv4 socket.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left, and the like.
    pub fn new_v4() -> io::Result<Self> {
        Self::new(Domain::IPV4)
    }

    /// An IPv6 socket.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new_v6() -> io::Result<Self> {
        Self::new(Domain::IPV6)
    }

    pub(super) fn for_address(address: SocketAddr) -> io::Result<Self> {
        Self::new(Domain::for_address(address))
    }

    fn new(domain: Domain) -> io::Result<Self> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        Ok(Self(socket))
    }

    /// Binds our end.
    ///
    /// # Errors
    /// What the kernel says: the address is in use, and the like; with [the address in it](AddressError).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        let bound = self.0.bind(&address.into());
        bound.map_err(|error| AddressError::wrap("bind to", address, error))
    }

    /// Our end's address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.0.local_addr()?;
        address.as_socket().ok_or_else(|| io::ErrorKind::Unsupported.into())
    }

    /// Whether the address may be bound although an earlier connection of it lingers in the kernel.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_REUSEADDR")]
    pub fn reuse_address(&self) -> io::Result<bool> {
        self.0.reuse_address()
    }

    /// Has the address be free to bind although an earlier connection of it lingers in the kernel.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_REUSEADDR")]
    pub fn set_reuse_address(&self, reuse: bool) -> io::Result<()> {
        self.0.set_reuse_address(reuse)
    }

    /// Whether other sockets that say so too may be bound to the same address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_REUSEPORT")]
    pub fn reuse_port(&self) -> io::Result<bool> {
        self.0.reuse_port()
    }

    /// Lets other sockets that say so too be bound to the same address. The kernel then divides the connections
    /// among those that listen: so each of several loops accepts its own.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_REUSEPORT")]
    pub fn set_reuse_port(&self, reuse: bool) -> io::Result<()> {
        self.0.set_reuse_port(reuse)
    }

    /// Whether an IPv6 socket takes no part of IPv4.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IPV6_V6ONLY")]
    pub fn only_v6(&self) -> io::Result<bool> {
        self.0.only_v6()
    }

    /// Has an IPv6 socket that is bound to all addresses (`[::]`) leave those of IPv4 to others, or take them as well;
    /// what it is by default, the system decides.
    ///
    /// # Errors
    /// What the kernel says: that it is no socket of IPv6, or bound already, and the like.
    #[doc(alias = "IPV6_V6ONLY")]
    pub fn set_only_v6(&self, only: bool) -> io::Result<()> {
        self.0.set_only_v6(only)
    }
}

options!(TcpSocket);

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
