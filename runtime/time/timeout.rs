//! A deadline put on another future.

use std::{
    error::Error,
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    instant::Instant,
    sleep::{Sleep, sleep, sleep_until},
};
use crate::engine::base::this_poll;

/// Gives `future` no longer than `duration` from now. `asyncio.wait_for`.
///
/// If both end at once, the future's output wins. When time is up the future is dropped with the
/// returned one, so a deadline is only as harmless as dropping that future is.
///
/// *Cancel safety*: that of `future`, which is dropped with it. The deadline leaves nothing behind.
///
/// # Errors
/// [`TimedOut`] when time is up first.
///
/// # Panics
/// When polled on a thread that no loop runs, or that entered a runtime which has shut down, unless `future` is
/// ready at once.
///
/// ```
/// use std::time::Duration;
/// use whirligig::time;
///
/// whirligig::run(async {
///     let never = std::future::pending::<()>();
///     assert!(time::timeout(Duration::from_millis(1), never).await.is_err());
/// });
/// ```
#[track_caller]
#[doc(alias = "wait_for")]
pub fn timeout<F: Future>(duration: Duration, future: F) -> Timeout<F> {
    Timeout { sleep: sleep(duration), future }
}

/// Gives `future` until `deadline`. See [`timeout`].
///
/// *Cancel safety*: that of `future`, which is dropped with it. The deadline leaves nothing behind.
///
/// # Errors
/// [`TimedOut`] when time is up first.
///
/// # Panics
/// When polled on a thread that no loop runs, or that entered a runtime which has shut down, unless `future` is
/// ready at once.
#[track_caller]
pub fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout { sleep: sleep_until(deadline), future }
}

/// Gives `future` no longer than `duration` from now, and its output if that was enough. trio's `move_on_after`.
///
/// [`timeout`] is the same with an error in the place of `None`. On a scope of tasks use
/// [`ScopeFuture::move_on_after`](crate::task::ScopeFuture::move_on_after), which awaits the ends of its children.
///
/// *Cancel safety*: that of `future`, which is dropped with it, or when time is up.
///
/// # Panics
/// As for [`timeout`].
///
/// ```
/// use std::time::Duration;
/// use whirligig::time::{move_on_after, sleep};
///
/// whirligig::run(async {
///     let slow = async {
///         sleep(Duration::from_secs(60)).await;
///         "an answer"
///     };
///     assert_eq!(move_on_after(Duration::from_millis(1), slow).await, None);
///     assert_eq!(move_on_after(Duration::from_secs(60), async { 7 }).await, Some(7));
/// });
/// ```
#[track_caller]
pub fn move_on_after<F: Future>(duration: Duration, future: F) -> MoveOn<F> {
    MoveOn { timeout: timeout(duration, future) }
}

/// Gives `future` until `deadline`, and its output if that was enough. See [`move_on_after`].
///
/// *Cancel safety*: that of `future`, which is dropped with it, or when time is up.
///
/// # Panics
/// As for [`timeout`].
#[track_caller]
pub fn move_on_at<F: Future>(deadline: Instant, future: F) -> MoveOn<F> {
    MoveOn { timeout: timeout_at(deadline, future) }
}

pin_project! {
    /// The future of [`move_on_after`] and [`move_on_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct MoveOn<F> {
        #[pin]
        timeout: Timeout<F>,
    }
}

impl<F: Future> Future for MoveOn<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().timeout.poll(cx).map(Result::ok)
    }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    /// The future inside.
    pub fn get_ref(&self) -> &F {
        &self.future
    }

    /// Gives the future back, without its deadline.
    pub fn into_inner(self) -> F {
        self.future
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        // The task's await point is the future's; the deadline is only a bound on it.
        let noted = this_poll::take_note();
        // A future that used up the budget must not keep its own deadline from being seen.
        let timed_out = this_poll::lifted(|| Pin::new(this.sleep).poll(cx)).is_ready();
        if let Some(noted) = noted {
            this_poll::note_again(noted);
        }
        if timed_out { Poll::Ready(Err(TimedOut(()))) } else { Poll::Pending }
    }
}

/// Time was up before the future ended.
#[derive(Clone, Copy, PartialEq, Eq)]
#[doc(alias = "TimeoutError")]
#[doc(alias = "Elapsed")]
pub struct TimedOut(());

impl fmt::Display for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("time was up before the future ended")
    }
}

/// What `unwrap` shows.
impl fmt::Debug for TimedOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimedOut({self})")
    }
}

impl Error for TimedOut {}

impl From<TimedOut> for io::Error {
    fn from(timed_out: TimedOut) -> Self {
        Self::new(io::ErrorKind::TimedOut, timed_out)
    }
}
