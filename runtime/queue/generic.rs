//! The async queue: one struct, in a shell for one thread or for many, with its items in one of three orders.
//!
//! [`Queue`] and [`local::Queue`](super::local::Queue) are [`GenericQueue`] in a `Mutex` and in a `RefCell`. Every method is one
//! visit to the core behind it, in which no user code runs (but the `Ord` of what is in a priority queue): what the visit leaves to be woken or dropped
//! is woken and dropped after it, each by itself. So a waker, or an item's `Drop`, may call anything on the
//! very same queue, and one that panics is reported and harms nothing else.
//!
//! **Alternative:** two structs, line by line alike. The compiler's messages would be shorter by a
//! parameter, and each change made twice. Or one thread-safe queue for all: a local one needs no atomic
//! operation, and may hold items that are not `Send`. Or a lock-free list in place of the lock: it saves
//! one atomic operation of two while threads do not meet, and costs the capacity, the order of waiters
//! and the exact cancellation.

use std::{
    cell::RefCell,
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
};

use super::{
    core::{QueueCore, Stats, TOO_OFTEN},
    error::{TryGetError, TryPutError},
    order::{Fifo, Lifo, Order, Priority},
};
use crate::engine::{
    base::primitives::{
        Mutex,
        counter::{AtomicU64, Relaxed},
    },
    waiting::shell::Shell,
};

/// Between which tasks a [`GenericQueue`] is shared: [`Shared`] or [`Local`]. There is no third.
pub trait Sharing: sealed::Sealed {}

/// Between tasks on any thread: the queue is behind a lock.
#[derive(Debug)]
pub enum Shared {}

/// Between tasks of one thread: no lock and no atomic operation.
#[derive(Debug)]
pub enum Local {}

impl Sharing for Shared {}
impl Sharing for Local {}

mod sealed {
    use super::{Local, Mutex, RefCell, Shared, Shell};

    pub trait Sealed {
        /// The shell around a core.
        type Around<C>: Shell<C>;
    }

    impl Sealed for Shared {
        type Around<C> = Mutex<C>;
    }

    impl Sealed for Local {
        type Around<C> = RefCell<C>;
    }
}

/// A first-in, first-out queue between tasks, on one thread or on many.
///
/// Between the tasks of one event loop [`local::Queue`](super::local::Queue) does the same without a lock. The same with its items in
/// another order: [`LifoQueue`], [`PriorityQueue`].
///
/// **Sharing.** By reference, or in an [`Arc`](std::sync::Arc): `let queue = Arc::new(Queue::bounded(8))`, and `queue.clone()` for each task.
/// The queue is not `Clone` itself: an `Arc` inside would cost what one outside does, an allocation and a load in each call,
/// and cost it also where tasks of a scope borrow the queue.
///
/// **Order.** Items leave in the order in which they came. Futures that wait are served in the order in which
/// they were first polled, and nothing overtakes them: an item that comes while a `get` waits is promised to it, and
/// neither [`try_get`](GenericQueue::try_get) nor a later `get` can have it. So is room to a waiting `put`.
///
/// **Budget.** A task that has done 128 ready operations in one poll gives way: what it awaits then does not look
/// at the queue, and begins to wait only in its next poll. So `now_or_never` may find a queue not ready that is;
/// [`try_get`](GenericQueue::try_get) and [`try_put`](GenericQueue::try_put) have no budget.
///
/// **Cancel safety.** A future that is dropped while it waits gives its turn up. If it had been woken already, what
/// it was woken for goes to the next: no item, no room and no wake is lost. A [`Put`](super::Put) that is dropped before it is
/// ready drops the item it holds; see [`put`](GenericQueue::put).
///
/// **Memory** follows the items: what a burst took goes back as it is worked off, but for some kilobytes. A
/// waiting future that is leaked keeps its turn.
///
/// **Panics** of an item's `Drop` in [`close_now`](GenericQueue::close_now), or when the queue is dropped, are
/// reported on the standard error, and the other items are dropped all the same. So are those of wakers.
///
/// **Borrowing.** What items borrow must live longer than the queue, so it is declared before it:
/// ```compile_fail,E0597
/// let queue = whirligig::queue::Queue::unbounded();
/// let text = String::from("letter");
/// queue.try_put(&text).unwrap(); // `text` does not live long enough
/// ```
///
/// ```
/// use whirligig::queue::Queue;
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
#[doc(alias("channel", "mpsc", "queue.Queue", "SimpleQueue", "deque"))]
pub type Queue<T> = GenericQueue<T, Shared>;

/// A last-in, first-out queue between tasks, on one thread or on many: asyncio's and `queue`'s `LifoQueue`.
///
/// It is a [`Queue`] in all but the order of its items: the one that came last leaves first. What waits is
/// served first come, first served here too; a `get` that was woken takes the item that is the last when it is polled.
///
/// ```
/// let queue = whirligig::queue::LifoQueue::unbounded();
/// queue.try_put(1).unwrap();
/// queue.try_put(2).unwrap();
/// assert_eq!((queue.try_get(), queue.try_get()), (Ok(2), Ok(1)));
/// ```
#[doc(alias("stack", "queue.LifoQueue", "deque"))]
pub type LifoQueue<T> = GenericQueue<T, Shared, Lifo>;

/// A queue of which the smallest item leaves first, between tasks, on one thread or on many: asyncio's and `queue`'s
/// `PriorityQueue`.
///
/// It is a [`Queue`] in all but the order of its items. The smallest is first, as Python's `heapq` has it
/// ([`Reverse`](std::cmp::Reverse) has the greatest first), and of equal items the one that came first: in Python equal items leave
/// in any order. What waits is served first come, first served; a `get` that was woken takes the item that is
/// the smallest when it is polled. A `put` and a `get` take a time that grows with the logarithm of the length.
///
/// Items are compared by their `Ord`: tuples with the priority in front, or [`Prioritized`](super::Prioritized), which compares nothing but its
/// priority. It is the one piece of user code that runs while the queue is locked. So it must not use the same
/// queue: the thread would wait for itself for ever. If it panics, that is reported, and the two items count as equal.
///
/// ```
/// let queue = whirligig::queue::PriorityQueue::unbounded();
/// for job in [(2, "code"), (1, "eat"), (3, "sleep")] {
///     queue.try_put(job).unwrap();
/// }
/// assert_eq!(queue.try_get(), Ok((1, "eat")));
/// ```
#[doc(alias("heapq", "BinaryHeap", "queue.PriorityQueue"))]
pub type PriorityQueue<T> = GenericQueue<T, Shared, Priority>;

/// The struct behind [`Queue`] and [`local::Queue`](super::local::Queue), which are told there, and behind the queues of the other orders.
///
/// Name it to write what serves them all:
///
/// ```
/// use whirligig::queue::{GenericQueue, LifoQueue, Order, Sharing, local};
///
/// /// Takes all that is there now.
/// fn drain<T, S: Sharing, O: Order<T>>(queue: &GenericQueue<T, S, O>) -> Vec<T> {
///     std::iter::from_fn(|| queue.try_get().ok()).collect()
/// }
///
/// let (local, shared) = (local::Queue::unbounded(), LifoQueue::unbounded());
/// for n in [1, 2] {
///     local.try_put(n).unwrap();
///     shared.try_put(n).unwrap();
/// }
/// assert_eq!((drain(&local), drain(&shared)), (vec![1, 2], vec![2, 1]));
/// ```
pub struct GenericQueue<T, S: Sharing, O: Order<T> = Fifo> {
    /// Beside the shell: to name the queue, nothing is opened.
    id: u64,
    core: S::Around<QueueCore<T, O>>,
}

/// A queue of any items, in any shell and order, for what holds one behind a pointer of any kind.
///
/// It is `pub` to bound public types. No other crate can name it, so none implements it.
#[allow(unreachable_pub)]
pub trait AnyQueue {
    /// What is in the queue.
    type Item;
    /// Its shell.
    type Sharing: Sharing;
    /// In which order its items leave.
    type Order: Order<Self::Item>;

    /// The queue itself.
    fn generic(&self) -> &GenericQueue<Self::Item, Self::Sharing, Self::Order>;
}

impl<T, S: Sharing, O: Order<T>> AnyQueue for GenericQueue<T, S, O> {
    type Item = T;
    type Sharing = S;
    type Order = O;

    #[inline]
    fn generic(&self) -> &Self {
        self
    }
}

/// The identity of the next queue. From 1 on.
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

// No panic finds the core half changed: no user code runs while it is open but comparisons, whose panics are caught.
impl<T, S: Sharing, O: Order<T>> UnwindSafe for GenericQueue<T, S, O> {}
impl<T, S: Sharing, O: Order<T>> RefUnwindSafe for GenericQueue<T, S, O> {}

impl<T, S: Sharing, O: Order<T>> GenericQueue<T, S, O> {
    /// A queue that always has room. Nothing is allocated before the first item.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.capacity(), None);
    /// ```
    #[doc(alias = "unbounded_channel")]
    pub fn unbounded() -> Self {
        Self::around(QueueCore::unbounded())
    }

    /// A queue that holds at most `capacity` items: a `put` waits while it is full. Memory is
    /// allocated as items come. A capacity of `usize::MAX` is unbounded.
    ///
    /// # Panics
    /// If `capacity` is 0: asyncio's `maxsize=0` is [`unbounded`](Self::unbounded).
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::bounded(1);
    /// queue.try_put('a').unwrap();
    /// assert!(queue.try_put('b').is_err());
    /// ```
    #[doc(alias = "maxsize")]
    #[track_caller]
    pub fn bounded(capacity: usize) -> Self {
        Self::around(QueueCore::bounded(capacity))
    }

    fn around(core: QueueCore<T, O>) -> Self {
        Self { id: NEXT_ID.fetch_add(1, Relaxed), core: S::Around::around(core) }
    }

    /// Puts `item` in if there is room now.
    ///
    /// # Errors
    /// [`TryPutError::Full`] or [`TryPutError::Closed`], with the item.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.close();
    /// assert_eq!(queue.try_put(2).unwrap_err().into_inner(), 2);
    /// ```
    #[doc(alias("put_nowait", "try_send"))]
    #[inline]
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        let put = self.open().try_put(item);
        put.map(|wakes| wakes.wake())
    }

    /// Takes the first item if there is one now.
    ///
    /// # Errors
    /// [`TryGetError::Empty`] if there is none, or none that is not promised;
    /// [`TryGetError::Closed`] if none is left and none will come.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.try_get(), Ok(1));
    /// ```
    #[doc(alias("get_nowait", "try_recv"))]
    #[inline]
    pub fn try_get(&self) -> Result<T, TryGetError> {
        let got = self.open().try_get();
        got.map(|(item, wakes)| {
            wakes.wake();
            item
        })
    }

    /// Says that the work on one item is done, as [`join`](Self::join) waits to hear for each.
    ///
    /// # Panics
    /// If called more often than items were put: asyncio's `ValueError`.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put("job").unwrap();
    /// queue.task_done();
    /// assert_eq!(queue.unfinished(), 0);
    /// ```
    #[track_caller]
    pub fn task_done(&self) {
        let done = self.open().task_done();
        done.expect(TOO_OFTEN).wake();
    }

    /// Closes the queue: nothing more comes in. What is in it can still be got, then `get` ends with
    /// an error. A `put` that waits, and every later one, gets its item back. asyncio's `shutdown`.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// queue.close();
    /// assert_eq!(queue.try_get(), Ok(1));
    /// ```
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        let wakes = self.open().close();
        wakes.wake();
    }

    /// Closes the queue and drops what is in it: asyncio's `shutdown(immediate=True)`. Every waiting
    /// `get` ends with an error, also a promised one. The dropped items count as finished.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// queue.close_now();
    /// assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    /// ```
    #[doc(alias = "shutdown")]
    pub fn close_now(&self) {
        let (items, wakes) = self.open().close_now();
        wakes.wake();
        drop(items);
    }

    /// Whether the queue was closed. Items may be left.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::<u8>::unbounded();
    /// queue.close();
    /// assert!(queue.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.open().is_closed()
    }

    /// Items in the queue, those promised to a woken `get` included.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.len(), 1);
    /// ```
    #[doc(alias = "qsize")]
    #[inline]
    pub fn len(&self) -> usize {
        self.open().len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(whirligig::queue::Queue::<u8>::unbounded().is_empty());
    /// ```
    #[doc(alias = "empty")]
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.open().len() == 0
    }

    /// Whether [`len`](Self::len) is the capacity. If not, the room may still be promised to others.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::bounded(1);
    /// queue.try_put(1).unwrap();
    /// assert!(queue.is_full());
    /// ```
    #[doc(alias = "full")]
    #[inline]
    pub fn is_full(&self) -> bool {
        self.open().is_full()
    }

    /// The most items the queue holds; `None` if unbounded.
    ///
    /// ```
    /// assert_eq!(whirligig::queue::Queue::<u8>::bounded(3).capacity(), Some(3));
    /// ```
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        self.open().capacity()
    }

    /// Items put for which [`task_done`](Self::task_done) has not been called.
    ///
    /// ```
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.try_put(1).unwrap();
    /// assert_eq!(queue.unfinished(), 1);
    /// ```
    pub fn unfinished(&self) -> usize {
        self.open().unfinished()
    }

    /// The queue's numbers, all of one moment. See [`Stats`].
    pub fn stats(&self) -> Stats {
        self.open().stats()
    }

    /// The identity by which reports name this queue, which no other has or will have.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// One visit to the core. No user code runs while it lasts.
    #[inline]
    pub(super) fn open(&self) -> <S::Around<QueueCore<T, O>> as Shell<QueueCore<T, O>>>::Open<'_> {
        self.core.open()
    }
}

/// Shows the queue's identity and its numbers, and asks nothing of the items.
impl<T, S: Sharing, O: Order<T>> fmt::Debug for GenericQueue<T, S, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple(O::NAME).field(&self.id()).field(&self.stats()).finish()
    }
}
