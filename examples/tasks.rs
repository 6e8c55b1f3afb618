//! Several things at a time: asyncio's `gather`, `create_task`, `as_completed` and `to_thread`.
//!
//! ```text
//! cargo run --example tasks -- gather --fast
//! cargo run --example tasks -- create-task --fast
//! cargo run --example tasks -- as-completed --fast
//! cargo run --example tasks -- to-thread
//! cargo run --example tasks -- frozen
//! ```
//!
//! The first three sleep for one, two and three seconds at the same time, and take three seconds in
//! all (none with `--fast`, on the test clock). One sees in which order the results come: in the
//! order of the arguments from `gather`, in that in which they are ready from `as_completed`.
//!
//! The last two have a call that blocks for two seconds, beside a task that ticks. `to-thread` makes
//! it on another thread, and the ticks go on; `frozen` makes it in a task, and there are none.

use std::{io, thread, time::Duration};

use clap::Parser;
use whirligig::{
    EventLoop, spawn_local,
    task::{self, spawn_blocking},
    time::{TestClock, sleep},
};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    program: Program,

    /// Run on the test clock, where delays pass at once (a call that blocks takes its time)
    #[arg(long, global = true)]
    fast: bool,
}

/// What asyncio does with several coroutines.
#[derive(clap::Subcommand)]
enum Program {
    /// Three at a time, and all their results
    Gather,
    /// Three tasks that begin in the order of their creation
    CreateTask,
    /// Three at a time, each result when it is there
    AsCompleted,
    /// A call that blocks, on a thread beside the loop
    ToThread,
    /// The same call in a task, where it stops all others
    Frozen,
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut event_loop = EventLoop::builder();
    if options.fast {
        event_loop = event_loop.test_clock(&TestClock::new());
    }
    let event_loop = event_loop.build()?;
    match options.program {
        Program::Gather => event_loop.block_on(gather()),
        Program::CreateTask => event_loop.block_on(create_task()),
        Program::AsCompleted => event_loop.block_on(as_completed()),
        Program::ToThread => event_loop.block_on(to_thread()),
        Program::Frozen => event_loop.block_on(frozen()),
    }
    Ok(())
}

async fn gather() {
    // No tasks: `gather` polls the three itself. To have tasks, spawn them and gather their handles.
    let results = task::gather([work("Task1", 2), work("Task2", 1), work("Task3", 3)]).await;
    println!("Results: {results:?}");
}

async fn work(name: &str, seconds: u64) -> u64 {
    println!("{name} start");
    sleep(Duration::from_secs(seconds)).await;
    println!("{name} finished");
    seconds
}

async fn create_task() {
    // As in asyncio, each runs without being awaited. Unlike there, none is lost if its handle is.
    let tasks = [1, 3, 2].map(|seconds| spawn_local(worker(seconds)));
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

async fn worker(seconds: u64) {
    println!("Task {seconds} started");
    sleep(Duration::from_secs(seconds)).await;
    println!("Task {seconds} finished");
}

async fn as_completed() {
    // Python's loop gives futures that must be awaited; this one awaits, and gives results.
    let mut downloads = task::as_completed([3, 1, 2].map(download));
    while let Some(done) = downloads.next().await {
        println!("{done}");
    }
}

async fn download(seconds: u64) -> String {
    sleep(Duration::from_secs(seconds)).await;
    format!("Downloaded {seconds}")
}

async fn to_thread() {
    println!("Start async");
    let ticking = spawn_local(ticker());
    let done = spawn_blocking(blocking).await;
    println!("{}", done.expect("it does not panic"));
    ticking.cancel();
}

async fn frozen() {
    println!("Start async");
    let ticking = spawn_local(ticker());
    task::yield_now().await; // the ticker starts
    println!("{}", blocking()); // nothing else runs now: no task, no timer
    ticking.cancel();
}

/// Not `async`: it keeps its thread for two seconds.
fn blocking() -> &'static str {
    thread::sleep(Duration::from_secs(2));
    "Done (blocking)"
}

async fn ticker() {
    for number in 1.. {
        sleep(Duration::from_millis(750)).await;
        println!("tick {number}");
    }
}
