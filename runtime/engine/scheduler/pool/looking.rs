//! The look before parking: a worker with nothing to do bets that something comes shortly.
//!
//! To be unparked costs whoever does it a system call, and the worker the way out of the kernel. While
//! it looks, it counts as one that searches, so nobody unparks anybody: what is injected meanwhile costs
//! who injects it nothing more. The books are those of the event loop (`scheduler/spin.rs`), one for
//! each worker. One worker of a pool looks at a time.

use std::{hint, io};

use super::worker::Worker;
use crate::engine::scheduler::spin::WINDOW;

/// Pauses between two looks. The lines that are looked at are those that others write to.
const PAUSES: u32 = 16;

impl Worker {
    /// Looks around for a while, if the ledger says so. `true`: there is something to do.
    pub(super) fn look_before_parking(&self) -> io::Result<bool> {
        let Some(ledger) = &self.ledger else { return Ok(false) };
        if !self.searching.get()
            || !self.pool.idle.searches_alone()
            || !ledger.borrow_mut().is_worth_it(self.interval.last_reading())
        {
            return Ok(false);
        }
        let began = self.read_clock();
        let (end, mut now, mut found) = (began + WINDOW, began, false);
        while !found && now < end && now < self.timers().earliest() && !self.pool.is_closed() {
            (0..PAUSES).for_each(|_| hint::spin_loop());
            self.look()?;
            found = !self.queue.is_empty() || !self.pool.injector.is_empty() || self.steal();
            now = self.read_clock();
        }
        // What came only after the window came because the kernel gave the processor to somebody else
        // in between: no looking made it come.
        if found && now < end {
            self.counters().bets_won.add(1);
        } else {
            self.counters().bets_lost.add(1);
            ledger.borrow_mut().in_vain(now - began);
        }
        Ok(found)
    }

    /// It is up again, and lay down at `since`. `found`: what got it up is what it looks for.
    pub(super) fn got_up(&self, since: u64, found: bool) {
        let now = self.read_clock();
        self.busy_since.set(now);
        self.polls_sampled.set(self.counters().polls.get());
        if let Some(ledger) = &self.ledger {
            ledger.borrow_mut().parked(now.saturating_sub(since), found);
        }
    }
}
