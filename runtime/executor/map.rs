//! One function for many values on a pool, with the outcomes in order.
//!
//! Calls are submitted as outcomes are taken, a few ahead: enough for all threads to have one in hand and one to
//! go on with.
//!
//! **Alternative:** Python's `Executor.map`, which submits all calls at once. A long source is then held in memory as
//! calls, and an endless one never returns.

use std::{
    collections::VecDeque,
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::call::{CallError, CallHandle};

/// The outcomes of [`ThreadPool::map`](super::ThreadPool::map), in the order of the values: an iterator for plain
/// code. Tasks take its [`stream`](Self::stream).
///
/// Dropping the map lets go of the calls that were submitted; those that have not begun are cancelled.
#[must_use = "calls are submitted as their outcomes are taken"]
pub struct Map<T> {
    /// Submits the next call.
    submit: Box<dyn Iterator<Item = CallHandle<T>> + Send>,
    /// Submitted calls whose outcomes were not taken.
    ahead: VecDeque<CallHandle<T>>,
    look_ahead: usize,
}

impl<T> Map<T> {
    pub(super) fn new(
        submit: impl Iterator<Item = CallHandle<T>> + Send + 'static,
        workers: usize,
    ) -> Self {
        let mut map =
            Self { submit: Box::new(submit), ahead: VecDeque::new(), look_ahead: 2 * workers };
        map.fill();
        map
    }

    /// How many calls may be submitted whose outcomes were not taken. The default is twice the number of workers.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    #[doc(alias("buffersize", "buffered"))]
    pub fn look_ahead(mut self, calls: usize) -> Self {
        assert!(calls != 0, "a map with no call ahead would never submit one");
        self.look_ahead = calls;
        self.fill();
        self
    }

    /// The same as a stream, for tasks.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use whirligig::executor::ThreadPool;
    ///
    /// let pool = ThreadPool::new(3);
    /// whirligig::run(async {
    ///     let mut squares = pool.map([3, 1, 2], |n| n * n).stream();
    ///     while let Some(square) = squares.next().await {
    ///         println!("{}", square?);
    ///     }
    ///     Ok::<(), whirligig::executor::CallError>(())
    /// })?;
    /// # Ok::<(), whirligig::executor::CallError>(())
    /// ```
    pub fn stream(self) -> MapStream<T> {
        MapStream { map: self }
    }

    fn fill(&mut self) {
        while self.ahead.len() < self.look_ahead {
            let Some(call) = self.submit.next() else { break };
            self.ahead.push_back(call);
        }
    }
}

impl<T> Iterator for Map<T> {
    type Item = Result<T, CallError>;

    /// Blocks this thread until the next outcome is there. See [`CallHandle::result`].
    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        self.ahead.pop_front().map(CallHandle::result)
    }
}

/// See [`Map::stream`].
///
/// *Cancel safety*: awaiting the next outcome and giving up loses nothing.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct MapStream<T> {
    map: Map<T>,
}

impl<T> Stream for MapStream<T> {
    type Item = Result<T, CallError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let map = &mut self.map;
        map.fill();
        let Some(first) = map.ahead.front_mut() else { return Poll::Ready(None) };
        let outcome = ready!(Pin::new(first).poll(cx));
        map.ahead.pop_front();
        Poll::Ready(Some(outcome))
    }
}

impl<T> Drop for Map<T> {
    fn drop(&mut self) {
        for call in &self.ahead {
            call.cancel();
        }
    }
}

impl<T> Unpin for Map<T> {}

impl<T> fmt::Debug for Map<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("ahead", &self.ahead)
            .field("look_ahead", &self.look_ahead)
            .finish_non_exhaustive()
    }
}
