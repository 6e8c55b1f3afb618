//! Time: sleeping, deadlines put on other futures, and intervals.
//!
//! Nothing here is ever early. A timer is met exactly, within what the kernel does, while timers are
//! sparse; when they come more densely than some 5,000 a second they share wake-ups, up to 400
//! microseconds late.

pub use self::{
    instant::Instant,
    interval::{Interval, MissedTicks, Tick, interval, interval_at},
    sleep::{Sleep, sleep, sleep_until},
    timeout::{TimedOut, Timeout, timeout, timeout_at},
};
pub use crate::engine::base::clock::{Hold, TestClock};

pub(crate) mod instant;
mod interval;
pub(crate) mod sleep;
mod timeout;
