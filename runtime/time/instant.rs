//! A moment on the clock of this thread's loop.

use std::{
    fmt,
    ops::{Add, AddAssign, Sub, SubAssign},
    time::Duration,
};

use crate::engine::{
    base::clock::{self, NEVER, nanos},
    current,
};

/// A moment, by the clock of the loop that runs this thread: real, or a
/// [`TestClock`](super::TestClock). Outside any loop it is the real one.
///
/// It counts nanoseconds of the system's monotonic clock and saturates: a moment too far ahead is
/// never, and none is before that clock's beginning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(pub(crate) u64);

impl Instant {
    /// A moment that never comes.
    pub const NEVER: Self = Self(NEVER);

    /// Now.
    #[doc(alias = "time")]
    pub fn now() -> Self {
        Self(current::now())
    }

    /// From `earlier` to this moment; zero if this one came first.
    pub fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// How long ago this moment was; zero if it is still ahead.
    pub fn elapsed(self) -> Duration {
        Self::now().duration_since(self)
    }

    /// The same moment in std's terms: not earlier, and later by no more than reading a clock takes.
    pub fn into_std(self) -> std::time::Instant {
        clock::into_std(self.0)
    }

    /// A moment of std's: not earlier, and later by no more than reading a clock takes.
    pub fn from_std(instant: std::time::Instant) -> Self {
        Self(clock::from_std(instant))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }
}

impl SubAssign<Duration> for Instant {
    fn sub_assign(&mut self, duration: Duration) {
        *self = *self - duration;
    }
}

impl Sub for Instant {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.duration_since(earlier)
    }
}

impl From<std::time::Instant> for Instant {
    fn from(instant: std::time::Instant) -> Self {
        Self::from_std(instant)
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NEVER => f.write_str("Instant(never)"),
            Self(nanos) => write!(f, "Instant({:?})", Duration::from_nanos(nanos)),
        }
    }
}
