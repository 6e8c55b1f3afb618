//! The async queue: asyncio's `Queue`.
//!
//! ```text
//! generic.rs   Queue, thread-safe, and local::Queue: one struct in two shells
//! futures.rs   Put, Get, Join, in either
//! core.rs      the rules: items, what waits, what is promised to which waiter
//! items.rs     the items, and their memory
//! error.rs     what a queue answers when it cannot do as asked
//! ```
//!
//! The shell is all that `Send` costs here: a lock, two atomic operations a visit, where one thread has a
//! `RefCell`. How a future waits and wakes is not the queue's affair alone: `engine/waiting/` has it.
//!
//! **Alternative:** a channel with two ends, closed when all of one end are dropped. It says by type which
//! task may do what; but it cannot say `join`, and a queue that any task may put to, get from and close is
//! what asyncio's programs are written with.

mod core;
mod error;
mod futures;
mod generic;
mod items;

#[cfg(all(test, not(loom)))]
mod core_tests;
#[cfg(all(test, not(loom)))]
mod items_tests;

pub use self::{
    core::Stats,
    error::{GetError, PutError, TryGetError, TryPutError},
    futures::{Get, Join, Put},
    generic::{GenericQueue, Local, Queue, Shared, Sharing, local},
};
