//! The hidden subcommand `child serve`: one echo server, which meters itself.
//!
//! It prints its address, serves until every connection has been closed, and prints the processor
//! time it used between the last request of the warm-up and the last of all. It ends by itself, so
//! it can be put under `callgrind` or `strace -c` as it is. **Alternative:** reading a child's usage from
//! outside when it ends. That would charge start-up and a thousand accepts to the requests.

use std::{
    io,
    net::SocketAddr,
    num::NonZeroU32,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use monoio::io::{AsyncReadRent as _, AsyncWriteRentExt as _};
use serde::{Deserialize, Serialize};
use whirligig::EventLoop;

use super::Server;
use crate::{
    child, common,
    echo_servers::{self, MESSAGE, Meter},
    machine::{self, CpuTime},
    multi::{self, WORKERS},
};

/// One server's run.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    server: Server,
    /// Connections to accept; the server ends when all of them have closed.
    #[arg(long, default_value_t = 1)]
    connections: usize,
    /// Requests before the measured ones.
    #[arg(long, default_value_t = 0)]
    warm_up: u64,
    /// Requests that are measured.
    #[arg(long)]
    requests: u64,
    /// Workers, for those that have some.
    #[arg(long, default_value_t = WORKERS, value_parser = crate::at_least_one)]
    workers: usize,
    /// The cores to stay on, separated by commas.
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    /// Polls between two looks at the sockets, for ours: under a tool that slows it down.
    #[arg(long)]
    look_interval: Option<NonZeroU32>,
}

/// Processor time the measured requests took.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Spent(pub(crate) CpuTime);

// Bytes sent back by all threads, and how many there are at the next mark.
static ECHOED: AtomicU64 = AtomicU64::new(0);
static NEXT_MARK: AtomicU64 = AtomicU64::new(u64::MAX);
static MARKS: Mutex<Vec<(u64, CpuTime)>> = Mutex::new(Vec::new());

fn count(bytes: usize) {
    let echoed = ECHOED.fetch_add(bytes as u64, Relaxed) + bytes as u64;
    if echoed >= NEXT_MARK.load(Relaxed) {
        reach_marks(echoed);
    }
}

/// Notes the processor time at the marks that have been reached, and sets the next. Of several threads
/// that come at once, the first does it.
#[cold]
fn reach_marks(echoed: u64) {
    let mut marks = MARKS.lock().expect("nothing panics while it notes a mark");
    let next = NEXT_MARK.load(Relaxed);
    if echoed < next {
        return;
    }
    let reached = marks.iter_mut().filter(|mark| (next..=echoed).contains(&mark.0));
    reached.for_each(|mark| mark.1 = CpuTime::now());
    let ahead = marks.iter().map(|mark| mark.0).find(|&bytes| bytes > echoed);
    NEXT_MARK.store(ahead.unwrap_or(u64::MAX), Relaxed);
}

impl Serve {
    pub(crate) fn run(&self) -> Result<()> {
        machine::pin(&self.cores)?;
        machine::raise_descriptor_limit()?;
        let bytes = |requests: u64| requests * MESSAGE as u64;
        let (begin, end) = (bytes(self.warm_up), bytes(self.warm_up + self.requests));
        MARKS.lock().expect("no other thread").extend([begin, end].map(|at| (at, CpuTime::now())));
        NEXT_MARK.store(if begin == 0 { end } else { begin }, Relaxed);

        self.serve().with_context(|| format!("{} failed", self.server))?;

        let echoed = ECHOED.load(Relaxed);
        ensure!(echoed == end, "{} echoed {echoed} bytes instead of {end}", self.server);
        let marks = MARKS.lock().expect("no other thread");
        child::report(&Spent(marks[1].1.since(marks[0].1)))
    }

    fn serve(&self) -> io::Result<()> {
        let ready = |address: SocketAddr| println!("\"{address}\"");
        let event_loop = |spin: bool| {
            let mut builder = EventLoop::builder().spin_before_park(spin);
            if let Some(polls) = self.look_interval {
                builder = builder.look_interval(polls);
            }
            builder.build()
        };
        let connections = self.connections;
        match self.server {
            Server::Whirligig => {
                echo_servers::whirligig(&event_loop(false)?, connections, ready, count)
            }
            Server::WhirligigSpins => {
                echo_servers::whirligig(&event_loop(true)?, connections, ready, count)
            }
            Server::Tokio => {
                echo_servers::tokio(&common::tokio_current_thread(), connections, ready, count)
            }
            Server::WhirligigMulti => {
                let runtime = multi::runtime(self.workers);
                echo_servers::whirligig_multi(&runtime, connections, ready, count)
            }
            Server::TokioMulti => {
                echo_servers::tokio(&multi::tokio(self.workers), connections, ready, count)
            }
            Server::Mio => echo_servers::mio(connections, ready, count),
            Server::Monoio => monoio(connections, ready, count),
        }
    }
}

/// The server on monoio's epoll driver: its buffers travel with each operation.
fn monoio(connections: usize, ready: impl FnOnce(SocketAddr), meter: impl Meter) -> io::Result<()> {
    let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build()?;
    runtime.block_on(async move {
        let listener = monoio::net::TcpListener::bind("127.0.0.1:0")?;
        ready(listener.local_addr()?);
        let mut tasks = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            tasks.push(monoio::spawn(async move {
                let mut buffer = Vec::with_capacity(4 * MESSAGE);
                loop {
                    let (result, read) = stream.read(buffer).await;
                    if result? == 0 {
                        return io::Result::Ok(());
                    }
                    let (result, written) = stream.write_all(read).await;
                    meter(result?);
                    buffer = written;
                }
            }));
        }
        for task in tasks {
            task.await?;
        }
        Ok(())
    })
}
