//! A queue as a `Stream`, the trait that other crates' combinators speak.
//!
//! The stream is a `get` that begins anew after each item, and ends with the queue. It holds the queue by a reference or
//! by any other pointer, so that one with an `Arc` can be given to a task or a crate that wants `'static`.
//!
//! **Alternative:** to make the queue a `Stream` itself. `Stream` is polled by `&mut`, and a queue is used by `&`; each
//! consumer needs its own turn in the line.

use std::{
    fmt,
    ops::Deref,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::{FusedStream, Stream};

use super::{
    generic::{AnyQueue, GenericQueue, Sharing},
    order::Order,
};
use crate::engine::waiting::leaf::Stage;

impl<T, S: Sharing, O: Order<T>> GenericQueue<T, S, O> {
    /// The items of this queue as a `Stream`, until the queue is closed and empty.
    ///
    /// Each item goes to one of those that get, so several streams of one queue share its items. What
    /// [`join`](Self::join) waits for is as with `get`: call [`task_done`](Self::task_done) for each.
    ///
    /// *Cancel safety*: dropped while it waits, the stream has taken nothing. So has the future of its `next`, which
    /// leaves the stream its turn: while the stream is not polled again, an item that comes is promised to it and goes to no
    /// other, until the stream is polled or dropped. Drop a stream that is not used any more.
    ///
    /// ```
    /// use futures_util::StreamExt;
    ///
    /// let queue = whirligig::queue::Queue::unbounded();
    /// for n in 1..=4 {
    ///     queue.try_put(n).unwrap();
    /// }
    /// queue.close();
    /// let squares = whirligig::run(queue.stream().map(|n| n * n).collect::<Vec<_>>());
    /// assert_eq!(squares, [1, 4, 9, 16]);
    /// ```
    #[doc(alias("ReceiverStream", "aiter", "iter"))]
    #[track_caller]
    pub fn stream(&self) -> QueueStream<&Self> {
        QueueStream::new(self)
    }
}

/// The items of a queue as a `Stream`: [`Queue::stream`](super::Queue::stream), or [`new`](Self::new) with any pointer to a queue.
///
/// It ends when the queue is closed and nothing is left in it, and has no end otherwise.
#[must_use = "a stream does nothing unless it is polled"]
pub struct QueueStream<Q: Deref<Target: AnyQueue>> {
    queue: Q,
    stage: Stage,
    location: &'static Location<'static>,
}

// The pointer is never pinned.
impl<Q: Deref<Target: AnyQueue>> Unpin for QueueStream<Q> {}

impl<Q: Deref<Target: AnyQueue>> QueueStream<Q> {
    /// A stream that holds its queue by `queue`: an `Arc` makes it own the queue with others. It is asked for the queue
    /// again and again, and must give the same one each time.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use futures_util::StreamExt;
    /// use whirligig::{queue::{Queue, QueueStream}, spawn};
    ///
    /// whirligig::run(async {
    ///     let queue = Arc::new(Queue::bounded(2));
    ///     let sum = spawn(QueueStream::new(queue.clone()).fold(0, async |sum, n| sum + n));
    ///     for n in 1..=10 {
    ///         queue.put(n).await.unwrap();
    ///     }
    ///     queue.close();
    ///     assert_eq!(sum.await.unwrap(), 55);
    /// });
    /// ```
    #[track_caller]
    pub fn new(queue: Q) -> Self {
        Self { queue, stage: Stage::New, location: Location::caller() }
    }
}

impl<Q: Deref<Target: AnyQueue>> Stream for QueueStream<Q> {
    type Item = <Q::Target as AnyQueue>::Item;

    #[inline]
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let got = ready!(this.queue.generic().poll_get(&mut this.stage, this.location, cx));
        this.stage = Stage::New;
        Poll::Ready(got.ok())
    }
}

/// Ended as soon as the queue is closed and empty.
impl<Q: Deref<Target: AnyQueue>> FusedStream for QueueStream<Q> {
    fn is_terminated(&self) -> bool {
        self.queue.generic().open().is_drained()
    }
}

impl<Q: Deref<Target: AnyQueue>> Drop for QueueStream<Q> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.queue.generic().cancel_get(key);
        }
    }
}

impl<Q: Deref<Target: AnyQueue>> fmt::Debug for QueueStream<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueStream").field("location", self.location).finish_non_exhaustive()
    }
}
