//! TCP: what streams and listeners can do with addresses of the internet. All else is in `stream.rs` and
//! `listener.rs`; connecting is in `connect.rs`.

use std::{
    io,
    net::{self, SocketAddr},
    os::fd::OwnedFd,
    panic::Location,
};

use super::{
    addresses::ToAddrs, bind::Bind, family::Inet, listener::Listener, options::options,
    socket::TcpSocket, stream::Stream,
};
use crate::io::Source;

/// A TCP connection: futures-io's [`AsyncRead`](futures_io::AsyncRead) and [`AsyncWrite`](futures_io::AsyncWrite),
/// and the same by `&self`.
///
/// It may be shared between tasks, and used on another loop than before: see [`Stream`].
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
pub type TcpStream = Stream<Inet>;

/// Accepts TCP connections.
///
/// Several tasks may await [`accept`](Self::accept) at once: see [`Listener`].
///
/// ```
/// use whirligig::net::{TcpListener, TcpStream};
///
/// whirligig::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let _client = TcpStream::connect(listener.local_addr()?).await?;
///     let (_connection, _peer) = listener.accept().await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// One of several at the same address, of which each gets some of the connections, and other options that must be
/// set beforehand, are made of a [`TcpSocket`]:
///
/// ```
/// use whirligig::net::TcpSocket;
///
/// let mut address = "127.0.0.1:0".parse().unwrap();
/// let listeners = [(); 2].map(|()| {
///     let socket = TcpSocket::new_v4()?;
///     socket.set_reuse_port(true)?;
///     socket.bind(address)?;
///     address = socket.local_addr()?;
///     socket.listen(1024)
/// });
/// # listeners.into_iter().collect::<std::io::Result<Vec<_>>>()?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "start_server")]
pub type TcpListener = Listener<Inet>;

impl TcpStream {
    /// Takes over a connection of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    #[track_caller]
    pub fn from_std(stream: net::TcpStream) -> io::Result<Self> {
        Ok(Self::from_source(Source::new(OwnedFd::from(stream))?, Location::caller()))
    }

    /// Gives the connection to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::TcpStream {
        self.into_fd().into()
    }
}

options!(TcpStream);

/// Connections that may wait to be accepted, unless [`TcpSocket::listen`] says otherwise.
const BACKLOG: u32 = 1024;

impl TcpListener {
    /// Listens at an address, or at the first address of a name that can be had. Port 0 is any free
    /// one: see [`local_addr`](Self::local_addr). The address may be reused at once after an earlier
    /// listener there is gone.
    ///
    /// *Cancel safety*: dropped, it leaves no listener behind.
    ///
    /// # Errors
    /// What the kernel says for [all addresses](super::AddressErrors) that were tried, each with
    /// [its address](super::AddressError), or the resolver's.
    #[track_caller]
    #[doc(alias = "create_server")]
    pub fn bind(to: impl ToAddrs) -> Bind<Self> {
        Bind::new(to, "listen at", Self::bind_to)
    }

    fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::for_address(address)?;
        socket.set_reuse_address(true)?;
        socket.0.bind(&address.into())?;
        socket.listen(BACKLOG)
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(listener: net::TcpListener) -> io::Result<Self> {
        Ok(Self::from_source(Source::new(OwnedFd::from(listener))?))
    }

    /// Gives the listener to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::TcpListener {
        self.into_fd().into()
    }
}

impl TcpSocket {
    /// Listens, with room for `backlog` connections that were not accepted yet.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "backlog")]
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.0.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from_nonblocking(self.0.into()))
    }
}
