//! The commands `peers sleeps` and `peers precision`: what timers cost when they do fire.
//!
//! Both take real seconds, which is why they are no criterion benches. A task measures its own
//! lateness, from before it asks for the sleep to when it runs again, so queueing behind other tasks
//! counts as lateness too. Durations come from a seeded generator: each side sleeps the same ones.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    child, common,
    machine::{self, CpuTime},
    rounds,
    side::Side,
    stats::{Summary, percentile},
    table::{self, short},
};

const SEED: u64 = 0x5EED;
const SHORT_SLEEP: Duration = Duration::from_micros(50);
const SHORT_SLEEPS: usize = 400;

/// Options of the many sleeps.
#[derive(Args, Debug)]
pub(crate) struct SleepsOptions {
    /// How often each runtime runs.
    #[arg(long, default_value_t = 7, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Tasks that sleep at the same time.
    #[arg(long, default_value_t = 100_000, value_parser = crate::at_least_one)]
    tasks: usize,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct SleepsSample {
    cpu_seconds: f64,
    median_us: f64,
    p99_us: f64,
    early: usize,
}

pub(crate) fn run_sleeps(options: &SleepsOptions) -> Result<()> {
    let sides = Side::value_variants();
    let tasks = options.tasks.to_string();
    let samples = rounds::interleaved(sides, options.rounds, |side| {
        let arguments = ["sleeps", &side.to_string(), "--tasks", &tasks];
        child::answer::<SleepsSample>(child::command(arguments)?)
    })?;
    println!("{} concurrent sleeps of 1 to 1,000 ms, {} rounds", options.tasks, options.rounds);
    let mut table = table::new([
        "runtime",
        "CPU, s",
        "against tokio",
        "median lateness, us",
        "against tokio",
        "p99 lateness, us",
        "early",
    ]);
    let cpu = |of: &[SleepsSample]| Summary::of(of.iter().map(|sample| sample.cpu_seconds)).median;
    let late = |of: &[SleepsSample]| Summary::of(of.iter().map(|sample| sample.median_us)).median;
    let tokio = samples.last().expect("tokio is the last side");
    for (side, of) in sides.iter().zip(&samples) {
        table.add_row([
            side.to_string(),
            format!("{:.3}", cpu(of)),
            short(cpu(of) / cpu(tokio)),
            short(late(of)),
            short(late(of) / late(tokio)),
            short(Summary::of(of.iter().map(|sample| sample.p99_us)).median),
            of.iter().map(|sample| sample.early).sum::<usize>().to_string(),
        ]);
    }
    println!("{table}");
    save(options.json.as_deref(), "concurrent sleeps", sides, &samples)
}

fn save<T: Serialize>(
    path: Option<&std::path::Path>,
    what: &str,
    sides: &[Side],
    samples: &[Vec<T>],
) -> Result<()> {
    match path {
        Some(path) => {
            machine::write_json(path, what, &sides.iter().zip(samples).collect::<Vec<_>>())
        }
        None => Ok(()),
    }
}

/// One sample of the many sleeps.
#[derive(Args, Debug)]
pub(crate) struct SleepsOnce {
    side: Side,
    #[arg(long, default_value_t = 100_000)]
    tasks: usize,
}

impl SleepsOnce {
    pub(crate) fn run(&self) -> Result<()> {
        let mut random = fastrand::Rng::with_seed(SEED);
        let one = |_| Duration::from_micros(random.u64(1_000..=1_000_000));
        let durations = (0..self.tasks).map(one).collect();
        let before = CpuTime::now();
        let late = Lateness::of(sleep_at_once(self.side, durations));
        let cpu_seconds = CpuTime::now().since(before).total().as_secs_f64();
        child::report(&SleepsSample {
            cpu_seconds,
            median_us: late.percentile_us(0.5),
            p99_us: late.percentile_us(0.99),
            early: late.early(),
        })
    }
}

/// What was asked, and what passed.
type Slept = (Duration, Duration);

/// One task per duration, all asleep at once.
fn sleep_at_once(side: Side, durations: Vec<Duration>) -> Vec<Slept> {
    match side {
        Side::Whirligig => common::event_loop().block_on(async move {
            let one = |asked| {
                whirligig::spawn_local(async move {
                    let started = Instant::now();
                    whirligig::time::sleep(asked).await;
                    (asked, started.elapsed())
                })
            };
            let tasks: Vec<_> = durations.into_iter().map(one).collect();
            let mut slept = Vec::with_capacity(tasks.len());
            for task in tasks {
                slept.push(task.await.expect("a sleep does not panic"));
            }
            slept
        }),
        Side::Tokio => common::tokio_current_thread().block_on(async move {
            let one = |asked| {
                tokio::spawn(async move {
                    let started = Instant::now();
                    tokio::time::sleep(asked).await;
                    (asked, started.elapsed())
                })
            };
            let tasks: Vec<_> = durations.into_iter().map(one).collect();
            let mut slept = Vec::with_capacity(tasks.len());
            for task in tasks {
                slept.push(task.await.expect("a sleep does not panic"));
            }
            slept
        }),
    }
}

/// One short sleep after the other, in one task.
fn sleep_in_turn(side: Side) -> Vec<Slept> {
    let mut slept = Vec::with_capacity(SHORT_SLEEPS);
    match side {
        Side::Whirligig => common::event_loop().block_on(async {
            for _ in 0..SHORT_SLEEPS {
                let started = Instant::now();
                whirligig::time::sleep(SHORT_SLEEP).await;
                slept.push((SHORT_SLEEP, started.elapsed()));
            }
        }),
        Side::Tokio => common::tokio_current_thread().block_on(async {
            for _ in 0..SHORT_SLEEPS {
                let started = Instant::now();
                tokio::time::sleep(SHORT_SLEEP).await;
                slept.push((SHORT_SLEEP, started.elapsed()));
            }
        }),
    }
    slept
}

/// How much later than asked, in nanoseconds, sorted; negative is early.
struct Lateness(Vec<i128>);

impl Lateness {
    fn of(slept: Vec<Slept>) -> Self {
        let nanoseconds = |duration: Duration| duration.as_nanos() as i128;
        let mut late: Vec<_> = slept
            .into_iter()
            .map(|(asked, passed)| nanoseconds(passed) - nanoseconds(asked))
            .collect();
        late.sort_unstable();
        Self(late)
    }

    /// The lateness that `share` of the sleeps do not exceed.
    fn percentile_us(&self, share: f64) -> f64 {
        percentile(&self.0, share) as f64 / 1e3
    }

    fn early(&self) -> usize {
        self.0.partition_point(|&late| late < 0)
    }
}

/// Options of the precision of sleeps.
#[derive(Args, Debug)]
pub(crate) struct PrecisionOptions {
    /// How often each runtime runs.
    #[arg(long, default_value_t = 7, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Random sleeps of up to half a second that must not end early.
    #[arg(long, default_value_t = 10_000, value_parser = crate::at_least_one)]
    random: usize,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<std::path::PathBuf>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PrecisionSample {
    median_us: f64,
    p99_us: f64,
    early_short: usize,
    early_random: usize,
}

pub(crate) fn run_precision(options: &PrecisionOptions) -> Result<()> {
    let sides = Side::value_variants();
    let random = options.random.to_string();
    let samples = rounds::interleaved(sides, options.rounds, |side| {
        let arguments = ["precision", &side.to_string(), "--random", &random];
        child::answer::<PrecisionSample>(child::command(arguments)?)
    })?;
    println!(
        "{SHORT_SLEEPS} sleeps of 50 us in turn, then {} random ones at once, {} rounds",
        options.random, options.rounds
    );
    let mut table = table::new([
        "runtime",
        "median sleep(50 us), us",
        "p99, us",
        "early of these",
        "early of the random ones",
    ]);
    for (side, of) in sides.iter().zip(&samples) {
        table.add_row([
            side.to_string(),
            short(Summary::of(of.iter().map(|sample| sample.median_us)).median),
            short(Summary::of(of.iter().map(|sample| sample.p99_us)).median),
            of.iter().map(|sample| sample.early_short).sum::<usize>().to_string(),
            of.iter().map(|sample| sample.early_random).sum::<usize>().to_string(),
        ]);
    }
    println!("{table}");
    save(options.json.as_deref(), "precision of sleeps", sides, &samples)
}

/// One sample of the precision.
#[derive(Args, Debug)]
pub(crate) struct PrecisionOnce {
    side: Side,
    #[arg(long, default_value_t = 10_000)]
    random: usize,
}

impl PrecisionOnce {
    pub(crate) fn run(&self) -> Result<()> {
        let in_turn = Lateness::of(sleep_in_turn(self.side));
        let mut random = fastrand::Rng::with_seed(SEED);
        let one = |_| Duration::from_nanos(random.u64(0..=500_000_000));
        let at_once = Lateness::of(sleep_at_once(self.side, (0..self.random).map(one).collect()));
        let asked = SHORT_SLEEP.as_secs_f64() * 1e6;
        child::report(&PrecisionSample {
            median_us: asked + in_turn.percentile_us(0.5),
            p99_us: asked + in_turn.percentile_us(0.99),
            early_short: in_turn.early(),
            early_random: at_once.early(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_sleeps_are_seen_and_percentiles_are_of_sorted_samples() {
        let ms = Duration::from_millis;
        let late = Lateness::of(vec![(ms(5), ms(9)), (ms(5), ms(4)), (ms(5), ms(6))]);
        assert_eq!(late.early(), 1);
        assert_eq!(late.percentile_us(0.5), 1_000.0);
        assert_eq!(late.percentile_us(1.0), 4_000.0);
    }
}
