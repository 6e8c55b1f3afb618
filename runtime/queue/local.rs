//! The async queue for the tasks of one thread: no lock, no atomic operation.
//!
//! Names, and nothing else: the struct and its futures are those of the thread-safe queue, in the other
//! shell.

use super::{
    futures,
    generic::{GenericQueue, Local},
    order::{Fifo, Lifo, Priority},
};

/// A first-in, first-out queue between tasks of one thread.
///
/// Share it by reference, or in an [`Rc`](std::rc::Rc). It is the thread-safe
/// [`Queue`](super::Queue) without its lock: order, cancel safety, memory, borrowing, errors and panics are
/// the same, method by method.
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
#[doc(alias("channel", "mpsc", "deque"))]
pub type Queue<T> = GenericQueue<T, Local>;

/// A last-in, first-out queue between tasks of one thread: the thread-safe [`LifoQueue`](super::LifoQueue) without its lock.
///
/// ```
/// let queue = whirligig::queue::local::LifoQueue::unbounded();
/// queue.try_put(1).unwrap();
/// queue.try_put(2).unwrap();
/// assert_eq!((queue.try_get(), queue.try_get()), (Ok(2), Ok(1)));
/// ```
#[doc(alias("stack", "deque"))]
pub type LifoQueue<T> = GenericQueue<T, Local, Lifo>;

/// A queue of which the smallest item leaves first, between tasks of one thread: the thread-safe
/// [`PriorityQueue`](super::PriorityQueue) without its lock. An `Ord` that uses its own queue panics here.
///
/// ```
/// let queue = whirligig::queue::local::PriorityQueue::unbounded();
/// queue.try_put(2).unwrap();
/// queue.try_put(1).unwrap();
/// assert_eq!((queue.try_get(), queue.try_get()), (Ok(1), Ok(2)));
/// ```
#[doc(alias("heapq", "BinaryHeap"))]
pub type PriorityQueue<T> = GenericQueue<T, Local, Priority>;

/// The future of [`Queue::put`].
pub type Put<'a, T, O = Fifo> = futures::Put<'a, T, Local, O>;

/// The future of [`Queue::get`].
pub type Get<'a, T, O = Fifo> = futures::Get<'a, T, Local, O>;

/// The future of [`Queue::join`].
pub type Join<'a, T, O = Fifo> = futures::Join<'a, T, Local, O>;
