//! What the sentry knows of its neighbours, and when it has to compare again.
//!
//! The post goes round: whoever keeps guard gets up for work of its own, and another takes the post. So
//! what was seen, and when the next look is due, belongs to the pool and stays where it is. If each
//! kept a tick of its own, one that a timer gets up every few milliseconds would begin it anew each
//! time, and nobody would ever compare.
//!
//! Where a worker was stuck and something waited there, more is likely to come while its poll goes on: its
//! sockets may be all that the pool has. So the next look follows soon, and each that finds nothing
//! doubles the pause, up to a tick.
//!
//! Plain data, behind a lock that is held for one step. The rival, each sentry's own memory, needs no
//! lock, and its bound is broken by whoever sleeps badly.

use std::mem;

use crate::engine::run_queue::lifo::Sighting;

/// The part of a tick after which the sentry looks again, when it took something over.
const SOON: u64 = 64;

pub(crate) struct Watch {
    workers: usize,
    /// Between two looks, in nanoseconds, at the most.
    tick: u64,
    /// Between the last look and the next.
    pause: u64,
    /// When that is.
    due: u64,
    seen: Vec<Seen>,
}

/// What the sentry saw of a neighbour.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// How many polls it had begun.
    pub(crate) polls: u64,
    pub(crate) lifo: Option<Sighting>,
    /// Since when it has begun none, as far as was seen.
    pub(crate) since: u64,
    /// It was stuck, and something waited there.
    pub(crate) taken_over: bool,
}

impl Seen {
    /// Whether a worker that has begun so many polls by `now` is stuck, if it is not asleep. One that was
    /// stuck at the last look is so until it begins another; any other must have begun none for half a
    /// tick, for that look may have been a moment ago.
    pub(crate) fn is_stuck(&self, polls: u64, now: u64, tick: u64) -> bool {
        polls == self.polls && (self.taken_over || now.saturating_sub(self.since) >= tick / 2)
    }
}

impl Watch {
    pub(crate) fn new(workers: usize, tick: u64) -> Self {
        Self { workers, tick, pause: tick, due: 0, seen: Vec::new() }
    }

    /// When the sentry has to look. `appointed`: it had slept, and has the post because another got up.
    pub(crate) fn due(&mut self, now: u64, appointed: bool) -> u64 {
        // Long overdue: nobody was guarded, for nobody was up. Whoever got up now is not stuck yet, but may
        // be before a tick is over.
        if appointed && self.due.saturating_add(self.tick) < now {
            self.due = now.saturating_add(self.tick / 2);
        }
        self.due
    }

    /// Begins a look: gives what was seen at the last one, of each worker.
    pub(crate) fn begin(&mut self, now: u64) -> Vec<Seen> {
        self.due = now.saturating_add(self.tick);
        let mut seen = mem::take(&mut self.seen);
        // Empty if the sentry before is still at it: it may be held up by a waker.
        seen.resize(self.workers, Seen::default());
        seen
    }

    /// Ends the look that began at `now`: this is what was seen, and whether something was taken over. Sets
    /// the next.
    pub(crate) fn end(&mut self, now: u64, seen: Vec<Seen>, took_over: bool) {
        self.pause = if took_over { self.tick / SOON } else { self.tick.min(self.pause * 2) };
        self.due = now.saturating_add(self.pause);
        self.seen = seen;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TICK: u64 = 10;

    /// A watch that was kept at `now` for the last time.
    fn kept_at(now: u64) -> Watch {
        let mut watch = Watch::new(1, TICK);
        let seen = watch.begin(now);
        watch.end(now, seen, false);
        watch
    }

    #[test]
    fn a_tick_is_not_begun_anew_when_the_post_goes_round() {
        let mut watch = kept_at(100);
        for now in 101..130 {
            assert_eq!(watch.due(now, now % 2 == 0), 110, "at {now}");
            if watch.due(now, false) <= now {
                break;
            }
        }
    }

    #[test]
    fn whoever_lies_down_after_long_looks_at_once() {
        assert_eq!(kept_at(100).due(1_000, false), 110);
    }

    #[test]
    fn whoever_is_appointed_after_long_gives_the_one_who_got_up_half_a_tick() {
        assert_eq!(kept_at(100).due(1_000, true), 1_005);
    }

    #[test]
    fn after_a_takeover_it_looks_soon_and_then_less_and_less_often() {
        let mut watch = Watch::new(2, 100 * SOON);
        let mut now = 0;
        let mut look = |took_over| {
            let seen = watch.begin(now);
            watch.end(now, seen, took_over);
            let pause = watch.due(now, false) - now;
            now += pause;
            pause
        };
        assert_eq!([look(false), look(true), look(true)], [6_400, 100, 100]);
        let pauses: Vec<_> = (0..8).map(|_| look(false)).collect();
        assert_eq!(pauses, [200, 400, 800, 1_600, 3_200, 6_400, 6_400, 6_400]);
    }

    #[test]
    fn a_look_a_moment_after_another_calls_nobody_stuck_who_was_not() {
        let mut seen = Seen { polls: 7, since: 100, ..Seen::default() };
        assert!(!seen.is_stuck(7, 101, TICK) && seen.is_stuck(7, 105, TICK));
        assert!(!seen.is_stuck(8, 200, TICK));
        seen.taken_over = true;
        assert!(seen.is_stuck(7, 101, TICK) && !seen.is_stuck(8, 101, TICK));
    }

    #[test]
    fn what_was_seen_is_there_at_the_next_look() {
        let mut watch = Watch::new(2, TICK);
        let mut seen = watch.begin(0);
        assert_eq!(watch.begin(0).len(), 2, "another looks before the first is done");
        seen[1].polls = 7;
        watch.end(0, seen, false);
        assert_eq!(watch.begin(0)[1].polls, 7);
    }
}
