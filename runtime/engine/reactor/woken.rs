//! The waiters that a look or a wait found, to be woken: plain data.
//!
//! Wakers are user code, and the thread that finds them has a reactor borrowed, or holds its locks. So they are
//! noted here, and called once all of that is released. An event loop and a worker keep one each.

use mio::Token;

use crate::engine::{
    base::trace::{self, Cause, EventKind},
    waiting::waiter::Waiter,
};

/// So many waiters it keeps memory for.
const KEPT: usize = 1024;

/// The waiters to be woken for what was found, kept for its memory.
#[derive(Debug, Default)]
pub(crate) struct Woken {
    waiters: Vec<Waiter>,
    /// While the trace is listened to: which source had how many waiters, in order.
    traced: Vec<(u64, usize)>,
}

impl Woken {
    /// `take` adds those who wait for the source of this token.
    #[inline]
    pub(super) fn note(&mut self, token: Token, take: impl FnOnce(&mut Vec<Waiter>)) {
        let before = self.waiters.len();
        take(&mut self.waiters);
        if trace::on() {
            let source = u64::from(token.0 as u32);
            self.traced.push((source, self.waiters.len() - before));
        }
    }

    /// Whether there is nothing to wake, and nothing to tell the trace.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiters.is_empty() && self.traced.is_empty()
    }

    /// Has `wake` wake them all. That calls user code: with nothing borrowed and no lock held.
    ///
    /// Without a listener, an event loop's own tasks were woken as they were found, and only the others are
    /// here. So with one they come first as well: listening must not change the order.
    pub(crate) fn wake_all(&mut self, wake: impl Fn(Waiter)) {
        let mut others = Vec::new();
        let mut waiters = self.waiters.drain(..);
        for (source, count) in self.traced.drain(..) {
            trace::report(|| EventKind::Ready { source });
            let before = trace::set_cause(Cause::Source(source));
            for waiter in waiters.by_ref().take(count) {
                match waiter {
                    Waiter::Task(_) => wake(waiter),
                    Waiter::Waker(_) => others.push((source, waiter)),
                }
            }
            trace::set_cause(before);
        }
        for (source, waiter) in others {
            let before = trace::set_cause(Cause::Source(source));
            wake(waiter);
            trace::set_cause(before);
        }
        waiters.for_each(wake);
        self.waiters.shrink_to(KEPT);
        self.traced.shrink_to(KEPT);
    }
}
