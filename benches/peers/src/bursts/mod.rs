//! The command `peers bursts`: whether workers stay idle while tasks block the threads of others.
//!
//! The tasks here block their thread with `std::thread::sleep`. A row is a program, a number of workers
//! and the tasks that block: how many, and for how long at a time. [`burst`] has the programs that spawn
//! them all at once, and measures the makespan, which is long if a worker stays parked although a task
//! is ready. [`beside`] has those in which tasks block again and again, and measures the latency of a
//! task beside them that does not. Each measurement begins with all workers parked. Unlike the other
//! comparisons this one has goals, because a ratio far above them is a fault and not a price.
//!
//! The alternative is tasks that compute. With more workers than cores they measure how the kernel
//! divides the cores, and a parked worker makes no difference. A thread that sleeps needs no core, so 16
//! workers can be compared on two.

mod beside;
mod burst;
mod row;

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use self::row::{Program, Row, workers};
use crate::{
    child, machine, rounds,
    side::Side,
    stats::{Summary, percentile},
    table::{self, short},
};

/// What whirligig's makespan may be at most, as a multiple of tokio's.
const MAKESPAN_GOAL: f64 = 1.2;
/// What whirligig's p99 latency may be at most, as a multiple of tokio's.
const LATENCY_GOAL: f64 = 2.0;

/// Options of the comparison with tasks that block their thread.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each runtime runs in each row.
    #[arg(long, default_value_t = 3, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Numbers of workers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "2,4,8,16", value_parser = workers)]
    workers: Vec<usize>,
    /// Only these rows, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROWS")]
    only: Vec<Program>,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One process to start.
#[derive(Clone, Copy, Debug)]
struct Run(Row, Side);

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(row, side) = self;
        write!(f, "{}, {}, {} workers, {side}", row.program, row.blocking(), row.workers)
    }
}

impl Run {
    fn sample(self) -> Result<Sample> {
        let Self(Row { program, workers, tasks, milliseconds }, side) = self;
        let mut command = child::command(["bursts", &program.to_string(), &side.to_string()])?;
        command
            .args(["--workers", &workers.to_string()])
            .args(["--tasks", &tasks.to_string()])
            .args(["--milliseconds", &milliseconds.to_string()]);
        child::answer(command)
    }
}

/// What a child found: of a burst the makespans, of the others the latencies.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sample {
    median_us: f64,
    p99_us: f64,
    max_us: f64,
}

impl Sample {
    fn of(durations: &[Duration]) -> Self {
        let mut sorted: Vec<_> = durations.iter().map(|took| took.as_secs_f64() * 1e6).collect();
        sorted.sort_by(f64::total_cmp);
        let Summary { median, max, .. } = Summary::of(sorted.iter().copied());
        Self { median_us: median, p99_us: percentile(&sorted, 0.99), max_us: max }
    }
}

fn over_rounds(samples: &[Sample], what: impl Fn(&Sample) -> f64) -> Summary {
    Summary::of(samples.iter().map(what))
}

/// What whirligig's figure may be at most, as a multiple of tokio's.
fn goal(program: Program) -> f64 {
    if program.is_burst() { MAKESPAN_GOAL } else { LATENCY_GOAL }
}

/// The makespan in milliseconds or the p99 in microseconds: the median over the rounds.
fn quoted(program: Program, samples: &[Sample]) -> f64 {
    match program.is_burst() {
        true => over_rounds(samples, |sample| sample.median_us).median / 1e3,
        false => over_rounds(samples, |sample| sample.p99_us).median,
    }
}

/// The longest makespan, or the p99 of the worst round.
fn worst(program: Program, samples: &[Sample]) -> f64 {
    match program.is_burst() {
        true => over_rounds(samples, |sample| sample.max_us).max / 1e3,
        false => over_rounds(samples, |sample| sample.p99_us).max,
    }
}

/// One line of a table and of the JSON file.
#[derive(Debug, Serialize)]
struct Line {
    #[serde(flatten)]
    row: Row,
    whirligig: Vec<Sample>,
    tokio: Vec<Sample>,
    /// Whirligig's makespan or p99 as a multiple of tokio's.
    ratio: f64,
}

impl Line {
    fn new(row: Row, whirligig: Vec<Sample>, tokio: Vec<Sample>) -> Self {
        let ratio = quoted(row.program, &whirligig) / quoted(row.program, &tokio);
        Self { row, whirligig, tokio, ratio }
    }

    fn misses_its_goal(&self) -> bool {
        self.ratio > goal(self.row.program)
    }

    /// What both tables begin with.
    fn cells(&self) -> [String; 7] {
        let Self { row, whirligig, tokio, ratio } = self;
        [
            row.program.to_string(),
            row.blocking(),
            row.workers.to_string(),
            short(quoted(row.program, whirligig)),
            short(quoted(row.program, tokio)),
            short(*ratio),
            if self.misses_its_goal() { "missed" } else { "" }.to_owned(),
        ]
    }

    fn worst(&self) -> [String; 2] {
        [&self.whirligig, &self.tokio].map(|samples| short(worst(self.row.program, samples)))
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let rows = rows(options)?;
    let of_row = |&row: &Row| Side::value_variants().iter().map(move |&side| Run(row, side));
    let runs: Vec<_> = rows.iter().flat_map(of_row).collect();
    let mut samples = rounds::interleaved(&runs, options.rounds, Run::sample)?.into_iter();
    let mut next = || samples.next().expect("each run has its samples");
    let lines: Vec<_> = rows.iter().map(|&row| Line::new(row, next(), next())).collect();

    println!(
        "beside tasks that block their thread: medians of {} rounds of fresh processes",
        options.rounds
    );
    print_makespans(&lines);
    print_latencies(&lines);
    println!(
        "\ngoals, as multiples of tokio: makespan {MAKESPAN_GOAL}, p99 latency {LATENCY_GOAL}; missed \
         in {} of {} rows",
        lines.iter().filter(|line| line.misses_its_goal()).count(),
        lines.len()
    );
    match &options.json {
        Some(path) => machine::write_json(path, "tasks that block their thread, us", &lines),
        None => Ok(()),
    }
}

/// The rows that `options` ask for, program by program.
fn rows(options: &Options) -> Result<Vec<Row>> {
    let programs = match options.only.as_slice() {
        [] => Program::value_variants(),
        only => only,
    };
    let mut rows = Vec::new();
    for program in programs {
        rows.extend(options.workers.iter().flat_map(|&workers| program.rows(workers)));
    }
    ensure!(!rows.is_empty(), "no such row: {} needs 3 workers or more", Program::EchoBesideMany);
    Ok(rows)
}

fn print_makespans(lines: &[Line]) {
    let mut table = table::new([
        "makespan, ms",
        "tasks",
        "workers",
        "whirligig",
        "tokio",
        "ratio",
        "goal",
        "whirligig's worst",
        "tokio's worst",
    ]);
    for line in lines.iter().filter(|line| line.row.program.is_burst()) {
        table.add_row(line.cells().into_iter().chain(line.worst()));
    }
    if !table.is_empty() {
        println!("\n{table}");
    }
}

fn print_latencies(lines: &[Line]) {
    let mut table = table::new([
        "p99 latency, us",
        "tasks",
        "workers",
        "whirligig",
        "tokio",
        "ratio",
        "goal",
        "whirligig's worst",
        "tokio's worst",
        "whirligig's median",
        "tokio's median",
    ]);
    for line in lines.iter().filter(|line| !line.row.program.is_burst()) {
        let median = |samples: &Vec<_>| short(over_rounds(samples, |of| of.median_us).median);
        let medians = [&line.whirligig, &line.tokio].map(median);
        table.add_row(line.cells().into_iter().chain(line.worst()).chain(medians));
    }
    if !table.is_empty() {
        println!("\n{table}");
    }
}

/// One sample: a row, and what runs it.
#[derive(Args, Debug)]
pub(crate) struct Once {
    #[command(flatten)]
    row: Row,
    side: Side,
}

impl Once {
    pub(crate) fn run(&self) -> Result<()> {
        let Self { row, side } = *self;
        machine::raise_descriptor_limit()?;
        let durations = match side {
            Side::Whirligig => row.on_whirligig()?,
            Side::Tokio => row.on_tokio()?,
        };
        child::report(&Sample::of(&durations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser, Debug)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    fn parse(options: &[&str]) -> Result<Options, String> {
        let arguments = Arguments::try_parse_from([&["bursts"], options].concat());
        arguments.map(|arguments| arguments.options).map_err(|error| error.to_string())
    }

    fn chosen(options: &[&str]) -> Vec<(Program, usize, String)> {
        let rows = rows(&parse(options).unwrap()).unwrap();
        rows.iter().map(|row| (row.program, row.workers, row.blocking())).collect()
    }

    #[test]
    fn the_tasks_of_a_row_follow_from_its_workers() {
        let four = chosen(&["--only", "burst-outside", "--workers", "4"]);
        let expected = ["3 x 5 ms", "3 x 50 ms", "8 x 20 ms"];
        assert_eq!(four, expected.map(|tasks| (Program::BurstOutside, 4, tasks.to_owned())));
        let many = chosen(&["--only", "echo-beside-many"]);
        let expected = [(4, "3 x 8 ms"), (8, "7 x 8 ms"), (16, "15 x 8 ms")];
        let row =
            |(workers, tasks): (_, &str)| (Program::EchoBesideMany, workers, tasks.to_owned());
        assert_eq!(many, expected.map(row));
    }

    #[test]
    fn two_workers_have_no_burst_of_one_task() {
        let two = chosen(&["--only", "burst-inside,wake-beside-polls", "--workers", "2"]);
        let expected =
            [(Program::BurstInside, "4 x 20 ms"), (Program::WakeBesidePolls, "1 x 8 ms")];
        assert_eq!(two, expected.map(|(program, tasks)| (program, 2, tasks.to_owned())));
    }

    #[test]
    fn a_bad_option_gets_advice() {
        let advice = |options: &[&str]| parse(options).unwrap_err();
        assert!(advice(&["--workers", "1"]).contains("2 or more"));
        assert!(advice(&["--workers", "2,1025"]).contains("1024 or fewer"));
        assert!(advice(&["--workers", "two"]).contains("whole number"));
        assert!(advice(&["--only", "burst"]).contains("burst-inside"));
        let none = rows(&parse(&["--only", "echo-beside-many", "--workers", "2"]).unwrap());
        assert!(none.unwrap_err().to_string().contains("3 workers or more"));
    }

    #[test]
    fn a_burst_goes_by_its_median_and_a_latency_by_its_p99() {
        let samples = |milliseconds: &[u64]| {
            let one = |&first| Sample::of(&[first, first + 2].map(Duration::from_millis));
            milliseconds.iter().map(one).collect::<Vec<_>>()
        };
        let line = |program| {
            let row = Row { program, workers: 4, tasks: 3, milliseconds: 5 };
            Line::new(row, samples(&[5, 9, 6]), samples(&[4, 3, 5]))
        };
        let burst = line(Program::BurstInside);
        assert_eq!(burst.cells()[3..], ["7.00", "5.00", "1.40", "missed"]);
        assert_eq!(burst.worst(), ["11.0", "7.00"]);
        let echo = line(Program::EchoBesidePolls);
        assert_eq!(echo.cells()[3..], ["8000", "6000", "1.33", ""]);
        assert_eq!(echo.worst(), ["11000", "7000"]);
    }
}
