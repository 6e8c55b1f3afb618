//! Half a million actions: the program that shows what an event loop costs.
//!
//! ```text
//! cargo run --release --example loop_program
//! cargo run --release --example loop_program -- --actions 1000000 --clock off
//! cargo run --release --example loop_program -- --runtimes whirligig-multi,tokio-multi
//! ```
//!
//! Two producers put 250,000 items each into one queue, a consumer takes all 500,000, and everybody
//! yields after every step. No task does any work or waits for anything outside, so what remains is
//! the price of putting tasks in line and polling them. asyncio needs from two to five seconds for it.
//!
//! One sees first what the well-known Python program prints, here run by whirligig; then the same
//! program on whirligig and on tokio, in turn over several rounds, as a table. Every run is
//! checked: all items must arrive, and their sum must be what arithmetic says.
//!
//! The comparison is meant to be fair. Both sides make their runtime anew for each run, and use the
//! unbounded queue it offers for the purpose: whirligig its queue for one thread or the one for many,
//! tokio its `mpsc` (it has none that is not thread-safe). The first rows have one thread. tokio's
//! tasks are spawned on its current-thread runtime itself: through a `LocalSet` they are a quarter
//! slower, on a `LocalRuntime` equally fast. The rows called `multi` are the multi-threaded runtimes,
//! with two workers each; they are measured against each other. tokio appears twice in both, as much
//! of its time here is due to its `yield_now`: see the note below the table.

use std::{
    array,
    future::{Future, poll_fn},
    hint::black_box,
    mem,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use whirligig::{queue, task};

/// Runs the half-million-action program on whirligig and on tokio, and compares.
#[derive(Parser)]
#[command(after_help = "The times mean something only in a release build: cargo run --release.")]
struct Options {
    /// Items that pass through the queue; each of the two producers makes half
    #[arg(long, value_name = "N", default_value = "500_000", value_parser = even_number)]
    actions: u64,

    /// Whether each item tells when it was put
    #[arg(long, value_enum, default_value_t = Clock::On)]
    clock: Clock,

    /// What to compare, separated by commas; the first also runs once alone, before the rounds
    #[arg(
        long,
        value_enum,
        value_name = "NAMES",
        value_delimiter = ',',
        default_value = "whirligig,tokio,tokio-self-waking,\
            whirligig-multi,tokio-multi,tokio-multi-self-waking"
    )]
    runtimes: Vec<Runtime>,

    /// How often each of them runs; the median counts
    #[arg(long, value_name = "N", default_value_t = 7,
        value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Clock {
    /// Read the clock for each item, as the original does
    On,
    /// Read it once: all items carry the same time, and the runtime's own cost stands out
    Off,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Runtime {
    /// The event loop and the queue of this library
    Whirligig,
    /// tokio's current-thread runtime, yielding by its `yield_now`
    Tokio,
    /// The same, yielding by a future that wakes its own task
    TokioSelfWaking,
    /// The multi-threaded runtime of this library, and its queue for many threads
    WhirligigMulti,
    /// tokio's multi-thread runtime, yielding by its `yield_now`
    TokioMulti,
    /// The same, yielding by a future that wakes its own task
    TokioMultiSelfWaking,
}

impl Runtime {
    /// The row of this library that has as many threads.
    fn ours(self) -> Self {
        match self {
            Self::Whirligig | Self::Tokio | Self::TokioSelfWaking => Self::Whirligig,
            Self::WhirligigMulti | Self::TokioMulti | Self::TokioMultiSelfWaking => {
                Self::WhirligigMulti
            }
        }
    }
}

/// Workers of the multi-threaded runtimes.
const WORKERS: usize = 2;

/// More would fill the memory: half of the items may be in the queue at once.
const MOST_ACTIONS: u64 = 100_000_000;

fn even_number(text: &str) -> Result<u64, String> {
    let number: u64 = text.replace('_', "").parse().map_err(|_| "it must be a whole number")?;
    if number == 0 || !number.is_multiple_of(2) {
        return Err("it must be even and more than 0: two producers make half of them each".into());
    }
    if number > MOST_ACTIONS {
        return Err(format!("at most {}, or they may not fit in memory", HumanCount(MOST_ACTIONS)));
    }
    Ok(number)
}

fn main() {
    let Options { actions, clock, runtimes, rounds } = Options::parse();

    println!("Running standard loop with {} actions.", HumanCount(actions));
    let total = timed(runtimes[0], actions, clock).as_secs_f64();
    println!("App exiting, total time: {total:.2} sec.");

    let times = compare(&runtimes, actions, clock, rounds);
    println!("\nThe same again, each in turn, {rounds} times:\n\n{}", table(&runtimes, &times));
    if runtimes.iter().any(|runtime| runtime.ours() == Runtime::WhirligigMulti) {
        println!(
            "\nThe rows called multi have {WORKERS} workers and are measured against each other."
        );
    }
    if runtimes.iter().any(|runtime| [Runtime::Tokio, Runtime::TokioMulti].contains(runtime)) {
        println!("\n{NOTE}");
    }
    if cfg!(debug_assertions) {
        println!("\nThis is a debug build. For times that mean something: cargo run --release.");
    }
}

const NOTE: &str = "\
tokio's `yield_now` holds a task back until the runtime has looked at its sockets and timers, so the
row `tokio` pays an epoll_wait for every item, and `tokio-multi` the way to one. A future that wakes
its own task does not wait for that look: see the rows called self-waking.";

// The program, three times: for one thread, for many, and on either of tokio's runtimes. Lay them
// side by side.

async fn on_whirligig(actions: u64, stamp: Stamp) -> Tally {
    let queue = Rc::new(queue::local::Queue::unbounded());
    let producers: [_; 2] = array::from_fn(|_| {
        let queue = Rc::clone(&queue);
        whirligig::spawn_local(async move {
            for index in 1..=actions / 2 {
                queue.put(stamp.item(index)).await.expect("nobody closes the queue");
                task::yield_now().await;
            }
        })
    });
    let consumer = whirligig::spawn_local(async move {
        let mut tally = Tally::default();
        for _ in 0..actions {
            tally.add(queue.get().await.expect("nobody closes the queue"));
            task::yield_now().await;
        }
        tally
    });
    for producer in producers {
        producer.await.expect("no task panics");
    }
    consumer.await.expect("no task panics")
}

async fn on_whirligig_multi(actions: u64, stamp: Stamp) -> Tally {
    let queue = Arc::new(queue::Queue::unbounded());
    let producers: [_; 2] = array::from_fn(|_| {
        let queue = Arc::clone(&queue);
        whirligig::spawn(async move {
            for index in 1..=actions / 2 {
                queue.put(stamp.item(index)).await.expect("nobody closes the queue");
                task::yield_now().await;
            }
        })
    });
    let consumer = whirligig::spawn(async move {
        let mut tally = Tally::default();
        for _ in 0..actions {
            tally.add(queue.get().await.expect("nobody closes the queue"));
            task::yield_now().await;
        }
        tally
    });
    for producer in producers {
        producer.await.expect("no task panics");
    }
    consumer.await.expect("no task panics")
}

async fn on_tokio<F, Y>(actions: u64, stamp: Stamp, yield_now: F) -> Tally
where
    F: Fn() -> Y + Copy + Send + 'static,
    Y: Future<Output = ()> + Send + 'static,
{
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let producers: [_; 2] = array::from_fn(|_| {
        let sender = sender.clone();
        tokio::spawn(async move {
            for index in 1..=actions / 2 {
                sender.send(stamp.item(index)).expect("the receiver is alive");
                yield_now().await;
            }
        })
    });
    let consumer = tokio::spawn(async move {
        let mut tally = Tally::default();
        for _ in 0..actions {
            tally.add(receiver.recv().await.expect("a sender is alive"));
            yield_now().await;
        }
        tally
    });
    for producer in producers {
        producer.await.expect("no task panics");
    }
    consumer.await.expect("no task panics")
}

/// A yield for tokio that wakes its own task: it goes to the end of the line at once.
fn self_waking_yield() -> impl Future<Output = ()> {
    let mut yielded = false;
    poll_fn(move |cx| {
        if mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// A value, and when it was put.
type Item = (u64, Instant);

/// Where the items' times come from: a moment for all of them, or the clock.
#[derive(Clone, Copy)]
struct Stamp(Option<Instant>);

impl Stamp {
    fn item(self, index: u64) -> Item {
        (index * index, self.0.unwrap_or_else(Instant::now))
    }
}

/// What the consumer saw.
#[derive(Debug, Default, PartialEq)]
struct Tally {
    count: u64,
    sum: u128,
}

impl Tally {
    fn add(&mut self, (value, put_at): Item) {
        black_box(put_at); // nobody looks at it, but it must have travelled
        self.count += 1;
        self.sum += u128::from(value);
    }

    /// What it must have seen: 1 + 4 + 9 + .. from two producers.
    fn expected(actions: u64) -> Self {
        let last = u128::from(actions / 2);
        let squares = last * (last + 1) * (2 * last + 1) / 6;
        Self { count: actions, sum: 2 * squares }
    }
}

/// One run, from making the runtime to dropping it.
fn timed(runtime: Runtime, actions: u64, clock: Clock) -> Duration {
    let start = Instant::now();
    let stamp = Stamp((clock == Clock::Off).then_some(start));
    let tally = match runtime {
        Runtime::Whirligig => whirligig::run(on_whirligig(actions, stamp)),
        Runtime::Tokio => tokio_one().block_on(on_tokio(actions, stamp, tokio::task::yield_now)),
        Runtime::TokioSelfWaking => {
            tokio_one().block_on(on_tokio(actions, stamp, self_waking_yield))
        }
        Runtime::WhirligigMulti => whirligig_multi().block_on(on_whirligig_multi(actions, stamp)),
        Runtime::TokioMulti => {
            tokio_multi().block_on(on_tokio(actions, stamp, tokio::task::yield_now))
        }
        Runtime::TokioMultiSelfWaking => {
            tokio_multi().block_on(on_tokio(actions, stamp, self_waking_yield))
        }
    };
    let elapsed = start.elapsed();
    assert_eq!(tally, Tally::expected(actions), "{} lost or altered items", name(runtime));
    elapsed
}

fn whirligig_multi() -> whirligig::Runtime {
    whirligig::Runtime::builder().worker_threads(WORKERS).build().expect(ENOUGH)
}

/// As `#[tokio::main(flavor = "current_thread")]` makes it.
fn tokio_one() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect(ENOUGH)
}

fn tokio_multi() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(WORKERS).enable_all().build().expect(ENOUGH)
}

const ENOUGH: &str = "the system has threads and descriptors left";

/// The times of each runtime, in milliseconds, sorted.
///
/// They take turns, so that a machine which slows down for a while slows all of them; and every
/// other round goes backwards, so that none always has the same one before it.
fn compare(runtimes: &[Runtime], actions: u64, clock: Clock, rounds: u32) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); runtimes.len()];
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}").expect("it is valid");
    // On standard error, and only if that is a terminal.
    let progress = ProgressBar::new(u64::from(rounds) * runtimes.len() as u64).with_style(style);
    for round in 0..rounds {
        for turn in 0..runtimes.len() {
            let index = if round % 2 == 0 { turn } else { runtimes.len() - 1 - turn };
            progress.set_message(name(runtimes[index]));
            times[index].push(timed(runtimes[index], actions, clock).as_secs_f64() * 1000.0);
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    times
}

fn table(runtimes: &[Runtime], all: &[Vec<f64>]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["runtime", "median", "min", "max", "times whirligig's"]);
    for (runtime, times) in runtimes.iter().zip(all) {
        let millis = |value: f64| format!("{value:.1} ms");
        let ours = runtimes.iter().position(|other| *other == runtime.ours());
        let ratio = ours.map(|ours| median(times) / median(&all[ours]));
        table.add_row([
            name(*runtime),
            millis(median(times)),
            millis(times[0]),
            millis(times[times.len() - 1]),
            ratio.map_or("-".into(), |ratio| format!("{ratio:.1}")),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The middle one, or what lies between the two in the middle.
fn median(sorted: &[f64]) -> f64 {
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

/// As it is written in `--runtimes`.
fn name(runtime: Runtime) -> String {
    let value = runtime.to_possible_value().expect("no runtime is hidden");
    value.get_name().to_owned()
}
