//! whirligig beside its peers: one command per question, every sample in a process of its own.
//!
//! Without a subcommand it runs the loop program on all runtimes. Each other subcommand answers one
//! question that criterion cannot, because the answer takes real seconds, two processes, or counted
//! instructions. `benches/README.md` lists them. Each comparison has the same shape: the parent
//! chooses rows, [`rounds`] interleaves them, [`child`] runs this program again for each sample, and
//! [`table`] shows medians and ratios. The workloads shared with criterion are in `benches/common`.

#[path = "../../common/blocking.rs"]
mod blocking;
#[path = "../../common/mod.rs"]
mod common;
#[path = "../../common/countdown.rs"]
mod countdown;
#[path = "../../common/cpu.rs"]
mod cpu;
#[path = "../../common/echo.rs"]
mod echo_servers;
#[path = "../../common/fs.rs"]
mod files;
#[path = "../../common/multi.rs"]
mod multi;
#[path = "../../common/ping_pong.rs"]
mod ping_pong;
#[path = "../../common/loop_program.rs"]
mod program;
#[path = "../../common/queue.rs"]
mod queue;
#[path = "../../common/spawn.rs"]
mod spawn;
#[path = "../../common/timers.rs"]
mod timers;
#[path = "../../common/yield_now.rs"]
mod yield_now;

mod bursts;
mod child;
mod counts;
mod echo;
mod http;
mod loop_program;
mod machine;
mod micro;
mod rounds;
mod side;
mod sleeps;
mod stats;
mod table;
mod ways;

use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};

/// Runs whirligig beside other runtimes, interleaved, each sample in a process of its own.
///
/// Without a command: the loop program on every runtime.
#[derive(Parser, Debug)]
#[command(args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    compare: Option<Compare>,
    #[command(flatten)]
    loop_program: loop_program::Options,
}

#[derive(Subcommand, Debug)]
enum Compare {
    /// Spawn, yield, ping-pong, queue and timers against tokio, in nanoseconds.
    Micro(micro::single::Options),
    /// The multi-threaded runtimes against tokio's: spawn, yield, ping-pong, queue, loop program,
    /// computing tasks, blocking calls, in nanoseconds.
    Multi(micro::multi::Options),
    /// Files in memory against tokio's, on one thread and on two workers, in nanoseconds.
    Fs(micro::fs::Options),
    /// The multi-threaded runtimes against tokio's, beside tasks that block their thread: makespan,
    /// latency.
    Bursts(bursts::Options),
    /// 100,000 concurrent sleeps: processor time and lateness.
    Sleeps(sleeps::SleepsOptions),
    /// How exact a sleep of 50 us is, and whether any sleep ends early.
    Precision(sleeps::PrecisionOptions),
    /// The same work by tasks, threads and processes: time and memory.
    Ways(ways::Options),
    /// Memory per sleeping task and per idle connection.
    Memory,
    /// TCP echo of 1 KiB: rate, processor time per request, latency.
    Echo(echo::Options),
    /// hyper, HTTP/1.1 and 2, against tokio: rate, latency, processor time and instructions per request, memory per
    /// idle connection.
    Http(http::Options),
    /// User instructions (valgrind) and system calls (strace) per poll and per request.
    Counts(counts::Options),
    /// One sample, as the comparisons run it.
    #[command(subcommand, hide = true)]
    Child(Child),
}

#[derive(Subcommand, Debug)]
enum Child {
    Loop {
        row: loop_program::Row,
        #[arg(long, value_parser = loop_program::even)]
        actions: u64,
        #[arg(long, value_enum, default_value_t = loop_program::Switch::Off)]
        clock: loop_program::Switch,
    },
    Micro(micro::single::Once),
    Multi(micro::multi::Once),
    Fs(micro::fs::Once),
    FsMulti(micro::fs::Once),
    Bursts(bursts::Once),
    Sleeps(sleeps::SleepsOnce),
    Ways(ways::Once),
    WaysOne(ways::OnceOne),
    Precision(sleeps::PrecisionOnce),
    Serve(echo::server::Serve),
    Load(echo::load::Load),
    HttpServe(http::server::Serve),
    HttpIdle(http::idle::Idle),
}

fn main() -> ExitCode {
    // A process of the pool that `peers ways` measures stays here.
    whirligig::executor::init(&[&ways::ON_A_THREAD]);
    child::exit(run(Cli::parse()))
}

fn run(cli: Cli) -> Result<()> {
    match cli.compare {
        None => loop_program::run(&cli.loop_program),
        Some(Compare::Micro(options)) => micro::single::run(&options),
        Some(Compare::Multi(options)) => micro::multi::run(&options),
        Some(Compare::Fs(options)) => micro::fs::run(&options),
        Some(Compare::Bursts(options)) => bursts::run(&options),
        Some(Compare::Sleeps(options)) => sleeps::run_sleeps(&options),
        Some(Compare::Precision(options)) => sleeps::run_precision(&options),
        Some(Compare::Ways(options)) => ways::run(&options),
        Some(Compare::Memory) => memory(),
        Some(Compare::Echo(options)) => echo::run(&options),
        Some(Compare::Http(options)) => http::run(&options),
        Some(Compare::Counts(options)) => counts::run(&options),
        Some(Compare::Child(child)) => match child {
            Child::Loop { row, actions, clock } => loop_program::run_once(row, actions, clock),
            Child::Micro(once) => once.run(),
            Child::Multi(once) => once.run(),
            Child::Fs(once) => once.run(),
            Child::FsMulti(once) => once.run_multi(),
            Child::Bursts(once) => once.run(),
            Child::Sleeps(once) => once.run(),
            Child::Ways(once) => once.run(),
            Child::WaysOne(once) => once.run(),
            Child::Precision(once) => once.run(),
            Child::Serve(serve) => serve.run(),
            Child::Load(load) => load.run(),
            Child::HttpServe(serve) => serve.run(),
            Child::HttpIdle(idle) => idle.run(),
        },
    }
}

/// Hands over to the second binary, whose allocator counts.
fn memory() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let status = Command::new(cargo)
        .args(["run", "--quiet", "--release", "--manifest-path", manifest, "--bin", "peers-memory"])
        .status()
        .context("cargo is needed to build the program that counts allocations")?;
    ensure!(status.success(), "peers-memory failed: {status}");
    Ok(())
}

/// A count of which there must be one at least.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.replace('_', "").parse() {
        Ok(0) => Err("give 1 or more".into()),
        Ok(count) => Ok(count),
        Err(error) => Err(format!("{error}: give a whole number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_options_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_bad_option_gets_advice() {
        let advice = |options: &[&str]| {
            Cli::try_parse_from([&["peers"], options].concat()).unwrap_err().to_string()
        };
        assert!(advice(&["--actions", "7"]).contains("even number"));
        assert!(advice(&["--rounds", "0"]).contains("1 or more"));
        assert!(advice(&["--only", "tokoi"]).contains("tokio"));
        assert!(advice(&["--clock", "yes"]).contains("on, off"));
    }
}
