//! A spawned future, as the scheduler sees it: something to poll, and something to drop.
//!
//! A [`Spawned`] is one word: the task's side of its join cell (`completer.rs`), with the future's type
//! forgotten. What knows the type is found through the cell's head. It is a boxed trait object in all but
//! name; it cannot be one because the allocation is shared with the join handle.
//!
//! The rival is a fat pointer, with the functions beside it: then it is known before the task's memory is
//! there what to call, but each entry of a run queue and each slot of a table is a word larger. (The processor
//! guesses what will be called anyway.)

use std::{fmt, future::Future, mem::ManuallyDrop, ptr::NonNull};

use super::{
    cell::{Functions, Head},
    completer::Completer,
    visit::{End, Naming, Visit},
};

/// A task that has not ended.
pub(crate) struct Spawned {
    head: NonNull<Head>,
}

/// Lines of the cache fetched ahead of a poll: the join cell and the head of the future. Its last line is
/// another.
#[cfg(target_arch = "x86_64")]
const PREFETCHED: usize = 3;

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

impl Spawned {
    /// Bytes of the task's memory.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        self.functions().size
    }

    /// Has the processor fetch the beginning of the task's memory, without waiting for it. A task that is
    /// woken is polled soon; of many that are woken together, each has its memory by then.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        #[cfg(target_arch = "x86_64")]
        (0..PREFETCHED).for_each(|line| self.fetch(line * 64));
    }

    /// The same for its end, given its size: a future's state lies behind its larger fields.
    #[inline(always)]
    pub(crate) fn prefetch_end(&self, size: usize) {
        self.fetch(size - 1);
    }
}

impl SpawnedSend {
    /// See [`Spawned::size`].
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// See [`Spawned::prefetch`] and [`Spawned::prefetch_end`].
    #[inline(always)]
    pub(crate) fn prefetch(&self, size: usize) {
        self.0.prefetch();
        self.0.prefetch_end(size);
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

// The only `unsafe` here is that of forgetting a type and having it remembered.
#[allow(unsafe_code)]
mod erased {
    use super::*;

    impl Spawned {
        pub(crate) fn new<F: Future>(completer: Completer<F>) -> Self {
            Self { head: completer.into_raw() }
        }

        #[inline(always)]
        pub(super) fn functions(&self) -> &'static Functions {
            // SAFETY: the allocation is there until the completer is used up, and this is what is left of the
            // completer. The head is only ever read, but for its atomics.
            unsafe { self.head.as_ref().functions }
        }

        /// Has the processor fetch the line of the cache with the task's byte at `offset`.
        #[inline(always)]
        pub(super) fn fetch(&self, offset: usize) {
            #[cfg(target_arch = "x86_64")]
            {
                use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
                let at = self.head.as_ptr().cast::<i8>().wrapping_add(offset);
                // SAFETY: a prefetch may be given any address: it reads nothing the program can
                // see, and does not fault.
                unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = offset;
        }

        /// Polls once. Gives the task back, or how it ended.
        #[inline]
        pub(crate) fn poll(self, visit: &mut Visit<'_>) -> Result<Self, End> {
            // A panic on the way leaks what is left: the completer may be used up already.
            let this = ManuallyDrop::new(self);
            // SAFETY: `new` was given the completer, and this is its only holder. When it was used up, the
            // pointer is forgotten.
            match unsafe { (this.functions().poll)(this.head, visit) } {
                End::Pending => Ok(ManuallyDrop::into_inner(this)),
                end => Err(end),
            }
        }

        /// Drops the future, then tells the handle that the task was cancelled.
        pub(crate) fn cancel(self, origin: &Naming<'_>) {
            let this = ManuallyDrop::new(self);
            // SAFETY: as in `poll`.
            unsafe { (this.functions().cancel)(this.head, origin) }
        }
    }

    impl SpawnedSend {
        pub(crate) fn new<F: Future<Output: Send> + Send>(completer: Completer<F>) -> Self {
            Self(Spawned::new(completer))
        }
    }

    // SAFETY: the pointer stands for a `Completer<F>`, and by the bounds of `new`, which alone makes one
    // of these, that may be sent. `tests/models/task.rs` has one polled and dropped by threads in turn.
    unsafe impl Send for SpawnedSend {}

    impl Drop for Spawned {
        /// Only if something panics on the way: a table ends its tasks by `poll` or `cancel`.
        fn drop(&mut self) {
            let unnamed: Naming<'_> = &|| unreachable!("a cancelled task reports nothing");
            // SAFETY: as in `poll`.
            unsafe { (self.functions().cancel)(self.head, &unnamed) }
        }
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").finish_non_exhaustive()
    }
}
