//! The async queue for the tasks of one thread: no lock, no atomic operation.
//!
//! Names, and nothing else: the struct and its futures are those of the thread-safe queue, in the other
//! shell.

use super::{
    futures,
    generic::{GenericQueue, Local},
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
#[doc(alias("channel", "mpsc"))]
pub type Queue<T> = GenericQueue<T, Local>;

/// The future of [`Queue::put`].
pub type Put<'a, T> = futures::Put<'a, T, Local>;

/// The future of [`Queue::get`].
pub type Get<'a, T> = futures::Get<'a, T, Local>;

/// The future of [`Queue::join`].
pub type Join<'a, T> = futures::Join<'a, T, Local>;
