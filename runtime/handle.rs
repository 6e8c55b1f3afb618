//! What another thread may hold of a loop.

use std::{fmt, future::Future, panic::Location};

use crate::{
    current,
    id::TaskId,
    inbox::{Inbox, Urgency},
    place::{Name, Origin},
    task::{
        join::{self, JoinHandle},
        local,
    },
};

/// A grip on an event loop, for any thread: spawn onto it, run something there, stop it.
///
/// It is a number and a reference into a table, so it is cheap to clone, and may outlive its loop:
/// then spawning gives a handle that says cancelled, and the rest does nothing.
///
/// ```
/// use whirligig::EventLoop;
///
/// let event_loop = EventLoop::new()?;
/// let handle = event_loop.handle();
/// let answer = std::thread::spawn(move || handle.spawn(async { 6 * 7 }).wait());
/// event_loop.block_on(async {
///     while !answer.is_finished() {
///         whirligig::task::yield_now().await;
///     }
/// });
/// assert_eq!(answer.join().unwrap().unwrap(), 42);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Copy)]
pub struct Handle {
    pub(crate) loop_id: u64,
    pub(crate) inbox: &'static Inbox,
}

/// A loop is gone, so nothing can be run there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopGone;

impl fmt::Display for LoopGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event loop of this handle has been dropped")
    }
}

impl std::error::Error for LoopGone {}

impl Handle {
    /// The handle of the loop that runs this thread.
    ///
    /// # Panics
    /// If no loop runs this thread.
    #[track_caller]
    #[doc(alias = "get_running_loop")]
    pub fn current() -> Self {
        Self::try_current().unwrap_or_else(|| {
            drop(current::expect_event_loop("`Handle::current`"));
            unreachable!("a current loop has a handle")
        })
    }

    /// The handle of the loop that runs this thread, if one does.
    pub fn try_current() -> Option<Self> {
        current::event_loop().map(|core| Self { loop_id: core.id, inbox: core.inbox })
    }

    /// Spawns a future onto the loop. Tasks start in the order in which they were spawned by one
    /// thread. If the loop is gone, the future is dropped here and the handle says cancelled.
    #[track_caller]
    #[doc(alias = "run_coroutine_threadsafe")]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.spawn_named(future, None, Location::caller())
    }

    pub(crate) fn spawn_named<F>(
        &self,
        future: F,
        name: Name,
        place: &'static Location<'static>,
    ) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if let Some(core) = current::event_loop().filter(|core| core.id == self.loop_id) {
            return core.spawn(future, name, place);
        }
        let origin = Origin { id: TaskId::draw(), name, place };
        let (completer, handle) = join::pair(Some(future), origin.clone(), local::wake_bits);
        let spawn = move || {
            if let Some(core) = current::event_loop() {
                core.spawn_sent(origin, completer);
            }
        };
        // Refused, the closure is dropped here, and with it future and completer.
        drop(self.inbox.call(self.loop_id, Box::new(spawn), Urgency::Now));
        handle
    }

    /// Runs `f` on the loop's thread, at the beginning of its next turn, and unparks it for that. A
    /// panic of `f` is reported and ends nothing else.
    ///
    /// # Errors
    /// [`LoopGone`] if the loop has been dropped; `f` is dropped here then.
    pub fn call_soon_threadsafe(&self, f: impl FnOnce() + Send + 'static) -> Result<(), LoopGone> {
        self.inbox.call(self.loop_id, Box::new(f), Urgency::Now).map_err(|_f| LoopGone)
    }

    /// Has `EventLoop::run_forever` return at the end of the turn in which this arrives, or of its
    /// first turn if it is not running yet. `block_on` is not ended by it: its future decides.
    pub fn stop(&self) {
        let stop = || {
            if let Some(core) = current::event_loop() {
                core.stop();
            }
        };
        // A loop that is gone has stopped.
        drop(self.inbox.call(self.loop_id, Box::new(stop), Urgency::Now));
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("loop_id", &self.loop_id).finish_non_exhaustive()
    }
}
