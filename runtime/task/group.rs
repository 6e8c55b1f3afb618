//! `TaskGroup`: tasks that are spawned together, awaited as they end, and cancelled together.
//!
//! A group keeps the join handles of its children in a slab, and each child has its number there for a name. The
//! waker in a child's join cell puts that number into the group's list of [`Arrivals`] when the child has ended. So
//! [`TaskGroup::next`] takes a number from the list and looks at no other child: a child costs the same in a group
//! of two and in one of a million. What it costs beyond its task is one small allocation, its waker.
//!
//! What must hold: a child has arrived when its outcome is in its join cell, and that is after its future was
//! dropped. Each child arrives exactly once. So the waker is in the cell before anybody else has the task.
//!
//! Who may spawn: whoever has the group by `&mut`. Its children may not, for it does not wait for what it
//! does not know of when it counts. [`scope`](super::scope()) is for those.
//!
//! **Alternative:** a future around each child's that sends its output to the group. Then a child's output is
//! known before its future was dropped, and a panic or a cancellation needs a second way.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use slab::Slab;

use super::cancel::CancelHandle;
use crate::{
    engine::{
        base::{
            id::TaskId,
            location::{WaitsFor, into_name},
            this_poll,
        },
        current,
        task::{
            join::{JoinError, JoinHandle},
            spawned::{NewTask, Spawned, SpawnedSend},
        },
        waiting::arrivals::Arrivals,
    },
    handle::Handle,
};

/// Tasks with outputs of one type, awaited in the order in which they end. tokio's `JoinSet`.
///
/// [`next`](Self::next) gives the outcome of the child that ended first, [`wait`](Self::wait) those of all. An
/// outcome is given after the child's future was dropped: what it held is free again. A group is a `Stream` of
/// outcomes as well.
///
/// Dropping a group cancels its children, and does not wait for them: each is dropped in its own turn. Where the next
/// line relies on their being gone, use [`scope`](super::scope()), or [`cancel`](Self::cancel) and then `wait`.
///
/// An error of a child is an outcome like any other, and cancels nothing. Where it should, use a scope.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{task::TaskGroup, time};
///
/// whirligig::run(async {
///     let mut group = TaskGroup::new();
///     for n in [30, 10, 20] {
///         group.spawn(async move {
///             time::sleep(Duration::from_millis(n)).await;
///             n
///         });
///     }
///     let mut order = Vec::new();
///     while let Some(outcome) = group.next().await {
///         order.push(outcome.expect("no child panics"));
///     }
///     assert_eq!(order, [10, 20, 30]);
/// });
/// ```
#[doc(alias = "JoinSet")]
#[doc(alias = "Nursery")]
#[doc(alias = "FuturesUnordered")]
pub struct TaskGroup<T> {
    children: Slab<JoinHandle<T>>,
    arrivals: Arc<Arrivals>,
    /// Numbers that were taken out of the arrivals: children that have ended, in that order.
    ended: VecDeque<u32>,
}

impl<T> TaskGroup<T> {
    /// A group without children. It needs no runtime before it spawns.
    pub fn new() -> Self {
        Self { children: Slab::new(), arrivals: Arrivals::new(), ended: VecDeque::new() }
    }

    /// Spawns a child, as [`spawn`](crate::spawn) does. Gives the task's identity.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn<F>(&mut self, future: F) -> TaskId
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        self.start("`TaskGroup::spawn`", NewTask::new(future, None, Location::caller()))
    }

    /// Spawns a child that need not be `Send` onto the event loop that polls the caller. A group may have children
    /// of both kinds.
    ///
    /// # Panics
    /// If no event loop runs this thread.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use whirligig::task::TaskGroup;
    ///
    /// whirligig::run(async {
    ///     let shared = Rc::new(42);
    ///     let mut group = TaskGroup::new();
    ///     group.spawn_local(async move { shared });
    ///     assert_eq!(*group.next().await.unwrap().unwrap(), 42);
    /// });
    /// ```
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "start_soon")]
    pub fn spawn_local<F>(&mut self, future: F) -> TaskId
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let new = NewTask::local(future, None, Location::caller());
        self.start_local("`TaskGroup::spawn_local`", new)
    }

    /// Spawns a child with a name, or onto another runtime.
    ///
    /// ```
    /// use whirligig::task::TaskGroup;
    ///
    /// whirligig::run(async {
    ///     let mut group = TaskGroup::<()>::new();
    ///     group.builder().name("reader").spawn(async { panic!("no such page") });
    ///     let error = group.next().await.unwrap().unwrap_err();
    ///     assert!(error.to_string().contains("'reader'"));
    /// });
    /// ```
    pub fn builder(&mut self) -> GroupBuilder<'_, T> {
        GroupBuilder { group: self, name: None }
    }

    /// Waits for the next child to end, and gives its outcome. `None`: there are no children.
    ///
    /// Outcomes come in the order in which the children ended, also of those that ended before this was called.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has taken no outcome.
    #[track_caller]
    #[doc(alias = "join_next")]
    #[doc(alias = "as_completed")]
    #[expect(clippy::should_implement_trait, reason = "streams have a `next` by custom")]
    pub fn next(&mut self) -> NextOutcome<'_, T> {
        NextOutcome { group: self, location: Location::caller() }
    }

    /// The outcome of the child that ended first, if one has ended whose outcome was not given yet.
    ///
    /// ```
    /// use whirligig::task::{TaskGroup, yield_now};
    ///
    /// whirligig::run(async {
    ///     let mut group = TaskGroup::new();
    ///     group.spawn(async { 1 });
    ///     assert!(group.try_next().is_none(), "it has not begun");
    ///     yield_now().await;
    ///     assert_eq!(group.try_next().unwrap().unwrap(), 1);
    /// });
    /// ```
    #[doc(alias = "try_join_next")]
    pub fn try_next(&mut self) -> Option<Result<T, JoinError>> {
        if self.ended.is_empty() {
            self.arrivals.take(&mut self.ended);
        }
        self.take_ended()
    }

    /// Waits until all children have ended, and gives their outcomes, in the order in which they ended.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has taken no outcome.
    ///
    /// ```
    /// use whirligig::task::TaskGroup;
    ///
    /// whirligig::run(async {
    ///     let mut group = TaskGroup::new();
    ///     for n in 1..=3 {
    ///         group.spawn(async move { n * n });
    ///     }
    ///     let sum: i32 = group.wait().await.into_iter().map(|outcome| outcome.unwrap()).sum();
    ///     assert_eq!(sum, 14);
    ///
    ///     group.spawn(std::future::pending());
    ///     group.cancel();
    ///     assert!(group.wait().await.remove(0).unwrap_err().is_cancelled());
    /// });
    /// ```
    #[track_caller]
    #[doc(alias = "join_all")]
    #[doc(alias = "gather")]
    pub fn wait(&mut self) -> WaitAll<'_, T> {
        WaitAll { group: self, location: Location::caller() }
    }

    /// Cancels all children, as [`JoinHandle::cancel`] does, and does not wait. Each has an outcome, as always: that
    /// it was cancelled, unless it was done before.
    #[doc(alias = "abort_all")]
    #[doc(alias = "shutdown")]
    pub fn cancel(&self) {
        self.children.iter().for_each(|(_, child)| _ = child.cancel());
    }

    /// Lets all children go on alone, as dropping their handles would. The group is empty then.
    ///
    /// ```
    /// use whirligig::{queue::Queue, task::TaskGroup};
    ///
    /// let queue = std::sync::Arc::new(Queue::unbounded());
    /// whirligig::run(async {
    ///     let mut group = TaskGroup::new();
    ///     let items = queue.clone();
    ///     group.spawn(async move { items.try_put("kept").unwrap() });
    ///     group.detach();
    ///     drop(group);
    ///     assert_eq!(queue.get().await, Ok("kept"));
    /// });
    /// ```
    #[doc(alias = "detach_all")]
    pub fn detach(&mut self) {
        drop(mem::take(self).into_children());
    }

    /// What cancels one child. `None` if the outcome of that was given, or it was never here. It is found by a look
    /// at each child.
    ///
    /// ```
    /// use whirligig::task::TaskGroup;
    ///
    /// whirligig::run(async {
    ///     let mut group = TaskGroup::<()>::new();
    ///     let first = group.spawn(std::future::pending());
    ///     group.spawn(async {});
    ///     group.cancel_handle(first).unwrap().cancel();
    ///     let outcomes = group.wait().await;
    ///     assert_eq!(outcomes.iter().filter(|outcome| outcome.is_err()).count(), 1);
    /// });
    /// ```
    #[doc(alias = "abort_handle")]
    pub fn cancel_handle(&self, id: TaskId) -> Option<CancelHandle>
    where
        T: Send + 'static,
    {
        let (_, child) = self.children.iter().find(|(_, child)| child.id() == id)?;
        Some(child.cancel_handle())
    }

    /// How many children there are whose outcomes have not been given: those that run, and those that have ended.
    pub fn len(&self) -> usize {
        self.children.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    #[inline]
    #[track_caller]
    fn start(&mut self, what: &str, new: NewTask<SpawnedSend, T>) -> TaskId
    where
        T: Send + 'static,
    {
        current::can_spawn(what);
        self.insert(|waker| current::spawn(what, new.watched_by(waker)))
    }

    #[inline]
    #[track_caller]
    fn start_local(&mut self, what: &str, new: NewTask<Spawned, T>) -> TaskId {
        current::can_spawn_local(what);
        self.insert(|waker| current::spawn_local(what, new.watched_by(waker)))
    }

    /// Takes in the child that `spawn` spawns with this waker. It may end before it is in the slab, and nobody
    /// looks for it there before.
    #[inline]
    fn insert(&mut self, spawn: impl FnOnce(std::task::Waker) -> JoinHandle<T>) -> TaskId {
        let vacant = self.children.vacant_entry();
        let number = u32::try_from(vacant.key()).expect("a group has less than 2^32 children");
        let child = spawn(self.arrivals.waker(number));
        let id = child.id();
        vacant.insert(child);
        id
    }

    /// The outcome of the next of those that were taken out of the arrivals.
    #[inline]
    fn take_ended(&mut self) -> Option<Result<T, JoinError>> {
        let number = self.ended.pop_front()?;
        Some(self.children.remove(number as usize).into_outcome())
    }

    /// [`next`](Self::next), for a future or a stream that waits at `location`.
    fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<Option<Result<T, JoinError>>> {
        ready!(this_poll::poll_budget(cx, location));
        if self.ended.is_empty()
            && !self.children.is_empty()
            && self.arrivals.poll_take(cx, 1, &mut self.ended).is_pending()
        {
            this_poll::note(WaitsFor::Task, location);
            return Poll::Pending;
        }
        this_poll::charge();
        Poll::Ready(self.take_ended())
    }

    fn into_children(mut self) -> Slab<JoinHandle<T>> {
        mem::take(&mut self.children)
    }
}

impl<T> Default for TaskGroup<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Cancels the children.
impl<T> Drop for TaskGroup<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The outcomes, as [`next`](TaskGroup::next) gives them. It is at its end when there are no children, and goes on if
/// more are spawned.
impl<T> Stream for TaskGroup<T> {
    type Item = Result<T, JoinError>;

    #[track_caller]
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_outcome(cx, Location::caller())
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<T> fmt::Debug for TaskGroup<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskGroup").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// Spawns a child of a [`TaskGroup`] with a name. From [`TaskGroup::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct GroupBuilder<'a, T> {
    group: &'a mut TaskGroup<T>,
    name: Option<String>,
}

impl<T> GroupBuilder<'_, T> {
    /// Names the child, for traces, dumps and reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// As [`TaskGroup::spawn`].
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    pub fn spawn<F>(self, future: F) -> TaskId
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let new = NewTask::new(future, into_name(self.name), Location::caller());
        self.group.start("`GroupBuilder::spawn`", new)
    }

    /// As [`TaskGroup::spawn_local`].
    ///
    /// # Panics
    /// If no event loop runs this thread.
    #[track_caller]
    pub fn spawn_local<F>(self, future: F) -> TaskId
    where
        F: Future<Output = T> + 'static,
        T: 'static,
    {
        let new = NewTask::local(future, into_name(self.name), Location::caller());
        self.group.start_local("`GroupBuilder::spawn_local`", new)
    }

    /// As [`Handle::spawn`]: from any thread, onto the event loop or runtime of `handle`.
    ///
    /// ```
    /// use whirligig::{Runtime, task::TaskGroup};
    ///
    /// let runtime = Runtime::new()?;
    /// let mut group = TaskGroup::new();
    /// group.builder().spawn_on(&runtime.handle(), async { 6 * 7 });
    /// assert_eq!(runtime.block_on(group.next()).unwrap().unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn spawn_on<F>(self, handle: &Handle, future: F) -> TaskId
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        let new = NewTask::new(future, into_name(self.name), Location::caller());
        self.group.insert(|waker| handle.spawn_new(new.watched_by(waker)))
    }
}

/// The future of [`TaskGroup::next`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct NextOutcome<'a, T> {
    group: &'a mut TaskGroup<T>,
    location: &'static Location<'static>,
}

impl<T> Future for NextOutcome<'_, T> {
    type Output = Option<Result<T, JoinError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.group.poll_outcome(cx, this.location)
    }
}

impl<T> fmt::Debug for NextOutcome<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextOutcome").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`TaskGroup::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitAll<'a, T> {
    group: &'a mut TaskGroup<T>,
    location: &'static Location<'static>,
}

impl<T> Future for WaitAll<'_, T> {
    type Output = Vec<Result<T, JoinError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { group, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        // Woken by the last of them, and taken all at once: an outcome is with the group until it is given.
        let running = group.children.len() - group.ended.len();
        if running > 0 && group.arrivals.poll_take(cx, running, &mut group.ended).is_pending() {
            this_poll::note(WaitsFor::Task, location);
            return Poll::Pending;
        }
        this_poll::charge();
        Poll::Ready(std::iter::from_fn(|| group.take_ended()).collect())
    }
}

impl<T> fmt::Debug for WaitAll<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitAll").field("location", self.location).finish_non_exhaustive()
    }
}
