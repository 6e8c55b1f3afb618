//! Two producers and a consumer with five seconds' time: trio's nursery and `move_on_after`.
//!
//! ```text
//! cargo run --example nursery
//! cargo run --example nursery -- --fast --seed 7
//! ```
//!
//! They would take more than twenty seconds. After five all three are cancelled where they wait. One
//! sees each of them end, and only then does the program go on: on the line after the scope none of
//! them runs any more. That holds for each way out of a scope: its end, an error, a deadline, or a
//! cancellation from outside.
//!
//! With `--fast` it runs on the test clock. `--seed` makes the delays the same in each run.

use std::{io, rc::Rc, time::Duration};

use clap::Parser;
use fastrand::Rng;
use whirligig::{
    EventLoop,
    queue::local::Queue,
    task,
    time::{Instant, TestClock, sleep},
};

/// Two producers and a consumer, cancelled after five seconds.
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
    let mut event_loop = EventLoop::builder();
    if options.fast {
        event_loop = event_loop.test_clock(&TestClock::new());
    }
    event_loop.build()?.block_on(produce_and_consume(seed));
    Ok(())
}

async fn produce_and_consume(seed: u64) {
    let start = Instant::now();
    println!("App started.");
    let items = Rc::new(Queue::bounded(10)); // trio: open_memory_channel(10)
    let nursery = task::scope(async |nursery| {
        for (name, seed) in [("Producer 1", seed), ("Producer 2", seed.wrapping_add(1))] {
            nursery.spawn_local(produce(name, 20, Rc::clone(&items), Rng::with_seed(seed)));
        }
        nursery.spawn_local(consume(40, items));
    });
    nursery.move_on_after(Duration::from_secs(5)).await.expect("neither child nor body fails");
    println!("App exiting, total time: {:.2} sec.", start.elapsed().as_secs_f64());
}

/// Python's `try: ... finally: print(...)`. What is cancelled runs no further, but all it holds is
/// dropped; what must happen in any case goes into a `Drop`.
struct Finally(&'static str);

impl Drop for Finally {
    fn drop(&mut self) {
        println!("{} has ended", self.0);
    }
}

async fn produce(name: &'static str, count: u64, items: Rc<Queue<Item>>, mut random: Rng) {
    let _finally = Finally(name);
    for index in 1..=count {
        items.put((index * index, Instant::now())).await.expect("nobody closes the queue");
        println!(" -- {name} generated item {index}");
        sleep(Duration::from_secs_f64(random.f64() + 0.5)).await;
    }
}

async fn consume(count: u64, items: Rc<Queue<Item>>) {
    let _finally = Finally("Consumer");
    for _ in 0..count {
        let (value, put_at) = items.get().await.expect("nobody closes the queue");
        let seconds = put_at.elapsed().as_secs_f64();
        println!(" +++ Processed value {value} after {seconds:.2} sec.");
        sleep(Duration::from_millis(500)).await;
    }
}
