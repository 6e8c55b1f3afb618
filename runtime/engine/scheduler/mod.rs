//! What runs tasks.
//!
//! ```text
//! event_loop.rs   the single-threaded loop: its turn    worker.rs          a worker: its turn, and its queue
//! waiting.rs      what it does when nothing is ready    parking.rs         what it does when nothing is ready
//! remote.rs       what other threads reach of it        guard.rs           a parked worker looks after the others
//! spin.rs         whether it spins before it parks      sharing.rs         when one unparks another, and steals
//!                                                       idle.rs            which workers are parked, and search
//!                                                       parker.rs          where a thread waits
//!                                                       watch.rs, cost.rs  what was seen of workers, and measured
//!                                                       threads.rs,        the threads that run workers, and how
//!                                                       worker_thread.rs   a worker passes from one to another
//!                                                       mod.rs             what the workers share
//!                                                       numbers.rs         pools by their numbers
//!
//!             poll_interval.rs   when either looks at the reactor while tasks are ready
//! ```
//!
//! The left column is the `EventLoop`, the right one, in `pool/`, the `Runtime`.

pub(crate) mod event_loop;
pub(crate) mod poll_interval;
pub(crate) mod pool;
pub(crate) mod remote;
pub(crate) mod spin;
mod waiting;
