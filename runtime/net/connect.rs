//! Connecting: its futures.
//!
//! The kernel is asked to connect, and says that it has begun; the socket is writable once the connection stands,
//! or has failed. Written out as a state machine, so that the futures have names and own what they need.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    addresses::ToAddrs, error::AddressError, socket::TcpSocket, targets::Targets, tcp::TcpStream,
};
use crate::{
    engine::reactor::flags::Direction,
    io::Source,
    time::{Timeout, timeout},
};

const ACTION: &str = "connect to";

impl TcpStream {
    /// Connects to an address, or to a name and port: then each address of the name is tried in turn.
    ///
    /// The future owns what it needs of `to`, so it may be spawned.
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// Those of [all addresses](super::AddressErrors) that were tried, each with [its address](AddressError), or the
    /// resolver's.
    ///
    /// ```
    /// use whirligig::net::{TcpListener, TcpStream};
    ///
    /// whirligig::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let host = listener.local_addr()?.to_string();
    ///     let connecting = whirligig::spawn(TcpStream::connect(&host));
    ///     connecting.await.unwrap()?;
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "create_connection")]
    pub fn connect(to: impl ToAddrs) -> Connect {
        Connect::new(Targets::new(to), None, Location::caller())
    }

    /// Connects, resolving included, within `limit` from now.
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// `TimedOut` when time is up, and as [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_timeout(to: impl ToAddrs, limit: Duration) -> ConnectTimeout {
        ConnectTimeout { connect: timeout(limit, Self::connect(to)) }
    }
}

impl TcpSocket {
    /// Connects.
    ///
    /// *Cancel safety*: dropped, it leaves no connection behind.
    ///
    /// # Errors
    /// What the kernel says: refused, unreachable, and the like; with [the address in it](AddressError).
    #[track_caller]
    pub fn connect(self, to: SocketAddr) -> Connect {
        Connect::new(Targets::known(vec![to]), Some(self), Location::caller())
    }
}

/// The future of [`TcpStream::connect`] and [`TcpSocket::connect`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Connect {
    targets: Targets,
    /// The socket for the first of them, if it was made beforehand.
    socket: Option<TcpSocket>,
    attempt: Option<Attempt>,
    location: &'static Location<'static>,
}

/// A connection that the kernel has begun.
#[derive(Debug)]
struct Attempt {
    to: SocketAddr,
    source: Source<OwnedFd>,
}

impl Connect {
    fn new(
        targets: Targets,
        socket: Option<TcpSocket>,
        location: &'static Location<'static>,
    ) -> Self {
        Self { targets, socket, attempt: None, location }
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { targets, socket, attempt, location } = &mut *self;
        loop {
            let Some(Attempt { to, source }) = attempt else {
                let to = ready!(targets.poll_next(cx))?;
                // A kind of address that the system does not speak is passed over as well.
                match begin(socket.take(), to) {
                    Ok(source) => *attempt = Some(Attempt { to, source }),
                    Err(error) => targets.failed(AddressError::new(ACTION, to, error)),
                }
                continue;
            };
            let connected = ready!(poll_connected(source, cx, location));
            let to = *to;
            let source = attempt.take().map(|attempt| attempt.source);
            match (connected, source) {
                (Ok(()), Some(source)) => {
                    return Poll::Ready(Ok(TcpStream::from_source(source, location)));
                }
                (Err(error), _) => targets.failed(AddressError::new(ACTION, to, error)),
                (Ok(()), None) => unreachable!("the attempt was there"),
            }
        }
    }
}

/// Has the kernel begin to connect.
fn begin(socket: Option<TcpSocket>, to: SocketAddr) -> io::Result<Source<OwnedFd>> {
    let TcpSocket(socket) = socket.map_or_else(|| TcpSocket::for_address(to), Ok)?;
    match socket.connect(&to.into()) {
        Ok(()) => {}
        // It goes on without us.
        Err(error)
            if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
                || error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(Source::from_nonblocking(socket.into()))
}

fn poll_connected(
    source: &Source<OwnedFd>,
    cx: &mut Context<'_>,
    location: &'static Location<'static>,
) -> Poll<io::Result<()>> {
    ready!(source.poll_ready_from(Direction::Write, cx, location))?;
    Poll::Ready(Ok(rustix::net::sockopt::socket_error(source)??))
}

pin_project! {
    /// The future of [`TcpStream::connect_timeout`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct ConnectTimeout {
        #[pin]
        connect: Timeout<Connect>,
    }
}

impl Future for ConnectTimeout {
    type Output = io::Result<TcpStream>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().connect.poll(cx))?)
    }
}
