//! The async queue: asyncio's `Queue`, one core in two shells.
//!
//! ```text
//! shared.rs    Queue, thread-safe: a lock              the same methods and futures, line by line;
//! local.rs     Queue, of one thread: a RefCell         a test keeps them alike
//! waiting.rs   how their futures wait and wake
//! core.rs      the rules: items, who waits, what is promised to whom
//! ring.rs      the items, and room.rs, the memory they lie in
//! error.rs     what a queue answers when it cannot do as asked
//! ```
//!
//! Lay `shared.rs` and `local.rs` side by side: they differ in the cell and in the function `core`
//! that opens it. That is the whole cost of `Send` here: two atomics for each visit to the core.
//!
//! Every method is one short visit, in which nothing foreign happens: wakers are woken and dropped,
//! and items dropped, after it. So a waker, or an item's `Drop`, may call anything on the very same
//! queue.
//!
//! The rival is a channel with two ends, closed when all of one end are dropped. It says by type who
//! may do what; but it cannot say `join`, and a queue that any task may put to, get from and close is
//! what asyncio's programs are written with.

mod core;
mod error;
pub mod local;
mod ring;
mod room;
mod shared;
mod waiting;

#[cfg(all(test, not(loom)))]
mod core_tests;
#[cfg(all(test, not(loom)))]
mod ring_tests;

pub use self::{
    core::Stats,
    error::{GetError, PutError, TryGetError, TryPutError},
    shared::{Get, Join, Put, Queue},
};
