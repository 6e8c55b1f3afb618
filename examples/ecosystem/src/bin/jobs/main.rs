//! Delayed calls, spread over worker processes on any number of machines, by way of Redis: what Celery and dask's
//! distributed scheduler do.
//!
//! ```text
//! cargo run -p ecosystem --bin jobs -- demo
//!
//! cargo run -p ecosystem --bin servers -- redis                # says the URL
//! cargo run -p ecosystem --bin jobs -- worker --redis URL      # on each machine, as often as wanted
//! cargo run -p ecosystem --bin jobs -- submit --redis URL primes --below 5000000 --parts 40
//! cargo run -p ecosystem --bin jobs -- submit --redis URL poison
//! cargo run -p ecosystem --bin jobs -- status --redis URL
//! ```
//!
//! A graph of calls is submitted as on a pool of processes (`here` computes it on one, for comparison), and the workers
//! know its functions by the same names. One sees a bar of the jobs that are done, and the result.
//!
//! ```text
//! functions.rs   what is called
//! broker.rs      jobs in Redis, and what can become of one
//! worker.rs      takes jobs, calls functions
//! submit.rs      submits a graph, takes results
//! ```
//!
//! Kill a worker in the middle: its job is done by another. Restart Redis: everybody says so, waits, and goes on;
//! nothing that was acknowledged is lost, if Redis writes each change to its log (`appendonly yes`, `appendfsync
//! always`). A job that fails or kills its workers too often ends on the dead-letter list, and its submitter has the
//! error. A worker that is stopped (Ctrl-C) finishes what it has; a submitter that is stopped leaves, and what it has
//! submitted is done for nobody.

use std::{env, sync::Arc, time::Duration};

use anyhow::Context;
use clap::{Parser, Subcommand, value_parser};
use ecosystem::{
    options::{seconds, some_seconds},
    servers::Server,
};
use whirligig::{
    executor::{self, Delayed, ProcessPool},
    process::{Child, Command as Program},
    signal::{SignalKind, run_until_ctrl_c},
    task,
    time::sleep,
};

use self::{broker::Broker, submit::Computed};

mod broker;
mod functions;
mod submit;
mod worker;

/// Delayed calls over worker processes, by way of Redis
#[derive(Parser)]
struct Options {
    /// The server
    #[arg(long, global = true, value_name = "URL", default_value = "redis://127.0.0.1")]
    redis: String,

    /// Which of its queues
    #[arg(long, global = true, value_name = "NAME", default_value = "jobs")]
    queue: String,

    /// Seconds for which a server that is gone is waited for
    #[arg(long, global = true, value_name = "SECONDS", default_value = "60", value_parser = some_seconds)]
    patience: Duration,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Have the workers compute something, and print it
    Submit {
        #[command(subcommand)]
        graph: Graph,
    },
    /// Compute it on a pool of processes of this machine
    Here {
        /// How many processes
        #[arg(long, default_value_t = 2, value_parser = value_parser!(u16).range(1..))]
        processes: u16,
        #[command(subcommand)]
        graph: Graph,
    },
    /// Do jobs, until Ctrl-C
    Worker(worker::How),
    /// Print what waits, what runs and what is dead
    Status,
    /// Three workers, one killed, Redis restarted, and a job that cannot be done
    Demo,
}

#[derive(Subcommand, Clone)]
enum Graph {
    /// How many primes there are below a number
    Primes {
        /// The number
        #[arg(long, default_value_t = 1_000_000)]
        below: u64,
        /// Counted in so many jobs
        #[arg(long, default_value_t = 24, value_parser = value_parser!(u64).range(1..))]
        parts: u64,
        /// Seconds that each sleeps first
        #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
        pause: Duration,
    },
    /// A call that panics each time
    Poison,
    /// A call that ends each worker that makes it
    Crash,
}

impl Graph {
    fn delayed(&self) -> Delayed<u64> {
        match *self {
            Self::Primes { below, parts, pause } => functions::primes(below, parts, pause),
            Self::Poison => functions::poison(),
            Self::Crash => functions::crash(),
        }
    }
}

fn main() -> anyhow::Result<()> {
    executor::init(&functions::KNOWN);
    let Options { redis, queue, patience, command } = Options::parse();
    let broker = || Broker::new(&redis, &queue, patience);
    let done = match command {
        Command::Submit { graph } => run_until_ctrl_c(submit(&graph, broker)),
        Command::Here { processes, graph } => run_until_ctrl_c(here(&graph, processes.into())),
        Command::Status => run_until_ctrl_c(status(&broker())),
        Command::Demo => run_until_ctrl_c(demo(patience)),
        // It has more to do after Ctrl-C than to let go of things.
        Command::Worker(how) => Ok(whirligig::run(worker::work(Arc::new(broker()), broker(), how))),
    };
    done.unwrap_or_else(|interrupted| interrupted.exit())
}

async fn here(graph: &Graph, processes: usize) -> anyhow::Result<()> {
    let pool = ProcessPool::new(processes)?;
    println!("{}", pool.compute(&graph.delayed()).await?);
    Ok(())
}

async fn submit(graph: &Graph, broker: impl Fn() -> Broker) -> anyhow::Result<()> {
    let computed = submit::compute(&graph.delayed(), Arc::new(broker()), broker()).await?;
    let Computed { output, results, doubled } = computed;
    println!("{output}");
    println!("{results} jobs, {doubled} results twice");
    Ok(())
}

async fn status(broker: &Broker) -> anyhow::Result<()> {
    let status = broker.status().await?;
    println!(
        "{} waiting, {} running, {} dead",
        status.waiting,
        status.running.len(),
        status.dead.len()
    );
    for running in status.running {
        let broker::Running { worker, unkept, attempt } = running;
        println!("{worker} has one, attempt {attempt}, kept {unkept:.1?} ago");
    }
    for broker::Dead { id, function, error, attempts } in status.dead {
        println!("{function} {id} is dead after {attempts} attempts: {error}");
    }
    Ok(())
}

async fn demo(patience: Duration) -> anyhow::Result<()> {
    let started = task::spawn_blocking(Server::redis).await.context("the start panicked")?;
    let mut redis = started?;
    let url = redis.url();
    println!("a Redis at {}", redis.address());
    let mut workers = Vec::new();
    for _ in 0..3 {
        let mut worker = Program::new(env::current_exe()?);
        worker.args(["worker", "--redis", &url, "--visibility", "1"]);
        workers.push(worker.kill_on_drop(true).spawn()?);
    }
    let broker = || Broker::new(&url, "jobs", patience);
    let graph = Graph::Primes { below: 1_000_000, parts: 24, pause: Duration::from_millis(200) };
    let faults = async {
        let watched = broker();
        while watched.status().await?.running.len() < workers.len() {
            sleep(Duration::from_millis(10)).await;
        }
        let killed = workers.swap_remove(0);
        println!("--- the worker {} is killed in the middle of its job", killed.id());
        end(killed, SignalKind::kill()).await?;
        println!("--- Redis is killed, and started again");
        let restarted = task::spawn_blocking(move || {
            redis.kill();
            redis.start().map(|()| redis)
        });
        let redis = restarted.await.context("the start panicked")??;
        println!("--- a job is submitted that cannot be done");
        let poisoned = submit(&Graph::Poison, broker).await;
        println!("--- its submitter is told: {}", poisoned.err().context("it was done")?);
        anyhow::Ok(redis)
    };
    let (computed, redis) = futures_lite::future::zip(submit(&graph, broker), faults).await;
    computed?;
    // Until here, or it would be stopped.
    let _redis = redis?;
    status(&broker()).await?;
    for worker in workers {
        end(worker, SignalKind::terminate()).await?;
    }
    Ok(())
}

async fn end(mut child: Child, signal: SignalKind) -> anyhow::Result<()> {
    child.signal(signal)?;
    child.wait().await?;
    Ok(())
}
