//! An async event-loop runtime, hand-written on mio: the counterpart in Rust of asyncio and uvloop.
//!
//! ```
//! use std::time::Duration;
//!
//! whirligig::run(async {
//!     let task = whirligig::spawn(async { 6 * 7 });
//!     whirligig::time::sleep(Duration::from_millis(1)).await;
//!     assert_eq!(task.await.unwrap(), 42);
//! });
//! ```
//!
//! | asyncio | here |
//! | --- | --- |
//! | `asyncio.run` | [`run`] |
//! | `new_event_loop`, `run_until_complete` | [`EventLoop::new`], [`EventLoop::block_on`] |
//! | `run_forever`, `stop`, `call_soon_threadsafe` | [`EventLoop::run_forever`], [`Handle`] |
//! | `create_task` | [`spawn`], [`spawn_local`] |
//! | `sleep`, `sleep(0)`, `wait_for` | [`time::sleep`], [`task::yield_now`], [`time::timeout`] |
//! | `Queue` | [`queue::Queue`], [`queue::local::Queue`] |
//! | `to_thread` | [`task::spawn_blocking`] |
//! | `start_server`, `open_connection` | [`net::TcpListener`], [`net::TcpStream`] |
//! | `add_reader`, `add_writer` | [`io::Source`] |
//! | `all_tasks` | [`dump()`] |
//!
//! # The house
//!
//! The files stand in floors; each imports from lower floors only, and a test sees to it. So the
//! library can be read from the bottom to the top without ever meeting a name not seen before:
//!
//! ```text
//! what users await   task/  time/  queue/  io/  net/
//! front door         current  handle  runtime  builder
//! scheduler          scheduler/event_loop (the turn)  scheduler/ledger
//! machines           task/join  task/local  task/shared  reactor/  timer/  blocking
//! doors              wait  park  inbox
//! shelves            timer/wheel  queue/core  run_queue/  wait_list  waiter
//! ground             primitives  id  place  budget  stats  foreign  trace  clock
//! ```
//!
//! Or it can be read along one wake-up, from the kernel to the task:
//!
//! One wake: `reactor/mod.rs` (`wait` returns, and finds the source) to `reactor/source.rs` (`set`
//! finds who waits) to `task/local.rs` (`waking` puts the task's number into the run queue; `run_batch` polls it) to `scheduler/event_loop.rs` (`turn` goes round).
//!
//! # What holds
//!
//! - On the loop's own thread, spawning, waking and polling cost no atomic operation on a task, no
//!   reference count and no lock. A waker is a number.
//! - A turn runs the tasks that were ready when it began, in order; what they wake runs in the next.
//!   Tasks start in the order in which they were spawned.
//! - Timers are never early, and fire in the order of their deadlines.
//! - Dropping a future leaves no waiter, timer or descriptor behind. Each task is dropped exactly
//!   once, on its loop's thread. One that panics harms only its own handle.
//! - A poll may do 128 ready operations on our queues, sockets and timers; then its task gives way.
//!
//! A process that forks must not use a loop of before the fork in the child.

pub use crate::blocking::BlockingStats;
pub use crate::{
    builder::{Builder, RuntimeBuilder},
    dump::{Dump, TaskDump, dump},
    event_loop::{EventLoop, Turn, run},
    handle::{Enter, Handle, LoopGone},
    place::WaitsFor,
    runtime::{Runtime, StillRunning},
    stats::{Stats, WorkerStats},
    task::{spawn, spawn_local},
};

mod primitives;

mod budget;
mod clock;
mod foreign;
mod id;
mod place;
mod stats;
pub mod trace;

mod run_queue;
mod wait_list;
mod waiter;

mod inbox;
mod park;
mod wait;

mod blocking;
mod reactor;
mod timer;

mod scheduler;

mod builder;
mod current;
mod dump;
mod event_loop;
mod handle;
mod runtime;
mod timer_home;

pub mod io;
pub mod net;
pub mod queue;
pub mod task;
pub mod time;

#[cfg(all(test, loom))]
#[path = "../tests/models/mod.rs"]
mod models;
