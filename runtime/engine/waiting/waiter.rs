//! Who is to be woken: one of our own tasks, by its number, or anybody, by a waker.
//!
//! A task of an event loop has a number for a waker (`task/local.rs`), and its own loop marks it without
//! calling anybody. All other wakers are foreign code, which is cloned, called and dropped in the open.
//! What both are to whoever finds a source ready is this enum; `task/local.rs` makes one of a waker, and
//! wakes it.

use std::task::Waker;

/// One who waits.
#[derive(Debug)]
pub(crate) enum Waiter {
    /// A task of an event loop: the bits of its waker.
    Task(u64),
    /// Anybody.
    Foreign(Waker),
}
