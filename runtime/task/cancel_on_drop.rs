//! A join handle that cancels its task when it is dropped.
//!
//! A task goes on when its handle is dropped, as in asyncio and tokio. Where it should not, because what awaits it is
//! cancelled or stops at the first error, this is the handle to give.
//!
//! **Alternative:** to have the handle cancel always, as smol's does. Then `spawn` without a variable for the handle
//! would be a task that ends at once.

use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use crate::engine::task::join::{JoinError, JoinHandle};

/// A [`JoinHandle`] that cancels its task when it is dropped. From [`JoinHandle::cancel_on_drop`].
///
/// It is awaited, asked and cancelled as that is. The task is dropped at its own loop's next opportunity, not
/// within the drop of this handle: a group or a scope waits until it is gone.
///
/// ```
/// use std::future::pending;
/// use whirligig::{spawn, task::yield_now};
///
/// whirligig::run(async {
///     let task = spawn(pending::<()>()).cancel_on_drop();
///     let watch = task.cancel_handle();
///     drop(task);
///     while !watch.is_finished() {
///         yield_now().await;
///     }
/// });
/// ```
#[derive(Debug)]
#[doc(alias = "AbortOnDropHandle")]
#[must_use = "dropped, it cancels the task"]
pub struct CancelOnDrop<T> {
    /// `None` only while it is taken apart.
    handle: Option<JoinHandle<T>>,
}

impl<T> JoinHandle<T> {
    /// This handle, cancelling the task when it is dropped. See [`CancelOnDrop`].
    #[doc(alias = "AbortOnDropHandle")]
    pub fn cancel_on_drop(self) -> CancelOnDrop<T> {
        CancelOnDrop { handle: Some(self) }
    }
}

const IN_IT: &str = "the handle is in it until it is dropped";

impl<T> CancelOnDrop<T> {
    /// The plain handle again.
    #[doc(alias = "detach")]
    pub fn into_handle(mut self) -> JoinHandle<T> {
        self.handle.take().expect(IN_IT)
    }
}

impl<T> Deref for CancelOnDrop<T> {
    type Target = JoinHandle<T>;

    fn deref(&self) -> &JoinHandle<T> {
        self.handle.as_ref().expect(IN_IT)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        if let Some(handle) = &self.handle {
            handle.cancel();
        }
    }
}

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, JoinError>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(self.handle.as_mut().expect(IN_IT)).poll(cx)
    }
}
