//! What a task is made of. What users see of it is `runtime/task/`.
//!
//! ```text
//! cell.rs outcome.rs     where an output is left and found       one for both variants
//! join.rs                the handle
//! reach.rs               how the handle reaches its task
//! shared_joiner.rs       what it shares with cancel handles, if it has any
//! spawned.rs poll.rs     a future of a forgotten type, to poll or to drop
//! steps.rs               what the trace is told
//!
//! local.rs key.rs        the event loop's tasks, woken by number
//! slots.rs tasks.rs
//! shared.rs state.rs     the runtime's tasks, counted, and their one word
//! owned.rs
//! ```

pub(crate) mod cell;
pub(crate) mod join;
pub(crate) mod key;
pub(crate) mod local;
pub(crate) mod outcome;
pub(crate) mod owned;
pub(crate) mod poll;
pub(crate) mod reach;
pub(crate) mod shared;
pub(crate) mod shared_joiner;
pub(crate) mod slots;
pub(crate) mod spawned;
pub(crate) mod state;
mod steps;
pub(crate) mod tasks;
