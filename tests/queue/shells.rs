//! What lets one test body run over all queues, of three orders in two shells, and the waker that counts.

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_core::FusedStream;
use futures_sink::Sink;
use whirligig::queue::{GetError, PutError, Stats, TryGetError, TryPutError};
pub(crate) use whirligig::queue::{
    LifoQueue as SharedLifo, PriorityQueue as SharedPriority, Queue as Shared,
    local::{LifoQueue as LocalLifo, PriorityQueue as LocalPriority, Queue as Local},
};

pub(crate) type Boxed<'a, R> = Pin<Box<dyn Future<Output = R> + 'a>>;
pub(crate) type BoxedStream<'a, T> = Pin<Box<dyn FusedStream<Item = T> + 'a>>;
pub(crate) type BoxedSink<'a, T> = Pin<Box<dyn Sink<T, Error = PutError<Option<T>>> + 'a>>;

/// In which order items leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Fifo,
    Lifo,
    Priority,
}

impl Order {
    /// Which of these items, in the order in which they came, leaves first.
    pub(crate) fn first<T: Ord>(self, items: &[T]) -> usize {
        match self {
            Self::Fifo => 0,
            Self::Lifo => items.len() - 1,
            // Of equal ones, `min_by_key` gives the first.
            Self::Priority => (0..items.len()).min_by_key(|&at| &items[at]).expect("not empty"),
        }
    }

    /// These items, in the order in which they leave.
    pub(crate) fn leaving<T: Ord>(self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        let mut items: Vec<_> = items.into_iter().collect();
        (0..items.len()).map(|_| items.remove(self.first(&items))).collect()
    }
}

/// What all queues can do.
pub(crate) trait Shell<T>: fmt::Debug {
    const ORDER: Order;
    /// What `Debug` calls it.
    const NAME: &'static str;
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
    fn stream<'a>(&'a self) -> BoxedStream<'a, T>
    where
        T: 'a;
    fn sink<'a>(&'a self) -> BoxedSink<'a, T>
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
    ($queue:ident, $order:ident, $name:literal $(, $ord:ident)?) => {
        impl<T $(: $ord)?> Shell<T> for $queue<T> {
            const ORDER: Order = Order::$order;
            const NAME: &'static str = $name;
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
            fn stream<'a>(&'a self) -> BoxedStream<'a, T>
            where
                T: 'a,
            {
                Box::pin($queue::stream(self))
            }
            fn sink<'a>(&'a self) -> BoxedSink<'a, T>
            where
                T: 'a,
            {
                Box::pin($queue::sink(self))
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

shell!(Shared, Fifo, "Queue");
shell!(Local, Fifo, "Queue");
shell!(SharedLifo, Lifo, "LifoQueue");
shell!(LocalLifo, Lifo, "LifoQueue");
shell!(SharedPriority, Priority, "PriorityQueue", Ord);
shell!(LocalPriority, Priority, "PriorityQueue", Ord);

/// Makes of each generic function a test per queue.
macro_rules! in_each_queue {
    ($($(#[$attribute:meta])* $test:ident),* $(,)?) => {
        crate::shells::in_one_queue! { thread_safe, Shared, $($(#[$attribute])* $test,)* }
        crate::shells::in_one_queue! { local, Local, $($(#[$attribute])* $test,)* }
        crate::shells::in_one_queue! { thread_safe_lifo, SharedLifo, $($(#[$attribute])* $test,)* }
        crate::shells::in_one_queue! { local_lifo, LocalLifo, $($(#[$attribute])* $test,)* }
        crate::shells::in_one_queue! { thread_safe_priority, SharedPriority, $($(#[$attribute])* $test,)* }
        crate::shells::in_one_queue! { local_priority, LocalPriority, $($(#[$attribute])* $test,)* }
    };
}
pub(crate) use in_each_queue;

macro_rules! in_one_queue {
    ($module:ident, $queue:ident, $($(#[$attribute:meta])* $test:ident,)*) => {
        mod $module {
            $(#[test] $(#[$attribute])* fn $test() {
                super::$test::<crate::shells::$queue<_>>();
            })*
        }
    };
}
pub(crate) use in_one_queue;

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
