//! The budget of a poll, for other people's leaf futures.
//!
//! A task that finds what it awaits ready each time would never return to its loop. So our queues, sockets and
//! timers count what they give out in one poll, and make the task give way after 128. A channel of another crate
//! counts nothing: a task that drains one is stopped by nothing, unless it says here what it does. The names are
//! tokio's.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::engine::base::this_poll;

/// Counts one operation, and gives way if the poll has done all that it may.
///
/// For a loop around what is not whirligig's: a channel of another crate, or a long computation.
///
/// *Cancel safety*: there is nothing to lose.
///
/// ```
/// use futures_channel::mpsc;
/// use whirligig::task;
///
/// whirligig::run(async {
///     let (sender, mut receiver) = mpsc::unbounded();
///     (0..1000).for_each(|n| sender.unbounded_send(n).unwrap());
///     drop(sender);
///     let drain = whirligig::spawn(async move {
///         while let Ok(_item) = receiver.recv().await {
///             task::consume_budget().await;
///         }
///     });
///     // Another task gets its turn in between.
///     whirligig::spawn(async {}).await.unwrap();
///     assert!(!drain.is_finished());
///     drain.await.unwrap();
/// });
/// ```
#[track_caller]
#[doc(alias = "checkpoint")]
#[doc(alias = "coop")]
pub fn consume_budget() -> ConsumeBudget {
    ConsumeBudget { location: Location::caller() }
}

/// The future of [`consume_budget`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct ConsumeBudget {
    location: &'static Location<'static>,
}

impl Future for ConsumeBudget {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(this_poll::poll_budget(cx, self.location));
        this_poll::charge();
        Poll::Ready(())
    }
}

/// Whether the poll may do one more operation. `Pending`: it has done all that it may, and the task runs again in
/// the next turn.
///
/// For a leaf future of one's own: asked first, and told by [`made_progress`](Progress::made_progress) if the leaf is
/// ready. A leaf that is not costs nothing.
///
/// ```
/// use std::{future::poll_fn, pin::pin, task::{Poll, ready}};
/// use futures_lite::Stream;
/// use futures_channel::mpsc;
/// use whirligig::task;
///
/// whirligig::run(async {
///     let (sender, receiver) = mpsc::unbounded();
///     sender.unbounded_send("item").unwrap();
///     let mut receiver = pin!(receiver);
///     let item = poll_fn(|cx| {
///         let budget = ready!(task::poll_proceed(cx));
///         let item = ready!(receiver.as_mut().poll_next(cx));
///         budget.made_progress();
///         Poll::Ready(item)
///     });
///     assert_eq!(item.await, Some("item"));
/// });
/// ```
#[track_caller]
#[doc(alias = "poll_budget")]
#[doc(alias = "coop")]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<Progress> {
    this_poll::poll_budget(cx, Location::caller()).map(|()| Progress(()))
}

/// What [`poll_proceed`] lets a leaf future do: one operation.
#[derive(Debug)]
#[must_use = "say `made_progress` if the operation was done"]
#[doc(alias = "RestoreOnPending")]
pub struct Progress(());

impl Progress {
    /// The operation was done: it is counted.
    pub fn made_progress(&self) {
        this_poll::charge();
    }
}
