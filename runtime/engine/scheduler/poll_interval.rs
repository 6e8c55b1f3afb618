//! How long tasks are polled before the loop looks at its reactor, timers and inbox.
//!
//! A small poll costs ten nanoseconds, reading the clock twice that, and a look at the kernel ten
//! times that. So after each poll only the processor's cycle counter is read, which is the cheapest
//! clock there is. When [`INTERVAL`] has passed by it, the clock itself is read; and when the last look
//! is [`LOOK_EVERY`] ago, the loop looks. So a slow poll is noticed when it ends, also after a thousand
//! quick ones: the loop is blind for a look's interval, and the poll that runs.
//!
//! Polls of many microseconds are mostly those of sockets, whose system calls are as dear as a look. With
//! a thousand connections every other request had a look of its own, and what that found waited for the
//! rest of the batch anyway. So there are [`WORTH_A_LOOK`] polls between two looks as well, unless they
//! take [`LOOK_LATEST`].
//!
//! What a cycle is worth is measured against the clock each time that is read. Nothing depends on its
//! being right, but how often that is.
//!
//! A loop can be built to look after a fixed number of polls instead: under a test clock, whose time
//! stands still, and for counting under a tool that makes each poll last a hundred times as long.
//!
//! **Alternative:** always a fixed number of polls (tokio's 61). With polls of a millisecond that is
//! blind for 61 of them, and with polls of ten nanoseconds a seventh of the time goes into looking. A
//! number that follows what polls cost of late is blind for so many polls when they turn slow.

use std::cell::Cell;

use crate::engine::base::clock;

/// Between two readings of the clock, in nanoseconds.
const INTERVAL: u64 = 20_000;
/// Between two looks, in nanoseconds.
const LOOK_EVERY: u64 = 50_000;
/// Polls between two looks.
const WORTH_A_LOOK: u32 = 32;
/// Between two looks, in nanoseconds, however few polls there were.
const LOOK_LATEST: u64 = 500_000;

/// One loop's or worker's.
///
/// After each poll it is asked whether its [interval is over](Self::is_over). If so, its owner reads the
/// clock, and says [so](Self::sample); the answer is whether to look. It is told of each
/// [look](Self::looked), and of each return from a [park](Self::unparked), which is a look as well.
#[derive(Debug)]
pub(crate) struct PollInterval {
    /// The last reading of the clock, and of the cycle counter with it.
    now: Cell<u64>,
    cycles: Cell<u64>,
    /// The loop was parked since.
    is_stale: Cell<bool>,
    /// When the interval began, and how long it is, in cycles.
    began: Cell<u64>,
    length: Cell<u64>,
    looked_at: Cell<u64>,
    /// Polls since the last look; of an interval of so many polls, since the last time it was over.
    polls: Cell<u32>,
    /// The length in polls, if that was asked for. 0: by time.
    by_polls: u32,
}

impl PollInterval {
    /// `by_polls`: look after so many polls; 0: by time.
    pub(crate) fn new(now: u64, by_polls: u32) -> Self {
        let cycles = clock::cycles();
        Self {
            now: Cell::new(now),
            cycles: Cell::new(cycles),
            is_stale: Cell::new(false),
            began: Cell::new(cycles),
            // As long as a cycle is not known to be shorter.
            length: Cell::new(INTERVAL),
            looked_at: Cell::new(now),
            polls: Cell::new(0),
            by_polls,
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

    /// The clock was read. The first reading after a park stands for the look that ended it.
    pub(crate) fn set_now(&self, now: u64) {
        self.now.set(now);
        self.cycles.set(clock::cycles());
        if self.is_stale.replace(false) {
            self.looked_at.set(now);
        }
    }

    /// Counts a poll. `true`: the interval is over; read the clock and [`sample`](Self::sample) it.
    #[inline(always)]
    pub(crate) fn is_over(&self) -> bool {
        let polls = self.polls.get().wrapping_add(1);
        self.polls.set(polls);
        if self.by_polls != 0 {
            return polls >= self.by_polls;
        }
        clock::cycles().wrapping_sub(self.began.get()) >= self.length.get()
    }

    /// What the next poll costs may have nothing to do with those before: the interval is over after it.
    pub(crate) fn cut_short(&self) {
        self.began.set(clock::cycles().wrapping_sub(self.length.get()));
    }

    /// The next poll is the last, whatever the interval goes by.
    pub(crate) fn end(&self) {
        self.polls.set(u32::MAX - 1);
        self.cut_short();
    }

    /// The interval is over, and the next begins. `true`: look.
    pub(crate) fn sample(&self, now: u64) -> bool {
        let cycles = clock::cycles();
        self.sample_at(now, cycles)
    }

    fn sample_at(&self, now: u64, cycles: u64) -> bool {
        self.began.set(cycles);
        if self.by_polls != 0 {
            self.polls.set(0);
            self.set_now(now);
            return true;
        }
        // Less than a microsecond measures nothing.
        let took = now.saturating_sub(self.now.get());
        if took >= 1_000 {
            let cycles_taken = u128::from(cycles.wrapping_sub(self.cycles.get()));
            let length = cycles_taken * u128::from(INTERVAL) / u128::from(took);
            self.length.set(length.clamp(1, u128::from(INTERVAL * 10)) as u64);
        }
        self.set_now(now);
        self.cycles.set(cycles);
        let few = self.polls.get() < WORTH_A_LOOK;
        now.saturating_sub(self.looked_at.get()) >= if few { LOOK_LATEST } else { LOOK_EVERY }
    }

    /// The loop looked.
    pub(crate) fn looked(&self) {
        self.looked_at.set(self.now.get());
        self.polls.set(0);
    }

    /// The loop was parked: it has just looked, and an interval begins. What time it is now, it reads
    /// when that is asked for: a loop that serves one request after another without timers need not know.
    pub(crate) fn unparked(&self) {
        self.is_stale.set(true);
        self.polls.set(0);
        self.began.set(clock::cycles());
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A processor of 3 GHz, and a loop on it.
    struct Machine {
        interval: PollInterval,
        now: u64,
    }

    impl Machine {
        fn new() -> Self {
            let machine = Self { interval: PollInterval::new(1, 0), now: 1 };
            machine.interval.cycles.set(3);
            machine.interval.began.set(3);
            machine
        }

        /// A poll that takes so long. Whether the interval is over, and then whether to look.
        fn poll(&mut self, took: u64) -> Option<bool> {
            self.now += took;
            let PollInterval { polls, began, length, .. } = &self.interval;
            polls.set(polls.get() + 1);
            let is_over = self.now * 3 - began.get() >= length.get();
            is_over.then(|| {
                let look = self.interval.sample_at(self.now, self.now * 3);
                self.interval.cycles.set(self.now * 3);
                look
            })
        }

        /// Polls, and nanoseconds, until it looks.
        fn until_look(&mut self, took: u64) -> (u32, u64) {
            let before = self.now;
            let polls = (1..).find(|_| self.poll(took) == Some(true)).unwrap();
            self.interval.looked();
            (polls, self.now - before)
        }

        /// Once it has settled.
        fn between_looks(took: u64) -> (u32, u64) {
            let mut machine = Self::new();
            (0..100).map(|_| machine.until_look(took)).last().unwrap()
        }
    }

    #[test]
    fn the_clock_is_read_every_20_microseconds() {
        let mut machine = Machine::new();
        let readings = (0..100_000).filter(|_| machine.poll(10).is_some()).count();
        assert!((50..=52).contains(&readings), "{readings} in a millisecond");
    }

    #[test]
    fn a_look_is_some_tens_of_microseconds_after_the_last() {
        let (_, took) = Machine::between_looks(100);
        assert!((50_000..=70_000).contains(&took), "{took}");
    }

    #[test]
    fn with_slow_polls_it_is_some_tens_of_polls_after_the_last() {
        assert_eq!(Machine::between_looks(10_000), (32, 320_000));
    }

    #[test]
    fn with_polls_of_a_millisecond_there_is_one_after_each() {
        assert_eq!(Machine::between_looks(1_000_000), (1, 1_000_000));
    }

    #[test]
    fn the_first_slow_poll_after_quick_ones_is_noticed() {
        let mut machine = Machine::new();
        (0..10_000).for_each(|_| _ = machine.poll(10));
        assert_eq!(machine.until_look(5_000_000), (1, 5_000_000));
    }

    #[test]
    fn intervals_of_so_many_polls_do_not_go_by_the_clock() {
        let interval = PollInterval::new(0, 3);
        interval.unparked();
        for now in [10, 1_000_000_000, 1_000_000_001] {
            assert_eq!([(); 3].map(|()| interval.is_over()), [false, false, true]);
            assert!(interval.sample(now));
        }
    }

    #[test]
    fn an_interval_that_is_cut_short_is_over_after_the_next_poll() {
        let interval = PollInterval::new(clock::real_now(), 0);
        interval.length.set(u64::MAX / 2);
        assert!(!interval.is_over());
        interval.cut_short();
        assert!(interval.is_over());
        interval.sample(clock::real_now());
    }
}
