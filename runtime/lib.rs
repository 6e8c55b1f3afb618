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
//! That is the single-threaded [`EventLoop`], whose tasks need not be `Send`. A [`Runtime`] is several
//! such loops, one a thread, that steal tasks from each other. Sockets, timers and queues are the same:
//!
//! ```
//! use std::sync::Arc;
//! use whirligig::{Runtime, queue::Queue, spawn, task};
//!
//! let runtime = Runtime::builder().worker_threads(2).build()?;
//! let sum = runtime.block_on(async {
//!     let queue = Arc::new(Queue::bounded(8));
//!     let items = queue.clone();
//!     let producer = spawn(async move {
//!         for n in 1..=10 {
//!             let square = task::spawn_blocking(move || n * n).await.unwrap();
//!             items.put(square).await.unwrap();
//!         }
//!         items.close();
//!     });
//!     let mut sum = 0;
//!     while let Ok(square) = queue.get().await {
//!         sum += square;
//!     }
//!     producer.await.unwrap();
//!     sum
//! });
//! assert_eq!(sum, 385);
//! # std::io::Result::Ok(())
//! ```
//!
//! Take the event loop where one processor is enough, or where the work divides into one loop a thread:
//! it is the cheaper for each task. Take the runtime where the work is uneven, or a poll may take long.
//!
//! | asyncio | here |
//! | --- | --- |
//! | `asyncio.run` | [`run`] |
//! | `new_event_loop`, `run_until_complete` | [`EventLoop::new`], [`EventLoop::block_on`] |
//! | `run_forever`, `stop`, `call_soon_threadsafe` | [`EventLoop::run_forever`], [`Handle`] |
//! | `create_task` | [`spawn`], [`spawn_local`] |
//! | `sleep`, `sleep(0)`, `wait_for` | [`time::sleep`](fn@time::sleep), [`task::yield_now`], [`time::timeout`] |
//! | `Queue` | [`queue::Queue`], [`queue::local::Queue`] |
//! | `to_thread` | [`task::spawn_blocking`] |
//! | `start_server`, `open_connection` | [`net::TcpListener`], [`net::TcpStream`] |
//! | `add_reader`, `add_writer` | [`io::Source`] |
//! | `all_tasks` | [`dump()`] |
//!
//! # The house
//!
//! The files stand in floors. A file imports from lower floors, and on its own floor only from the
//! files that its line in `tests/house/imports.rs` names; these stand before it in that list. So the
//! library can be read in the list's order, from the bottom to the top, without ever meeting a name
//! not seen before:
//!
//! ```text
//!                    of the event loop          of both                    of the runtime
//!
//! what users await                              task/  time/  queue/
//!                                               io/  net/
//! front door         event_loop                 handle  dump  shutdown     runtime
//!                                               block_on  builder
//! this thread's                                 current  armed_timer
//! schedulers         scheduler/event_loop,      scheduler/poll_interval    scheduler/pool/worker, mod,
//!                    waiting, remote, spin                                 sharing, parking, parker,
//!                                                                          idle, guard, watch, cost,
//!                                                                          threads, numbers
//! machines           task/local, slots,         task/cell, join,           task/shared, state, owned
//!                    tasks, key                 spawned, outcome,
//!                                               poll, steps
//!                    reactor/mod                reactor/source, sources,   reactor/shared
//!                                               slot, flags, woken,
//!                                               registration, selector
//!                                               timer/mod  blocking/mod
//!                                               waiting/leaf
//! doors              inbox                      wait  park
//! shelves            run_queue/batches          timer/wheel, slack         run_queue/stealing, lifo,
//!                                               waiting/wait_list,         injector
//!                                               waiter, shell
//! ground             primitives  prefetch  local_key  id  location  this_poll  stats  user_code  trace
//!                    clock
//! ```
//!
//! Left and right column do the same things; lay them side by side to see what `Send` costs.
//!
//! Or it can be read along one wake-up, from the kernel to the task. With nothing to do the loop waits in
//! `scheduler/waiting.rs` (`park`, `sleep`), by way of `ask_reactor` in `scheduler/event_loop.rs`. In
//! `reactor/mod.rs` that `wait` returns, and each event finds its source. From there:
//!
//! One wake, from readiness to poll: `reactor/source.rs` (`set` notes the readiness and takes out who
//! waits), `task/local.rs` (`waking` knows the loop's own tasks; in the next turn `run_batch` runs
//! them), `task/tasks.rs` (`schedule` finds the task's slot; `pop` has the next), in between
//! `run_queue/batches.rs` (`push` takes it in, `pop` gives it out), and at last
//! `task/spawned.rs` (`poll` calls `Future::poll`).
//!
//! (`reactor/slot.rs` and `task/slots.rs` keep what these read and write: who waits, and the tasks.)
//!
//! On a runtime it goes from `reactor/shared.rs` by the same source to `task/state.rs` (is it news?), then
//! `scheduler/pool/worker.rs`, whose `turn` polls it by way of `task/shared.rs`.
//!
//! # What holds
//!
//! On the event loop:
//!
//! - On the loop's own thread, spawning, waking and polling cost no read-modify-write on a task, no
//!   reference count (but its name's, if it has one) and no lock. What costs one or two is the end: a
//!   task leaves its outcome, and its handle waits for that, or is dropped. A waker is a number.
//! - A turn runs the tasks that were ready when it began, in order; what they wake runs in the next.
//!   Tasks start in the order in which they were spawned.
//! - Timers fire in the order of their deadlines. Each task is dropped on its loop's thread.
//!
//! On the runtime:
//!
//! - A task is polled by one worker at a time, and stands in one run queue at most. It may be polled by
//!   another worker each time, and dropped on any thread.
//! - A task that wakes another makes no system call for it: another worker is unparked when the backlog is
//!   worth the price.
//! - What becomes ready while any worker is parked runs within two ticks of 10 ms, whatever is stuck in a
//!   poll. With all workers parked nothing ticks.
//!
//! On both:
//!
//! - Timers are never early.
//! - Dropping a future leaves no waiter, timer or descriptor behind. Each task is dropped exactly once.
//!   One that panics harms only its own handle.
//! - A poll may do 128 ready operations on our queues, sockets and timers; then its task gives way.
//!
//! A process that forks must not use a loop of before the fork in the child.

#[doc(inline)]
pub use crate::task::{spawn, spawn_local};
pub use crate::{
    builder::{Builder, RuntimeBuilder},
    dump::{Dump, TaskDump, dump},
    engine::{
        base::{
            location::{WaitsFor, WaitsOn},
            stats::{Stats, WorkerStats},
        },
        blocking::BlockingStats,
    },
    event_loop::{EventLoop, Turn, run},
    handle::{Enter, Handle, LoopGone},
    runtime::Runtime,
    shutdown::StillRunning,
};

mod engine;

mod block_on;
mod builder;
mod dump;
mod event_loop;
mod handle;
mod runtime;
mod shutdown;
pub mod trace;

pub mod io;
pub mod net;
pub mod queue;
pub mod task;
pub mod time;

#[cfg(all(test, loom))]
#[path = "../tests/models/mod.rs"]
mod models;
