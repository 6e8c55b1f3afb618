//! `shield`: work that goes on when the one that waits for it is cancelled.
//!
//! A task is shielded already: to drop a handle ends a wait and nothing else. So a shield is a spawned task, awaited in
//! such a way that its output and its panic come through as if the future were awaited here.

use std::{
    fmt,
    future::Future,
    panic::{Location, resume_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::engine::{
    current,
    task::{join::JoinHandle, spawned::NewTask},
};

/// Runs a future as a task of its own, and waits for it: cancelled, the wait ends and the future goes on.
/// `asyncio.shield`.
///
/// For a step that must not be left half-done, such as a write that was begun. It begins at once, whether or
/// not it is awaited. Its output is given as by awaiting it. Nothing waits for it any more once the wait was
/// dropped, and a loop or runtime that ends drops it like any other task.
///
/// The handle of a task needs no shield: awaiting it shields the task. (A
/// [`cancel_on_drop`](JoinHandle::cancel_on_drop) handle is the opposite.)
///
/// *Cancel safety*: dropped, it loses the output, and the future goes on.
///
/// # Panics
/// If no runtime runs this thread. Awaiting it panics if the future does, with the same payload; and if the loop or
/// runtime of the future ends before it.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{sync::Event, task::{self, yield_now}, time::{sleep, timeout}};
/// use std::sync::Arc;
///
/// whirligig::run(async {
///     let saved = Arc::new(Event::new());
///     let save = {
///         let saved = saved.clone();
///         async move {
///             sleep(Duration::from_millis(2)).await;
///             saved.set();
///         }
///     };
///     assert!(timeout(Duration::ZERO, task::shield(save)).await.is_err(), "the wait was cut short");
///     saved.wait().await; // but not the work
/// });
/// ```
#[track_caller]
pub fn shield<F>(future: F) -> Shield<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let new = NewTask::new(future, None, Location::caller());
    Shield { handle: current::spawn("`shield`", new) }
}

/// As [`shield`], for a future that need not be `Send`: on an event loop.
///
/// # Panics
/// If no event loop runs this thread; and as [`shield`].
///
/// ```
/// use std::rc::Rc;
/// use whirligig::task;
///
/// whirligig::run(async {
///     let shared = Rc::new(7);
///     assert_eq!(task::shield_local(async move { *shared }).await, 7);
/// });
/// ```
#[track_caller]
#[doc(alias = "shield")]
pub fn shield_local<F>(future: F) -> Shield<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let new = NewTask::local(future, None, Location::caller());
    Shield { handle: current::spawn_local("`shield_local`", new) }
}

/// The future of [`shield`] and [`shield_local`]. It waits; the shielded future runs without it.
#[must_use = "dropped at once, it lets the shielded future go on unawaited: `spawn` says that better"]
pub struct Shield<T> {
    handle: JoinHandle<T>,
}

impl<T> Future for Shield<T> {
    type Output = T;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let error = match ready!(Pin::new(&mut self.handle).poll(cx)) {
            Ok(output) => return Poll::Ready(output),
            Err(error) => error,
        };
        match error.try_into_panic() {
            Ok(payload) => resume_unwind(payload),
            Err(cancelled) => {
                panic!("a shielded future has no output, for its runtime ended: {cancelled}")
            }
        }
    }
}

impl<T> fmt::Debug for Shield<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shield").field("handle", &self.handle).finish()
    }
}
