//! Futures polled by hand, by tasks that count how often they are woken.

use std::{
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

/// A task without a runtime: a waker that counts.
#[derive(Default)]
pub(crate) struct Task {
    wakes: Arc<Count>,
    seen: usize,
}

impl Task {
    pub(crate) fn poll<F: Future>(&mut self, future: F) -> Poll<F::Output> {
        self.seen = self.wakes.0.load(SeqCst);
        let waker = Waker::from(self.wakes.clone());
        pin!(future).poll(&mut Context::from_waker(&waker))
    }

    /// Whether it was woken since its last poll.
    pub(crate) fn is_woken(&self) -> bool {
        self.wakes.0.load(SeqCst) > self.seen
    }

    /// How many keep its waker, which is what a future that ended or was cancelled must not do.
    pub(crate) fn wakers(&self) -> usize {
        Arc::strong_count(&self.wakes) - 1
    }
}

/// A future and its task. Dropped, it is cancelled.
pub(crate) struct Probe<'a, R> {
    future: Pin<Box<dyn Future<Output = R> + 'a>>,
    task: Task,
}

impl<'a, R> Probe<'a, R> {
    pub(crate) fn new(future: impl Future<Output = R> + 'a) -> Self {
        Self { future: Box::pin(future), task: Task::default() }
    }

    pub(crate) fn poll(&mut self) -> Poll<R> {
        self.task.poll(self.future.as_mut())
    }

    /// Polls as another task from now on.
    pub(crate) fn poll_as_another(&mut self) -> Poll<R> {
        self.task = Task::default();
        self.poll()
    }

    pub(crate) fn is_woken(&self) -> bool {
        self.task.is_woken()
    }

    pub(crate) fn wakers(&self) -> usize {
        self.task.wakers()
    }
}
