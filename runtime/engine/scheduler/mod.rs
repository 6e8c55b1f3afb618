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
//! remote.rs       what other threads reach of it
//!
//!              cadence.rs  when either looks at the reactor while tasks are ready
//!              ledger.rs   whether either looks a little longer before it parks
//! ```
//!
//! The left column is the `EventLoop`, the right one, in `pool/`, the `Runtime`.

pub(crate) mod cadence;
pub(crate) mod event_loop;
pub(crate) mod ledger;
pub(crate) mod pool;
pub(crate) mod remote;
mod waiting;
