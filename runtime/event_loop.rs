//! The event loop as its owner holds it.

use std::{
    fmt,
    future::Future,
    io,
    os::fd::{AsFd, BorrowedFd},
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use crate::{
    dump::Dump,
    engine::{
        base::{
            locals::{SetAside, Values},
            stats::Stats,
            trace::{self, EventKind},
        },
        blocking::BlockingStats,
        current::{self, Scheduler},
        scheduler::{
            event_loop::{Core, Limit, Settings},
            remote::Remote,
        },
        task::{join::JoinHandle, spawned::NewTask},
    },
    handle::Handle,
    shutdown::{self, StillRunning},
};

/// Runs a future to its end on a new event loop, and gives its output. asyncio's `run`.
///
/// The loop is dropped at the end: every task that has not ended is dropped where it waits, as `asyncio.run`
/// cancels it, and so are the calls of [`spawn_blocking`](crate::task::spawn_blocking) that have not begun.
/// A call that has begun is waited for, as `asyncio.run` does, but for no longer than 10 seconds: then its
/// line is named on standard error, and its thread left to itself. With another bound, or an error instead:
/// [`EventLoop::shutdown_timeout`].
///
/// # Panics
/// If the system cannot give the loop its descriptors (see [`EventLoop::new`]), or if the future
/// panics.
///
/// ```
/// let answer = whirligig::run(async {
///     whirligig::time::sleep(std::time::Duration::from_millis(1)).await;
///     6 * 7
/// });
/// assert_eq!(answer, 42);
/// ```
#[track_caller]
#[doc(alias = "main")]
pub fn run<F: Future>(future: F) -> F::Output {
    match EventLoop::new() {
        Ok(event_loop) => event_loop.block_on(future),
        Err(error) => panic!("no event loop: {error}"),
    }
}

/// A single-threaded event loop: its tasks need not be `Send`.
///
/// Dropping the loop drops each task that has not ended, in its own thread, exactly once. Other
/// loops' tasks that wait on this one's handles, timers or sockets are woken. Calls of
/// [`spawn_blocking`](crate::task::spawn_blocking) that have not begun are cancelled. Those that have begun
/// are waited for, up to 10 seconds; the lines of those that go on are named on standard error then.
/// [`shutdown_timeout`](Self::shutdown_timeout) waits as long as it is told.
///
/// A loop cannot be carried over a fork: the child shares the kernel's half of it.
///
/// ```
/// let event_loop = whirligig::EventLoop::new()?;
/// let greeting = event_loop.spawn_local(async { "Hello" });
/// assert_eq!(event_loop.block_on(greeting).unwrap(), "Hello");
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "Runtime")]
#[doc(alias = "LocalRuntime")]
pub struct EventLoop {
    core: Rc<Core>,
    /// Dropped, it waits for the blocking calls that have begun.
    waits: bool,
}

/// What a call of [`EventLoop::turn`] left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// Something is ready: turn again without waiting. Otherwise the loop's descriptor becomes
    /// readable when there is something to do.
    pub ready: bool,
    /// Tasks that have not ended.
    pub tasks: usize,
}

impl EventLoop {
    /// Makes a loop with the usual settings. `asyncio.new_event_loop`.
    ///
    /// # Errors
    /// What the system says when it cannot give the loop its descriptors (a poll, an eventfd, a
    /// timerfd), or when 65,536 loops exist at once.
    #[doc(alias = "new_event_loop")]
    pub fn new() -> io::Result<Self> {
        Self::with_settings(Settings::usual())
    }

    pub(crate) fn with_settings(settings: Settings) -> io::Result<Self> {
        let core = Rc::new(Core::new(settings, current::forget_source)?);
        current::add_loop(&core);
        Ok(Self { core, waits: true })
    }

    /// Runs the loop until `future` has ended, and gives its output.
    ///
    /// Tasks that have not ended by then stay, and go on in the next call.
    ///
    /// # Panics
    /// If the future panics; inside a task of this same loop; and when the kernel refuses to wait
    /// (which it does only for a broken descriptor). Inside a task of *another* loop it works, and
    /// stops that one meanwhile; inside one of a `Runtime`, the worker goes on on another thread.
    #[track_caller]
    #[doc(alias = "run_until_complete")]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        // Inside a task of a `Runtime`, whose worker would stand still otherwise.
        let _left = current::hand_off_worker();
        let values = Values::current();
        let _turning = self.core.begin_turning();
        self.core.resume();
        let _guard = current::enter(self.core.clone());
        self.run_root(future, values, Location::caller())
    }

    /// The same for a loop that is only there for a future whose tasks belong to another.
    pub(crate) fn block_on_for<F: Future>(
        &self,
        remote: Arc<Remote>,
        future: F,
        location: &'static Location<'static>,
    ) -> F::Output {
        let _left = current::hand_off_worker();
        let values = Values::current();
        let _turning = self.core.begin_turning();
        let _guard = current::enter_with_own(remote, self.core.clone());
        self.run_root(future, values, location)
    }

    /// Runs the loop for a future that sees these values: those of the one that waits for it.
    fn run_root<F: Future>(
        &self,
        future: F,
        mut values: Values,
        location: &'static Location<'static>,
    ) -> F::Output {
        let id = self.core.draw_task_id();
        self.core.table.open_root(id, location);
        let _root = RootOpen(&self.core);

        let mut future = pin!(future);
        let mut output = None;
        let mut poll = |cx: &mut std::task::Context<'_>| {
            let _entered = values.enter();
            match future.as_mut().poll(cx) {
                Poll::Ready(ready) => {
                    output = Some(ready);
                    true
                }
                Poll::Pending => false,
            }
        };
        expect_wait(self.core.run(Some(&mut poll)));
        trace::report(|| EventKind::Completed { task: id });
        output.expect("the root future ended")
    }

    /// Runs the loop until [`Handle::stop`].
    ///
    /// # Panics
    /// As for [`block_on`](Self::block_on).
    #[track_caller]
    pub fn run_forever(&self) {
        let _left = current::hand_off_worker();
        let _turning = self.core.begin_turning();
        self.core.resume();
        let _guard = current::enter(self.core.clone());
        loop {
            expect_wait(self.core.turn(&mut None, Limit::UntilStopped));
            if self.core.take_stop() {
                break;
            }
        }
    }

    /// One turn, for a loop that runs inside another: takes what other threads left, runs the tasks
    /// that are ready, and fires what is due. A turn that finds nothing of the sort waits up to `timeout` for
    /// it (for ever on `None`: then something must still be to come); one that has done something does not
    /// wait.
    ///
    /// The host watches the loop's descriptor ([`AsFd`]) for readability, and turns with a timeout of
    /// zero when it is readable, and again while [`Turn::ready`].
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let inner = whirligig::EventLoop::new()?;
    /// let task = inner.spawn_local(async { 6 * 7 });
    /// while inner.turn(Some(Duration::ZERO))?.ready {}
    /// assert!(task.is_finished());
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// What the kernel says if it refuses to wait.
    ///
    /// # Panics
    /// Inside a task of this same loop.
    #[track_caller]
    #[doc(alias = "_run_once")]
    pub fn turn(&self, timeout: Option<Duration>) -> io::Result<Turn> {
        // One that may wait keeps no worker waiting, as in `block_on`.
        let may_wait = timeout != Some(Duration::ZERO);
        let _left = may_wait.then(current::hand_off_worker);
        let _turning = self.core.begin_turning();
        self.core.resume();
        let _guard = current::enter(self.core.clone());
        self.core.turn(&mut None, Limit::of(timeout))?;
        let ready = !self.core.leave_to_host()?;
        Ok(Turn { ready, tasks: self.core.table.len() })
    }

    /// Spawns a future onto this loop. It starts when the loop turns, in the order of spawning.
    #[track_caller]
    #[doc(alias = "create_task")]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let handle = self.core.spawn(NewTask::local(future, None, Location::caller()));
        self.core.unpark_host();
        handle
    }

    /// A handle to this loop, for any thread.
    pub fn handle(&self) -> Handle {
        Handle { scheduler: Scheduler::EventLoop(self.core.remote.clone()) }
    }

    /// Drops the loop, and waits until the calls of [`spawn_blocking`](crate::task::spawn_blocking) that
    /// have begun have ended, but for no longer than `timeout`. Those that have not begun are cancelled.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let event_loop = whirligig::EventLoop::new()?;
    /// event_loop.block_on(async { drop(whirligig::task::spawn_blocking(|| "a file is written")) });
    /// if let Err(left) = event_loop.shutdown_timeout(Duration::from_secs(5)) {
    ///     eprintln!("{left}"); // a line for each call that goes on
    /// }
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// The calls that had not ended by then. They go on.
    #[doc(alias = "shutdown_default_executor")]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Result<(), StillRunning> {
        self.waits = false;
        let core = self.core.clone();
        drop(self);
        shutdown::wait_for_calls(&core.remote.blocking, timeout)
    }

    /// What the loop has done so far, counted.
    #[doc(alias = "metrics")]
    pub fn stats(&self) -> Stats {
        self.core.stats()
    }

    /// How the loop's blocking pool stands.
    pub fn blocking_stats(&self) -> BlockingStats {
        self.core.remote.blocking.stats()
    }

    /// Each task: its name, where it was spawned, and what it waits for at which line.
    ///
    /// ```
    /// let event_loop = whirligig::EventLoop::new()?;
    /// event_loop.spawn_local(std::future::pending::<()>());
    /// println!("{}", event_loop.dump());
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "all_tasks")]
    pub fn dump(&self) -> Dump {
        Dump::of_event_loop(&self.core)
    }
}

impl AsFd for EventLoop {
    /// Readable when the loop has something to do, after a [`turn`](EventLoop::turn) that said that
    /// nothing is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.core.reactor.as_fd()
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        current::remove_loop(&self.core);
        {
            let _guard = current::enter(self.core.clone());
            let _outer = SetAside::new();
            self.core.close();
        }
        if self.waits {
            shutdown::wait_for_calls_or_say(&self.core.remote.blocking);
        }
    }
}

// User code is called with nothing borrowed, and each step leaves the loop whole: after a panic of a root future it
// runs on, with all its tasks.
impl UnwindSafe for EventLoop {}
impl RefUnwindSafe for EventLoop {}

impl fmt::Debug for EventLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.core.fmt(f)
    }
}

#[track_caller]
fn expect_wait<T>(waited: io::Result<T>) -> T {
    waited.unwrap_or_else(|error| panic!("the event loop cannot wait: {error}"))
}

/// The root future stands on the stack of `block_on`; its wakers are stale once that returns.
struct RootOpen<'a>(&'a Core);

impl Drop for RootOpen<'_> {
    fn drop(&mut self) {
        self.0.table.close_root();
    }
}
