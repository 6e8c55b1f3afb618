//! The async queue: asyncio's `Queue`, `LifoQueue` and `PriorityQueue`.
//!
//! ```text
//! local.rs     the names of the queues of one thread
//! blocking.rs  put, get, join from plain threads: Python's `queue.Queue`
//! stream.rs    the items as a `Stream`
//! sink.rs      a `Sink` that puts
//! futures.rs   put, get, join: the methods that wait, and their futures
//! generic.rs   the queue: one struct in two shells, a lock or a RefCell
//! core.rs      the rules: items, what waits, what is promised to which waiter
//! order.rs     in which order the items leave: what the three queues differ in
//! heap.rs      items in the order of their priorities
//! items.rs     items in the order in which they came, and their memory
//! error.rs     what a queue answers when it cannot do as asked
//! ```
//!
//! The shell is all that `Send` costs here: a lock, two atomic operations a visit, where one thread has a
//! `RefCell`. How a future waits and wakes is not the queue's affair alone: `engine/waiting/` has it.
//!
//! **Alternative:** a channel with two ends, closed when all of one end are dropped. It says by type which
//! task may do what; but it cannot say `join`, and a queue that any task may put to, get from and close is
//! what asyncio's programs are written with.

mod blocking;
mod core;
mod error;
mod futures;
mod generic;
mod heap;
mod items;
pub mod local;
mod order;
mod sink;
mod stream;

#[cfg(all(test, not(loom)))]
mod core_tests;
#[cfg(all(test, not(loom)))]
mod items_tests;

pub use self::{
    core::Stats,
    error::{GetError, PutError, TryGetError, TryPutError},
    futures::{Get, Join, Put},
    generic::{GenericQueue, LifoQueue, Local, PriorityQueue, Queue, Shared, Sharing},
    order::{Fifo, Lifo, Order, Prioritized, Priority},
    sink::QueueSink,
    stream::QueueStream,
};
