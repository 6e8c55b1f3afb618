//! `scope`: tasks that end before the line after the scope runs. trio's nursery, asyncio's `TaskGroup`.
//!
//! A scope has a *body*, a future that its parent polls as its own, and *children*, tasks that the body or other
//! children spawn. Its future, [`ScopeFuture`], is ready when the body is done and each child's future was dropped.
//! The first failure cancels all: the body is dropped where it waits, and each child in its own turn. Failures that
//! come meanwhile are kept, and the [`ErrorGroup`] has them all.
//!
//! Children have their handles in the scope's [`Core`], and tell of their ends through its list of arrivals, as those
//! of a group do. What else is asked of a scope, to cancel it or one of its children, comes through the same
//! list as a number of its own. So the scope's future is the only one that cancels or takes out a child, and sees all
//! that happens in one order.
//!
//! ```text
//!             a failure, `cancel`, the deadline
//!     OPEN ---------------------------------------> CANCELLED
//!       |                                               |
//!       |  body done, no child left                     |  no child left
//!       +-----------------------> LEFT <----------------+
//! ```
//!
//! A scope whose future is dropped, by a `timeout` around it or because its task is cancelled, cannot wait for
//! anything. Its children are ended on the spot (`end.rs`), and the thread waits for those that are polled right
//! now.
//!
//! What must hold:
//! - No child outlives its scope, in whichever way that is left.
//! - A child is taken out of the core by the scope's future alone, or by its drop. One that is spawned while the scope
//!   is being left is ended by the thread that spawned it.
//! - Futures, outputs and wakers are user code, and are called and dropped with the core's lock released.
//!
//! **Alternatives:** to wait for the children by polling them inside the parent (`borrowing.rs`). Then they may
//! borrow, and run one at a time. Or a group that is awaited at the end of a block, as tokio's `JoinSet`: then it is
//! the user who must not forget that, at each `?`.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    child::{BodyOutput, CANCEL, Child, ChildOutput, ChildTask, End},
    children::{CANCEL_ALL, Children, Phase},
    end::end_now,
    errors::{ErrorGroup, Failure},
    outcome::Outcome,
};
use crate::{
    engine::{
        base::{
            location::{Name, WaitsFor, into_name},
            this_poll,
        },
        current,
        task::{join::JoinHandle, spawned::NewTask},
    },
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Runs `body`, which may spawn tasks into the scope it is given, and goes on when the body is done and all of those
/// have ended. trio's `open_nursery`.
///
/// The future gives what the body gives, or, if something failed, all that did: an [`ErrorGroup`]. A child or a body
/// that ends with an `Err`, and a child that panics, cancel all the others. The scope waits for them in any case: on
/// the line after the scope no child runs any more, and what their futures held was dropped.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{queue::Queue, task, time};
///
/// let queue = std::sync::Arc::new(Queue::unbounded());
/// let sum = whirligig::run(async {
///     task::scope(async |scope| {
///         for n in 1..=3 {
///             let items = queue.clone();
///             scope.spawn(async move { items.put(n).await.unwrap() });
///         }
///         let answer = scope.spawn(async { Ok(36) }); // its handle gives a value
///         scope.spawn(async { loop { time::sleep(Duration::from_secs(1)).await } });
///
///         let mut sum = answer.await;
///         for _ in 0..3 {
///             sum += queue.get().await.unwrap();
///         }
///         scope.cancel(); // the one that never ends
///         Ok::<_, std::convert::Infallible>(sum)
///     })
///     .await
/// });
/// assert_eq!(sum.unwrap(), 42);
/// ```
///
/// Where something can fail, use `?`. The scope's error type is that of the body's `Result`, and its children's;
/// mostly it is inferred. A body that ends with `()` has children that cannot fail.
///
/// ```
/// use whirligig::task;
///
/// async fn fetch(page: u32) -> std::io::Result<String> {
///     if page == 404 { Err(std::io::ErrorKind::NotFound.into()) } else { Ok("text".into()) }
/// }
///
/// whirligig::run(async {
///     let texts = task::scope(async |scope| {
///         let one = scope.spawn(fetch(1));
///         let two = scope.spawn(async { Ok(fetch(2).await?.to_uppercase()) });
///         Ok((one.await, two.await))
///     });
///     assert_eq!(texts.await.unwrap(), ("text".into(), "TEXT".into()));
///
///     let texts = task::scope(async |scope| {
///         scope.spawn(std::future::pending::<()>()); // is cancelled
///         scope.spawn(fetch(404)).await;
///         Ok(())
///     });
///     assert_eq!(texts.await.unwrap_err().errors().count(), 1);
/// });
/// ```
///
/// A panic of the body cancels the children, waits until they are gone, and goes on unwinding then; what the children
/// failed with meanwhile is lost, but for their panics, which are reported on standard error.
///
/// Scopes nest. A deadline is put on one by [`fail_after`](ScopeFuture::fail_after) and
/// [`move_on_after`](ScopeFuture::move_on_after).
///
/// *Cancel safety*: dropping the future drops the body, ends all children, and returns when they are gone. That may
/// block the thread: for as long as a child that another worker polls takes to come to its next await (this thread's
/// worker is left to another thread meanwhile). On an event loop nothing runs beside the one that drops. Not waited
/// for is a child inside which the future is dropped: it ends with its poll.
///
/// # Panics
/// Awaiting it panics if the body does.
#[track_caller]
#[doc(alias = "open_nursery")]
#[doc(alias = "Nursery")]
#[doc(alias = "TaskGroup")]
#[doc(alias = "CancelScope")]
pub fn scope<F, Fut>(body: F) -> ScopeFuture<Fut, ValueOf<Fut>, ErrorOf<Fut>>
where
    F: FnOnce(Scope<ErrorOf<Fut>>) -> Fut,
    Fut: Future,
    Fut::Output: BodyOutput,
{
    let core = Arc::new(Core { children: Children::new() });
    let running = Running::new(core.clone(), Location::caller());
    ScopeFuture { body: Some(body(Scope { core })), running }
}

type ValueOf<Fut> = <<Fut as Future>::Output as BodyOutput>::Value;
type ErrorOf<Fut> = <<Fut as Future>::Output as BodyOutput>::Error;

/// What spawns into a scope, and cancels it. The body of [`scope`] is given one, and may give clones of it to its
/// children, for them to spawn siblings.
///
/// `E` is the scope's error type.
#[doc(alias = "Nursery")]
#[doc(alias = "TaskGroup")]
pub struct Scope<E> {
    core: Arc<Core<E>>,
}

impl<E: 'static> Scope<E> {
    /// Spawns a child. It begins at once, as with [`spawn`](crate::spawn).
    ///
    /// The child ends with `()`, if it cannot fail but by a panic, or with a `Result`. Its handle gives the value, and
    /// may be dropped.
    ///
    /// In a scope that is being cancelled a child does not begin: its future is dropped.
    ///
    /// # Panics
    /// If the scope was left, or no runtime runs this thread.
    #[track_caller]
    #[doc(alias = "start_soon")]
    #[doc(alias = "create_task")]
    pub fn spawn<F, T>(&self, future: F) -> Child<T>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E, Value = T>,
        T: Send + 'static,
        E: Send,
    {
        self.spawn_named("`Scope::spawn`", None, future)
    }

    /// Spawns a child that need not be `Send` onto the event loop that polls the caller.
    ///
    /// # Panics
    /// If the scope was left, or no event loop runs this thread.
    ///
    /// ```
    /// use std::rc::Rc;
    /// use whirligig::task;
    ///
    /// whirligig::run(async {
    ///     let shared = Rc::new(42);
    ///     let scope = task::scope(async |scope| {
    ///         let shared = shared.clone();
    ///         let child = scope.spawn_local(async move { Ok(shared) });
    ///         Ok::<_, std::convert::Infallible>(child.await)
    ///     });
    ///     assert_eq!(*scope.await.unwrap(), 42);
    /// });
    /// ```
    #[track_caller]
    #[doc(alias = "start_soon")]
    #[doc(alias = "create_task")]
    pub fn spawn_local<F, T>(&self, future: F) -> Child<T>
    where
        F: Future + 'static,
        F::Output: ChildOutput<E, Value = T>,
        T: 'static,
    {
        self.spawn_local_named("`Scope::spawn_local`", None, future)
    }

    /// Spawns a child with a name.
    ///
    /// ```
    /// use whirligig::task;
    ///
    /// whirligig::run(async {
    ///     let scope = task::scope(async |scope| {
    ///         scope.builder().name("reader").spawn(async { panic!("no such page") });
    ///     });
    ///     assert!(scope.await.unwrap_err().to_string().contains("'reader'"));
    /// });
    /// ```
    pub fn builder(&self) -> ScopeBuilder<'_, E> {
        ScopeBuilder { scope: self, name: None }
    }

    #[track_caller]
    fn spawn_named<F, T>(&self, what: &str, name: Name, future: F) -> Child<T>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E, Value = T>,
        T: Send + 'static,
        E: Send,
    {
        current::can_spawn(what);
        let location = Location::caller();
        self.start(future, |task, waker| {
            current::spawn(what, NewTask::new(task, name, location).watched_by(waker))
        })
    }

    #[track_caller]
    fn spawn_local_named<F, T>(&self, what: &str, name: Name, future: F) -> Child<T>
    where
        F: Future + 'static,
        F::Output: ChildOutput<E, Value = T>,
        T: 'static,
    {
        current::can_spawn_local(what);
        let location = Location::caller();
        self.start(future, |task, waker| {
            current::spawn_local(what, NewTask::local(task, name, location).watched_by(waker))
        })
    }

    /// Takes a child in, and has `spawn` spawn it with this waker.
    #[track_caller]
    fn start<F, T>(
        &self,
        future: F,
        spawn: impl FnOnce(ChildTask<F, T, E>, Waker) -> JoinHandle<Result<(), E>>,
    ) -> Child<T> {
        match self.core.reserve() {
            Ok((number, end)) => {
                let (task, child) = ChildTask::new(future, end.clone());
                self.core.take_in(number, spawn(task, Waker::from(end)));
                child
            }
            Err(end) => ChildTask::<F, T, E>::new(future, end).1,
        }
    }
}

impl<E> Scope<E> {
    /// Cancels the scope: its children, and its body, which is dropped at its next await. The scope waits until they
    /// are gone, and gives [`Failure::Cancelled`].
    ///
    /// A body that is done by then keeps its value, and the scope gives that. So a body may cancel children that
    /// never end as its last act.
    ///
    /// From any thread, any number of times.
    #[doc(alias = "cancel_scope")]
    pub fn cancel(&self) {
        self.core.children.arrivals.arrive(CANCEL_ALL);
    }
}

impl<E> Clone for Scope<E> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone() }
    }
}

// Each step is whole behind a lock, and user code is called with none held: a panic finds nothing half-done.
impl<E> UnwindSafe for Scope<E> {}
impl<E> RefUnwindSafe for Scope<E> {}

impl<E> fmt::Debug for Scope<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.core.children.open();
        f.debug_struct("Scope")
            .field("children", &state.slots.len())
            .field("phase", &state.phase)
            .finish_non_exhaustive()
    }
}

/// Spawns a child of a [`Scope`] with a name. From [`Scope::builder`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it spawns"]
pub struct ScopeBuilder<'a, E> {
    scope: &'a Scope<E>,
    name: Name,
}

impl<E: 'static> ScopeBuilder<'_, E> {
    /// Names the child, for traces, dumps and reports.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = into_name(Some(name.into()));
        self
    }

    /// As [`Scope::spawn`].
    ///
    /// # Panics
    /// If the scope was left, or no runtime runs this thread.
    #[track_caller]
    pub fn spawn<F, T>(self, future: F) -> Child<T>
    where
        F: Future + Send + 'static,
        F::Output: ChildOutput<E, Value = T>,
        T: Send + 'static,
        E: Send,
    {
        self.scope.spawn_named("`ScopeBuilder::spawn`", self.name, future)
    }

    /// As [`Scope::spawn_local`].
    ///
    /// # Panics
    /// If the scope was left, or no event loop runs this thread.
    #[track_caller]
    pub fn spawn_local<F, T>(self, future: F) -> Child<T>
    where
        F: Future + 'static,
        F::Output: ChildOutput<E, Value = T>,
        T: 'static,
    {
        self.scope.spawn_local_named("`ScopeBuilder::spawn_local`", self.name, future)
    }
}

// ---- What the scope and its spawners share ----

struct Core<E> {
    children: Children<Slot<E>>,
}

/// A child, from before it is spawned until the scope's future has seen that it has ended.
struct Slot<E> {
    /// `None` while it is being spawned; and while that future cancels it, which alone looks for it here.
    handle: Option<JoinHandle<Result<(), E>>>,
    end: Arc<End>,
    /// It arrived before its handle did.
    arrived: bool,
    /// It was cancelled alone.
    cancelled: bool,
}

impl<E> Core<E> {
    /// A slot for a child that is about to be spawned. See [`Children::reserve`].
    #[track_caller]
    fn reserve(&self) -> Result<(u32, Arc<End>), Arc<End>> {
        self.children.reserve(|_, end| Slot { handle: None, end, arrived: false, cancelled: false })
    }

    /// A child of this number was spawned.
    fn take_in(&self, number: u32, handle: JoinHandle<Result<(), E>>) {
        let mut state = self.children.open();
        if state.phase == Phase::Cancelled {
            // No child is cancelled with the lock held. It runs already, so nothing is missed.
            drop(state);
            handle.cancel();
            state = self.children.open();
        }
        let Some(slot) = state.slots.get_mut(number as usize) else {
            // The scope is being dropped, and found the slot without its handle.
            drop(state);
            return end_now(vec![handle]);
        };
        slot.handle = Some(handle);
        if slot.arrived {
            drop(state);
            self.children.arrivals.arrive(number);
        }
    }

    /// Cancels the children: those there are, and by the phase those that come. Their handles are taken out of their
    /// slots for that, and put back.
    fn cancel(&self) {
        let mut state = self.children.open();
        state.phase = Phase::Cancelled;
        let taken: Vec<_> = (state.slots.iter_mut())
            .filter_map(|(number, slot)| Some((number, slot.handle.take()?)))
            .collect();
        drop(state);
        for (_, handle) in &taken {
            handle.cancel();
        }
        let mut state = self.children.open();
        for (number, handle) in taken {
            state.slots[number].handle = Some(handle);
        }
    }

    /// Cancels one child, which has not arrived yet.
    fn cancel_one(&self, number: u32) {
        let mut state = self.children.open();
        let slot = &mut state.slots[number as usize];
        slot.cancelled = true;
        let Some(handle) = slot.handle.take() else { return };
        drop(state);
        handle.cancel();
        self.children.open().slots[number as usize].handle = Some(handle);
    }

    /// Takes a child out that has ended. `None`: its handle is not there yet, and it will arrive again.
    fn take_out(&self, number: u32) -> Option<Slot<E>> {
        let mut state = self.children.open();
        let slot = &mut state.slots[number as usize];
        if slot.handle.is_none() {
            slot.arrived = true;
            return None;
        }
        Some(state.slots.remove(number as usize))
    }

    /// Ends all children here and now, and leaves the scope.
    fn end(&self) {
        // Those that are polled meanwhile may be about to take a child in.
        while !self.children.leave() {
            let slots = self.children.open().take_all(|slot| &slot.end);
            end_now(slots.into_iter().filter_map(|(_, slot)| slot.handle).collect());
        }
    }
}

// ---- The scope's future ----

pin_project! {
    /// The future of [`scope`].
    ///
    /// Its `T` is what the body gives, and `E` the scope's error type.
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct ScopeFuture<Fut, T, E> {
        // Dropped before the children, whose spawner it is.
        #[pin]
        body: Option<Fut>,
        running: Running<T, E>,
    }
}

/// What the future knows but for the body.
struct Running<T, E> {
    core: Arc<Core<E>>,
    /// Numbers that were taken out of the arrivals.
    taken: VecDeque<u32>,
    deadline: Option<Sleep>,
    outcome: Outcome<T, E>,
    /// The children were cancelled.
    cancelled: bool,
    left: bool,
    location: &'static Location<'static>,
}

impl<Fut, T, E> ScopeFuture<Fut, T, E> {
    /// Gives the scope no longer than `duration` from now. When time is up the body and the children are cancelled,
    /// and gone before the scope gives [`Failure::TimedOut`]. trio's `fail_after`.
    ///
    /// A [`timeout`](crate::time::timeout) around the scope has the same effect, but waits for the children by
    /// blocking the thread, where it must. The earlier of two deadlines of one scope counts.
    ///
    /// ```
    /// use std::{future::pending, time::Duration};
    /// use whirligig::task;
    ///
    /// whirligig::run(async {
    ///     let scope = task::scope(async |scope| {
    ///         scope.spawn(pending::<()>());
    ///     });
    ///     let errors = scope.fail_after(Duration::from_millis(1)).await.unwrap_err();
    ///     assert!(errors.is_timed_out());
    /// });
    /// ```
    #[track_caller]
    #[doc(alias = "wait_for")]
    #[doc(alias = "timeout")]
    pub fn fail_after(self, duration: Duration) -> Self {
        self.until(sleep(duration))
    }

    /// Gives the scope until `deadline`. See [`fail_after`](Self::fail_after).
    #[track_caller]
    #[doc(alias = "timeout_at")]
    pub fn fail_at(self, deadline: Instant) -> Self {
        self.until(sleep_until(deadline))
    }

    /// Gives the scope no longer than `duration` from now. When time is up the body and the children are cancelled,
    /// and gone before the scope gives `Ok(None)`. trio's `move_on_after`.
    ///
    /// ```
    /// use std::{future::pending, time::Duration};
    /// use whirligig::task;
    ///
    /// whirligig::run(async {
    ///     let scope = task::scope(async |scope| {
    ///         scope.spawn(pending::<()>());
    ///     });
    ///     assert_eq!(scope.move_on_after(Duration::from_millis(1)).await.unwrap(), None);
    /// });
    /// ```
    #[track_caller]
    pub fn move_on_after(self, duration: Duration) -> MoveOnScope<Fut, T, E> {
        MoveOnScope { scope: self.fail_after(duration) }
    }

    /// Gives the scope until `deadline`. See [`move_on_after`](Self::move_on_after).
    #[track_caller]
    pub fn move_on_at(self, deadline: Instant) -> MoveOnScope<Fut, T, E> {
        MoveOnScope { scope: self.fail_at(deadline) }
    }

    fn until(mut self, deadline: Sleep) -> Self {
        let earlier =
            self.running.deadline.take_if(|before| before.deadline() <= deadline.deadline());
        self.running.deadline = Some(earlier.unwrap_or(deadline));
        self
    }
}

impl<Fut, T, E> Future for ScopeFuture<Fut, T, E>
where
    Fut: Future,
    Fut::Output: BodyOutput<Value = T, Error = E>,
{
    type Output = Result<T, ErrorGroup<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut body, running) = (this.body, this.running);
        let location = running.location;
        assert!(!running.left, "the scope made at {location} was polled after it was ready");
        ready!(this_poll::poll_budget(cx, location));
        let mut polled = false;
        loop {
            running.see_arrivals(body.is_some());
            if running.must_cancel() {
                running.cancel(body.as_mut());
            }
            if let Some(alive) = body.as_mut().as_pin_mut()
                && !mem::replace(&mut polled, true)
            {
                if running.outcome.poll_body(alive, cx) {
                    running.outcome.drop_body(body.as_mut());
                }
                if running.must_cancel() {
                    continue;
                }
            }
            if body.is_none() && running.leave() {
                this_poll::charge();
                return Poll::Ready(running.outcome.finish());
            }
            if running.poll_deadline(cx) {
                continue;
            }
            if running.poll_arrivals(cx).is_pending() {
                // Until it is done the await point is the body's.
                if body.is_none() {
                    this_poll::note(WaitsFor::Task, location);
                }
                return Poll::Pending;
            }
        }
    }
}

impl<T, E> Running<T, E> {
    fn new(core: Arc<Core<E>>, location: &'static Location<'static>) -> Self {
        Self {
            core,
            taken: VecDeque::new(),
            deadline: None,
            outcome: Outcome::new(),
            cancelled: false,
            left: false,
            location,
        }
    }

    fn must_cancel(&self) -> bool {
        self.outcome.is_stopped() && !self.cancelled
    }

    /// Cancels what there is.
    fn cancel<Fut>(&mut self, body: Pin<&mut Option<Fut>>) {
        self.cancelled = true;
        self.core.cancel();
        self.outcome.drop_body(body);
    }

    /// Looks at what came: ends of children, and what is to be cancelled.
    fn see_arrivals(&mut self, body_runs: bool) {
        while let Some(arrival) = self.taken.pop_front() {
            match arrival {
                CANCEL_ALL => self.outcome.cancel(body_runs),
                cancelled if cancelled >= CANCEL => self.core.cancel_one(cancelled - CANCEL),
                ended => self.see_end(ended),
            }
        }
    }

    fn see_end(&mut self, number: u32) {
        let Some(Slot { handle: Some(handle), end, cancelled, .. }) = self.core.take_out(number)
        else {
            return;
        };
        match handle.into_outcome() {
            Ok(Ok(())) => return,
            Ok(Err(error)) => self.outcome.fail(Failure::Error(error)),
            Err(error) if error.is_panic() => self.outcome.fail(Failure::Panic(error)),
            Err(_) if cancelled || self.outcome.is_stopped() => {}
            Err(_) => self.outcome.fail(Failure::Cancelled),
        }
        self.core.children.open().has_no_value(end);
    }

    /// Whether the deadline has passed just now.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.deadline.as_mut().filter(|_| !self.outcome.is_stopped()) else {
            return false;
        };
        // As `Timeout` has it: the await point is the body's, and a body that used up the budget does not keep its
        // deadline from being seen.
        let noted = this_poll::take_note();
        let passed = this_poll::lifted(|| Pin::new(deadline).poll(cx)).is_ready();
        if let Some(noted) = noted {
            this_poll::note_again(noted);
        }
        if passed {
            self.outcome.fail(Failure::TimedOut);
        }
        passed
    }

    fn poll_arrivals(&mut self, cx: &Context<'_>) -> Poll<()> {
        // The first end may be a failure. Once all are cancelled it is the last that counts.
        let enough = if self.cancelled { self.core.children.open().slots.len().max(1) } else { 1 };
        self.core.children.arrivals.poll_take(cx, enough, &mut self.taken)
    }

    fn leave(&mut self) -> bool {
        self.left = self.core.children.leave();
        self.left
    }
}

impl<T, E> Drop for Running<T, E> {
    fn drop(&mut self) {
        if !self.left {
            self.core.end();
        }
    }
}

impl<Fut, T, E> fmt::Debug for ScopeFuture<Fut, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScopeFuture")
            .field("body_runs", &self.body.is_some())
            .field("location", self.running.location)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of [`ScopeFuture::move_on_after`] and [`ScopeFuture::move_on_at`].
    #[must_use = "a future does nothing unless it is awaited"]
    #[derive(Debug)]
    pub struct MoveOnScope<Fut, T, E> {
        #[pin]
        scope: ScopeFuture<Fut, T, E>,
    }
}

impl<Fut, T, E> Future for MoveOnScope<Fut, T, E>
where
    Fut: Future,
    Fut::Output: BodyOutput<Value = T, Error = E>,
{
    type Output = Result<Option<T>, ErrorGroup<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(match ready!(self.project().scope.poll(cx)) {
            Ok(value) => Ok(Some(value)),
            Err(errors) => match errors.without_time_out() {
                Some(errors) => Err(errors),
                None => Ok(None),
            },
        })
    }
}
