//! Six squares, as joblib and dask are asked for them.
//!
//! ```text
//! cargo run --example squares -- joblib
//! cargo run --example squares -- dask
//! ```
//!
//! joblib's `Parallel` is a map over a pool of threads: six calls of a tenth of a second on four of them take two tenths.
//!
//! dask's `delayed` makes a call that is not made until `compute` asks for it, and may be made of others: a graph. One
//! sees that none was made, and then all six.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::Parser;
use whirligig::executor::{ThreadPool, delayed};

/// Six squares.
#[derive(Parser)]
enum Options {
    /// On four threads
    Joblib,
    /// Lazily
    Dask,
}

fn main() -> anyhow::Result<()> {
    match Options::parse() {
        Options::Joblib => joblib(),
        Options::Dask => dask(),
    }
}

fn joblib() -> anyhow::Result<()> {
    let pool = ThreadPool::new(4);
    let squares: Result<Vec<u64>, _> = pool.map(0..6, square).collect();
    println!("{:?}", squares?);
    Ok(())
}

fn square(number: u64) -> u64 {
    thread::sleep(Duration::from_millis(100));
    number * number
}

fn dask() -> anyhow::Result<()> {
    let calls = Arc::new(AtomicUsize::new(0));
    let squares = [0, 1, 2, 3, 4, 5].map(|number: u64| {
        let calls = Arc::clone(&calls);
        delayed("square", (), move |()| {
            calls.fetch_add(1, Ordering::Relaxed);
            number * number
        })
    });
    println!("Calls before compute: {}", calls.load(Ordering::Relaxed));
    let [a, b, c, d, e, f] = ThreadPool::new(4).compute(&squares).result()?;
    println!("{:?}", (a, b, c, d, e, f)); // a tuple, as dask gives
    println!("Calls after compute: {}", calls.load(Ordering::Relaxed));
    Ok(())
}
