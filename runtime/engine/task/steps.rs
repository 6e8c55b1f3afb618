//! A task's steps, as the trace tells them: the same for the tasks of both variants.
//!
//! Called only with a listener (`trace::on`), with nothing borrowed: a listener is user code.
//! None of it is inlined, so that what a task pays without one is a branch a step.

use std::sync::Arc;

use super::poll::PollOutcome;
use crate::engine::base::{
    id::TaskId,
    location::{Origin, WaitNote},
    trace::{self, Cause, EventKind},
};

/// The task was spawned, and stands in a run queue.
#[cold]
#[inline(never)]
pub(super) fn spawned(origin: &Origin) {
    let &Origin { id: task, ref name, location, parent } = origin;
    let name = name.as_ref().map(|name| Arc::from(&***name));
    trace::report(|| EventKind::Spawned { task, name, location, parent });
    trace::report(|| EventKind::Scheduled { task });
}

/// The task's waker was called. `scheduled`: that put the task into a run queue.
#[cold]
#[inline(never)]
pub(super) fn woken(task: TaskId, scheduled: bool) {
    trace::report(|| EventKind::Woken { task, by: trace::cause() });
    if scheduled {
        trace::report(|| EventKind::Scheduled { task });
    }
}

/// The task is about to be polled. What happens until its poll has ended is its doing.
#[cold]
#[inline(never)]
pub(super) fn polled(task: TaskId) {
    trace::report(|| EventKind::Polled { task });
    trace::set_cause(Cause::Task(task));
}

/// The poll ended with `Pending`. `again`: the task gave way, and is scheduled.
#[cold]
#[inline(never)]
pub(super) fn waits(task: TaskId, again: bool, wait: Option<WaitNote>) {
    trace::set_cause(Cause::Outside);
    if again {
        trace::report(|| EventKind::Woken { task, by: Cause::Task(task) });
        trace::report(|| EventKind::Scheduled { task });
    }
    trace::report(|| EventKind::Waits {
        task,
        on: wait.map(WaitNote::what),
        object: wait.and_then(WaitNote::object),
    });
}

/// The task stands in a run queue: it was woken while it was polled.
#[cold]
#[inline(never)]
pub(super) fn scheduled(task: TaskId) {
    trace::report(|| EventKind::Scheduled { task });
}

/// The task has ended.
#[cold]
#[inline(never)]
pub(super) fn ended(task: TaskId, outcome: PollOutcome) {
    trace::set_cause(Cause::Outside);
    trace::report(|| match outcome {
        PollOutcome::Panicked => EventKind::Panicked { task },
        PollOutcome::Cancelled => EventKind::Cancelled { task },
        PollOutcome::Completed | PollOutcome::Pending => EventKind::Completed { task },
    });
}
