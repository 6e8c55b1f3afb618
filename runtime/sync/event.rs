//! The event: a flag that tasks wait for. asyncio's `Event`.
//!
//! The flag is one atomic word, so that looking at it costs a load. Who waits is in a list behind a lock, and the
//! flag rises with the lock held. So a `wait` that finds the flag down, with the lock, is in the list before it can
//! rise; and one call of `set` wakes exactly those that waited when it came. They are served though the flag is
//! lowered again before they run, for a waiter that has left the list is done.
//!
//! **Alternative:** to have each woken task look at the flag once more. Then `set` and `clear` in one breath, which
//! says "all who wait now, go", would say nothing.

use std::{
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        id::draw_object_id,
        location::{WaitsFor, WaitsOn},
        primitives::{AtomicBool, Mutex, Ordering, lock, seeded},
        this_poll,
    },
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
        thread::wait_on_thread,
        wait_list::{WaitList, discard},
    },
};

/// A flag that tasks wait for.
///
/// Once it is set, all that wait go on, and [`wait`](Self::wait) is ready at once until it is
/// [cleared](Self::clear). Share it by reference, or in an [`Arc`](std::sync::Arc), between tasks and threads.
///
/// What was done before [`set`](Self::set) is seen after the `wait` that it ended.
///
/// `set` followed at once by `clear` wakes all that wait now and nothing that comes later: tokio's
/// `Notify::notify_waiters`. To wake one at a time, each wake being kept for one that comes later, use a semaphore.
///
/// ```
/// use std::sync::Arc;
/// use whirligig::{spawn, sync::Event};
///
/// whirligig::run(async {
///     let started = Arc::new(Event::new());
///     let task = spawn({
///         let started = started.clone();
///         async move { started.set() }
///     });
///     started.wait().await;
///     task.await.unwrap();
/// });
/// ```
#[doc(alias("Notify", "ResetEvent"))]
pub struct Event {
    id: u64,
    is_set: AtomicBool,
    waiting: Mutex<WaitList>,
}

// No user code runs while the list is locked, so a panic never finds it half changed.
impl UnwindSafe for Event {}
impl RefUnwindSafe for Event {}

impl Event {
    /// An event that is not set.
    ///
    /// ```
    /// assert!(!whirligig::sync::Event::new().is_set());
    /// ```
    pub fn new() -> Self {
        Self {
            id: draw_object_id(),
            is_set: AtomicBool::new(false),
            waiting: Mutex::new(WaitList::new()),
        }
    }

    /// Raises the flag, and wakes all that wait. Of an event that is set already it changes nothing.
    ///
    /// ```
    /// let event = whirligig::sync::Event::new();
    /// event.set();
    /// assert!(event.is_set());
    /// ```
    #[doc(alias("notify_waiters", "notify_all"))]
    pub fn set(&self) {
        let mut waiting = lock(&self.waiting);
        let release =
            if seeded("event_relaxed_flag") { Ordering::Relaxed } else { Ordering::Release };
        self.is_set.store(true, release);
        let wakes = Wakes::all([&mut waiting]);
        drop(waiting);
        wakes.wake();
    }

    /// Lowers the flag. What was woken goes on all the same.
    ///
    /// ```
    /// let event = whirligig::sync::Event::new();
    /// event.set();
    /// event.clear();
    /// assert!(!event.is_set());
    /// ```
    #[doc(alias = "reset")]
    pub fn clear(&self) {
        self.is_set.store(false, Ordering::Release);
    }

    /// Whether the flag is up.
    ///
    /// ```
    /// assert!(!whirligig::sync::Event::new().is_set());
    /// ```
    #[inline]
    pub fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Acquire)
    }

    /// Waits until the flag is up.
    ///
    /// *Cancel safety*: nothing is lost by dropping it.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// let event = whirligig::sync::Event::new();
    /// event.set();
    /// whirligig::run(async { event.wait().await });
    /// ```
    #[doc(alias = "notified")]
    #[track_caller]
    pub fn wait(&self) -> EventWait<'_> {
        EventWait { event: self, stage: Stage::New, location: Location::caller() }
    }

    /// [`wait`](Self::wait) for a thread that runs no tasks: it blocks the thread.
    ///
    /// # Panics
    /// Where tasks wait for this thread, if the flag is not up.
    ///
    /// ```
    /// let event = whirligig::sync::Event::new();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| event.set());
    ///     event.blocking_wait();
    /// });
    /// ```
    #[track_caller]
    pub fn blocking_wait(&self) {
        let advice = "`Event::blocking_wait` would stop the tasks of this thread: await `wait`, or call it inside \
                      `task::block_in_place` or `task::spawn_blocking`";
        wait_on_thread(advice, self.wait());
    }

    /// A step of a `wait` that found the flag down.
    fn step(&self, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<()> {
        let mut waiting = lock(&self.waiting);
        let may_go = match *stage {
            Stage::New => self.is_set() && !seeded("event_no_second_look"),
            Stage::Waiting(key) => waiting.is_woken(key),
            Stage::Done => false,
        };
        if !may_go {
            return wait(&mut waiting, stage, offer);
        }
        *stage = Stage::Done;
        Step::Ready((), Wakes::Nothing)
    }
}

impl Default for Event {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = lock(&self.waiting).len();
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("is_set", &self.is_set())
            .field("waiting", &waiting)
            .finish()
    }
}

/// The future of [`Event::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct EventWait<'a> {
    event: &'a Event,
    stage: Stage,
    location: &'static Location<'static>,
}

impl Future for EventWait<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { event, stage, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        if let Stage::New = stage
            && event.is_set()
        {
            *stage = Stage::Done;
            this_poll::charge();
            return Poll::Ready(());
        }
        poll_wait(
            cx,
            location,
            || this_poll::note_on(WaitsFor::Signal, WaitsOn::Event(event.id), location),
            |offer| event.step(stage, offer),
        )
    }
}

impl Drop for EventWait<'_> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = lock(&self.event.waiting).remove(key);
            discard(waiter);
        }
    }
}

impl fmt::Debug for EventWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventWait").field("location", self.location).finish_non_exhaustive()
    }
}
