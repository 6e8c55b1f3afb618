//! Nine downloads, but not all at once: at most three at a time, or at most two begun a second.
//!
//! ```text
//! cargo run --example rate_limit -- in-flight
//! cargo run --example rate_limit -- per-second
//! ```
//!
//! A `Semaphore` bounds how much is under way: a server that answers slowly is asked seldom. A
//! `RateLimiter` bounds how much is begun: such a server is asked as often as any other, and more and
//! more is under way. Each download takes 1.2 seconds here. With `--fast` the program runs on the
//! test clock.

use std::{io, time::Duration};

use clap::{Parser, ValueEnum};
use whirligig::{
    EventLoop,
    sync::{RateLimiter, Semaphore},
    task::gather,
    time::{Instant, TestClock, sleep},
};

/// Nine downloads, not all at once.
#[derive(Parser)]
struct Options {
    /// What is limited
    limit: Limit,

    /// Run on the test clock, where delays pass at once
    #[arg(long)]
    fast: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Limit {
    /// Three at a time
    InFlight,
    /// Two begun a second
    PerSecond,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut event_loop = EventLoop::builder();
    if options.fast {
        event_loop = event_loop.test_clock(&TestClock::new());
    }
    let event_loop = event_loop.build()?;
    match options.limit {
        Limit::InFlight => event_loop.block_on(in_flight()),
        Limit::PerSecond => event_loop.block_on(per_second()),
    }
    Ok(())
}

async fn in_flight() {
    let limit = Semaphore::new(3);
    let start = Instant::now();
    // The futures borrow both: `gather` polls them itself, and they end before it does.
    gather((1..=9).map(async |page| {
        // Given back when it is dropped: the end of `async with limit:`.
        let _permit = limit.acquire().await.expect("nobody closes the semaphore");
        download(page, start).await;
    }))
    .await;
}

async fn per_second() {
    // Never two at once: half a second lies between two starts.
    let limit = RateLimiter::with_burst(2, Duration::from_secs(1), 1);
    let start = Instant::now();
    gather((1..=9).map(async |page| {
        limit.acquire().await;
        download(page, start).await;
    }))
    .await;
}

async fn download(page: u32, start: Instant) {
    println!("{:.2} sec: page {page} begins", start.elapsed().as_secs_f64());
    sleep(Duration::from_millis(1200)).await;
    println!("{:.2} sec: page {page} is there", start.elapsed().as_secs_f64());
}
