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
//! workers, one a thread, that steal tasks from each other and share one reactor. Sockets, timers and queues are
//! the same:
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
//! | `call_soon`, `call_later`, `call_at` | [`task::call_soon`], [`task::call_later`], [`task::call_at`] |
//! | `create_task`, `current_task` | [`spawn_local`] on an event loop; [`spawn`] where the future is `Send`, and always on a runtime; [`task::current`] |
//! | `TaskGroup`, trio's nursery | [`task::scope`](fn@task::scope), [`task::TaskGroup`], [`task::borrowing_scope`] |
//! | `gather`, `wait`, `as_completed` | [`task::gather`], [`task::try_gather`], [`task::wait`], [`task::as_completed`] |
//! | `cancel`, `shield` | [`JoinHandle::cancel`](task::JoinHandle::cancel), [`task::shield`] |
//! | `sleep`, `sleep(0)`, `wait_for` | [`time::sleep`](fn@time::sleep), [`task::yield_now`], [`time::timeout`] |
//! | `Queue`, `LifoQueue`, `PriorityQueue` | [`queue::Queue`], [`queue::LifoQueue`], [`queue::PriorityQueue`], and those of [`queue::local`] |
//! | `queue.Queue` between threads | [`put_blocking`](queue::Queue::put_blocking), [`get_blocking`](queue::Queue::get_blocking) of the same queues |
//! | `Lock`, `Semaphore` and `BoundedSemaphore`, `Condition`, `Barrier` | [`sync::Mutex`] and [`sync::RwLock`], [`sync::Semaphore`], [`sync::Condition`], [`sync::Barrier`] |
//! | `Event`, `loop.create_future` | [`sync::Event`], [`sync::oneshot::channel`] |
//! | `concurrent.futures` | [`executor`] |
//! | `open`, `aiofiles` | [`fs`] |
//! | `to_thread`, `run_in_executor` | [`task::spawn_blocking`] |
//! | `contextvars` | [`task::TaskLocal`] |
//! | `start_server`, `open_connection` | [`net::TcpListener`], [`net::TcpStream`] |
//! | `start_unix_server`, `open_unix_connection` | [`net::UnixListener`], [`net::UnixStream`] |
//! | `create_datagram_endpoint`, `getaddrinfo` | [`net::UdpSocket`], [`net::lookup_host`] |
//! | `add_reader`, `add_writer` | [`io::Source`] |
//! | `add_signal_handler`, `KeyboardInterrupt` | [`signal`] |
//! | `create_subprocess_exec` | [`process::Command`] |
//! | `all_tasks` | [`dump()`] |
//!
//! # The map
//!
//! From what users call down to what turns:
//!
//! ```text
//! lib.rs                  this page, and the public names
//! task/                   spawning, groups and scopes, many futures at once, blocking calls, the budget for other crates' futures
//! time/                   sleep, timeout, interval, and the clock's `Instant`
//! queue/                  the async queue: its rules, and one struct around them in two shells and three orders
//! sync/                   locks, signals and channels between tasks
//! io/                     any file descriptor as a `Source`, what can be awaited of it; pipes, standard streams
//! signal/                 signals of the operating system; Ctrl-C
//! fs/                     files and directories, on the blocking pool
//! process/                child processes, their streams and their ends
//! executor/               pools for calls: `concurrent.futures`
//!   call.rs               the handle of a call
//!   queued.rs             a call that has not begun
//!   completed.rs          the outcomes of many, as they come
//!   delayed.rs            a graph of calls, made when its outputs are asked for
//!   map.rs                one function for many values
//!   thread_pool.rs        threads for calls
//!   process_pool/         processes for calls
//!   cpu.rs                calls that compute, on rayon's threads
//! net/                    sockets: addresses, connecting, listening, streams, datagrams
//!   addresses.rs          where to: addresses as they are, and names looked up
//!   family.rs             addresses of the internet and of this machine
//!   error.rs              the address in an error
//!   options.rs            the options that TCP sockets have in common
//!   targets.rs            the addresses to try, one after the other
//!   bind.rs               binding to one of them
//!   socket.rs             a TCP socket before it is anything
//!   stream.rs             a connection of either family
//!   send_file.rs          a file, sent over one
//!   split.rs              its two directions, apart
//!   listener.rs           a listener of either family
//!   tcp.rs                what only TCP's can do
//!   connect.rs            connecting by TCP
//!   datagram.rs           a datagram socket of either family
//!   batch.rs              a datagram of a batch
//!   recvmmsg.rs           the system call for a batch
//!   many.rs               batches in one system call
//!   udp.rs                what only UDP's can do
//!   unix/                 what only Unix sockets can do: paths, descriptors that go along, who the peer is
//! adapters/               the traits of crates that run on it, each behind a feature
//!   tokio_io.rs           tokio's `AsyncRead` and `AsyncWrite`
//!   hyper/                hyper's executor, timer and streams; a server and a connector around them
//!   quinn.rs              quinn's timer, tasks and socket: QUIC
//!   hickory.rs            hickory's: a DNS resolver
//! event_loop.rs           `EventLoop` as its owner holds it
//! runtime.rs              `Runtime` as its owner holds it
//! builder.rs              the settings of both
//! handle.rs               `Handle`: what other threads may hold of either
//! block_on.rs             a future, run to its end on a thread that is no worker and turns no loop
//! shutdown.rs             how long the end waits for blocking calls that have begun
//! dump.rs                 what all tasks wait for
//! trace.rs                what happens, in order: the listeners' side
//! engine/                 what turns; users call none of it
//!   current.rs            which loop or worker runs this thread
//!   armed_timer.rs        in which loop's wheel a sleep has its timer
//!   scheduler/            what runs tasks
//!     event_loop.rs       the single-threaded loop: its turn
//!     waiting.rs          what it does when nothing is ready
//!     spin.rs             whether it spins before it parks
//!     remote.rs           what other threads reach of it
//!     poll_interval.rs    how long tasks are polled between two looks at the reactor, in both variants
//!     pool/               the workers: their turn, parking, stealing, the guard for stuck ones
//!   reactor/              which descriptors are watched, what the kernel says of them, which tasks wait
//!   timer/                the timers of a loop or worker: the wheel, and timer slack
//!   blocking/             the threads for blocking calls
//!   task/                 what a task is made of: join cell, state word, waker, the event loop's slots
//!   inbox.rs              what other threads send an event loop
//!   park.rs               the one word that makes a parked loop hear of a message
//!   wait.rs               the system call in which a thread waits, and what ends it
//!   run_queue/            the event loop's batches; the worker's ring and lifo slot; the injector
//!   waiting/              in which order tasks wait, and how a leaf future does
//!   base/                 clock, identities, counters, trace events, who holds which lock, the switch between std and loom
//! ```
//!
//! `seeded("...")`, all over the code, is a mistake that can be made on purpose. It exists in the models alone,
//! which must catch it; in an ordinary build it is the constant `false` (`base/primitives.rs`).
//!
//! What serves the `EventLoop` alone and what serves the `Runtime` alone lie side by side: `event_loop.rs` and
//! `pool/worker.rs` in `engine/scheduler/`, `local.rs` and `shared.rs` in `engine/task/`, `batches.rs` and
//! `stealing.rs` in `engine/run_queue/`. Compare them to see what `Send` costs.
//!
//! A file imports only from files earlier in the list in `tests/house/imports.rs`. That list is an order in
//! which to read the library without ever meeting a name not seen before.
//!
//! Or follow one wake of the event loop, from the kernel to the task:
//!
//! 1. `engine/scheduler/waiting.rs`: `park` waits for the kernel, by way of the reactor.
//! 2. `engine/reactor/mod.rs`: `wait` makes the system call (`engine/wait.rs`), returns from it with events, and
//!    finds the source of each (`engine/reactor/sources.rs`).
//! 3. `engine/reactor/source.rs`: `set` notes the readiness and takes the waiter out of its slot
//!    (`engine/reactor/slot.rs`).
//! 4. `engine/task/local.rs`: `waking` knows the loop's own tasks by their numbers.
//! 5. `engine/task/tasks.rs`: `schedule` marks the task's slot as scheduled.
//! 6. `engine/run_queue/batches.rs`: `push` puts the slot's number into the run queue.
//! 7. `engine/task/local.rs` again: in the next turn `run_batch` takes it out.
//! 8. `engine/task/spawned.rs`: `poll` finds the functions that know the future's type.
//! 9. `engine/task/cell.rs`: `poll` calls `Future::poll`.
//!
//! And one wake of a runtime:
//!
//! 1. `engine/scheduler/pool/parking.rs`: `wait` of a parked worker waits for the kernel, by way of the reactor. (Of
//!    one that is awake `look`, in `worker.rs`, asks without waiting.)
//! 2. `engine/reactor/shared.rs`: `ask` makes the system call (`engine/wait.rs`), and finds the source of each event
//!    (`engine/reactor/sources.rs`).
//! 3. `engine/reactor/source.rs`: `set` notes the readiness and takes the waiter out of its slot
//!    (`engine/reactor/slot.rs`).
//! 4. `engine/reactor/woken.rs`: `note` keeps it until the reactor's locks are released; then `wake_all` hands it on.
//! 5. `engine/task/local.rs`: `wake_waiter` finds a waker, as of any other crate.
//! 6. `engine/base/user_code.rs`: `wake` calls that waker, which is a reference to the task.
//! 7. `engine/task/shared.rs`: `wake` asks `engine/task/state.rs` whether the task must be scheduled.
//! 8. `engine/scheduler/pool/worker.rs`: `schedule` and `push` put the task into the worker's ring
//!    (`engine/run_queue/stealing.rs`).
//! 9. `engine/scheduler/pool/worker.rs` again: `run_ready` takes it out, unless another worker steals it before.
//! 10. `engine/task/shared.rs` again: `run` claims the task.
//! 11. `engine/task/spawned.rs` and `engine/task/cell.rs`: as on the event loop, down to `Future::poll`.
//!
//! # What holds
//!
//! On the event loop:
//!
//! - On the loop's own thread, spawning, waking and polling cost no read-modify-write on a task, no
//!   reference count (but its name's, if it has one) and no lock. What costs one or two is the end: a
//!   task leaves its outcome, and its handle awaits that, or is dropped. A waker is a number.
//! - A turn runs the tasks that were ready when it began, in order; what they wake runs in the next.
//!   Tasks start in the order in which they were spawned.
//! - Timers fire in the order of their deadlines. Each task is dropped on its loop's thread.
//!
//! On the runtime:
//!
//! - A task is polled by one worker at a time, and is in one run queue at most. It may be polled by
//!   another worker each time, and dropped on any thread.
//! - A worker that has tasks waiting in its run queue unparks another, unless they are known to be done sooner
//!   than that one would arrive.
//! - A worker stuck in a long poll holds up its queued tasks and timers for at most about two milliseconds,
//!   wherever another worker is free, and no socket. With all workers parked, only timers, sockets and other
//!   threads unpark one.
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
    dump::{Dump, Holder, TaskDump, dump},
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

#[cfg(feature = "macros")]
#[doc(inline)]
pub use futures_util::{FutureExt, join, select, select_biased, try_join};

mod engine;

mod block_on;
mod builder;
mod dump;
mod event_loop;
mod handle;
mod runtime;
mod shutdown;
pub mod trace;

pub mod adapters;
pub mod executor;
pub mod fs;
pub mod io;
pub mod net;
pub mod process;
pub mod queue;
pub mod signal;
pub mod sync;
pub mod task;
pub mod time;

#[cfg(all(test, loom))]
#[path = "../tests/models/mod.rs"]
mod models;
