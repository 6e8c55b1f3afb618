//! Fibonacci numbers, in three ways: what Python's `yield` does, taken apart.
//!
//! ```text
//! cargo run --example generator -- iterator
//! cargo run --example generator -- state-machine
//! cargo run --example generator -- async-block
//! ```
//!
//! A generator is a function that pauses at each `yield` and goes on from there when it is resumed.
//! Rust writes such functions as iterators. What a pause takes is shown by the other two: the same
//! function cut at its `yield` by hand, and left to the compiler, which cuts an `async` block at each
//! `.await` in just this way. Each prints the same line. No event loop is needed: to call `poll` is to
//! resume the block, and here a plain loop does so.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::pin,
    task::{Context, Poll, Waker},
};

use clap::Parser;

/// The generator ends with the first number from here on.
const LIMIT: u64 = 10_000;

/// Prints the Fibonacci numbers up to the first above 10,000.
#[derive(Parser)]
enum Options {
    /// An iterator, as one writes it in Rust
    Iterator,
    /// A state machine, written by hand
    StateMachine,
    /// An async block, polled by hand
    AsyncBlock,
}

fn main() {
    match Options::parse() {
        Options::Iterator => iterator(),
        Options::StateMachine => state_machine(),
        Options::AsyncBlock => async_block(),
    }
    println!();
    println!("Done");
}

/// What must outlive a call are fields; the `for` loop calls `next` until it gives `None`.
struct Fibonacci {
    current: u64,
    next: u64,
}

impl Iterator for Fibonacci {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        if self.current >= LIMIT {
            return None;
        }
        (self.current, self.next) = (self.next, self.current + self.next);
        Some(self.current)
    }
}

fn iterator() {
    for number in (Fibonacci { current: 0, next: 1 }) {
        print!("{number}, ");
    }
}

/// Where the paused function stands, and the variables that it needs from there on.
enum State {
    /// Not begun: there are no variables yet.
    Start,
    /// At the `yield`.
    Yielded { current: u64, next: u64 },
    /// It has returned, and has nothing to go on with.
    Returned,
}

impl State {
    /// Runs on to the next `yield`, as Python's `next(generator)` does.
    fn resume(&mut self) -> Option<u64> {
        // Back into the function, to where it stood ...
        let (mut current, mut next) = match *self {
            Self::Start => (0, 1),
            Self::Yielded { current, next } => (current, next),
            Self::Returned => panic!("it has returned"),
        };
        // ... on with its loop: `while current < limit` ...
        if current >= LIMIT {
            *self = Self::Returned; // Python raises StopIteration
            return None;
        }
        (current, next) = (next, current + next);
        // ... and out again at the `yield`.
        *self = Self::Yielded { current, next };
        Some(current)
    }
}

fn state_machine() {
    let mut fibonacci = State::Start;
    while let Some(number) = fibonacci.resume() {
        print!("{number}, ");
    }
}

fn async_block() {
    // A future hands out one value, its last. What it hands out before goes through a cell.
    let yielded = Cell::new(0);
    let mut fibonacci = pin!(async {
        let (mut current, mut next) = (0, 1);
        while current < LIMIT {
            (current, next) = (next, current + next);
            yielded.set(current);
            pause().await; // the `yield`: the compiler keeps `current` and `next` from here on
        }
    });

    // No wake is needed: the loop polls again in any case.
    let mut context = Context::from_waker(Waker::noop());
    while fibonacci.as_mut().poll(&mut context).is_pending() {
        print!("{}, ", yielded.get());
    }
}

/// Pending once: `poll` returns to its caller, and the next `poll` goes on behind it.
async fn pause() {
    let mut has_paused = false;
    poll_fn(|_| match has_paused {
        true => Poll::Ready(()),
        false => {
            has_paused = true;
            Poll::Pending
        }
    })
    .await;
}
