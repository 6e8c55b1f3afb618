//! What a scope comes to: the value of its body, or what failed.
//!
//! The body is user code, and its panic is to go on only when the children are gone. So it is caught here, also that
//! of the body's drop, and kept with the failures until the scope is left. Both kinds of scope, `scope.rs` and
//! `borrowing.rs`, have one of these.

use std::{
    any::Any,
    future::Future,
    mem,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use super::{
    child::BodyOutput,
    errors::{ErrorGroup, Failure},
};
use crate::engine::base::user_code;

/// See the top of this file.
pub(super) struct Outcome<T, E> {
    /// What the body gave.
    value: Option<T>,
    /// What the body panicked with.
    panic: Option<Box<dyn Any + Send>>,
    failures: Vec<Failure<E>>,
    stopped: bool,
}

impl<T, E> Outcome<T, E> {
    pub(super) fn new() -> Self {
        Self { value: None, panic: None, failures: Vec::new(), stopped: false }
    }

    /// Whether all that runs is to be cancelled.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// The scope was cancelled by what is in it. That is a failure if the body has no value yet.
    pub(super) fn cancel(&mut self, body_runs: bool) {
        if body_runs && !self.stopped {
            self.fail(Failure::Cancelled);
        }
        self.stopped = true;
    }

    pub(super) fn fail(&mut self, failure: Failure<E>) {
        self.failures.push(failure);
        self.stopped = true;
    }

    fn fail_by_panic(&mut self, payload: Box<dyn Any + Send>) {
        self.stopped = true;
        if self.panic.is_none() {
            self.panic = Some(payload);
        } else {
            user_code::panicked("the drop of a scope's body, after a panic of it,", payload);
        }
    }

    /// Polls the body, and says whether it is done.
    pub(super) fn poll_body<Fut>(&mut self, body: Pin<&mut Fut>, cx: &mut Context<'_>) -> bool
    where
        Fut: Future,
        Fut::Output: BodyOutput<Value = T, Error = E>,
    {
        match catch_unwind(AssertUnwindSafe(|| body.poll(cx).map(BodyOutput::into_result))) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(Ok(value))) => self.value = Some(value),
            Ok(Poll::Ready(Err(error))) => self.fail(Failure::Error(error)),
            Err(payload) => self.fail_by_panic(payload),
        }
        true
    }

    pub(super) fn drop_body<Fut>(&mut self, mut body: Pin<&mut Option<Fut>>) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| body.set(None))) {
            self.fail_by_panic(payload);
        }
    }

    /// What the scope gives, when the body and the children are gone. A panic of the body goes on unwinding.
    pub(super) fn finish(&mut self) -> Result<T, ErrorGroup<E>> {
        let failures = mem::take(&mut self.failures);
        if let Some(payload) = self.panic.take() {
            for failure in &failures {
                if let Failure::Panic(error) = failure {
                    user_code::say(format_args!("{error}; so did the body of its scope"));
                }
            }
            drop(failures);
            resume_unwind(payload);
        }
        match ErrorGroup::new(failures) {
            Some(errors) => Err(errors),
            None => Ok(self.value.take().expect("a body that was not cancelled gave its value")),
        }
    }
}
