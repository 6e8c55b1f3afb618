//! The hidden subcommand `child load`: many connections, each with one message on its way.
//!
//! A closed loop: a connection sends 1 KiB, waits until all of it has come back, checks it, and
//! sends the next while there are requests left. Written on bare mio, so that it favours no runtime
//! and costs less than any server it drives. Message contents change from request to request: an
//! echo of something older would be noticed.

use std::{
    io::{self, ErrorKind::WouldBlock, Read, Write},
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use hdrhistogram::Histogram;
use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde::{Deserialize, Serialize};

use crate::{child, echo_servers::MESSAGE, machine};

const LONGEST: Duration = Duration::from_secs(10);

/// One load's run.
#[derive(Args, Debug)]
pub(crate) struct Load {
    address: SocketAddr,
    /// Connections that are busy at the same time.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests before the measured ones.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Requests that are measured.
    #[arg(long)]
    requests: u64,
    /// The cores to stay on, separated by commas.
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    /// Looks again and again instead of sleeping.
    #[arg(long)]
    spin: bool,
}

/// How long the measured requests took, all together and each.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Latencies {
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

impl Load {
    pub(crate) fn run(&self) -> Result<()> {
        machine::pin(&self.cores)?;
        machine::raise_descriptor_limit()?;
        let total = self.warm_up + self.requests;
        ensure!(total >= self.connections as u64, "give each connection one request at least");
        let mut poll = Poll::new()?;
        let mut peers = (0..self.connections)
            .map(|index| Peer::connect(self.address, &poll, Token(index)))
            .collect::<io::Result<Vec<_>>>()
            .with_context(|| format!("cannot connect to {}", self.address))?;

        let mut histogram = Histogram::<u64>::new_with_max(LONGEST.as_nanos() as u64, 3)?;
        let (mut begun, mut finished) = (0, 0);
        let mut measured_from = Instant::now();
        for peer in &mut peers {
            begun += 1;
            peer.begin(begun)?;
        }
        let mut events = Events::with_capacity(1024);
        let wait = self.spin.then_some(Duration::ZERO);
        while finished < total {
            match poll.poll(&mut events, wait) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for event in &events {
                let peer = &mut peers[event.token().0];
                let Some(latency) = peer.advance()? else { continue };
                finished += 1;
                if finished > self.warm_up {
                    histogram.saturating_record(latency.as_nanos() as u64);
                } else if finished == self.warm_up {
                    measured_from = Instant::now();
                }
                if begun < total {
                    begun += 1;
                    peer.begin(begun)?;
                }
            }
        }
        let seconds = measured_from.elapsed().as_secs_f64();
        let microseconds = |share| histogram.value_at_quantile(share) as f64 / 1e3;
        let (p50_us, p99_us) = (microseconds(0.5), microseconds(0.99));
        child::report(&Latencies { seconds, p50_us, p99_us })
    }
}

/// One connection and the request on its way.
struct Peer {
    stream: TcpStream,
    message: [u8; MESSAGE],
    answer: [u8; MESSAGE],
    sent: usize,
    received: usize,
    begun: Option<Instant>,
}

impl Peer {
    fn connect(address: SocketAddr, poll: &Poll, token: Token) -> io::Result<Self> {
        // Connecting waits: the load begins when all connections stand.
        let stream = std::net::TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        poll.registry().register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (message, answer) = ([0; MESSAGE], [0; MESSAGE]);
        Ok(Self { stream, message, answer, sent: 0, received: 0, begun: None })
    }

    /// Sends the message of request `number`, as much as there is room for.
    fn begin(&mut self, number: u64) -> Result<()> {
        self.message[..8].copy_from_slice(&number.to_le_bytes());
        (self.sent, self.received) = (0, 0);
        self.begun = Some(Instant::now());
        self.send()
    }

    fn send(&mut self) -> Result<()> {
        while self.sent < MESSAGE {
            match self.stream.write(&self.message[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == WouldBlock => break,
                Err(error) => return Err(error).context("the server does not read"),
            }
        }
        Ok(())
    }

    /// Goes on with the request; how long it took once all of it has come back.
    fn advance(&mut self) -> Result<Option<Duration>> {
        let Some(begun) = self.begun else { return Ok(None) };
        self.send()?;
        while self.received < MESSAGE {
            match self.stream.read(&mut self.answer[self.received..]) {
                Ok(0) => anyhow::bail!("the server closed a connection early"),
                Ok(length) => self.received += length,
                Err(error) if error.kind() == WouldBlock => return Ok(None),
                Err(error) => return Err(error).context("the server does not answer"),
            }
        }
        ensure!(self.answer == self.message, "the echo differs from the message");
        self.begun = None;
        Ok(Some(begun.elapsed()))
    }
}
