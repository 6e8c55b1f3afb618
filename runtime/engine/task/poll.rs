//! A poll, as seen from both sides: what a task is given, and what came of it.
//!
//! A scheduler makes [`PollArgs`], and `spawned.rs`, which knows the future's type, answers with a
//! [`PollOutcome`].

use std::task::Context;

use crate::engine::base::location::Origin;

/// Says where a task comes from, for a report. Called only if there is one.
pub(crate) type OriginFn<'a> = &'a dyn Fn() -> Origin;

/// What a poll is given: one word for all of it, for a poll has no register to spare.
pub(crate) struct PollArgs<'a> {
    pub(crate) cx: Context<'a>,
    /// The task's origin, for a report.
    pub(crate) origin: &'a OriginFn<'a>,
}

/// What came of a poll, for one that gave the task away to be polled: the task back, or how it ended.
#[derive(Debug)]
#[must_use = "a task that is alive must be kept"]
pub(crate) enum AfterPoll<S> {
    Alive(S),
    /// Never [`PollOutcome::Pending`].
    Ended(PollOutcome),
}

impl<S> AfterPoll<S> {
    #[inline(always)]
    pub(crate) fn map<T>(self, f: impl FnOnce(S) -> T) -> AfterPoll<T> {
        match self {
            Self::Alive(task) => AfterPoll::Alive(f(task)),
            Self::Ended(outcome) => AfterPoll::Ended(outcome),
        }
    }
}

/// What came of a poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollOutcome {
    Pending,
    Completed,
    Panicked,
    Cancelled,
}
