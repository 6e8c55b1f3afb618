//! Run queues: where runnables wait.
//!
//! The event loop's is `batches.rs`, plain data. A worker's, which its neighbours may steal from, is
//! `stealing.rs`, with the lifo slot of `lifo.rs` before it; what belongs to no worker yet waits in `injector.rs`.

pub(crate) mod batches;
#[allow(dead_code)]
pub(crate) mod injector;
mod lifo;
#[allow(dead_code)]
pub(crate) mod stealing;
