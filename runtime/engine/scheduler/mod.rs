//! What runs tasks.
//!
//! ```text
//! event_loop.rs   the single-threaded loop: its turn          worker.rs   a worker: its turn, and what it steals
//! waiting.rs      what it does when nothing is ready          parking.rs  the same, and how it keeps guard
//!                                                             watch.rs    what the sentry saw
//!                                                             looking.rs  the look before it parks
//!                                                             sharing.rs  who unparks whom, who steals
//!                                                             idle.rs     who sleeps, searches and keeps guard
//!                                                             parker.rs   where the thread of a block_on sleeps
//!                                                             mod.rs      what the workers share
//!                                                             numbers.rs  pools by their numbers
//!
//!              poll_interval.rs  when either looks at the reactor while tasks are ready
//!              spin.rs           whether either looks for a while before it parks
//! ```
//!
//! The left column is the `EventLoop`, the right one, in `pool/`, the `Runtime`.

pub(crate) mod event_loop;
pub(crate) mod poll_interval;
pub(crate) mod pool;
pub(crate) mod spin;
mod waiting;
