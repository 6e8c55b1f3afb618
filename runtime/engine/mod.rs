//! What turns: everything a loop is made of, and nothing that a user calls.
//!
//! `lib.rs` has the map of all files. Here they are in the order in which they import each other, each from
//! earlier ones only: `base` (what each file may need), `waiting` (what waits, in order), `run_queue`, `park`, `wait`
//! and `inbox` (how a thread is reached that may have parked), `task`, `blocking`, `reactor` and `timer` (the parts of
//! a loop), `scheduler` (the loops that drive them), `current` (which of them runs this thread) and `armed_timer` (in
//! whose wheel a timer is). Nothing here imports a file from outside this folder.

pub(crate) mod armed_timer;
pub(crate) mod base;
pub(crate) mod blocking;
pub(crate) mod current;
pub(crate) mod inbox;
pub(crate) mod park;
pub(crate) mod reactor;
pub(crate) mod run_queue;
pub(crate) mod scheduler;
pub(crate) mod task;
pub(crate) mod timer;
pub(crate) mod wait;
pub(crate) mod waiting;
