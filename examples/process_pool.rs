//! A pool of processes for calls: what `ProcessPoolExecutor` and `multiprocessing.Pool` do.
//!
//! ```text
//! cargo run --example process_pool -- submit
//! cargo run --example process_pool -- map
//! cargo run --example process_pool -- as-completed
//! cargo run --example process_pool -- pool-map
//! cargo run --example process_pool -- apply-async
//! ```
//!
//! One sees five tasks on three processes, and the outcomes in the order of the calls, of the values, or as they come.
//!
//! A process of the pool is this program, started again: `init` finds that it is one, serves calls, and never returns.
//! It must be the first thing in `main`. Functions go by their names, and what they take and give is serialised.

use std::{process, thread, time::Duration};

use clap::Parser;
use whirligig::executor::{self, Function, ProcessPool, as_completed};

/// Calls on a pool of processes.
#[derive(Parser)]
enum Options {
    /// Five tasks on three processes
    Submit,
    /// One function for five values
    Map,
    /// Five calls, each outcome when it is there
    AsCompleted,
    /// One function for three values
    PoolMap,
    /// One call, waited for later
    ApplyAsync,
}

static WORK: Function<u64, String> = Function::new("work", |number| {
    thread::sleep(Duration::from_millis(500));
    format!("Task {number} ran in process {}", process::id())
});
static SQUARE: Function<u64, u64> = Function::new("square", |number| number * number);
static CUBE_SLOWLY: Function<u32, u32> = Function::new("cube slowly", |number| {
    // One more than the number, or 6 and the 4 that follows 2 would end at the same time.
    thread::sleep(Duration::from_millis(300) * (number + 1));
    number.pow(3)
});

fn main() -> anyhow::Result<()> {
    executor::init(&[&WORK, &SQUARE, &CUBE_SLOWLY]);
    let options = Options::parse();
    let pool = ProcessPool::new(3)?;
    match options {
        Options::Submit => {
            let calls = [0, 1, 2, 3, 4].map(|number| pool.submit(&WORK, number));
            for call in calls {
                println!("{}", call.result()?);
            }
        }
        Options::Map => println!("{:?}", squares(&pool, vec![5, 2, 3, 4, 1])?),
        Options::AsCompleted => {
            let calls = [6, 3, 2, 4, 5].map(|number| pool.submit(&CUBE_SLOWLY, number));
            for result in as_completed(calls) {
                println!("{}", result?);
            }
        }
        Options::PoolMap => println!("{:?}", squares(&pool, vec![3, 1, 2])?),
        Options::ApplyAsync => {
            let call = pool.submit(&SQUARE, 8);
            println!("Result:  {}", call.result()?);
        }
    }
    Ok(())
}

fn squares(pool: &ProcessPool, numbers: Vec<u64>) -> Result<Vec<u64>, executor::CallError> {
    pool.map(&SQUARE, numbers).collect()
}
