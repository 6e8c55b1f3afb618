//! What happens on a loop, as it happens: the events, and who listens to them.
//!
//! The loop and its parts report each step, an [`EventKind`], and it is delivered as an [`Event`], with when and
//! where it happened, to the listeners of the loop's thread. Without any a report costs one predicted branch: the
//! event is not even built. What is made of the events for a reader is in `runtime/trace.rs`.
//!
//! Listeners belong to a thread because a loop does. A listener runs with nothing borrowed, and may do all
//! but block; what it causes is not reported to any. One that panics is reported on standard error and removed:
//! the next event would most likely have it panic again.
//!
//! What must hold: to listen changes nothing. The same tasks are polled in the same order, with a listener and
//! without.
//!
//! When and where is known to the loop that runs the thread. This file stands below it, so the loop hands a
//! function up that says it ([`set_stamp`]), which is called only with a listener.

use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    rc::Rc,
    sync::Arc,
};

use crate::engine::base::{
    clock,
    id::TaskId,
    local_key,
    location::{WaitsFor, WaitsOn},
    user_code,
};

/// What woke a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A task (or the root future), in its poll.
    Task(TaskId),
    /// The timer of this number, which fired.
    Timer(u64),
    /// The source of this number, which became ready.
    Source(u64),
    /// Another thread, through the inbox.
    Thread,
    /// Code on the loop's thread outside any poll.
    Outside,
}

/// One thing that happened on a loop: what, when and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When, in nanoseconds, by the clock of the loop: only differences mean something.
    pub at: u64,
    /// In which turn of that loop, counted from 1; 0 outside any loop.
    pub turn: u64,
    /// On which worker of a [`Runtime`](crate::Runtime), by its number. `None` on an event loop, and on a thread that
    /// is no worker.
    pub worker: Option<usize>,
    /// What happened.
    pub kind: EventKind,
}

/// What happened: the kind of an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A task was spawned.
    Spawned {
        /// Which.
        task: TaskId,
        /// Its name, if it was given one.
        name: Option<Arc<str>>,
        /// The line that spawned it.
        location: &'static Location<'static>,
        /// The task that spawned it, if a task did.
        parent: Option<TaskId>,
    },
    /// A task's waker was called.
    Woken {
        /// Which.
        task: TaskId,
        /// By what.
        by: Cause,
    },
    /// The task now stands in the run queue. A wake of one that stands there already is no news.
    Scheduled {
        /// Which.
        task: TaskId,
    },
    /// A poll begins.
    Polled {
        /// Which.
        task: TaskId,
    },
    /// The poll ended with `Pending`.
    Waits {
        /// Which.
        task: TaskId,
        /// The last of our own leaf futures that noted a wait, if any did.
        on: Option<WaitsFor>,
        /// On which object that one waits, if it said so.
        object: Option<WaitsOn>,
    },
    /// The poll ended with `Ready`.
    Completed {
        /// Which.
        task: TaskId,
    },
    /// The poll panicked.
    Panicked {
        /// Which.
        task: TaskId,
    },
    /// The task was cancelled: its future has been dropped.
    Cancelled {
        /// Which.
        task: TaskId,
    },
    /// The loop asked the kernel, without waiting, what is ready.
    Looked {
        /// How many events it found.
        found: usize,
    },
    /// The loop is about to wait in the kernel.
    Parked,
    /// It came back.
    Unparked,
    /// A source's readiness changed.
    Ready {
        /// Which.
        source: u64,
    },
    /// A timer fired.
    Fired {
        /// Which, in the order of creation on this loop.
        timer: u64,
    },
    /// This worker took over what waited at another worker, which is stuck in a poll.
    TookOver {
        /// The other worker's number.
        worker: usize,
    },
    /// This worker stole tasks that waited at another.
    Stole {
        /// The other worker's number.
        worker: usize,
    },
    /// The test clock jumped ahead.
    Advanced {
        /// By how many nanoseconds.
        by: u64,
    },
}

/// When and where something happens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) at: u64,
    pub(crate) turn: u64,
    pub(crate) worker: Option<usize>,
}

impl Stamp {
    /// On a thread that no loop runs.
    pub(crate) fn outside() -> Self {
        Self { at: clock::real_now(), turn: 0, worker: None }
    }
}

type Listener = Rc<dyn Fn(&Event)>;

thread_local! {
    /// There are listeners, and none of them is being called.
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static DELIVERING: Cell<bool> = const { Cell::new(false) };
    static LISTENERS: RefCell<Vec<(u64, Listener)>> = const { RefCell::new(Vec::new()) };
    static CAUSE: Cell<Cause> = const { Cell::new(Cause::Outside) };
    static STAMP: Cell<fn() -> Stamp> = const { Cell::new(Stamp::outside) };
}

/// Calls `listener` for each event of the loops on this thread, until the guard is dropped. Guards may be dropped
/// in any order.
///
/// A listener that panics is reported on standard error, and hears no more; the others do, and the loop goes on.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use whirligig::trace::{self, EventKind};
///
/// let polls = Rc::new(Cell::new(0));
/// let counted = polls.clone();
/// let listening = trace::listen(move |event| {
///     if let EventKind::Polled { .. } = event.kind {
///         counted.set(counted.get() + 1);
///     }
/// });
/// whirligig::run(whirligig::task::yield_now());
/// drop(listening);
/// assert_eq!(polls.get(), 2);
/// ```
#[must_use = "events are heard only as long as the guard lives"]
pub fn listen(listener: impl Fn(&Event) + 'static) -> Listening {
    thread_local! { static NEXT: Cell<u64> = const { Cell::new(0) } }
    let id = NEXT.replace(NEXT.get() + 1);
    LISTENERS.with_borrow_mut(|listeners| listeners.push((id, Rc::new(listener))));
    update();
    Listening { id, _not_send: std::marker::PhantomData }
}

/// A listener listens as long as this lives. See [`listen`].
pub struct Listening {
    id: u64,
    _not_send: std::marker::PhantomData<Rc<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        drop(remove(self.id));
    }
}

/// Takes a listener out, for the caller to drop: that is user code.
fn remove(id: u64) -> Option<Listener> {
    // On a thread that is being torn down the list is gone already, and the listener with it.
    let removed = LISTENERS.try_with(|listeners| {
        let mut listeners = listeners.borrow_mut();
        let at = listeners.iter().position(|(listener, _)| *listener == id)?;
        Some(listeners.remove(at).1)
    });
    update();
    removed.ok().flatten()
}

/// Notes whether to report. What a listener causes is not news to listeners: else one that wakes would never end.
fn update() {
    let any = LISTENERS.try_with(|listeners| !listeners.borrow().is_empty()).unwrap_or(false);
    LISTENING.set(any && !DELIVERING.get());
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening").field("id", &self.id).finish()
    }
}

/// Whether anybody listens on this thread.
#[inline(always)]
pub(crate) fn on() -> bool {
    local_key::with(&LISTENING, Cell::get)
}

/// Reports an event. `kind` is called only with a listener.
#[inline(always)]
pub(crate) fn report(kind: impl FnOnce() -> EventKind) {
    if on() {
        deliver(kind());
    }
}

#[cold]
fn deliver(kind: EventKind) {
    let Ok(listeners) = LISTENERS.try_with(|listeners| listeners.borrow().clone()) else { return };
    let Stamp { at, turn, worker } = STAMP.get()();
    let event = Event { at, turn, worker, kind };
    DELIVERING.set(true);
    LISTENING.set(false);
    for (id, listener) in listeners {
        let heard = catch_unwind(AssertUnwindSafe(|| listener(&event)));
        if let Err(payload) = heard {
            user_code::panicked("a trace listener, which hears no more,", payload);
            user_code::discard_value("a trace listener's drop", remove(id));
        }
        // The last of it, if its guard was dropped in that call.
        user_code::discard_value("a trace listener's drop", listener);
    }
    DELIVERING.set(false);
    update();
}

/// Has events of this thread stamped by `stamp`, from here on.
pub(crate) fn set_stamp(stamp: fn() -> Stamp) {
    STAMP.set(stamp);
}

/// What acts now, as far as events are concerned.
#[inline]
pub(crate) fn cause() -> Cause {
    CAUSE.get()
}

/// Names what acts from here on; returns what did.
#[inline]
pub(crate) fn set_cause(cause: Cause) -> Cause {
    CAUSE.replace(cause)
}
