//! What happened, in order.
//!
//! The loop and its parts report each step as an [`Event`] to whoever listens on the loop's thread.
//! When nobody listens a report costs one predicted branch: the event is not even built. Tests
//! assert the order of events line by line; a [`Recorder`] collects them.
//!
//! Listeners belong to a thread because a loop does. A listener runs in the open, with nothing
//! borrowed, and may do all but block; what it causes is not reported to itself.
//!
//! The workers of a runtime have threads of their own, and are listened to from there, by the hook
//! on their start:
//!
//! ```
//! use std::{mem, sync::mpsc};
//! use whirligig::{Runtime, trace};
//!
//! let (sender, receiver) = mpsc::channel();
//! let runtime = Runtime::builder()
//!     .worker_threads(1)
//!     .on_thread_start(move |_worker| {
//!         let sender = sender.clone();
//!         let listening = trace::listen(move |event| {
//!             // Nobody receives any more: then nobody wants to know.
//!             let _ = sender.send(event.clone());
//!         });
//!         // Never dropped, so it listens until the thread ends.
//!         mem::forget(listening);
//!     })
//!     .build()?;
//! let parent = runtime.spawn(async { whirligig::spawn(async {}).await.unwrap() });
//! parent.wait().unwrap();
//! drop(runtime);
//! let lines = trace::lines(&receiver.iter().collect::<Vec<_>>());
//! assert!(lines.contains(&"task 1 completed".to_string()));
//! # std::io::Result::Ok(())
//! ```
//!
//! What is spawned from outside is reported where that was done, not on a worker: there it is called
//! `root`.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    panic::Location,
    rc::Rc,
    sync::Arc,
};

use crate::{id::TaskId, local_key, place::WaitsFor};

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

/// Records the events of this thread's loops, for tests that assert their order.
///
/// ```
/// use whirligig::{task, trace::Recorder};
///
/// let recorder = Recorder::start();
/// whirligig::run(async {
///     let task = task::Builder::new().name("one").spawn_local(async {});
///     task.await.unwrap();
/// });
/// assert!(recorder.lines().contains(&"one completed".to_string()));
/// ```
pub struct Recorder {
    events: Rc<RefCell<Vec<Event>>>,
    _listening: Listening,
}

impl Recorder {
    /// Listens from now on.
    pub fn start() -> Self {
        let events = Rc::new(RefCell::new(Vec::new()));
        let record = events.clone();
        let listening = listen(move |event| record.borrow_mut().push(event.clone()));
        Self { events, _listening: listening }
    }

    /// The events so far.
    pub fn events(&self) -> Vec<Event> {
        self.events.borrow().clone()
    }

    /// The events so far, a line each, with tasks by their names: `consumer woken by producer`. A
    /// task without a name is `task 1`, `task 2` in the order in which the record mentions them, and
    /// what was never spawned is `root`.
    pub fn lines(&self) -> Vec<String> {
        lines(&*self.events.borrow())
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("events", &*self.events.borrow()).finish_non_exhaustive()
    }
}

/// These events, a line each. See [`Recorder::lines`].
pub fn lines<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<String> {
    let mut names = Names::default();
    events.into_iter().map(|event| names.line(event)).collect()
}

#[derive(Default)]
struct Names {
    names: HashMap<TaskId, String>,
    unnamed: usize,
}

impl Names {
    fn of(&self, task: TaskId) -> &str {
        self.names.get(&task).map_or("root", String::as_str)
    }

    fn cause(&self, by: Cause) -> String {
        match by {
            Cause::Task(task) => self.of(task).to_owned(),
            Cause::Timer(timer) => format!("timer {timer}"),
            Cause::Source(source) => format!("source {source}"),
            Cause::Thread => "another thread".to_owned(),
            Cause::Outside => "code outside any task".to_owned(),
        }
    }

    fn line(&mut self, event: &Event) -> String {
        match event {
            Event::Spawned { task, name, .. } => {
                let name = name.as_deref().map(str::to_owned).unwrap_or_else(|| {
                    self.unnamed += 1;
                    format!("task {}", self.unnamed)
                });
                let line = format!("{name} spawned");
                self.names.insert(*task, name);
                line
            }
            Event::Woken { task, by } => {
                format!("{} woken by {}", self.of(*task), self.cause(*by))
            }
            Event::Scheduled { task } => format!("{} scheduled", self.of(*task)),
            Event::Polled { task } => format!("{} polled", self.of(*task)),
            Event::Waits { task, on: Some(on) } => format!("{} waits for {on}", self.of(*task)),
            Event::Waits { task, on: None } => format!("{} waits", self.of(*task)),
            Event::Completed { task } => format!("{} completed", self.of(*task)),
            Event::Panicked { task } => format!("{} panicked", self.of(*task)),
            Event::Cancelled { task } => format!("{} cancelled", self.of(*task)),
            Event::Looked { found } => format!("looked, found {found}"),
            Event::Parked => "parked".to_owned(),
            Event::Unparked => "unparked".to_owned(),
            Event::Ready { source } => format!("source {source} ready"),
            Event::Fired { timer } => format!("timer {timer} fired"),
            Event::TookOver { worker } => format!("took over from worker {worker}"),
            Event::Stole { worker } => format!("stole from worker {worker}"),
            Event::Advanced { by } => format!("clock advanced by {:?}", Nanos(*by)),
        }
    }
}

struct Nanos(u64);

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::time::Duration::from_nanos(self.0).fmt(f)
    }
}
