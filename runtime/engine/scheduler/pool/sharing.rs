//! How workers share what there is to do: when one unparks another, and from which one it steals.
//!
//! A worker with more than it can run at once hands nothing over: it unparks another, which steals
//! half of what waits. That one, having found work and left more, unparks the next. So a burst of tasks
//! reaches all workers in a few steps, and nothing runs alone while a worker is parked.
//!
//! Nothing of this is done while it is known not to be worth it (`cost.rs`).
//!
//! **Alternative:** to hand tasks over, one worker to another. Then no worker searches, and by the time a task
//! arrives its worker may be the busier one.

use super::{WorkerShared, cost::worth_sharing, worker::Worker};
use crate::engine::base::{
    primitives::lock,
    primitives::{Ordering, fence},
    trace::{self, EventKind},
};

impl WorkerShared {
    /// How many runnables wait in its ring.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.thief).len()
    }

    /// Whether what waits there is worth a second worker.
    pub(super) fn is_worth_sharing(&self, now: u64) -> bool {
        worth_sharing(self.waiting(), self.poll_cost.known(now))
    }
}

impl Worker {
    // ANCHOR: unpark_for_backlog
    /// There may be more to do than this worker can run at once: unparks another worker, unless it is known
    /// that it is not worth it.
    #[cold]
    pub(super) fn unpark_for_backlog(&self) {
        if !self.pool.idle.can_unpark() {
            return;
        }
        let waiting = self.queue.len() + self.pool.injector.len();
        if worth_sharing(waiting, self.shared().poll_cost.known(self.interval.last_reading())) {
            self.unpark_another();
        }
    }
    // END: unpark_for_backlog

    /// Unparks another worker, if one is parked and none searches anyway.
    pub(super) fn unpark_another(&self) {
        if let Some(notified) = self.pool.idle.unpark_one() {
            self.counters().unparked.add(1);
            self.pool.carry_out(notified);
        }
    }

    /// The queue has run dry: looks for work in the injector, then at the other workers.
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
            let other = &self.pool.workers[victim];
            let is_other = victim != self.index();
            if is_other && other.is_worth_sharing(now) && self.steal_from(victim) {
                self.next_victim.set(victim);
                return true;
            }
        }
        false
    }

    /// Steals half of what waits in another worker's ring.
    pub(super) fn steal_from(&self, victim: usize) -> bool {
        let stolen = self.queue.steal_from(&lock(&self.pool.workers[victim].thief));
        let Some(task) = stolen else { return false };
        self.counters().steals.add(1);
        trace::report(|| EventKind::Stole { worker: victim });
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
        // Then the look: a thread that injects, and still counts on this search, is seen.
        fence(Ordering::SeqCst);
        let victim = &self.pool.workers[self.next_victim.get() % self.pool.workers.len()];
        if victim.is_worth_sharing(self.interval.last_reading()) {
            self.unpark_another();
        } else {
            self.unpark_for_backlog();
        }
    }
}
