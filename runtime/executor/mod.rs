//! Calls that run beside the loop: Python's `concurrent.futures`.
//!
//! ```text
//! thread_pool.rs   threads for calls
//! process_pool/    processes for calls (feature `process-pool`)
//! queued.rs        a call that has not begun, where its pool has no number for it
//! call.rs          the handle of a call: its outcome, awaited or waited for
//! map.rs           one function for many values, in order, fed as its outcomes are taken
//! completed.rs     the outcomes of many calls, as they come
//! delayed.rs       a graph of calls, made when its outputs are asked for
//! cpu.rs           calls that compute, on rayon's threads (feature `rayon`)
//! ```
//!
//! | Python | here |
//! | --- | --- |
//! | `ThreadPoolExecutor(max_workers, thread_name_prefix, initializer)` | [`ThreadPool::builder`] |
//! | `ProcessPoolExecutor(max_tasks_per_child)`, `multiprocessing.Pool` | `ProcessPool::builder` |
//! | `submit`, `apply_async`; `apply` | [`submit`](ThreadPool::submit), [`apply`](ThreadPool::apply) |
//! | `map`, `chunksize` | [`map`](ThreadPool::map), `ProcessPool::map_chunks` |
//! | `shutdown(wait, cancel_futures)`, leaving `with` | [`shutdown`](ThreadPool::shutdown), dropping the pool |
//! | `Future.result()`, `result(timeout)` | [`CallHandle::result`], [`result_timeout`](CallHandle::result_timeout), or awaiting it |
//! | `Future.cancel`, `done`, `running` | [`cancel`](CallHandle::cancel), [`done`](CallHandle::done), [`running`](CallHandle::running) |
//! | `add_done_callback` | a task that awaits the handle |
//! | `as_completed` | [`as_completed`] |
//! | dask's `delayed`, `compute` | [`delayed`](fn@delayed), [`ThreadPool::compute`] |
//!
//! A pool here belongs to the program, not to a loop: it is made, used from threads and from tasks of any loop, and
//! shut down. A call of `task::spawn_blocking` runs on the pool of its loop instead, which is there already and ends
//! with it.

mod call;
mod completed;
#[cfg(feature = "rayon")]
mod cpu;
mod delayed;
mod map;
#[cfg(feature = "process-pool")]
mod process_pool;
#[cfg(any(feature = "process-pool", feature = "rayon"))]
mod queued;
mod thread_pool;

#[cfg(feature = "rayon")]
pub use self::cpu::cpu;
#[cfg(feature = "process-pool")]
pub use self::delayed::compute_with;
#[cfg(feature = "process-pool")]
pub use self::process_pool::{
    AnyFunction, Function, MapChunks, ProcessPool, ProcessPoolBuilder, init,
};
pub use self::{
    call::{CallError, CallHandle},
    completed::{AsCompleted, as_completed},
    delayed::{Compute, ComputeError, Delayed, Nodes, delayed},
    map::{Map, MapStream},
    thread_pool::{ThreadPool, ThreadPoolBuilder},
};
