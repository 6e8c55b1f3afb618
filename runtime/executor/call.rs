//! The handle of a call on a pool: what `concurrent.futures` calls a future.
//!
//! The outcome comes through a `oneshot` channel, whoever runs the call; what else a handle can do, to cancel the call
//! or to ask how far it is, its pool knows. So one type serves threads and processes, and plain code as well as tasks.
//!
//! **Alternative:** a handle for each kind of pool. Then a program that moves its calls from threads to processes
//! changes each type that holds one.

use std::{
    any::Any,
    error::Error,
    fmt,
    future::Future,
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use crate::{
    engine::{
        base::{this_poll, user_code},
        waiting::thread::{wait_on_thread, wait_on_thread_until},
    },
    sync::oneshot,
};

/// What a pool can do for the handles of its calls.
pub(super) trait Calls: Send + Sync {
    /// Takes a call out of the line. `false`: it has begun.
    fn cancel(&self, number: u64) -> bool;

    /// Whether a call stands in the line.
    fn is_queued(&self, number: u64) -> bool;

    /// Why calls come to nothing, if that is not because they were cancelled.
    fn broken(&self) -> Option<CallError>;
}

/// A call that was submitted to a pool: await its outcome, wait for it, or cancel it. Python's
/// `concurrent.futures.Future`.
///
/// Awaiting works in tasks of any runtime. Plain threads call [`result`](Self::result). Dropping the handle lets the
/// call go on.
///
/// *Cancel safety*: awaiting `&mut handle` and giving up loses nothing.
///
/// ```
/// use whirligig::executor::ThreadPool;
///
/// let pool = ThreadPool::new(2);
/// let call = pool.submit(|| 6 * 7);
/// assert_eq!(call.result(), Ok(42)); // in plain code
///
/// whirligig::run(async {
///     assert_eq!(pool.submit(|| 6 * 7).await, Ok(42)); // in a task
/// });
/// ```
#[must_use = "the outcome of a call, errors included, comes through its handle"]
#[doc(alias("Future", "concurrent.futures.Future"))]
pub struct CallHandle<T> {
    outcome: oneshot::Receiver<Result<T, CallError>>,
    calls: Arc<dyn Calls>,
    number: u64,
    /// The outcome was given.
    taken: bool,
}

impl<T> CallHandle<T> {
    pub(super) fn new(
        outcome: oneshot::Receiver<Result<T, CallError>>,
        calls: Arc<dyn Calls>,
        number: u64,
    ) -> Self {
        Self { outcome, calls, number, taken: false }
    }

    /// The handle of a call that was not taken in.
    pub(super) fn refused(calls: Arc<dyn Calls>, why: CallError) -> Self {
        let (tell, outcome) = oneshot::channel();
        drop(tell.send(Err(why)));
        Self::new(outcome, calls, NO_CALL)
    }

    /// Blocks this thread until the call has ended, and gives its outcome. For plain threads: a task awaits the
    /// handle instead.
    ///
    /// A call that waits so for a later call of its own pool may wait for ever: that one may need its thread.
    ///
    /// # Errors
    /// [`CallError`]: the call was cancelled, or panicked, or its pool could not run it.
    ///
    /// # Panics
    /// If the call has not ended: inside a task, or in anything else that an event loop or a worker calls.
    #[track_caller]
    pub fn result(self) -> Result<T, CallError> {
        wait_on_thread(RESULT_ADVICE, self)
    }

    /// The same, but for at most so long. `None`: the call has not ended in time; it goes on, and the handle can be
    /// asked again.
    ///
    /// # Errors
    /// As for [`result`](Self::result).
    ///
    /// # Panics
    /// As [`result`](Self::result) does; and after the outcome was given.
    ///
    /// ```
    /// use std::{thread, time::Duration};
    /// use whirligig::executor::ThreadPool;
    ///
    /// let mut call = ThreadPool::new(1).submit(|| thread::sleep(Duration::from_millis(50)));
    /// while call.result_timeout(Duration::from_millis(20)).is_none() {
    ///     println!("not yet");
    /// }
    /// ```
    #[track_caller]
    #[doc(alias = "result(timeout=)")]
    pub fn result_timeout(&mut self, timeout: Duration) -> Option<Result<T, CallError>> {
        wait_on_thread_until(RESULT_ADVICE, Instant::now().checked_add(timeout), self)
    }

    /// Cancels the call if it has not begun: then it never will, and its outcome is [`CallError::Cancelled`]. `false`:
    /// it has begun, or ended, and goes on.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use whirligig::executor::{CallError, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let (go, gone) = mpsc::channel();
    /// let (begins, begun) = mpsc::channel();
    /// let first = pool.submit(move || {
    ///     begins.send(()).unwrap();
    ///     gone.recv()
    /// });
    /// let second = pool.submit(|| unreachable!("it was cancelled"));
    /// begun.recv()?;
    /// assert!(!first.cancel(), "it has begun");
    /// assert!(second.cancel());
    /// assert_eq!(second.result(), Err(CallError::Cancelled));
    /// go.send(())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel(&self) -> bool {
        self.calls.cancel(self.number)
    }

    /// Whether the call has ended: it has an outcome, or was cancelled.
    pub fn done(&self) -> bool {
        self.outcome.is_finished()
    }

    /// Whether the call has begun and not ended.
    pub fn running(&self) -> bool {
        // In this order: what leaves the line between the two looks, and is not done, has begun.
        !self.calls.is_queued(self.number) && !self.done()
    }
}

/// The number of no call.
const NO_CALL: u64 = 0;

/// Says that this thread may wait for the end of a pool.
///
/// # Panics
/// If it may not.
#[track_caller]
pub(super) fn assert_may_wait(pool: &str) {
    assert!(
        this_poll::may_block(),
        "`{pool}::shutdown` would block the loop or the worker that runs this thread: give it to \
         `task::spawn_blocking`, or do not `wait`"
    );
}

pub(super) const RESULT_ADVICE: &str = "`CallHandle::result` would block the loop or the worker that runs this thread: await the handle \
                      instead, or, on a `Runtime`, wait inside `task::block_in_place`";

impl<T> Future for CallHandle<T> {
    type Output = Result<T, CallError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        assert!(!self.taken, "a CallHandle was polled after it had given its call's outcome");
        let received = ready!(Pin::new(&mut self.outcome).poll(cx));
        self.taken = true;
        Poll::Ready(match received {
            Ok(outcome) => outcome,
            // The sender went with the call.
            Err(_) => Err(self.calls.broken().unwrap_or(CallError::Cancelled)),
        })
    }
}

impl<T> UnwindSafe for CallHandle<T> {}
impl<T> RefUnwindSafe for CallHandle<T> {}

impl<T> fmt::Debug for CallHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHandle")
            .field("done", &self.done())
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}

/// Why a call has no output.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(alias("CancelledError", "BrokenExecutor"))]
pub enum CallError {
    /// It was cancelled before it began: by its handle, or because its pool was shut down.
    Cancelled,
    /// It panicked, and this is what the panic said.
    Panicked(String),
    /// Its pool had been shut down when it was submitted.
    ShutDown,
    /// Its pool cannot run calls any more, and this is why.
    Broken(String),
    /// The process that ran it died, in this way.
    Died(String),
    /// Its arguments or its output could not be sent between the processes, for this reason.
    Encoding(String),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => f.write_str("the call was cancelled"),
            Self::Panicked(text) => write!(f, "the call panicked: {text}"),
            Self::ShutDown => {
                f.write_str("the pool had been shut down when the call was submitted")
            }
            Self::Broken(why) => write!(f, "the pool cannot run calls any more: {why}"),
            Self::Died(how) => write!(f, "the process that ran the call died: {how}"),
            Self::Encoding(why) => write!(f, "the call could not be sent between processes: {why}"),
        }
    }
}

impl fmt::Debug for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CallError({self})")
    }
}

impl Error for CallError {}

/// Runs a call. A panic is its outcome.
pub(super) fn outcome_of<T>(f: impl FnOnce() -> T) -> Result<T, CallError> {
    catch_unwind(AssertUnwindSafe(f)).map_err(panicked)
}

/// Hands a call's outcome over. A handle that is gone wants none; then it is dropped here, where no panic of that may
/// reach what runs the calls of others.
pub(super) fn hand_over<T>(
    tell: oneshot::Sender<Result<T, CallError>>,
    outcome: Result<T, CallError>,
) {
    user_code::discard_value("an outcome that nobody waited for", tell.send(outcome));
}

fn panicked(payload: Box<dyn Any + Send>) -> CallError {
    let text = user_code::panic_text(payload.as_ref()).to_owned();
    user_code::discard(payload);
    CallError::Panicked(text)
}
