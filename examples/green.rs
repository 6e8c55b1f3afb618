//! Green threads: what greenlet and gevent do, with async blocks and with tasks.
//!
//! ```text
//! cargo run --example green -- greenlet
//! cargo run --example green -- gevent
//! ```
//!
//! `greenlet` is two functions that hand each other the turn and prints exactly four lines; `gevent`
//! is two that sleep, two seconds and one (with `--fast` on the test clock), so that the second ends
//! first.
//!
//! A greenlet keeps a stack of its own, so it can give the turn away from any depth of calls, and
//! the functions between need not know. A Rust task keeps no stack, only the variables that it needs
//! after the next `.await`: it is smaller by far and costs no switch of stacks, but each function on
//! the way to the `.await` has to be `async` itself. Nor is anything patched: `std::thread::sleep` in
//! a task stops all others.

use std::{
    cell::Cell,
    io,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};

use clap::Parser;
use futures_lite::future::yield_now; // ours is for tasks
use whirligig::{
    EventLoop, spawn_local,
    time::{TestClock, sleep},
};

/// Two functions that take turns.
#[derive(Parser)]
enum Options {
    /// They hand each other the turn
    Greenlet,
    /// They sleep, and the event loop says whose turn it is
    Gevent {
        /// Run on the test clock, where two seconds pass at once
        #[arg(long)]
        fast: bool,
    },
}

fn main() -> io::Result<()> {
    match Options::parse() {
        Options::Greenlet => greenlet(),
        Options::Gevent { fast: true } => {
            EventLoop::builder().test_clock(&TestClock::new()).build()?.block_on(gevent());
        }
        Options::Gevent { fast: false } => whirligig::run(gevent()),
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Greenlet {
    Foo,
    Bar,
}

fn greenlet() {
    use Greenlet::{Bar, Foo};

    let turn = Cell::new(Foo);
    let switch_to = |other| {
        turn.set(other);
        yield_now() // to the loop below
    };
    let mut foo_block = pin!(async {
        println!("Foo start");
        switch_to(Bar).await;
        println!("Foo end");
        switch_to(Bar).await;
    });
    let mut bar_block = pin!(async {
        println!("Bar start");
        switch_to(Foo).await;
        println!("Bar end");
    });

    // greenlet jumps from one function into the other. Here each comes back to this loop, which
    // polls the other one. It ends as in Python: the first that returns gives the turn back to the
    // main program, and `foo` stays paused at its last line.
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let polled = match turn.get() {
            Foo => foo_block.as_mut().poll(&mut context),
            Bar => bar_block.as_mut().poll(&mut context),
        };
        if polled.is_ready() {
            break;
        }
    }
}

async fn gevent() {
    let tasks = [spawn_local(task("T1", 2)), spawn_local(task("T2", 1))];
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

async fn task(name: &str, seconds: u64) {
    println!("{name} start");
    sleep(Duration::from_secs(seconds)).await; // `std::thread::sleep` is not patched, and would stop T2
    println!("{name} done");
}
