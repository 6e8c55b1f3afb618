//! Plain functions, called by the loop: soon, later, or at a moment.
//!
//! A call is a task that ends with its first poll. So it has its place among the tasks: it runs in the next turn, behind
//! what was ready or called before, and a panic of it is reported and harms nothing else. A call at a moment is a
//! timer that spawns this task when it fires, and until then there is no task. That gives asyncio's order: the
//! timers that are due run by deadline, behind what was ready when they fired.
//!
//! Whether a call is still to come is one word behind a lock, [`Pending`], which the call and its handles share. It
//! says `false` to all but the first that asks: to begin it, or to cancel it. The closure itself is not in there,
//! but in the task; so a closure that must stay on its thread has a handle that need not.
//!
//! **Alternative:** to call straight from the timer. Then a call would overtake the tasks that were ready before it.

use std::{
    fmt,
    future::Future,
    mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll},
    time::Duration,
};

use crate::{
    engine::{
        armed_timer::ArmedTimer,
        base::primitives::{Mutex, lock},
        current::{self, Current, Scheduler},
        inbox::Urgency,
        task::spawned::NewTask,
    },
    handle::{Handle, LoopGone},
    time::instant::Instant,
};

/// Calls `f` in the next turn, behind what is ready by now. `loop.call_soon`.
///
/// Calls and tasks run in the order in which they were made ready; on a [`Runtime`](crate::Runtime), soon, on
/// whichever worker gets to it. `f` runs as a task of its own: it may spawn, and a panic of it is reported on standard
/// error with this line.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use whirligig::task;
///
/// whirligig::run(async {
///     let (tell, told) = std::sync::mpsc::channel();
///     for n in 1..=3 {
///         let tell = tell.clone();
///         task::call_soon(move || tell.send(n).unwrap());
///     }
///     task::yield_now().await;
///     assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2, 3]);
/// });
/// ```
#[track_caller]
pub fn call_soon(f: impl FnOnce() + Send + 'static) -> ScheduledCall {
    let pending = Pending::new();
    let new = NewTask::new(Call::new(f, &pending), None, Location::caller());
    drop(current::spawn("`call_soon`", new));
    ScheduledCall { pending, when: None }
}

/// As [`call_soon`], for a closure that need not be `Send`: on an event loop.
///
/// # Panics
/// If no event loop runs this thread.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use whirligig::task;
///
/// whirligig::run(async {
///     let called = Rc::new(Cell::new(false));
///     let seen = called.clone();
///     task::call_soon_local(move || seen.set(true));
///     task::yield_now().await;
///     assert!(called.get());
/// });
/// ```
#[track_caller]
#[doc(alias = "call_soon")]
pub fn call_soon_local(f: impl FnOnce() + 'static) -> ScheduledCall {
    let pending = Pending::new();
    let new = NewTask::local(Call::new(f, &pending), None, Location::caller());
    drop(current::spawn_local("`call_soon_local`", new));
    ScheduledCall { pending, when: None }
}

/// Calls `f` when `delay` is over, never before. `loop.call_later`. See [`call_at`].
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use std::{sync::mpsc, time::Duration};
/// use whirligig::{task, time::sleep};
///
/// whirligig::run(async {
///     let (tell, told) = mpsc::channel();
///     for n in [2, 1] {
///         let tell = tell.clone();
///         task::call_later(Duration::from_millis(n), move || tell.send(n).unwrap());
///     }
///     sleep(Duration::from_millis(10)).await;
///     assert_eq!(told.try_iter().collect::<Vec<_>>(), [1, 2]);
/// });
/// ```
#[track_caller]
pub fn call_later(delay: Duration, f: impl FnOnce() + Send + 'static) -> ScheduledCall {
    at("`call_later`", Instant::now() + delay, f, Location::caller())
}

/// As [`call_later`], for a closure that need not be `Send`: on an event loop.
///
/// # Panics
/// If no event loop runs this thread.
#[track_caller]
#[doc(alias = "call_later")]
pub fn call_later_local(delay: Duration, f: impl FnOnce() + 'static) -> ScheduledCall {
    at_local("`call_later_local`", Instant::now() + delay, f, Location::caller())
}

/// Calls `f` at `deadline`, or soon after. `loop.call_at`.
///
/// Calls are made in the order of their deadlines, those of one deadline in the order in which they were asked for, and
/// behind what was ready before. `f` runs as a task of its own, which is there from the deadline on. A loop or
/// runtime that ends before makes no call: `f` is dropped.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{task, time::Instant};
///
/// whirligig::run(async {
///     let noon = Instant::now() + Duration::from_secs(3600);
///     let call = task::call_at(noon, || unreachable!("it is cancelled before"));
///     assert_eq!(call.when(), Some(noon));
///     assert!(call.cancel());
///     assert!(call.is_cancelled());
/// });
/// ```
#[track_caller]
pub fn call_at(deadline: Instant, f: impl FnOnce() + Send + 'static) -> ScheduledCall {
    at("`call_at`", deadline, f, Location::caller())
}

/// As [`call_at`], for a closure that need not be `Send`: on an event loop.
///
/// # Panics
/// If no event loop runs this thread.
#[track_caller]
#[doc(alias = "call_at")]
pub fn call_at_local(deadline: Instant, f: impl FnOnce() + 'static) -> ScheduledCall {
    at_local("`call_at_local`", deadline, f, Location::caller())
}

impl Handle {
    /// Calls `f` on the loop's thread, and unparks it for that; on a runtime, soon on one of its workers. From any
    /// thread. `loop.call_soon_threadsafe`.
    ///
    /// What one thread sends to a loop is called in the order in which it was sent, at the beginning of the
    /// loop's next turn. On the loop's own thread it is [`call_soon`]. A panic of `f` is reported and ends nothing
    /// else.
    ///
    /// ```
    /// let event_loop = whirligig::EventLoop::new()?;
    /// let handle = event_loop.handle();
    /// let stop = handle.clone();
    /// std::thread::spawn(move || handle.call_soon_threadsafe(move || stop.stop()));
    /// event_loop.run_forever(); // until the closure has run here
    /// # std::io::Result::Ok(())
    /// ```
    ///
    /// # Errors
    /// [`LoopGone`] if the loop or runtime has been dropped; `f` is dropped here then.
    #[track_caller]
    pub fn call_soon_threadsafe(
        &self,
        f: impl FnOnce() + Send + 'static,
    ) -> Result<ScheduledCall, LoopGone> {
        let pending = Pending::new();
        let call = Call::new(f, &pending);
        match (&self.scheduler, current::get()) {
            (Scheduler::EventLoop(remote), Some(Current::EventLoop(core)))
                if core.id == remote.address.loop_id =>
            {
                drop(core.spawn(NewTask::local(call, None, Location::caller())));
            }
            (Scheduler::EventLoop(remote), _) => {
                let call = Box::new(move || call.run());
                remote.address.call(call, Urgency::Now).map_err(|_call| LoopGone)?;
            }
            (Scheduler::Pool(pool), _) if pool.is_closed() => return Err(LoopGone),
            (Scheduler::Pool(_), _) => {
                drop(self.spawn_new(NewTask::new(call, None, Location::caller())));
            }
        }
        Ok(ScheduledCall { pending, when: None })
    }
}

#[track_caller]
fn at(
    what: &str,
    deadline: Instant,
    f: impl FnOnce() + Send + 'static,
    location: &'static Location<'static>,
) -> ScheduledCall {
    let pending = Pending::new();
    let new = NewTask::new(Call::new(f, &pending), None, location);
    // Fired on the loop's thread, or a worker's.
    let spawns = move || drop(current::spawn("a call at its deadline", new));
    pending.arm(current::expect(what), deadline, spawns);
    ScheduledCall { pending, when: Some(deadline) }
}

#[track_caller]
fn at_local(
    what: &str,
    deadline: Instant,
    f: impl FnOnce() + 'static,
    location: &'static Location<'static>,
) -> ScheduledCall {
    let pending = Pending::new();
    let new = NewTask::local(Call::new(f, &pending), None, location);
    let core = current::local_event_loop(what);
    let spawns = move || drop(current::spawn_local("a call at its deadline", new));
    pending.armed(ArmedTimer::calling_local(&core, deadline.0, spawns));
    ScheduledCall { pending, when: Some(deadline) }
}

/// A call that is still to come, or was to: from [`call_soon`], [`call_later`], [`call_at`] and
/// [`Handle::call_soon_threadsafe`]. `asyncio.Handle`.
///
/// Dropping it lets the call go its way. It may be cloned, and sent to other threads.
///
/// ```
/// use std::{thread, time::Duration};
/// use whirligig::task;
///
/// whirligig::run(async {
///     let call = task::call_later(Duration::from_secs(60), || println!("a minute has passed"));
///     assert!(thread::spawn(move || call.cancel()).join().unwrap());
/// });
/// ```
#[derive(Clone)]
#[doc(alias = "TimerHandle")]
pub struct ScheduledCall {
    pending: StdArc<Pending>,
    when: Option<Instant>,
}

impl ScheduledCall {
    /// Has the call not be made. `false`: too late, for it has begun, or it was cancelled before.
    ///
    /// The closure is dropped on the thread that would have called it: with its timer if it has one and this is
    /// that thread, else when its turn comes.
    pub fn cancel(&self) -> bool {
        self.pending.cancel()
    }

    /// Whether the call was cancelled before it began; or was never made, because its loop or runtime ended.
    #[doc(alias = "cancelled")]
    pub fn is_cancelled(&self) -> bool {
        matches!(*lock(&self.pending.state), State::Cancelled)
    }

    /// When the call is to be made; `None` if soon.
    pub fn when(&self) -> Option<Instant> {
        self.when
    }
}

// Each step is whole behind a lock, and user code is called with none held: a panic finds nothing half-done.
impl UnwindSafe for ScheduledCall {}
impl RefUnwindSafe for ScheduledCall {}

impl fmt::Debug for ScheduledCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &*lock(&self.pending.state) {
            State::Waiting(_) => "pending",
            State::Begun => "begun",
            State::Cancelled => "cancelled",
        };
        f.debug_struct("ScheduledCall").field("state", &state).field("when", &self.when).finish()
    }
}

/// See the top of this file.
pub(super) struct Pending {
    state: Mutex<State>,
}

enum State {
    /// With its timer, if it has one and that is set.
    Waiting(Option<ArmedTimer>),
    Begun,
    Cancelled,
}

impl Pending {
    pub(super) fn new() -> StdArc<Self> {
        StdArc::new(Self { state: Mutex::new(State::Waiting(None)) })
    }

    /// Has `call` called at `deadline`, on the thread of what runs this one, or on that of some worker; by that it has
    /// not begun. In a loop that ends before, it is dropped.
    pub(super) fn arm(
        self: &StdArc<Self>,
        current: Current,
        deadline: Instant,
        call: impl FnOnce() + Send + 'static,
    ) {
        let Current::Outside(outside) = current else {
            self.armed(ArmedTimer::calling(&current, deadline.0, call));
            return;
        };
        // The loop that this thread has entered turns elsewhere, and only there its timers can be set.
        let this = self.clone();
        let arm = move || {
            if let Some(core) = current::event_loop() {
                this.armed(ArmedTimer::calling_local(&core, deadline.0, call));
            }
        };
        // Refused, the closure is dropped here, and with it the call.
        drop(outside.remote.address.call(Box::new(arm), Urgency::Now));
    }

    /// Keeps the timer, to be cancelled with the call.
    fn armed(&self, timer: Option<ArmedTimer>) {
        let mut state = lock(&self.state);
        let rest = match &mut *state {
            State::Waiting(kept) => mem::replace(kept, timer),
            // By another thread, in this moment.
            State::Begun | State::Cancelled => timer,
        };
        drop(state);
        if let Some(timer) = rest {
            timer.cancel();
        }
    }

    /// The call is to begin. `false`: it was cancelled.
    pub(super) fn begin(&self) -> bool {
        self.leave_waiting(State::Begun).is_some()
    }

    /// The call is not to be made. `false`: it has begun, or was cancelled before.
    pub(super) fn cancel(&self) -> bool {
        let timer = self.leave_waiting(State::Cancelled);
        let in_time = timer.is_some();
        if let Some(timer) = timer.flatten() {
            timer.cancel();
        }
        in_time
    }

    /// Takes the timer out of a call that is still to come.
    fn leave_waiting(&self, next: State) -> Option<Option<ArmedTimer>> {
        let mut state = lock(&self.state);
        let State::Waiting(timer) = &mut *state else { return None };
        let timer = timer.take();
        *state = next;
        Some(timer)
    }
}

/// The closure as a future, which calls it with its first poll.
struct Call<F> {
    /// `None` once it was called, or found cancelled.
    f: Option<F>,
    pending: StdArc<Pending>,
}

// The closure is never pinned: it is moved out to be called.
impl<F> Unpin for Call<F> {}

impl<F: FnOnce()> Call<F> {
    fn new(f: F, pending: &StdArc<Pending>) -> Self {
        Self { f: Some(f), pending: pending.clone() }
    }

    fn run(mut self) {
        self.call();
    }

    fn call(&mut self) {
        let f = self.f.take();
        if self.pending.begin()
            && let Some(f) = f
        {
            f();
        }
    }
}

impl<F: FnOnce()> Future for Call<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        self.call();
        Poll::Ready(())
    }
}

impl<F> Drop for Call<F> {
    /// Its loop or runtime ended before the call was made.
    fn drop(&mut self) {
        if self.f.is_some() {
            self.pending.cancel();
        }
    }
}
