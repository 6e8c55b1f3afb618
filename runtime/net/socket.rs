//! A socket before it is anything: options first, then connect
//! (`stream.rs`) or listen (`listener.rs`).

use std::{fmt, io, net::SocketAddr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

/// A TCP socket that is neither connected nor listening yet, for options that must be set first.
///
/// ```
/// use whirligig::net::TcpSocket;
///
/// # whirligig::run(async {
/// let socket = TcpSocket::new_v4()?;
/// socket.options().set_reuse_port(true)?;
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

    /// All options, by socket2: reuse of address and port, buffers, keepalive, linger.
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(&self.0)
    }

    /// Binds our end.
    ///
    /// # Errors
    /// What the kernel says: the address is in use, and the like.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.0.bind(&address.into())
    }
}

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
