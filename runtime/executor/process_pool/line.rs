//! The line of a pool's calls, and what stands in it.
//!
//! A call waits as a [`Job`] that can be taken out once: by the worker that begins it, or by the handle that cancels it.

use std::{ffi::OsString, sync::Arc};

use super::frame::Answer;
use crate::{
    executor::{call::CallError, queued::Queued},
    queue::Queue,
};

/// What is sent to a process.
pub(super) struct Request {
    pub(super) name: &'static str,
    /// Those of each call.
    pub(super) arguments: Vec<Vec<u8>>,
}

/// Tells the handle what came of its calls.
type Finish = Box<dyn FnOnce(Result<Vec<Answer>, CallError>) + Send>;

/// A request, and what is to be done with its answers.
pub(super) struct Job {
    pub(super) request: Request,
    finish: Finish,
}

impl Job {
    pub(super) fn new(request: Request, finish: Finish) -> Self {
        Self { request, finish }
    }

    pub(super) fn finish(self, answers: Result<Vec<Answer>, CallError>) {
        (self.finish)(answers);
    }
}

/// A job in the line.
pub(super) type Waiting = Queued<Job>;

/// What the pool shares with its thread.
pub(super) struct Shared {
    pub(super) line: Queue<Arc<Waiting>>,
    pub(super) child_args: Vec<OsString>,
    pub(super) max_calls: Option<u64>,
}
