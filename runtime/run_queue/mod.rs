//! Run queues: where runnables wait.
//!
//! A worker's is `stealing.rs`, a ring that its neighbours may steal from, with the lifo slot of
//! `lifo.rs` before it. What belongs to no worker yet waits in `injector.rs`. The event loop's, which
//! no other thread touches, is a list through its tasks' slots: `task/local_queue.rs`.

pub(crate) mod injector;
pub(crate) mod lifo;
pub(crate) mod stealing;
