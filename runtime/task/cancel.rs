//! `CancelHandle`: what cancels a task or a blocking call, apart from the handle that awaits it.
//!
//! Of a task it is what `engine/task/shared_joiner.rs` shares with the join handle; of a blocking call, the
//! call's number in its pool as well, for a call is cancelled by taking it out of the line.
//!
//! **Alternative:** one type for each. Then a list of what is to be cancelled holds one kind only.

use std::{
    fmt,
    panic::{RefUnwindSafe, UnwindSafe},
    sync::Arc as StdArc,
};

use crate::engine::{
    base::{id::TaskId, primitives::Arc},
    blocking::{BlockingPool, JobNumber},
    task::{join::JoinHandle, shared_joiner::Cancel},
};

/// Cancels a task or a blocking call, from any thread. From [`JoinHandle::cancel_handle`] or
/// [`SpawnBlocking::cancel_handle`](super::SpawnBlocking::cancel_handle).
///
/// It can be cloned, and kept while the task's own handle is awaited elsewhere, or after that was dropped. Dropping
/// it does nothing. It keeps the loop or runtime of a task neither alive nor busy, and once the task has ended only
/// some hundred bytes, which all cancel handles of one task share: no output and nothing of the future. That of a
/// blocking call keeps the pool's records too, but no thread of it.
///
/// ```
/// use std::{future::pending, thread};
///
/// whirligig::run(async {
///     let task = whirligig::spawn(pending::<()>());
///     let cancel = task.cancel_handle();
///     thread::spawn(move || cancel.cancel());
///     assert!(task.await.unwrap_err().is_cancelled());
/// });
/// ```
#[derive(Clone)]
#[doc(alias = "AbortHandle")]
pub struct CancelHandle {
    id: TaskId,
    /// `None` if it had ended when the handle was made.
    task: Option<StdArc<dyn Cancel>>,
    /// If it is a blocking call, unless its pool was closed.
    call: Option<(Arc<BlockingPool>, JobNumber)>,
}

impl CancelHandle {
    pub(super) fn of_call<T: Send + 'static>(
        handle: &JoinHandle<T>,
        call: Option<(Arc<BlockingPool>, JobNumber)>,
    ) -> Self {
        Self { id: handle.id(), task: handle.share(), call }
    }

    /// Cancels the task as [`JoinHandle::cancel`] does, also when its join handle is gone; or the blocking call as
    /// [`SpawnBlocking::cancel`](super::SpawnBlocking::cancel) does. `false`: too late, for the task has
    /// ended, or the call has begun, and nothing was done. May be called any number of times.
    ///
    /// After `true` a task may still complete: if its future is ready before it is dropped.
    #[doc(alias = "abort")]
    pub fn cancel(&self) -> bool {
        match (&self.call, &self.task) {
            (Some((pool, number)), _) => pool.cancel(*number),
            (None, Some(task)) => task.cancel(),
            (None, None) => false,
        }
    }

    /// Whether the task or the call has ended: completed, panicked, or cancelled and dropped.
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.task.as_ref().is_none_or(|task| task.is_finished())
    }

    /// The task's identity.
    pub fn id(&self) -> TaskId {
        self.id
    }
}

impl<T: Send + 'static> JoinHandle<T> {
    /// What cancels the task, apart from this handle: to be kept elsewhere while this one is awaited, or after
    /// it was dropped. (For a task whose output is not `Send` there is [`cancel`](Self::cancel).)
    ///
    /// The first call makes what both share, one allocation, and from then on the handles of this task go by a
    /// lock; handles of tasks that are never asked do not.
    ///
    /// ```
    /// use whirligig::{spawn, task::yield_now};
    ///
    /// whirligig::run(async {
    ///     let task = spawn(std::future::pending::<()>());
    ///     let cancel = task.cancel_handle();
    ///     drop(task); // It goes on alone.
    ///     assert!(cancel.cancel());
    ///     while !cancel.is_finished() {
    ///         yield_now().await;
    ///     }
    ///     assert!(!cancel.cancel(), "it has ended");
    /// });
    /// ```
    #[doc(alias = "abort_handle")]
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle { id: self.id(), task: self.share(), call: None }
    }
}

// Each step is whole behind a lock, and user code is called with none held: a panic finds nothing half-done.
impl UnwindSafe for CancelHandle {}
impl RefUnwindSafe for CancelHandle {}

impl fmt::Debug for CancelHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelHandle")
            .field("id", &self.id)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}
