//! Sends messages to the echo server and checks that the same bytes come back.
//!
//! ```text
//! cargo run --release --example echo_server
//! cargo run --release --example echo_client -- --connections 50 --rounds 1000
//! ```
//!
//! All connections are made at once and speak at the same time, each in a task of its own on the
//! one thread. One sees how many echoes came, how long that took, and how many that is a second. If
//! an answer differs from what was sent, or a connection fails, the program says so and fails.

use std::{io, time::Duration};

use anyhow::{Context, bail, ensure};
use clap::{Parser, value_parser};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future::try_zip};
use indicatif::HumanCount;
use whirligig::{net::TcpStream, spawn_local, time::Instant};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Sends messages to the echo server and checks what comes back.
#[derive(Parser, Clone)]
struct Options {
    /// Where the server listens, as `host:port`
    #[arg(long, default_value = "127.0.0.1:8888")]
    address: String,

    /// Connections at the same time
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u16).range(1..))]
    connections: u16,

    /// Messages on each connection, one after the other
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u32).range(1..))]
    rounds: u32,

    /// Bytes in a message
    #[arg(long, default_value_t = 1024, value_parser = value_parser!(u32).range(1..))]
    size: u32,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    whirligig::run(measure(options))
}

async fn measure(options: Options) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut tasks = Vec::new();
    for number in 0..options.connections {
        tasks.push(spawn_local(talk(number, options.clone())));
    }
    let mut echoes = 0;
    for task in tasks {
        echoes += task.await??;
    }

    let seconds = start.elapsed().as_secs_f64();
    let rate = HumanCount((echoes as f64 / seconds) as u64);
    println!("{} echoes in {seconds:.3} sec: {rate} a second.", HumanCount(echoes));
    Ok(())
}

/// One connection, from its beginning to its end. Gives the number of echoes.
async fn talk(number: u16, options: Options) -> anyhow::Result<u64> {
    let mut stream = connect(&options.address).await?;
    // Each connection says something else, so that a mixed-up answer is noticed.
    let message: Vec<u8> = (0..options.size).map(|at| (u32::from(number) + at) as u8).collect();
    let mut answer = vec![0; message.len()];

    for round in 1..=options.rounds {
        // Both at once: a long message fills every buffer on its way, and goes on only while we
        // take the answer.
        let (mut reader, mut writer) = stream.split();
        try_zip(writer.write_all(&message), reader.read_exact(&mut answer))
            .await
            .with_context(|| format!("connection {number} failed in round {round}"))?;
        ensure!(answer == message, "connection {number}: round {round} came back altered");
    }
    Ok(options.rounds.into())
}

async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let stream = match TcpStream::connect_timeout(address, CONNECT_TIMEOUT).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            bail!("nobody listens at {address}: start the example `echo_server` first")
        }
        connected => connected.with_context(|| format!("cannot connect to {address}"))?,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
