//! The command `peers multi`: the workloads on the multi-threaded runtimes, with two workers each.
//!
//! The first six have the shapes of tokio's own benchmarks of its multi-thread runtime, and one mean.
//! The loop program and the blocking calls are long and run once in each process, as a program would.
//! The tasks that compute have a third side, two plain threads: no runtime can be faster.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Line, Row, Sample, Sampling, compare, rows, save};
use crate::{
    blocking, child, cpu,
    multi::{self, WORKERS},
    ping_pong,
    program::{self, Work},
    queue, spawn,
    table::short,
    yield_now,
};

/// Options of the comparison on many threads.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only these workloads, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOADS")]
    only: Vec<Workload>,
    #[command(flatten)]
    sampling: Sampling,
}

/// A program of `benches/common`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Workload {
    /// 10,000 tasks from one task, none joined.
    SpawnMany,
    /// 10,000 tasks from a thread that is no worker, none joined.
    SpawnOutside,
    /// 200 tasks that yield 1,000 times each.
    YieldMany,
    /// 1,000 pairs of tasks.
    PingPong,
    /// 1,000 tasks, each spawned by the one before.
    ChainedSpawn,
    /// A bounded queue with four producers.
    Queue,
    /// 10,000 tasks from one task, all joined.
    SpawnAndJoin,
    /// Half a million actions.
    LoopProgram,
    /// 64 tasks of about a millisecond of processor time each.
    Cpu,
    /// 200,000 calls on the blocking pool.
    Blocking,
}

/// What runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Side {
    Whirligig,
    Tokio,
    /// Tokio with a yield that wakes itself, where the program yields by hand.
    TokioSelfWaking,
    /// No runtime: as many plain threads as there are workers.
    Threads,
}

const ACTIONS: Work = Work { actions: 500_000, clock: false };

impl Workload {
    fn has(self, side: Side) -> bool {
        match side {
            Side::Whirligig | Side::Tokio => true,
            Side::TokioSelfWaking => matches!(self, Self::YieldMany | Self::LoopProgram),
            Side::Threads => self == Self::Cpu,
        }
    }

    /// One of those that tokio's own benchmarks have too.
    fn is_in_the_mean(self) -> bool {
        match self {
            Self::SpawnMany
            | Self::SpawnOutside
            | Self::YieldMany
            | Self::PingPong
            | Self::ChainedSpawn
            | Self::Queue => true,
            Self::SpawnAndJoin | Self::LoopProgram | Self::Cpu | Self::Blocking => false,
        }
    }

    /// Runs once in its process; the others are repeated.
    fn is_long(self) -> bool {
        matches!(self, Self::LoopProgram | Self::Blocking)
    }

    fn operations(self) -> u64 {
        match self {
            Self::SpawnMany => spawn::many::OPERATIONS,
            Self::SpawnOutside => spawn::outside::OPERATIONS,
            Self::YieldMany => yield_now::OPERATIONS,
            Self::PingPong => ping_pong::OPERATIONS,
            Self::ChainedSpawn => spawn::chain::OPERATIONS,
            Self::Queue => queue::OPERATIONS,
            Self::SpawnAndJoin => spawn::batch::OPERATIONS,
            Self::LoopProgram => ACTIONS.actions,
            Self::Cpu => cpu::OPERATIONS,
            Self::Blocking => blocking::OPERATIONS,
        }
    }

    fn on_whirligig(self, runtime: &whirligig::Runtime) {
        match self {
            Self::SpawnMany => spawn::many::whirligig_multi(runtime),
            Self::SpawnOutside => spawn::outside::whirligig_multi(runtime),
            Self::YieldMany => yield_now::whirligig_multi(runtime),
            Self::PingPong => ping_pong::whirligig_multi(runtime),
            Self::ChainedSpawn => spawn::chain::whirligig_multi(runtime),
            Self::Queue => queue::whirligig_multi(runtime),
            Self::SpawnAndJoin => spawn::batch::whirligig_multi(runtime),
            Self::LoopProgram => check(program::whirligig_multi(runtime, ACTIONS)),
            Self::Cpu => cpu::whirligig_multi(runtime),
            Self::Blocking => blocking::whirligig_multi(runtime, blocking::OPERATIONS),
        }
    }

    fn on_tokio(self, runtime: &tokio::runtime::Runtime) {
        let yield_now = tokio::task::yield_now;
        match self {
            Self::SpawnMany => spawn::many::tokio(runtime),
            Self::SpawnOutside => spawn::outside::tokio(runtime),
            Self::YieldMany => yield_now::tokio(runtime, yield_now),
            Self::PingPong => ping_pong::tokio(runtime),
            Self::ChainedSpawn => spawn::chain::tokio(runtime),
            Self::Queue => queue::tokio(runtime),
            Self::SpawnAndJoin => spawn::batch::tokio(runtime),
            Self::LoopProgram => check(program::tokio(runtime, ACTIONS, yield_now)),
            Self::Cpu => cpu::tokio(runtime),
            Self::Blocking => blocking::tokio(runtime, blocking::OPERATIONS),
        }
    }

    fn on_tokio_self_waking(self, runtime: &tokio::runtime::Runtime) {
        let yield_now = futures_lite::future::yield_now;
        match self {
            Self::LoopProgram => check(program::tokio(runtime, ACTIONS, yield_now)),
            _ => yield_now::tokio(runtime, yield_now),
        }
    }
}

fn check(tally: program::Tally) {
    assert_eq!(tally, ACTIONS.expected());
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads = match options.only.as_slice() {
        [] => Workload::value_variants(),
        only => only,
    };
    println!("{WORKERS} workers each");
    let lines = compare("multi", &rows(workloads, Workload::has), &options.sampling)?;
    print_mean(&lines);
    save(options.sampling.json.as_deref(), "workloads on two workers, ns per operation", &lines)
}

/// The mean of the shares, of tokio as it is and of tokio where it yields by waking itself.
fn print_mean(lines: &[Line<Workload, Side>]) {
    let shares = |yielding: Side| {
        let of_yielding = |line: &&Line<Workload, Side>| {
            let side = if line.workload.has(yielding) { yielding } else { Side::Tokio };
            line.workload.is_in_the_mean() && line.side == side
        };
        lines.iter().filter(of_yielding).map(|line| line.share).collect::<Vec<_>>()
    };
    let (own, self_waking) = (shares(Side::Tokio), shares(Side::TokioSelfWaking));
    if own.len() < 2 {
        return;
    }
    println!(
        "geometric mean of whirligig's share, over {} of the workloads with tokio's shapes: {} of \
         tokio, {} of tokio with a yield that wakes itself",
        own.len(),
        short(geometric_mean(&own)),
        short(geometric_mean(&self_waking)),
    );
}

fn geometric_mean(values: &[f64]) -> f64 {
    (values.iter().map(|value| value.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// One sample: a workload, a side, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Once {
    workload: Workload,
    side: Side,
    #[arg(long, default_value_t = 200)]
    milliseconds: u64,
}

impl Once {
    pub(crate) fn run(&self) -> Result<()> {
        let Self { workload, side, .. } = *self;
        ensure!(workload.has(side), "there is no such row: {}", Row(workload, side));
        child::report(&match side {
            Side::Whirligig => {
                let runtime = multi::runtime(WORKERS);
                self.sample(|| workload.on_whirligig(&runtime))
            }
            Side::Tokio => {
                let runtime = multi::tokio(WORKERS);
                self.sample(|| workload.on_tokio(&runtime))
            }
            Side::TokioSelfWaking => {
                let runtime = multi::tokio(WORKERS);
                self.sample(|| workload.on_tokio_self_waking(&runtime))
            }
            Side::Threads => self.sample(|| cpu::threads(WORKERS)),
        })
    }

    fn sample(&self, run: impl Fn()) -> Sample {
        let operations = self.workload.operations();
        if self.workload.is_long() {
            return Sample::once(operations, run);
        }
        Sample::repeat(operations, Duration::from_millis(self.milliseconds), run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_of_a_double_and_a_half_is_one() {
        assert!((geometric_mean(&[0.5, 2.0]) - 1.0).abs() < 1e-12);
        assert!((geometric_mean(&[0.25]) - 0.25).abs() < 1e-12);
    }

    #[test]
    fn every_workload_gives_the_right_answer_on_every_side() {
        let (ours, theirs) = (multi::runtime(WORKERS), multi::tokio(WORKERS));
        for &workload in Workload::value_variants() {
            if workload.is_long() {
                continue;
            }
            workload.on_whirligig(&ours);
            workload.on_tokio(&theirs);
        }
        yield_now::tokio(&theirs, futures_lite::future::yield_now);
        cpu::threads(WORKERS);
    }
}
