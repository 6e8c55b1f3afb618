//! How a task ended, and what is to be told of it.
//!
//! What the join cell (`cell.rs`) carries from the task's side to the handle's, and back: the outcome
//! one way, and the other way what is interested in it. An outcome that no handle will ever see ends
//! here: an output is dropped, a failure reported. All of that is user code, each value in a call of its own.

use std::{any::Any, task::Waker};

use crate::engine::base::{location::Origin, user_code};

/// How a task ended.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why there is no output.
pub(crate) enum Failure {
    Cancelled,
    Panicked(Box<dyn Any + Send>),
}

/// Reports an outcome that no handle will see.
pub(crate) type Report<T> = fn(&Outcome<T>, &Origin);

/// What is to be told of the end.
pub(super) enum Interest<T> {
    Waker(Waker),
    /// Nothing waits. A joiner that left may have asked to have a failure reported.
    None(Option<Report<T>>),
}

#[cfg(test)]
const _: () = assert!(size_of::<Interest<()>>() == size_of::<Waker>(), "a task pays for this");

impl<T> Interest<T> {
    /// Drops it: a waker's drop is user code.
    #[inline]
    pub(super) fn discard(self) {
        if let Self::Waker(waker) = self {
            user_code::discard_value("a waker's drop", waker);
        }
    }
}

/// An outcome, if no handle will ever see it.
pub(super) enum Unobserved<T> {
    No,
    Yes(Outcome<T>, Interest<T>),
}

impl<T> Unobserved<T> {
    /// Drops an output, and reports a panic, or what a joiner asked to have reported.
    #[inline]
    pub(super) fn report_or_drop(self, origin: impl FnOnce() -> Origin) {
        match self {
            Self::No => {}
            Self::Yes(Ok(output), Interest::None(None)) => {
                user_code::discard_value("an output's drop", output);
            }
            Self::Yes(outcome, interest) => report(outcome, interest, origin),
        }
    }
}

#[cold]
#[inline(never)]
fn report<T>(outcome: Outcome<T>, interest: Interest<T>, origin: impl FnOnce() -> Origin) {
    match (&outcome, &interest) {
        // Mostly along with all tasks of a runtime that shuts down.
        (Err(Failure::Cancelled), _) => {}
        (Err(Failure::Panicked(payload)), _) => report_panic(&origin(), payload.as_ref()),
        (outcome, Interest::None(Some(report))) => {
            user_code::call("the report of an error that nobody awaits", || {
                report(outcome, &origin())
            });
        }
        _ => {}
    }
    interest.discard();
    discard(outcome);
}

/// Drops an outcome that no handle will see.
pub(super) fn discard<T>(outcome: Outcome<T>) {
    match outcome {
        Ok(output) => user_code::discard_value("an output's drop", output),
        Err(Failure::Panicked(payload)) => user_code::discard(payload),
        Err(Failure::Cancelled) => {}
    }
}

/// Reports a panic that no handle will.
fn report_panic(origin: &Origin, payload: &(dyn Any + Send)) {
    let text = user_code::panic_text(payload);
    user_code::say(format_args!("{origin}, panicked and nobody awaits it: {text}"));
}
