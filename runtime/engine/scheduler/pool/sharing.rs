//! How workers share what there is to do: when one unparks another, and from whom one steals.
//!
//! A worker with more than it can run at once hands nothing over: it unparks a neighbour, which steals
//! half of what waits. That one, having found work and left more, unparks the next. So a burst of tasks
//! reaches all workers in a few steps, and nothing runs alone while a worker is parked.
//!
//! To unpark costs a system call, the way out of the kernel, and all the memory that the other processor
//! has to fetch. For tasks of some nanoseconds that is a loss on both sides: they are done sooner alone.
//! So a worker measures what its polls cost, and does not unpark while it is *known* that the backlog
//! takes less time than that ([`UNPARK_TAKES`]). What is not known counts as long: the first poll of a
//! task, and whatever was measured more than [`KNOWN_FOR`] ago, as behind a poll that takes long.
//!
//! **Alternative:** to unpark whenever a task is ready and a worker is parked, as tokio and Go do. Tasks
//! that take less time than the way to another processor's cache are then spread over all of them, and
//! are the slower for it.

use super::{Shared, worker::Worker};
use crate::engine::base::{
    primitives::lock,
    trace::{self, Event},
};

/// What it takes until a parked worker is up and at work, in nanoseconds. A backlog that is done sooner
/// is better done alone.
const UNPARK_TAKES: u64 = 20_000;
/// What a poll costs at the least, in nanoseconds. Less was measured of tasks that did nothing yet.
const LEAST_POLL: u64 = 50;
/// How long what was measured is taken to hold, in nanoseconds. A worker that gets on measures every 20
/// microseconds.
const KNOWN_FOR: u64 = 100_000;
/// The cost of polls that were not measured.
const UNKNOWN: u64 = u64::MAX;

/// Whether `waiting` runnables are worth a second worker, at this cost of a poll.
pub(super) fn worth_sharing(waiting: usize, poll_cost: Option<u64>) -> bool {
    let backlog = |cost: u64| (waiting as u64).saturating_mul(cost.max(LEAST_POLL));
    waiting > 0 && poll_cost.is_none_or(|cost| backlog(cost) > UNPARK_TAKES)
}

impl Shared {
    /// What a poll of this worker costs, in nanoseconds, as far as it is known.
    pub(super) fn poll_cost(&self, now: u64) -> Option<u64> {
        let cost = self.counters.poll_cost.get();
        let is_known =
            cost != UNKNOWN && now.saturating_sub(self.counters.measured_at.get()) <= KNOWN_FOR;
        is_known.then_some(cost)
    }

    /// What polls cost since the clock was last read. By the worker itself.
    pub(super) fn note_poll_cost(&self, cost: u64, now: u64) {
        self.counters.poll_cost.set(cost);
        self.counters.measured_at.set(now);
    }

    /// What comes is unlike what was measured. By the worker itself.
    pub(super) fn forget_poll_cost(&self) {
        self.counters.poll_cost.set(UNKNOWN);
    }

    /// How many runnables wait in its ring.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.thief).len()
    }
}

impl Worker {
    /// There may be more to do than this worker can run at once: unparks a neighbour, unless it is known
    /// that it is not worth it.
    #[cold]
    pub(super) fn unpark_for_backlog(&self) {
        if !self.pool.idle.can_unpark() {
            return;
        }
        let waiting = self.queue.len() + self.pool.injector.len();
        if worth_sharing(waiting, self.shared().poll_cost(self.cadence.last_reading())) {
            self.unpark_neighbour();
        }
    }

    /// Unparks a neighbour, if one is parked and none searches anyway.
    pub(super) fn unpark_neighbour(&self) {
        if let Some(notified) = self.pool.idle.unpark_one() {
            self.counters().unparked.add(1);
            self.pool.carry_out(notified);
        }
    }

    /// The queue has run dry: looks for work in the injector, then at the neighbours.
    pub(super) fn find_work(&self) -> bool {
        if !self.pool.injector.is_empty() {
            return true;
        }
        if !self.searching.get() && !self.pool.idle.search() {
            return false;
        }
        self.searching.set(true);
        self.steal() || !self.pool.injector.is_empty()
    }

    fn steal(&self) -> bool {
        let workers = self.pool.workers.len();
        let first = self.next_victim.get();
        let now = self.read_clock();
        for victim in (first..first + workers).map(|index| index % workers) {
            let neighbour = &self.pool.workers[victim];
            let is_worth_it = worth_sharing(neighbour.waiting(), neighbour.poll_cost(now));
            if victim != self.index() && is_worth_it && self.steal_from(victim) {
                self.next_victim.set(victim);
                return true;
            }
        }
        false
    }

    /// Steals half of what waits in a neighbour's ring.
    pub(super) fn steal_from(&self, victim: usize) -> bool {
        let stolen = self.queue.steal_from(&lock(&self.pool.workers[victim].thief));
        let Some(task) = stolen else { return false };
        self.counters().steals.add(1);
        trace::report(|| Event::Stole { worker: victim });
        self.push(task);
        true
    }

    /// The search has brought work. The last to search unparks the next if there is more, here or where
    /// it came from.
    #[cold]
    pub(super) fn end_search(&self) {
        self.searching.set(false);
        if !self.pool.idle.found() {
            return;
        }
        let victim = &self.pool.workers[self.next_victim.get() % self.pool.workers.len()];
        if worth_sharing(victim.waiting(), victim.poll_cost(self.cadence.last_reading())) {
            self.unpark_neighbour();
        } else {
            self.unpark_for_backlog();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_counts_as_long() {
        assert!(worth_sharing(1, None));
        assert!(!worth_sharing(0, None), "nothing waits");
    }

    #[test]
    fn a_backlog_is_worth_a_second_worker_if_it_takes_longer_than_to_unpark_one() {
        assert!(!worth_sharing(1, Some(UNPARK_TAKES)));
        assert!(worth_sharing(1, Some(UNPARK_TAKES + 1)));
        assert!(!worth_sharing(200, Some(12)), "two hundred tasks that only yield");
        assert!(worth_sharing(1_000, Some(0)), "no poll costs nothing");
        assert!(worth_sharing(2, Some(u64::MAX)), "it does not overflow");
    }
}
