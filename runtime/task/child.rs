//! A child of a scope: what it ends with, and the handle that awaits it or cancels it alone.
//!
//! The child's task gives its scope a `Result<(), E>`, of one type for all children. Its value, of a type of its own,
//! goes to its handle by another way: into a slot that the task fills, and the handle empties once the child has
//! ended. What says so is the [`End`]: the waker in the task's join cell, which that wakes when the task's future is
//! gone. It wakes what awaits the handle, and notes the arrival for the scope.
//!
//! A handle gives the value and no error. For where a child fails, its scope is cancelled, and with it the body and
//! the siblings, one of which awaits the handle: it is dropped where it waits. Only what stands outside of the scope
//! can wait for longer than the scope lasts, and then panics with advice.
//!
//! **Alternative:** handles that give a `Result`, as a `JoinHandle` does. Then each line that uses a child's value
//! says what becomes of an error that it can never see.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    marker::PhantomData,
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, ready},
};

use pin_project_lite::pin_project;

use crate::engine::{
    base::{
        location::WaitsFor,
        primitives::{Mutex, lock, seeded},
        this_poll,
    },
    task::local::{is_waiter_of, waiter_of, wake_waiter},
    waiting::{arrivals::Arrivals, wait_list::discard, waiter::Waiter},
};

mod sealed {
    /// What a task of a scope may end with.
    pub trait Output {}
    impl Output for () {}
    impl<T, E> Output for Result<T, E> {}
    impl Output for Never {}

    /// A way to write `!`, the output of a future that never ends, as a type.
    pub trait Returns {
        type Output;
    }
    impl<T> Returns for fn() -> T {
        type Output = T;
    }
    pub(super) type Never = <fn() -> ! as Returns>::Output;
}

/// What a child of a scope with the error type `E` may end with: `()`, or a `Result` with that error, or nothing at
/// all, if it never ends.
#[diagnostic::on_unimplemented(
    message = "a child of this scope cannot end with `{Self}`",
    label = "this future ends with `{Self}`",
    note = "end it with `()` or with a `Result<_, {E}>`: write `Ok(value)` for the value of a child that cannot fail",
    note = "a scope has one error type, that of its body: a body that ends with `()` has children that cannot fail"
)]
pub trait ChildOutput<E>: sealed::Output {
    /// What the child's handle gives.
    type Value;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, E>;
}

impl<E> ChildOutput<E> for () {
    type Value = ();

    fn into_result(self) -> Result<(), E> {
        Ok(())
    }
}

impl<T, E> ChildOutput<E> for Result<T, E> {
    type Value = T;

    fn into_result(self) -> Self {
        self
    }
}

impl<E> ChildOutput<E> for sealed::Never {
    type Value = Self;

    fn into_result(self) -> Result<Self, E> {
        self
    }
}

/// What a scope's body may end with: `()`, where nothing in the scope can fail but by a panic, or a `Result`, whose
/// error type is that of the scope.
#[diagnostic::on_unimplemented(
    message = "the body of a scope cannot end with `{Self}`",
    note = "end it with `()` or with a `Result`: write `Ok(value)`, or `Ok::<_, Infallible>(value)` where nothing \
            else in the scope names an error"
)]
pub trait BodyOutput: sealed::Output {
    /// What the scope gives.
    type Value;
    /// The scope's error type.
    type Error;

    #[doc(hidden)]
    fn into_result(self) -> Result<Self::Value, Self::Error>;
}

impl BodyOutput for () {
    type Value = ();
    type Error = Infallible;

    fn into_result(self) -> Result<(), Infallible> {
        Ok(())
    }
}

impl<T, E> BodyOutput for Result<T, E> {
    type Value = T;
    type Error = E;

    fn into_result(self) -> Self {
        self
    }
}

impl BodyOutput for sealed::Never {
    type Value = Self;
    type Error = Infallible;

    fn into_result(self) -> Result<Self, Infallible> {
        self
    }
}

/// In the list of arrivals, with a child's number: that child is to be cancelled. The number alone: it has ended, or
/// was woken.
pub(super) const CANCEL: u32 = 1 << 31;

/// What a child's task, its handle and its scope share.
pub(super) struct End {
    arrivals: Arc<Arrivals>,
    number: u32,
    state: Mutex<State>,
}

struct State {
    stage: Stage,
    /// What awaits the handle.
    waiter: Option<Waiter>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Running,
    /// Its future is gone, and the value is in its slot, if there is one.
    Ended,
    /// The scope was left, after the end. A value that is not there never comes.
    Left,
}

impl End {
    /// That of the child of this number.
    pub(super) fn new(arrivals: Arc<Arrivals>, number: u32) -> Arc<Self> {
        Self::at(Stage::Running, arrivals, number)
    }

    /// That of a child that was never spawned.
    pub(super) fn refused(arrivals: Arc<Arrivals>) -> Arc<Self> {
        Self::at(Stage::Ended, arrivals, 0)
    }

    fn at(stage: Stage, arrivals: Arc<Arrivals>, number: u32) -> Arc<Self> {
        Arc::new(Self { arrivals, number, state: Mutex::new(State { stage, waiter: None }) })
    }

    /// The child has ended: its future is gone.
    pub(super) fn tell(&self) {
        self.go_to(Stage::Ended);
    }

    /// The scope is left, and the child has no value for its handle.
    pub(super) fn leave(&self) {
        self.go_to(Stage::Left);
    }

    fn go_to(&self, stage: Stage) {
        let mut state = lock(&self.state);
        state.stage = stage;
        let waiter = state.waiter.take();
        drop(state);
        if let Some(waiter) = waiter {
            wake_waiter(waiter);
        }
    }

    /// Asks the scope to cancel the child, unless it has ended. In the list this is before the end, so the number is
    /// still this child's when the scope comes to it.
    fn cancel(&self) {
        let state = lock(&self.state);
        if state.stage != Stage::Running {
            return;
        }
        let waiter = self.arrivals.push(self.number | CANCEL);
        drop(state);
        if let Some(waiter) = waiter {
            wake_waiter(waiter);
        }
    }

    fn has_ended(&self) -> bool {
        lock(&self.state).stage >= Stage::Ended
    }

    /// Whether the child has come to this stage; until then the task of `cx` is woken when it does.
    fn poll_stage(&self, cx: &Context<'_>, wanted: Stage) -> Poll<()> {
        let mut made = None;
        loop {
            let mut state = lock(&self.state);
            let reached = state.stage >= wanted && !(made.is_some() && seeded("child_looks_once"));
            let waits = |waiter| is_waiter_of(waiter, cx.waker());
            if !reached && !state.waiter.as_ref().is_some_and(waits) {
                if made.is_none() {
                    drop(state);
                    made = Some(waiter_of(cx.waker()));
                    continue;
                }
                mem::swap(&mut state.waiter, &mut made);
            }
            drop(state);
            discard(made);
            return if reached { Poll::Ready(()) } else { Poll::Pending };
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let waiter = lock(&self.state).waiter.take();
        discard(waiter);
    }
}

/// What the join cell calls when the child's future is gone.
impl Wake for End {
    fn wake(self: Arc<Self>) {
        self.tell();
        self.arrivals.arrive(self.number);
    }
}

/// Where a child leaves its value for its handle. Behind a lock for a value that need not be `Sync`.
type Value<T> = Arc<Mutex<Option<T>>>;

pin_project! {
    /// The future of a child's task: the user's, of whose output it makes what the handle gives and what the
    /// scope gets.
    pub(super) struct ChildTask<F, T, E> {
        #[pin]
        future: F,
        value: Value<T>,
        error: PhantomData<fn() -> E>,
    }
}

impl<F, T, E> ChildTask<F, T, E> {
    /// The future and the handle of a child.
    pub(super) fn new(future: F, end: Arc<End>) -> (Self, Child<T>) {
        let value = Value::default();
        let child = Child { end, value: value.clone(), location: None };
        (Self { future, value, error: PhantomData }, child)
    }
}

impl<F: Future, T, E> Future for ChildTask<F, T, E>
where
    F::Output: ChildOutput<E, Value = T>,
{
    type Output = Result<(), E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let value = ready!(this.future.poll(cx)).into_result()?;
        *lock(this.value) = Some(value);
        Poll::Ready(Ok(()))
    }
}

/// The handle of one child of a scope: awaited, it gives the child's value. From [`Scope::spawn`](super::Scope::spawn).
///
/// Dropping it changes nothing: the scope waits for the child all the same.
///
/// If the child fails, its scope is cancelled, and what awaits the handle within the scope is dropped where it
/// waits. So there is no error to handle here.
///
/// *Cancel safety*: awaiting `&mut child` and dropping that future loses nothing.
///
/// # Panics
/// If it is awaited outside of the scope and the scope was left without there being a value.
///
/// ```
/// use whirligig::task;
///
/// let sum = whirligig::run(task::scope(async |scope| {
///     let one = scope.spawn(async { Ok(1) });
///     let two = scope.spawn(async move { Ok(one.await + 1) });
///     Ok::<_, std::convert::Infallible>(two.await)
/// }));
/// assert_eq!(sum.unwrap(), 2);
/// ```
pub struct Child<T> {
    end: Arc<End>,
    value: Value<T>,
    /// The line that awaits it, from the first poll on.
    location: Option<&'static Location<'static>>,
}

impl<T> Child<T> {
    /// Cancels this child alone: the body and the siblings go on. It is dropped in its own turn, soon; the scope is
    /// not left before. A child that has ended is left as it is.
    #[doc(alias = "abort")]
    pub fn cancel(self) {
        self.end.cancel();
    }

    /// Whether the child has ended, and its future is gone.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.end.has_ended()
    }
}

impl<T> Future for Child<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let location = *self.location.get_or_insert(Location::caller());
        ready!(this_poll::poll_budget(cx, location));
        if self.end.poll_stage(cx, Stage::Ended).is_ready() {
            let value = lock(&self.value).take();
            if let Some(value) = value {
                this_poll::charge();
                return Poll::Ready(value);
            }
            if self.end.poll_stage(cx, Stage::Left).is_ready() {
                has_no_value();
            }
        }
        this_poll::note(WaitsFor::Task, location);
        Poll::Pending
    }
}

#[cold]
#[track_caller]
fn has_no_value() -> ! {
    panic!(
        "a scope's child was awaited outside of its scope, which was left without the child's value: the child          failed or was cancelled with its scope, or its value was taken before. Await children inside their scope"
    )
}

impl<T> Unpin for Child<T> {}

// Each step is whole behind a lock, and user code is called with none held: a panic finds nothing half-done.
impl<T> UnwindSafe for Child<T> {}
impl<T> RefUnwindSafe for Child<T> {}

impl<T> fmt::Debug for Child<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}
