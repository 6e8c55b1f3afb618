//! Connections for hyper-util's pooled client, `hyper_util::client::legacy::Client`.
//!
//! The client calls a connector, a tower service from `Uri` to stream, when its pool has no connection to that host.
//! This one looks the name up on the blocking pool and connects to its addresses as
//! [`TcpStream::connect`] does (RFC 8305).
//!
//! What must hold: an error says which host and port it is about, for the client has its own text and hides the
//! address beneath it.
//!
//! **Alternative:** hyper-util's `HttpConnector`, which does the same with tokio's sockets, and so on tokio's runtime
//! only.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::hyper::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use tower_service::Service;

use crate::{
    net::{Connect, Family, Stream, TcpStream},
    time::{Timeout, timeout},
};

/// Connects hyper-util's client to the host and port of an `http://` address, by TCP with `TCP_NODELAY`.
///
/// The client may be used by several tasks, and each request may open a connection: see [the module](super) for the
/// whole. Without another word an attempt, look-up included, ends after ten seconds.
///
/// *Cancel safety*: a request that is dropped leaves no connection behind, or leaves it to the pool.
///
/// # Errors
/// An [`io::Error`] with its kind, and the host and port in its text. `InvalidInput` for an address without a host,
/// and for one that is not `http://`, unless [`enforce_http`](Self::enforce_http) is off.
#[derive(Debug, Clone)]
#[doc(alias = "HttpConnector")]
pub struct Connector {
    limit: Duration,
    enforces_http: bool,
}

impl Connector {
    /// One that gives each attempt ten seconds.
    pub fn new() -> Self {
        Self { limit: Duration::from_secs(10), enforces_http: true }
    }

    /// How long it may take to look the name up and to connect, to all of its addresses together. `Duration::MAX`: as
    /// long as the system takes.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Whether only `http://` is accepted, which is so at first. Off, it connects to port 443 for `https://`: for a
    /// connector around this one that speaks TLS.
    pub fn enforce_http(mut self, enforce: bool) -> Self {
        self.enforces_http = enforce;
        self
    }

    /// Host and port.
    fn target(&self, uri: &Uri) -> io::Result<(String, u16)> {
        let invalid = |problem| {
            let problem = format!("cannot connect to {uri}: {problem}");
            io::Error::new(io::ErrorKind::InvalidInput, problem)
        };
        let is_https = uri.scheme_str() == Some("https");
        if self.enforces_http && uri.scheme_str() != Some("http") {
            return Err(invalid(
                "it is not http://; for https://, put a connector that speaks TLS around one with enforce_http(false)",
            ));
        }
        let host = uri.host().ok_or_else(|| invalid("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        Ok((host.to_owned(), port))
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::new()
    }
}

impl Service<Uri> for Connector {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Connecting {
        Connecting(match self.target(&uri) {
            Ok((host, port)) => {
                let connect = TcpStream::connect((host.as_str(), port));
                State::Connects { connect: Box::pin(timeout(self.limit, connect)), host, port }
            }
            Err(error) => State::Refused(Some(error)),
        })
    }
}

/// The future of a [`Connector`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Connecting(State);

#[derive(Debug)]
enum State {
    Connects { connect: Pin<Box<Timeout<Connect>>>, host: String, port: u16 },
    Refused(Option<io::Error>),
}

impl Future for Connecting {
    type Output = io::Result<TcpStream>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Refused(error) => {
                Poll::Ready(Err(error.take().expect("a future is not polled after it was ready")))
            }
            State::Connects { connect, host, port } => {
                let connected = match ready!(connect.as_mut().poll(cx)) {
                    Ok(connected) => connected,
                    Err(elapsed) => Err(elapsed.into()),
                };
                let connected = connected.and_then(|stream| {
                    stream.set_nodelay(true)?;
                    Ok(stream)
                });
                Poll::Ready(connected.map_err(|error| {
                    io::Error::new(error.kind(), format!("no connection to {host}:{port}: {error}"))
                }))
            }
        }
    }
}

/// With feature `hyper-client`.
impl<F: Family> Connection for Stream<F> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
