//! A call that waits to begin, where its pool has no number for it: it is taken out once, by what begins it or by the
//! handle that cancels it.

use super::call::{CallError, Calls};
use crate::engine::base::{
    primitives::{Mutex, lock},
    user_code,
};

/// `None` once it has begun, or was cancelled.
pub(super) struct Queued<J> {
    job: Mutex<Option<J>>,
}

impl<J> Queued<J> {
    /// `None`: it was not taken in.
    pub(super) fn new(job: impl Into<Option<J>>) -> Self {
        Self { job: Mutex::new(job.into()) }
    }

    pub(super) fn take(&self) -> Option<J> {
        lock(&self.job).take()
    }
}

impl<J: Send> Calls for Queued<J> {
    fn cancel(&self, _: u64) -> bool {
        let job = self.take();
        let was_queued = job.is_some();
        user_code::discard_value("a call that was cancelled", job);
        was_queued
    }

    fn is_queued(&self, _: u64) -> bool {
        lock(&self.job).is_some()
    }

    fn broken(&self) -> Option<CallError> {
        None
    }
}
