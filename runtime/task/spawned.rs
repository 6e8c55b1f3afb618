//! A spawned future, as the scheduler sees it: something to poll, and something to drop.
//!
//! A [`Spawned`] is one pointer to the allocation that holds the join cell and the future, and the
//! functions that know the future's type. It is a boxed trait object in all but name; it cannot be
//! one because the allocation is shared with the join handle.
//!
//! What a task does when it ends is the same everywhere. Its future is dropped first; only then is
//! its handle told, so that whoever awaits the handle finds the task's guards and sockets gone. A
//! panic becomes the outcome: that of the poll is caught here, that of the drop in `cell.rs`, which
//! does the two steps (`Completer::complete`).

use std::{
    fmt,
    future::Future,
    mem::ManuallyDrop,
    panic::{AssertUnwindSafe, catch_unwind},
    ptr::NonNull,
    task::{Context, Poll},
};

use super::{cell::Completer, outcome::Failure};
use crate::place::Origin;

/// A future, and the task's side of its cell.
type Side<F> = Completer<<F as Future>::Output, F>;

/// Where a task comes from, for a report.
pub(crate) type Naming<'a> = &'a dyn Fn() -> Origin;

/// What a poll is given: one word for all of it, for a poll has no register to spare.
pub(crate) struct Visit<'a> {
    pub(crate) cx: Context<'a>,
    /// Names the task in a report.
    pub(crate) origin: &'a Naming<'a>,
}

/// A task that has not ended.
pub(crate) struct Spawned {
    side: NonNull<()>,
    functions: &'static Functions,
}

/// What knows the type of a task's future. Each is given the task's side of its cell as a bare
/// pointer, and how to name the task in a report.
struct Functions {
    poll: unsafe fn(NonNull<()>, &mut Visit<'_>) -> End,
    cancel: unsafe fn(NonNull<()>, &Naming<'_>),
    /// Bytes of the allocation.
    size: usize,
}

/// Lines of the cache fetched ahead of a poll: the join cell and the head of the future. Its last line is
/// another.
#[cfg(target_arch = "x86_64")]
const PREFETCHED: usize = 3;

/// How a poll ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Pending,
    Completed,
    Panicked,
    Cancelled,
}

/// Where in its life a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Idle,
    Scheduled,
    Running,
}

/// A [`Spawned`] that any thread may poll, cancel or drop.
#[derive(Debug)]
pub(crate) struct SpawnedSend(Spawned);

impl SpawnedSend {
    /// See [`Spawned::prefetch`].
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// See [`Spawned::poll`].
    #[inline]
    pub(crate) fn poll(self, visit: &mut Visit<'_>) -> Result<Self, End> {
        self.0.poll(visit).map(Self)
    }

    /// See [`Spawned::cancel`].
    pub(crate) fn cancel(self, origin: &Naming<'_>) {
        self.0.cancel(origin);
    }
}

// The only `unsafe` here is that of forgetting a type and remembering it.
#[allow(unsafe_code)]
mod erased {
    use super::*;

    impl Spawned {
        pub(crate) fn new<F: Future>(side: Side<F>) -> Self {
            Self {
                side: side.into_raw(),
                functions: const {
                    &Functions { poll: poll::<F>, cancel: cancel::<F>, size: Side::<F>::SIZE }
                },
            }
        }

        /// Has the processor fetch the task's memory, without waiting for it. A task that is woken
        /// is polled soon; of many that are woken together, each has its memory by then.
        #[inline(always)]
        pub(crate) fn prefetch(&self) {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let fetch = |at| {
                    let at = self.side.as_ptr().cast::<i8>().wrapping_add(at);
                    // SAFETY: a prefetch may be given any address: it reads nothing the program can
                    // see, and does not fault.
                    unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
                };
                (0..PREFETCHED).for_each(|line| fetch(line * 64));
                // A future's state lies behind its larger fields.
                fetch(self.functions.size - 1);
            }
        }

        /// Polls once. Gives the task back, or how it ended.
        #[inline]
        pub(crate) fn poll(self, visit: &mut Visit<'_>) -> Result<Self, End> {
            // A panic on the way leaks what is left: the side may be used up already.
            let this = ManuallyDrop::new(self);
            // SAFETY: `new` paired this pointer with the functions of its type, and this is its only
            // holder. When the side was used up, the pointer is forgotten.
            match unsafe { (this.functions.poll)(this.side, visit) } {
                End::Pending => Ok(ManuallyDrop::into_inner(this)),
                end => Err(end),
            }
        }

        /// Drops the future, then tells the handle that the task was cancelled.
        pub(crate) fn cancel(self, origin: &Naming<'_>) {
            let Self { side, functions } = self;
            std::mem::forget(self);
            // SAFETY: as in `poll`.
            unsafe { (functions.cancel)(side, origin) }
        }
    }

    impl SpawnedSend {
        pub(crate) fn new<F: Future + Send>(side: Side<F>) -> Self
        where
            F::Output: Send,
        {
            Self(Spawned::new(side))
        }
    }

    // SAFETY: the pointer stands for a `Side<F>`, and by the bounds of `new`, which alone makes one
    // of these, that may be sent. `tests/models/task.rs` has one polled and dropped by threads in turn.
    unsafe impl Send for SpawnedSend {}

    impl Drop for Spawned {
        /// Only if something panics on the way: a table ends its tasks by `poll` or `cancel`.
        fn drop(&mut self) {
            let unnamed: Naming<'_> = &|| unreachable!("a cancelled task reports nothing");
            // SAFETY: as in `poll`.
            unsafe { (self.functions.cancel)(self.side, &unnamed) }
        }
    }

    /// # Safety
    /// `side` came from `into_raw` of a `Side<F>`, and nobody else uses it. Unless the answer is
    /// `Pending`, it is used up.
    unsafe fn poll<F: Future>(side: NonNull<()>, visit: &mut Visit<'_>) -> End {
        // SAFETY: by the caller's promise.
        let mut side = unsafe { Side::<F>::from_raw(side) };
        if side.is_cancelled() {
            side.complete(Err(Failure::Cancelled), visit.origin);
            return End::Cancelled;
        }
        let polled = catch_unwind(AssertUnwindSafe(|| side.load().poll(&mut visit.cx)));
        match polled {
            Ok(Poll::Pending) => {
                std::mem::forget(side);
                End::Pending
            }
            Ok(Poll::Ready(output)) => {
                side.complete(Ok(output), visit.origin);
                End::Completed
            }
            Err(payload) => {
                side.complete(Err(Failure::Panicked(payload)), visit.origin);
                End::Panicked
            }
        }
    }

    /// # Safety
    /// As for `poll`. The side is used up.
    unsafe fn cancel<F: Future>(side: NonNull<()>, origin: &Naming<'_>) {
        // SAFETY: by the caller's promise.
        let side = unsafe { Side::<F>::from_raw(side) };
        side.complete(Err(Failure::Cancelled), origin);
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").finish_non_exhaustive()
    }
}
