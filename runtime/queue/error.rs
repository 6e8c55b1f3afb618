//! What the async queue answers when it cannot do as asked. Both queues answer with these.
//!
//! An item that was not taken travels back inside the error, so that a closed or full queue never
//! costs its caller an item. The errors are printed without asking that the item be printable.

use std::{error::Error, fmt};

use crate::engine::base::error::debug_error;

/// The queue was closed, and here is the item back. The error of `put`.
///
/// ```
/// use whirligig::queue::{PutError, Queue};
///
/// whirligig::run(async {
///     let queue = Queue::unbounded();
///     queue.close();
///     let PutError(item) = queue.put("letter").await.unwrap_err();
///     assert_eq!(item, "letter");
/// });
/// ```
#[doc(alias = "SendError")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PutError<T>(pub T);

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("PutError", self, f)
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed")
    }
}

impl<T> Error for PutError<T> {}

/// The queue is closed, and nothing is left in it. The error of `get`.
///
/// ```
/// use whirligig::queue::{GetError, Queue};
///
/// whirligig::run(async {
///     let queue = Queue::unbounded();
///     queue.try_put(1).unwrap();
///     queue.close();
///     assert_eq!(queue.get().await, Ok(1));
///     assert_eq!(queue.get().await, Err(GetError));
/// });
/// ```
#[doc(alias = "RecvError")]
#[doc(alias = "QueueShutDown")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct GetError;

impl fmt::Debug for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("GetError", self, f)
    }
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue is closed and nothing is left in it")
    }
}

impl Error for GetError {}

/// Why `try_put` did not take the item, which is inside.
///
/// ```
/// use whirligig::queue::{Queue, TryPutError};
///
/// let queue = Queue::bounded(1);
/// queue.try_put("first").unwrap();
/// let refused = queue.try_put("second").unwrap_err();
/// assert_eq!(refused, TryPutError::Full("second"));
/// assert_eq!(refused.into_inner(), "second");
/// ```
#[doc(alias = "QueueFull")]
#[doc(alias = "TrySendError")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room, or what room there is has been promised to a `put` that waited for it.
    Full(T),
    /// The queue was closed.
    Closed(T),
}

impl<T> TryPutError<T> {
    /// The item that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        };
        debug_error(variant, self, f)
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::Closed(_) => "the queue is closed",
        })
    }
}

impl<T> Error for TryPutError<T> {}

/// Why `try_get` has no item.
///
/// ```
/// use whirligig::queue::{Queue, TryGetError};
///
/// let queue = Queue::<u8>::unbounded();
/// assert_eq!(queue.try_get(), Err(TryGetError::Empty));
/// queue.close();
/// assert_eq!(queue.try_get(), Err(TryGetError::Closed));
/// ```
#[doc(alias = "QueueEmpty")]
#[doc(alias = "TryRecvError")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryGetError {
    /// There is no item, or those there are have been promised to `get`s that waited for them.
    Empty,
    /// The queue is closed, and nothing is left in it.
    Closed,
}

impl fmt::Debug for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Empty => "Empty",
            Self::Closed => "Closed",
        };
        debug_error(variant, self, f)
    }
}

impl fmt::Display for TryGetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::Closed => "the queue is closed and nothing is left in it",
        })
    }
}

impl Error for TryGetError {}
