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
//! So what becomes ready while any worker is parked runs within two ticks of a millisecond, whatever the
//! others are stuck in; and mostly at once, for a worker with a backlog whose polls are not known to be
//! short unparks others itself (`sharing.rs`). The guard is for polls that were short and suddenly are not.
//!
//! The duty passes from worker to worker. So what was seen, and when the next look is due, belongs to the
//! pool: if each guard began a tick of its own, one that a timer unparks every few microseconds would
//! never compare anything.
//!
//! **Alternative:** a thread of its own for that, which Go has, to do what an idle worker can; or none,
//! and each task that becomes ready is worth a system call if a worker is parked: tokio's way.

use super::{sharing::worth_sharing, worker::Worker};
use crate::engine::{
    base::{
        primitives::{lock, seeded},
        trace::{self, Event},
    },
    run_queue::stealing::CAPACITY,
};

/// The shortest and the longest pause between two looks, in nanoseconds.
const SHORTEST_TICK: u64 = 100_000;
pub(crate) const LONGEST_TICK: u64 = 1_000_000;
/// After so many looks in a row that found no worker awake the duty lapses.
const QUIET_LOOKS: u32 = 3;

/// What the guard knows of the workers, and when it has to look again. Plain data, behind a lock that is
/// held for one step.
pub(crate) struct Watch {
    /// When the next look is due.
    due: u64,
    /// Between the last look and the next.
    tick: u64,
    /// How many polls each worker had begun.
    polls: Vec<u64>,
    /// Looks in a row that found no worker awake.
    quiet: u32,
    /// The duty lapsed: what was seen is of no use to the next guard.
    lapsed: bool,
}

/// What the guard found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// It took something over, and has work.
    Took,
    /// Nothing; the next look is due at this moment.
    Until(u64),
}

impl Watch {
    pub(crate) fn new(workers: usize) -> Self {
        Self { due: 0, tick: SHORTEST_TICK, polls: vec![0; workers], quiet: 0, lapsed: true }
    }

    /// Whether a look is due at `now`. `polls_of` says how many polls a worker has begun.
    fn is_due(&mut self, now: u64, polls_of: impl Fn(usize) -> u64) -> bool {
        // The worker that is awake now was unparked a moment ago, and is not stuck yet.
        if std::mem::take(&mut self.lapsed) {
            self.begin(now, polls_of);
        }
        self.due <= now
    }

    /// Begins to watch, at `now`.
    fn begin(&mut self, now: u64, polls_of: impl Fn(usize) -> u64) {
        for (worker, polls) in self.polls.iter_mut().enumerate() {
            *polls = polls_of(worker);
        }
        (self.tick, self.quiet) = (SHORTEST_TICK, 0);
        self.due = now.saturating_add(self.tick);
    }

    /// Whether a worker that is awake, and has begun so many polls, is stuck. Notes that for the next look.
    fn is_stuck(&mut self, worker: usize, polls: u64) -> bool {
        std::mem::replace(&mut self.polls[worker], polls) == polls
    }

    /// Ends the look that began at `now`. Soon there is another if something was taken over, for more is
    /// likely to come while that poll goes on; else each pause is twice the one before.
    fn end(&mut self, now: u64, took_over: bool) {
        self.tick = if took_over { SHORTEST_TICK } else { LONGEST_TICK.min(2 * self.tick) };
        self.due = now.saturating_add(self.tick);
    }
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
            // Until it is done with this look, no other guard begins one.
            watch.due = now.saturating_add(LONGEST_TICK);
        }
        let mut took = !pool.injector.is_empty();
        let mut took_over = false;
        for (index, worker) in pool.workers.iter().enumerate().filter(|(n, _)| *n != self.index()) {
            if worker.is_stuck() {
                took_over |= self.take_over(index);
            } else if worth_sharing(worker.waiting(), worker.poll_cost(now)) {
                took |= self.steal_from(index);
            }
        }
        lock(&pool.watch).end(now, took_over);
        took |= took_over;
        if took { Guarded::Took } else { Guarded::Until(now.saturating_add(SHORTEST_TICK)) }
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
            trace::report(|| Event::TookOver { worker: index });
        }
        took
    }
    // END: take_over
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TICK: u64 = SHORTEST_TICK;

    /// Looks as soon as one is due, and gives the pause after it.
    fn look(watch: &mut Watch, now: &mut u64, took_over: bool) -> u64 {
        *now = watch.due.max(*now);
        assert!(watch.is_due(*now, |_| 0));
        watch.end(*now, took_over);
        watch.due - *now
    }

    #[test]
    fn pauses_double_up_to_a_millisecond_and_are_short_again_after_a_takeover() {
        let (mut watch, mut now) = (Watch::new(2), 50 * LONGEST_TICK);
        assert!(!watch.is_due(now, |_| 0), "it begins to watch");
        let quiet = [(); 5].map(|()| look(&mut watch, &mut now, false));
        assert_eq!(quiet, [2 * TICK, 4 * TICK, 8 * TICK, LONGEST_TICK, LONGEST_TICK]);
        assert_eq!(look(&mut watch, &mut now, true), TICK);
    }

    #[test]
    fn a_worker_is_stuck_if_it_has_begun_no_poll_since_the_look_before() {
        let mut watch = Watch::new(1);
        watch.begin(0, |_| 7);
        assert!(watch.is_stuck(0, 7) && !watch.is_stuck(0, 8) && watch.is_stuck(0, 8));
    }

    #[test]
    fn a_guard_that_is_late_looks_all_the_same() {
        let mut watch = Watch::new(1);
        watch.begin(0, |_| 7);
        watch.lapsed = false;
        assert!(watch.is_due(10 * LONGEST_TICK, |_| 7), "on a busy machine it is never in time");
    }

    #[test]
    fn a_watch_that_lapsed_begins_anew() {
        let mut watch = Watch::new(1);
        let long_after = 10 * LONGEST_TICK;
        assert!(!watch.is_due(long_after, |_| 7), "who is awake now may just have been unparked");
        assert_eq!(watch.due, long_after + TICK);
        assert!(watch.is_stuck(0, 7), "compared with what was seen then");
    }

    #[test]
    fn the_next_look_stays_due_when_the_duty_passes_on() {
        let mut watch = Watch::new(1);
        watch.begin(0, |_| 0);
        watch.lapsed = false;
        let due = (1..=TICK).find(|&now| watch.is_due(now, |_| 0));
        assert_eq!(due, Some(TICK), "asked by one worker after the other");
    }
}
