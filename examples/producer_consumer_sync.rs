//! The synchronous program: first all twenty items are produced, then all are consumed.
//!
//! ```text
//! cargo run --example producer_consumer_sync
//! cargo run --example producer_consumer_sync -- --fast --seed 7
//! ```
//!
//! Producing one item takes 0.5 to 1.5 seconds, consuming one half a second, and while the program
//! waits for one it does nothing of the other. So it takes 30 seconds for its 20 items, and each is
//! consumed 10 to 20 seconds after it was produced. Compare `producer_consumer`, whose tasks wait at
//! the same time: 22 seconds for twice as many items, most of them consumed at once.
//!
//! With `--fast` a sleep passes at once and moves the program's clock. `--seed` makes the delays the
//! same in each run.

use std::{thread, time::Duration};

use anstream::println; // leaves the colours out where they do not belong
use anstyle::{AnsiColor, Style};
use clap::Parser;
use fastrand::Rng;
use whirligig::time::{Instant, TestClock};

const WHITE: Style = AnsiColor::White.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

const ITEMS: u64 = 20;

/// Twenty items, produced and then consumed.
#[derive(Parser)]
struct Options {
    /// Run on a test clock, where delays pass at once
    #[arg(long)]
    fast: bool,

    /// Draw the delays from this number [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// The clock of a program without an event loop.
enum Clock {
    Real { start: Instant },
    Test(TestClock),
}

impl Clock {
    fn elapsed(&self) -> Duration {
        match self {
            Self::Real { start } => start.elapsed(),
            Self::Test(clock) => clock.elapsed(),
        }
    }

    /// Python's `time.sleep`: the whole thread waits.
    fn sleep(&self, delay: Duration) {
        match self {
            Self::Real { .. } => thread::sleep(delay),
            Self::Test(clock) => clock.advance(delay),
        }
    }
}

/// A value, and when it was put.
type Item = (u64, Duration);

fn main() {
    let options = Options::parse();
    let clock = match options.fast {
        true => Clock::Test(TestClock::new()),
        false => Clock::Real { start: Instant::now() },
    };
    let random = options.seed.map_or_else(Rng::new, Rng::with_seed);

    println!("{WHITE}App started.{WHITE:#}");
    let items = produce(ITEMS, &clock, random);
    consume(items, &clock);
    let seconds = clock.elapsed().as_secs_f64();
    println!("{WHITE}App exiting, total time: {seconds:.2} sec.{WHITE:#}");
}

fn produce(count: u64, clock: &Clock, mut random: Rng) -> Vec<Item> {
    let mut items = Vec::new();
    for index in 1..=count {
        items.push((index * index, clock.elapsed()));
        println!("{YELLOW} -- generated item {index}{YELLOW:#}");
        clock.sleep(Duration::from_secs_f64(random.f64() + 0.5));
    }
    items
}

fn consume(items: Vec<Item>, clock: &Clock) {
    for (value, put_at) in items {
        let seconds = (clock.elapsed() - put_at).as_secs_f64();
        println!("{CYAN} +++ Processed value {value} after {seconds:.2} sec.{CYAN:#}");
        clock.sleep(Duration::from_millis(500));
    }
}
