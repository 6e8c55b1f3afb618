//! A TCP proxy: connections are accepted here, and relayed to one of several targets.
//!
//! ```text
//! cargo run --release -p ecosystem --bin proxy -- --listen 127.0.0.1:7000 --to 127.0.0.1:5432
//! cargo run --release -p ecosystem --bin proxy -- --to one:80 --to two:80 --limit 500 --idle-timeout 30
//! ```
//!
//! - Targets take turns. One that cannot be reached is passed over: the client gets the next one, and the target is
//!   tried last for `--avoid` seconds. A client for whom no target is left is let go at once.
//! - Each direction ends by itself: who has said all it will still hears the answer (`copy_bidirectional`).
//! - No more connections at once than `--limit`. Further ones wait in the kernel's backlog, for the permit comes before
//!   the accept: they are slowed down, not refused.
//! - A connection on which nothing moves for `--idle-timeout` is ended.
//! - Ctrl-C or a request to terminate stops the accepting. Who is connected has `--grace` seconds to finish; what is
//!   then left is cut off, and the exit code is 3. A second Ctrl-C ends the process at once. The last line says what
//!   was done.
//!
//! ```text
//! main.rs      options, accepting, stopping
//! relay.rs     one connection: the targets that it may have, the copying, the limit on silence
//! tally.rs     the figures of the last line
//! ```

mod relay;
mod tally;

use std::{io, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use clap::Parser;
use ecosystem::{
    options::{address, seconds, some_seconds},
    stop::Stop,
};
use futures_lite::FutureExt;
use whirligig::{
    Runtime,
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::TaskGroup,
    time::timeout,
};

use crate::{relay::Relay, tally::Tally};

/// A TCP proxy with several targets, limits and a graceful end.
#[derive(Parser)]
struct Options {
    /// Where to listen, as `host:port`; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:7000", value_parser = address)]
    listen: String,
    /// Where to, as `host:port`; several take turns
    #[arg(long, required = true, num_args = 1.., value_parser = address)]
    to: Vec<String>,
    /// Connections at once
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Seconds that connecting to one target may take
    #[arg(long, default_value = "5", value_parser = some_seconds)]
    connect_timeout: Duration,
    /// Seconds without a byte either way after which a connection is ended
    #[arg(long, default_value = "600", value_parser = some_seconds)]
    idle_timeout: Duration,
    /// Seconds for which a target that could not be reached is tried last
    #[arg(long, default_value = "5", value_parser = seconds)]
    avoid: Duration,
    /// Seconds that connections have to finish once the proxy is stopped
    #[arg(long, default_value = "5", value_parser = seconds)]
    grace: Duration,
    /// Threads that relay; 0 is one event loop on the main thread
    #[arg(long, default_value_t = 0)]
    workers: usize,
    /// Say what becomes of each connection, not only of those that fail
    #[arg(long)]
    verbose: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    match options.workers {
        0 => whirligig::run(serve(options)),
        workers => Runtime::builder().worker_threads(workers).build()?.block_on(serve(options)),
    }
}

async fn serve(options: Options) -> anyhow::Result<ExitCode> {
    let listener = TcpListener::bind(&options.listen)
        .await
        .with_context(|| format!("cannot listen at {}", options.listen))?;
    let mut stop = Stop::new().context("cannot watch for signals")?;
    println!("Listening at {}, relaying to {}", listener.local_addr()?, options.to.join(", "));

    let permits = Arc::new(Semaphore::new(options.limit as usize));
    let tally = Arc::new(Tally::new());
    let (grace, verbose) = (options.grace, options.verbose);
    let relay = Arc::new(Relay::new(
        options.to,
        options.connect_timeout,
        options.idle_timeout,
        options.avoid,
    ));
    let mut connections = TaskGroup::new();
    loop {
        // Whichever comes first; the other is dropped, which loses neither a connection nor a signal.
        let next = async { Some(accept(&listener, &permits).await) };
        let stopped = async { stop.requested().await.err().map(Err) };
        match stopped.or(next).await {
            Some(Ok((client, peer, permit))) => {
                let (relay, tally) = (Arc::clone(&relay), Arc::clone(&tally));
                connections.spawn(async move {
                    let connection = tally.begin();
                    let outcome = relay.relay(client, &connection.traffic).await;
                    match &outcome {
                        Ok(target) if verbose => eprintln!("{peer}: {target}, {connection}"),
                        Ok(_) => {}
                        Err(failure) => eprintln!("{peer}: {failure}"),
                    }
                    connection.end(&outcome);
                    // First the figures, then the place for the next.
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
    let all_have_ended = timeout(grace, connections.wait()).await.is_ok();
    // Cancelled and waited for, so that the last line comes after all that became of them.
    connections.cancel();
    connections.wait().await;
    println!("{tally}");
    Ok(if all_have_ended { ExitCode::SUCCESS } else { ExitCode::from(3) })
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
