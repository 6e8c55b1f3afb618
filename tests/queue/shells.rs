//! What lets one test body run over both queues, and the waker that counts.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use whirligig::queue::{GetError, PutError, Stats, TryGetError, TryPutError};
pub(crate) use whirligig::queue::{Queue as Shared, local::Queue as Local};

pub(crate) type Boxed<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;

/// What both shells can do.
pub(crate) trait Shell<T>: fmt::Debug {
    fn with_capacity(capacity: Option<usize>) -> Self;
    fn put<'a>(&'a self, item: T) -> Boxed<'a, Result<(), PutError<T>>>
    where
        T: 'a;
    fn get<'a>(&'a self) -> Boxed<'a, Result<T, GetError>>
    where
        T: 'a;
    fn join<'a>(&'a self) -> Boxed<'a, ()>
    where
        T: 'a;
    fn try_put(&self, item: T) -> Result<(), TryPutError<T>>;
    fn try_get(&self) -> Result<T, TryGetError>;
    fn task_done(&self);
    fn close(&self);
    fn close_now(&self);
    fn is_closed(&self) -> bool;
    fn len(&self) -> usize;
    fn is_empty(&self) -> bool;
    fn is_full(&self) -> bool;
    fn capacity(&self) -> Option<usize>;
    fn unfinished(&self) -> usize;
    fn stats(&self) -> Stats;
}

macro_rules! shell {
    ($queue:ident) => {
        impl<T> Shell<T> for $queue<T> {
            fn with_capacity(capacity: Option<usize>) -> Self {
                capacity.map_or_else($queue::unbounded, $queue::bounded)
            }
            fn put<'a>(&'a self, item: T) -> Boxed<'a, Result<(), PutError<T>>>
            where
                T: 'a,
            {
                Box::pin($queue::put(self, item))
            }
            fn get<'a>(&'a self) -> Boxed<'a, Result<T, GetError>>
            where
                T: 'a,
            {
                Box::pin($queue::get(self))
            }
            fn join<'a>(&'a self) -> Boxed<'a, ()>
            where
                T: 'a,
            {
                Box::pin($queue::join(self))
            }
            fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
                $queue::try_put(self, item)
            }
            fn try_get(&self) -> Result<T, TryGetError> {
                $queue::try_get(self)
            }
            fn task_done(&self) {
                $queue::task_done(self);
            }
            fn close(&self) {
                $queue::close(self);
            }
            fn close_now(&self) {
                $queue::close_now(self);
            }
            fn is_closed(&self) -> bool {
                $queue::is_closed(self)
            }
            fn len(&self) -> usize {
                $queue::len(self)
            }
            fn is_empty(&self) -> bool {
                $queue::is_empty(self)
            }
            fn is_full(&self) -> bool {
                $queue::is_full(self)
            }
            fn capacity(&self) -> Option<usize> {
                $queue::capacity(self)
            }
            fn unfinished(&self) -> usize {
                $queue::unfinished(self)
            }
            fn stats(&self) -> Stats {
                $queue::stats(self)
            }
        }
    };
}

shell!(Shared);
shell!(Local);

/// Makes of each generic function a test per shell.
macro_rules! in_both_shells {
    ($($(#[$attribute:meta])* $test:ident),* $(,)?) => {
        mod thread_safe {
            $(#[test] $(#[$attribute])* fn $test() {
                super::$test::<crate::shells::Shared<_>>();
            })*
        }
        mod local {
            $(#[test] $(#[$attribute])* fn $test() {
                super::$test::<crate::shells::Local<_>>();
            })*
        }
    };
}
pub(crate) use in_both_shells;

/// A task that is only a count of its wakes.
#[derive(Debug, Default)]
pub(crate) struct Task(AtomicUsize);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

impl Task {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn wakes(&self) -> usize {
        self.0.load(Relaxed)
    }

    pub(crate) fn poll<F: Future + Unpin>(self: &Arc<Self>, future: &mut F) -> Poll<F::Output> {
        let waker = Waker::from(self.clone());
        Pin::new(future).poll(&mut Context::from_waker(&waker))
    }
}
