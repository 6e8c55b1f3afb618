//! What a join handle and its cancel handles share.
//!
//! A `JoinHandle` has its side of the join cell (`cell.rs`) for itself. When it is first asked for a cancel
//! handle, that side moves into a [`SharedJoiner`], behind a lock, and both reach it there. The shared joiner is
//! from then on the cell's one waiter: woken at the end, it wakes the task that awaits the join handle, or, if that
//! handle is gone, leaves the cell. So cancel handles keep neither an output nor the memory of an ended task.
//!
//! What must hold: wakers and outputs, which are user code, are called and dropped with the lock released.
//!
//! **Alternative:** a third side of the cell, counted, as tokio has it. Then handles whose output is not `Send`
//! could be cancelled from elsewhere too. But each cancel handle would keep the whole allocation, as large as the
//! future was, and the cell, the most delicate of all files, would have to serve three sides instead of two.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use super::{
    cell::Joiner,
    outcome::{Outcome, Report},
    reach::{Ending, Reach},
};
use crate::engine::base::{
    location::Origin,
    primitives::{Mutex, lock, seeded},
    user_code,
};

/// A task as its cancel handles see it: without its output's type.
pub(crate) trait Cancel: Send + Sync {
    /// See `CancelHandle::cancel`.
    fn cancel(&self) -> bool;

    fn is_finished(&self) -> bool;
}

/// See the top of this file.
pub(super) struct SharedJoiner<T> {
    state: Mutex<State<T>>,
    origin: Origin,
    reach: &'static Reach,
}

struct State<T> {
    /// `None` once the outcome was taken, or left to be dropped.
    joiner: Option<Joiner<T>>,
    /// The task that awaits the join handle.
    waiter: Option<Waker>,
    /// The join handle is gone, and may have asked to have the outcome reported.
    detached: Option<Option<Report<T>>>,
}

impl<T: Send + 'static> SharedJoiner<T> {
    /// Takes over a join handle's side. If the task ended meanwhile, the second is to be woken: it waited.
    pub(super) fn new(
        mut joiner: Joiner<T>,
        origin: Origin,
        reach: &'static Reach,
    ) -> (Arc<Self>, Option<Waker>) {
        let state = State { joiner: None, waiter: None, detached: None };
        let shared = Arc::new(Self { state: Mutex::new(state), origin, reach });
        let mut state = lock(&shared.state);
        let missed = match joiner.watch(Waker::from(shared.clone())) {
            Ok(waiter) => {
                state.waiter = waiter;
                None
            }
            Err(missed) => missed.filter(|_| !seeded("shared_joiner_forgets_a_waiter")),
        };
        state.joiner = Some(joiner);
        drop(state);
        (shared, missed)
    }
}

impl<T> SharedJoiner<T> {
    /// The outcome; until there is one, the waker of `cx` is woken when there is.
    pub(super) fn poll_outcome(&self, cx: &Context<'_>) -> Poll<Outcome<T>> {
        let waker = cx.waker().clone();
        let mut state = lock(&self.state);
        let complete = state.joiner.take_if(|joiner| joiner.is_complete());
        let waiter = if complete.is_some() { None } else { Some(waker) };
        let before = mem::replace(&mut state.waiter, waiter);
        drop(state);
        user_code::discard_value("a waker's drop", before);
        let outcome = complete.map(|joiner| joiner.poll_outcome(&mut noop()));
        outcome.and_then(Result::ok).map_or(Poll::Pending, Poll::Ready)
    }

    /// The join handle is dropped. See [`Joiner::leave`].
    pub(super) fn leave(&self, report: Option<Report<T>>) {
        let mut state = lock(&self.state);
        state.detached = Some(report);
        let late = seeded("shared_joiner_leaves_without_a_look");
        let complete = state.joiner.take_if(|joiner| !late && joiner.is_complete());
        let waiter = state.waiter.take();
        drop(state);
        user_code::discard_value("a waker's drop", waiter);
        if let Some(joiner) = complete {
            joiner.leave(report, &self.origin);
        }
    }

    /// Asks for cancellation. `false`: the task has ended.
    pub(super) fn cancel(&self) -> bool {
        let state = lock(&self.state);
        let Some(joiner) = state.joiner.as_ref().filter(|joiner| !joiner.is_complete()) else {
            return false;
        };
        let key = joiner.cancel();
        drop(state);
        if let Some(key) = key {
            (self.reach.wake)(key);
        }
        true
    }

    /// See `JoinHandle::end`.
    pub(super) fn end(&self) -> Ending {
        let state = lock(&self.state);
        let Some(joiner) = state.joiner.as_ref().filter(|joiner| !joiner.is_complete()) else {
            return Ending::Gone;
        };
        let key = joiner.request_cancel();
        drop(state);
        key.map_or(Ending::Elsewhere, |key| (self.reach.end)(key, self.origin.id))
    }

    pub(super) fn is_finished(&self) -> bool {
        lock(&self.state).joiner.as_ref().is_none_or(Joiner::is_complete)
    }
}

/// For a look at a cell that is complete.
fn noop() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// What the cell calls when the task has ended.
impl<T: Send + 'static> Wake for SharedJoiner<T> {
    fn wake(self: Arc<Self>) {
        let mut state = lock(&self.state);
        let waiter = state.waiter.take();
        let left = state.detached.and_then(|report| Some((state.joiner.take()?, report)));
        drop(state);
        if let Some((joiner, report)) = left {
            joiner.leave(report, &self.origin);
        }
        if let Some(waiter) = waiter {
            user_code::wake(waiter);
        }
    }
}

impl<T: Send> Cancel for SharedJoiner<T> {
    fn cancel(&self) -> bool {
        Self::cancel(self)
    }

    fn is_finished(&self) -> bool {
        Self::is_finished(self)
    }
}
