//! A TCP listener.

use std::{
    fmt,
    future::Future,
    io,
    net::{self, SocketAddr},
    os::fd::{AsFd, BorrowedFd},
    panic::Location,
    sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use socket2::SockRef;

use super::{
    addresses::{self, ToAddrs, resolve},
    socket::TcpSocket,
    stream::TcpStream,
};
use crate::{
    io::Source,
    time::{instant::Instant, sleep::sleep_until},
};

/// Accepts TCP connections.
///
/// `Send + Sync`; several tasks may wait in [`accept`](Self::accept) at once, on one loop or on
/// several.
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
#[doc(alias = "start_server")]
pub struct TcpListener {
    source: Source<mio::net::TcpListener>,
    /// How long the next `accept` waits because the last one met the descriptor limit, in
    /// milliseconds. 0: not at all.
    penalty: AtomicU32,
    /// Until when: an `accept` that is dropped, and made anew after a tick of the caller's, waits on.
    not_before: AtomicU64,
}

impl TcpListener {
    /// Connections that may wait to be accepted, unless [`TcpSocket::listen`] says otherwise.
    const BACKLOG: u32 = 1024;
    const FIRST_PENALTY: u32 = 10;
    const LONGEST_PENALTY: u32 = 1000;

    /// Listens at an address, or at the first address of a name that can be had. Port 0 is any free
    /// one: see [`local_addr`](Self::local_addr). The address may be reused at once after an earlier
    /// listener there is gone.
    ///
    /// # Errors
    /// What the kernel says for the last address that was tried, or the resolver.
    #[track_caller]
    #[doc(alias = "create_server")]
    pub fn bind(to: impl ToAddrs) -> impl Future<Output = io::Result<Self>> {
        let to = addresses::of(to);
        async move {
            let mut last = None;
            for address in resolve(to).await? {
                match Self::bind_to(address) {
                    Ok(listener) => return Ok(listener),
                    Err(error) => last = Some(error),
                }
            }
            Err(last.unwrap_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidInput, "no address to listen at")
            }))
        }
    }

    fn bind_to(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::for_address(address)?;
        socket.options().set_reuse_address(true)?;
        socket.bind(address)?;
        socket.listen(Self::BACKLOG)
    }

    /// Takes over a listener of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(listener: net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self::from_nonblocking(listener))
    }

    pub(super) fn from_nonblocking(listener: net::TcpListener) -> Self {
        let listener = mio::net::TcpListener::from_std(listener);
        Self {
            source: Source::from_nonblocking(listener),
            penalty: AtomicU32::new(0),
            not_before: AtomicU64::new(0),
        }
    }

    /// Waits for a connection, and accepts it.
    ///
    /// At the limit of descriptors or memory it returns the error once. Connections stay in the
    /// backlog meanwhile, and the next call waits before it tries again: 10 milliseconds, then twice
    /// that with each failure, up to a second. So a server that just goes on accepting neither spins
    /// nor hangs, and recovers when descriptors come back.
    ///
    /// *Cancel safety*: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// What the kernel says. A connection that was gone before it could be accepted is no error.
    #[track_caller]
    pub fn accept(&self) -> impl Future<Output = io::Result<(TcpStream, SocketAddr)>> + '_ {
        let place = Location::caller();
        async move {
            let penalty = self.penalty.load(Relaxed);
            if penalty > 0 {
                // No longer than that from now: the moment may be of another loop's clock.
                let most = Instant::now() + Duration::from_millis(penalty.into());
                sleep_until(most.min(Instant(self.not_before.load(Relaxed)))).await;
            }
            let accepted = self.source.read_with_from(accept, place).await;
            match &accepted {
                Ok(_) => self.penalty.store(0, Relaxed),
                Err(error) if is_exhaustion(error) => {
                    let next = (penalty * 2).clamp(Self::FIRST_PENALTY, Self::LONGEST_PENALTY);
                    let until = Instant::now() + Duration::from_millis(next.into());
                    self.not_before.store(until.0, Relaxed);
                    self.penalty.store(next, Relaxed);
                }
                Err(_) => {}
            }
            accepted
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().local_addr()
    }

    /// The options, by socket2.
    pub fn options(&self) -> SockRef<'_> {
        SockRef::from(self.source.get_ref())
    }
}

impl TcpSocket {
    /// Listens, with room for `backlog` connections that nobody accepted yet.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        self.0.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from_nonblocking(self.0.into()))
    }
}

fn accept(listener: &mio::net::TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    loop {
        match listener.accept() {
            Ok((stream, peer)) => return Ok((TcpStream::from_nonblocking(stream.into()), peer)),
            // It was gone before we came. The next may be there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Whether the system or the process has run out of something that may come back.
fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let Some(errno) = Errno::from_io_error(error) else { return false };
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno)
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.get_ref().fmt(f)
    }
}
