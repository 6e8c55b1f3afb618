//! What happened, in order.
//!
//! The loop and its parts report each step as an [`Event`] to the listeners of the loop's thread: what happened
//! (its [`EventKind`]), when, in which turn and on which worker. Without any a report costs one predicted branch:
//! the event is not even built. To listen changes nothing of what happens. Tests assert the order of events line
//! by line; a [`Recorder`] collects them.
//!
//! Listeners belong to a thread because a loop does. A listener runs with no lock held and nothing
//! borrowed, and may do all but block; what it causes is not reported to any. One that panics is reported on
//! standard error, and hears no more.
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
//!             // An error: the receiver is gone.
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
    cell::RefCell,
    collections::HashMap,
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    rc::Rc,
};

use crate::engine::base::id::TaskId;
pub use crate::engine::base::trace::{Cause, Event, EventKind, Listening, listen};

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

// The events are only added to, whole ones, and copied.
impl UnwindSafe for Recorder {}
impl RefUnwindSafe for Recorder {}

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
        match &event.kind {
            EventKind::Spawned { task, name, .. } => {
                let name = name.as_deref().map(str::to_owned).unwrap_or_else(|| {
                    self.unnamed += 1;
                    format!("task {}", self.unnamed)
                });
                let line = format!("{name} spawned");
                self.names.insert(*task, name);
                line
            }
            EventKind::Woken { task, by } => {
                format!("{} woken by {}", self.of(*task), self.cause(*by))
            }
            EventKind::Scheduled { task } => format!("{} scheduled", self.of(*task)),
            EventKind::Polled { task } => format!("{} polled", self.of(*task)),
            EventKind::Waits { task, on: Some(on), .. } => {
                format!("{} waits for {on}", self.of(*task))
            }
            EventKind::Waits { task, on: None, .. } => format!("{} waits", self.of(*task)),
            EventKind::Completed { task } => format!("{} completed", self.of(*task)),
            EventKind::Panicked { task } => format!("{} panicked", self.of(*task)),
            EventKind::Cancelled { task } => format!("{} cancelled", self.of(*task)),
            EventKind::Looked { found } => format!("looked, found {found}"),
            EventKind::Parked => "parked".to_owned(),
            EventKind::Unparked => "unparked".to_owned(),
            EventKind::Ready { source } => format!("source {source} ready"),
            EventKind::Fired { timer } => format!("timer {timer} fired"),
            EventKind::TookOver { worker } => format!("took over from worker {worker}"),
            EventKind::Stole { worker } => format!("stole from worker {worker}"),
            EventKind::Advanced { by } => format!("clock advanced by {:?}", Nanos(*by)),
        }
    }
}

struct Nanos(u64);

impl fmt::Debug for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::time::Duration::from_nanos(self.0).fmt(f)
    }
}
