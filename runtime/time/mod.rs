//! Time: sleeping, deadlines put on other futures, and intervals.
//!
//! Nothing here is ever early. A timer is met exactly, within what the kernel does, while timers are
//! sparse; when they come more densely than some 5,000 a second they share wake-ups, up to 400
//! microseconds late.

/// trio's names for [`timeout`](fn@timeout) and [`timeout_at`].
pub use self::timeout::{timeout as fail_after, timeout_at as fail_at};
pub use self::{
    instant::Instant,
    interval::{Interval, MissedTicks, Tick, interval, interval_at},
    sleep::{Sleep, sleep, sleep_until},
    timeout::{MoveOn, TimedOut, Timeout, move_on_after, move_on_at, timeout, timeout_at},
};
pub use crate::engine::base::clock::{Hold, TestClock};

pub(crate) mod instant;
mod interval;
pub(crate) mod sleep;
mod timeout;
