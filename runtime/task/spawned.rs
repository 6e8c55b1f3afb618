//! A spawned future, as the scheduler sees it: something to poll, and something to cancel.
//!
//! What a task does when it ends is the same everywhere. Its future is dropped first; only then is
//! its handle told, so that whoever awaits the handle finds the task's guards and sockets gone. A
//! panic, of the poll or of the drop, is caught here and becomes the outcome.

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use super::cell::{Completer, Failure};
use crate::place::Origin;

/// A spawned future as its table sees it.
pub(crate) trait Task {
    /// Polls once. `origin` names the task, should there be something to report.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, origin: &dyn Fn() -> Origin) -> End;
    /// Drops the future, then tells the handle. `origin` as above.
    fn cancel(self: Pin<&mut Self>, origin: &dyn Fn() -> Origin);
}

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Pending,
    Completed,
    Panicked,
    Cancelled,
}

pin_project! {
    /// A future and the task's side of its join cell.
    pub(crate) struct Spawned<F: Future> {
        // `None` once it has been dropped.
        #[pin]
        future: Option<F>,
        // `None` once the outcome was told.
        completer: Option<Completer<F::Output>>,
    }
}

impl<F: Future> Spawned<F> {
    pub(crate) fn new(future: F, completer: Completer<F::Output>) -> Self {
        Self { future: Some(future), completer: Some(completer) }
    }

    /// Drops the future, then tells. The handle must not resolve before the future is gone.
    fn end(self: Pin<&mut Self>, result: Result<F::Output, Failure>, origin: &dyn Fn() -> Origin) {
        let mut this = self.project();
        let dropped = catch_unwind(AssertUnwindSafe(|| this.future.set(None)));
        let outcome = match dropped {
            Ok(()) => result,
            Err(payload) => Err(Failure::Panicked(payload)),
        };
        if let Some(completer) = this.completer.take() {
            completer.complete(outcome, origin);
        }
    }
}

impl<F: Future> Task for Spawned<F> {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>, origin: &dyn Fn() -> Origin) -> End {
        let this = self.as_mut().project();
        let (Some(future), Some(completer)) = (this.future.as_pin_mut(), this.completer) else {
            return End::Completed;
        };
        if completer.is_cancelled() {
            self.cancel(origin);
            return End::Cancelled;
        }
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(Poll::Pending) => End::Pending,
            Ok(Poll::Ready(output)) => {
                self.end(Ok(output), origin);
                End::Completed
            }
            Err(payload) => {
                self.end(Err(Failure::Panicked(payload)), origin);
                End::Panicked
            }
        }
    }

    fn cancel(self: Pin<&mut Self>, origin: &dyn Fn() -> Origin) {
        self.end(Err(Failure::Cancelled), origin);
    }
}
