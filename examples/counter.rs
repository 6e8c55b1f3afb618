//! A counter that loses updates, and one that does not: five times a thousand increments.
//!
//! ```text
//! cargo run --example counter -- threads
//! cargo run --example counter -- threads --lock
//! cargo run --example counter -- tasks
//! cargo run --example counter -- tasks --lock
//! ```
//!
//! Each increment reads the counter, gives way to the others, and writes back one more. What another
//! one wrote in the meantime is overwritten. With `--lock` nothing comes between, and the counter
//! ends at 5000.
//!
//! Rust has no unsynchronised global, so the threads' program needs an atomic to be wrong: two atomic
//! steps are not one. The tasks' program has one thread, and no two tasks run at the same time; but
//! an `.await` between reading and writing is enough, and it is wrong in each run alike.

use std::{
    cell::Cell,
    rc::Rc,
    sync::{
        Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

use clap::{Args, Parser};
use whirligig::{spawn_local, sync, task};

const WORKERS: u32 = 5;
const INCREMENTS: u32 = 1000;

/// Counts to 5000 on five threads or in five tasks, or fails to.
#[derive(Parser)]
enum Options {
    /// Five threads
    Threads(Locking),
    /// Five tasks of one event loop
    Tasks(Locking),
}

#[derive(Args)]
struct Locking {
    /// Lock the counter from the read to the write
    #[arg(long)]
    lock: bool,
}

fn main() {
    let counter = match Options::parse() {
        Options::Threads(Locking { lock: false }) => threads_without_lock(),
        Options::Threads(Locking { lock: true }) => threads_with_lock(),
        Options::Tasks(Locking { lock: false }) => whirligig::run(tasks_without_lock()),
        Options::Tasks(Locking { lock: true }) => whirligig::run(tasks_with_lock()),
    };
    println!("Counter: {counter} of {}", WORKERS * INCREMENTS);
}

fn threads_without_lock() -> u32 {
    let counter = AtomicU32::new(0);
    // The scope joins its threads, so they may borrow the counter.
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for _ in 0..INCREMENTS {
                    let value = counter.load(SeqCst);
                    thread::yield_now(); // another thread may run now
                    counter.store(value + 1, SeqCst); // `fetch_add` would be right
                }
            });
        }
    });
    counter.into_inner()
}

fn threads_with_lock() -> u32 {
    // The lock owns what it protects: there is no way to the counter that forgets it.
    let counter = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                for _ in 0..INCREMENTS {
                    let mut counter = counter.lock().expect("no holder panicked");
                    let value = *counter;
                    thread::yield_now(); // another thread may run now, and waits for the lock
                    *counter = value + 1;
                } // here the guard is dropped: the end of Python's `with lock:`
            });
        }
    });
    counter.into_inner().expect("no holder panicked")
}

async fn tasks_without_lock() -> u32 {
    // One thread: no atomic is needed to share the counter, and none would help.
    let counter = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..WORKERS)
        .map(|_| {
            let counter = Rc::clone(&counter);
            spawn_local(async move {
                for _ in 0..INCREMENTS {
                    let value = counter.get();
                    task::yield_now().await; // another task may run now
                    counter.set(value + 1);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it does not panic");
    }
    counter.get()
}

async fn tasks_with_lock() -> u32 {
    // A lock whose waiters are tasks. std's would block the thread, and with it the task that holds it.
    let counter = Rc::new(sync::Mutex::new(0));
    let tasks: Vec<_> = (0..WORKERS)
        .map(|_| {
            let counter = Rc::clone(&counter);
            spawn_local(async move {
                for _ in 0..INCREMENTS {
                    let mut counter = counter.lock().await;
                    let value = *counter;
                    task::yield_now().await; // another task may run now, and waits for the lock
                    *counter = value + 1;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it does not panic");
    }
    *counter.lock().await
}
