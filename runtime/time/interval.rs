//! The interval: ticks at a fixed period, and what becomes of those that were missed.
//!
//! It is one [`Sleep`] that is reset after each tick. A tick is given as the moment it was due, so late
//! ones add up to no drift.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    instant::Instant,
    sleep::{Sleep, sleep_until},
};
use crate::engine::base::clock::nanos;

/// Ticks at once, and then every `period`.
///
/// # Panics
/// If the period is zero.
///
/// ```
/// use std::time::Duration;
///
/// whirligig::run(async {
///     let mut interval = whirligig::time::interval(Duration::from_millis(1));
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     assert_eq!(second - first, Duration::from_millis(1));
/// });
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Interval {
    interval_at(Instant::now(), period)
}

/// Ticks at `start`, and then every `period`.
///
/// # Panics
/// If the period is zero.
#[track_caller]
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval's period must not be zero: it would never give way");
    Interval { next: sleep_until(start), period, missed: MissedTicks::default() }
}

/// What an [`Interval`] does with ticks that were not taken in time.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{EventLoop, time::{self, MissedTicks, TestClock}};
///
/// let event_loop = EventLoop::builder().test_clock(&TestClock::new()).build()?;
/// event_loop.block_on(async {
///     let mut interval = time::interval(Duration::from_millis(10));
///     interval.set_missed_ticks(MissedTicks::Skip);
///     let first = interval.tick().await;
///     time::sleep(Duration::from_millis(35)).await; // ticks at 10, 20 and 30 are missed
///     assert_eq!(interval.tick().await - first, Duration::from_millis(10)); // the late one
///     assert_eq!(interval.tick().await - first, Duration::from_millis(40)); // on time again
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[doc(alias = "MissedTickBehavior")]
pub enum MissedTicks {
    /// Makes up for them, one after the other without a pause.
    #[default]
    Burst,
    /// Counts the next period from when the late tick was taken.
    Delay,
    /// Leaves them out, and keeps to multiples of the period.
    Skip,
}

/// Ticks, from [`interval`] or [`interval_at`].
#[derive(Debug)]
pub struct Interval {
    next: Sleep,
    period: Duration,
    missed: MissedTicks,
}

impl Interval {
    /// Waits for the next tick, and gives the moment it was due.
    ///
    /// *Cancel safety*: dropped before it is ready, it has taken no tick.
    ///
    /// # Panics
    /// When polled on a thread that no loop runs.
    #[track_caller]
    pub fn tick(&mut self) -> Tick<'_> {
        self.next.set_location(Location::caller());
        Tick { interval: self }
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What becomes of missed ticks.
    pub fn missed_ticks(&self) -> MissedTicks {
        self.missed
    }

    /// Says what becomes of missed ticks.
    pub fn set_missed_ticks(&mut self, missed: MissedTicks) {
        self.missed = missed;
    }

    /// Starts over: the next tick is a period from now.
    pub fn reset(&mut self) {
        self.next.reset(Instant::now() + self.period);
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(Pin::new(&mut self.next).poll(cx));
        let due = self.next.deadline();
        let on_time = due + self.period;
        let now = Instant::now();
        let next = match self.missed {
            _ if now < on_time => on_time,
            MissedTicks::Burst => on_time,
            MissedTicks::Delay => now + self.period,
            MissedTicks::Skip => {
                let late = nanos(now - due) % nanos(self.period);
                now + (self.period - Duration::from_nanos(late))
            }
        };
        self.next.reset(next);
        Poll::Ready(due)
    }
}

/// The future of [`Interval::tick`].
#[must_use = "futures do nothing unless awaited"]
pub struct Tick<'a> {
    interval: &'a mut Interval,
}

impl Future for Tick<'_> {
    type Output = Instant;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Instant> {
        self.interval.poll_tick(cx)
    }
}

impl fmt::Debug for Tick<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tick").field(&self.interval).finish()
    }
}
