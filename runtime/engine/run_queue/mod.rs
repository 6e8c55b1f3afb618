//! Run queues: where runnables wait.
//!
//! The event loop's is `batches.rs`, plain data. A worker's is `stealing.rs`, a ring that
//! other workers may steal from, with the lifo slot of `lifo.rs` before it. What belongs to no worker yet
//! waits in `injector.rs`.

pub(crate) mod batches;
pub(crate) mod injector;
pub(crate) mod lifo;
pub(crate) mod stealing;
