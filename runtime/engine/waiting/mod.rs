//! Waiting for something of ours: in which order tasks wait, how a future waits, and the shell around
//! what several tasks use.

pub(crate) mod arrivals;
pub(crate) mod leaf;
pub(crate) mod shell;
pub(crate) mod thread;
pub(crate) mod wait_list;
pub(crate) mod waiter;
