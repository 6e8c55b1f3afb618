//! A pool of threads for calls: `concurrent.futures.ThreadPoolExecutor`.
//!
//! Its engine is the blocking pool that each loop has (`engine/blocking/`), here in the hands of the program: threads
//! that start as calls come, first come first served, and cancelling by taking a call out of the line.
//!
//! **Alternative:** rayon's pool. It is made for calls that compute and split; one that blocks holds up what stands
//! in its thread's own queue. `executor::cpu` leads there.

use std::{
    cell::Cell,
    fmt,
    panic::Location,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    call::{CallError, CallHandle, Calls, assert_may_wait, hand_over, outcome_of},
    delayed::{Compute, Nodes, compute_here},
    map::Map,
};
use crate::{
    engine::{
        base::{id::TaskId, this_poll},
        blocking::{BlockingPool, Job, JobNumber, Kind},
        task::{reach::Reach, spawned::NewTask},
    },
    sync::oneshot,
};

/// Threads that run calls, for plain code and for tasks.
///
/// The threads are started as calls come, up to the number that was asked for; calls begin in the order in which they
/// were submitted. Dropping the pool waits for all calls, as leaving Python's `with` does; but not where that would
/// block tasks: there it lets them go on alone, and the threads end when they are done.
///
/// ```
/// use whirligig::executor::ThreadPool;
///
/// let pool = ThreadPool::new(3);
/// let calls: Vec<_> = [3, 2, 1].map(|n| pool.submit(move || n * n)).into();
/// let squares: Vec<i32> = calls.into_iter().map(|call| call.result().unwrap()).collect();
/// assert_eq!(squares, [9, 4, 1]);
/// ```
#[doc(alias("ThreadPoolExecutor", "concurrent.futures"))]
pub struct ThreadPool {
    shared: Arc<Shared>,
}

struct Shared {
    pool: BlockingPool,
    max_workers: usize,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    /// What the initialiser's panic said.
    broken: Mutex<Option<String>>,
}

/// Settings of a [`ThreadPool`].
///
/// ```
/// use whirligig::executor::ThreadPool;
///
/// let pool = ThreadPool::builder().max_workers(1).thread_name("resize").build();
/// let name = pool.submit(|| std::thread::current().name().map(str::to_owned));
/// assert_eq!(name.result().unwrap().as_deref(), Some("resize_0"));
/// ```
#[must_use = "a builder does nothing until it builds"]
pub struct ThreadPoolBuilder {
    max_workers: usize,
    thread_name: Option<String>,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
}

impl Default for ThreadPoolBuilder {
    fn default() -> Self {
        Self { max_workers: default_workers(), thread_name: None, initializer: None }
    }
}

/// Python's default: threads for calls that wait, of which there may be more than processors.
fn default_workers() -> usize {
    let processors = thread::available_parallelism().map_or(1, |count| count.get());
    (processors + 4).min(32)
}

impl ThreadPoolBuilder {
    /// How many threads there may be. The default is Python's: four more than processors, and at most 32.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        assert!(max_workers != 0, "a pool of 0 threads would run no call: give it 1 at least");
        self.max_workers = max_workers;
        self
    }

    /// What the threads are called: this, `_`, and the thread's number from 0 on.
    ///
    /// # Panics
    /// If it has a NUL in it, which no thread's name may have.
    #[track_caller]
    #[doc(alias = "thread_name_prefix")]
    pub fn thread_name(mut self, prefix: impl Into<String>) -> Self {
        let prefix = prefix.into();
        assert!(!prefix.contains('\0'), "a thread's name cannot have a NUL in it: {prefix:?}");
        self.thread_name = Some(prefix);
        self
    }

    /// What each thread calls before its first call. If it panics, the pool is broken: this call and all later ones
    /// end with [`CallError::Broken`].
    pub fn initializer(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(f));
        self
    }

    /// The pool. Its threads start as calls come.
    pub fn build(self) -> ThreadPool {
        static POOLS: AtomicU64 = AtomicU64::new(0);
        let Self { max_workers, thread_name, initializer } = self;
        let number = POOLS.fetch_add(1, Ordering::Relaxed);
        let prefix = thread_name.unwrap_or_else(|| format!("ThreadPool-{number}"));
        let name = Box::new(move |thread| format!("{prefix}_{thread}"));
        let pool = BlockingPool::named(max_workers, usize::MAX, name);
        let broken = Mutex::new(None);
        ThreadPool { shared: Arc::new(Shared { pool, max_workers, initializer, broken }) }
    }
}

impl fmt::Debug for ThreadPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("thread_name", &self.thread_name)
            .finish_non_exhaustive()
    }
}

impl ThreadPool {
    /// A pool of at most so many threads.
    ///
    /// # Panics
    /// If that is 0.
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        Self::builder().max_workers(max_workers).build()
    }

    /// A pool with settings.
    pub fn builder() -> ThreadPoolBuilder {
        ThreadPoolBuilder::default()
    }

    /// Submits a call. It begins when a thread is free, after those that were submitted before.
    ///
    /// After a shutdown it does not, and the handle says [`CallError::ShutDown`].
    #[track_caller]
    pub fn submit<T, F>(&self, f: F) -> CallHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.shared.submit(f, Location::caller())
    }

    /// Submits a call, and waits for its outcome. `multiprocessing.Pool.apply`.
    ///
    /// # Errors
    /// As for [`CallHandle::result`].
    ///
    /// # Panics
    /// As [`CallHandle::result`] does.
    #[track_caller]
    pub fn apply<T, F>(&self, f: F) -> Result<T, CallError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit(f).result()
    }

    /// Calls `f` for each value, on the threads, and gives the outcomes in the order of the values: as an iterator,
    /// or, for tasks, as a [`stream`](Map::stream).
    ///
    /// Values are taken as outcomes are: no more than a few calls are ahead of what was taken (see
    /// [`Map::look_ahead`]). So a source of a million values, or without an end, is never held in memory.
    ///
    /// ```
    /// use whirligig::executor::ThreadPool;
    ///
    /// let pool = ThreadPool::new(3);
    /// let squares: Result<Vec<i32>, _> = pool.map([5, 2, 3, 4, 1], |n| n * n).collect();
    /// assert_eq!(squares.unwrap(), [25, 4, 9, 16, 1]);
    /// ```
    #[track_caller]
    pub fn map<I, T, F>(&self, values: I, f: F) -> Map<T>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item: Send + 'static>,
        F: Fn(I::Item) -> T + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (shared, f, location) = (self.shared.clone(), Arc::new(f), Location::caller());
        let calls = values.into_iter().map(move |value| {
            let f = f.clone();
            shared.submit(move || f(value), location)
        });
        Map::new(calls, self.shared.max_workers)
    }

    /// Computes one or more nodes of a graph, and what they are made of: each call as soon as its inputs are there. See
    /// [`delayed`](fn@super::delayed). What is computed is lost with the pool, if that is shut down before.
    ///
    /// ```
    /// use whirligig::executor::{ThreadPool, delayed};
    ///
    /// let pool = ThreadPool::new(2);
    /// let word = delayed("word", (), |()| String::from("whirl"));
    /// let length = delayed("length", word.clone(), |word| word.len());
    /// let computed = whirligig::run(pool.compute(&(word, length)));
    /// assert_eq!(computed, Ok(("whirl".to_owned(), 5)));
    /// ```
    #[doc(alias = "dask.compute")]
    pub fn compute<N: Nodes>(&self, nodes: &N) -> Compute<N::Outputs> {
        let shared = self.shared.clone();
        compute_here(nodes, move |call, location| shared.submit(call, location))
    }

    /// How many threads there may be.
    pub fn max_workers(&self) -> usize {
        self.shared.max_workers
    }

    /// Takes no more calls. With `cancel_futures` those that have not begun are cancelled. With `wait` this thread is
    /// blocked until all others have ended. May be called again.
    ///
    /// In a task, wait for it beside the loop: `task::spawn_blocking(move || pool.shutdown(true, false)).await`.
    ///
    /// # Panics
    /// With `wait`: inside a task, or in anything else that an event loop or a worker calls.
    #[track_caller]
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        if wait {
            assert_may_wait("ThreadPool");
        }
        if cancel_futures {
            self.shared.pool.close();
        } else {
            self.shared.pool.finish();
        }
        if wait {
            self.wait_ended();
        }
    }

    fn wait_ended(&self) {
        // A call that shuts its own pool down, or drops it, does not wait for itself.
        if !self.shared.pool.owns_this_thread() {
            self.shared.pool.wait_ended(|| Duration::MAX);
        }
    }
}

impl Drop for ThreadPool {
    fn drop(&mut self) {
        self.shared.pool.finish();
        if this_poll::may_block() {
            self.wait_ended();
        }
    }
}

impl Shared {
    fn submit<T, F>(self: &Arc<Self>, f: F, location: &'static Location<'static>) -> CallHandle<T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let (tell, outcome) = oneshot::channel();
        let shared = self.clone();
        let call = async move {
            let outcome = match shared.initialize() {
                Ok(()) => outcome_of(f),
                Err(error) => Err(error),
            };
            hand_over(tell, outcome);
        };
        let new = NewTask::new(call, None, location);
        let (task, origin, handle) = new.identify(TaskId::draw(), Reach::NONE);
        drop(handle);
        match self.pool.submit(Job::new(task, origin, Kind::Call, None)) {
            Ok(number) => CallHandle::new(outcome, self.clone(), number.get()),
            Err((job, _closed)) => {
                job.discard();
                CallHandle::refused(self.clone(), CallError::ShutDown)
            }
        }
    }

    /// Calls the initialiser, if this thread has not done so yet.
    fn initialize(&self) -> Result<(), CallError> {
        thread_local! {
            /// Whether this thread, which is one of a pool for life, was initialised.
            static DONE: Cell<bool> = const { Cell::new(false) };
        }
        let Some(initializer) = &self.initializer else { return Ok(()) };
        if let Some(error) = self.broken() {
            return Err(error);
        }
        if DONE.replace(true) {
            return Ok(());
        }
        outcome_of(initializer).map_err(|error| {
            let why = format!("its initialiser failed: {error}");
            *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
            CallError::Broken(why)
        })
    }
}

impl Calls for Shared {
    fn cancel(&self, number: u64) -> bool {
        self.pool.cancel(JobNumber::from_number(number))
    }

    fn is_queued(&self, number: u64) -> bool {
        self.pool.is_queued(JobNumber::from_number(number))
    }

    fn broken(&self) -> Option<CallError> {
        let broken = self.broken.lock().unwrap_or_else(PoisonError::into_inner);
        broken.clone().map(CallError::Broken)
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("max_workers", &self.shared.max_workers)
            .field("stats", &self.shared.pool.stats())
            .finish_non_exhaustive()
    }
}
