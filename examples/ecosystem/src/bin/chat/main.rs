//! A chat in the browser: rooms over WebSocket, with or without TLS.
//!
//! ```text
//! cargo run --release -p ecosystem --bin chat
//! cargo run --release -p ecosystem --bin chat -- --listen 0.0.0.0:8443 --tls
//! cargo run --release -p ecosystem --bin chat -- --tls --certificate chain.pem --key key.pem
//! ```
//!
//! Open the address that it prints, in two windows. Each path `/room/NAME` is a room of its own.
//!
//! - What is said in a room goes to all who are in it, over one bounded broadcast. A client that reads too slowly holds
//!   up nobody: it misses messages, and is told how many. One that takes nothing for `--patience` seconds is let go.
//! - Who comes and who goes is told to the others, also when a connection breaks.
//! - `--tls` alone makes a certificate for `localhost`, which browsers warn of.
//! - Ctrl-C tells each client that the server goes away, by a WebSocket close; a second one ends the process at once.
//!
//! All of it runs on one event loop, and nothing of it is `Send`: the rooms are in a `RefCell`.
//!
//! ```text
//! main.rs           options, accepting, stopping
//! connection.rs     one connection: TLS, HTTP, and what it becomes
//! member.rs         one who is in a room: WebSocket both ways
//! rooms.rs          who is where, and what is said
//! tls.rs            certificates
//! page.html         the page
//! ```

mod connection;
mod member;
mod rooms;
mod tls;

use std::{
    io, net::SocketAddr, path::PathBuf, process::ExitCode, rc::Rc, sync::Arc, time::Duration,
};

use anyhow::Context;
use clap::Parser;
use ecosystem::{
    options::{address, seconds, some_seconds},
    stop::Stop,
};
use futures_lite::FutureExt;
use futures_rustls::TlsAcceptor;
use whirligig::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::{CancelToken, TaskGroup},
    time::timeout,
};

use crate::rooms::Rooms;

/// A chat server for browsers.
#[derive(Parser)]
struct Options {
    /// Where to listen, as `host:port`; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8081", value_parser = address)]
    listen: String,
    /// Speak TLS
    #[arg(long)]
    tls: bool,
    /// The server's certificate chain, in PEM; without it, one is made for localhost
    #[arg(long, requires_all = ["tls", "key"])]
    certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, requires = "certificate")]
    key: Option<PathBuf>,
    /// Connections at once; further ones wait
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Messages that a room keeps for who reads slowly
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    backlog: u32,
    /// Seconds that a client may take to read what it is sent, and to say its name
    #[arg(long, default_value = "20", value_parser = some_seconds)]
    patience: Duration,
    /// Seconds that connections have to end once the server is stopped
    #[arg(long, default_value = "3", value_parser = seconds)]
    grace: Duration,
}

/// What all connections have in common.
struct Chat {
    rooms: Rooms,
    tls: Option<TlsAcceptor>,
    patience: Duration,
    stopping: CancelToken,
}

fn main() -> anyhow::Result<ExitCode> {
    whirligig::run(serve(Options::parse()))
}

async fn serve(options: Options) -> anyhow::Result<ExitCode> {
    let tls = match (options.tls, options.certificate.zip(options.key)) {
        (false, _) => None,
        (true, None) => Some(tls::made_for_localhost()?),
        (true, Some((certificate, key))) => Some(tls::from_files(&certificate, &key)?),
    };
    let listener = TcpListener::bind(&options.listen)
        .await
        .with_context(|| format!("cannot listen at {}", options.listen))?;
    let mut stop = Stop::new().context("cannot watch for signals")?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    println!("Open {scheme}://{} in a browser, twice", listener.local_addr()?);

    let permits = Arc::new(Semaphore::new(options.limit as usize));
    let chat = Rc::new(Chat {
        rooms: Rooms::new(options.backlog as usize),
        tls,
        patience: options.patience,
        stopping: CancelToken::new(),
    });
    let mut connections = TaskGroup::new();
    loop {
        // Whichever comes first; the other is dropped, which loses neither a connection nor a signal.
        let next = async { Some(accept(&listener, &permits).await) };
        let stopped = async { stop.requested().await.err().map(Err) };
        match stopped.or(next).await {
            Some(Ok((stream, peer, permit))) => {
                let chat = Rc::clone(&chat);
                connections.spawn_local(async move {
                    if let Err(error) = connection::serve(stream, &chat).await {
                        eprintln!("{peer}: {error:#}");
                    }
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

    drop((listener, stop));
    eprintln!("Stopping. Connections: {}", connections.len());
    chat.stopping.cancel();
    let all_have_ended = timeout(options.grace, connections.wait()).await.is_ok();
    let cut_off = connections.len();
    println!("Messages: {}, connections cut off: {cut_off}", chat.rooms.said());
    Ok(if all_have_ended { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

/// The next connection, once it may be had.
async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(permits).acquire_owned().await.expect("it is never closed");
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, permit))
}
