//! The command `peers`: the loop program on every runtime, side by side.
//!
//! `common/loop_program.rs` holds the program for whirligig and tokio, [`rivals`] for the other Rust
//! runtimes, `python/loop_program.py` for the Python loops. This file chooses the rows, runs them
//! interleaved, checks each answer and draws the table; [`chart`] draws the picture.

mod chart;
mod python;
mod rivals;

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    child, common, machine,
    multi::{self, WORKERS},
    program::{self, Work},
    rounds,
    stats::Summary,
    table::{self, short},
};

const DEFAULT_CHART: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/charts/loop_program.svg");

/// Options of the loop program's comparison.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each runtime runs.
    #[arg(long, default_value_t = 7, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Items the consumer takes, half from each producer.
    #[arg(long, default_value_t = 500_000, value_parser = even)]
    actions: u64,
    /// Whether every item carries a fresh timestamp.
    #[arg(long, value_enum, default_value_t = Switch::Off)]
    clock: Switch,
    /// Only these rows, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<Row>,
    /// Draws a bar chart; without FILE to docs/charts/loop_program.svg.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = DEFAULT_CHART)]
    svg: Option<PathBuf>,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// On or off, spelt out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// An even number of actions, so that two producers share them equally.
pub(crate) fn even(text: &str) -> Result<u64, String> {
    match text.replace('_', "").parse() {
        Ok(actions) if actions >= 2 && actions % 2 == 0 => Ok(actions),
        Ok(_) => Err("two producers share the actions: give an even number, 2 or more".into()),
        Err(error) => Err(format!("{error}: give an even number such as 500000")),
    }
}

/// A runtime, and what it is given to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Row {
    Whirligig,
    Tokio,
    TokioSelfWaking,
    WhirligigMulti,
    TokioMulti,
    TokioMultiSelfWaking,
    Smol,
    SmolRc,
    Monoio,
    MonoioRc,
    Uvloop,
    Rloop,
    Asyncio,
}

impl Row {
    /// The row with its threads, its queue and its yield, where they are not what one would think.
    fn label(self) -> String {
        match self {
            Self::Whirligig => "whirligig".into(),
            Self::Tokio => "tokio (its yield_now)".into(),
            Self::TokioSelfWaking => "tokio (self-waking yield)".into(),
            Self::WhirligigMulti => format!("whirligig, {WORKERS} workers"),
            Self::TokioMulti => format!("tokio, {WORKERS} workers (its yield_now)"),
            Self::TokioMultiSelfWaking => format!("tokio, {WORKERS} workers (self-waking yield)"),
            Self::Smol => "smol (async-channel)".into(),
            Self::SmolRc => "smol (Rc queue)".into(),
            Self::Monoio => "monoio (local-sync)".into(),
            Self::MonoioRc => "monoio (Rc queue)".into(),
            Self::Uvloop => "uvloop".into(),
            Self::Rloop => "rloop".into(),
            Self::Asyncio => "asyncio".into(),
        }
    }

    /// The row of whirligig's that has as many threads: what this one is measured against.
    fn ours(self) -> Self {
        match self {
            Self::WhirligigMulti | Self::TokioMulti | Self::TokioMultiSelfWaking => {
                Self::WhirligigMulti
            }
            _ => Self::Whirligig,
        }
    }

    fn name(self) -> String {
        self.to_possible_value().expect("no row is hidden").get_name().to_owned()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.label())
    }
}

/// What one run has to say.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    seconds: f64,
    count: u64,
    sum: u64,
}

/// One line of the table, of the chart and of the JSON file.
#[derive(Debug, Serialize)]
pub(crate) struct Line {
    row: Row,
    label: String,
    #[serde(flatten)]
    summary: Summary,
    /// The median against whirligig's with as many threads, if that ran.
    ratio: Option<f64>,
    seconds: Vec<f64>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let work = Work { actions: options.actions, clock: options.clock == Switch::On };
    let wanted = match options.only.as_slice() {
        [] => Row::value_variants(),
        only => only,
    };
    let mut pythons = python::Interpreters::default();
    let rows: Vec<Row> = wanted.iter().copied().filter(|&row| pythons.prepare(row)).collect();
    ensure!(!rows.is_empty(), "none of the chosen rows can run here");

    let samples = rounds::interleaved(&rows, options.rounds, |row| {
        let command = match pythons.command(row, work) {
            Some(command) => command,
            None => child_command(row, work)?,
        };
        let sample: Sample = child::answer(command)?;
        check(row, work, &sample)?;
        Ok(sample.seconds)
    })?;

    let lines = lines(&rows, samples);
    print_table(&lines, options, work);
    if let Some(path) = &options.svg {
        make_room(path)?;
        chart::draw(path, &lines, options.rounds, work)?;
        println!("drew {}", path.display());
    }
    if let Some(path) = &options.json {
        machine::write_json(path, &title(work), &lines)?;
    }
    Ok(())
}

/// What was run, in a few words.
fn title(work: Work) -> String {
    let clock = if work.clock { ", a clock read per item" } else { "" };
    format!("loop program, {} actions{clock}", grouped(work.actions))
}

fn check(row: Row, work: Work, sample: &Sample) -> Result<()> {
    let expected = work.expected();
    ensure!(
        (sample.count, sample.sum) == (expected.count, expected.sum),
        "{row} got count {} and sum {}, not {} and {}",
        sample.count,
        sample.sum,
        expected.count,
        expected.sum
    );
    Ok(())
}

fn lines(rows: &[Row], samples: Vec<Vec<f64>>) -> Vec<Line> {
    let summaries: Vec<_> = samples.iter().map(|of| Summary::of(of.iter().copied())).collect();
    let mut lines: Vec<_> = rows
        .iter()
        .zip(samples)
        .zip(&summaries)
        .map(|((&row, seconds), &summary)| {
            let ours = rows.iter().position(|&other| other == row.ours());
            let ratio = ours.map(|ours| summary.median / summaries[ours].median);
            Line { row, label: row.label(), summary, ratio, seconds }
        })
        .collect();
    lines.sort_by(|a, b| a.summary.median.total_cmp(&b.summary.median));
    lines
}

fn print_table(lines: &[Line], options: &Options, work: Work) {
    println!("{}, {} rounds; milliseconds", title(work), options.rounds);
    let mut table = table::new(["runtime", "median", "min", "max", "against whirligig"]);
    for line in lines {
        let milliseconds = |seconds: f64| short(seconds * 1e3);
        table.add_row([
            line.label.clone(),
            milliseconds(line.summary.median),
            milliseconds(line.summary.min),
            milliseconds(line.summary.max),
            line.ratio.map_or("-".to_owned(), |ratio| format!("{} x", short(ratio))),
        ]);
    }
    println!("{table}");
    if lines.iter().any(|line| line.row.ours() == Row::WhirligigMulti) {
        println!(
            "{WORKERS} workers are measured against {WORKERS} workers; the others have one thread"
        );
    }
}

fn make_room(path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display())),
        None => Ok(()),
    }
}

/// The hidden subcommand that runs `row` once in this very process.
pub(crate) fn child_command(row: Row, work: Work) -> Result<std::process::Command> {
    let clock = if work.clock { "on" } else { "off" };
    child::command(["loop", &row.name(), "--actions", &work.actions.to_string(), "--clock", clock])
}

/// The child's side: one run, timed around the program alone.
pub(crate) fn run_once(row: Row, actions: u64, clock: Switch) -> Result<()> {
    let work = Work { actions, clock: clock == Switch::On };
    let (seconds, tally) = match row {
        Row::Whirligig => {
            let event_loop = common::event_loop();
            timed(|| program::whirligig(&event_loop, work))
        }
        Row::Tokio => {
            let runtime = common::tokio_current_thread();
            timed(|| program::tokio(&runtime, work, tokio::task::yield_now))
        }
        Row::TokioSelfWaking => {
            let runtime = common::tokio_current_thread();
            timed(|| program::tokio(&runtime, work, futures_lite::future::yield_now))
        }
        Row::WhirligigMulti => {
            let runtime = multi::runtime(WORKERS);
            timed(|| program::whirligig_multi(&runtime, work))
        }
        Row::TokioMulti => {
            let runtime = multi::tokio(WORKERS);
            timed(|| program::tokio(&runtime, work, tokio::task::yield_now))
        }
        Row::TokioMultiSelfWaking => {
            let runtime = multi::tokio(WORKERS);
            timed(|| program::tokio(&runtime, work, futures_lite::future::yield_now))
        }
        Row::Smol => timed(|| rivals::smol(work)),
        Row::SmolRc => timed(|| rivals::smol_rc(work)),
        Row::Monoio => {
            let mut runtime = rivals::monoio_runtime()?;
            timed(|| rivals::monoio(&mut runtime, work))
        }
        Row::MonoioRc => {
            let mut runtime = rivals::monoio_runtime()?;
            timed(|| rivals::monoio_rc(&mut runtime, work))
        }
        Row::Uvloop | Row::Rloop | Row::Asyncio => {
            anyhow::bail!("{row} runs in Python: see python/loop_program.py")
        }
    };
    child::report(&Sample { seconds, count: tally.count, sum: tally.sum })
}

fn timed<T>(program: impl FnOnce() -> T) -> (f64, T) {
    let started = Instant::now();
    let result = program();
    (started.elapsed().as_secs_f64(), result)
}

/// `number` with a comma after every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_or_small_actions_get_advice() {
        assert_eq!(even("500_000"), Ok(500_000));
        assert!(even("7").unwrap_err().contains("even number"));
        assert!(even("0").unwrap_err().contains("2 or more"));
        assert!(even("many").unwrap_err().contains("such as"));
    }

    #[test]
    fn the_closed_formula_is_the_sum() {
        for actions in [2, 4, 10, 1_000] {
            let mut expected = program::Tally::EMPTY;
            for index in (0..actions / 2).chain(0..actions / 2) {
                expected.add((index * index, Instant::now()));
            }
            assert_eq!(Work { actions, clock: false }.expected(), expected);
        }
    }

    #[test]
    fn digits_come_in_threes() {
        assert_eq!(grouped(500_000), "500,000");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(12), "12");
    }

    #[test]
    fn ratios_are_against_whirligig_and_the_fastest_comes_first() {
        let lines = lines(&[Row::Tokio, Row::Whirligig], vec![vec![8.0], vec![2.0]]);
        assert_eq!(lines[0].row, Row::Whirligig);
        assert_eq!(lines[1].ratio, Some(4.0));
    }

    #[test]
    fn many_threads_are_measured_against_as_many() {
        let rows = [Row::Whirligig, Row::WhirligigMulti, Row::TokioMulti, Row::Smol];
        let lines = lines(&rows, vec![vec![1.0], vec![2.0], vec![10.0], vec![20.0]]);
        let ratios: Vec<_> = lines.iter().map(|line| line.ratio).collect();
        assert_eq!(ratios, [1.0, 1.0, 5.0, 20.0].map(Some));
    }
}
