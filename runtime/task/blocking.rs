//! `spawn_blocking`: a call that would stop its loop or worker, on a thread of the blocking pool.
//!
//! The pool is in `crate::blocking`. Here a closure becomes a job with a join cell, and whoever finds
//! the pool's queue full waits for room as a future.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        clock::{Hold, TestClock},
        foreign,
        id::TaskId,
        place::WaitsFor,
        primitives::Arc,
        this_poll,
    },
    blocking::{Job, Pool, Refused, Ticket},
    current::{self, Current},
    task::{
        join::{JoinError, JoinHandle},
        spawned::NewTask,
    },
};

/// Runs `f`, which may block, on a thread of the blocking pool of the loop or runtime that runs this
/// thread. `asyncio.to_thread`.
///
/// The job begins as soon as a thread is free; while jobs have been too short for that to be worth a
/// thread more, a job may wait a millisecond or two before one comes for it. While the pool's queue is
/// full, the job waits in the returned future for room, first come, first served, and begins only if
/// that future is awaited: this is how the pool pushes back. Once queued, it runs whether or not it is
/// awaited.
///
/// A panic of `f` is in the result. Under a test clock the job counts as busy: time does not jump
/// before it is done.
///
/// *Cancel safety*: dropped while it waits for room, `f` is dropped and does not run; later, `f` runs
/// and its output is lost. [`cancel`](SpawnBlocking::cancel) keeps a job that has not begun from
/// running.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use whirligig::task;
///
/// let sum = whirligig::run(async { task::spawn_blocking(|| (1..=10).sum::<i32>()).await });
/// assert_eq!(sum.unwrap(), 55);
/// ```
#[track_caller]
#[doc(alias = "to_thread")]
#[doc(alias = "run_in_executor")]
pub fn spawn_blocking<T, F>(f: F) -> SpawnBlocking<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let place = Location::caller();
    let (pool, clock) = current::blocking("`spawn_blocking`");
    let (job, handle) = make_job(f, place);
    let mut spawned = SpawnBlocking { waiting: Some(job), ticket: 0, clock, pool, handle, place };
    spawned.submit();
    spawned
}

/// As [`spawn_blocking`], but never waits for room.
///
/// # Errors
/// [`PoolFull`] if the queue is full. `f` is dropped then.
///
/// # Panics
/// If no runtime runs this thread.
#[track_caller]
pub fn try_spawn_blocking<T, F>(f: F) -> Result<JoinHandle<T>, PoolFull>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let (pool, clock) = current::blocking("`try_spawn_blocking`");
    let (job, handle) = make_job(f, Location::caller());
    match pool.submit(job, 0, || hold(&clock)) {
        Ok(()) => Ok(handle),
        Err(refused) => {
            refused.drop_job();
            Err(PoolFull)
        }
    }
}

/// Runs `f`, which may block, in the middle of a task of a `Runtime`, on this very thread.
///
/// Other than [`spawn_blocking`] it may borrow, and it holds up a worker: what that one had in its
/// queue goes to the others, and what becomes ready behind it meanwhile is taken over by the sentry,
/// within some twenty milliseconds at first and soon after that.
///
/// Inside it one may spawn, and block on a future or a handle ([`JoinHandle::wait`]), **if a worker is left to
/// run what that waits for**. While all workers are in here no task is polled and no timer fires: for a call
/// that computes that is a pause, and for one that waits for a task it has no end. A runtime with one worker
/// (the default on one processor) has none left.
///
/// In the future of a `Runtime::block_on`, and where no runtime runs this thread, it just calls `f`.
/// It cannot be cancelled: a task that is, ends at its next await.
///
/// # Panics
/// If `f` does, and inside an event loop, which has no other worker to go on: use [`spawn_blocking`].
///
/// ```
/// let runtime = whirligig::Runtime::new()?;
/// let text = String::from("borrowed");
/// let length = runtime.block_on(async { whirligig::task::block_in_place(|| text.len()) });
/// assert_eq!(length, 8);
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn block_in_place<T>(f: impl FnOnce() -> T) -> T {
    let _stepped_out = match current::get() {
        Some(Current::EventLoop(_)) => panic!(
            "`block_in_place` would stop this thread's event loop: use `spawn_blocking` instead"
        ),
        Some(Current::Worker(worker)) => Some(current::step_out(&worker)),
        Some(Current::Guest(_)) | None => None,
    };
    this_poll::blocked(f)
}

/// The blocking pool's queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFull;

impl fmt::Display for PoolFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the blocking pool's queue is full: await `spawn_blocking` instead, or give the loop a \
             larger `blocking_queue` or more `blocking_threads`",
        )
    }
}

impl std::error::Error for PoolFull {}

fn make_job<T, F>(f: F, place: &'static Location<'static>) -> (Job, JoinHandle<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // A job has no waker to cancel it by: the bit alone must do.
    let new = NewTask::new(Call(Some(f)), None, place);
    let (task, origin, handle) = new.identify(TaskId::draw(), |_| {});
    (Job::new(task, origin), handle)
}

/// A closure as a future, which has its output with its first poll: so a job is a task like any other,
/// one allocation with its join cell.
struct Call<F>(Option<F>);

// The closure is never pinned: it is moved out to be called.
impl<F> Unpin for Call<F> {}

impl<T, F: FnOnce() -> T> Future for Call<F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<T> {
        let f = self.0.take().expect("a job is polled once");
        Poll::Ready(f())
    }
}

/// Under a test clock a queued job counts as busy.
fn hold(clock: &Option<TestClock>) -> Option<Hold> {
    clock.as_ref().map(TestClock::hold)
}

/// The future of [`spawn_blocking`]: the closure's output, or a [`JoinError`] if it panicked, was
/// cancelled, or lost its pool.
#[must_use = "while the pool is full, the job does not begin unless this is awaited"]
pub struct SpawnBlocking<T> {
    /// The job, while there is no room for it.
    waiting: Option<Job>,
    ticket: Ticket,
    clock: Option<TestClock>,
    pool: Arc<Pool>,
    handle: JoinHandle<T>,
    place: &'static Location<'static>,
}

impl<T> SpawnBlocking<T> {
    /// Has the job not run if it has not begun. The result says cancelled then.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether the job has ended.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// Whether the job waits for room in the pool's queue.
    pub fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Tries to queue the job.
    fn submit(&mut self) {
        let Some(job) = self.waiting.take() else { return };
        let clock = &self.clock;
        match self.pool.submit(job, self.ticket, || hold(clock)) {
            Ok(()) => self.ticket = 0,
            Err(Refused::Full(job)) => self.waiting = Some(job),
            Err(refused) => refused.drop_job(),
        }
    }
}

impl Refused {
    /// Dropped, a job tells its handle that it was cancelled.
    fn drop_job(self) {
        let (Self::Full(job) | Self::Closed(job)) = self;
        foreign::call("a blocking job that was dropped", || drop(job));
    }
}

impl<T> Future for SpawnBlocking<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        while this.waiting.is_some() {
            ready!(this_poll::poll_budget(cx, this.place));
            this.submit();
            if this.waiting.is_some() {
                let waker = cx.waker().clone();
                let (must_wait, _old) = this.pool.wait(&mut this.ticket, waker);
                if must_wait {
                    this_poll::note(WaitsFor::Blocking, this.place);
                    return Poll::Pending;
                }
            }
        }
        let polled = Pin::new(&mut this.handle).poll(cx);
        if polled.is_pending() {
            this_poll::note(WaitsFor::Blocking, this.place);
        }
        polled
    }
}

impl<T> Drop for SpawnBlocking<T> {
    fn drop(&mut self) {
        if self.ticket != 0 {
            self.pool.leave(self.ticket);
        }
    }
}

impl<T> fmt::Debug for SpawnBlocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnBlocking")
            .field("waiting", &self.is_waiting())
            .field("finished", &self.is_finished())
            .finish()
    }
}
