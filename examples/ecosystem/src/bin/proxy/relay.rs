//! One connection: the target that it gets, the copying, and the limit on silence.
//!
//! Targets take turns by a counter. Which of them could not be reached lately is remembered, so that a dead one costs
//! its connect time-out to one client in a while and not to each of its turn.
//!
//! What must hold: a client is given up only when each target was tried. Whatever moves a byte, either way, puts the
//! limit on silence off.
//!
//! **Alternative:** health checks, which ask each target every few seconds. They know of a dead target before a client
//! does, and need to know what to ask it: a TCP proxy does not.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_lite::{AsyncRead, AsyncWrite, FutureExt};
use whirligig::{
    io::copy_bidirectional,
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

/// What all connections have in common.
pub(crate) struct Relay {
    targets: Vec<Target>,
    turn: AtomicUsize,
    connect_timeout: Duration,
    idle_timeout: Duration,
    avoid: Duration,
    begun: Instant,
}

struct Target {
    address: String,
    /// Until then it is tried last, in nanoseconds since `begun`.
    avoided_until: AtomicU64,
}

/// Why a connection ended before both sides had said all.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reason for each target.
    Unreachable(Vec<(String, io::Error)>),
    Idle(Duration),
    Broken(io::Error),
}

impl Relay {
    pub(crate) fn new(
        targets: Vec<String>,
        connect_timeout: Duration,
        idle_timeout: Duration,
        avoid: Duration,
    ) -> Self {
        let target = |address| Target { address, avoided_until: AtomicU64::new(0) };
        let targets = targets.into_iter().map(target).collect();
        let (turn, begun) = (AtomicUsize::new(0), Instant::now());
        Self { targets, turn, connect_timeout, idle_timeout, avoid, begun }
    }

    /// Relays until both sides have said all. Gives the address of the target.
    pub(crate) async fn relay(
        &self,
        client: TcpStream,
        traffic: &Traffic,
    ) -> Result<&str, Failure> {
        let (address, mut target) = self.connect().await?;
        // Bytes go on as they come. And who vanishes without a word is found out, in hours, by the kernel; what finds
        // out sooner is the limit on silence.
        for stream in [&client, &target] {
            stream.set_nodelay(true).map_err(Failure::Broken)?;
            stream.set_keepalive(true).map_err(Failure::Broken)?;
        }
        // Silence counts from here on, not from the beginning of a connect that took long.
        traffic.touch();
        let mut client = Watched { stream: client, traffic };
        let copied = async {
            let copied = copy_bidirectional(&mut client, &mut target).await;
            copied.map(drop).map_err(Failure::Broken)
        };
        let idle = async {
            traffic.wait_silent(self.idle_timeout).await;
            Err(Failure::Idle(self.idle_timeout))
        };
        copied.or(idle).await?;
        Ok(address)
    }

    /// The next target that can be reached.
    async fn connect(&self) -> Result<(&str, TcpStream), Failure> {
        let turn = self.turn.fetch_add(1, Relaxed);
        let (before, from) = self.targets.split_at(turn % self.targets.len());
        let mut order: Vec<&Target> = from.iter().chain(before).collect();
        let now = self.now();
        // It is stable: among those of either kind the turn counts.
        order.sort_by_key(|target| target.avoided_until.load(Relaxed) > now);
        let mut reasons = Vec::new();
        for target in order {
            let connect = TcpStream::connect(&*target.address);
            let connected = timeout(self.connect_timeout, connect).await;
            let error = match connected {
                Ok(Ok(stream)) => {
                    target.avoided_until.store(0, Relaxed);
                    return Ok((&target.address, stream));
                }
                Ok(Err(error)) => error,
                Err(elapsed) => io::Error::new(io::ErrorKind::TimedOut, elapsed),
            };
            let until = self.now().saturating_add(nanos(self.avoid));
            target.avoided_until.store(until, Relaxed);
            reasons.push((target.address.clone(), error));
        }
        Err(Failure::Unreachable(reasons))
    }

    fn now(&self) -> u64 {
        nanos(self.begun.elapsed())
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What one connection has moved, and when last.
pub(crate) struct Traffic {
    begun: Instant,
    /// Nanoseconds since then.
    last: AtomicU64,
    from_client: AtomicU64,
    to_client: AtomicU64,
}

impl Traffic {
    pub(crate) fn new() -> Self {
        let begun = Instant::now();
        let [last, from_client, to_client] = [(); 3].map(|()| AtomicU64::new(0));
        Self { begun, last, from_client, to_client }
    }

    pub(crate) fn client_said(&self) -> u64 {
        self.from_client.load(Relaxed)
    }

    pub(crate) fn client_heard(&self) -> u64 {
        self.to_client.load(Relaxed)
    }

    fn note(&self, direction: &AtomicU64, bytes: usize) {
        direction.fetch_add(bytes as u64, Relaxed);
        self.touch();
    }

    fn touch(&self) {
        self.last.store(nanos(self.begun.elapsed()), Relaxed);
    }

    /// Until nothing has moved for so long.
    async fn wait_silent(&self, limit: Duration) {
        loop {
            let deadline = self.begun + Duration::from_nanos(self.last.load(Relaxed)) + limit;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}

/// The client's stream. Whatever is relayed passes through it, in one direction or the other.
struct Watched<'a> {
    stream: TcpStream,
    traffic: &'a Traffic,
}

impl AsyncRead for Watched<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.traffic.note(&self.traffic.from_client, read);
        Poll::Ready(Ok(read))
    }
}

impl AsyncWrite for Watched<'_> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.traffic.note(&self.traffic.to_client, written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(reasons) => {
                f.write_str("no target can be reached")?;
                reasons.iter().try_for_each(|(address, error)| write!(f, "; {address}: {error}"))
            }
            Self::Idle(limit) => write!(f, "nothing has moved for {} s", limit.as_secs_f64()),
            Self::Broken(error) => write!(f, "the connection broke: {error}"),
        }
    }
}

impl Error for Failure {}
