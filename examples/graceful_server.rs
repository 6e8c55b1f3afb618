//! A TCP server that can be stopped without cutting anybody off.
//!
//! ```text
//! cargo run --release --example graceful_server
//! cargo run --release --example graceful_server -- --limit 2 --deadline 10 --grace 1
//! ```
//!
//! It sends each line back; `wait 500` is answered after 500 milliseconds, for a request that takes its time. Talk to
//! it with `nc 127.0.0.1 8889`.
//!
//! - No more connections at once than `--limit`: further ones wait in the kernel's backlog, for the permit
//!   comes before the accept.
//! - None longer than `--deadline`, however slow or silent its peer is.
//! - Ctrl-C or a request to terminate stops the accepting. Who is connected gets the answer to what was asked, and is
//!   let go; `--grace` is how long that may take. A second Ctrl-C ends the process at once.
//! - The exit code says how it went: 0, all had their answers; 3, some were cut off, and are named; 1, it could not
//!   serve at all.
//!
//! The connections are a task group, which ends with the function that has it: no way out of it, not even a panic,
//! leaves a task behind.

use std::{io, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use futures_lite::{AsyncBufReadExt, AsyncWriteExt, FutureExt, StreamExt, io::BufReader};
use whirligig::{
    net::{TcpListener, TcpStream},
    signal::{Signal, SignalKind, signal},
    sync::{Event, OwnedSemaphorePermit, Semaphore},
    task::TaskGroup,
    time::{sleep, timeout},
};

/// A TCP server that can be stopped without cutting anybody off.
#[derive(Parser)]
struct Options {
    /// Where to listen, as `host:port`; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8889")]
    address: String,
    /// Connections at once
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Seconds that a connection may last
    #[arg(long, default_value = "60", value_parser = seconds)]
    deadline: Duration,
    /// Seconds that connections have to finish once the server is stopped
    #[arg(long, default_value = "5", value_parser = seconds)]
    grace: Duration,
}

fn seconds(text: &str) -> anyhow::Result<Duration> {
    Ok(Duration::try_from_secs_f64(text.parse()?)?)
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    whirligig::run(serve(&options))
}

async fn serve(options: &Options) -> anyhow::Result<ExitCode> {
    let address = &options.address;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
    let mut stop = Stop::new().context("cannot watch for signals")?;
    println!("Listening at {}", listener.local_addr()?);

    let permits = Arc::new(Semaphore::new(options.limit as usize));
    let stopping = Arc::new(Event::new());
    let mut connections = TaskGroup::new();
    loop {
        // Whichever comes first; the other is dropped, which loses neither a connection nor a signal.
        let next = async { Some(accept(&listener, &permits).await) };
        let stopped = async { stop.requested().await.err().map(Err) };
        match stopped.or(next).await {
            Some(Ok((stream, peer, permit))) => {
                eprintln!("{peer}: accepted");
                let (stopping, deadline) = (Arc::clone(&stopping), options.deadline);
                connections.spawn(async move {
                    let mut log = Log { peer, outcome: "cut off".to_owned() };
                    log.outcome = match timeout(deadline, converse(stream, &stopping)).await {
                        Ok(Ok(answers)) => format!("{answers} answers"),
                        Ok(Err(error)) => error.to_string(),
                        Err(_) => "its time is over".to_owned(),
                    };
                    // First the line, then the place for the next.
                    drop(log);
                    drop(permit);
                });
            }
            // Out of descriptors, say. The next call waits a little before it tries again.
            Some(Err(error)) => eprintln!("cannot accept: {error}"),
            None => break,
        }
        // Those that have ended meanwhile.
        while connections.try_next().is_some() {}
    }

    // Nobody is accepted from here on. With the listeners for the signals gone, the next one ends the process.
    drop((listener, stop));
    eprintln!("Stopping. Connections: {}", connections.len());
    stopping.set();
    if timeout(options.grace, connections.wait()).await.is_ok() {
        eprintln!("Stopped. Nobody was cut off.");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("Stopped. Connections cut off: {}", connections.len());
    Ok(ExitCode::from(3))
}

/// The next connection, once it may be had.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("it is never closed");
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

/// Answers line by line, until the peer has no more to say, or the server is stopping. Says how many there were.
async fn converse(stream: TcpStream, stopping: &Event) -> io::Result<u64> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut answers = 0;
    loop {
        let stopped = async {
            stopping.wait().await;
            None
        };
        // A line that has come is answered, even if the server is stopping.
        let Some(line) = lines.next().or(stopped).await.transpose()? else { return Ok(answers) };
        let answer = answer(&line).await;
        writer.write_all(format!("{answer}\n").as_bytes()).await?;
        answers += 1;
    }
}

/// What became of a connection, told when its task is gone, however that ends.
struct Log {
    peer: SocketAddr,
    outcome: String,
}

impl Drop for Log {
    fn drop(&mut self) {
        eprintln!("{}: {}", self.peer, self.outcome);
    }
}

/// Where the work would be done.
async fn answer(line: &str) -> String {
    if let Some(Ok(millis)) = line.strip_prefix("wait ").map(str::parse) {
        sleep(Duration::from_millis(millis)).await;
    }
    line.to_owned()
}

/// Ctrl-C, or a request to terminate.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn requested(&mut self) -> io::Result<()> {
        self.interrupt.recv().or(self.terminate.recv()).await
    }
}
