//! What runs tasks: the single-threaded loop, and how it decides when to look at the reactor.

pub(crate) mod cadence;
pub(crate) mod event_loop;
pub(crate) mod ledger;
pub(crate) mod pool;
mod waiting;
