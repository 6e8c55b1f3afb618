//! The task that threads share: counted, and woken from anywhere.
//!
//! A [`Task`] is what the multi-threaded runtime schedules. It lives in an `Arc`, and that one pointer
//! is the runnable in a run queue, the data of the task's wakers, and its entry in the list of its
//! owner (`owned.rs`). The future lies in the allocation of the join cell (`spawned.rs`), so a task is
//! two allocations.
//!
//! Laid beside `local.rs`, this is what `Send` costs. There, a wake sets a flag; here it is an atomic
//! step (`state.rs`). There, a waker is a number; here it is counted, at a step for each clone and
//! drop. There, a poll takes the future out of its slot and puts it back; here that is two steps more.
//! The rest is the same: what a poll notes, what the trace is told, how a task ends.
//!
//! What must hold:
//! - At most one thread polls a task, and the task stands at most once in all run queues.
//! - A wake is followed by a poll that begins after it, unless the task has ended.
//! - The future is dropped exactly once, by the holder of the claim, with no lock held.
//! - [`Schedule::ended`] is called exactly once.
//!
//! **Alternative:** the future behind this header, in one allocation. Then each future makes a task type
//! of its own, and run queues hold fat pointers, or thin ones with a vtable and a count of ours.

use std::{fmt, mem, sync, task::Context};

use futures_task::{ArcWake, waker_ref};

use super::{
    join::JoinHandle,
    poll::{AfterPoll, OriginFn, PollArgs, PollOutcome},
    reach::Reach,
    spawned::{NewTask, SpawnedSend, TaskStage},
    state::{AfterClaim, Claim, Life, ShutDown, Wake},
    steps,
};
use crate::engine::base::{
    id::TaskId,
    location::{Origin, WaitNote},
    primitives::{AtomicU32, Ordering},
    this_poll, trace,
};

/// A scheduler, as its tasks see it. Each task holds one, so it should cost nothing to hold.
pub(crate) trait Schedule: Send + Sync + Sized + 'static {
    /// Puts a task into a run queue. Called from any thread, inside a wake.
    fn schedule(task: Runnable<Self>);

    /// By which key the scheduler finds the task.
    fn key(task: &Task<Self>) -> u64;

    /// A task has ended: its future is gone, and its handle was told.
    fn ended(task: &Runnable<Self>, outcome: PollOutcome);
}

/// A task as it stands in a run queue. The `Arc` is std's also under loom: wakers are made of it.
pub(crate) type Runnable<S> = sync::Arc<Task<S>>;

/// A task of the scheduler `S`.
pub(crate) struct Task<S> {
    /// The state, and what only the holder of the claim touches.
    life: Life<Body>,
    /// The task's index in the list of its owner. Written once, before the task is in a run queue.
    index: AtomicU32,
    // The rest never changes.
    origin: Origin,
    scheduler: S,
}

struct Body {
    /// `None` while it is polled, and after the end.
    spawned: Option<SpawnedSend>,
    /// The wait that the last poll noted.
    wait: Option<WaitNote>,
}

/// What became of a runnable that was run.
#[derive(Debug)]
#[must_use = "a task that runs again has to be put into a run queue"]
pub(crate) enum Ran<S> {
    /// Its next wake schedules it.
    Idle,
    /// It gave way, or was woken during its poll: put it into a run queue, behind the others.
    Again(Runnable<S>),
    /// It has ended, by this poll or by a shutdown.
    Ended,
}

/// What a shutdown did to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shut {
    /// The task is dropped.
    Dropped,
    /// It runs, and is dropped at the end of its poll.
    Running,
    /// It had ended.
    Ended,
}

/// In no list.
const NO_INDEX: u32 = u32::MAX;

impl<S: Schedule> Task<S> {
    /// Makes a task and its handle, which has its `reach` once it is told the task's
    /// key. The task counts as scheduled: put it into a run queue, or shut it down.
    pub(crate) fn new<T>(
        new: NewTask<SpawnedSend, T>,
        id: TaskId,
        scheduler: S,
        reach: &'static Reach,
    ) -> (Runnable<S>, JoinHandle<T>) {
        let (spawned, origin, handle) = new.identify(id, reach);
        let life = Life::new(Body { spawned: Some(spawned), wait: None });
        let index = AtomicU32::new(NO_INDEX);
        let task = sync::Arc::new(Self { life, index, origin, scheduler });
        (task, handle)
    }

    /// Polls the task, once. By the worker that popped it from a run queue.
    pub(crate) fn run(self: sync::Arc<Self>) -> Ran<S> {
        let Some(mut claim) = self.life.start() else { return Ran::Ended };
        if trace::on() {
            steps::polled(self.origin.id);
        }
        let polled = {
            let spawned = claim.with(|body| body.spawned.take());
            let spawned = spawned.expect("a task that has not ended has a future");
            // Its lines are read one after the other otherwise, each waited for.
            spawned.prefetch();
            let waker = waker_ref(&self);
            this_poll::begin(&waker, Some(self.origin.id), S::key(&self));
            let origin: OriginFn<'_> = &|| self.origin.clone();
            spawned.poll(&mut PollArgs { cx: Context::from_waker(&waker), origin: &origin })
        };
        let again = this_poll::gave_way_at().is_some();
        this_poll::end();
        let wait = this_poll::noted();
        let spawned = match polled {
            AfterPoll::Alive(spawned) => spawned,
            AfterPoll::Ended(outcome) => {
                self.end(claim, outcome);
                return Ran::Ended;
            }
        };
        claim.with(|body| {
            // Empty since the poll began: there is nothing to drop.
            mem::forget(body.spawned.replace(spawned));
            body.wait = wait;
        });
        if trace::on() {
            steps::waits(self.origin.id, again, wait);
        }
        match claim.pause(again) {
            AfterClaim::Idle => Ran::Idle,
            AfterClaim::Schedule => {
                if trace::on() && !again {
                    steps::scheduled(self.origin.id);
                }
                Ran::Again(self)
            }
            AfterClaim::ShutDown(claim) => {
                self.cancel(claim);
                Ran::Ended
            }
        }
    }

    /// Drops the task, or has its poller drop it.
    pub(crate) fn shut_down(self: &sync::Arc<Self>) -> Shut {
        match self.life.shut_down() {
            ShutDown::Claimed(claim) => {
                self.cancel(claim);
                Shut::Dropped
            }
            ShutDown::Running => Shut::Running,
            ShutDown::Complete => Shut::Ended,
        }
    }

    /// What the task waits for, if it is idle and one of our own leaf futures noted a wait. For dumps.
    ///
    /// The reader claims the task for a moment, so that a poll need not publish what it notes. A wake
    /// that comes in that moment is the reader's to carry out, so no lock may be held here.
    pub(crate) fn waits(self: &sync::Arc<Self>) -> Option<WaitNote> {
        let mut claim = self.life.claim_idle()?;
        let wait = claim.with(|body| body.wait);
        match claim.pause(false) {
            AfterClaim::Idle => {}
            AfterClaim::Schedule => S::schedule(self.clone()),
            AfterClaim::ShutDown(claim) => self.cancel(claim),
        }
        wait
    }

    /// Where the task is in its life; `None` once it has ended.
    pub(crate) fn stage(&self) -> Option<TaskStage> {
        self.life.stage()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn scheduler(&self) -> &S {
        &self.scheduler
    }

    /// The task's index in the list of its owner, if it was taken in.
    pub(crate) fn index(&self) -> Option<u32> {
        let index = self.index.load(Ordering::Relaxed);
        (index != NO_INDEX).then_some(index)
    }

    /// Notes the index, as the task is taken in. Before the task is in a run queue, so the worker that pops it
    /// sees it.
    pub(super) fn set_index(&self, index: u32) {
        self.index.store(index, Ordering::Relaxed);
    }

    /// Tells the trace that the task was spawned.
    pub(crate) fn report_spawned(&self) {
        if trace::on() {
            steps::spawned(&self.origin);
        }
    }

    /// Drops the future of a task that is shut down.
    #[cold]
    fn cancel(self: &sync::Arc<Self>, mut claim: Claim<'_, Body>) {
        if let Some(spawned) = claim.with(|body| body.spawned.take()) {
            let origin: OriginFn<'_> = &|| self.origin.clone();
            this_poll::as_task(self.origin.id, || spawned.cancel(&origin));
        }
        self.end(claim, PollOutcome::Cancelled);
    }

    /// The future is gone.
    fn end(self: &sync::Arc<Self>, claim: Claim<'_, Body>, outcome: PollOutcome) {
        claim.complete();
        if trace::on() {
            steps::ended(self.origin.id, outcome);
        }
        S::ended(self, outcome);
    }

    /// The task's waker is called. `true`: the caller must schedule the task.
    #[inline]
    fn wakes(&self) -> bool {
        let must_schedule = self.life.wake() == Wake::Schedule;
        if trace::on() && self.life.stage().is_some() {
            steps::woken(self.origin.id, must_schedule);
        }
        must_schedule
    }
}

impl<S: Schedule> ArcWake for Task<S> {
    fn wake(self: sync::Arc<Self>) {
        if self.wakes() {
            S::schedule(self);
        }
    }

    fn wake_by_ref(task: &sync::Arc<Self>) {
        if task.wakes() {
            S::schedule(task.clone());
        }
    }
}

impl<S> fmt::Debug for Task<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task")
            .field("id", &self.origin.id)
            .field("name", &self.origin.name)
            .field("stage", &self.life.stage())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "shared_tests.rs"]
mod tests;
