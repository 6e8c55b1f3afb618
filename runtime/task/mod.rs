//! Tasks, as their users see them: spawning, naming, yielding, and calls that block.
//!
//! What a task is made of is in `engine/task/`.

use std::{
    future::{Future, poll_fn},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

pub(crate) use self::blocking::look_up;
pub use self::blocking::{
    SpawnBlocking, TrySpawnError, block_in_place, spawn_blocking, try_spawn_blocking,
};
pub use self::budget::{ConsumeBudget, Progress, consume_budget, poll_proceed};
pub use self::cancel::CancelHandle;
pub use self::group::{GroupBuilder, NextOutcome, TaskGroup, WaitAll};
pub use crate::engine::base::id::TaskId;
pub use crate::engine::task::join::{JoinError, JoinHandle};
use crate::{
    engine::{
        base::{location::Name, this_poll},
        current,
        task::spawned::NewTask,
    },
    handle::Handle,
};

mod blocking;
mod budget;
mod cancel;
mod end;
mod group;

/// Spawns a future onto the runtime that polls the caller.
///
/// On an event loop it starts in the next turn, and tasks start in the order in which they were spawned.
/// On a `Runtime` it starts soon, here or on another worker. Dropping the handle lets the task go on.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// whirligig::run(async {
///     let task = whirligig::spawn(async { 6 * 7 });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
#[doc(alias = "create_task")]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    current::spawn("`spawn`", NewTask::new(future, None, Location::caller()))
}

/// Spawns a future that need not be `Send` onto the event loop that polls the caller.
///
/// # Panics
/// If no event loop runs this thread.
///
/// ```
/// use std::rc::Rc;
///
/// whirligig::run(async {
///     let shared = Rc::new(42);
///     let task = whirligig::spawn_local(async move { *shared });
///     assert_eq!(task.await.unwrap(), 42);
/// });
/// ```
#[track_caller]
#[doc(alias = "create_task")]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    current::spawn_local("`spawn_local`", NewTask::local(future, None, Location::caller()))
}

/// Spawns tasks with a name, for traces, dumps and reports.
///
/// ```
/// use whirligig::task;
///
/// whirligig::run(async {
///     let task = task::Builder::new().name("consumer").spawn(async {});
///     assert_eq!(task.name(), Some("consumer"));
/// });
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until it spawns"]
pub struct Builder {
    name: Option<String>,
}

impl Builder {
    /// A task without a name, so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the task.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// As [`spawn`].
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let new = NewTask::new(future, self.into_name(), Location::caller());
        current::spawn("`task::Builder::spawn`", new)
    }

    /// As [`spawn_local`].
    ///
    /// # Panics
    /// If no event loop runs this thread.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let new = NewTask::local(future, self.into_name(), Location::caller());
        current::spawn_local("`task::Builder::spawn_local`", new)
    }

    /// As [`Handle::spawn`], from any thread.
    #[track_caller]
    pub fn spawn_on<F>(self, handle: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        handle.spawn_new(NewTask::new(future, self.into_name(), Location::caller()))
    }

    fn into_name(self) -> Name {
        self.name.map(|name| Arc::new(name.into_boxed_str()))
    }
}

/// The identity of the task that calls: of the one whose poll this thread is in.
///
/// On an event loop the future of `block_on` has one as well. That of [`Runtime::block_on`](crate::Runtime::block_on)
/// is no task and has none.
///
/// ```
/// whirligig::run(async {
///     let task = whirligig::spawn(async { whirligig::task::id() });
///     let id = task.id();
///     assert_eq!(task.await.unwrap(), id);
/// });
/// ```
///
/// # Panics
/// Outside a task.
#[track_caller]
#[doc(alias = "current_task")]
pub fn id() -> TaskId {
    match try_id() {
        Some(id) => id,
        None => {
            panic!("`task::id` was called outside a task, where there is none: use `task::try_id`")
        }
    }
}

/// The identity of the task that calls; `None` outside a task. See [`id`].
///
/// ```
/// assert_eq!(whirligig::task::try_id(), None);
/// ```
pub fn try_id() -> Option<TaskId> {
    this_poll::task()
}

/// Gives up the rest of this turn: the task runs again in the next. asyncio's `sleep(0)`.
///
/// *Cancel safety*: there is nothing to lose.
///
/// ```
/// whirligig::run(async {
///     let other = whirligig::spawn(async { 1 });
///     whirligig::task::yield_now().await;
///     assert!(other.is_finished());
/// });
/// ```
#[track_caller]
#[doc(alias = "sleep0")]
pub fn yield_now() -> YieldNow {
    YieldNow { yielded: false, location: Location::caller() }
}

/// The future of [`yield_now`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct YieldNow {
    yielded: bool,
    location: &'static Location<'static>,
}

impl Future for YieldNow {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        this_poll::run_again(cx, self.location);
        Poll::Pending
    }
}

/// Runs a future without a budget: its operations on our queues, sockets and timers are not counted,
/// and it gives way to other tasks only when it waits.
///
/// For code that must not be interrupted by an await that could go on. It can starve its loop.
///
/// ```
/// use whirligig::{queue::Queue, task};
///
/// whirligig::run(async {
///     let queue = Queue::unbounded();
///     (1..=1_000).for_each(|n| queue.try_put(n).unwrap());
///     queue.close();
///     let other = whirligig::spawn(async {});
///     let sum = task::unconstrained(async {
///         let mut sum = 0;
///         while let Ok(n) = queue.get().await {
///             sum += n;
///         }
///         sum
///     });
///     assert_eq!(sum.await, 500_500);
///     assert!(!other.is_finished(), "a thousand items in one poll: no other task had a turn");
/// });
/// ```
pub async fn unconstrained<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    poll_fn(|cx| this_poll::lifted(|| future.as_mut().poll(cx))).await
}
