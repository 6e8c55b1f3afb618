//! The outcomes of many calls, each as soon as it is there.
//!
//! Tasks have `task::as_completed` for any futures, calls among them. This is its iterator, for plain threads.

use std::fmt;

use super::call::{CallError, CallHandle, RESULT_ADVICE};
use crate::{engine::waiting::thread::wait_on_thread, task};

/// The outcomes of `calls` in the order in which they end: an iterator for plain code. Python's
/// `concurrent.futures.as_completed`. Tasks have [`task::as_completed`].
///
/// An outcome does not say of which call it is: have the call return that as well, if it matters.
///
/// ```
/// use std::{thread, time::Duration};
/// use whirligig::executor::{ThreadPool, as_completed};
///
/// let pool = ThreadPool::new(3);
/// let calls = [90, 60, 30].map(|n| {
///     pool.submit(move || {
///         thread::sleep(Duration::from_millis(n));
///         n
///     })
/// });
/// let ended: Vec<u64> = as_completed(calls).map(Result::unwrap).collect();
/// assert_eq!(ended, [30, 60, 90]);
/// ```
pub fn as_completed<T>(calls: impl IntoIterator<Item = CallHandle<T>>) -> AsCompleted<T> {
    AsCompleted { calls: task::as_completed(calls) }
}

/// See [`as_completed`].
///
/// Dropping it lets the calls go on.
#[must_use = "the outcomes come as this is iterated over"]
pub struct AsCompleted<T> {
    calls: task::AsCompleted<CallHandle<T>>,
}

impl<T> Iterator for AsCompleted<T> {
    type Item = Result<T, CallError>;

    /// Blocks this thread until the next outcome is there. See [`CallHandle::result`].
    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        wait_on_thread(RESULT_ADVICE, self.calls.next())
    }
}

impl<T> fmt::Debug for AsCompleted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsCompleted").finish_non_exhaustive()
    }
}
