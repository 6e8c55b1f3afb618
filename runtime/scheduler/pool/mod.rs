//! The multi-threaded scheduler.

pub(crate) mod idle;
pub(crate) mod parker;
