//! The multi-threaded runtime as its owner holds it.

use std::{
    fmt,
    future::Future,
    io,
    num::NonZeroUsize,
    panic::Location,
    pin::pin,
    rc::Rc,
    sync::Arc as StdArc,
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle as Thread, available_parallelism},
    time::Duration,
};

use crate::{
    blocking::BlockingStats,
    budget,
    current::{self, Current},
    dump::{Dump, TaskDump},
    handle::{Enter, Handle, Home},
    place,
    scheduler::pool::{Pool, Seat, Settings, parker::Parker, worker::Worker},
    stats::WorkerStats,
    task::join::JoinHandle,
};

/// A multi-threaded runtime: a number of workers, each a loop of its own with sockets and timers, that
/// steal tasks from each other. Its tasks are `Send`.
///
/// A task may be polled by another worker each time. While any worker is parked, what becomes ready is
/// run within 20 milliseconds, also behind a worker that is stuck in a long poll. Sockets, timers,
/// queues and handles are those of the [`EventLoop`](crate::EventLoop), and may be shared with one.
///
/// Dropping it drops each task that has not ended, exactly once, and waits for the workers to end
/// their present polls; inside one of its own tasks it does not wait.
///
/// ```
/// let runtime = whirligig::Runtime::new()?;
/// let answer = runtime.block_on(async {
///     let task = whirligig::spawn(async { 6 * 7 });
///     task.await.unwrap()
/// });
/// assert_eq!(answer, 42);
/// # std::io::Result::Ok(())
/// ```
///
/// A runtime cannot be carried over a fork: the child has none of its threads.
#[doc(alias = "multi_thread")]
pub struct Runtime {
    pool: StdArc<Pool>,
    threads: Vec<Thread<()>>,
}

impl Runtime {
    /// Makes a runtime with the usual settings: a worker for each processor.
    ///
    /// # Errors
    /// What the system says when it cannot give each worker its descriptors and its thread.
    pub fn new() -> io::Result<Self> {
        Self::builder().build()
    }

    /// Other settings than the usual.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder::new()
    }

    /// Runs `future` to its end on this thread, and gives its output. Its tasks run on the workers.
    ///
    /// The future need not be `Send`, and is no task: it is not stolen, and not in a
    /// [`dump`](Self::dump). Spawned tasks that have not ended when it returns go on. May be called from
    /// several threads at once.
    ///
    /// ```
    /// use std::{rc::Rc, time::Duration};
    ///
    /// let runtime = whirligig::Runtime::new()?;
    /// let kept = Rc::new(42);
    /// let output = runtime.block_on(async {
    ///     whirligig::time::sleep(Duration::from_millis(1)).await;
    ///     *kept
    /// });
    /// assert_eq!(output, 42);
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Panics
    /// If the future panics, and inside a task of this same runtime, whose worker it would stop.
    #[track_caller]
    #[doc(alias = "run_until_complete")]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        assert!(
            !(self.runs_this_thread() && budget::is_polling()),
            "`block_on` inside a task of the same runtime would stop the worker that it may be \
             waiting for: await the future instead, or spawn it"
        );
        let _guard = current::enter_as_guest(self.pool.clone());
        run_root(future)
    }

    /// Spawns a future onto the runtime, from any thread.
    ///
    /// It starts soon, on whichever worker gets to it, and not always in the order of spawning. Dropping
    /// the handle lets it go on; [`JoinHandle::cancel`] ends it.
    ///
    /// ```
    /// let runtime = whirligig::Runtime::new()?;
    /// let task = runtime.spawn(async { 6 * 7 });
    /// assert_eq!(task.wait().unwrap(), 42); // or, in another task: task.await
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "ensure_future")]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle().spawn_named(future, None, Location::caller())
    }

    /// What other threads, and tasks, may hold of the runtime. It does not keep the runtime alive.
    ///
    /// ```
    /// let runtime = whirligig::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let thread = std::thread::spawn(move || handle.spawn(async { "Hello" }).wait());
    /// assert_eq!(thread.join().unwrap().unwrap(), "Hello");
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> Handle {
        Handle { home: Home::Pool(self.pool.clone()) }
    }

    /// Makes the runtime this thread's, until the guard is dropped. See [`Handle::enter`].
    ///
    /// ```
    /// let runtime = whirligig::Runtime::new()?;
    /// let task = {
    ///     let _entered = runtime.enter();
    ///     whirligig::spawn(async { 6 * 7 }) // `spawn` finds the runtime that was entered
    /// };
    /// assert_eq!(task.wait().unwrap(), 42);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> Enter {
        self.handle().enter()
    }

    /// What each worker has done so far, counted. One entry for each, in the order of their numbers.
    ///
    /// ```
    /// let runtime = whirligig::Runtime::builder().worker_threads(2).build()?;
    /// runtime.spawn(async {}).wait().unwrap();
    /// let polls: u64 = runtime.stats().iter().map(|worker| worker.polls).sum();
    /// assert_eq!((runtime.stats().len(), polls), (2, 1));
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "metrics")]
    pub fn stats(&self) -> Vec<WorkerStats> {
        self.pool.stats()
    }

    /// Each task: its name, where it was spawned, and what it waits for at which line. (The future of
    /// a `block_on` is no task.) Nobody is stopped for it, so it is of one moment for each task, and not
    /// of one for all.
    ///
    /// ```
    /// let runtime = whirligig::Runtime::new()?;
    /// runtime.spawn(std::future::pending::<()>());
    /// println!("{}", runtime.dump());
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "all_tasks")]
    pub fn dump(&self) -> Dump {
        Dump::of_pool(&self.pool)
    }

    /// Drops each task that has not ended, and waits until those that run have come to the end of
    /// their poll, and so have the calls on the blocking pool, but for no longer than `timeout`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let runtime = whirligig::Runtime::new()?;
    /// runtime.spawn(std::future::pending::<()>());
    /// if let Err(left) = runtime.shutdown_timeout(Duration::from_secs(5)) {
    ///     eprintln!("{left}"); // a line for each poll and each call that goes on
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// What had not ended by then. A task or a call that ends later is dropped then.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Result<(), StillRunning> {
        let pool = self.pool.clone();
        pool.close();
        // Their threads are left to themselves: `drop` would wait for them.
        self.threads.clear();
        pool.wait_ended(timeout);
        let tasks: Vec<_> = Dump::of_pool(&pool).tasks;
        let blocking_calls = pool.blocking_calls();
        if tasks.is_empty() && blocking_calls.is_empty() {
            return Ok(());
        }
        Err(StillRunning { tasks, blocking_calls })
    }

    /// Drops each task that has not ended, and waits for nothing: what runs is dropped at the end of
    /// its poll. May be called inside a task.
    ///
    /// ```
    /// let runtime = whirligig::Runtime::new()?;
    /// let handle = runtime.handle();
    /// let task = handle.spawn(async move { runtime.shutdown_background() });
    /// task.wait().unwrap();
    /// assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn shutdown_background(mut self) {
        self.threads.clear();
    }

    fn runs_this_thread(&self) -> bool {
        matches!(
            current::get(),
            Some(Current::Worker(worker)) if StdArc::ptr_eq(&worker.pool, &self.pool)
        )
    }

    /// How the runtime's blocking pool stands, where [`task::spawn_blocking`](crate::task::spawn_blocking)
    /// runs its calls.
    pub fn blocking_stats(&self) -> BlockingStats {
        self.pool.blocking_stats()
    }
}

/// Polls a root future until it has ended.
fn run_root<F: Future>(future: F) -> F::Output {
    let parker = StdArc::new(Parker::new());
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        budget::begin(&waker);
        let polled = future.as_mut().poll(&mut cx);
        let again = budget::runs_again();
        budget::end();
        place::take();
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending if again => {}
            Poll::Pending => parker.sleep(),
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.pool.close();
        let inside = self.runs_this_thread();
        for thread in self.threads.drain(..).filter(|_| !inside) {
            // A worker that panicked has said so.
            let _ = thread.join();
        }
    }
}

/// What had not ended when [`Runtime::shutdown_timeout`] was over. `Display` prints a line each, with
/// the task's name and the line that spawned it or made the call.
///
/// It is an [`Error`](std::error::Error), to be passed on or printed. What it names goes on: a thread
/// that does not come back cannot be ended from outside.
#[derive(Debug)]
#[non_exhaustive]
pub struct StillRunning {
    /// The tasks whose present poll has not come to an end.
    pub tasks: Vec<TaskDump>,
    /// The lines that made the calls on the blocking pool that have not ended.
    pub blocking_calls: Vec<&'static Location<'static>>,
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime was shut down, but")?;
        for task in &self.tasks {
            write!(f, "\n{task}")?;
        }
        for place in &self.blocking_calls {
            write!(f, "\na blocking call made at {place} is running")?;
        }
        Ok(())
    }
}

impl std::error::Error for StillRunning {}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.pool).finish()
    }
}

/// Makes a [`Runtime`] with other settings than the usual. From [`Runtime::builder`].
///
/// ```
/// let runtime = whirligig::Runtime::builder().worker_threads(2).build()?;
/// # drop(runtime);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RuntimeBuilder {
    settings: Settings,
    thread_name: String,
    stack_size: Option<usize>,
}

impl RuntimeBuilder {
    fn new() -> Self {
        let workers = available_parallelism().map_or(1, NonZeroUsize::get);
        Self {
            settings: Settings { workers, blocking_threads: 512, blocking_queue: 1024 },
            thread_name: "whirligig-worker".to_owned(),
            stack_size: None,
        }
    }

    /// How many workers there are, each on a thread of its own. The default is one for each processor.
    pub fn worker_threads(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// What the workers' threads are called. The default is `whirligig-worker`.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.thread_name = name.into();
        self
    }

    /// How many bytes of stack each worker's thread has. The default is that of `std::thread`.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// How many threads the runtime's blocking pool has at most. The default is 512.
    #[doc(alias = "max_blocking_threads")]
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// How many jobs may wait for one of those threads before `spawn_blocking` itself has to wait.
    /// The default is 1,024; 0 means that a job must find an idle thread.
    pub fn blocking_queue(mut self, most: usize) -> Self {
        self.settings.blocking_queue = most;
        self
    }

    /// Makes the runtime and starts its workers.
    ///
    /// # Errors
    /// What the system says when it cannot give each worker its descriptors and its thread; and
    /// `InvalidInput` for settings that cannot work, by name.
    pub fn build(self) -> io::Result<Runtime> {
        let Self { mut settings, thread_name, stack_size } = self;
        let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        match settings.workers {
            0 => return invalid("worker_threads is 0: nobody would run the tasks"),
            1..=MOST_WORKERS => {}
            _ => return invalid("worker_threads is more than 1,024"),
        }
        if settings.blocking_threads == 0 {
            return invalid("blocking_threads is 0: `spawn_blocking` would wait for ever");
        }
        if thread_name.contains('\0') {
            return invalid("thread_name has a zero byte in it, which ends a name");
        }
        // A queue of none still needs room for the job that starts a thread.
        settings.blocking_queue = settings.blocking_queue.max(1);
        let (pool, seats) = Pool::new(settings)?;
        // Dropped on an error below, it ends the threads that were started.
        let mut runtime = Runtime { pool, threads: Vec::new() };
        for seat in seats {
            let mut thread = thread::Builder::new().name(thread_name.clone());
            if let Some(bytes) = stack_size {
                thread = thread.stack_size(bytes);
            }
            runtime.threads.push(thread.spawn(move || work(seat))?);
        }
        Ok(runtime)
    }
}

/// A number of workers beyond which something must be wrong.
const MOST_WORKERS: usize = 1_024;

/// What a worker's thread does.
fn work(seat: Seat) {
    let worker = Rc::new(Worker::new(seat));
    let _guard = current::enter_worker(worker.clone());
    worker.run();
}
