//! `wait`: some of many futures are done, and the others handed back.
//!
//! It ends none of them: what is pending can be waited for again, cancelled, or left alone. That is what sets it
//! apart from `race` and `try_gather`.

use std::{
    fmt,
    future::Future,
    mem,
    ops::ControlFlow,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use super::many::Many;
use crate::{
    engine::base::this_poll,
    time::{
        instant::Instant,
        sleep::{Sleep, sleep, sleep_until},
    },
};

/// For what [`wait`] waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum WaitFor {
    /// Until one is done, with whatever outcome.
    #[doc(alias = "FIRST_COMPLETED")]
    FirstCompleted,
    /// Until one is done with an `Err`, or all are done.
    #[doc(alias = "FIRST_EXCEPTION")]
    FirstError,
    /// Until all are done.
    #[default]
    #[doc(alias = "ALL_COMPLETED")]
    All,
}

/// Waits until so many of these futures are done, and gives what those gave, and the others back. `asyncio.wait`.
///
/// The futures are handles of tasks, or others that may be moved: box a plain one (`Box::pin`). Their outputs are
/// `Result`s, as those of handles are. (A `Result` that is the *output* of a task is not looked into by
/// [`WaitFor::FirstError`]: wrap such a handle, as [`try_gather`](super::try_gather) shows.)
///
/// Nothing is cancelled. With a [`timeout`](Wait::timeout) the wait ends in any case, and that is no error: what was
/// not done is among the `pending`. (`time::timeout` around it would drop them.)
///
/// *Cancel safety*: dropped, it drops the futures, and the outputs so far. A [`JoinHandle`](super::JoinHandle) that is
/// dropped lets its task go on; to keep the handles in any case, give `&mut` to them.
///
/// # Panics
/// If the future panics that it polls, and if it is polled after it was ready.
///
/// ```
/// use std::{future::pending, time::Duration};
/// use whirligig::{spawn, task::{self, WaitFor}};
///
/// whirligig::run(async {
///     let mut tasks = vec![spawn(pending()), spawn(async { "done" })];
///     let waited = task::wait(tasks, WaitFor::FirstCompleted).await;
///     assert_eq!(waited.done[0].as_ref().unwrap(), &"done");
///
///     tasks = waited.pending;
///     let waited = task::wait(tasks, WaitFor::All).timeout(Duration::from_millis(1)).await;
///     assert!(waited.done.is_empty());
///     waited.pending[0].cancel();
/// });
/// ```
#[track_caller]
#[doc(alias = "FIRST_COMPLETED")]
#[doc(alias = "FIRST_EXCEPTION")]
pub fn wait<I, T, E>(futures: I, until: WaitFor) -> Wait<I::Item>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>> + Unpin>,
{
    let many = Many::new(futures, Location::caller());
    Wait { many, until, done: Vec::new(), has_failed: false, deadline: None }
}

/// The future of [`wait`].
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<F: Future> {
    many: Many<F>,
    until: WaitFor,
    done: Vec<F::Output>,
    /// One of the done is an error.
    has_failed: bool,
    deadline: Option<Sleep>,
}

// The futures may be moved, and the outputs are never pinned.
impl<F: Future> Unpin for Wait<F> {}

impl<F: Future> Wait<F> {
    /// For no longer than `timeout` from now: then the wait ends with what is done.
    #[track_caller]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.deadline = Some(sleep(timeout));
        self
    }

    /// Until `deadline` at the latest: then the wait ends with what is done.
    #[track_caller]
    pub fn timeout_at(mut self, deadline: Instant) -> Self {
        self.deadline = Some(sleep_until(deadline));
        self
    }

    fn is_over(&self) -> bool {
        self.many.left() == 0
            || match self.until {
                WaitFor::FirstCompleted => !self.done.is_empty(),
                WaitFor::FirstError => self.has_failed,
                WaitFor::All => false,
            }
    }

    /// Whether the deadline has passed. A budget that the futures used up does not keep it from being seen.
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = &mut self.deadline else { return false };
        // The await point is the futures', and the deadline a bound on it.
        let noted = this_poll::take_note();
        let has_passed = this_poll::lifted(|| Pin::new(deadline).poll(cx)).is_ready();
        if let Some(noted) = noted {
            this_poll::note_again(noted);
        }
        has_passed
    }
}

impl<F, T, E> Future for Wait<F>
where
    F: Future<Output = Result<T, E>> + Unpin,
{
    type Output = Waited<F::Output, F>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Self { many, done, has_failed, .. } = this;
        if many.left() > 0 {
            // All that is done by now is given, and not the first alone.
            let _: Poll<()> = many.poll(cx, |_, output| {
                *has_failed |= output.is_err();
                done.push(output);
                ControlFlow::Continue(())
            });
        }
        if !this.is_over() && !this.poll_deadline(cx) {
            return Poll::Pending;
        }
        this.many.be_ready_once();
        this.deadline = None;
        Poll::Ready(Waited { done: mem::take(&mut this.done), pending: this.many.take_rest() })
    }
}

impl<F: Future> fmt::Debug for Wait<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("until", &self.until)
            .field("futures", &self.many)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What [`wait`] came to.
#[derive(Debug)]
#[must_use = "the futures that are pending are dropped with it"]
pub struct Waited<T, F> {
    /// What the done ones gave, in the order in which they were found done: that of their wakes.
    pub done: Vec<T>,
    /// The others, in the order in which they were given.
    pub pending: Vec<F>,
}
