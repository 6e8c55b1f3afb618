//! Echo servers: ours on the event loop and on the multi-threaded runtime, tokio's on either of its
//! runtimes, and one written by hand on mio.
//!
//! Each accepts a known number of connections, sends back what it reads until the peer closes, and
//! returns when the last connection has ended: no server needs a way to be stopped from outside. The
//! hand-written one is the floor: one thread, a slab of connections, and no system call that a
//! runtime could save (edge-triggered, no read after a short one). On the multi-threaded runtimes the
//! calling thread accepts and the workers do the rest. Called by `benches/tcp_echo.rs` and by
//! `peers echo`, which pass a function that meters the bytes.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr},
};

use mio::{Events, Interest, Poll, Token, net};
use tokio::runtime::Runtime;
use whirligig::{EventLoop, spawn, spawn_local};

/// Bytes of one request, and of its echo.
pub(crate) const MESSAGE: usize = 1024;
// Larger than a message, so that each server sees a short read and can tell that no more is there.
const BUFFER: usize = 4 * MESSAGE;
const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

/// Called with the number of bytes each time that many have been sent back.
pub(crate) trait Meter: Fn(usize) + Copy + Send + 'static {}
impl<F: Fn(usize) + Copy + Send + 'static> Meter for F {}

/// Serves `connections` on an event loop of ours; `ready` learns the address.
pub(crate) fn whirligig(
    event_loop: &EventLoop,
    connections: usize,
    ready: impl FnOnce(SocketAddr),
    meter: impl Meter,
) -> io::Result<()> {
    use futures_lite::AsyncWriteExt as _;

    event_loop.block_on(async move {
        let listener = whirligig::net::TcpListener::bind(SocketAddr::from(ANY_PORT)).await?;
        ready(listener.local_addr()?);
        let mut tasks = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            tasks.push(spawn_local(async move {
                let mut buffer = [0; BUFFER];
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return io::Result::Ok(());
                    }
                    stream.write_all(&buffer[..length]).await?;
                    meter(length);
                }
            }));
        }
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    })
}

/// Serves `connections` on our multi-threaded runtime; `ready` learns the address.
pub(crate) fn whirligig_multi(
    runtime: &whirligig::Runtime,
    connections: usize,
    ready: impl FnOnce(SocketAddr),
    meter: impl Meter,
) -> io::Result<()> {
    use futures_lite::AsyncWriteExt as _;

    runtime.block_on(async move {
        let listener = whirligig::net::TcpListener::bind(SocketAddr::from(ANY_PORT)).await?;
        ready(listener.local_addr()?);
        let mut tasks = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            tasks.push(spawn(async move {
                let mut buffer = [0; BUFFER];
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return io::Result::Ok(());
                    }
                    stream.write_all(&buffer[..length]).await?;
                    meter(length);
                }
            }));
        }
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    })
}

/// Serves `connections` on either runtime of tokio's; `ready` learns the address.
pub(crate) fn tokio(
    runtime: &Runtime,
    connections: usize,
    ready: impl FnOnce(SocketAddr),
    meter: impl Meter,
) -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(ANY_PORT)).await?;
        ready(listener.local_addr()?);
        let mut tasks = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            tasks.push(tokio::spawn(async move {
                let mut buffer = [0; BUFFER];
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return io::Result::Ok(());
                    }
                    stream.write_all(&buffer[..length]).await?;
                    meter(length);
                }
            }));
        }
        for task in tasks {
            task.await.map_err(io::Error::other)??;
        }
        Ok(())
    })
}

const LISTENER: Token = Token(usize::MAX);

/// Serves `connections` from a plain mio loop; `ready` learns the address.
pub(crate) fn mio(
    connections: usize,
    ready: impl FnOnce(SocketAddr),
    meter: impl Meter,
) -> io::Result<()> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let mut listener = net::TcpListener::bind(SocketAddr::from(ANY_PORT))?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?);
    let mut streams: Vec<Option<Connection>> = Vec::with_capacity(connections);
    let mut ended = 0;
    while ended < connections {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while streams.len() < connections {
                    let mut stream = match listener.accept() {
                        Ok((stream, _)) => stream,
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                        Err(error) => return Err(error),
                    };
                    let token = Token(streams.len());
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, both)?;
                    streams.push(Some(Connection::new(stream)));
                }
                continue;
            }
            let slot = &mut streams[event.token().0];
            let Some(connection) = slot else { continue };
            connection.unread |= event.is_readable();
            connection.hung_up |= event.is_read_closed();
            if !connection.echo(meter)? {
                *slot = None;
                ended += 1;
            }
        }
    }
    Ok(())
}

/// One peer, and what it has not been able to take yet.
struct Connection {
    stream: net::TcpStream,
    buffer: Box<[u8; BUFFER]>,
    sent: usize,
    filled: usize,
    // An edge has come since the socket was last seen empty.
    unread: bool,
    // The peer will send no more: a short read then does not mean that the end has been seen.
    hung_up: bool,
}

impl Connection {
    fn new(stream: net::TcpStream) -> Self {
        let buffer = Box::new([0; BUFFER]);
        Self { stream, buffer, sent: 0, filled: 0, unread: false, hung_up: false }
    }

    /// Sends back all that can be read now. False when the peer has closed.
    fn echo(&mut self, meter: impl Meter) -> io::Result<bool> {
        loop {
            while self.sent < self.filled {
                match self.stream.write(&self.buffer[self.sent..self.filled]) {
                    Ok(length) => {
                        self.sent += length;
                        meter(length);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                    Err(error) => return Err(error),
                }
            }
            if !self.unread {
                return Ok(true);
            }
            match self.stream.read(&mut self.buffer[..]) {
                Ok(0) => return Ok(false),
                Ok(length) => {
                    (self.sent, self.filled) = (0, length);
                    // A short read has emptied the socket; the next bytes bring a new edge.
                    self.unread = length == BUFFER || self.hung_up;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.unread = false,
                Err(error) => return Err(error),
            }
        }
    }
}
