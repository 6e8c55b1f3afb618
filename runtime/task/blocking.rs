//! `spawn_blocking`: a call that would stop its loop or worker, on a thread of the blocking pool.
//!
//! The pool is in `engine/blocking/`. Here a closure becomes a job with a join cell, which enters the
//! runtime that made it before it calls the closure: so `spawn`, `Handle::current` and the like work there.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    thread,
};

use super::cancel::CancelHandle;
use crate::{
    engine::{
        armed_timer::{ArmedTimer, turn_time},
        base::{
            clock::{self, TestClock},
            id::TaskId,
            location::WaitsFor,
            primitives::Arc,
            this_poll,
        },
        blocking::{ASK_AGAIN, BlockingPool, Job, JobNumber, Kind, Refused},
        current::{self, Blocking, Current},
        task::{
            join::{JoinError, JoinHandle},
            reach::Reach,
            spawned::NewTask,
        },
    },
    handle::Handle,
};

/// Runs `f`, which may block, on a thread of the blocking pool of the loop or runtime that runs this
/// thread. `asyncio.to_thread`.
///
/// The call begins as soon as a thread is free, and runs whether or not it is awaited. Calls begin in
/// the order in which they were made. The line has no bound: one task that awaits each of its calls has one in it,
/// but a loop that makes calls and awaits none fills memory. [`try_spawn_blocking`] refuses instead.
///
/// In `f`, [`spawn`](crate::spawn), `spawn_blocking`, [`Handle::current`] and [`Handle::block_on`] go to the
/// loop or runtime that made the call. A panic of `f` is in the result. Under a test clock the call counts
/// as busy: time does not jump before it is done.
///
/// When the loop or the runtime ends, a call that has not begun is dropped, and its result says cancelled.
/// One that has is waited for, for a while: see [`run`](crate::run) and [`Runtime`](crate::Runtime).
///
/// *Cancel safety*: dropping the future lets the call go on, and its output is lost.
/// [`cancel`](SpawnBlocking::cancel) takes a call that has not begun out of the line.
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
    submit(current::blocking("`spawn_blocking`"), Kind::Call, f, Location::caller())
}

/// As [`spawn_blocking`], if there is room: if fewer calls wait for a thread than `blocking_queue` allows.
///
/// # Errors
/// [`TrySpawnError`] says why not. `f` is dropped then.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use whirligig::task::{self, TrySpawnError};
///
/// whirligig::run(async {
///     match task::try_spawn_blocking(|| 6 * 7) {
///         Ok(call) => assert_eq!(call.await.unwrap(), 42),
///         Err(TrySpawnError::Full) => println!("busy: come back later"),
///         Err(error) => println!("{error}"),
///     }
/// });
/// ```
#[track_caller]
pub fn try_spawn_blocking<T, F>(f: F) -> Result<SpawnBlocking<T>, TrySpawnError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let blocking = current::blocking("`try_spawn_blocking`");
    let location = Location::caller();
    let (call, refused) = offer(blocking, Kind::Call, f, location, BlockingPool::try_submit);
    match refused {
        None => Ok(call),
        Some(Refused::Full) => Err(TrySpawnError::Full),
        Some(Refused::Closed) => Err(TrySpawnError::ShutDown),
    }
}

impl Handle {
    /// As [`spawn_blocking`], on the blocking pool of this handle's event loop or runtime, from any thread. If that
    /// has been dropped, so is `f`, and the result says cancelled.
    ///
    /// ```
    /// let runtime = whirligig::Runtime::new()?;
    /// let call = runtime.handle().spawn_blocking(|| 6 * 7);
    /// assert_eq!(call.wait().unwrap(), 42); // or, in a task: call.await
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "run_in_executor")]
    pub fn spawn_blocking<T, F>(&self, f: F) -> SpawnBlocking<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        submit(Blocking::of(self.scheduler.clone()), Kind::Call, f, Location::caller())
    }
}

/// [`spawn_blocking`], for a line that was noted earlier.
pub(crate) fn spawn_blocking_from<T, F>(
    f: F,
    location: &'static Location<'static>,
) -> SpawnBlocking<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    submit(current::blocking("a call on the blocking pool"), Kind::Call, f, location)
}

/// Looks something up for a future: dropped with it, and among other look-ups only, which have but half of the
/// pool's threads.
pub(crate) async fn look_up<T, F>(
    f: F,
    location: &'static Location<'static>,
) -> Result<T, JoinError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    struct CancelOnDrop<T>(SpawnBlocking<T>);
    impl<T> Drop for CancelOnDrop<T> {
        fn drop(&mut self) {
            self.0.cancel();
        }
    }
    let blocking = current::blocking("a name look-up");
    let mut call = CancelOnDrop(submit(blocking, Kind::LookUp, f, location));
    (&mut call.0).await
}

/// Runs `f`, which may block, in the middle of a task of a `Runtime`, on this very thread.
///
/// Other than [`spawn_blocking`] it may borrow. The worker that runs this task goes on meanwhile on another
/// thread, with all that waited there; so as many workers run tasks as before, and inside `f` one may spawn,
/// and block on a future or a handle ([`JoinHandle::wait`]). That thread is started if no spare one is there
/// (so many at most as the runtime's blocking pool may have): some ten microseconds. A call that is over
/// sooner gets its worker back.
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
    if let Some(Current::EventLoop(_)) = current::get() {
        panic!("`block_in_place` would stop this thread's event loop: use `spawn_blocking` instead")
    }
    let _left = current::hand_off_worker();
    this_poll::blocked(f)
}

/// Why [`try_spawn_blocking`] did not take a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrySpawnError {
    /// As many calls wait for a thread as `blocking_queue` allows.
    Full,
    /// The event loop or the runtime has been shut down.
    ShutDown,
}

impl fmt::Display for TrySpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => {
                "the blocking pool's queue is full: await `spawn_blocking` instead, or give the loop a \
                 larger `blocking_queue` or more `blocking_threads`"
            }
            Self::ShutDown => "the event loop or runtime has been shut down, and takes no blocking calls",
        })
    }
}

impl std::error::Error for TrySpawnError {}

fn submit<T, F>(
    blocking: Blocking,
    kind: Kind,
    f: F,
    location: &'static Location<'static>,
) -> SpawnBlocking<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    offer(blocking, kind, f, location, BlockingPool::submit).0
}

/// How a pool takes a job in, or hands it back.
type Submit = fn(&BlockingPool, Job) -> Result<JobNumber, (Job, Refused)>;

/// Makes a job and submits it. One that is refused is dropped, which tells its handle that it was cancelled.
fn offer<T, F>(
    blocking: Blocking,
    kind: Kind,
    f: F,
    location: &'static Location<'static>,
    submit: Submit,
) -> (SpawnBlocking<T>, Option<Refused>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let pool = blocking.pool.clone();
    let (job, handle) = make_job(blocking, kind, f, location);
    let (number, refused) = match submit(&pool, job) {
        Ok(number) => (Some(number), None),
        Err((job, refused)) => {
            job.discard();
            (None, Some(refused))
        }
    };
    (SpawnBlocking::new(handle, pool, number, location), refused)
}

fn make_job<T, F>(
    blocking: Blocking,
    kind: Kind,
    f: F,
    location: &'static Location<'static>,
) -> (Job, JoinHandle<T>)
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let Blocking { scheduler, clock, .. } = blocking;
    let call = move || {
        let _entered = current::enter_from_outside(scheduler);
        f()
    };
    // A job is cancelled by its number in the pool: it has no waker.
    let new = NewTask::new(Call(Some(call)), None, location);
    let (task, origin, handle) = new.identify(TaskId::draw(), Reach::NONE);
    let hold = clock.as_ref().map(TestClock::hold);
    (Job::new(task, origin, kind, hold), handle)
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

/// A call on the blocking pool, from [`spawn_blocking`]. Awaited, it gives the closure's output, or a
/// [`JoinError`] if that panicked, was cancelled, or had not begun when its loop or runtime ended.
///
/// Dropping it lets the call go on.
#[must_use = "the call runs unawaited; `drop` it if nobody wants its outcome"]
pub struct SpawnBlocking<T> {
    handle: JoinHandle<T>,
    pool: Arc<BlockingPool>,
    /// None if the pool was closed.
    number: Option<JobNumber>,
    /// When the pool is to ask for a thread again, while there is none to be had.
    ask_again: Option<ArmedTimer>,
    location: &'static Location<'static>,
}

impl<T> SpawnBlocking<T> {
    fn new(
        handle: JoinHandle<T>,
        pool: Arc<BlockingPool>,
        number: Option<JobNumber>,
        location: &'static Location<'static>,
    ) -> Self {
        Self { handle, pool, number, ask_again: None, location }
    }

    /// Takes the call out of the line, if it has not begun: its closure is dropped here and now, and the
    /// result says cancelled. `false`: it has begun, or ended, and goes its way.
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        self.number.is_some_and(|number| self.pool.cancel(number))
    }

    /// What cancels the call, apart from this handle: to be kept elsewhere while this one is awaited.
    ///
    /// ```
    /// use whirligig::{EventLoop, task};
    ///
    /// let event_loop = EventLoop::builder().blocking_threads(1).build()?;
    /// event_loop.block_on(async {
    ///     let (go, gone) = std::sync::mpsc::channel::<()>();
    ///     let first = task::spawn_blocking(move || gone.recv().is_err());
    ///     let second = task::spawn_blocking(|| "has to wait for the first");
    ///     let cancel = second.cancel_handle();
    ///     std::thread::spawn(move || {
    ///         cancel.cancel();
    ///         drop(go);
    ///     });
    ///     assert!(second.await.unwrap_err().is_cancelled());
    ///     assert!(first.await.unwrap());
    /// });
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "abort_handle")]
    pub fn cancel_handle(&self) -> CancelHandle
    where
        T: Send + 'static,
    {
        let call = self.number.map(|number| (self.pool.clone(), number));
        CancelHandle::of_call(&self.handle, call)
    }

    /// Whether the call has ended.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.handle.is_finished()
    }

    /// The call's identity, as a [`JoinError`] says it.
    pub fn id(&self) -> TaskId {
        self.handle.id()
    }

    /// Blocks this thread until the call has ended. For plain threads, and inside other blocking calls.
    ///
    /// # Errors
    /// As for awaiting.
    ///
    /// # Panics
    /// Inside a task: see [`JoinHandle::wait`].
    #[track_caller]
    #[doc(alias = "result")]
    pub fn wait(mut self) -> Result<T, JoinError> {
        while self.pool.lacks_thread() && !self.is_finished() && this_poll::may_block() {
            self.pool.ask_again();
            thread::sleep(ASK_AGAIN);
        }
        self.leave_timer();
        self.handle.wait()
    }

    /// The pool lacks a thread: asks for one, now and when the timer wakes this task.
    #[cold]
    fn ask_for_thread(&mut self, cx: &Context<'_>) {
        self.pool.ask_again();
        self.leave_timer();
        // Without a runtime on this thread, there is the next poll.
        if let Some(current) = current::get() {
            let now = turn_time(&current);
            let next = now.saturating_add(clock::nanos(ASK_AGAIN));
            self.ask_again = ArmedTimer::new(&current, now, next, cx.waker().clone());
        }
    }

    fn leave_timer(&mut self) {
        if let Some(timer) = self.ask_again.take() {
            timer.cancel();
        }
    }
}

impl<T> Future for SpawnBlocking<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = Pin::new(&mut self.handle).poll(cx);
        if polled.is_pending() {
            if self.pool.lacks_thread() {
                self.ask_for_thread(cx);
            }
            this_poll::note(WaitsFor::Blocking, self.location);
        }
        polled
    }
}

impl<T> fmt::Debug for SpawnBlocking<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnBlocking")
            .field("id", &self.id())
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
