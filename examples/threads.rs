//! Threads: one, five, and what becomes of one that nobody waits for.
//!
//! ```text
//! cargo run --example threads -- hello
//! cargo run --example threads -- join-timeout
//! cargo run --example threads -- five
//! cargo run --example threads -- daemon
//! cargo run --example threads -- non-daemon
//! ```
//!
//! One sees the other work done while the thread still greets; two waits of a second that come to nothing, and two that
//! find that the thread has ended; five workers in any order; and the worker's last line with `non-daemon` alone.
//!
//! When `main` returns, the process ends, whatever its threads do: each thread of std's is a daemon, in
//! Python's word. One that must end first is joined, or is in a scope, which cannot be left before.
//!
//! `join` of std's has no time-out. A call on a pool has: `result_timeout`.
//!
//! Calls of a loop, by `spawn_blocking`, are between the two: the loop, when it is dropped, waits for those
//! that have begun, and the others never begin. So a call that must be made is awaited.

use std::{sync::mpsc, thread, time::Duration};

use clap::Parser;
use whirligig::executor::ThreadPool;

/// Threads, joined or not.
#[derive(Parser)]
enum Options {
    /// A thread, other work, and then its end is waited for
    Hello,
    /// A thread whose end is waited for a second at a time
    JoinTimeout,
    /// Five threads
    Five,
    /// A thread that does not keep the process
    Daemon,
    /// A thread that the process waits for
    NonDaemon,
}

fn main() {
    match Options::parse() {
        Options::Hello => hello(),
        Options::JoinTimeout => join_timeout(),
        Options::Five => five(),
        Options::Daemon => daemon(),
        Options::NonDaemon => non_daemon(),
    }
}

fn hello() {
    let thread = thread::spawn(|| greet("World", 3));
    println!("This is other work");
    thread.join().expect("it does not panic");
    println!("Done");
}

fn greet(name: &str, times: u32) {
    for number in 0..times {
        thread::sleep(Duration::from_millis(200));
        println!("{number}. Hello {name}");
    }
}

fn join_timeout() {
    let (go, is_gone) = mpsc::channel::<()>();
    let pool = ThreadPool::new(1);
    let mut call = pool.submit(move || is_gone.recv());
    let mut go = Some(go);
    for attempt in 1..=4 {
        let has_ended = call.done() || call.result_timeout(Duration::from_secs(1)).is_some();
        println!("Join {attempt}: {}", if has_ended { "has ended" } else { "still running" });
        if attempt == 2 {
            go.take(); // dropped: the thread waits no longer
        }
    }
}

fn five() {
    thread::scope(|scope| {
        for number in 0..5 {
            scope.spawn(move || println!("Worker {number} is working"));
        }
    });
    println!("All have ended");
}

fn daemon() {
    thread::spawn(worker);
    println!("Main finished");
}

fn non_daemon() {
    thread::scope(|scope| {
        scope.spawn(worker);
        println!("Main finished");
    }); // returns when the worker has
}

fn worker() {
    thread::sleep(Duration::from_millis(500));
    println!("Worker finished");
}
