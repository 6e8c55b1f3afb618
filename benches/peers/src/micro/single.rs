//! The command `peers micro`: the small workloads on the event loop and on tokio's current thread.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Row, Sample, Sampling, compare, rows, save};
use crate::{child, common, ping_pong, queue, spawn, timers, yield_now};

/// Options of the small workloads' comparison on one thread.
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
    SpawnAndJoin,
    ChainedSpawn,
    YieldNow,
    PingPong,
    Queue,
    Timers,
}

/// What runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Side {
    Whirligig,
    Tokio,
    /// Tokio with a yield that wakes itself: `yield-now` alone has it.
    TokioSelfWaking,
}

impl Workload {
    fn has(self, side: Side) -> bool {
        side != Side::TokioSelfWaking || self == Self::YieldNow
    }

    fn operations(self) -> u64 {
        match self {
            Self::SpawnAndJoin => spawn::batch::OPERATIONS,
            Self::ChainedSpawn => spawn::chain::OPERATIONS,
            Self::YieldNow => yield_now::OPERATIONS,
            Self::PingPong => ping_pong::OPERATIONS,
            Self::Queue => queue::OPERATIONS,
            Self::Timers => timers::OPERATIONS,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads = match options.only.as_slice() {
        [] => Workload::value_variants(),
        only => only,
    };
    let lines = compare("micro", &rows(workloads, Workload::has), &options.sampling)?;
    save(options.sampling.json.as_deref(), "small workloads, ns per operation", &lines)
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
        let Self { workload, side, milliseconds } = *self;
        ensure!(workload.has(side), "there is no such row: {}", Row(workload, side));
        let least = Duration::from_millis(milliseconds);
        let operations = workload.operations();
        child::report(&match side {
            Side::Whirligig => {
                let event_loop = common::event_loop();
                Sample::repeat(operations, least, || match workload {
                    Workload::SpawnAndJoin => spawn::batch::whirligig(&event_loop),
                    Workload::ChainedSpawn => spawn::chain::whirligig(&event_loop),
                    Workload::YieldNow => yield_now::whirligig(&event_loop),
                    Workload::PingPong => ping_pong::whirligig(&event_loop),
                    Workload::Queue => queue::whirligig(&event_loop),
                    Workload::Timers => timers::whirligig(&event_loop),
                })
            }
            Side::Tokio => {
                let runtime = common::tokio_current_thread();
                Sample::repeat(operations, least, || match workload {
                    Workload::SpawnAndJoin => spawn::batch::tokio(&runtime),
                    Workload::ChainedSpawn => spawn::chain::tokio(&runtime),
                    Workload::YieldNow => yield_now::tokio(&runtime, tokio::task::yield_now),
                    Workload::PingPong => ping_pong::tokio(&runtime),
                    Workload::Queue => queue::tokio(&runtime),
                    Workload::Timers => timers::tokio(&runtime),
                })
            }
            Side::TokioSelfWaking => {
                let runtime = common::tokio_current_thread();
                let yield_now = futures_lite::future::yield_now;
                Sample::repeat(operations, least, || yield_now::tokio(&runtime, yield_now))
            }
        })
    }
}
