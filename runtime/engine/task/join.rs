//! The join handle: a task as seen by what wants its output.
//!
//! A [`JoinHandle`] is the handle's side of a join cell (`cell.rs`), what is known of the task from
//! the start, and a way to wake it for cancellation. One type serves tasks of both variants of the
//! runtime and jobs of the blocking pool. With cancel handles beside it, its side of the cell is in `shared_joiner.rs`.
//!
//! **Alternative:** a handle for each of them. Then what awaits a task would have to know where it runs.

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    task::{Context, Poll, Waker, ready},
};

use super::{
    cell::Joiner,
    outcome::{Failure, Outcome, Report},
    reach::{Ending, Reach},
    shared_joiner::{Cancel, SharedJoiner},
};
use crate::engine::{
    base::{
        id::TaskId,
        location::{Origin, WaitsFor, WaitsOn},
        primitives::{Mutex, has_own_locals, lock},
        this_poll, user_code,
    },
    waiting::thread::wait_on_thread,
};

/// A task's handle: await its output, or cancel it.
///
/// Awaiting gives `Ok(output)`, or a [`JoinError`] if the task was cancelled or panicked. It works
/// from any task, on any loop, and [`wait`](JoinHandle::wait) does the same from a plain thread.
///
/// Dropping the handle detaches the task: it goes on. (asyncio may collect a task nobody refers to;
/// here the loop or runtime owns its tasks.) A panic that no handle will see is reported on standard
/// error, with the task's name and the line that spawned it.
///
/// A future whose poll panics is dropped while the panic unwinds ([`std::thread::panicking`] is true in its
/// `Drop`), and the handle resolves after that. Should the drop panic as well, that is reported, and the first
/// panic is what the handle gives. (The locals of an `async` block are dropped by the unwinding itself, inside the
/// poll: a panic in one of their drops then ends the process, as in any function.)
///
/// # Panics
/// Awaiting panics in the task that the handle is of: it would wait for its own end. (asyncio: "Task cannot await
/// on itself".)
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
    /// Behind a lock for `&self`, in which a cancel handle may be made. What has the handle by `&mut` takes none.
    side: Mutex<Side<T>>,
    origin: Origin,
    reach: &'static Reach,
    /// The line that awaits the handle, from its first poll on.
    location: Option<&'static Location<'static>>,
}

/// The handle's side of the cell.
enum Side<T> {
    Own(Joiner<T>),
    /// The handle was asked for a cancel handle.
    Shared(Arc<SharedJoiner<T>>),
    /// The output was taken.
    Taken,
}

impl<T> Side<T> {
    fn leave(self, report: Option<Report<T>>, origin: &Origin) {
        match self {
            Self::Own(joiner) => joiner.leave(report, origin),
            Self::Shared(shared) => shared.leave(report),
            Self::Taken => {}
        }
    }
}

impl<T> JoinHandle<T> {
    /// The handle of a task that is reached by its key.
    #[inline(always)]
    pub(crate) fn new(joiner: Joiner<T>, origin: Origin, reach: &'static Reach) -> Self {
        Self { side: Mutex::new(Side::Own(joiner)), origin, reach, location: None }
    }

    /// Asks the task to end. It is dropped in its own turn, on its own loop, or on the worker whose turn
    /// it is; the handle resolves after that, to a [`JoinError`] that says cancelled. `false`: too late, for the
    /// task has ended, and nothing was done. May be called from any thread, any number of times.
    ///
    /// After `true` the task may still complete: if its future is ready before it is dropped. Then its output is kept.
    ///
    /// ```
    /// whirligig::run(async {
    ///     let mut task = whirligig::spawn(std::future::pending::<()>());
    ///     assert!(task.cancel());
    ///     assert!((&mut task).await.unwrap_err().is_cancelled());
    ///     assert!(!task.cancel(), "it has ended");
    /// });
    /// ```
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        let side = lock(&self.side);
        match &*side {
            Side::Own(joiner) if joiner.is_complete() => false,
            Side::Own(joiner) => {
                let key = joiner.cancel();
                drop(side);
                if let Some(key) = key {
                    (self.reach.wake)(key);
                }
                true
            }
            Side::Shared(shared) => {
                let shared = shared.clone();
                drop(side);
                shared.cancel()
            }
            Side::Taken => false,
        }
    }

    /// Cancels the task, and drops its future on this thread if no thread polls it. The handle then gives its outcome.
    pub(crate) fn end(&self) -> Ending {
        let side = lock(&self.side);
        match &*side {
            Side::Own(joiner) if joiner.is_complete() => Ending::Gone,
            Side::Own(joiner) => {
                let key = joiner.request_cancel();
                drop(side);
                // Without a key it is on its way to its loop, where its first poll finds out.
                key.map_or(Ending::Elsewhere, |key| (self.reach.end)(key, self.origin.id))
            }
            Side::Shared(shared) => {
                let shared = shared.clone();
                drop(side);
                shared.end()
            }
            Side::Taken => Ending::Gone,
        }
    }

    /// Tells by which key to wake the task, before anybody else has the handle.
    pub(crate) fn set_key(&mut self, key: u64) {
        if let Side::Own(joiner) = self.side_mut() {
            joiner.set_key(key);
        }
    }

    /// The side, of a handle that is held by one. Without a lock.
    fn side_mut(&mut self) -> &mut Side<T> {
        self.side.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// The outcome; until there is one, the waker of `cx` is woken when there is. Counts nothing, notes nothing.
    #[track_caller]
    fn poll_outcome(&mut self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let polled = match mem::replace(self.side_mut(), Side::Taken) {
            Side::Own(joiner) => joiner.poll_outcome(cx).map_err(Side::Own),
            Side::Shared(shared) => match shared.poll_outcome(cx) {
                Poll::Ready(outcome) => Ok(outcome),
                Poll::Pending => Err(Side::Shared(shared)),
            },
            Side::Taken => panic!("a JoinHandle was polled after it had given its task's output"),
        };
        match polled {
            Ok(outcome) => {
                Poll::Ready(outcome.map_err(|failure| JoinError::new(failure, self.origin.clone())))
            }
            Err(side) => {
                *self.side_mut() = side;
                Poll::Pending
            }
        }
    }

    /// The outcome of a task that has ended: what was told so by the waker of `NewTask::watched_by`.
    ///
    /// # Panics
    /// If the task has not ended.
    pub(crate) fn into_outcome(mut self) -> Result<T, JoinError> {
        match self.poll_outcome(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => panic!("{}, has not ended", self.origin),
        }
    }

    /// What this handle and its cancel handles share, from now on. `None`: the task has ended.
    pub(crate) fn share(&self) -> Option<Arc<dyn Cancel>>
    where
        T: Send + 'static,
    {
        let mut side = lock(&self.side);
        let (shared, missed) = match mem::replace(&mut *side, Side::Taken) {
            Side::Own(joiner) if !joiner.is_complete() => {
                SharedJoiner::new(joiner, self.origin.clone(), self.reach)
            }
            Side::Shared(shared) => (shared, None),
            ended => {
                *side = ended;
                return None;
            }
        };
        *side = Side::Shared(shared.clone());
        drop(side);
        if let Some(waker) = missed {
            user_code::wake(waker);
        }
        Some(shared)
    }

    /// Whether the task has ended and awaiting the handle will not wait.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        match &*lock(&self.side) {
            Side::Own(joiner) => joiner.is_complete(),
            Side::Shared(shared) => shared.is_finished(),
            Side::Taken => true,
        }
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
    /// If the task has not ended: inside a task, or in anything else that an event loop or a worker calls,
    /// where it would stop the thread that it may be waiting for. (On the thread of an event loop that is not turning,
    /// nothing runs the task: [`block_on`](crate::EventLoop::block_on) the handle.)
    #[track_caller]
    #[doc(alias = "blocking_wait")]
    #[doc(alias = "result")]
    pub fn wait(self) -> Result<T, JoinError> {
        wait_on_thread(
            "`JoinHandle::wait` would block the loop or the worker that it may be waiting for: await the \
             handle, or, on a `Runtime`, wait inside `task::block_in_place`",
            self,
        )
    }
}

impl<T, E: fmt::Display> JoinHandle<Result<T, E>> {
    /// Lets the task go on alone, and reports an `Err` it ends with on standard error, with its name
    /// and the line that spawned it: for errors that nobody awaits.
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
                user_code::say(format_args!("{origin}, failed and nobody awaits it: {error}"));
            }
        };
        let side = mem::replace(self.side_mut(), Side::Taken);
        side.leave(Some(report), &self.origin);
    }
}

impl<T> Drop for JoinHandle<T> {
    #[inline]
    fn drop(&mut self) {
        let side = mem::replace(self.side_mut(), Side::Taken);
        side.leave(None, &self.origin);
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(this_poll::poll_budget(cx, Location::caller()));
        let this = &mut *self;
        match this.poll_outcome(cx) {
            Poll::Ready(outcome) => {
                this_poll::charge();
                Poll::Ready(outcome)
            }
            Poll::Pending => {
                let id = this.origin.id;
                if has_own_locals() && this_poll::task() == Some(id) {
                    awaits_itself(&this.origin);
                }
                let location = *this.location.get_or_insert(Location::caller());
                this_poll::note_on(WaitsFor::Task, WaitsOn::Task(id), location);
                Poll::Pending
            }
        }
    }
}

#[cold]
#[track_caller]
fn awaits_itself(origin: &Origin) -> ! {
    panic!(
        "{origin}, awaits its own JoinHandle: it would wait for ever for its own end. Drop the handle to \
         detach the task, or give it to another task to await"
    )
}

// A handle that was seen to panic can be dropped or awaited like any other: it has no state of its own.
impl<T> UnwindSafe for JoinHandle<T> {}
impl<T> RefUnwindSafe for JoinHandle<T> {}

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
    payload: StdMutex<Box<dyn Any + Send>>,
}

impl JoinError {
    pub(crate) fn new(failure: Failure, origin: Origin) -> Self {
        let panic = match failure {
            Failure::Cancelled => None,
            Failure::Panicked(payload) => Some(Panic {
                text: user_code::panic_text(payload.as_ref()).to_owned(),
                payload: StdMutex::new(payload),
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
    ///
    /// ```
    /// whirligig::run(async {
    ///     let task = whirligig::spawn(async { panic!("no") });
    ///     let panic = task.await.unwrap_err().try_into_panic().expect("it was not cancelled");
    ///     assert_eq!(panic.downcast_ref(), Some(&"no"));
    /// });
    /// ```
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
