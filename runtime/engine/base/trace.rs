//! What happens on a loop, as it happens: the events, and who listens to them.
//!
//! The loop and its parts report each step as an [`Event`] to whoever listens on the loop's thread. When
//! nobody listens a report costs one predicted branch: the event is not even built. What is made of the
//! events for a reader is in `runtime/trace.rs`.
//!
//! Listeners belong to a thread because a loop does. A listener runs with nothing borrowed, and may do all
//! but block; what it causes is not reported to itself.

use std::{
    cell::{Cell, RefCell},
    fmt,
    panic::Location,
    rc::Rc,
    sync::Arc,
};

use crate::engine::base::{id::TaskId, local_key, place::WaitsFor};

/// Who woke a task.
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

/// One thing that happened on a loop.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A task was spawned.
    Spawned {
        /// Which.
        task: TaskId,
        /// Its name, if it was given one.
        name: Option<Arc<str>>,
        /// The line that spawned it.
        place: &'static Location<'static>,
    },
    /// A task's waker was called.
    Woken {
        /// Which.
        task: TaskId,
        /// By whom.
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
    /// As the sentry, this worker took over what waited at a neighbour that is stuck in a poll.
    TookOver {
        /// The neighbour's number.
        worker: usize,
    },
    /// This worker stole tasks that waited at a neighbour.
    Stole {
        /// The neighbour's number.
        worker: usize,
    },
    /// The test clock jumped ahead.
    Advanced {
        /// By how many nanoseconds.
        by: u64,
    },
}

type Listener = Rc<dyn Fn(&Event)>;

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static LISTENERS: RefCell<Vec<(u64, Listener)>> = const { RefCell::new(Vec::new()) };
    static CAUSE: Cell<Cause> = const { Cell::new(Cause::Outside) };
}

/// Calls `listener` for each event of the loops on this thread, until the guard is dropped.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use whirligig::trace::{self, Event};
///
/// let polls = Rc::new(Cell::new(0));
/// let counted = polls.clone();
/// let listening = trace::listen(move |event| {
///     if let Event::Polled { .. } = event {
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
    LISTENING.set(true);
    Listening { id, _not_send: std::marker::PhantomData }
}

/// Keeps a listener in place. See [`listen`].
pub struct Listening {
    id: u64,
    _not_send: std::marker::PhantomData<Rc<()>>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        // The listener is foreign code: it is dropped after the borrow ends. On a thread that is
        // being torn down the list is gone already, and the listener with it.
        let removed = LISTENERS.try_with(|listeners| {
            let mut listeners = listeners.borrow_mut();
            let at = listeners.iter().position(|(id, _)| *id == self.id)?;
            let removed = listeners.remove(at);
            LISTENING.set(!listeners.is_empty());
            Some(removed)
        });
        drop(removed);
    }
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

/// Reports an event. `event` is called only if somebody listens.
#[inline(always)]
pub(crate) fn report(event: impl FnOnce() -> Event) {
    if on() {
        deliver(&event());
    }
}

#[cold]
fn deliver(event: &Event) {
    let Ok(listeners) = LISTENERS.try_with(|listeners| listeners.borrow().clone()) else { return };
    // What a listener causes is not news to listeners: else one that wakes would never end.
    LISTENING.set(false);
    for (_, listener) in &listeners {
        listener(event);
    }
    LISTENING.set(LISTENERS.with_borrow(|listeners| !listeners.is_empty()));
}

/// Who acts now, as far as events are concerned.
#[inline]
pub(crate) fn cause() -> Cause {
    CAUSE.get()
}

/// Names who acts from here on; returns who did.
#[inline]
pub(crate) fn set_cause(cause: Cause) -> Cause {
    CAUSE.replace(cause)
}
