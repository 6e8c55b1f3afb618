//! What plain threads call: Python's `queue.Queue`.
//!
//! A thread puts and gets as a task does, and waits in the same line: each method here is a future of `futures.rs`,
//! polled by the thread, which parks in between (`engine/waiting/thread.rs`). Before that each tries without waiting,
//! for a future's waker must be made, and mostly is not needed.
//!
//! Only the thread-safe queues have them. A local queue's other tasks are on this very thread, which would stop them.
//!
//! The models of `tests/models/queue.rs` have threads that poll these same futures, and park by loom's means; they
//! cannot have these methods, for loom knows nothing of std's `park`.
//!
//! **Alternative:** a second queue for threads, as Python has it, and as std has `mpsc`. Then a thread and a task could
//! not work on the same items.

use std::time::{Duration, Instant};

use super::{
    error::{GetError, PutError, TryGetError, TryPutError},
    generic::{GenericQueue, Shared},
    order::Order,
};
use crate::engine::waiting::thread::{wait_on_thread, wait_on_thread_until};

/// What to do instead, after what this would wait for.
macro_rules! advice {
    ($waits:literal, $await:literal) => {
        concat!(
            $waits,
            ", and to wait here would block the event loop or the worker that this thread runs: await `",
            $await,
            "`, or wait inside `task::spawn_blocking` (on a `Runtime` also `task::block_in_place`)"
        )
    };
}

const AWAIT_PUT: &str = advice!("the queue is full", "put");
const AWAIT_GET: &str = advice!("the queue has no item to give", "get");
const AWAIT_JOIN: &str = advice!("items of the queue are unfinished", "join");

/// For plain threads. The thread waits in the same line as the tasks do.
impl<T, O: Order<T>> GenericQueue<T, Shared, O> {
    /// Puts `item` in, and blocks this thread until there is room.
    ///
    /// # Errors
    /// [`PutError`] with the item, if the queue is closed or is closed while this waits.
    ///
    /// # Panics
    /// If there is no room inside a task, or in anything else that an event loop or a worker calls: it would
    /// stop the tasks that make room. Await [`put`](Self::put) there.
    ///
    /// ```
    /// use std::thread;
    ///
    /// let queue = whirligig::queue::Queue::bounded(1);
    /// thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         for n in 1..=3 {
    ///             queue.put_blocking(n).unwrap(); // waits while one is in the queue
    ///         }
    ///         queue.close();
    ///     });
    ///     let sum = whirligig::run(async {
    ///         let mut sum = 0;
    ///         while let Ok(n) = queue.get().await {
    ///             sum += n;
    ///         }
    ///         sum
    ///     });
    ///     assert_eq!(sum, 6);
    /// });
    /// ```
    #[doc(alias("blocking_send", "send_blocking", "put"))]
    #[track_caller]
    pub fn put_blocking(&self, item: T) -> Result<(), PutError<T>> {
        match self.try_put(item) {
            Ok(()) => Ok(()),
            Err(TryPutError::Closed(item)) => Err(PutError(item)),
            Err(TryPutError::Full(item)) => wait_on_thread(AWAIT_PUT, self.put(item)),
        }
    }

    /// [`put_blocking`](Self::put_blocking), but for no longer than `timeout`: Python's `put(item, timeout=...)`.
    ///
    /// # Errors
    /// [`TryPutError::Full`] with the item, if there was no room in that time;
    /// [`TryPutError::Closed`] with the item, if the queue is closed.
    ///
    /// # Panics
    /// As [`put_blocking`](Self::put_blocking), unless `timeout` is 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use whirligig::queue::{Queue, TryPutError};
    ///
    /// let queue = Queue::bounded(1);
    /// queue.put_blocking(1).unwrap();
    /// let refused = queue.put_timeout(2, Duration::from_millis(1));
    /// assert_eq!(refused, Err(TryPutError::Full(2)));
    /// ```
    #[doc(alias("send_timeout", "put"))]
    #[track_caller]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), TryPutError<T>> {
        let deadline = Instant::now().checked_add(timeout);
        let item = match self.try_put(item) {
            Err(TryPutError::Full(item)) => item,
            done => return done,
        };
        let mut put = self.put(item);
        match wait_on_thread_until(AWAIT_PUT, deadline, &mut put) {
            Some(Ok(())) => Ok(()),
            Some(Err(PutError(item))) => Err(TryPutError::Closed(item)),
            None => Err(TryPutError::Full(put.take_item().expect("it was not put"))),
        }
    }

    /// Takes the first item, and blocks this thread until there is one that is not promised to an earlier `get`.
    ///
    /// # Errors
    /// [`GetError`] once the queue is closed and nothing is left in it, not even for others.
    ///
    /// # Panics
    /// If there is no such item inside a task, or in anything else that an event loop or a worker calls:
    /// it would stop the tasks that put one in. Await [`get`](Self::get) there.
    ///
    /// ```
    /// use std::{sync::Arc, thread};
    ///
    /// let queue = Arc::new(whirligig::queue::Queue::bounded(8));
    /// let consumer = thread::spawn({
    ///     let queue = queue.clone();
    ///     move || {
    ///         let mut sum = 0;
    ///         while let Ok(n) = queue.get_blocking() {
    ///             sum += n;
    ///         }
    ///         sum
    ///     }
    /// });
    /// for n in 1..=100 {
    ///     queue.put_blocking(n).unwrap();
    /// }
    /// queue.close();
    /// assert_eq!(consumer.join().unwrap(), 5050);
    /// ```
    #[doc(alias("blocking_recv", "recv_blocking", "get"))]
    #[track_caller]
    pub fn get_blocking(&self) -> Result<T, GetError> {
        match self.try_get() {
            Ok(item) => Ok(item),
            Err(TryGetError::Closed) => Err(GetError),
            Err(TryGetError::Empty) => wait_on_thread(AWAIT_GET, self.get()),
        }
    }

    /// [`get_blocking`](Self::get_blocking), but for no longer than `timeout`: Python's `get(timeout=...)`.
    ///
    /// # Errors
    /// [`TryGetError::Empty`], if there was no item in that time, or none that was not promised;
    /// [`TryGetError::Closed`] once the queue is closed and nothing is left in it.
    ///
    /// # Panics
    /// As [`get_blocking`](Self::get_blocking), unless `timeout` is 0.
    ///
    /// ```
    /// use std::time::Duration;
    /// use whirligig::queue::{Queue, TryGetError};
    ///
    /// let queue = Queue::<u8>::unbounded();
    /// let nothing = queue.get_timeout(Duration::from_millis(1));
    /// assert_eq!(nothing, Err(TryGetError::Empty));
    /// ```
    #[doc(alias("recv_timeout", "get"))]
    #[track_caller]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, TryGetError> {
        let deadline = Instant::now().checked_add(timeout);
        match self.try_get() {
            Err(TryGetError::Empty) => {}
            done => return done,
        }
        match wait_on_thread_until(AWAIT_GET, deadline, self.get()) {
            Some(got) => got.map_err(|GetError| TryGetError::Closed),
            None => Err(TryGetError::Empty),
        }
    }

    /// Blocks this thread until no item is unfinished; see [`join`](Self::join).
    ///
    /// # Panics
    /// If one is, inside a task, or in anything else that an event loop or a worker calls: it would stop the
    /// tasks that work on the items. Await [`join`](Self::join) there.
    ///
    /// ```
    /// use std::thread;
    ///
    /// let queue = whirligig::queue::Queue::unbounded();
    /// queue.put_blocking("job").unwrap();
    /// thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let _job = queue.get_blocking().unwrap();
    ///         queue.task_done();
    ///     });
    ///     queue.join_blocking();
    ///     assert_eq!(queue.unfinished(), 0);
    /// });
    /// ```
    #[doc(alias = "join")]
    #[track_caller]
    pub fn join_blocking(&self) {
        if self.unfinished() != 0 {
            wait_on_thread(AWAIT_JOIN, self.join());
        }
    }
}
