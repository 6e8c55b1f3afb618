//! When to wake up for timers: at each deadline, or once for several.
//!
//! A loop that wakes up for each of very many timers does little else: parking costs some 8
//! microseconds of processor time. So timers are met exactly while they are sparse, and share a
//! wake-up, at most [`SHARED`] late, while they come densely. Dense means both: several fired within
//! the last milliseconds, and another is due shortly after the next.
//!
//! Plain data. The rival is a fixed grain (tokio's millisecond): no decision, and every sleep late.

use super::wheel::Wheel;

/// How late a timer may fire, in nanoseconds, so that dense timers share a wake-up.
const SHARED: u64 = 400_000;
/// As many firings in about two milliseconds as make timers dense.
const DENSE: u32 = 10;
/// Pending deadlines worth counting to see what is due shortly.
const COUNTED: usize = 16;

pub(crate) struct Pace {
    /// Firings of late, halved each millisecond.
    heat: u32,
    heat_at: u64,
}

impl Pace {
    pub(crate) const fn new() -> Self {
        Self { heat: 0, heat_at: 0 }
    }

    /// When to wake up for timers of which the earliest is due at `next`.
    pub(crate) fn wake_up_at<T>(&mut self, next: u64, wheel: &Wheel<T>) -> u64 {
        self.cool(next);
        if self.heat < DENSE {
            return next;
        }
        let limit = next.saturating_add(SHARED);
        match wheel.due_until(limit, COUNTED) {
            (0 | 1, _) => next,
            (COUNTED.., _) => limit,
            (_, last) => last.max(next),
        }
    }

    /// So many timers fired.
    pub(crate) fn fired(&mut self, now: u64, timers: usize) {
        self.cool(now);
        self.heat = self.heat.saturating_add(timers.min(1 << 16) as u32);
    }

    fn cool(&mut self, now: u64) {
        let milliseconds = now.saturating_sub(self.heat_at) >> 20;
        if milliseconds > 0 {
            self.heat >>= milliseconds.min(31);
            self.heat_at = now;
        }
    }
}
