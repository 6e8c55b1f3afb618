//! A poll, as seen from both sides: what a task is given, and how it ended.
//!
//! Whoever schedules a task makes a [`Visit`], and `spawned.rs`, which knows the future's type, answers with an
//! [`End`].

use std::task::Context;

use crate::engine::base::place::Origin;

/// Where a task comes from, for a report.
pub(crate) type Naming<'a> = &'a dyn Fn() -> Origin;

/// What a poll is given: one word for all of it, for a poll has no register to spare.
pub(crate) struct Visit<'a> {
    pub(crate) cx: Context<'a>,
    /// Names the task in a report.
    pub(crate) origin: &'a Naming<'a>,
}

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Pending,
    Completed,
    Panicked,
    Cancelled,
}
