//! The multi-threaded runtime as its owner holds it.

use std::{
    fmt,
    future::Future,
    io,
    panic::Location,
    pin::pin,
    rc::Rc,
    sync::Arc as StdArc,
    task::{Context, Poll, Waker},
    thread::{self, JoinHandle as Thread},
    time::Duration,
};

use crate::{
    dump::{Dump, TaskDump},
    engine::{
        base::{foreign, stats::WorkerStats, this_poll},
        blocking::BlockingStats,
        current::{self, Current},
        scheduler::pool::{Pool, Seat, Settings, parker::Parker, worker::Worker},
        task::{join::JoinHandle, spawned::NewTask},
    },
    handle::{Enter, Handle, Home},
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
        Self::with_settings(Settings::usual(), &Threads::usual())
    }

    /// Makes a runtime with settings that can work.
    pub(crate) fn with_settings(settings: Settings, threads: &Threads) -> io::Result<Self> {
        let (pool, seats) = Pool::new(settings)?;
        // Dropped on an error below, it ends the threads that were started.
        let mut runtime = Self { pool, threads: Vec::new() };
        for seat in seats {
            runtime.threads.push(threads.start(seat)?);
        }
        Ok(runtime)
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
            !(self.runs_this_thread() && this_poll::is_polling()),
            "`block_on` inside a task of the same runtime would stop the worker that it may be \
             waiting for: await the future instead, or spawn it"
        );
        let _guard = current::enter_as_guest(self.pool.clone());
        this_poll::blocked(|| run_root(future))
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
        self.handle().spawn_new(NewTask::new(future, None, Location::caller()))
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
    ///
    /// # Panics
    /// In one of its own tasks, which it would wait for: see
    /// [`shutdown_background`](Self::shutdown_background).
    #[track_caller]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Result<(), StillRunning> {
        assert!(
            !self.owns_this_thread(),
            "`shutdown_timeout` inside a task of the same runtime would wait for that task: use \
             `shutdown_background`, or shut down from the thread that called `block_on`"
        );
        self.close();
        let pool = self.pool.clone();
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

    /// Takes in nothing from here on, and drops each task that nobody polls. Their destructors find
    /// this runtime current, closed, as those find it that are dropped on a worker.
    fn close(&self) {
        let _guard = current::enter_as_guest(self.pool.clone());
        self.pool.close();
    }

    /// Whether this is the thread of one of its workers, whatever runs it at the moment.
    fn owns_this_thread(&self) -> bool {
        let this = thread::current().id();
        self.threads.iter().any(|thread| thread.thread().id() == this)
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
        this_poll::begin(&waker, None);
        let polled = future.as_mut().poll(&mut cx);
        let again = this_poll::gave_way_at().is_some();
        this_poll::end();
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending if again => {}
            Poll::Pending => parker.sleep(),
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
        let inside = self.owns_this_thread();
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
        for location in &self.blocking_calls {
            write!(f, "\na blocking call made at {location} is running")?;
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

/// How the workers' threads are made.
#[derive(Clone)]
pub(crate) struct Threads {
    /// A worker's number is put behind it.
    pub(crate) name: String,
    pub(crate) stack_size: Option<usize>,
    pub(crate) on_start: Option<Hook>,
    pub(crate) on_stop: Option<Hook>,
}

/// What a user wants done on each worker's thread. It is given the worker's number.
pub(crate) type Hook = StdArc<dyn Fn(usize) + Send + Sync>;

impl Threads {
    pub(crate) fn usual() -> Self {
        let name = "whirligig".to_owned();
        Self { name, stack_size: None, on_start: None, on_stop: None }
    }

    fn start(&self, seat: Seat) -> io::Result<Thread<()>> {
        let mut thread = thread::Builder::new().name(format!("{}-{}", self.name, seat.number));
        if let Some(bytes) = self.stack_size {
            thread = thread.stack_size(bytes);
        }
        let (on_start, on_stop) = (self.on_start.clone(), self.on_stop.clone());
        thread.spawn(move || {
            let number = seat.number;
            let worker = Rc::new(Worker::new(seat));
            let _guard = current::enter_worker(worker.clone());
            call_hook("an `on_thread_start` hook", on_start, number);
            worker.run();
            call_hook("an `on_thread_stop` hook", on_stop, number);
            worker.end();
        })
    }
}

/// Hooks are foreign code: one that panics is reported, and the worker goes on.
fn call_hook(what: &str, hook: Option<Hook>, worker: usize) {
    if let Some(hook) = hook {
        foreign::call(what, move || hook(worker));
    }
}
