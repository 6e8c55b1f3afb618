//! Unix streams: connecting, listening, and what only they can do.

use std::{
    future::Future,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd},
        unix::net::{self, SocketAddr},
    },
    panic::Location,
    path::Path,
    pin::Pin,
    task::{Context, Poll, ready},
};

use rustix::net::SocketAddrUnix;
use socket2::{Domain, Socket, Type};

#[cfg(any(target_os = "linux", target_os = "android"))]
use super::peer_cred::{PeerCred, peer_cred};
use super::{
    address::{Unix, from_path, raw},
    ancillary::{recv_fds, send_fds},
    retry::Retry,
};
use crate::{
    engine::base::{
        location::{WaitsFor, WaitsOn},
        this_poll,
    },
    io::Source,
    net::{error::AddressError, listener::Listener, stream::Stream},
};

/// A connection within this machine: futures-io's [`AsyncRead`](futures_io::AsyncRead) and
/// [`AsyncWrite`](futures_io::AsyncWrite), and the same by `&self`.
///
/// It may be shared between tasks, and used on another loop than before: see [`Stream`]. It carries descriptors
/// ([`send_fds`](Self::send_fds)), and says who the peer is ([`peer_cred`](Self::peer_cred)).
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use whirligig::net::{UnixListener, UnixStream};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("socket");
/// whirligig::run(async {
///     let listener = UnixListener::bind(&path)?;
///     let mut client = UnixStream::connect(&path).await?;
///     let (mut server, _) = listener.accept().await?;
///     client.write_all(b"hello").await?;
///     let mut greeting = [0; 5];
///     server.read_exact(&mut greeting).await?;
///     assert_eq!(&greeting, b"hello");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "open_unix_connection")]
pub type UnixStream = Stream<Unix>;

/// Accepts connections from this machine, at a path or an abstract name.
///
/// Several tasks may await [`accept`](Self::accept) at once: see [`Listener`]. A path stays when the listener is
/// gone: remove it, or bind to a path in a directory of the program's own.
///
/// ```
/// use whirligig::net::{UnixListener, UnixStream};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("socket");
/// whirligig::run(async {
///     let listener = UnixListener::bind(&path)?;
///     let _client = UnixStream::connect(&path).await?;
///     let (connection, _) = listener.accept().await?;
///     # #[cfg(target_os = "linux")]
///     assert_eq!(connection.peer_cred()?.pid, Some(std::process::id()));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "start_unix_server")]
pub type UnixListener = Listener<Unix>;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

impl UnixListener {
    /// Listens at a path, which must not exist. On Linux, one that begins with a zero byte is an abstract name.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](AddressError): `AddrInUse` also if a socket was left there by a
    /// program that has ended.
    #[doc(alias = "create_unix_server")]
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::bind_addr(&from_path(path.as_ref())?)
    }

    /// Listens at an address.
    ///
    /// # Errors
    /// As [`bind`](Self::bind).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<Self> {
        listen(Type::STREAM, address)
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(listener: net::UnixListener) -> io::Result<Self> {
        Ok(Self::from_source(Source::new(OwnedFd::from(listener))?))
    }

    /// Gives the listener to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::UnixListener {
        self.into_fd().into()
    }
}

/// A listener for connections of this kind.
pub(super) fn listen(kind: Type, address: &SocketAddr) -> io::Result<UnixListener> {
    let listen = || {
        let socket = new(kind)?;
        rustix::net::bind(&socket, &raw(address)?)?;
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Listener::from_nonblocking(socket))
    };
    listen().map_err(|error| AddressError::wrap("listen at", address.clone(), error))
}

/// A Unix socket in non-blocking mode.
pub(super) fn new(kind: Type) -> io::Result<OwnedFd> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl UnixStream {
    /// Connects to the listener at a path. On Linux, one that begins with a zero byte is an abstract name.
    ///
    /// While the listener's backlog is full, it is tried again and again, up to 64 milliseconds apart: the kernel
    /// does not say when there is room.
    ///
    /// The future owns what it needs of the path, so it may be spawned.
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](AddressError): `NotFound`, or `ConnectionRefused` if a socket
    /// was left there by a program that has ended.
    #[track_caller]
    #[doc(alias = "create_unix_connection")]
    pub fn connect(path: impl AsRef<Path>) -> ConnectUnix {
        ConnectUnix::new(from_path(path.as_ref()), Location::caller())
    }

    /// Connects to the listener at an address. See [`connect`](Self::connect).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// ```
    /// # #[cfg(target_os = "linux")]
    /// # {
    /// use std::os::{linux::net::SocketAddrExt, unix::net::SocketAddr};
    /// use whirligig::net::{UnixListener, UnixStream};
    ///
    /// # let name = format!("whirligig-example-{}", std::process::id());
    /// whirligig::run(async {
    ///     let address = SocketAddr::from_abstract_name(&name)?;
    ///     let listener = UnixListener::bind_addr(&address)?;
    ///     UnixStream::connect_addr(&address).await?;
    ///     listener.accept().await?;
    ///     std::io::Result::Ok(())
    /// })?;
    /// # }
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn connect_addr(address: &SocketAddr) -> ConnectUnix {
        ConnectUnix::new(Ok(address.clone()), Location::caller())
    }

    /// Two ends of a connection that has no address.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left, and the like.
    ///
    /// ```
    /// use whirligig::net::UnixStream;
    ///
    /// whirligig::run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     ours.write(b"hello").await?;
    ///     assert_eq!(theirs.read(&mut [0; 16]).await?, 5);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "socketpair")]
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = pair(Type::STREAM)?;
        let location = Location::caller();
        Ok((Self::from_nonblocking(ours, location), Self::from_nonblocking(theirs, location)))
    }

    /// Takes over a connection of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    #[track_caller]
    pub fn from_std(stream: net::UnixStream) -> io::Result<Self> {
        Ok(Self::from_source(Source::new(OwnedFd::from(stream))?, Location::caller()))
    }

    /// Gives the connection to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::UnixStream {
        self.into_fd().into()
    }

    /// Who the peer is, by the kernel's word.
    ///
    /// # Errors
    /// What the kernel says.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[doc(alias = "SO_PEERCRED")]
    pub fn peer_cred(&self) -> io::Result<PeerCred> {
        peer_cred(self)
    }

    /// Writes what fits of `bytes`, and has `fds` go along with the first of them: the peer gets descriptors of its
    /// own for the same open files. There must be a byte, and no more than 253 descriptors. Ours stay open.
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says, and `InvalidInput` if there are too many descriptors, or no byte.
    ///
    /// ```
    /// use std::{io::Read, os::fd::AsFd};
    /// use whirligig::net::UnixStream;
    ///
    /// whirligig::run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     let (reader, writer) = std::io::pipe()?;
    ///     ours.send_fds(b"a pipe", &[writer.as_fd()]).await?;
    ///     drop(writer);
    ///
    ///     let (mut buf, mut fds) = ([0; 16], Vec::new());
    ///     assert_eq!(theirs.recv_fds(&mut buf, &mut fds).await?, 6);
    ///     std::io::Write::write_all(&mut std::io::PipeWriter::from(fds.remove(0)), b"hello")?;
    ///     assert_eq!(std::io::read_to_string(reader)?, "hello");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "SCM_RIGHTS")]
    #[doc(alias = "sendmsg")]
    pub fn send_fds<'a>(
        &'a self,
        bytes: &'a [u8],
        fds: &'a [BorrowedFd<'a>],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.write_with(move |socket| {
            if bytes.is_empty() && !fds.is_empty() {
                let problem = "descriptors go along with a byte, and there is none";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
            }
            send_fds(socket, bytes, fds)
        })
    }

    /// Reads what is there, as [`read`](Self::read) does, and appends the descriptors that come along to `fds`. (A
    /// plain `read` closes them.) One call reads no further than to the bytes that go with other descriptors.
    ///
    /// *Cancel safety*: dropped before it is ready, it has read nothing.
    ///
    /// # Errors
    /// What the kernel says; and that descriptors were lost because this process may open no more: the bytes that
    /// came with them are lost then as well, and `fds` has those that were not.
    #[track_caller]
    #[doc(alias = "SCM_RIGHTS")]
    #[doc(alias = "recvmsg")]
    pub fn recv_fds<'a>(
        &'a self,
        buf: &'a mut [u8],
        fds: &'a mut Vec<OwnedFd>,
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |socket| recv_fds(socket, buf, fds))
    }
}

/// Two sockets, connected to each other.
pub(super) fn pair(kind: Type) -> io::Result<(OwnedFd, OwnedFd)> {
    let (ours, theirs) = Socket::pair(Domain::UNIX, kind, None)?;
    ours.set_nonblocking(true)?;
    theirs.set_nonblocking(true)?;
    Ok((ours.into(), theirs.into()))
}

/// The future of [`UnixStream::connect`]. It owns what it needs of the address.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ConnectUnix {
    kind: Type,
    /// Until it is told that it is none.
    address: Option<io::Result<SocketAddr>>,
    /// Made once, however often it must try.
    socket: Option<OwnedFd>,
    retry: Retry,
    location: &'static Location<'static>,
}

impl ConnectUnix {
    fn new(address: io::Result<SocketAddr>, location: &'static Location<'static>) -> Self {
        Self::of_kind(Type::STREAM, address, location)
    }

    /// A connection of another kind is taken out of the stream that it gives.
    pub(super) fn of_kind(
        kind: Type,
        address: io::Result<SocketAddr>,
        location: &'static Location<'static>,
    ) -> Self {
        let retry = Retry::new(location);
        Self { kind, address: Some(address), socket: None, retry, location }
    }
}

impl Future for ConnectUnix {
    type Output = io::Result<UnixStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { kind, address, socket, retry, location } = &mut *self;
        let address = match address.take().expect("polled after it was ready") {
            Ok(address) => address,
            Err(error) => return Poll::Ready(Err(error)),
        };
        let connected = poll_connect(*kind, &address, socket, retry, cx, location);
        match connected {
            Poll::Ready(Ok(())) => {
                let socket = socket.take().expect("it was connected");
                Poll::Ready(Ok(Stream::from_nonblocking(socket, location)))
            }
            Poll::Ready(Err(error)) => {
                *socket = None;
                Poll::Ready(Err(AddressError::wrap("connect to", address, error)))
            }
            Poll::Pending => {
                self.address = Some(Ok(address));
                Poll::Pending
            }
        }
    }
}

fn poll_connect(
    kind: Type,
    address: &SocketAddr,
    socket: &mut Option<OwnedFd>,
    retry: &mut Retry,
    cx: &mut Context<'_>,
    location: &'static Location<'static>,
) -> Poll<io::Result<()>> {
    let to: SocketAddrUnix = raw(address)?;
    loop {
        let socket = match socket {
            Some(socket) => socket,
            None => socket.insert(new(kind)?),
        };
        if retry.poll(cx).is_pending() {
            // What it waits for in truth.
            let object = WaitsOn::Source(socket.as_raw_fd() as u64);
            this_poll::note_on(WaitsFor::Writable, object, location);
            return Poll::Pending;
        }
        ready!(this_poll::poll_budget(cx, location));
        let connected = rustix::net::connect(&*socket, &to).map_err(io::Error::from);
        this_poll::charge();
        match connected {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => retry.refused(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            connected => return Poll::Ready(connected),
        }
    }
}
