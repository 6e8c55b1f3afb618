//! A queue as a `Sink`, the trait that other crates' combinators speak.
//!
//! A sink asks for room before it has an item. So its `poll_ready` reserves: it is a `put` up to the moment at which room
//! is promised to it, and keeps the promise until `start_send` comes with the item. What was sent is in the queue, and
//! there is nothing to flush.
//!
//! **Alternative:** a sink that takes one item without asking, keeps it, and puts it when it is flushed. Each sink would be
//! a hidden slot more of the queue, and an item in it is lost when the sink is dropped.

use std::{
    fmt,
    ops::Deref,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_sink::Sink;

use super::{
    error::PutError,
    generic::{AnyQueue, GenericQueue, Sharing},
    order::Order,
};
use crate::engine::{
    base::{location::WaitsFor, this_poll},
    waiting::leaf::{Stage, poll_wait},
};

impl<T, S: Sharing, O: Order<T>> GenericQueue<T, S, O> {
    /// This queue as a `Sink`: what is sent is put.
    ///
    /// An item that was sent is in the queue at once; flushing waits for nothing. Closing the sink leaves the
    /// queue open, for others may put too: [`close`](Self::close) the queue after the last of them.
    ///
    /// # Errors
    /// Once the queue is closed: [`PutError`], with the item if the sink had taken it.
    ///
    /// *Cancel safety*: room that was reserved by `poll_ready` and not used is kept until the sink is closed or dropped.
    /// Then it goes to the next `put` that waits.
    ///
    /// ```
    /// use futures_util::{StreamExt, stream};
    ///
    /// whirligig::run(async {
    ///     let queue = whirligig::queue::Queue::bounded(8);
    ///     stream::iter(1..=4).map(Ok).forward(queue.sink()).await.unwrap();
    ///     queue.close();
    ///     assert_eq!(queue.stream().collect::<Vec<_>>().await, [1, 2, 3, 4]);
    /// });
    /// ```
    #[doc(alias("PollSender", "reserve"))]
    #[track_caller]
    pub fn sink(&self) -> QueueSink<&Self> {
        QueueSink::new(self)
    }
}

/// A queue as a `Sink`: [`Queue::sink`](super::Queue::sink), or [`new`](Self::new) with any pointer to a queue.
#[must_use = "a sink does nothing unless it is sent to"]
pub struct QueueSink<Q: Deref<Target: AnyQueue>> {
    queue: Q,
    /// New, or waiting for room.
    stage: Stage,
    /// Room is promised to this sink, unless the queue was closed since.
    reserved: bool,
    location: &'static Location<'static>,
}

// The pointer is never pinned.
impl<Q: Deref<Target: AnyQueue>> Unpin for QueueSink<Q> {}

impl<Q: Deref<Target: AnyQueue>> QueueSink<Q> {
    /// A sink that holds its queue by `queue`: an `Arc` makes it own the queue with others. It is asked for the queue
    /// again and again, and must give the same one each time.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use futures_util::SinkExt;
    /// use whirligig::queue::{Queue, QueueSink};
    ///
    /// let queue = Arc::new(Queue::bounded(1));
    /// let mut sink = QueueSink::new(queue.clone());
    /// whirligig::run(async move { sink.send(7).await.unwrap() });
    /// assert_eq!(queue.try_get(), Ok(7));
    /// ```
    #[track_caller]
    pub fn new(queue: Q) -> Self {
        Self { queue, stage: Stage::New, reserved: false, location: Location::caller() }
    }

    /// Leaves the line, or passes on the room that it has.
    fn give_up(&mut self) {
        let queue = self.queue.generic();
        if let Stage::Waiting(key) = self.stage {
            self.stage = Stage::New;
            queue.cancel_put(key);
        }
        if self.reserved {
            self.reserved = false;
            let wakes = queue.open().release_room();
            wakes.wake();
        }
    }
}

impl<Q: Deref<Target: AnyQueue>> Sink<<Q::Target as AnyQueue>::Item> for QueueSink<Q> {
    type Error = PutError<Option<<Q::Target as AnyQueue>::Item>>;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let Self { queue, stage, reserved, location } = self.get_mut();
        if *reserved {
            return Poll::Ready(Ok(()));
        }
        ready!(this_poll::poll_budget(cx, location));
        let queue = queue.generic();
        let reserve = poll_wait(
            cx,
            location,
            || queue.note(WaitsFor::Room, location),
            |offer| queue.open().reserve(stage, offer),
        );
        *reserved = ready!(reserve).is_ok();
        Poll::Ready(if *reserved { Ok(()) } else { Err(PutError(None)) })
    }

    /// # Panics
    /// If `poll_ready` was not ready before.
    #[track_caller]
    fn start_send(
        self: Pin<&mut Self>,
        item: <Q::Target as AnyQueue>::Item,
    ) -> Result<(), Self::Error> {
        let this = self.get_mut();
        assert!(
            std::mem::take(&mut this.reserved),
            "an item was sent to the sink made at {} before `poll_ready` had room for it: call \
             `poll_ready` until it is ready, before each `start_send`",
            this.location
        );
        let put = this.queue.generic().open().put_reserved(item);
        put.map(|wakes| wakes.wake()).map_err(|PutError(item)| PutError(Some(item)))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.get_mut().give_up();
        Poll::Ready(Ok(()))
    }
}

impl<Q: Deref<Target: AnyQueue>> Drop for QueueSink<Q> {
    fn drop(&mut self) {
        self.give_up();
    }
}

impl<Q: Deref<Target: AnyQueue>> fmt::Debug for QueueSink<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueSink").field("location", self.location).finish_non_exhaustive()
    }
}
