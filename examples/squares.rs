//! Six squares, as joblib and dask are asked for them.
//!
//! ```text
//! cargo run --example squares -- joblib
//! cargo run --example squares -- dask
//! ```
//!
//! joblib's `Parallel` is a map over a pool of threads: six calls of a tenth of a second on four of them take two tenths.
//!
//! dask's `delayed` makes a call that is not made until `compute` asks for it. So is every call of an `async` function:
//! a future, of which nothing has run before it is polled. One sees that none was, and then all six at once.

use std::{cell::Cell, thread, time::Duration};

use clap::Parser;
use whirligig::{
    executor::{CallError, ThreadPool},
    task,
};

/// Six squares.
#[derive(Parser)]
enum Options {
    /// On four threads
    Joblib,
    /// Lazily
    Dask,
}

fn main() -> Result<(), CallError> {
    match Options::parse() {
        Options::Joblib => joblib()?,
        Options::Dask => whirligig::run(dask()),
    }
    Ok(())
}

fn joblib() -> Result<(), CallError> {
    let pool = ThreadPool::new(4);
    let squares: Result<Vec<u64>, _> = pool.map(0..6, square).collect();
    println!("{:?}", squares?);
    Ok(())
}

fn square(number: u64) -> u64 {
    thread::sleep(Duration::from_millis(100));
    number * number
}

async fn dask() {
    let calls = Cell::new(0);
    let square = async |number: u64| {
        calls.set(calls.get() + 1);
        number * number
    };
    let squares = [0, 1, 2, 3, 4, 5].map(&square);
    println!("Calls before compute: {}", calls.get());
    let [a, b, c, d, e, f] = task::gather(squares).await[..] else {
        unreachable!("as many results as futures")
    };
    println!("{:?}", (a, b, c, d, e, f)); // a tuple, as dask gives
    println!("Calls after compute: {}", calls.get());
}
