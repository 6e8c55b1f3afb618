//! How workers share what there is to do: who unparks whom, and who steals from whom.
//!
//! The rules, what is worth a neighbour and what is not, are in `idle.rs`; here is what a worker does
//! by them. One with too much never hands anything over: it gets a neighbour up, who steals half of
//! what waits, and goes on stealing while that pays. One who has run dry looks into the injector, and
//! then at each neighbour in turn, from where it last found something.
//!
//! The rival is to unpark whenever a task is ready and somebody sleeps. Tasks that take less time than
//! the way to another processor's cache are then spread over all of them, and are the slower for it.

use super::{
    idle::{worth_stealing, worth_unparking},
    worker::Worker,
};
use crate::engine::base::trace::{self, Event};

impl Worker {
    /// Unparks a neighbour, if there is one that sleeps and none that searches anyway.
    pub(super) fn get_help(&self) {
        if self.pool.idle.has_help()
            && let Some(neighbour) = self.pool.idle.pick()
        {
            self.counters().unparked.add(1);
            self.pool.unpark(Some(neighbour));
        }
    }

    /// The same, if it has more to do than it should do alone.
    pub(super) fn get_help_if_worth_it(&self) {
        let waiting = self.queue.len() + self.pool.injector.len();
        let now = self.interval.last_reading();
        let busy = now.saturating_sub(self.busy_since.get());
        let help_takes = self.pool.settings.help_takes;
        if worth_unparking(waiting, self.shared().poll_cost(waiting), busy, help_takes) {
            self.busy_since.set(now);
            self.get_help();
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

    pub(super) fn steal(&self) -> bool {
        let workers = self.pool.workers.len();
        let first = self.next_victim.get();
        for victim in (first..first + workers).map(|at| at % workers) {
            let neighbour = &self.pool.workers[victim];
            let waiting = neighbour.thief.len();
            if victim == self.number() || !worth_stealing(waiting, neighbour.poll_cost(waiting)) {
                continue;
            }
            if self.steal_from(victim) {
                self.next_victim.set(victim);
                return true;
            }
        }
        false
    }

    /// Steals half of what waits in a neighbour's ring.
    pub(super) fn steal_from(&self, victim: usize) -> bool {
        let thief = &self.pool.workers[victim].thief;
        let Some(task) = self.queue.steal_from(thief) else { return false };
        self.counters().steals.add(1);
        trace::report(|| Event::Stole { worker: victim });
        self.push(task);
        true
    }

    /// The search has brought work. The last to search unparks the next if there is more.
    #[cold]
    pub(super) fn end_search(&self) {
        if self.pool.idle.found() {
            self.get_help_if_worth_it();
        }
    }
}
