//! The async queue for the tasks of one event loop: no lock, no atomics.
//!
//! The same as `shared.rs`, in the same order, around a `RefCell`; what each method does is told
//! there. The borrow lasts for one visit to the core, in which no foreign code runs; so it never
//! meets another borrow, and never fails.
//!
//! The rival is one shell generic over its cell. It would save this file, and hide from the reader,
//! and from the compiler's messages, which of the two queues a program uses.

use std::{
    cell::{RefCell, RefMut},
    fmt,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    core::{Core, Stats, TOO_OFTEN},
    error::{GetError, PutError, TryGetError, TryPutError},
    waiting::{Offer, Stage, poll_in_line},
};
use crate::engine::{
    base::{place::WaitsFor, this_poll},
    waiting::wait_list::WaitKey,
};

/// A first-in, first-out queue between tasks of one thread.
///
/// Share it by reference, or in an [`Rc`](std::rc::Rc). It is the thread-safe
/// [`Queue`](super::Queue) without its lock: order, cancel safety, memory, borrowing, errors and panics are
/// the same, method by method, and are told there.
///
/// ```
/// use whirligig::queue::local::Queue;
///
/// whirligig::run(async {
///     let queue = Queue::bounded(2);
///     queue.put("first").await.unwrap();
///     queue.close();
///     while let Ok(item) = queue.get().await {
///         println!("{item}");
///     }
/// });
/// ```
#[doc(alias("channel", "mpsc"))]
pub struct Queue<T> {
    core: RefCell<Core<T>>,
}

impl<T> Queue<T> {
    /// A queue that always has room. See [`unbounded`](super::Queue::unbounded).
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.capacity(), None);
    /// ```
    #[doc(alias = "unbounded_channel")]
    pub fn unbounded() -> Self {
        Self { core: RefCell::new(Core::unbounded()) }
    }

    /// A queue that holds at most `capacity` items. See [`bounded`](super::Queue::bounded).
    ///
    /// # Panics
    /// If `capacity` is 0.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::bounded(1);
    /// queue.try_put('a').unwrap();
    /// assert!(queue.try_put('b').is_err());
    /// ```
    #[doc(alias = "maxsize")]
    #[track_caller]
    pub fn bounded(capacity: usize) -> Self {
        Self { core: RefCell::new(Core::bounded(capacity)) }
    }

    /// Puts `item` at the end, as soon as there is room. See [`put`](super::Queue::put).
    ///
    /// # Errors
    /// [`PutError`] with the item, once the queue is closed.
    ///
    /// # Cancel safety
    /// Dropped before it is ready, the future has put nothing, and drops `item` with it.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::bounded(1);
    /// whirligig::run(async { queue.put("letter").await.unwrap() });
    /// assert!(queue.is_full());
    /// ```
    #[doc(alias = "send")]
    #[inline]
    #[track_caller]
    pub fn put(&self, item: T) -> Put<'_, T> {
        Put { queue: self, item: Some(item), stage: Stage::New, place: Location::caller() }
    }

    /// Takes the first item, as soon as there is one that nobody before has been promised. See
    /// [`get`](super::Queue::get).
    ///
    /// # Errors
    /// [`GetError`] once the queue is closed and nothing is left in it.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has taken nothing.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(7).unwrap();
    /// whirligig::run(async { assert_eq!(queue.get().await, Ok(7)) });
    /// ```
    #[doc(alias = "recv")]
    #[inline]
    #[track_caller]
    pub fn get(&self) -> Get<'_, T> {
        Get { queue: self, stage: Stage::New, place: Location::caller() }
    }

    /// Puts `item` at the end if there is room now. See [`try_put`](super::Queue::try_put).
    ///
    /// # Errors
    /// [`TryPutError::Full`] or [`TryPutError::Closed`], with the item.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.close();
    /// assert_eq!(queue.try_put(2).unwrap_err().into_inner(), 2);
    /// ```
    #[doc(alias("put_nowait", "try_send"))]
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        let put = self.core().try_put(item);
        put.map(|wakes| wakes.wake())
    }

    /// Takes the first item if there is one now. See [`try_get`](super::Queue::try_get).
    ///
    /// # Errors
    /// [`TryGetError::Empty`] or [`TryGetError::Closed`].
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.try_get(), Ok(1));
    /// ```
    #[doc(alias("get_nowait", "try_recv"))]
    #[inline]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        let got = self.core().try_get();
        got.map(|(item, wakes)| {
            wakes.wake();
            item
        })
    }

    /// Says that the work on one item is done. See [`task_done`](super::Queue::task_done).
    ///
    /// # Panics
    /// If called more often than items were put: asyncio's `ValueError`.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put("job").unwrap();
    /// queue.task_done();
    /// assert_eq!(queue.unfinished(), 0);
    /// ```
    #[track_caller]
    pub fn task_done(&self) {
        let done = self.core().task_done();
        done.expect(TOO_OFTEN).wake();
    }

    /// Waits until no item is unfinished. See [`join`](super::Queue::join).
    ///
    /// *Cancel safety*: nothing is lost by dropping it.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put("job").unwrap();
    /// queue.task_done();
    /// whirligig::run(async { queue.join().await });
    /// ```
    #[inline]
    #[track_caller]
    pub fn join(&self) -> Join<'_, T> {
        Join { queue: self, stage: Stage::New, place: Location::caller() }
    }

    /// Closes the queue: what is in it can still be got, nothing more comes in. See
    /// [`close`](super::Queue::close).
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// queue.close();
    /// assert!(queue.try_put(2).is_err());
    /// assert_eq!(queue.try_get(), Ok(1));
    /// ```
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        let wakes = self.core().close();
        wakes.wake();
    }

    /// Closes the queue and drops what is in it. See [`close_now`](super::Queue::close_now).
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// queue.close_now();
    /// assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    /// ```
    #[doc(alias = "shutdown")]
    pub fn close_now(&self) {
        let (items, wakes) = self.core().close_now();
        wakes.wake();
        drop(items);
    }

    /// Whether the queue was closed. Items may be left.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::<u8>::unbounded();
    /// queue.close();
    /// assert!(queue.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.core().is_closed()
    }

    /// Items in the queue, those promised to a woken `get` included.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.len(), 1);
    /// ```
    #[doc(alias = "qsize")]
    #[inline]
    pub fn len(&self) -> usize {
        self.core().len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(whirligig::queue::local::Queue::<u8>::unbounded().is_empty());
    /// ```
    #[doc(alias = "empty")]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.core().len() == 0
    }

    /// Whether there are as many items as the capacity allows. See
    /// [`is_full`](super::Queue::is_full).
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::bounded(1);
    /// queue.try_put(1).unwrap();
    /// assert!(queue.is_full());
    /// ```
    #[doc(alias = "full")]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.core().is_full()
    }

    /// The most items the queue holds; `None` if unbounded.
    ///
    /// ```
    /// assert_eq!(whirligig::queue::local::Queue::<u8>::bounded(3).capacity(), Some(3));
    /// ```
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        self.core().capacity()
    }

    /// Items put for which [`task_done`](Self::task_done) has not been called.
    ///
    /// ```
    /// let queue = whirligig::queue::local::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.unfinished(), 1);
    /// ```
    pub fn unfinished(&self) -> usize {
        self.core().unfinished()
    }

    /// The queue's numbers, all of one moment. See [`Stats`].
    pub fn stats(&self) -> Stats {
        self.core().stats()
    }

    /// One visit to the core. Nothing foreign runs while it lasts.
    #[inline]
    fn core(&self) -> RefMut<'_, Core<T>> {
        self.core.borrow_mut()
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Queue").field(&self.stats()).finish()
    }
}

/// The future of [`Queue::put`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Put<'a, T> {
    queue: &'a Queue<T>,
    item: Option<T>,
    stage: Stage,
    place: &'static Location<'static>,
}

// The item is moved in and out, never pinned.
impl<T> Unpin for Put<'_, T> {}

impl<T> Put<'_, T> {
    /// The way of a full queue. Not inlined, so that the way of a ready one is.
    #[inline(never)]
    fn wait(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), PutError<T>>> {
        let Self { queue, item, stage, place } = self;
        let offer = Offer::new(cx, stage, false);
        poll_in_line(offer, WaitsFor::Room, place, |offer| queue.core().put(stage, item, offer))
    }

    #[inline(never)]
    fn cancel(&mut self, key: WaitKey) {
        let (waker, wakes) = self.queue.core().cancel_put(key);
        wakes.wake();
        drop(waker);
    }
}

impl<T> Future for Put<'_, T> {
    type Output = Result<(), PutError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(this_poll::poll_budget(cx, this.place));
        if let Stage::New = this.stage {
            let mut core = this.queue.core();
            if this.item.is_some() && core.may_push() {
                let wakes = core.push(&mut this.item);
                drop(core);
                wakes.wake();
                this.stage = Stage::Done;
                this_poll::charge();
                return Poll::Ready(Ok(()));
            }
        }
        this.wait(cx)
    }
}

impl<T> Drop for Put<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.cancel(key);
        }
    }
}

impl<T> fmt::Debug for Put<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Put").field("place", self.place).finish_non_exhaustive()
    }
}

/// The future of [`Queue::get`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Get<'a, T> {
    queue: &'a Queue<T>,
    stage: Stage,
    place: &'static Location<'static>,
}

impl<T> Get<'_, T> {
    /// The way of an empty queue, or of a `get` that concerns others too: there `is_there` an item. Not
    /// inlined, so that the common way is.
    #[inline(never)]
    fn wait(&mut self, cx: &mut Context<'_>, is_there: bool) -> Poll<Result<T, GetError>> {
        let Self { queue, stage, place } = self;
        let offer = Offer::new(cx, stage, is_there);
        poll_in_line(offer, WaitsFor::Item, place, |offer| queue.core().get(stage, offer))
    }

    #[inline(never)]
    fn cancel(&mut self, key: WaitKey) {
        let (waker, wakes) = self.queue.core().cancel_get(key);
        wakes.wake();
        drop(waker);
    }
}

impl<T> Future for Get<'_, T> {
    type Output = Result<T, GetError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(this_poll::poll_budget(cx, this.place));
        let mut is_there = false;
        if let Stage::New = this.stage {
            let mut core = this.queue.core();
            is_there = core.may_take();
            if is_there && core.is_quiet() {
                let item = core.pop();
                this.stage = Stage::Done;
                this_poll::charge();
                return Poll::Ready(Ok(item));
            }
        }
        this.wait(cx, is_there)
    }
}

impl<T> Drop for Get<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.cancel(key);
        }
    }
}

impl<T> fmt::Debug for Get<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Get").field("place", self.place).finish_non_exhaustive()
    }
}

/// The future of [`Queue::join`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Join<'a, T> {
    queue: &'a Queue<T>,
    stage: Stage,
    place: &'static Location<'static>,
}

impl<T> Future for Join<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { queue, stage, place } = self.get_mut();
        ready!(this_poll::poll_budget(cx, place));
        if let Stage::New = stage
            && queue.unfinished() == 0
        {
            *stage = Stage::Done;
            this_poll::charge();
            return Poll::Ready(());
        }
        let offer = Offer::new(cx, stage, false);
        poll_in_line(offer, WaitsFor::QueueDone, place, |offer| queue.core().join(stage, offer))
    }
}

impl<T> Drop for Join<'_, T> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waker = self.queue.core().cancel_join(key);
            drop(waker);
        }
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("place", self.place).finish_non_exhaustive()
    }
}
