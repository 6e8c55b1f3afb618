//! What is to be woken: one of our own tasks, by its number, or anything, by a waker.
//!
//! A task of an event loop has a number for a waker (`task/local.rs`), and its own loop wakes it without
//! a call through a vtable. All other wakers count as user code (a `Runtime`'s tasks have ordinary ones, and are not
//! told apart from those of other crates), and are cloned, woken and dropped with
//! nothing borrowed or locked. Whatever is waited for keeps one of these for each that waits: a source
//! in its slots, all else in a `WaitList`. `task/local.rs` makes one of a waker, and wakes it.

use std::task::Waker;

/// One that waits.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A task of an event loop: the bits of its waker.
    Task(u64),
    /// The waker of anything else, also of a `Runtime`'s task.
    Waker(Waker),
}
