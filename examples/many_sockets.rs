//! 10,000 sockets, one thread: a server with a task for each connection, and what a connection costs.
//!
//! ```text
//! cargo run --release --example many_sockets
//! cargo run --release --example many_sockets -- --connections 100
//! ```
//!
//! The client is this program, started again, so that each process has one end of each connection. It opens all of them
//! before it sends a byte on the first. One sees how many were open at once, and the memory of the server for each. A
//! thread for each would take a stack for each, of which two pages at least are touched, and as much of the kernel.

use std::{env, fs, net::SocketAddr};

use anyhow::{Context, ensure};
use clap::Parser;
use futures_lite::{AsyncReadExt, AsyncWriteExt, FutureExt};
use rustix::process::{Resource, getrlimit, setrlimit};
use whirligig::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::TaskGroup,
};

/// Many connections on one thread.
#[derive(Parser)]
struct Options {
    /// How many at once
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// Be the client of the server at this address
    #[arg(long, hide = true)]
    visit: Option<SocketAddr>,
}

fn main() -> anyhow::Result<()> {
    let Options { connections, visit: server } = Options::parse();
    allow_descriptors(connections + 100)?;
    match server {
        None => whirligig::run(serve(connections)),
        Some(server) => whirligig::run(visit(server, connections)),
    }
}

async fn serve(connections: usize) -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let before = resident()?;
    let mut client = Command::new(env::current_exe()?)
        .args(["--visit", &address, "--connections", &connections.to_string()])
        .kill_on_drop(true)
        .spawn()?;

    let mut group = TaskGroup::new();
    let accepting = async {
        for _ in 0..connections {
            let (stream, _) = listener.accept().await?;
            group.spawn_local(echo(stream));
        }
        anyhow::Ok(())
    };
    accepting.or(ends_early(&mut client)).await?;
    // Each of them is open now: the client closes none before all have answered.
    let each = (resident()?.saturating_sub(before)) / connections.max(1);
    let mut bytes = 0;
    while let Some(echoed) = group.next().await {
        bytes += echoed??;
    }
    ensure!(client.wait().await?.success(), "the client did not get back what it sent");
    println!("{connections} connections at once, {bytes} bytes echoed, on one thread");
    println!("{each} bytes of memory for each");
    Ok(())
}

/// Sends back what comes, until the other side closes. Gives how many bytes that were.
async fn echo(mut stream: TcpStream) -> std::io::Result<usize> {
    let mut bytes = 0;
    let mut buffer = [0; 16];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(bytes),
            count => {
                stream.write_all(&buffer[..count]).await?;
                bytes += count;
            }
        }
    }
}

async fn ends_early(client: &mut Child) -> anyhow::Result<()> {
    let status = client.wait().await?;
    anyhow::bail!("the client ended before all connections were open: {status}")
}

async fn visit(server: SocketAddr, connections: usize) -> anyhow::Result<()> {
    let mut streams = Vec::new();
    for _ in 0..connections {
        streams.push(TcpStream::connect(server).await?);
    }
    for stream in &mut streams {
        stream.write_all(b"x").await?;
    }
    for stream in &mut streams {
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        ensure!(byte == *b"x");
    }
    Ok(())
}

/// Lets this process have so many descriptors open.
fn allow_descriptors(count: usize) -> anyhow::Result<()> {
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX);
    ensure!(
        most >= count as u64,
        "{count} descriptors are needed and {most} allowed: ask for fewer --connections, or raise the hard limit \
         (`ulimit -Hn`)"
    );
    limit.current = Some(limit.current.unwrap_or(most).max(count as u64));
    setrlimit(Resource::Nofile, limit).context("the limit of descriptors could not be raised")
}

/// The bytes of memory that this process has now.
fn resident() -> anyhow::Result<usize> {
    let status = fs::read_to_string("/proc/self/status").context("there is no /proc")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    Ok(kibibytes.context("/proc/self/status has another form")?.parse::<usize>()? << 10)
}
