//! One loop, on one core and on several: what threads and processes bring.
//!
//! ```text
//! cargo run --release --example cores -- roots
//! cargo run --release --example cores -- nogil
//! ```
//!
//! The sum of three million square roots, in as many parts as there are processors. One sees the same sum each time, how
//! long it took, and by what factor that is faster than the first.
//!
//! Python's threads bring nothing here, for one at a time has the interpreter's lock; its processes do, and so do its
//! threads once Cython has compiled the loop, which then runs without the lock (`nogil`). In Rust there is no such lock:
//! threads are enough, and processes bring the same, less what it takes to start them. They are for calls that may crash
//! or must be killed.

use std::{ops::Range, thread, time::Instant};

use clap::Parser;
use whirligig::executor::{self, CallError, Function, ProcessPool, ThreadPool};

const COUNT: u64 = 3_000_000;

/// One loop, on one core and on several.
#[derive(Parser)]
enum Options {
    /// On one core, on threads, and on processes
    Roots,
    /// On one core and on threads
    Nogil,
}

/// The loop as processes know it: by its name.
static SUM_OF_ROOTS: Function<Range<u64>, f64> = Function::new("sum_of_roots", sum_of_roots);

fn main() -> anyhow::Result<()> {
    executor::init(&[&SUM_OF_ROOTS]); // a process of the pool stays here
    let options = Options::parse();
    let first = Instant::now();
    let sum = on_one_core();
    let first = first.elapsed().as_secs_f64();
    let report = |name: &str, sum: f64, seconds: f64| {
        println!("{name}: sum {sum:.0}, {seconds:.2} sec, factor {:.2}", first / seconds);
    };
    report("One core", sum, first);

    let start = Instant::now();
    let sum = on_threads()?;
    report("Threads", sum, start.elapsed().as_secs_f64());
    if let Options::Roots = options {
        let start = Instant::now();
        let sum = on_processes()?;
        report("Processes", sum, start.elapsed().as_secs_f64());
    }
    Ok(())
}

fn sum_of_roots(numbers: Range<u64>) -> f64 {
    numbers.map(|number| (number as f64).sqrt()).sum()
}

fn cores() -> usize {
    thread::available_parallelism().map_or(1, |count| count.get())
}

/// The numbers up to `COUNT` in as many ranges as there are cores.
fn parts() -> impl Iterator<Item = Range<u64>> + Send {
    let cores = cores() as u64;
    (0..cores).map(move |part| COUNT * part / cores..COUNT * (part + 1) / cores)
}

fn on_one_core() -> f64 {
    parts().map(sum_of_roots).sum()
}

fn on_threads() -> Result<f64, CallError> {
    ThreadPool::new(cores()).map(parts(), sum_of_roots).sum()
}

fn on_processes() -> anyhow::Result<f64> {
    let pool = ProcessPool::new(cores())?;
    Ok(pool.map(&SUM_OF_ROOTS, parts()).sum::<Result<f64, CallError>>()?)
}
