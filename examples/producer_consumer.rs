//! Two producers, one consumer, one queue between them, and delays: everybody waits, nobody blocks.
//!
//! ```text
//! cargo run --example producer_consumer
//! cargo run --example producer_consumer -- --fast --seed 7
//! ```
//!
//! Each producer puts 20 items, one every 0.5 to 1.5 seconds; the consumer takes half a second over
//! each of the 40. All three share one thread: while one sleeps, the others go on. One sees yellow
//! and cyan lines take turns for about 21 seconds, and how long each item lay in the queue. A
//! program that produced first and consumed then would need twice as long.
//!
//! With `--fast` it runs on the test clock and ends at once, with the same times in its output.
//! `--seed` makes the delays the same in each run.

use std::{io, rc::Rc, time::Duration};

use anstream::println; // leaves the colours out where they do not belong
use anstyle::{AnsiColor, Style};
use clap::Parser;
use fastrand::Rng;
use whirligig::{
    EventLoop,
    queue::local::Queue,
    spawn_local,
    time::{Instant, TestClock, sleep},
};

const WHITE: Style = AnsiColor::White.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// Items of each producer.
const ITEMS: u64 = 20;

/// Two producers of 20 items each, and a consumer of 40.
#[derive(Parser)]
struct Options {
    /// Run on the test clock, where delays pass at once
    #[arg(long)]
    fast: bool,

    /// Draw the delays from this number; the producers use N and N + 1 [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

/// A value, and when it was put.
type Item = (u64, Instant);

fn main() -> io::Result<()> {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let event_loop = if options.fast {
        EventLoop::builder().test_clock(&TestClock::new()).build()?
    } else {
        EventLoop::new()?
    };
    event_loop.block_on(produce_and_consume(seed));
    Ok(())
}

async fn produce_and_consume(seed: u64) {
    let start = Instant::now();
    println!("{WHITE}App started.{WHITE:#}");

    // The tasks stay on this thread: `Rc` will do, and a queue that needs no lock.
    let queue = Rc::new(Queue::unbounded());
    let tasks = [
        spawn_local(produce(ITEMS, Rc::clone(&queue), Rng::with_seed(seed))),
        spawn_local(produce(ITEMS, Rc::clone(&queue), Rng::with_seed(seed.wrapping_add(1)))),
        spawn_local(consume(2 * ITEMS, queue)),
    ];
    for task in tasks {
        task.await.expect("no task panics");
    }

    let seconds = start.elapsed().as_secs_f64();
    println!("{WHITE}App exiting, total time: {seconds:.2} sec.{WHITE:#}");
}

async fn produce(count: u64, queue: Rc<Queue<Item>>, mut random: Rng) {
    for index in 1..=count {
        queue.put((index * index, Instant::now())).await.expect("nobody closes the queue");
        println!("{YELLOW} -- generated item {index}{YELLOW:#}");
        sleep(Duration::from_secs_f64(random.f64() + 0.5)).await;
    }
}

async fn consume(count: u64, queue: Rc<Queue<Item>>) {
    for _ in 0..count {
        let (value, put_at) = queue.get().await.expect("nobody closes the queue");
        let seconds = put_at.elapsed().as_secs_f64();
        println!("{CYAN} +++ Processed value {value} after {seconds:.2} sec.{CYAN:#}");
        sleep(Duration::from_millis(500)).await;
    }
}
