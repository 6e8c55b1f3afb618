//! Connecting: its futures.
//!
//! The kernel is asked to connect, and says that it has begun; the socket is writable once the connection stands,
//! or has failed. Written out as a state machine, so that the futures have names and own what they need.
//!
//! Of several addresses the first may be one that never answers: IPv6 where the way there is broken, or a machine
//! that is off. So this is RFC 8305, *Happy Eyeballs*: an attempt has a quarter of a second to itself, then the next
//! begins beside it; one that fails makes room for the next at once. The first that stands wins, and the others are
//! dropped. With one address there is no timer.
//!
//! **Alternative:** one after the other, as std and tokio do it. Then one dead address costs what the kernel takes to
//! give up: two minutes.

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
    engine::{base::this_poll, reactor::flags::Direction},
    io::Source,
    time::{Sleep, Timeout, sleep, timeout},
};

const ACTION: &str = "connect to";

impl TcpStream {
    /// Connects to an address, or to a name and port. Of several addresses, each gets 250 milliseconds before the
    /// next is tried beside it, or less if it fails; the first that answers is taken. Those of a name are tried in
    /// the resolver's order, but of IPv6 and IPv4 by turns (RFC 8305); those of a list in the list's.
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
#[doc(alias = "happy_eyeballs")]
#[must_use = "futures do nothing unless awaited"]
pub struct Connect {
    targets: Targets,
    /// The socket for the first of them, if it was made beforehand.
    socket: Option<TcpSocket>,
    /// Those that the kernel has begun, the earliest first.
    attempts: Vec<Attempt>,
    /// Until the next begins beside them. `None`: it may.
    head_start: Option<Sleep>,
    location: &'static Location<'static>,
}

/// A connection that the kernel has begun.
#[derive(Debug)]
struct Attempt {
    to: SocketAddr,
    source: Source<OwnedFd>,
}

/// What an attempt has to itself: RFC 8305 calls it the connection attempt delay, and recommends this.
const HEAD_START: Duration = Duration::from_millis(250);

impl Connect {
    fn new(
        targets: Targets,
        socket: Option<TcpSocket>,
        location: &'static Location<'static>,
    ) -> Self {
        Self { targets, socket, attempts: Vec::new(), head_start: None, location }
    }

    /// The first attempt that stands, if one does. One that fails is done, and the next may begin.
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<Source<OwnedFd>> {
        let mut at = 0;
        while let Some(attempt) = self.attempts.get(at) {
            match poll_connected(&attempt.source, cx, self.location) {
                Poll::Ready(Ok(())) => return Poll::Ready(self.attempts.swap_remove(at).source),
                Poll::Ready(Err(error)) => {
                    let Attempt { to, .. } = self.attempts.remove(at);
                    self.targets.failed(AddressError::new(ACTION, to, error));
                    self.head_start = None;
                }
                Poll::Pending => at += 1,
            }
        }
        Poll::Pending
    }

    /// Ready when the next attempt may begin.
    fn poll_head_start(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.head_start {
            // What the task waits for is the connection.
            let noted = this_poll::take_note();
            let is_over = Pin::new(sleep).poll(cx);
            if let Some(noted) = noted {
                this_poll::note_again(noted);
            }
            ready!(is_over);
            self.head_start = None;
        }
        Poll::Ready(())
    }

    /// Begins the next attempt. One that fails at once, such as of a family that the system does not speak, is passed
    /// over.
    fn begin(&mut self, to: SocketAddr) {
        match begin(self.socket.take(), to) {
            Ok(source) => {
                self.attempts.push(Attempt { to, source });
                self.head_start = self.targets.has_next().then(|| {
                    let mut sleep = sleep(HEAD_START);
                    sleep.set_location(self.location);
                    sleep
                });
            }
            Err(error) => self.targets.failed(AddressError::new(ACTION, to, error)),
        }
    }
}

impl Future for Connect {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let connect = &mut *self;
        ready!(connect.targets.poll_found(cx))?;
        loop {
            if let Poll::Ready(source) = connect.poll_attempts(cx) {
                // The others are not kept until the future is dropped.
                connect.attempts.clear();
                connect.head_start = None;
                return Poll::Ready(Ok(TcpStream::from_source(source, connect.location)));
            }
            ready!(connect.poll_head_start(cx));
            match connect.targets.next() {
                Some(to) => connect.begin(to),
                None if connect.attempts.is_empty() => {
                    return Poll::Ready(Err(connect.targets.error()));
                }
                None => return Poll::Pending,
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
