//! Synchronisation between tasks: locks, signals, and channels.
//!
//! ```text
//! oneshot.rs        a channel for one value
//! rate_limiter.rs   so many starts an interval
//! once_cell.rs      a cell that is filled once, by work that may wait
//! event.rs          a flag that tasks wait for
//! ```
//!
//! One form of each serves both variants of the runtime, and may be shared by tasks of several: an uncontended visit
//! is one or two atomic operations, which is little beside an await. All that waits does so in `engine/waiting/`,
//! first come, first served.

mod event;
mod once_cell;
pub mod oneshot;
mod rate_limiter;

pub use self::{
    event::{Event, EventWait},
    once_cell::{OnceCell, SetError},
    rate_limiter::{AcquireToken, RateLimiter},
};
