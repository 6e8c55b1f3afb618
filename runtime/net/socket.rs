//! A socket before it is anything: options first, then connect or listen.

use std::{
    fmt,
    future::Future,
    io,
    net::{self, SocketAddr},
    panic::Location,
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{TcpListener, TcpStream};
use crate::io::Source;

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
pub struct TcpSocket(Socket);

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

    /// Listens, with room for `backlog` connections that nobody accepted yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.0.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from_nonblocking(self.0.into()))
    }

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

impl fmt::Debug for TcpSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
