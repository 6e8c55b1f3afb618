//! Tasks, as their users see them: spawning, naming, yielding, and calls that block.
//!
//! # Many at once
//!
//! What waits for more than one future, and what becomes of the others:
//!
//! | to wait for | take | the others |
//! | --- | --- | --- |
//! | all of a list | [`gather`](fn@gather) | all are done |
//! | all of a list, or the first error | [`try_gather`] | are dropped |
//! | each as it comes | [`as_completed`](fn@as_completed) | go on |
//! | the first of a list | [`race`](fn@race) | are dropped |
//! | some of a list, or until a deadline | [`wait`](fn@wait) | are handed back |
//! | two or three of different types | [`join!`](crate::join), [`try_join!`](crate::try_join) | all are done; are dropped at an error |
//! | the first of two or three of different types | [`select!`](crate::select) | those made in it are dropped |
//!
//! None of these spawns anything. Plain futures are polled inside the task that waits, one at a time, on one
//! thread; they may borrow from it. To have them run beside each other on the workers of a
//! [`Runtime`](crate::Runtime), or go on while nobody waits, spawn them and give the handles. Dropped, a handle lets
//! its task go on; where it must not, give [`JoinHandle::cancel_on_drop`].
//!
//! The functions keep a list, in which each future has a waker of its own, and poll those that were woken. The
//! macros poll all their futures each time, which for a few is cheaper. They are those of futures-util, under the feature
//! `macros`, which is on by default: they are well kept, `select!` begins with a branch drawn at random
//! ([`select_biased!`](crate::select_biased) with the first), and nothing in them belongs to a runtime. A branch of
//! `select!` wants a future that says when it has ended, which [`fuse`](crate::FutureExt::fuse) makes of any:
//!
//! ```
//! use std::time::Duration;
//! use whirligig::{FutureExt as _, queue::Queue, select, time::sleep};
//!
//! whirligig::run(async {
//!     let queue = Queue::<u8>::unbounded();
//!     select! {
//!         item = queue.get().fuse() => println!("{item:?}"),
//!         () = sleep(Duration::from_millis(1)).fuse() => println!("nothing came"),
//!     }
//! });
//! ```
//!
//! # Tasks that belong together
//!
//! | | children | the next line runs when | a failure |
//! | --- | --- | --- | --- |
//! | [`scope`](fn@scope) | tasks | all have ended | cancels all, and is the scope's error, with all others |
//! | [`borrowing_scope`] | futures that the parent polls, and that may borrow from it | all have ended | as above |
//! | [`TaskGroup`] | tasks | it likes | is an outcome like any other |
//!
//! Take a scope where you can: what is spawned in it cannot be forgotten. A group is for outcomes that are taken as
//! they come, over a longer time.
//!
//! # Ending early
//!
//! To cancel a future is to drop it where it waits: at an await, and nowhere else. What it holds is dropped with it.
//!
//! | to | take |
//! | --- | --- |
//! | end a task | [`JoinHandle::cancel`], or from elsewhere its [`CancelHandle`] |
//! | end a task with what waits for it | [`JoinHandle::cancel_on_drop`] |
//! | end many, each where it chooses to | [`CancelToken`] |
//! | end a future after a while | [`time::timeout`](crate::time::timeout()), [`CancelToken::run_until_cancelled`] |
//! | have a step ended once it was begun | [`shield`](fn@shield) |
//! | clean up with awaits, in any case | [`with_cleanup`] |
//!
//! What a task is made of is in `engine/task/`.

use std::{
    future::{Future, poll_fn},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

pub use self::as_completed::{AsCompleted, NextCompleted, as_completed};
pub use self::blocking::{
    SpawnBlocking, TrySpawnError, block_in_place, spawn_blocking, try_spawn_blocking,
};
pub(crate) use self::blocking::{look_up, spawn_blocking_from};
pub use self::borrowing::{
    BorrowingScope, BorrowingScopeFuture, LocalChild, SendChild, borrowing_scope,
    borrowing_scope_local,
};
pub use self::budget::{ConsumeBudget, Progress, consume_budget, poll_proceed};
pub use self::calls::{
    ScheduledCall, call_at, call_at_local, call_later, call_later_local, call_soon, call_soon_local,
};
pub use self::cancel::CancelHandle;
pub use self::cancel_on_drop::CancelOnDrop;
pub use self::cancel_token::{
    CancelToken, Cancelled, CancelledOwned, DropGuard, RunUntilCancelled,
};
pub use self::child::{BodyOutput, Child, ChildOutput};
pub use self::cleanup::{WithCleanup, with_cleanup};
pub use self::errors::{ErrorGroup, Failure};
pub use self::gather::{Gather, TryGather, gather, try_gather};
pub use self::group::{GroupBuilder, NextOutcome, TaskGroup, WaitAll};
pub use self::info::{TaskInfo, current, try_current};
pub use self::locals::{Locals, TaskLocal, WithLocals};
pub use self::race::{Race, race};
pub use self::scope::{MoveOnScope, Scope, ScopeBuilder, ScopeFuture, scope};
pub use self::shield::{Shield, shield, shield_local};
pub use self::wait::{Wait, WaitFor, Waited, wait};
pub use crate::engine::base::id::TaskId;
pub use crate::engine::task::join::{JoinError, JoinHandle};
use crate::{
    engine::{
        base::{location::into_name, this_poll},
        current,
        task::spawned::NewTask,
    },
    handle::Handle,
};

mod as_completed;
mod blocking;
mod borrowing;
mod budget;
mod calls;
mod cancel;
mod cancel_on_drop;
mod cancel_token;
mod child;
mod children;
mod cleanup;
mod end;
mod errors;
mod gather;
mod group;
mod info;
mod locals;
mod many;
mod outcome;
mod race;
mod scope;
mod shield;
mod wait;

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

    /// The task sees the [task-locals](TaskLocal) that the caller of this sees. Otherwise it begins without.
    ///
    /// ```
    /// use whirligig::task::{self, TaskLocal};
    ///
    /// static USER: TaskLocal<&str> = TaskLocal::new("user");
    ///
    /// whirligig::run(USER.scope("Ann", async {
    ///     let task = task::Builder::new().inherit().spawn(async { USER.get() });
    ///     assert_eq!(task.await.unwrap(), Some("Ann"));
    /// }));
    /// ```
    #[doc(alias = "copy_context")]
    pub fn inherit(self) -> InheritingBuilder {
        InheritingBuilder { task: self, locals: Locals::current() }
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
        let new = NewTask::new(future, into_name(self.name), Location::caller());
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
        let new = NewTask::local(future, into_name(self.name), Location::caller());
        current::spawn_local("`task::Builder::spawn_local`", new)
    }

    /// As [`Handle::spawn`], from any thread.
    #[track_caller]
    pub fn spawn_on<F>(self, handle: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        handle.spawn_new(NewTask::new(future, into_name(self.name), Location::caller()))
    }
}

/// A [`Builder`] whose tasks see the caller's task-locals: from [`Builder::inherit`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it spawns"]
pub struct InheritingBuilder {
    task: Builder,
    locals: Locals,
}

impl InheritingBuilder {
    /// Names the task.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.task = self.task.name(name);
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
        self.task.spawn(self.locals.scope(future))
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
        self.task.spawn_local(self.locals.scope(future))
    }

    /// As [`Handle::spawn`], from any thread.
    #[track_caller]
    pub fn spawn_on<F>(self, handle: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.task.spawn_on(handle, self.locals.scope(future))
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
