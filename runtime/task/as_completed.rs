//! `as_completed`: the outputs of many futures, each as soon as it is there.

use std::{
    fmt,
    future::Future,
    ops::ControlFlow,
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::many::Many;

/// The outputs of these futures, in the order in which they complete. `asyncio.as_completed`.
///
/// A [`Stream`], with a [`next`](AsCompleted::next) of its own for want of a trait. All futures are polled from the
/// first `next` on, inside this task, and only while one is awaited; spawned tasks, whose handles may be given, go
/// on at any time. The order is that of the wakes. What is ready at the first look has none: it comes in the order
/// given.
///
/// *Cancel safety*: dropped, it drops the futures that have not completed. (A [`JoinHandle`](super::JoinHandle) that
/// is dropped lets its task go on: give [`cancel_on_drop`](super::JoinHandle::cancel_on_drop) handles if the tasks
/// are to end with it.) Dropping a `next` loses nothing.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{task, time::sleep};
///
/// whirligig::run(async {
///     let naps = [30, 10, 20].map(async |millis| {
///         sleep(Duration::from_millis(millis)).await;
///         millis
///     });
///     let mut completed = task::as_completed(naps);
///     while let Some(millis) = completed.next().await {
///         println!("{millis}"); // 10, 20, 30
///     }
/// });
/// ```
#[track_caller]
#[doc(alias = "FuturesUnordered")]
pub fn as_completed<I>(futures: I) -> AsCompleted<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    AsCompleted { many: Many::new(futures, Location::caller()) }
}

/// The stream of [`as_completed`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct AsCompleted<F> {
    many: Many<F>,
}

impl<F: Future> AsCompleted<F> {
    /// Waits for the next output; `None` when all were given.
    ///
    /// *Cancel safety*: dropped, it loses nothing.
    ///
    /// # Panics
    /// If the future panics that it polls.
    #[track_caller]
    #[doc(alias = "anext")]
    #[expect(clippy::should_implement_trait, reason = "streams have a `next` by custom")]
    pub fn next(&mut self) -> NextCompleted<'_, F> {
        self.many.set_location(Location::caller());
        NextCompleted { futures: self }
    }

    /// How many outputs are still to come.
    #[doc(alias = "len")]
    pub fn left(&self) -> usize {
        self.many.left()
    }
}

impl<F: Future> Stream for AsCompleted<F> {
    type Item = F::Output;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<F::Output>> {
        if self.left() == 0 {
            return Poll::Ready(None);
        }
        self.many.poll(cx, |_, output| ControlFlow::Break(Some(output)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left(), Some(self.left()))
    }
}

/// The future of [`AsCompleted::next`].
#[must_use = "futures do nothing unless awaited"]
pub struct NextCompleted<'a, F> {
    futures: &'a mut AsCompleted<F>,
}

impl<F: Future> Future for NextCompleted<'_, F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut *self.futures).poll_next(cx)
    }
}

impl<F> fmt::Debug for NextCompleted<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextCompleted").field("futures", &self.futures.many).finish()
    }
}
