//! The guard duty: a parked worker looks after those that are stuck.
//!
//! A worker that is stuck in one poll runs nothing, looks at no socket and fires no timer, and its tasks
//! cannot know. So while any worker is awake, one of those that are parked looks at the others, every
//! 100 microseconds at first, and less often, down to once a millisecond, while all of them make
//! progress. A worker that has begun no poll since the look before is *stuck* (or the system does not let
//! it run, which comes to the same). What waits there is taken over: the tasks in its queue, and the
//! timers that are due. Its sockets need nothing of the sort: they are in the reactor of all, where one
//! of the parked workers waits (`parking.rs`).
//!
//! So what becomes ready while any worker is parked runs within two milliseconds, whatever the
//! others are stuck in; and mostly at once, for a worker with a backlog whose polls are not known to be
//! short unparks others itself (`sharing.rs`). The guard is for polls that were short and suddenly are not.
//!
//! **Alternative:** a thread of its own for that, which Go has, to do what an idle worker can; or none,
//! and each task that becomes ready is worth a system call if a worker is parked: tokio's way.

use super::{watch::QUIET_LOOKS, worker::Worker};
use crate::engine::{
    base::{
        primitives::{lock, seeded},
        trace::{self, EventKind},
    },
    run_queue::stealing::CAPACITY,
};

/// What the guard found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// It took something over, and has work.
    Took,
    /// Nothing; the next look is due at this moment.
    Until(u64),
}

impl Worker {
    /// Looks after the others, if that is due.
    pub(crate) fn guard(&self, now: u64) -> Guarded {
        let pool = &*self.pool;
        let polls_of = |worker: usize| pool.workers[worker].counters.polls.get();
        {
            let mut watch = lock(&pool.watch);
            if !watch.is_due(now, polls_of) {
                return Guarded::Until(watch.due);
            }
            if !pool.idle.is_any_awake() {
                watch.quiet += 1;
                watch.end(now, false);
                watch.lapsed = watch.quiet >= QUIET_LOOKS && pool.idle.end_guard(self.index());
                return Guarded::Until(if watch.lapsed { u64::MAX } else { watch.due });
            }
            watch.quiet = 0;
            for (index, worker) in pool.workers.iter().enumerate() {
                let stuck = watch.is_stuck(index, polls_of(index));
                worker.stuck.set(u64::from(stuck && !pool.idle.is_parked(index)));
            }
            watch.begin_look(now);
        }
        let mut took = !pool.injector.is_empty();
        let mut took_over = false;
        for (index, worker) in pool.workers.iter().enumerate().filter(|(n, _)| *n != self.index()) {
            if worker.is_stuck() {
                pool.note_long_poll(now);
                took_over |= self.take_over(index);
            } else if worker.is_worth_sharing(now) {
                took |= self.steal_from(index);
            }
        }
        let due = {
            let mut watch = lock(&pool.watch);
            watch.end(now, took_over);
            watch.due
        };
        if took || took_over { Guarded::Took } else { Guarded::Until(due) }
    }

    // ANCHOR: take_over
    /// Takes what waits at a worker that is stuck. If there is nothing it has had no chance to notice.
    fn take_over(&self, index: usize) -> bool {
        let stuck = &self.pool.workers[index];
        let mut took = false;
        if !seeded("guard_leaves_the_lifo_slot")
            && let Some(task) = lock(&stuck.thief).steal_lifo()
        {
            self.push(task);
            took = true;
        }
        // All of it, half by half: its owner has no use for it meanwhile. But what that one spawns on
        // and on is not waited for.
        for _ in 0..=CAPACITY.ilog2() {
            took |= self.steal_from(index);
        }
        took |= self.fire(&stuck.timers, self.read_clock()) > 0;
        if took {
            self.counters().takeovers.add(1);
            trace::report(|| EventKind::TookOver { worker: index });
        }
        took
    }
    // END: take_over
}
