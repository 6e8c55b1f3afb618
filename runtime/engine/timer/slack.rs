//! Timer slack: whether to wake up at each deadline, or once for several.
//!
//! A loop that wakes up for each of very many timers does little else: parking costs some 8
//! microseconds of processor time. So timers are met exactly while they are sparse. While they are
//! dense they are coalesced: they share a wake-up, at most [`SLACK`] late. Dense means both: many fired
//! within the last milliseconds, and another is due shortly after the next.
//!
//! Plain data. **Alternative:** a fixed grain (tokio's millisecond): no decision, and every sleep late.

use super::wheel::Wheel;

/// How late a timer may fire, in nanoseconds, so that dense timers share a wake-up.
const SLACK: u64 = 400_000;
/// As many firings in about two milliseconds as make timers dense.
const DENSE: u32 = 10;
/// Pending deadlines worth counting to see what is due shortly.
const COUNTED: usize = 16;

pub(crate) struct Slack {
    /// Firings, of which each millisecond since `counted_at` halves the weight.
    firings: u32,
    counted_at: u64,
}

impl Slack {
    pub(crate) const fn new() -> Self {
        Self { firings: 0, counted_at: 0 }
    }

    /// When to wake up for timers of which the earliest is due at `next`.
    pub(crate) fn wake_up_at<T: Default>(&self, next: u64, wheel: &Wheel<T>) -> u64 {
        // By then, if none fires until then. Time that is still to come changes nothing here.
        if self.recent_firings(next) < DENSE {
            return next;
        }
        let limit = next.saturating_add(SLACK);
        match wheel.due_until(limit, COUNTED) {
            (0 | 1, _) => next,
            (COUNTED.., _) => limit,
            (_, last) => last.max(next),
        }
    }

    /// So many timers fired, at `now`.
    pub(crate) fn fired(&mut self, now: u64, timers: usize) {
        let recent = self.recent_firings(now);
        if halvings(self.counted_at, now) > 0 {
            self.counted_at = now;
        }
        self.firings = recent.saturating_add(timers.min(1 << 16) as u32);
    }

    fn recent_firings(&self, now: u64) -> u32 {
        self.firings >> halvings(self.counted_at, now)
    }
}

/// Milliseconds, nearly, from one moment to another, up to as many as leave nothing of a count.
fn halvings(from: u64, to: u64) -> u64 {
    (to.saturating_sub(from) >> 20).min(31)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1 << 20;

    /// A wheel of timers that are so far apart.
    fn wheel_of(deadlines: impl Iterator<Item = u64>) -> Wheel<()> {
        let mut wheel = Wheel::new();
        deadlines.for_each(|deadline| _ = wheel.insert(deadline, ()));
        wheel
    }

    #[test]
    fn sparse_timers_are_met_exactly() {
        let wheel = wheel_of((1..=3).map(|n| n * 1_000));
        let mut slack = Slack::new();
        assert_eq!(slack.wake_up_at(1_000, &wheel), 1_000, "none has fired");
        for n in 0..100 {
            slack.fired(n * 2 * MILLISECOND, 4);
        }
        let now = 200 * MILLISECOND;
        let wheel = wheel_of((1..=3).map(|n| now + n * 1_000));
        assert_eq!(slack.wake_up_at(now + 1_000, &wheel), now + 1_000, "four in two milliseconds");
    }

    #[test]
    fn dense_timers_share_a_wake_up() {
        let mut slack = Slack::new();
        slack.fired(0, DENSE as usize);
        let next = 1_000;
        let waking_up = |deadlines| slack.wake_up_at(next, &wheel_of(deadlines));
        let none_follows = vec![next, next + SLACK + 1];
        assert_eq!(waking_up(none_follows.into_iter()), next);
        let two_follow = vec![next, next + 10, next + 7_000, next + SLACK + 1];
        assert_eq!(waking_up(two_follow.into_iter()), next + 7_000, "the last of them");
        let many: Vec<_> = (0..COUNTED as u64).map(|n| next + n).collect();
        assert_eq!(waking_up(many.into_iter()), next + SLACK);
    }

    #[test]
    fn many_firings_are_forgotten_within_milliseconds() {
        let mut slack = Slack::new();
        slack.fired(0, usize::MAX);
        let then = 40 * MILLISECOND;
        let wheel = wheel_of([then, then + 1].into_iter());
        assert_eq!(slack.wake_up_at(then, &wheel), then);
    }

    /// A loop with a far deadline parks and is woken long before it: what it asked for then says
    /// nothing of when its timers fired.
    #[test]
    fn a_deadline_far_ahead_does_not_make_sparse_timers_dense() {
        let mut slack = Slack::new();
        let far = 1_000_000 * MILLISECOND;
        assert_eq!(slack.wake_up_at(far, &wheel_of([far].into_iter())), far);
        // Two each 50 milliseconds are sparse, however many there have been.
        for n in 1..=100 {
            let now = n * 50 * MILLISECOND;
            slack.fired(now, 2);
            let next = now + 1_000;
            let wheel = wheel_of([next, next + 1_000].into_iter());
            assert_eq!(slack.wake_up_at(next, &wheel), next, "after {n} times");
        }
    }
}
