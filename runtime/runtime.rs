//! The multi-threaded runtime as its owner holds it.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    io,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    rc::Rc,
    sync::Arc as StdArc,
    time::Duration,
};

use crate::{
    dump::Dump,
    engine::{
        base::stats::WorkerStats,
        blocking::BlockingStats,
        current::{self, Scheduler},
        scheduler::pool::{
            FirstWorker, Pool, Settings, threads::ThreadSettings, worker::Worker, worker_thread,
        },
        task::{join::JoinHandle, spawned::NewTask},
    },
    handle::{Enter, Handle},
    shutdown::{self, StillRunning},
};

/// A multi-threaded runtime: a number of workers, each a loop with a run queue and timers of its own, that
/// steal tasks from each other and share one reactor. Its tasks are `Send`.
///
/// A task may be polled by another worker each time. While any worker is parked, what becomes ready is
/// run within two milliseconds, also behind a worker that is stuck in a long poll, and mostly at once.
/// Sockets, timers,
/// queues and handles are those of the [`EventLoop`](crate::EventLoop), and may be shared with one.
///
/// Dropping it drops each task that has not ended, exactly once, and waits for the workers to end
/// their present polls. Calls of [`spawn_blocking`](crate::task::spawn_blocking) that have not begun are
/// cancelled; those that have begun are waited for, up to 10 seconds, and the lines of those that go on
/// are named on standard error then. Inside one of its own tasks or calls it does not wait.
/// [`shutdown_timeout`](Self::shutdown_timeout) waits as long as it is told, and
/// [`shutdown_background`](Self::shutdown_background) not at all.
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
    /// Dropped, it waits for its threads, and for the blocking calls that have begun.
    waits: bool,
}

impl Runtime {
    /// Makes a runtime with the usual settings: a worker for each processor.
    ///
    /// # Errors
    /// What the system says when it cannot give the runtime its descriptors, or each worker its thread.
    pub fn new() -> io::Result<Self> {
        Self::with_settings(Settings::usual(), ThreadSettings::usual())
    }

    /// Makes a runtime with settings that can work.
    pub(crate) fn with_settings(settings: Settings, threads: ThreadSettings) -> io::Result<Self> {
        let pool = Pool::new(settings, threads, run_thread)?;
        Ok(Self { pool, waits: true })
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
        self.handle().block_on(future)
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
        Handle { scheduler: Scheduler::Pool(self.pool.clone()) }
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
    /// a `block_on` is no task.) Nothing is stopped for it, so it is of one moment for each task, and not
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
    /// their poll, but for no longer than `timeout`. It waits as well for the calls on the blocking pool that
    /// have begun. Those that have not are cancelled, however many threads were free for them.
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
    /// In one of its own tasks or calls, which it would wait for: see
    /// [`shutdown_background`](Self::shutdown_background).
    #[track_caller]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Result<(), StillRunning> {
        assert!(
            !self.owns_this_thread() && !self.runs_this_call(),
            "`shutdown_timeout` inside a task or a blocking call of the same runtime would wait for itself: use \
             `shutdown_background`, or shut down from the thread that called `block_on`"
        );
        self.close();
        let pool = self.pool.clone();
        // The threads are left to themselves: `drop` would wait for them.
        self.waits = false;
        pool.wait_ended(shutdown::countdown(timeout));
        let calls = pool.blocking_if_made().map(|blocking| blocking.running());
        StillRunning::check(Dump::of_pool(&pool).tasks, calls.unwrap_or_default())
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
        self.waits = false;
    }

    /// Takes in nothing from here on, and drops each task that no thread polls. Their destructors find
    /// this runtime current, closed, as those find it that are dropped on a worker.
    fn close(&self) {
        let _guard = current::enter_pool(self.pool.clone());
        self.pool.close();
    }

    /// Whether this is one of its threads, whatever runs it at the moment.
    fn owns_this_thread(&self) -> bool {
        OWNER.get() == self.pool.id
    }

    /// Whether this is the thread of a call on its blocking pool.
    fn runs_this_call(&self) -> bool {
        self.pool.blocking_if_made().is_some_and(|blocking| blocking.owns_this_thread())
    }

    /// How the runtime's blocking pool stands, where [`task::spawn_blocking`](crate::task::spawn_blocking)
    /// runs its calls.
    pub fn blocking_stats(&self) -> BlockingStats {
        self.pool.blocking_stats()
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        self.close();
        if !self.waits || self.owns_this_thread() || self.runs_this_call() {
            return;
        }
        self.pool.threads.join();
        if let Some(blocking) = self.pool.blocking_if_made() {
            shutdown::wait_for_calls_or_say(blocking);
        }
    }
}

// What is shared is behind locks under which no user code runs, and the panics of tasks and hooks are caught.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Runtime").field(&self.pool).finish()
    }
}

thread_local! {
    /// The identity of the runtime that this thread belongs to, or 0.
    static OWNER: Cell<u64> = const { Cell::new(0) };
}

/// The life of a thread that runs workers.
fn run_thread(pool: &StdArc<Pool>, first: Option<FirstWorker>) {
    worker_thread::run(pool, first, enter_worker);
}

/// Makes a worker this thread's, and calls `then`.
fn enter_worker(worker: Worker, then: &mut dyn FnMut(&Worker)) {
    let worker = Rc::new(worker);
    OWNER.set(worker.pool.id);
    let _guard = current::enter_worker(worker.clone());
    then(&worker);
}
