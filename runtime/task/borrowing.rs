//! `borrowing_scope`: children that their parent polls itself, and that may borrow from its stack.
//!
//! The children of a [`scope`](super::scope()) are tasks, and tasks must not borrow: their parent may be leaked, and
//! nothing would end them. The children of a borrowing scope are futures in a box, kept by the scope's own future. They
//! are polled where that is polled, one at a time, and dropped where it is dropped. So they may borrow whatever lives
//! longer than the scope, as any other part of the parent may. If the parent is leaked they are leaked with it, and
//! never run again; nothing here is `unsafe`.
//!
//! Each child has a waker of its own, which puts the child's number into a list of [`Arrivals`] and wakes the
//! parent's task. So a poll of the scope polls the body and those children that were woken, each once, and no others.
//! What is woken meanwhile has its turn in the task's next poll.
//!
//! The errors, the handles and what cancels are those of a `scope`. What differs is that to cancel a child is to
//! drop it, here and now: there is nothing to wait for.
//!
//! What must hold:
//! - A child is polled with nothing locked and out of its slot, for it may spawn, cancel, and wake itself. If that
//!   drops it, it is dropped after its poll.
//! - A wake during a child's poll is followed by another poll: the mark that it is listed is taken away before.
//! - The children hold the scope by reference count, and the scope holds them. The scope's future cuts that circle when
//!   it is dropped.
//!
//! **Alternative:** `FuturesUnordered` from `futures-util`, whose links are `unsafe`. Its children cannot be spawned by
//! each other, nor while it is polled. Or children that are tasks all the same, and a scope that blocks its thread until
//! they are gone: sound only as long as its future cannot be leaked, which Rust does not promise.

use std::{
    any::Any,
    collections::VecDeque,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, RefUnwindSafe, UnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use pin_project_lite::pin_project;

use super::{
    child::{BodyOutput, CANCEL, Child, ChildOutput, ChildTask, End},
    children::{CANCEL_ALL, Children},
    errors::{ErrorGroup, Failure},
    outcome::Outcome,
};
use crate::engine::{
    base::{
        id::TaskId,
        location::Origin,
        primitives::{AtomicBool, Ordering, seeded},
        this_poll, user_code,
    },
    task::{join::JoinError, outcome},
    waiting::arrivals::Arrivals,
};

/// A child that may move between threads with its parent.
pub type SendChild<'env, E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send + 'env>>;

/// A child that stays on its thread.
pub type LocalChild<'env, E> = Pin<Box<dyn Future<Output = Result<(), E>> + 'env>>;

/// As [`scope`](super::scope()), but its children may borrow what lives longer than the scope, and run inside the task
/// that awaits it: one at a time, in turns with the body.
///
/// ```
/// use std::cell::Cell;
/// use whirligig::{task, time};
///
/// whirligig::run(async {
///     let words = vec!["one".to_owned(), "two".to_owned()];
///     let mut lengths = [0, 0];
///     task::borrowing_scope(async |scope| {
///         for (word, length) in words.iter().zip(&mut lengths) {
///             scope.spawn(async move {
///                 time::sleep(std::time::Duration::from_millis(1)).await;
///                 *length = word.len();
///             });
///         }
///     })
///     .await
///     .unwrap();
///     assert_eq!(lengths, [3, 3]);
/// });
/// ```
///
/// Values, errors, panics and [`cancel`](BorrowingScope::cancel) are as in a `scope`. A child that is cancelled, by
/// whatever, is dropped at once, in the same poll. So a deadline needs no more than a
/// [`timeout`](crate::time::timeout) around the scope.
///
/// Children of this scope are `Send`, and its future may be awaited in any task. [`borrowing_scope_local`] takes those
/// that are not.
///
/// Children run on the parent's thread and in its turn. What computes for long is better spawned into a `scope`.
///
/// *Cancel safety*: dropping the future drops the body and the children with it.
///
/// # Panics
/// Awaiting it panics if the body does, after the children were dropped.
#[track_caller]
#[doc(alias = "FuturesUnordered")]
#[doc(alias = "open_nursery")]
#[doc(alias = "join_all")]
pub fn borrowing_scope<'env, F, Fut>(
    body: F,
) -> BorrowingScopeFuture<Fut, SendChild<'env, ErrorOf<Fut>>, ValueOf<Fut>, ErrorOf<Fut>>
where
    F: FnOnce(BorrowingScope<SendChild<'env, ErrorOf<Fut>>>) -> Fut,
    Fut: Future,
    Fut::Output: BodyOutput,
{
    BorrowingScopeFuture::new(body, Location::caller())
}

/// As [`borrowing_scope`], with children that need not be `Send`. Its future is not `Send`: it is awaited in a task of
/// an event loop, or by `block_on`.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use whirligig::task;
///
/// whirligig::run(async {
///     let sum = Cell::new(0);
///     task::borrowing_scope_local(async |scope| {
///         for n in [Rc::new(20), Rc::new(22)] {
///             let sum = &sum;
///             scope.spawn(async move { sum.set(sum.get() + *n) });
///         }
///     })
///     .await
///     .unwrap();
///     assert_eq!(sum.get(), 42);
/// });
/// ```
///
/// # Panics
/// Awaiting it panics if the body does, after the children were dropped.
#[track_caller]
#[doc(alias = "LocalSet")]
#[doc(alias = "open_nursery")]
pub fn borrowing_scope_local<'env, F, Fut>(
    body: F,
) -> BorrowingScopeFuture<Fut, LocalChild<'env, ErrorOf<Fut>>, ValueOf<Fut>, ErrorOf<Fut>>
where
    F: FnOnce(BorrowingScope<LocalChild<'env, ErrorOf<Fut>>>) -> Fut,
    Fut: Future,
    Fut::Output: BodyOutput,
{
    BorrowingScopeFuture::new(body, Location::caller())
}

type ValueOf<Fut> = <<Fut as Future>::Output as BodyOutput>::Value;
type ErrorOf<Fut> = <<Fut as Future>::Output as BodyOutput>::Error;

/// What spawns into a borrowing scope, and cancels it. Its body is given one, and may give clones of it to the
/// children, for them to spawn siblings.
///
/// `C` is a child as the scope keeps it: a [`SendChild`] or a [`LocalChild`].
pub struct BorrowingScope<C> {
    core: Arc<Core<C>>,
}

impl<'env, E: 'env> BorrowingScope<SendChild<'env, E>> {
    /// Spawns a child, which is polled soon after, in the task that awaits the scope. See
    /// [`Scope::spawn`](super::Scope::spawn).
    ///
    /// # Panics
    /// If the scope was left.
    #[track_caller]
    #[doc(alias = "start_soon")]
    #[doc(alias = "push")]
    pub fn spawn<F, T>(&self, future: F) -> Child<T>
    where
        F: Future + Send + 'env,
        F::Output: ChildOutput<E, Value = T>,
        T: Send + 'env,
    {
        self.start(future, |task: ChildTask<F, T, E>| Box::pin(task))
    }
}

impl<'env, E: 'env> BorrowingScope<LocalChild<'env, E>> {
    /// Spawns a child, which is polled soon after, in the task that awaits the scope. See
    /// [`Scope::spawn`](super::Scope::spawn).
    ///
    /// # Panics
    /// If the scope was left.
    #[track_caller]
    #[doc(alias = "start_soon")]
    #[doc(alias = "push")]
    pub fn spawn<F, T>(&self, future: F) -> Child<T>
    where
        F: Future + 'env,
        F::Output: ChildOutput<E, Value = T>,
        T: 'env,
    {
        self.start(future, |task: ChildTask<F, T, E>| Box::pin(task))
    }
}

impl<C> BorrowingScope<C> {
    /// Cancels the scope: its children and its body are dropped in the scope's next poll, or when the present one
    /// comes to its end. See [`Scope::cancel`](super::Scope::cancel).
    #[doc(alias = "cancel_scope")]
    pub fn cancel(&self) {
        self.core.children.arrivals.arrive(CANCEL_ALL);
    }

    #[track_caller]
    fn start<F, T, E>(&self, future: F, boxed: impl FnOnce(ChildTask<F, T, E>) -> C) -> Child<T> {
        match self.core.reserve() {
            Ok((number, end)) => {
                let (task, child) = ChildTask::new(future, end);
                self.core.take_in(number, boxed(task));
                child
            }
            Err(end) => ChildTask::<F, T, E>::new(future, end).1,
        }
    }
}

impl<C> Clone for BorrowingScope<C> {
    fn clone(&self) -> Self {
        Self { core: self.core.clone() }
    }
}

// Each step is whole behind a lock, and user code is called with none held: a panic finds nothing half-done.
impl<C> UnwindSafe for BorrowingScope<C> {}
impl<C> RefUnwindSafe for BorrowingScope<C> {}

impl<C> fmt::Debug for BorrowingScope<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let children = self.core.children.open().slots.len();
        f.debug_struct("BorrowingScope").field("children", &children).finish_non_exhaustive()
    }
}

// ---- What the scope and its spawners share ----

struct Core<C> {
    /// Their arrivals are wakes.
    children: Children<Slot<C>>,
}

struct Slot<C> {
    /// `None` while it is made, polled or dropped.
    future: Option<C>,
    waker: Arc<ChildWaker>,
    end: Arc<End>,
    /// The line that spawned it.
    location: &'static Location<'static>,
}

/// A child's waker.
struct ChildWaker {
    arrivals: Arc<Arrivals>,
    number: u32,
    /// Its number stands in the list already.
    listed: AtomicBool,
}

impl Wake for ChildWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.listed.swap(true, Ordering::AcqRel) {
            self.arrivals.arrive(self.number);
        }
    }
}

/// What a child's drop panicked with.
type DropPanic = Option<Box<dyn Any + Send>>;

impl<C> Core<C> {
    /// A slot for a child that is about to be made. See [`Children::reserve`].
    #[track_caller]
    fn reserve(&self) -> Result<(u32, Arc<End>), Arc<End>> {
        let location = Location::caller();
        self.children.reserve(|number, end| {
            let arrivals = self.children.arrivals.clone();
            let waker = ChildWaker { arrivals, number, listed: AtomicBool::new(true) };
            Slot { future: None, waker: Arc::new(waker), end, location }
        })
    }

    /// The child of this number was made: it is polled soon.
    fn take_in(&self, number: u32, future: C) {
        let mut state = self.children.open();
        let Some(slot) = state.slots.get_mut(number as usize) else {
            // The scope was cancelled meanwhile, by another thread.
            return drop(state);
        };
        slot.future = Some(future);
        drop(state);
        self.children.arrivals.arrive(number);
    }

    /// Takes a child out of its slot, to be polled or dropped.
    fn begin(&self, number: u32) -> Option<(C, Arc<ChildWaker>)> {
        let mut state = self.children.open();
        let slot = state.slots.get_mut(number as usize)?;
        Some((slot.future.take()?, slot.waker.clone()))
    }

    /// Puts a child back after its poll.
    fn put_back(&self, number: u32, future: C) {
        // The slot is there: one is taken out between two polls only.
        self.children.open().slots[number as usize].future = Some(future);
    }

    /// Drops a child, tells its handle, and gives what the drop panicked with, and the line that spawned the child.
    fn end(
        &self,
        number: u32,
        future: C,
        has_value: bool,
    ) -> (DropPanic, &'static Location<'static>) {
        let panic = drop_child(future);
        let mut state = self.children.open();
        let Slot { end, location, .. } = state.slots.remove(number as usize);
        if !has_value {
            state.has_no_value(end.clone());
        }
        drop(state);
        end.tell();
        (panic, location)
    }

    /// Drops all children, one after the other. `panicked` is called with what their drops panicked with.
    fn cancel(&self, mut panicked: impl FnMut(Box<dyn Any + Send>, &'static Location<'static>)) {
        let slots = self.children.open().take_all(|slot| &slot.end);
        for (_, Slot { future, end, location, .. }) in slots {
            if let Some(panic) = future.and_then(drop_child) {
                panicked(panic, location);
            }
            end.tell();
        }
    }
}

fn drop_child<C>(future: C) -> DropPanic {
    catch_unwind(AssertUnwindSafe(|| drop(future))).err()
}

// ---- The scope's future ----

pin_project! {
    /// The future of [`borrowing_scope`] and [`borrowing_scope_local`].
    ///
    /// Its `C` is a child as the scope keeps it, `T` what the body gives, and `E` the scope's error type.
    #[must_use = "a future does nothing unless it is awaited"]
    pub struct BorrowingScopeFuture<Fut, C, T, E> {
        // Dropped before the children, whose spawner it is.
        #[pin]
        body: Option<Fut>,
        running: Running<C, T, E>,
    }
}

/// What the future knows but for the body.
struct Running<C, T, E> {
    core: Arc<Core<C>>,
    /// Numbers that were taken out of the list of the woken.
    taken: VecDeque<u32>,
    outcome: Outcome<T, E>,
    left: bool,
    location: &'static Location<'static>,
}

impl<Fut, C, T, E> BorrowingScopeFuture<Fut, C, T, E> {
    fn new(
        body: impl FnOnce(BorrowingScope<C>) -> Fut,
        location: &'static Location<'static>,
    ) -> Self {
        let core = Arc::new(Core { children: Children::new() });
        let running = Running {
            core: core.clone(),
            taken: VecDeque::new(),
            outcome: Outcome::new(),
            left: false,
            location,
        };
        Self { body: Some(body(BorrowingScope { core })), running }
    }
}

impl<Fut, C, T, E> Future for BorrowingScopeFuture<Fut, C, T, E>
where
    Fut: Future,
    Fut::Output: BodyOutput<Value = T, Error = E>,
    C: Future<Output = Result<(), E>> + Unpin,
{
    type Output = Result<T, ErrorGroup<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let (mut body, running) = (this.body, this.running);
        let location = running.location;
        assert!(!running.left, "the scope made at {location} was polled after it was ready");
        ready!(this_poll::poll_budget(cx, location));
        if let Some(alive) = body.as_mut().as_pin_mut()
            && running.outcome.poll_body(alive, cx)
        {
            running.outcome.drop_body(body.as_mut());
        }
        // Those that the body woke or spawned just now, too.
        running.core.children.arrivals.take(&mut running.taken);
        while let Some(number) = running.taken.pop_front()
            && !running.outcome.is_stopped()
        {
            match number {
                CANCEL_ALL => running.outcome.cancel(body.is_some()),
                cancelled if cancelled >= CANCEL => running.cancel_child(cancelled - CANCEL),
                woken => running.poll_child(woken),
            }
        }
        if running.outcome.is_stopped() {
            running.outcome.drop_body(body.as_mut());
            let outcome = &mut running.outcome;
            running.core.cancel(|panic, location| outcome.fail(panicked(panic, location)));
        }
        if body.is_none() && running.leave() {
            this_poll::charge();
            return Poll::Ready(running.outcome.finish());
        }
        // What was woken meanwhile waits for the next poll, so that the other tasks have their turn.
        if running.core.children.arrivals.poll_take(cx, 1, &mut running.taken).is_ready() {
            this_poll::run_again(cx, location);
        }
        Poll::Pending
    }
}

impl<C, T, E> Running<C, T, E> {
    fn poll_child(&mut self, number: u32)
    where
        C: Future<Output = Result<(), E>> + Unpin,
    {
        let Some((mut future, child)) = self.core.begin(number) else { return };
        // What wakes it from here on has it polled once more. What did before is seen by this poll.
        let late = seeded("borrowing_unmarks_after_the_poll").then(|| child.clone());
        if late.is_none() {
            child.listed.swap(false, Ordering::AcqRel);
        }
        let waker = Waker::from(child);
        let mut cx = Context::from_waker(&waker);
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut future).poll(&mut cx)));
        if let Some(late) = late {
            late.listed.swap(false, Ordering::AcqRel);
        }
        match polled {
            Ok(Poll::Pending) => self.core.put_back(number, future),
            Ok(Poll::Ready(result)) => {
                self.end_child(number, future, result.is_ok());
                if let Err(error) = result {
                    self.outcome.fail(Failure::Error(error));
                }
            }
            Err(panic) => {
                let location = self.end_child(number, future, false);
                self.outcome.fail(panicked(panic, location));
            }
        }
    }

    fn cancel_child(&mut self, number: u32) {
        if let Some((future, _)) = self.core.begin(number) {
            self.end_child(number, future, false);
        }
    }

    /// Drops a child. Gives the line that spawned it.
    fn end_child(&mut self, number: u32, future: C, has_value: bool) -> &'static Location<'static> {
        let (panic, location) = self.core.end(number, future, has_value);
        if let Some(panic) = panic {
            self.outcome.fail(panicked(panic, location));
        }
        location
    }

    fn leave(&mut self) -> bool {
        self.left = self.core.children.leave();
        self.left
    }
}

/// The panic of a child that is no task. Its identity is of no other use.
#[cold]
fn panicked<E>(payload: Box<dyn Any + Send>, location: &'static Location<'static>) -> Failure<E> {
    let origin = Origin { id: TaskId::draw(), name: None, location, parent: this_poll::task() };
    Failure::Panic(JoinError::new(outcome::Failure::Panicked(payload), origin))
}

impl<C, T, E> Drop for Running<C, T, E> {
    fn drop(&mut self) {
        while !self.left && !self.leave() {
            self.core.cancel(|panic, _| {
                user_code::panicked("the drop of a borrowing scope's child", panic);
            });
        }
    }
}

impl<Fut, C, T, E> fmt::Debug for BorrowingScopeFuture<Fut, C, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BorrowingScopeFuture")
            .field("body_runs", &self.body.is_some())
            .field("location", self.running.location)
            .finish_non_exhaustive()
    }
}
