//! A task's steps, as the trace tells them: the same for the tasks of both variants.
//!
//! Called only if somebody listens (`trace::on`), with nothing borrowed: a listener is foreign code.
//! None of it is inlined, so that what a task pays when nobody listens is one branch a step.

use std::sync::Arc;

use super::visit::End;
use crate::engine::base::{
    id::TaskId,
    place::{Origin, Wait},
    trace::{self, Cause, Event},
};

/// The task was spawned, and stands in a run queue.
#[cold]
#[inline(never)]
pub(super) fn spawned(origin: &Origin) {
    let Origin { id: task, name, place } = origin;
    let name = name.as_ref().map(|name| Arc::from(&***name));
    trace::report(|| Event::Spawned { task: *task, name, place });
    trace::report(|| Event::Scheduled { task: *task });
}

/// The task's waker was called. `news`: that put the task into a run queue.
#[cold]
#[inline(never)]
pub(super) fn woken(task: TaskId, news: bool) {
    trace::report(|| Event::Woken { task, by: trace::cause() });
    if news {
        trace::report(|| Event::Scheduled { task });
    }
}

/// The task is about to be polled. What happens until its poll has ended is its doing.
#[cold]
#[inline(never)]
pub(super) fn polled(task: TaskId) {
    trace::report(|| Event::Polled { task });
    trace::set_cause(Cause::Task(task));
}

/// The poll ended with `Pending`. `again`: the task gave way, and is scheduled.
#[cold]
#[inline(never)]
pub(super) fn waits(task: TaskId, again: bool, wait: Option<Wait>) {
    trace::set_cause(Cause::Outside);
    if again {
        trace::report(|| Event::Woken { task, by: Cause::Task(task) });
        trace::report(|| Event::Scheduled { task });
    }
    trace::report(|| Event::Waits { task, on: wait.map(|wait| wait.what) });
}

/// The task stands in a run queue: it was woken while it was polled.
#[cold]
#[inline(never)]
pub(super) fn scheduled(task: TaskId) {
    trace::report(|| Event::Scheduled { task });
}

/// The task has ended.
#[cold]
#[inline(never)]
pub(super) fn ended(task: TaskId, end: End) {
    trace::set_cause(Cause::Outside);
    trace::report(|| match end {
        End::Panicked => Event::Panicked { task },
        End::Cancelled => Event::Cancelled { task },
        End::Completed | End::Pending => Event::Completed { task },
    });
}
