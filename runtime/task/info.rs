//! `task::current`: what is known of the task that calls, from the loop's or runtime's own records.

use std::{fmt, panic::Location};

use crate::engine::{
    base::{id::TaskId, location::Origin},
    current,
};

/// The task that calls: the one whose poll this thread is in. `asyncio.current_task`.
///
/// On an event loop the future of `block_on` is one as well. That of [`Runtime::block_on`](crate::Runtime::block_on)
/// is no task.
///
/// # Panics
/// Outside a task.
///
/// ```
/// use whirligig::task;
///
/// whirligig::run(async {
///     let named = task::Builder::new().name("reader").spawn(async {
///         let this = task::current();
///         (this.name().map(str::to_owned), this.parent())
///     });
///     assert_eq!(named.await.unwrap(), (Some("reader".to_owned()), Some(task::id())));
/// });
/// ```
#[track_caller]
#[doc(alias = "current_task")]
pub fn current() -> TaskInfo {
    match try_current() {
        Some(task) => task,
        None => panic!(
            "`task::current` was called outside a task, where there is none: use `task::try_current`"
        ),
    }
}

/// The task that calls; `None` outside a task. See [`current`](fn@current).
///
/// ```
/// assert!(whirligig::task::try_current().is_none());
/// ```
pub fn try_current() -> Option<TaskInfo> {
    current::origin_of_this_task().map(|origin| TaskInfo { origin })
}

/// What is known of a task from its beginning. From [`current`](fn@current).
///
/// `Display` prints all of it in a line.
#[derive(Clone)]
pub struct TaskInfo {
    origin: Origin,
}

impl TaskInfo {
    /// Its identity.
    pub fn id(&self) -> TaskId {
        self.origin.id
    }

    /// Its name, if it was given one.
    #[doc(alias = "get_name")]
    pub fn name(&self) -> Option<&str> {
        self.origin.name.as_ref().map(|name| &***name)
    }

    /// The line that spawned it (or called `block_on`).
    pub fn spawned_at(&self) -> &'static Location<'static> {
        self.origin.location
    }

    /// The task that spawned it; `None` if no task did.
    pub fn parent(&self) -> Option<TaskId> {
        self.origin.parent
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.origin.fmt(f)
    }
}

impl fmt::Debug for TaskInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TaskInfo({self})")
    }
}
