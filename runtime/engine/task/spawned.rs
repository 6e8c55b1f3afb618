//! A spawned task as a scheduler sees it: something to poll and something to drop, of a forgotten type.
//!
//! A [`Spawned`] is the task's side of its join cell (`cell.rs`) as one word. What knows the future's type is
//! found through the cell's head, a table of functions. It is a boxed trait object in all but name; it cannot
//! be one because the allocation is shared with the join handle.
//!
//! [`NewTask`] is what is passed from the public `spawn` functions down to a scheduler: the future is in
//! its cell and its type forgotten, so nothing below is generic over it, and it is moved once.
//!
//! **Alternative:** a fat pointer, with the functions beside it. Then it is known before the task's memory is
//! there what to call, but each slot of a table is a word larger. (The processor guesses what will be called
//! anyway.)

use std::{fmt, future::Future, mem::ManuallyDrop, panic::Location, ptr::NonNull, task::Waker};

use super::{
    cell::{self, Completer, Functions, Head, Joiner, Polled},
    join::JoinHandle,
    outcome::Failure,
    poll::{AfterPoll, OriginFn, PollArgs, PollOutcome},
    reach::Reach,
};
use crate::engine::base::{
    id::TaskId,
    location::{Name, Origin},
    prefetch::{LINE, prefetch},
    this_poll,
};

/// A task that has not ended.
pub(crate) struct Spawned {
    head: NonNull<Head>,
}

/// A [`Spawned`] that any thread may poll, cancel or drop.
#[derive(Debug)]
pub(crate) struct SpawnedSend(Spawned);

/// Where in its life a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TaskStage {
    Idle,
    Scheduled,
    Running,
}

/// A task on its way to a scheduler. `S` is [`SpawnedSend`], or [`Spawned`] for one that must stay on its thread.
pub(crate) struct NewTask<S, T> {
    task: S,
    joiner: Joiner<T>,
    name: Name,
    location: &'static Location<'static>,
    parent: Option<TaskId>,
}

impl<T> NewTask<SpawnedSend, T> {
    /// A task that may move between threads.
    #[inline(always)]
    pub(crate) fn new<F>(future: F, name: Name, location: &'static Location<'static>) -> Self
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let (completer, joiner) = new(future);
        let parent = this_poll::task();
        Self { task: SpawnedSend::new(completer), joiner, name, location, parent }
    }

    /// The same task, for an event loop.
    #[inline(always)]
    pub(crate) fn into_local(self) -> NewTask<Spawned, T> {
        let Self { task: SpawnedSend(task), joiner, name, location, parent } = self;
        NewTask { task, joiner, name, location, parent }
    }
}

impl<T> NewTask<Spawned, T> {
    /// A task that stays on its thread.
    #[inline(always)]
    pub(crate) fn local<F>(future: F, name: Name, location: &'static Location<'static>) -> Self
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let (completer, joiner) = new(future);
        Self { task: Spawned::new(completer), joiner, name, location, parent: this_poll::task() }
    }
}

impl<S, T> NewTask<S, T> {
    /// Has `waker` woken when the task has ended and its future is gone. It is woken once, also if no scheduler
    /// takes the task.
    #[inline]
    pub(crate) fn watched_by(mut self, waker: Waker) -> Self {
        self.joiner.watch_new(waker);
        self
    }

    /// Gives the task its identity: what a scheduler keeps, and the handle, which has the task's `reach`
    /// once it is told its key.
    #[inline(always)]
    pub(crate) fn identify(self, id: TaskId, reach: &'static Reach) -> (S, Origin, JoinHandle<T>) {
        let Self { task, joiner, name, location, parent } = self;
        let origin = Origin { id, name, location, parent };
        (task, origin.clone(), JoinHandle::new(joiner, origin, reach))
    }
}

/// Lines of the cache at the beginning of a task's memory that are fetched ahead of a poll.
const PREFETCHED: usize = 3;

impl Spawned {
    /// Has the processor fetch the beginning of the task's memory, without waiting for it: the cell, and where
    /// the future begins.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        (0..PREFETCHED).for_each(|line| prefetch(self.head.as_ptr(), line * LINE));
    }
}

impl SpawnedSend {
    /// See [`Spawned::prefetch`].
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// See [`Spawned::poll`].
    #[inline]
    pub(crate) fn poll(self, args: &mut PollArgs<'_>) -> AfterPoll<Self> {
        self.0.poll(args).map(Self)
    }

    /// See [`Spawned::cancel`].
    pub(crate) fn cancel(self, origin: &OriginFn<'_>) {
        self.0.cancel(origin);
    }

    /// The same task, for an event loop.
    pub(crate) fn into_local(self) -> Spawned {
        self.0
    }
}

/// Makes the two sides of a new task.
#[allow(unsafe_code)]
#[inline(always)]
pub(crate) fn new<F: Future>(future: F) -> (Completer<F>, Joiner<F::Output>) {
    // SAFETY: the functions are made for this very type.
    unsafe { cell::new(future, Completer::<F>::FUNCTIONS) }
}

#[allow(unsafe_code)]
impl Spawned {
    pub(crate) fn new<F: Future + 'static>(completer: Completer<F>) -> Self {
        Self { head: completer.into_head() }
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: the allocation is there until the completer is used up, and this is what is left of the
        // completer. What of the head is no atomic is never written to.
        unsafe { self.head.as_ref() }
    }

    /// Tells the handle by which key to wake the task. Before the handle is shared.
    #[inline(always)]
    pub(crate) fn set_key(&self, key: u64) {
        self.head().set_key(key);
    }

    /// The same, when the handle may be at work on another thread.
    pub(crate) fn publish_key(&self, key: u64) {
        self.head().publish_key(key);
    }

    /// Polls once. Gives the task back, or how it ended.
    #[inline]
    pub(crate) fn poll(self, args: &mut PollArgs<'_>) -> AfterPoll<Self> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `new` was given the completer, and this is its only holder. When it was used up, the
        // pointer is forgotten.
        match unsafe { (this.head().functions().poll)(this.head, args) } {
            PollOutcome::Pending => AfterPoll::Alive(ManuallyDrop::into_inner(this)),
            outcome => AfterPoll::Ended(outcome),
        }
    }

    /// Drops the future, then tells the handle that the task was cancelled.
    pub(crate) fn cancel(self, origin: &OriginFn<'_>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: as in `poll`.
        unsafe { (this.head().functions().cancel)(this.head, Some(origin)) }
    }
}

impl SpawnedSend {
    pub(crate) fn new<F>(completer: Completer<F>) -> Self
    where
        F: Future<Output: Send> + Send + 'static,
    {
        Self(Spawned::new(completer))
    }
}

#[allow(unsafe_code)]
// SAFETY: the pointer stands for a `Completer<F>`, and by the bounds of `new`, which alone makes one
// of these, that may be sent. `tests/models/task.rs` has one polled and dropped by threads in turn.
unsafe impl Send for SpawnedSend {}

#[allow(unsafe_code)]
impl Drop for Spawned {
    /// Only if something panics on the way: a table ends its tasks by `poll` or `cancel`.
    fn drop(&mut self) {
        // SAFETY: as in `poll`.
        unsafe { (self.head().functions().cancel)(self.head, None) }
    }
}

#[allow(unsafe_code)]
impl<F: Future> Completer<F> {
    /// What is done with it where its type is not known.
    const FUNCTIONS: &'static Functions =
        &Functions { poll: poll::<F>, cancel: cancel::<F>, take: cell::take::<F> };
}

/// # Safety
/// `head` is that of a `Completer<F>`, and nothing else uses that. Unless the answer is `Pending`, it is
/// used up.
#[allow(unsafe_code)]
unsafe fn poll<F: Future>(head: NonNull<Head>, args: &mut PollArgs<'_>) -> PollOutcome {
    // SAFETY: by the caller's promise.
    let completer = unsafe { Completer::<F>::from_head(head) };
    if completer.is_cancelled() {
        completer.complete(Err(Failure::Cancelled), args.origin);
        return PollOutcome::Cancelled;
    }
    match completer.poll(&mut args.cx) {
        Polled::Pending(completer) => {
            // The caller still has it, as a head.
            let _head = completer.into_head();
            PollOutcome::Pending
        }
        Polled::Ready(completer, output) => {
            completer.complete(Ok(output), args.origin);
            PollOutcome::Completed
        }
        Polled::Panicked(emptied, payload) => {
            emptied.complete(Err(Failure::Panicked(payload)), args.origin);
            PollOutcome::Panicked
        }
    }
}

/// # Safety
/// As for `poll`. The completer is used up.
#[allow(unsafe_code)]
unsafe fn cancel<F: Future>(head: NonNull<Head>, origin: Option<&OriginFn<'_>>) {
    // SAFETY: by the caller's promise.
    let completer = unsafe { Completer::<F>::from_head(head) };
    match origin {
        Some(origin) => completer.complete(Err(Failure::Cancelled), origin),
        None => drop(completer),
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "spawned_tests.rs"]
mod tests;
