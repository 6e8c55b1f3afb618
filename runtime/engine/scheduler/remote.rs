//! What other threads reach of an event loop.
//!
//! A loop's tasks, timers and sources are its thread's alone. Others send it messages, use its blocking pool
//! and read its counters. [`Remote`] holds these; a `Handle`, and a blocking call that the loop made, hold a `Remote`. It may
//! outlive its loop: then the messages are refused, and so are the calls.

use std::{
    fmt,
    sync::Arc as StdArc,
    thread::{self, ThreadId},
};

use crate::engine::{
    base::{clock::Clock, primitives::Arc, stats::Counters},
    blocking::BlockingPool,
    inbox::Address,
};

pub(crate) struct Remote {
    pub(crate) address: Address,
    pub(crate) blocking: Arc<BlockingPool>,
    pub(crate) clock: Clock,
    pub(crate) counters: StdArc<Counters>,
    thread: ThreadId,
}

impl Remote {
    /// Of a loop whose thread is this.
    pub(crate) fn new(
        address: Address,
        blocking: Arc<BlockingPool>,
        clock: Clock,
        counters: StdArc<Counters>,
    ) -> Self {
        Self { address, blocking, clock, counters, thread: thread::current().id() }
    }

    /// Whether this is the loop's own thread.
    pub(crate) fn is_here(&self) -> bool {
        thread::current().id() == self.thread
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.address.loop_id).finish()
    }
}
