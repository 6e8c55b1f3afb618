//! The methods of the async queue that wait, and their futures, in either shell.
//!
//! Each first looks whether the queue is ready, as `try_put` and `try_get` do, and mostly that is all: no
//! waker is cloned and nothing joins a list. Else `leaf.rs` takes it on in steps. A future that is dropped
//! while it waits leaves its list, or passes on what it was woken for.

use std::{
    fmt,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    error::{GetError, PutError},
    generic::{GenericQueue, Shared, Sharing},
    order::{Fifo, Order},
};
use crate::engine::{
    base::{
        location::{WaitsFor, WaitsOn},
        this_poll,
    },
    waiting::{
        leaf::{Stage, poll_wait},
        wait_list::{WaitKey, discard},
    },
};

impl<T, S: Sharing, O: Order<T>> GenericQueue<T, S, O> {
    /// Puts `item` in, as soon as there is room.
    ///
    /// # Errors
    /// [`PutError`] with the item, if the queue is closed or is closed while this waits.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the future has put nothing, and drops `item` with it. Where the
    /// item must survive, keep the future or use [`try_put`](Self::try_put).
    ///
    /// # Panics
    /// The future panics if polled after it was ready; so do those of `get` and `join`.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::bounded(1);
    /// whirligig::run(async { queue.put("letter").await.unwrap() });
    /// assert!(queue.is_full());
    /// ```
    #[doc(alias = "send")]
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) -> Put<'_, T, S, O> {
        Put { queue: self, item: Some(item), stage: Stage::New, location: Location::caller() }
    }

    /// Takes the first item, as soon as there is one that is not promised to an earlier `get`.
    ///
    /// # Errors
    /// [`GetError`] once the queue is closed and nothing is left in it, not even for others.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has taken nothing.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(7).unwrap();
    /// whirligig::run(async { assert_eq!(queue.get().await, Ok(7)) });
    /// ```
    #[doc(alias = "recv")]
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Get<'_, T, S, O> {
        Get { queue: self, stage: Stage::New, location: Location::caller() }
    }

    /// Waits until no item is unfinished: `task_done` was called for every item put so far. One that
    /// waits when the count comes to zero is not held back by items put after.
    ///
    /// *Cancel safety*: nothing is lost by dropping it.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put("job").unwrap();
    /// queue.task_done();
    /// whirligig::run(async { queue.join().await });
    /// ```
    #[inline]
    #[track_caller]
    pub fn join(&self) -> Join<'_, T, S, O> {
        Join { queue: self, stage: Stage::New, location: Location::caller() }
    }
}

impl<T, S: Sharing, O: Order<T>> GenericQueue<T, S, O> {
    /// The poll of a `get`, for a future and for a stream.
    #[inline]
    pub(crate) fn poll_get(
        &self,
        stage: &mut Stage,
        location: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<T, GetError>> {
        ready!(this_poll::poll_budget(cx, location));
        if let Stage::New = stage {
            let mut core = self.open();
            if core.may_pop_quietly()
                && let Some(item) = core.pop()
            {
                *stage = Stage::Done;
                this_poll::charge();
                return Poll::Ready(Ok(item));
            }
        }
        self.get_or_wait(stage, location, cx)
    }

    /// The way of an empty queue, or of a `get` that wakes a `put`. Not inlined, so that the common way is.
    #[inline(never)]
    fn get_or_wait(
        &self,
        stage: &mut Stage,
        location: &'static Location<'static>,
        cx: &Context<'_>,
    ) -> Poll<Result<T, GetError>> {
        poll_wait(
            cx,
            location,
            || self.note(WaitsFor::Item, location),
            |offer| self.open().get(stage, offer),
        )
    }

    /// Ends a `get` that is dropped while it waits.
    #[inline(never)]
    pub(crate) fn cancel_get(&self, key: WaitKey) {
        let (waiter, wakes) = self.open().cancel_get(key);
        wakes.wake();
        discard(waiter);
    }

    /// Ends a `put` that is dropped while it waits.
    #[inline(never)]
    pub(super) fn cancel_put(&self, key: WaitKey) {
        let (waiter, wakes) = self.open().cancel_put(key);
        wakes.wake();
        discard(waiter);
    }

    /// Notes what the task that is polled waits for.
    pub(super) fn note(&self, what: WaitsFor, location: &'static Location<'static>) {
        this_poll::note_on(what, WaitsOn::Queue(self.id()), location);
    }
}

/// The future of [`Queue::put`](super::Queue::put).
#[must_use = "a future does nothing unless it is awaited"]
pub struct Put<'a, T, S: Sharing = Shared, O: Order<T> = Fifo> {
    queue: &'a GenericQueue<T, S, O>,
    item: Option<T>,
    stage: Stage,
    location: &'static Location<'static>,
}

// The item is moved in and out, never pinned.
impl<T, S: Sharing, O: Order<T>> Unpin for Put<'_, T, S, O> {}

impl<T, S: Sharing, O: Order<T>> Put<'_, T, S, O> {
    /// The item, if it was not put. A put without its item is only good to be dropped.
    pub(super) fn take_item(&mut self) -> Option<T> {
        self.item.take()
    }

    /// The way of a full queue, or of a `put` that wakes a `get`. Not inlined, so that the common way is.
    #[inline(never)]
    fn put_or_wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PutError<T>>> {
        let Self { queue, item, stage, location } = self;
        poll_wait(
            cx,
            location,
            || queue.note(WaitsFor::Room, location),
            |offer| queue.open().put(stage, item, offer),
        )
    }
}

impl<T, S: Sharing, O: Order<T>> Future for Put<'_, T, S, O> {
    type Output = Result<(), PutError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(this_poll::poll_budget(cx, this.location));
        if let Stage::New = this.stage {
            let mut core = this.queue.open();
            if core.may_push_quietly()
                && let Some(item) = this.item.take()
            {
                core.push_quietly(item);
                this.stage = Stage::Done;
                this_poll::charge();
                return Poll::Ready(Ok(()));
            }
        }
        this.put_or_wait(cx)
    }
}

impl<T, S: Sharing, O: Order<T>> Drop for Put<'_, T, S, O> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.queue.cancel_put(key);
        }
    }
}

impl<T, S: Sharing, O: Order<T>> fmt::Debug for Put<'_, T, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Queue::get`](super::Queue::get).
#[must_use = "a future does nothing unless it is awaited"]
pub struct Get<'a, T, S: Sharing = Shared, O: Order<T> = Fifo> {
    queue: &'a GenericQueue<T, S, O>,
    stage: Stage,
    location: &'static Location<'static>,
}

impl<T, S: Sharing, O: Order<T>> Future for Get<'_, T, S, O> {
    type Output = Result<T, GetError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.queue.poll_get(&mut this.stage, this.location, cx)
    }
}

impl<T, S: Sharing, O: Order<T>> Drop for Get<'_, T, S, O> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.queue.cancel_get(key);
        }
    }
}

impl<T, S: Sharing, O: Order<T>> fmt::Debug for Get<'_, T, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Queue::join`](super::Queue::join).
#[must_use = "a future does nothing unless it is awaited"]
pub struct Join<'a, T, S: Sharing = Shared, O: Order<T> = Fifo> {
    queue: &'a GenericQueue<T, S, O>,
    stage: Stage,
    location: &'static Location<'static>,
}

impl<T, S: Sharing, O: Order<T>> Future for Join<'_, T, S, O> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { queue, stage, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        if let Stage::New = stage
            && queue.unfinished() == 0
        {
            *stage = Stage::Done;
            this_poll::charge();
            return Poll::Ready(());
        }
        poll_wait(
            cx,
            location,
            || queue.note(WaitsFor::QueueDone, location),
            |offer| queue.open().join(stage, offer),
        )
    }
}

impl<T, S: Sharing, O: Order<T>> Drop for Join<'_, T, S, O> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = self.queue.open().cancel_join(key);
            discard(waiter);
        }
    }
}

impl<T, S: Sharing, O: Order<T>> fmt::Debug for Join<'_, T, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("location", self.location).finish_non_exhaustive()
    }
}
