//! A pool of processes for calls: `concurrent.futures.ProcessPoolExecutor`.
//!
//! ```text
//! pool.rs       the pool as its users hold it
//! line.rs       its calls that have not begun
//! worker.rs     the pool's side of a process
//! child.rs      the process's own side
//! frame.rs      what goes over the socket between them
//! function.rs   functions that both know by name
//! ```
//!
//! Python needs processes to compute on several processors; Rust has threads for that ([`cpu`](fn@super::cpu)). What is left
//! for processes is what threads cannot give: a call that crashes, leaks, or must be killed takes nothing else with it.

mod child;
mod frame;
mod function;
mod line;
mod pool;
mod worker;

pub use self::{
    child::init,
    function::{AnyFunction, Function},
    pool::{MapChunks, ProcessPool, ProcessPoolBuilder},
};
