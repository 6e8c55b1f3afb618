//! A row of `peers bursts`: a program, the numbers it runs with, and how one process measures it.
//!
//! How many tasks block, and for how long, follows from the program and the number of workers. Called by
//! the parent, which lists the rows, and by the child, which gets one of them as its arguments and runs
//! its program on one side.

use std::{fmt, thread, time::Duration};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{beside, burst};
use crate::multi;

/// How often a program of [`burst`] runs in one process.
const BURSTS: usize = 2;
/// How long nothing happens before a measurement: long enough for the workers to park, and for ours
/// to end the periodic looks that they take for a while after that.
const IDLE: Duration = Duration::from_millis(150);
/// Tasks without work that are spawned before [`IDLE`], for each worker.
const SMALL_TASKS: usize = 4;
/// The most that whirligig can be built with.
const MOST_WORKERS: usize = 1_024;

/// A number of workers of which one can be idle while another is blocked.
pub(super) fn workers(text: &str) -> Result<usize, String> {
    match crate::at_least_one(text)? {
        1 => Err("give 2 or more: beside a single worker no other can be idle".into()),
        workers @ 2..=MOST_WORKERS => Ok(workers),
        _ => Err(format!("give {MOST_WORKERS} or fewer")),
    }
}

/// What runs beside the tasks that block, and what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Program {
    /// One task spawns the tasks and joins them: makespan.
    BurstInside,
    /// The thread that calls `block_on`, which is no worker, spawns and joins them: makespan.
    BurstOutside,
    /// One byte over TCP, there and back, beside one task that blocks: latency.
    EchoBesidePolls,
    /// A task that sleeps for a millisecond again and again, beside one that blocks: lateness.
    TimerBesidePolls,
    /// A task that a plain thread wakes, and its answer, beside one task that blocks: latency.
    WakeBesidePolls,
    /// The echo beside tasks that block all workers but one: latency.
    EchoBesideMany,
}

impl Program {
    pub(super) fn is_burst(self) -> bool {
        matches!(self, Self::BurstInside | Self::BurstOutside)
    }

    /// Its rows with so many workers.
    pub(super) fn rows(self, workers: usize) -> impl Iterator<Item = Row> {
        let most = workers - 1;
        let blocking = match self {
            Self::BurstInside | Self::BurstOutside => {
                vec![(most, 5), (most, 50), (2 * workers, 20)]
            }
            Self::EchoBesidePolls | Self::TimerBesidePolls | Self::WakeBesidePolls => vec![(1, 8)],
            Self::EchoBesideMany => vec![(most, 8)],
        };
        // One task is no burst, and the echo beside one has a row of its own.
        let least = if self.is_burst() || self == Self::EchoBesideMany { 2 } else { 1 };
        let row = move |(tasks, milliseconds)| Row { program: self, workers, tasks, milliseconds };
        blocking.into_iter().filter(move |&(tasks, _)| tasks >= least).map(row)
    }
}

/// Runs a program once, with so many tasks that block for so long, and gives what it measured.
type Measure<R> = fn(&R, usize, Duration) -> Result<Vec<Duration>>;

impl Program {
    fn on_whirligig(self) -> Measure<whirligig::Runtime> {
        match self {
            Self::BurstInside => burst::inside::whirligig,
            Self::BurstOutside => burst::outside::whirligig,
            Self::EchoBesidePolls | Self::EchoBesideMany => beside::echo::whirligig,
            Self::TimerBesidePolls => beside::timer::whirligig,
            Self::WakeBesidePolls => beside::wake::whirligig,
        }
    }

    fn on_tokio(self) -> Measure<tokio::runtime::Runtime> {
        match self {
            Self::BurstInside => burst::inside::tokio,
            Self::BurstOutside => burst::outside::tokio,
            Self::EchoBesidePolls | Self::EchoBesideMany => beside::echo::tokio,
            Self::TimerBesidePolls => beside::timer::tokio,
            Self::WakeBesidePolls => beside::wake::tokio,
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().expect("no program is hidden").get_name())
    }
}

/// A program, and the numbers it runs with.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    pub(super) program: Program,
    #[arg(long, value_parser = workers)]
    pub(super) workers: usize,
    /// Tasks that block their thread.
    #[arg(long, value_parser = crate::at_least_one)]
    pub(super) tasks: usize,
    /// For how long each of them blocks it at a time.
    #[arg(long)]
    pub(super) milliseconds: u64,
}

impl Row {
    pub(super) fn blocking(self) -> String {
        format!("{} x {} ms", self.tasks, self.milliseconds)
    }

    fn block(self) -> Duration {
        Duration::from_millis(self.milliseconds)
    }

    /// What the makespan cannot be below; nothing for a latency.
    fn shortest(self) -> Duration {
        let tasks_of_one_worker = self.tasks.div_ceil(self.workers) as u32;
        if self.program.is_burst() { self.block() * tasks_of_one_worker } else { Duration::ZERO }
    }

    /// Measures the row on whirligig.
    pub(super) fn on_whirligig(self) -> Result<Vec<Duration>> {
        let runtime = multi::runtime(self.workers);
        self.measure(&runtime, self.program.on_whirligig(), burst::inside::whirligig)
    }

    /// Measures the row on tokio.
    pub(super) fn on_tokio(self) -> Result<Vec<Duration>> {
        let runtime = multi::tokio(self.workers);
        self.measure(&runtime, self.program.on_tokio(), burst::inside::tokio)
    }

    /// Runs `program` as often as one process is to, each time after small tasks, spawned by
    /// `burst_inside`, and a pause in which the workers park.
    fn measure<R>(
        self,
        runtime: &R,
        program: Measure<R>,
        burst_inside: Measure<R>,
    ) -> Result<Vec<Duration>> {
        let runs = if self.program.is_burst() { BURSTS } else { 1 };
        let mut durations = Vec::new();
        for _ in 0..runs {
            burst_inside(runtime, SMALL_TASKS * self.workers, Duration::ZERO)?;
            thread::sleep(IDLE);
            durations.extend(program(runtime, self.tasks, self.block())?);
        }
        let shortest = self.shortest();
        ensure!(
            durations.iter().all(|&duration| duration >= shortest),
            "a makespan is below {shortest:?}, so not every task has blocked a worker"
        );
        Ok(durations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makespan_is_at_least_what_the_busiest_worker_has_to_do() {
        let shortest = |program, tasks| {
            Row { program, workers: 4, tasks, milliseconds: 5 }.shortest().as_millis()
        };
        assert_eq!(shortest(Program::BurstInside, 3), 5);
        assert_eq!(shortest(Program::BurstOutside, 8), 10);
        assert_eq!(shortest(Program::BurstOutside, 9), 15);
        assert_eq!(shortest(Program::EchoBesideMany, 3), 0);
    }

    #[test]
    fn every_program_measures_something_on_every_side() {
        let (ours, theirs) = (multi::runtime(2), multi::tokio(2));
        for &program in Program::value_variants() {
            for durations in [
                program.on_whirligig()(&ours, 2, Duration::from_millis(1)),
                program.on_tokio()(&theirs, 2, Duration::from_millis(1)),
            ] {
                assert!(!durations.unwrap().is_empty(), "{program}");
            }
        }
    }
}
