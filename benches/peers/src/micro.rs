//! The command `peers micro`: the criterion workloads as interleaved ratios against tokio.
//!
//! Criterion measures one side to the end and then the other, which is good for seeing a change of
//! one side and bad for a ratio. Here each sample is a fresh process that repeats a workload for a
//! moment, and the sides take turns. The workloads are those of `benches/common`, unchanged.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    child, common, machine, ping_pong, queue, rounds, spawn,
    stats::Summary,
    table::{self, short},
    timers, yield_now,
};

/// Options of the small workloads' comparison.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each side of each workload runs.
    #[arg(long, default_value_t = 7, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Only these workloads, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOADS")]
    only: Vec<Workload>,
    /// For how long one sample repeats its workload, in milliseconds.
    #[arg(long, default_value_t = 200, value_parser = crate::at_least_one)]
    milliseconds: usize,
    /// Writes medians and ratios with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
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

#[derive(Clone, Copy, Debug)]
struct Row(Workload, Side);

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", name(&self.0), name(&self.1))
    }
}

impl Row {
    fn exists(self) -> bool {
        self.1 != Side::TokioSelfWaking || self.0 == Workload::YieldNow
    }

    fn operations(self) -> u64 {
        match self.0 {
            Workload::SpawnAndJoin => spawn::batch::OPERATIONS,
            Workload::ChainedSpawn => spawn::chain::OPERATIONS,
            Workload::YieldNow => yield_now::OPERATIONS,
            Workload::PingPong => ping_pong::OPERATIONS,
            Workload::Queue => queue::OPERATIONS,
            Workload::Timers => timers::OPERATIONS,
        }
    }
}

#[derive(Debug, Serialize)]
struct Line {
    workload: Workload,
    side: Side,
    nanoseconds: Summary,
    /// Whirligig's median as a share of this side's.
    share: f64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads = match options.only.as_slice() {
        [] => Workload::value_variants(),
        only => only,
    };
    let rows: Vec<Row> = workloads
        .iter()
        .flat_map(|&workload| Side::value_variants().iter().map(move |&side| Row(workload, side)))
        .filter(|row| row.exists())
        .collect();
    let samples = rounds::interleaved(&rows, options.rounds, |row| {
        let milliseconds = options.milliseconds.to_string();
        let (workload, side) = (name(&row.0), name(&row.1));
        let arguments = ["micro", &workload, &side, "--milliseconds", &milliseconds];
        let sample: Sample = child::answer(child::command(arguments)?)?;
        Ok(sample.nanoseconds)
    })?;

    println!("nanoseconds per operation, {} rounds of fresh processes", options.rounds);
    let mut table =
        table::new(["workload", "runtime", "median", "min", "max", "whirligig's share of it"]);
    let mut lines: Vec<Line> = Vec::with_capacity(rows.len());
    let mut ours = f64::NAN;
    for (row, of) in rows.iter().zip(samples) {
        let summary = Summary::of(of);
        if row.1 == Side::Whirligig {
            ours = summary.median;
        }
        let share = ours / summary.median;
        table.add_row([
            name(&row.0),
            name(&row.1),
            short(summary.median),
            short(summary.min),
            short(summary.max),
            short(share),
        ]);
        lines.push(Line { workload: row.0, side: row.1, nanoseconds: summary, share });
    }
    println!("{table}");
    match &options.json {
        Some(path) => machine::write_json(path, "small workloads, ns per operation", &lines),
        None => Ok(()),
    }
}

/// One sample: a workload, a side, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Once {
    workload: Workload,
    side: Side,
    #[arg(long, default_value_t = 200)]
    milliseconds: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    nanoseconds: f64,
}

impl Once {
    pub(crate) fn run(&self) -> Result<()> {
        let row = Row(self.workload, self.side);
        ensure!(row.exists(), "there is no such row: {row}");
        let least = Duration::from_millis(self.milliseconds);
        let repeats = match self.side {
            Side::Whirligig => {
                let event_loop = common::event_loop();
                repeat(least, || match self.workload {
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
                repeat(least, || match self.workload {
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
                repeat(least, || yield_now::tokio(&runtime, futures_lite::future::yield_now))
            }
        };
        let operations = (repeats.runs * row.operations()) as f64;
        let nanoseconds = repeats.took.as_secs_f64() * 1e9 / operations;
        child::report(&Sample { nanoseconds })
    }
}

struct Repeats {
    runs: u64,
    took: Duration,
}

/// Runs `workload` twice to warm up, then again and again for `least` time.
fn repeat(least: Duration, workload: impl Fn()) -> Repeats {
    workload();
    workload();
    let started = Instant::now();
    let mut runs = 0;
    loop {
        workload();
        runs += 1;
        let took = started.elapsed();
        if took >= least {
            return Repeats { runs, took };
        }
    }
}
