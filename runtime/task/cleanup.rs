//! A clean-up that awaits, also when what it is for is cancelled.
//!
//! Cancelling a future drops it, and a `Drop` cannot await. What has to be done then (close a connection with a
//! farewell, give a lease back) must go on without the future: as a task. [`with_cleanup`] does that, and awaits
//! the clean-up in place wherever it can.
//!
//! **Alternative:** to let a cancelled future run on to its clean-up, as Python does, where a cancellation is an
//! exception that a `finally` sees. Then it takes a second word to cancel what does not end, and a timeout takes
//! as long as its victim pleases.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use pin_project_lite::pin_project;

use crate::{
    engine::{base::user_code, task::spawned::NewTask},
    handle::Handle,
};

/// Runs `future` and then `cleanup`, which runs in any case: Python's `try` and `finally` around awaits.
///
/// If `future` ends, `cleanup` is awaited here, and then comes the output. If this is dropped before, because
/// its task is cancelled, or a timeout or a race is over, or if `future` panics: then `future` is dropped first, and
/// `cleanup`, or what is left of it, goes on as a task of its own on the loop or runtime where this was made.
///
/// Nothing waits for that task. It is no child of a scope or a group around; and a loop or a runtime that ends drops
/// it like any other, which is reported on standard error. So let work that cleans up after itself end before its
/// runtime does: cancel it, and give it time.
///
/// *Cancel safety*: that of `future`; the clean-up is not lost.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use std::{future::pending, sync::Arc, time::Duration};
/// use whirligig::{sync::Event, task, time::{sleep, timeout}};
///
/// whirligig::run(async {
///     let gone = Arc::new(Event::new());
///     let says_gone = gone.clone();
///     let session = task::with_cleanup(pending::<()>(), async move {
///         sleep(Duration::from_millis(1)).await; // says goodbye to the server
///         says_gone.set();
///     });
///     assert!(timeout(Duration::from_millis(1), session).await.is_err());
///     gone.wait().await;
/// });
/// ```
#[track_caller]
#[doc(alias = "finally")]
#[doc(alias = "async_drop")]
#[doc(alias = "AsyncExitStack")]
pub fn with_cleanup<F, C>(future: F, cleanup: C) -> WithCleanup<F, C>
where
    F: Future,
    C: Future<Output = ()> + Send + 'static,
{
    WithCleanup {
        future: Some(future),
        output: None,
        cleanup: Some(Box::pin(cleanup)),
        handle: Handle::current(),
        location: Location::caller(),
    }
}

pin_project! {
    /// The future of [`with_cleanup`].
    #[derive(Debug)]
    #[must_use = "dropped at once, it runs the clean-up alone"]
    pub struct WithCleanup<F, C>
    where
        F: Future,
        C: Future<Output = ()>,
        C: Send,
        C: 'static,
    {
        // None once it has ended.
        #[pin]
        future: Option<F>,
        output: Option<F::Output>,
        // None once it has ended. In a box, for it may have to move into a task.
        cleanup: Option<Pin<Box<C>>>,
        handle: Handle,
        location: &'static Location<'static>,
    }

    impl<F, C> PinnedDrop for WithCleanup<F, C>
    where
        F: Future,
        C: Future<Output = ()>,
        C: Send,
        C: 'static,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            user_code::call("the drop of a future that has a clean-up", || this.future.set(None));
            if let Some(cleanup) = this.cleanup.take() {
                clean_up(cleanup, this.handle, this.location);
            }
        }
    }
}

/// Runs it as a task.
fn clean_up(
    cleanup: impl Future<Output = ()> + Send + 'static,
    handle: &Handle,
    location: &'static Location<'static>,
) {
    let mut task = handle.spawn_new(NewTask::new(cleanup, None, location));
    if task.is_finished() {
        // Refused, or over already. What it does later is reported as of any task that nobody awaits.
        let polled = Pin::new(&mut task).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(Err(error)) = polled {
            user_code::say(format_args!("a clean-up was not done: {error}"));
        }
    }
}

impl<F, C> Future for WithCleanup<F, C>
where
    F: Future,
    C: Future<Output = ()> + Send + 'static,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            *this.output = Some(ready!(future.poll(cx)));
            this.future.set(None);
        }
        if let Some(cleanup) = this.cleanup {
            ready!(cleanup.as_mut().poll(cx));
            *this.cleanup = None;
        }
        let location = this.location;
        let output = this.output.take();
        Poll::Ready(output.unwrap_or_else(|| {
            panic!("the future made at {location} was polled after it was ready")
        }))
    }
}
