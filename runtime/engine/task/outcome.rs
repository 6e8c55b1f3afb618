//! How a task ended, and who wants to know.
//!
//! What the join cell (`cell.rs`) carries from the task's side to the handle's, and back: the outcome
//! one way, and the other way who is interested in it. An outcome that no handle will ever see is
//! settled here: an output is dropped, a failure reported. All of that is foreign code.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

use crate::engine::base::{foreign, place::Origin};

/// How a task ended.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why there is no output.
pub(crate) enum Failure {
    Cancelled,
    Panicked(Box<dyn Any + Send>),
}

/// Reports an outcome that nobody will see.
pub(crate) type Report<T> = fn(&Outcome<T>, &Origin);

/// Who wants to know of the end.
pub(super) enum Interest<T> {
    Waker(Waker),
    /// Nobody waits. A joiner that left may have asked to have a failure reported.
    Nobody(Option<Report<T>>),
}

#[cfg(test)]
const _: () = assert!(size_of::<Interest<()>>() == size_of::<Waker>(), "a task pays for this");

/// An outcome, if no handle will ever see it.
pub(super) enum Unseen<T> {
    No,
    Yes(Outcome<T>, Interest<T>),
}

impl<T> Unseen<T> {
    /// Drops an output that nobody will see, and reports a panic, or whatever a joiner asked to have
    /// reported.
    #[inline]
    pub(super) fn settle(self, origin: impl FnOnce() -> Origin) {
        match self {
            Self::No => {}
            Self::Yes(Ok(output), Interest::Nobody(None)) => {
                if std::mem::needs_drop::<T>() {
                    foreign::call("an output's drop", || drop(output));
                }
            }
            Self::Yes(outcome, interest) => report(outcome, interest, origin),
        }
    }
}

#[cold]
#[inline(never)]
fn report<T>(outcome: Outcome<T>, interest: Interest<T>, origin: impl FnOnce() -> Origin) {
    let reported = catch_unwind(AssertUnwindSafe(|| {
        match (&outcome, &interest) {
            // Mostly along with all tasks of a runtime that shuts down.
            (Err(Failure::Cancelled), _) => {}
            (Err(Failure::Panicked(payload)), _) => report_panic(&origin(), payload.as_ref()),
            (outcome, Interest::Nobody(Some(report))) => report(outcome, &origin()),
            _ => {}
        }
        drop(interest);
        drop(outcome);
    }));
    if let Err(payload) = reported {
        foreign::panicked("an output that nobody awaits, or its report,", payload);
    }
}

/// Tells the world of a panic that no handle will.
fn report_panic(origin: &Origin, payload: &(dyn Any + Send)) {
    eprintln!(
        "whirligig: {origin}, panicked and nobody awaits it: {}",
        foreign::panic_text(payload)
    );
}
