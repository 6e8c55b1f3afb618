//! The join cell: where a task leaves its output and a handle finds it.
//!
//! Two parties share one small allocation. The task's side, the [`Completer`], writes the output
//! once. The handle's side, [`JoinHandle`], waits for it. Neither touches the task's future, so a
//! handle is `Send` whenever the output is, also for a task that never leaves its thread. Both
//! variants of the runtime and the blocking pool use this cell.
//!
//! The word `state` says who may touch what:
//!
//! | state    | output slot      | joiner slot      | who frees the cell     |
//! | -------- | ---------------- | ---------------- | ---------------------- |
//! | EMPTY    | completer        | handle           | whoever leaves last    |
//! | WAITING  | completer        | nobody           | whoever leaves last    |
//! | LOCKED   | completer        | completer        | whoever leaves last    |
//! | COMPLETE | handle           | handle           | handle                 |
//! | DETACHED | completer        | completer        | completer              |
//!
//! ```text
//!            poll                complete
//!   EMPTY <---------> WAITING --------------> LOCKED
//!     |                  |                       |  \
//!     | complete         | drop (by way of       |   \ drop
//!     v                  v  EMPTY)               v    v
//!   COMPLETE           DETACHED <---------   COMPLETE  DETACHED
//! ```
//!
//! The common completion, with nobody waiting yet, is one compare-and-exchange, after which the
//! completer never looks back. Seen `COMPLETE`, the handle is alone with the cell. LOCKED exists so
//! that the waker can be taken out before the handle may free what it lies in.
//!
//! Cancelling goes the other way, through a second word: the address of the task's waker, and a bit
//! that asks for cancellation. Both live in one word because the two sides race: whichever comes
//! second sees the other.
//!
//! The rival is `Arc<Mutex<State>>`: no unsafe, and twice the price of a spawn.

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    pin::Pin,
    ptr::NonNull,
    sync::{Arc as StdArc, Mutex},
    task::{Context, Poll, Waker},
    thread,
};

use crate::{
    budget, foreign,
    id::TaskId,
    place::{self, WaitsFor},
    primitives::{AtomicU8, AtomicU64, Ordering, UnsafeCell, seeded},
};

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const LOCKED: u8 = 2;
const COMPLETE: u8 = 3;
const DETACHED: u8 = 4;

/// Set in `address` when somebody asked for cancellation. A waker's key never has it: slots count to
/// 2^31 only.
pub(crate) const CANCEL: u64 = 1 << 31;

/// How a task ended.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// Why there is no output.
pub(crate) enum Failure {
    Cancelled,
    Panicked(Box<dyn Any + Send>),
}

/// A task's name: one word in a slot, and shared with its handle.
pub(crate) type Name = Option<StdArc<Box<str>>>;

/// Who wants to know of the end.
enum Joiner<T> {
    Nobody,
    Waker(Waker),
    /// A detached handle that asked to see a failure reported.
    Report(fn(&Outcome<T>, &Origin)),
}

struct Cell<T> {
    state: AtomicU8,
    /// The key of the task's waker (0 while it has none), and [`CANCEL`].
    address: AtomicU64,
    joiner: UnsafeCell<Joiner<T>>,
    output: UnsafeCell<Option<Outcome<T>>>,
}

/// Makes the two sides of a new cell.
pub(crate) fn cell<T>(
    origin: Origin,
    wake: fn(u64),
) -> (Completer<T>, JoinHandle<T>) {
    let cell = Box::new(Cell {
        state: AtomicU8::new(EMPTY),
        address: AtomicU64::new(0),
        joiner: UnsafeCell::new(Joiner::Nobody),
        output: UnsafeCell::new(None),
    });
    let cell = NonNull::from(Box::leak(cell));
    (Completer { cell }, JoinHandle { cell, origin, wake, place: None, taken: false })
}

/// Where a task comes from: enough to name it in a report.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) id: TaskId,
    pub(crate) name: Name,
    pub(crate) place: &'static Location<'static>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "task {} '{name}'", self.id)?,
            None => write!(f, "task {}", self.id)?,
        }
        write!(f, ", spawned at {}", self.place)
    }
}

/// The task's side.
pub(crate) struct Completer<T> {
    cell: NonNull<Cell<T>>,
}

// The table above is the argument for every block below: which side may touch which slot in which
// state. `tests/models/join.rs` runs all of it under loom.
#[allow(unsafe_code)]
mod shared {
    use super::*;

    // SAFETY: the output, the only thing of type `T`, is written by the completer and read by the
    // handle, or dropped by either; never by both at once. So moving a side moves or drops a `T` on
    // another thread, which is what `T: Send` allows.
    unsafe impl<T: Send> Send for Completer<T> {}
    // SAFETY: as above. No method of `&Completer` touches the output.
    unsafe impl<T: Send> Sync for Completer<T> {}
    // SAFETY: as above.
    unsafe impl<T: Send> Send for JoinHandle<T> {}
    // SAFETY: as above. No method of `&JoinHandle` touches the output.
    unsafe impl<T: Send> Sync for JoinHandle<T> {}

    impl<T> Completer<T> {
        pub(super) fn cell(&self) -> &Cell<T> {
            // SAFETY: the completer's cell is freed only in `complete`, which consumes it, or by a
            // handle that saw COMPLETE, which only `complete` sets.
            unsafe { self.cell.as_ref() }
        }

        /// Leaves the outcome for the handle. An outcome that nobody will ever see is handed back,
        /// with the reporter a detached handle left.
        pub(super) fn publish(self, outcome: Outcome<T>) -> Unseen<T> {
            let pointer = self.cell;
            std::mem::forget(self);
            // SAFETY: see `cell`. Not used after the state allows the handle to free it.
            let cell = unsafe { pointer.as_ref() };
            // SAFETY: until COMPLETE the output slot is the completer's.
            cell.output.with_mut(|slot| unsafe { *slot = Some(outcome) });
            let release =
                if seeded("join_relaxed_complete") { Ordering::Relaxed } else { Ordering::AcqRel };
            loop {
                match cell.state.compare_exchange(EMPTY, COMPLETE, release, Ordering::Acquire) {
                    Ok(_) => return Unseen::No,
                    Err(WAITING) => {}
                    Err(_detached) => {
                        // SAFETY: the handle said goodbye with DETACHED; the cell is ours alone.
                        let cell = *unsafe { Box::from_raw(pointer.as_ptr()) };
                        return cell.into_unseen();
                    }
                }
                if seeded("join_takes_the_waker_unlocked") {
                    cell.state.store(COMPLETE, Ordering::Release);
                } else if cell
                    .state
                    .compare_exchange(WAITING, LOCKED, Ordering::AcqRel, Ordering::Relaxed)
                    .is_err()
                {
                    continue;
                }
                // SAFETY: in LOCKED the joiner slot is the completer's.
                let joiner = cell
                    .joiner
                    .with_mut(|slot| unsafe { std::mem::replace(&mut *slot, Joiner::Nobody) });
                let unseen = match cell.state.swap(COMPLETE, Ordering::AcqRel) {
                    DETACHED => {
                        // SAFETY: as above.
                        let cell = *unsafe { Box::from_raw(pointer.as_ptr()) };
                        cell.into_unseen()
                    }
                    _ => Unseen::No,
                };
                // The waker is foreign code: it is called when we are done with the cell.
                if let Joiner::Waker(waker) = joiner {
                    foreign::wake(waker);
                }
                return unseen;
            }
        }
    }

    impl<T> JoinHandle<T> {
        pub(super) fn cell(&self) -> &Cell<T> {
            // SAFETY: the handle's cell is freed in its own `drop`, or by a completer that saw
            // DETACHED, which only that `drop` sets.
            unsafe { self.cell.as_ref() }
        }

        /// Takes the outcome, once COMPLETE was seen.
        pub(super) fn take_outcome(&mut self) -> Option<Outcome<T>> {
            // SAFETY: in COMPLETE, seen with Acquire, the output slot is the handle's.
            self.cell().output.with_mut(|slot| unsafe { (*slot).take() })
        }

        /// Puts a joiner into the slot, and the old one out.
        pub(super) fn replace_joiner(&mut self, joiner: Joiner<T>) -> Joiner<T> {
            // SAFETY: called only in EMPTY or COMPLETE, where the joiner slot is the handle's.
            self.cell().joiner.with_mut(|slot| unsafe { std::mem::replace(&mut *slot, joiner) })
        }

        /// Says goodbye. What is then known to be unseen is handed back.
        pub(super) fn leave(&mut self, report: Joiner<T>) -> Unseen<T> {
            let mut report = Some(report);
            loop {
                let state = self.cell().state.load(Ordering::Acquire);
                match state {
                    COMPLETE => {
                        // SAFETY: in COMPLETE the handle is alone with the cell, and this is its
                        // last step.
                        let cell = *unsafe { Box::from_raw(self.cell.as_ptr()) };
                        let mut unseen = cell.into_unseen();
                        if let (Unseen::Yes(_, joiner), Some(report)) = (&mut unseen, report.take())
                        {
                            *joiner = report;
                        }
                        return unseen;
                    }
                    WAITING => {
                        // The waker goes now, not when the task ends.
                        if self.to_empty() {
                            drop(self.replace_joiner(Joiner::Nobody));
                        }
                    }
                    EMPTY => {
                        if let Some(report) = report.take() {
                            drop(self.replace_joiner(report));
                        }
                        if self.exchange(EMPTY, DETACHED) {
                            return Unseen::No;
                        }
                    }
                    _locked => {
                        // The completer is taking the waker and will find us gone. (A reporter
                        // cannot be left any more; that a failure goes unreported in this one
                        // instant is avoided by waiting it out.)
                        if matches!(report, Some(Joiner::Report(_))) {
                            crate::primitives::thread::yield_now();
                        } else if self.exchange(LOCKED, DETACHED) {
                            return Unseen::No;
                        }
                    }
                }
            }
        }

        /// WAITING to EMPTY: takes the joiner slot back. `false` if the completer was faster.
        pub(super) fn to_empty(&self) -> bool {
            self.exchange(WAITING, EMPTY)
        }

        pub(super) fn exchange(&self, from: u8, to: u8) -> bool {
            let state = &self.cell().state;
            state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        }
    }
}

/// An outcome, if no handle will ever see it.
enum Unseen<T> {
    No,
    Yes(Outcome<T>, Joiner<T>),
}

impl<T> Cell<T> {
    fn into_unseen(self) -> Unseen<T> {
        let joiner = self.joiner.into_inner();
        match self.output.into_inner() {
            Some(outcome) => Unseen::Yes(outcome, joiner),
            None => Unseen::No,
        }
    }
}

impl<T> Unseen<T> {
    /// Reports a panic that nobody will see, or whatever the detached handle asked to have reported;
    /// then drops the output. All of that is foreign code.
    fn settle(self, origin: &Origin) {
        let Self::Yes(outcome, joiner) = self else { return };
        let settled = catch_unwind(AssertUnwindSafe(|| {
            match (&outcome, &joiner) {
                (Err(Failure::Panicked(payload)), _) => report_panic(origin, payload.as_ref()),
                (outcome, Joiner::Report(report)) => report(outcome, origin),
                _ => {}
            }
            drop(joiner);
            drop(outcome);
        }));
        if let Err(payload) = settled {
            report_panic(origin, payload.as_ref());
        }
    }
}

/// Tells the world of a panic that no handle will.
fn report_panic(origin: &Origin, payload: &(dyn Any + Send)) {
    eprintln!("whirligig: {origin}, panicked and nobody awaits it: {}", foreign::panic_text(payload));
}

impl<T> Drop for Completer<T> {
    /// A task that is dropped without having been run counts as cancelled.
    fn drop(&mut self) {
        let completer = Self { cell: self.cell };
        drop(completer.publish(Err(Failure::Cancelled)));
    }
}

impl<T> Completer<T> {
    /// Ends the task: for its handle to see, or to be reported if none will.
    pub(crate) fn complete(self, outcome: Outcome<T>, origin: impl FnOnce() -> Origin) {
        let unseen = self.publish(outcome);
        if let Unseen::Yes(..) = unseen {
            unseen.settle(&origin());
        }
    }

    /// Tells the handle by which key to wake the task. Before the handle is shared.
    pub(crate) fn set_address(&self, key: u64) {
        self.cell().address.store(key, Ordering::Relaxed);
    }

    /// The same, when the handle may be at work on another thread.
    pub(crate) fn publish_address(&self, key: u64) {
        self.cell().address.fetch_or(key, Ordering::AcqRel);
    }

    /// Whether somebody asked for cancellation. One plain load: asked at each poll.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cell().address.load(Ordering::Relaxed) & CANCEL != 0
    }
}

/// A task's handle: await its output, or cancel it.
///
/// Awaiting gives `Ok(output)`, or a [`JoinError`] if the task was cancelled or panicked. It works
/// from any task, on any loop, and [`wait`](JoinHandle::wait) does the same from a plain thread.
///
/// Dropping the handle detaches the task: it goes on. (asyncio may collect a task nobody refers to;
/// here the loop owns its tasks.) A panic that no handle will see is reported on standard error, with
/// the task's name and the line that spawned it.
///
/// *Cancel safety*: awaiting `&mut handle` and dropping that future loses nothing.
///
/// ```
/// whirligig::run(async {
///     let handle = whirligig::spawn(async { 6 * 7 });
///     assert_eq!(handle.await.unwrap(), 42);
/// });
/// ```
#[doc(alias = "Task")]
pub struct JoinHandle<T> {
    cell: NonNull<Cell<T>>,
    origin: Origin,
    /// How to wake a task by its key: the cell knows no scheduler.
    wake: fn(u64),
    /// Where the handle is awaited, from its first poll on.
    place: Option<&'static Location<'static>>,
    taken: bool,
}

impl<T> JoinHandle<T> {
    /// Asks the task to end. It is dropped in its own turn, on its own loop; the handle resolves
    /// after that, to a [`JoinError`] that says cancelled. A task that completes first keeps its
    /// output. May be called from any thread, any number of times.
    ///
    /// A job of `spawn_blocking` is cancelled only if it has not begun.
    #[doc(alias = "abort")]
    pub fn cancel(&self) {
        let before = self.cell().address.fetch_or(CANCEL, Ordering::AcqRel);
        let key = before & !CANCEL;
        // No key yet: the task is on its way to its loop, and its first poll will see the bit.
        if before & CANCEL == 0 && key != 0 {
            (self.wake)(key);
        }
    }

    /// Whether the task has ended and awaiting the handle will not wait.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.taken || self.cell().state.load(Ordering::Acquire) == COMPLETE
    }

    /// The task's identity.
    pub fn id(&self) -> TaskId {
        self.origin.id
    }

    /// The task's name, if it was given one.
    #[doc(alias = "get_name")]
    pub fn name(&self) -> Option<&str> {
        self.origin.name.as_ref().map(|name| &***name)
    }

    /// Blocks this thread until the task ends. For plain threads.
    ///
    /// # Errors
    /// As for awaiting: the task was cancelled, or it panicked.
    ///
    /// # Panics
    /// Inside a task, where it would stop the loop it may be waiting for.
    #[track_caller]
    #[doc(alias = "blocking_wait")]
    #[doc(alias = "result")]
    pub fn wait(mut self) -> Result<T, JoinError> {
        assert!(
            !budget::is_polling(),
            "JoinHandle::wait would block this thread's event loop: await the handle instead"
        );
        struct Unpark(thread::Thread);
        impl std::task::Wake for Unpark {
            fn wake(self: StdArc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(StdArc::new(Unpark(thread::current())));
        let mut cx = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(result) = Pin::new(&mut self).poll(&mut cx) {
                return result;
            }
            thread::park();
        }
    }

    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Outcome<T>> {
        let mut state = self.cell().state.load(Ordering::Acquire);
        if state == WAITING && !self.to_empty() {
            state = self.cell().state.load(Ordering::Acquire);
        }
        if state == LOCKED {
            // The completer is between taking the old waker and being done. It will not see a new
            // one, so come back.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if state != COMPLETE {
            // Cloning and dropping wakers is foreign code; nothing is held here but our slot.
            let old = self.replace_joiner(Joiner::Waker(cx.waker().clone()));
            drop(old);
            if self.exchange(EMPTY, WAITING) {
                return Poll::Pending;
            }
            // It completed meanwhile; the Acquire that the exchange lacks on failure:
            let state = self.cell().state.load(Ordering::Acquire);
            debug_assert_eq!(state, COMPLETE);
            drop(self.replace_joiner(Joiner::Nobody));
        }
        match self.take_outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => panic!("a JoinHandle was polled after it had given its task's output"),
        }
    }
}

impl<T, E: fmt::Display> JoinHandle<Result<T, E>> {
    /// Lets the task go on alone, and reports an `Err` it ends with on standard error, with its name
    /// and spawn place: for errors that nobody awaits.
    ///
    /// ```
    /// # whirligig::run(async {
    /// whirligig::spawn(async { "x".parse::<i32>().map(drop) }).detach_reporting();
    /// # whirligig::task::yield_now().await;
    /// # });
    /// ```
    pub fn detach_reporting(mut self) {
        let report: fn(&Outcome<Result<T, E>>, &Origin) = |outcome, origin| {
            if let Ok(Err(error)) = outcome {
                eprintln!("whirligig: {origin}, failed and nobody awaits it: {error}");
            }
        };
        let unseen = self.leave(Joiner::Report(report));
        unseen.settle(&self.origin);
        self.forget();
    }
}

impl<T> JoinHandle<T> {
    /// Drops all but the cell, which has been left.
    fn forget(mut self) {
        self.origin.name = None;
        std::mem::forget(self);
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.leave(Joiner::Nobody).settle(&self.origin);
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        std::task::ready!(budget::poll_budget(cx));
        match self.poll_outcome(cx) {
            Poll::Ready(outcome) => {
                budget::charge();
                self.taken = true;
                let origin = self.origin.clone();
                Poll::Ready(outcome.map_err(|failure| JoinError::new(failure, origin)))
            }
            Poll::Pending => {
                let place = *self.place.get_or_insert(Location::caller());
                place::note(WaitsFor::Task, place);
                Poll::Pending
            }
        }
    }
}

impl<T> Unpin for JoinHandle<T> {}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinHandle")
            .field("id", &self.id())
            .field("name", &self.name())
            .field("finished", &self.is_finished())
            .finish()
    }
}

/// Why a task has no output: it was cancelled, or it panicked.
pub struct JoinError {
    origin: Origin,
    panic: Option<Panic>,
}

struct Panic {
    text: String,
    /// Behind a lock only because a payload need not be `Sync`, and an error should be.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl JoinError {
    fn new(failure: Failure, origin: Origin) -> Self {
        let panic = match failure {
            Failure::Cancelled => None,
            Failure::Panicked(payload) => Some(Panic {
                text: foreign::panic_text(payload.as_ref()).to_owned(),
                payload: Mutex::new(payload),
            }),
        };
        Self { origin, panic }
    }

    /// Whether the task was cancelled: by its handle, or because its loop was dropped.
    #[doc(alias = "CancelledError")]
    pub fn is_cancelled(&self) -> bool {
        self.panic.is_none()
    }

    /// Whether the task panicked.
    pub fn is_panic(&self) -> bool {
        self.panic.is_some()
    }

    /// The panic's payload, for `std::panic::resume_unwind`.
    ///
    /// # Errors
    /// Gives the error back if the task was cancelled.
    pub fn try_into_panic(mut self) -> Result<Box<dyn Any + Send>, Self> {
        match self.panic.take() {
            Some(panic) => Ok(panic.payload.into_inner().unwrap_or_else(|p| p.into_inner())),
            None => Err(self),
        }
    }

    /// The task's identity.
    pub fn id(&self) -> TaskId {
        self.origin.id
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.panic {
            None => write!(f, "{}, was cancelled", self.origin),
            Some(panic) => write!(f, "{}, panicked: {}", self.origin, panic.text),
        }
    }
}

impl fmt::Debug for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinError({self})")
    }
}

impl Error for JoinError {}
