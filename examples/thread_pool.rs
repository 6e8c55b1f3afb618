//! A pool of threads for calls: what `concurrent.futures.ThreadPoolExecutor` does.
//!
//! ```text
//! cargo run --example thread_pool -- submit
//! cargo run --example thread_pool -- map
//! cargo run --example thread_pool -- as-completed
//! cargo run --example thread_pool -- exceptions
//! cargo run --example thread_pool -- cancel
//! cargo run --example thread_pool -- shutdown
//! ```
//!
//! One sees outcomes in the order in which they are asked for, in the order of the values, and as they
//! come; an error that comes out of a call; that only calls which have not begun can be cancelled; and
//! what a shutdown waits for.
//!
//! No event loop is needed, and none is here. In a task the same handles are awaited.

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
    time::Duration,
};

use clap::Parser;
use whirligig::executor::{CallError, ThreadPool, as_completed};

/// Calls on a pool of threads.
#[derive(Parser)]
enum Options {
    /// Three calls, and their outcomes in the order of the calls
    Submit,
    /// One function for five values
    Map,
    /// Three calls, each outcome when it is there
    AsCompleted,
    /// A call that succeeds, and one that fails
    Exceptions,
    /// Four calls on two threads, cancelled
    Cancel,
    /// The end of a pool, not waited for and waited for
    Shutdown,
}

fn main() -> Result<(), CallError> {
    match Options::parse() {
        Options::Submit => submit(),
        Options::Map => map(),
        Options::AsCompleted => completed(),
        Options::Exceptions => exceptions(),
        Options::Cancel => cancel(),
        Options::Shutdown => shutdown(),
    }
}

fn work(number: u32) -> u32 {
    thread::sleep(Duration::from_millis(300) * number);
    number
}

fn submit() -> Result<(), CallError> {
    let pool = ThreadPool::new(3);
    let calls = [3, 2, 1].map(|number| pool.submit(move || work(number)));
    let results: Result<Vec<u32>, _> = calls.into_iter().map(|call| call.result()).collect();
    println!("{:?}", results?);
    Ok(()) // dropping the pool waits, as leaving `with` does
}

fn map() -> Result<(), CallError> {
    let pool = ThreadPool::new(3);
    let squares: Result<Vec<u32>, _> =
        pool.map([5, 2, 3, 4, 1], |number| number * number).collect();
    println!("{:?}", squares?);
    Ok(())
}

fn completed() -> Result<(), CallError> {
    let pool = ThreadPool::new(3);
    let calls = [3, 2, 1].map(|number| pool.submit(move || work(number)));
    for result in as_completed(calls) {
        println!("{}", result?);
    }
    Ok(())
}

fn exceptions() -> Result<(), CallError> {
    let pool = ThreadPool::new(2);
    let calls = [2.0, 0.0].map(|divisor| pool.submit(move || divide(10.0, divisor)));
    for call in calls {
        // The outer result is the pool's: it would tell that the call was cancelled, or panicked.
        match call.result()? {
            Ok(quotient) => println!("{quotient:?}"),
            Err(error) => println!("Error: {error}"),
        }
    }
    Ok(())
}

fn divide(dividend: f64, divisor: f64) -> Result<f64, &'static str> {
    if divisor == 0.0 { Err("division by zero") } else { Ok(dividend / divisor) }
}

fn cancel() -> Result<(), CallError> {
    let pool = ThreadPool::new(2);
    // Two that have begun, and the program.
    let together = Arc::new(Barrier::new(3));
    let calls = [(); 4].map(|()| {
        let together = Arc::clone(&together);
        pool.submit(move || {
            together.wait(); // it has begun
            together.wait(); // and may end
        })
    });
    together.wait();
    let cancelled = calls.each_ref().map(|call| if call.cancel() { "True" } else { "False" });
    println!("{}", cancelled.join(" "));
    together.wait();
    Ok(())
}

fn shutdown() -> Result<(), CallError> {
    let pool = ThreadPool::new(1);
    let (go, is_gone) = mpsc::channel();
    let call = pool.submit(move || is_gone.recv());
    pool.shutdown(false, false);
    println!("Without waiting: {}", if call.done() { "done" } else { "running" });
    go.send(()).expect("the call waits for it");
    pool.shutdown(true, false);
    println!("After waiting: {}", if call.done() { "done" } else { "running" });
    if pool.submit(|| work(1)).result() == Err(CallError::ShutDown) {
        println!("It takes no more calls");
    }
    Ok(())
}
