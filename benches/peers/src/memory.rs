//! The program `peers-memory`: bytes per sleeping task and per idle connection.
//!
//! A program of its own, because its allocator counts: in one binary with the other comparisons the
//! counting would sit in every figure they take. `peers memory` starts it. The resident set is what a
//! task really takes of the machine. Beside it stands what was asked of the allocator and not freed:
//! it leaves out what alignment wastes (tokio aligns its tasks to 128 bytes) and includes room that
//! was reserved and never touched. Each runtime is measured in a process of its own.

mod child;
#[path = "../../common/mod.rs"]
mod common;
mod side;
mod table;

use std::{
    alloc::System,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use self::{side::Side, table::short};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Counts memory per sleeping task and per idle connection, whirligig beside tokio.
#[derive(Parser, Debug)]
struct Cli {
    #[command(subcommand)]
    child: Option<Child>,
    /// Tasks that sleep.
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
    /// Connections on which nothing happens.
    #[arg(long, default_value_t = 5_000)]
    connections: usize,
}

#[derive(Subcommand, Debug)]
enum Child {
    /// One sample.
    #[command(name = "child", hide = true)]
    Once { what: What, side: Side, number: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Tasks,
    Connections,
}

/// Bytes for each task or connection.
#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    heap: f64,
    resident: f64,
}

fn main() -> ExitCode {
    child::exit(run(&Cli::parse()))
}

fn run(cli: &Cli) -> Result<()> {
    if let Some(Child::Once { what, side, number }) = cli.child {
        return child::report(&sample(what, side, number)?);
    }
    for (what, number, name) in [
        (What::Tasks, cli.tasks, "tasks that sleep for an hour"),
        (What::Connections, cli.connections, "idle connections, a task reading on each"),
    ] {
        ensure!(number > 0, "give 1 or more");
        let mut table =
            table::new(["runtime", "resident", "against tokio", "heap", "against tokio"]);
        let ask = |side: &Side| -> Result<Sample> {
            let words = [value_name(&what), value_name(side), number.to_string()];
            child::answer(child::command(words)?)
        };
        let tokio = ask(&Side::Tokio)?;
        for (side, sample) in [(Side::Whirligig, &ask(&Side::Whirligig)?), (Side::Tokio, &tokio)] {
            table.add_row([
                value_name(&side),
                short(sample.resident),
                short(sample.resident / tokio.resident),
                short(sample.heap),
                short(sample.heap / tokio.heap),
            ]);
        }
        println!("{number} {name}; bytes for each");
        println!("{table}");
    }
    Ok(())
}

fn value_name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

fn sample(what: What, side: Side, number: usize) -> Result<Sample> {
    match (what, side) {
        (What::Tasks, Side::Whirligig) => {
            common::event_loop().block_on(tasks(number, whirligig::task::yield_now, || {
                drop(whirligig::spawn_local(async {
                    WAITING.fetch_add(1, Relaxed);
                    whirligig::time::sleep(HOUR).await;
                }));
            }))
        }
        (What::Tasks, Side::Tokio) => {
            common::tokio_current_thread().block_on(tasks(number, tokio::task::yield_now, || {
                drop(tokio::spawn(async {
                    WAITING.fetch_add(1, Relaxed);
                    tokio::time::sleep(HOUR).await;
                }));
            }))
        }
        (What::Connections, Side::Whirligig) => {
            common::event_loop().block_on(whirligig_connections(number))
        }
        (What::Connections, Side::Tokio) => {
            common::tokio_current_thread().block_on(tokio_connections(number))
        }
    }
}

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const HOUR: Duration = Duration::from_secs(3_600);

// Tasks that have begun to wait. A sample is taken when all have.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// What is allocated now, and what the system has given.
struct Level {
    heap: f64,
    resident: f64,
}

impl Level {
    fn now() -> Result<Self> {
        let resident = memory_stats::memory_stats().context("the resident set is unknown here")?;
        let stats = ALLOCATOR.stats();
        let heap = stats.bytes_allocated as f64 - stats.bytes_deallocated as f64;
        Ok(Self { heap, resident: resident.physical_mem as f64 })
    }

    fn each_since(&self, earlier: &Self, number: usize) -> Sample {
        let each = |now: f64, then: f64| (now - then) / number as f64;
        Sample {
            heap: each(self.heap, earlier.heap),
            resident: each(self.resident, earlier.resident),
        }
    }
}

async fn tasks<Y: Future>(
    number: usize,
    yield_now: impl Fn() -> Y,
    spawn: impl Fn(),
) -> Result<Sample> {
    let before = Level::now()?;
    for _ in 0..number {
        spawn();
    }
    all_wait(number, yield_now).await;
    Ok(Level::now()?.each_since(&before, number))
}

/// Yields until every task has counted itself, which it does in the poll in which it begins to wait.
async fn all_wait<Y: Future>(number: usize, yield_now: impl Fn() -> Y) {
    while WAITING.load(Relaxed) < number {
        yield_now().await;
    }
}

/// The other ends, which nobody writes to. Plain descriptors: no heap of ours.
fn connect(address: SocketAddr) -> Result<TcpStream> {
    TcpStream::connect(address).context("cannot connect: are there descriptors enough?")
}

async fn whirligig_connections(number: usize) -> Result<Sample> {
    let listener = whirligig::net::TcpListener::bind(ANY_PORT).await?;
    let address = listener.local_addr()?;
    let mut clients = Vec::with_capacity(number);
    let before = Level::now()?;
    for _ in 0..number {
        clients.push(connect(address)?);
        let (stream, _) = listener.accept().await?;
        drop(whirligig::spawn_local(async move {
            WAITING.fetch_add(1, Relaxed);
            let _ = stream.read(&mut [0]).await;
        }));
    }
    all_wait(number, whirligig::task::yield_now).await;
    Ok(Level::now()?.each_since(&before, number))
}

async fn tokio_connections(number: usize) -> Result<Sample> {
    use tokio::io::AsyncReadExt as _;
    let listener = tokio::net::TcpListener::bind(ANY_PORT).await?;
    let address = listener.local_addr()?;
    let mut clients = Vec::with_capacity(number);
    let before = Level::now()?;
    for _ in 0..number {
        clients.push(connect(address)?);
        let (mut stream, _) = listener.accept().await?;
        drop(tokio::spawn(async move {
            WAITING.fetch_add(1, Relaxed);
            let _ = stream.read(&mut [0]).await;
        }));
    }
    all_wait(number, tokio::task::yield_now).await;
    Ok(Level::now()?.each_since(&before, number))
}
