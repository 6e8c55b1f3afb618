//! The small workloads against tokio: what the commands `peers micro`, `peers multi` and `peers fs` share.
//!
//! Criterion measures one side to the end and then the other, which is good for seeing a change of
//! one side and bad for a ratio. Here each sample is a fresh process that repeats a workload for a
//! moment, and the sides take turns. The workloads are those of `benches/common`, unchanged. [`single`]
//! has the rows of the event loop and tokio's current-thread runtime, [`multi`] those of the
//! multi-threaded ones, and [`fs`] those of files on both.

pub(crate) mod fs;
pub(crate) mod multi;
pub(crate) mod single;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    child, machine, rounds,
    stats::Summary,
    table::{self, short},
};

/// How the samples are taken.
#[derive(Args, Debug)]
struct Sampling {
    /// How often each side of each workload runs.
    #[arg(long, default_value_t = 7, value_parser = crate::at_least_one)]
    rounds: usize,
    /// For how long one sample repeats its workload, in milliseconds.
    #[arg(long, default_value_t = 200, value_parser = crate::at_least_one)]
    milliseconds: usize,
    /// Writes medians and ratios with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A workload, and what runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row<W, S>(W, S);

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

impl<W: ValueEnum, S: ValueEnum> fmt::Display for Row<W, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", name(&self.0), name(&self.1))
    }
}

/// The rows of `workloads` on every side that `has` them.
fn rows<W: Copy, S: ValueEnum + Copy>(workloads: &[W], has: fn(W, S) -> bool) -> Vec<Row<W, S>> {
    let sides = |&workload: &W| S::value_variants().iter().map(move |&side| Row(workload, side));
    workloads.iter().flat_map(sides).filter(|row| has(row.0, row.1)).collect()
}

/// One line of the table and of the JSON file.
#[derive(Debug, Serialize)]
struct Line<W, S> {
    workload: W,
    side: S,
    nanoseconds: Summary,
    /// Whirligig's median as a share of this side's.
    share: f64,
}

/// Runs `rows`, the first of each workload being ours, by the hidden subcommand `command`; prints them.
fn compare<W, S>(command: &str, rows: &[Row<W, S>], sampling: &Sampling) -> Result<Vec<Line<W, S>>>
where
    W: ValueEnum + Copy + PartialEq,
    S: ValueEnum + Copy,
{
    let samples = rounds::interleaved(rows, sampling.rounds, |row| {
        let milliseconds = sampling.milliseconds.to_string();
        let (workload, side) = (name(&row.0), name(&row.1));
        let arguments = [command, &workload, &side, "--milliseconds", &milliseconds];
        let sample: Sample = child::answer(child::command(arguments)?)?;
        Ok(sample.nanoseconds)
    })?;
    let summaries: Vec<_> = samples.into_iter().map(Summary::of).collect();
    let lines: Vec<_> = rows
        .iter()
        .zip(&summaries)
        .map(|(row, &nanoseconds)| {
            let first = rows.iter().position(|other| other.0 == row.0).expect("it is a row itself");
            let share = summaries[first].median / nanoseconds.median;
            Line { workload: row.0, side: row.1, nanoseconds, share }
        })
        .collect();

    println!("nanoseconds per operation, {} rounds of fresh processes", sampling.rounds);
    let mut table =
        table::new(["workload", "runtime", "median", "min", "max", "whirligig's share of it"]);
    for line in &lines {
        table.add_row([
            name(&line.workload),
            name(&line.side),
            short(line.nanoseconds.median),
            short(line.nanoseconds.min),
            short(line.nanoseconds.max),
            short(line.share),
        ]);
    }
    println!("{table}");
    Ok(lines)
}

fn save<W: Serialize, S: Serialize>(
    path: Option<&Path>,
    what: &str,
    lines: &[Line<W, S>],
) -> Result<()> {
    path.map_or(Ok(()), |path| machine::write_json(path, what, &lines))
}

/// What a child found.
#[derive(Debug, Serialize, Deserialize)]
struct Sample {
    nanoseconds: f64,
}

impl Sample {
    /// Runs `workload` twice to warm up, then again and again for `least` time.
    fn repeat(operations: u64, least: Duration, workload: impl Fn()) -> Self {
        workload();
        workload();
        let started = Instant::now();
        let mut runs = 0;
        loop {
            workload();
            runs += 1;
            let took = started.elapsed();
            if took >= least {
                return Self::of(took, runs * operations);
            }
        }
    }

    /// Runs `workload` once, as the first thing its process does.
    fn once(operations: u64, workload: impl FnOnce()) -> Self {
        let started = Instant::now();
        workload();
        Self::of(started.elapsed(), operations)
    }

    fn of(took: Duration, operations: u64) -> Self {
        Self { nanoseconds: took.as_secs_f64() * 1e9 / operations as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_time_over_operations() {
        assert_eq!(Sample::of(Duration::from_micros(3), 6).nanoseconds, 500.0);
    }
}
