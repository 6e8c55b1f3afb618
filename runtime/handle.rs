//! What another thread may hold of an event loop or a runtime.

use std::{
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    sync::Arc,
};

use crate::engine::{
    base::stats::{Stats, WorkerStats},
    current::{self, Current, Scheduler},
    inbox::Urgency,
    task::{
        join::JoinHandle,
        local,
        spawned::{NewTask, SpawnedSend},
    },
};

/// A handle to an event loop or a runtime, for any thread: spawn onto it, run something there, stop it.
///
/// It is cheap to clone, and may outlive its event loop or runtime: then spawning gives a handle that says
/// cancelled, and the rest does nothing.
///
/// ```
/// use whirligig::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let thread = std::thread::spawn(move || {
///     let answer = handle.spawn(async { 6 * 7 }).wait();
///     handle.stop();
///     answer
/// });
/// event_loop.run_forever(); // until it is stopped
/// assert_eq!(thread.join().unwrap().unwrap(), 42);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
pub struct Handle {
    pub(crate) scheduler: Scheduler,
}

/// An event loop or a runtime is gone, so nothing can be run there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LoopGone;

impl fmt::Display for LoopGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime of this handle has been dropped")
    }
}

impl fmt::Debug for LoopGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LoopGone({self})")
    }
}

impl std::error::Error for LoopGone {}

impl Handle {
    /// The handle of the event loop or the runtime that runs this thread, or that it has entered. A call on
    /// the blocking pool has entered the one that made it.
    ///
    /// ```
    /// use whirligig::{Handle, task};
    ///
    /// whirligig::run(async {
    ///     let call = task::spawn_blocking(|| {
    ///         let answer = Handle::current().spawn(async { 6 * 7 }); // on the loop
    ///         answer.wait() // blocks this thread, and not the loop
    ///     });
    ///     assert_eq!(call.await.unwrap().unwrap(), 42);
    /// });
    /// ```
    ///
    /// # Panics
    /// If none does.
    #[track_caller]
    #[doc(alias = "get_running_loop")]
    pub fn current() -> Self {
        Self { scheduler: current::expect("`Handle::current`").scheduler() }
    }

    /// The handle of the event loop or the runtime that runs this thread, if one does.
    ///
    /// ```
    /// assert!(whirligig::Handle::try_current().is_none());
    /// whirligig::run(async { assert!(whirligig::Handle::try_current().is_some()) });
    /// ```
    #[doc(alias = "_get_running_loop")]
    pub fn try_current() -> Option<Self> {
        current::get().map(|current| Self { scheduler: current.scheduler() })
    }

    /// Makes an event loop or a runtime this thread's, until the guard is dropped: `spawn`, `spawn_blocking`
    /// and [`current`](Self::current) used here, outside any task, go to it, and timers and sockets made
    /// here are its own.
    ///
    /// For code that is no future and calls what needs a runtime. Nothing is run by this thread. Guards
    /// may be nested, and must be dropped in the reverse order: one that is not panics, and says so. So do not hold one
    /// across an await: other tasks run on the thread meanwhile, and enter and leave.
    ///
    /// An event loop may be entered on its own thread and on others. On its own,
    /// [`spawn_local`](crate::spawn_local) works as well. On another, what is spawned is sent to the loop,
    /// and timers and sockets are awaited inside [`block_on`](Self::block_on).
    ///
    /// ```
    /// use whirligig::{Runtime, spawn};
    ///
    /// let runtime = Runtime::new()?;
    /// let entered = runtime.handle().enter();
    /// spawn(async { /* on the runtime */ });
    /// drop(entered);
    /// assert!(whirligig::Handle::try_current().is_none());
    /// # std::io::Result::Ok(())
    /// ```
    pub fn enter(&self) -> Enter {
        let own = match &self.scheduler {
            Scheduler::EventLoop(remote) => current::loop_of_this_thread(remote.address.loop_id),
            Scheduler::Pool(_) => None,
        };
        let entered = match own {
            Some(core) => {
                // If it is left to a host, that is to turn it: a task may be spawned here.
                core.unpark_host();
                Entered::Loop(current::enter(core))
            }
            None => Entered::FromOutside(current::enter_from_outside(self.scheduler.clone())),
        };
        Enter { _entered: entered }
    }

    /// Spawns a future, from any thread. On an event loop, tasks start in the order in which they were
    /// spawned by one thread; on a runtime, soon, on whichever worker gets to it. If the loop or runtime
    /// is gone, the future is dropped here and the handle says cancelled.
    #[track_caller]
    #[doc(alias = "create_task")]
    #[doc(alias = "run_coroutine_threadsafe")]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_new(NewTask::new(future, None, Location::caller()))
    }

    pub(crate) fn spawn_new<T: Send + 'static>(
        &self,
        new: NewTask<SpawnedSend, T>,
    ) -> JoinHandle<T> {
        match (&self.scheduler, current::get()) {
            (Scheduler::EventLoop(remote), Some(Current::EventLoop(core)))
                if core.id == remote.address.loop_id =>
            {
                core.spawn(new.into_local())
            }
            (Scheduler::EventLoop(remote), _) => current::send(remote.address, new),
            (Scheduler::Pool(pool), Some(Current::Worker(worker)))
                if Arc::ptr_eq(pool, &worker.pool) =>
            {
                worker.spawn(new)
            }
            (Scheduler::Pool(pool), _) => pool.spawn(new),
        }
    }

    /// What an event loop has done so far, counted; `None` for a runtime, whose counts are
    /// [`worker_stats`](Self::worker_stats). May be asked for on any thread, while the loop goes on, and gives the
    /// last counts when it is gone.
    ///
    /// ```
    /// let event_loop = whirligig::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// event_loop.block_on(async {});
    /// let polls = std::thread::spawn(move || handle.stats().unwrap().polls);
    /// assert_eq!(polls.join().unwrap(), 1);
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "metrics")]
    pub fn stats(&self) -> Option<Stats> {
        match &self.scheduler {
            Scheduler::EventLoop(remote) => Some(remote.counters.read()),
            Scheduler::Pool(_) => None,
        }
    }

    /// What each worker of a runtime has done so far, as [`Runtime::stats`](crate::Runtime::stats) says it; none for an
    /// event loop.
    pub fn worker_stats(&self) -> Vec<WorkerStats> {
        match &self.scheduler {
            Scheduler::EventLoop(..) => Vec::new(),
            Scheduler::Pool(pool) => pool.stats(),
        }
    }

    /// Has `EventLoop::run_forever` return at the end of the turn in which this arrives, or of its
    /// first turn if it is not running yet. `block_on` is not ended by it: its future decides. A
    /// runtime ends when it is dropped or shut down: this does nothing to it.
    pub fn stop(&self) {
        let stop = || {
            if let Some(core) = current::event_loop() {
                core.stop();
            }
        };
        // A loop that is gone has stopped.
        if let Scheduler::EventLoop(remote) = &self.scheduler {
            drop(remote.address.call(Box::new(stop), Urgency::Now));
        }
    }
}

/// Keeps an event loop or a runtime this thread's. See [`Handle::enter`].
#[must_use = "the runtime is this thread's only as long as the guard lives"]
pub struct Enter {
    _entered: Entered,
}

#[expect(dead_code, reason = "dropped, they leave again")]
enum Entered {
    /// On its own thread.
    Loop(current::Guard<local::EnteredTable>),
    FromOutside(current::Guard<()>),
}

// Dropped while a panic unwinds, it puts back what ran the thread before, as ever.
impl UnwindSafe for Enter {}
impl RefUnwindSafe for Enter {}

// As for the loop or the runtime that it is a handle to.
impl UnwindSafe for Handle {}
impl RefUnwindSafe for Handle {}

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enter").finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut handle = f.debug_struct("Handle");
        match &self.scheduler {
            Scheduler::EventLoop(remote) => handle.field("event_loop", &remote.address.loop_id),
            Scheduler::Pool(pool) => handle.field("runtime", &pool.id),
        };
        handle.finish_non_exhaustive()
    }
}
