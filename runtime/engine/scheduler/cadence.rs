//! When to look at the reactor while tasks are ready.
//!
//! A small poll costs ten nanoseconds, reading the clock twice that, and a look at the kernel ten
//! times that. So the loop counts polls. After a number of them that follows their recent cost it
//! reads the clock, aiming at [`SAMPLE_EVERY`]; and when the last look is [`LOOK_EVERY`] ago it looks.
//! A task that polls for a millisecond gets a reading after each poll.
//!
//! Polls of many microseconds are mostly those of sockets, whose system calls are as dear as a look. With a
//! thousand connections every other request had a look of its own, and what that found waited for the rest of
//! the batch anyway. So there are [`WORTH_A_LOOK`] polls between two looks as well, unless they take
//! [`LOOK_LATEST`].
//!
//! A loop can be built to look after a fixed number of polls instead, so that what it does can be
//! counted under a tool that makes each poll last a hundred times as long. As a rule that is the rival
//! (tokio's 61): with polls of a millisecond it is
//! blind for 61 of them, and with polls of ten nanoseconds it spends a seventh of its time looking.

use std::cell::Cell;

/// Between two readings of the clock, in nanoseconds.
const SAMPLE_EVERY: u64 = 20_000;
/// Polls between two readings, at most; and always under a clock that stands still.
const MOST_POLLS: u32 = 64;
/// Between two looks, in nanoseconds.
const LOOK_EVERY: u64 = 50_000;
/// Polls between two looks.
const WORTH_A_LOOK: u32 = 32;
/// Between two looks, in nanoseconds, however few polls there were.
const LOOK_LATEST: u64 = 500_000;

#[derive(Debug)]
pub(crate) struct Cadence {
    /// The last reading.
    now: Cell<u64>,
    /// The loop was parked since.
    is_stale: Cell<bool>,
    looked_at: Cell<u64>,
    /// Polls since, as of the last reading.
    polls_since: Cell<u32>,
    polls_left: Cell<u32>,
    stride: Cell<u32>,
    /// Polls between two looks, if that was asked for; 0: by the clock.
    interval: u32,
}

impl Cadence {
    pub(crate) fn new(now: u64, interval: u32) -> Self {
        Self {
            interval,
            now: Cell::new(now),
            is_stale: Cell::new(false),
            looked_at: Cell::new(now),
            polls_since: Cell::new(0),
            polls_left: Cell::new(interval.max(1)),
            stride: Cell::new(interval.max(1)),
        }
    }

    /// The moment of the last reading, if the loop was not parked since.
    #[inline]
    pub(crate) fn now(&self) -> Option<u64> {
        (!self.is_stale.get()).then_some(self.now.get())
    }

    /// The moment of the last reading, however long ago.
    pub(crate) fn last_reading(&self) -> u64 {
        self.now.get()
    }

    /// The clock was read for another reason. The first reading after a park stands for the look that
    /// ended it.
    pub(crate) fn set_now(&self, now: u64) {
        self.now.set(now);
        if self.is_stale.replace(false) {
            self.looked_at.set(now);
        }
    }

    /// Counts a poll. `true`: read the clock.
    #[inline]
    pub(crate) fn count(&self) -> bool {
        let left = self.polls_left.get() - 1;
        self.polls_left.set(left);
        left == 0
    }

    /// There is nothing to look for: count on, without reading the clock.
    pub(crate) fn rest(&self) {
        self.polls_left.set(MOST_POLLS);
    }

    /// What the next polls cost may have nothing to do with this one: read the clock after it and after
    /// each, and then less often again.
    pub(crate) fn doubt(&self) {
        self.polls_left.set(1);
        self.stride.set(1);
    }

    /// The clock was read because polls were counted. `true`: look. Under a clock that stands still
    /// that is always, and so it is where the looks go by polls.
    pub(crate) fn sample(&self, now: u64, stands_still: bool) -> bool {
        let parked = self.is_stale.get();
        let stride = self.stride.get();
        let polls = self.polls_since.get().saturating_add(stride);
        self.polls_since.set(polls);
        let by_polls = stands_still || self.interval != 0;
        let stride = if self.interval != 0 {
            self.interval
        } else if stands_still {
            MOST_POLLS
        } else if parked {
            // How long these polls took is not known.
            stride
        } else {
            let took = now.saturating_sub(self.now.get()).max(1);
            let fitting = u64::from(stride) * SAMPLE_EVERY / took;
            // It shrinks at once and grows by doubling: one slow poll must not hide behind a
            // thousand quick ones.
            fitting.clamp(1, u64::from((stride * 2).min(MOST_POLLS))) as u32
        };
        self.stride.set(stride);
        self.polls_left.set(stride);
        self.set_now(now);
        let least = if polls < WORTH_A_LOOK { LOOK_LATEST } else { LOOK_EVERY };
        by_polls || now.saturating_sub(self.looked_at.get()) >= least
    }

    /// The loop looked.
    pub(crate) fn looked(&self) {
        self.looked_at.set(self.now.get());
        self.polls_since.set(0);
    }

    /// The loop was parked: it has just looked, and the count starts anew. What time it is now, it
    /// reads when somebody asks: a loop that serves one request after another without timers need not
    /// know.
    pub(crate) fn woke(&self) {
        self.is_stale.set(true);
        self.polls_since.set(0);
        self.polls_left.set(self.stride.get());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Polls between two readings, once it has settled, when a poll takes `cost` nanoseconds.
    fn settled(cost: u64) -> u64 {
        let cadence = Cadence::new(0, 0);
        let (mut now, mut polls) = (0, 0);
        for _ in 0..1_000 {
            polls = 1;
            now += cost;
            while !cadence.count() {
                polls += 1;
                now += cost;
            }
            cadence.sample(now, false);
        }
        polls
    }

    #[test]
    fn the_clock_is_read_after_each_poll_of_a_millisecond() {
        assert_eq!(settled(1_000_000), 1);
    }

    #[test]
    fn looks_that_go_by_polls_do_not_go_by_the_clock() {
        let cadence = Cadence::new(0, 3);
        cadence.woke();
        for now in [10, 1_000_000_000, 1_000_000_001] {
            while !cadence.count() {}
            assert!(cadence.sample(now, false));
            assert_eq!([(); 3].map(|()| cadence.count()), [false, false, true]);
            assert!(cadence.sample(now, false));
        }
    }

    #[test]
    fn the_clock_is_read_after_64_small_polls() {
        assert_eq!(settled(10), 64);
    }

    #[test]
    fn between_them_it_is_read_about_every_20_microseconds() {
        assert_eq!(settled(1_000), 20);
    }

    /// Polls, and nanoseconds, between two looks when a poll takes `cost`.
    fn between_looks(cost: u64) -> (u32, u64) {
        let cadence = Cadence::new(0, 0);
        let (mut now, mut between) = (0, (0, 0));
        for _ in 0..100 {
            let (begun, mut polls) = (now, 0);
            loop {
                now += cost;
                polls += 1;
                if cadence.count() && cadence.sample(now, false) {
                    break;
                }
            }
            cadence.looked();
            between = (polls, now - begun);
        }
        between
    }

    #[test]
    fn a_look_is_some_tens_of_microseconds_after_the_last() {
        let (polls, took) = between_looks(100);
        assert!((500..=512).contains(&polls), "{polls}");
        assert!((50_000..=51_200).contains(&took), "{took}");
    }

    #[test]
    fn with_slow_polls_it_is_some_tens_of_polls_after_the_last() {
        assert_eq!(between_looks(10_000), (32, 320_000));
    }

    #[test]
    fn with_polls_of_a_millisecond_there_is_one_after_each() {
        assert_eq!(between_looks(1_000_000), (1, 1_000_000));
    }

    #[test]
    fn in_doubt_the_next_poll_is_measured() {
        let cadence = Cadence::new(0, 0);
        (1..1_000).filter(|_| cadence.count()).for_each(|now| _ = cadence.sample(now, false));
        cadence.doubt();
        assert!(cadence.count());
        cadence.sample(1_000_000, false);
        assert!(cadence.count(), "it took long, so the next is measured as well");
    }

    #[test]
    fn slow_polls_after_quick_ones_are_noticed_at_the_next_reading() {
        let cadence = Cadence::new(0, 0);
        let mut now = 0;
        for _ in 0..10_000 {
            now += 10;
            if cadence.count() {
                cadence.sample(now, false);
            }
        }
        let mut blind = 0;
        while !cadence.count() {
            now += 1_000_000;
            blind += 1;
        }
        assert!(blind <= MOST_POLLS);
        cadence.sample(now + 1_000_000, false);
        assert!(cadence.count(), "from here on each poll is followed by a reading");
    }
}
