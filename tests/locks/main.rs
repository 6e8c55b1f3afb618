//! The locks against plain models: random programs of acquisitions, releases and cancellations.
//!
//! Futures are polled by hand, so each program says exactly what is polled when; no runtime is needed, and none could
//! hide a lost wake. After each act everything visible is compared with the model: answers, counts, and for each
//! future whether its task was woken, and once.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

mod barrier;
mod condition;
mod rwlock;
mod semaphore;

/// A task that counts how often it was woken since it was last polled.
#[derive(Default)]
struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// A future and the tasks that poll it.
struct Live<'a, R> {
    id: usize,
    future: Pin<Box<dyn Future<Output = R> + 'a>>,
    task: Arc<Task>,
    /// Those that polled it before: to be woken no more.
    former: Vec<Arc<Task>>,
}

impl<'a, R> Live<'a, R> {
    fn new(id: usize, future: impl Future<Output = R> + 'a) -> Self {
        Self { id, future: Box::pin(future), task: Arc::default(), former: Vec::new() }
    }

    /// Polls, as the task that did before or as another.
    fn poll(&mut self, as_another: bool) -> Poll<R> {
        if as_another {
            self.former.push(std::mem::take(&mut self.task));
        }
        let task = &self.task;
        self.former.iter().chain([task]).for_each(|task| task.0.store(0, Relaxed));
        self.future.as_mut().poll(&mut Context::from_waker(&Waker::from(task.clone())))
    }

    /// How often its task was woken. A former one must not have been.
    fn wakes(&self) -> usize {
        let former: usize = self.former.iter().map(|task| task.0.load(Relaxed)).sum();
        self.task.0.load(Relaxed) + 1000 * former
    }
}

impl<R> fmt::Debug for Live<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} wakes", self.id, self.wakes())
    }
}

/// Where a future is, as the models see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Waiting,
    /// Woken, once: it is ready.
    Woken,
}
