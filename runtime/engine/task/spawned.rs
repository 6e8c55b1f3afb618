//! A spawned future: the task's side of its join cell, and what a scheduler sees of it.
//!
//! The task's side is a [`Completer`]. It knows the future's type, polls it, and leaves the outcome in its place.
//! Which part of the cell it may touch in which state is in `cell.rs`.
//!
//! A scheduler sees a [`Spawned`]: a completer as one word, with the future's type forgotten; something to poll, and
//! something to drop. What knows the type is found through the cell's head. It is a boxed trait object in all but
//! name; it cannot be one because the allocation is shared with the join handle.
//!
//! What a task does when it ends is the same everywhere. Its future is dropped first; only then is its handle
//! told, so that whoever awaits the handle finds the task's guards and sockets gone. A panic becomes the
//! outcome: that of the poll, and that of the drop.
//!
//! The rival is a fat pointer, with the functions beside it: then it is known before the task's memory is
//! there what to call, but each entry of a run queue and each slot of a table is a word larger. (The processor
//! guesses what will be called anyway.)

use std::{
    fmt,
    future::Future,
    mem::{self, ManuallyDrop, MaybeUninit},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    ptr::NonNull,
    task::Poll,
};

use super::{
    cell::{
        COMPLETE, Cell, DETACHED, EMPTY, Functions, Head, LOCKED, WAITING, exchange, take_apart,
    },
    joiner::Joiner,
    outcome::{Failure, Interest, Outcome, Unseen},
    visit::{End, Naming, Visit},
};
use crate::engine::base::{
    foreign,
    place::Origin,
    prefetch::{LINE, prefetch},
    primitives::{Ordering, UnsafeCell, seeded},
};

/// A task that has not ended.
pub(crate) struct Spawned {
    head: NonNull<Head>,
}

/// A [`Spawned`] that any thread may poll, cancel or drop.
#[derive(Debug)]
pub(crate) struct SpawnedSend(Spawned);

/// The task's side of its cell.
pub(crate) struct Completer<F: Future> {
    whole: NonNull<Whole<F>>,
}

/// The task's side, when its future was dropped.
#[must_use = "its handle never resolves unless it is published"]
struct Emptied<F: Future> {
    whole: NonNull<Whole<F>>,
}

/// The allocation.
#[repr(C)]
struct Whole<F: Future> {
    // First, so that a pointer to either is one to both.
    cell: Cell<F::Output>,
    place: UnsafeCell<Place<F>>,
}

/// Where the future is until it is dropped, and then the outcome.
union Place<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// Where in its life a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Idle,
    Scheduled,
    Running,
}

/// Lines of the cache at the beginning of a task's memory that are fetched ahead of a poll.
const PREFETCHED: usize = 3;

impl Spawned {
    /// Bytes of the task's memory.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        self.functions().size
    }

    /// Has the processor fetch the beginning of the task's memory, without waiting for it: the cell, and where
    /// the future begins.
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        (0..PREFETCHED).for_each(|line| prefetch(self.head.as_ptr(), line * LINE));
    }

    /// The same for its end, given its size: a future's state lies behind its larger fields.
    #[inline(always)]
    pub(crate) fn prefetch_end(&self, size: usize) {
        prefetch(self.head.as_ptr(), size - 1);
    }
}

impl SpawnedSend {
    /// See [`Spawned::size`].
    pub(crate) fn size(&self) -> usize {
        self.0.size()
    }

    /// See [`Spawned::prefetch`].
    #[inline(always)]
    pub(crate) fn prefetch(&self) {
        self.0.prefetch();
    }

    /// See [`Spawned::prefetch_end`].
    #[inline(always)]
    pub(crate) fn prefetch_end(&self, size: usize) {
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

// Forgetting a future's type, and having it remembered.
#[allow(unsafe_code)]
mod erased {
    use super::*;

    impl Spawned {
        pub(crate) fn new<F: Future + 'static>(completer: Completer<F>) -> Self {
            Self { head: ManuallyDrop::new(completer).whole.cast() }
        }

        #[inline(always)]
        pub(super) fn functions(&self) -> &'static Functions {
            // SAFETY: the allocation is there until the completer is used up, and this is what is left of the
            // completer. Nobody writes to what of the head is no atomic.
            unsafe { self.head.as_ref().functions }
        }

        /// Polls once. Gives the task back, or how it ended.
        #[inline]
        pub(crate) fn poll(self, visit: &mut Visit<'_>) -> Result<Self, End> {
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
            unsafe { (this.functions().cancel)(this.head, Some(origin)) }
        }
    }

    impl SpawnedSend {
        pub(crate) fn new<F>(completer: Completer<F>) -> Self
        where
            F: Future<Output: Send> + Send + 'static,
        {
            Self(Spawned::new(completer))
        }
    }

    // SAFETY: the pointer stands for a `Completer<F>`, and by the bounds of `new`, which alone makes one
    // of these, that may be sent. `tests/models/task.rs` has one polled and dropped by threads in turn.
    unsafe impl Send for SpawnedSend {}

    impl Drop for Spawned {
        /// Only if something panics on the way: a table ends its tasks by `poll` or `cancel`.
        fn drop(&mut self) {
            // SAFETY: as in `poll`.
            unsafe { (self.functions().cancel)(self.head, None) }
        }
    }

    impl<F: Future> Completer<F> {
        /// What is done with it by who does not know its type.
        pub(super) const FUNCTIONS: &'static Functions = &Functions {
            poll: poll::<F>,
            cancel: cancel::<F>,
            take: take::<F>,
            size: size_of::<Whole<F>>(),
        };
    }

    /// # Safety
    /// `head` is that of a `Completer<F>`, and nobody else uses that. Unless the answer is `Pending`, it is
    /// used up.
    unsafe fn poll<F: Future>(head: NonNull<Head>, visit: &mut Visit<'_>) -> End {
        // Mostly it goes on, and must not be dropped here.
        let mut completer = ManuallyDrop::new(Completer::<F> { whole: head.cast() });
        let polled = if completer.is_cancelled() {
            None
        } else {
            let poll = || completer.future().poll(&mut visit.cx);
            Some(catch_unwind(AssertUnwindSafe(poll)))
        };
        let complete =
            |outcome| ManuallyDrop::into_inner(completer).complete(outcome, visit.origin);
        match polled {
            Some(Ok(Poll::Pending)) => End::Pending,
            Some(Ok(Poll::Ready(output))) => {
                complete(Ok(output));
                End::Completed
            }
            Some(Err(payload)) => {
                complete(Err(Failure::Panicked(payload)));
                End::Panicked
            }
            None => {
                complete(Err(Failure::Cancelled));
                End::Cancelled
            }
        }
    }

    /// # Safety
    /// As for `poll`. The completer is used up.
    unsafe fn cancel<F: Future>(head: NonNull<Head>, origin: Option<&Naming<'_>>) {
        let completer = Completer::<F> { whole: head.cast() };
        match origin {
            Some(origin) => completer.complete(Err(Failure::Cancelled), origin),
            None => drop(completer),
        }
    }

    /// # Safety
    /// As for `free`, but for the outcome, which is there and goes to where `to` points: to room for one.
    unsafe fn take<F: Future>(head: NonNull<Head>, to: NonNull<()>) {
        // SAFETY: by the caller's promise.
        unsafe {
            let place = &head.cast::<Whole<F>>().as_ref().place;
            let outcome = place.with_mut(|at| (&raw const (*at).outcome).read());
            to.cast().write(outcome);
            free::<F>(head);
        }
    }

    /// # Safety
    /// `head` is that of a `Whole<F>`, its owner is alone with it, and what is in it was dropped or
    /// moved out.
    pub(super) unsafe fn free<F: Future>(head: NonNull<Head>) {
        // SAFETY: by the caller's promise; `new` leaked this very box.
        drop(unsafe { Box::from_raw(head.cast::<MaybeUninit<Whole<F>>>().as_ptr()) });
    }
}

// The table in `cell.rs` is the argument for every block below: which side may touch what in which
// state. `tests/models/join.rs` runs all of it under loom.
#[allow(unsafe_code)]
mod shared {
    use super::*;

    // SAFETY: the outcome, the only thing of the output's type, is written by the completer and read by the
    // joiner, or dropped by either; never by both at once. So moving a side moves or drops an output on
    // another thread, which is what `Send` allows. The future is the completer's alone.
    unsafe impl<F: Future<Output: Send> + Send> Send for Completer<F> {}

    /// Makes the two sides of a new cell.
    #[inline(always)]
    pub(crate) fn new<F: Future>(future: F) -> (Completer<F>, Joiner<F::Output>) {
        // The room first, so that cell and future are written where they stay.
        let room = Box::new_uninit();
        let whole = Box::write(
            room,
            Whole {
                cell: Cell {
                    head: Head::new(Completer::<F>::FUNCTIONS),
                    interest: UnsafeCell::new(Interest::Nobody(None)),
                },
                place: UnsafeCell::new(Place { future: ManuallyDrop::new(future) }),
            },
        );
        let whole = NonNull::from(Box::leak(whole));
        // SAFETY: the cell is new, the pointer is that of its whole box, and the functions are this future's.
        let joiner = unsafe { Joiner::new(whole.cast()) };
        (Completer { whole }, joiner)
    }

    impl<F: Future> Completer<F> {
        pub(super) fn head(&self) -> &Head {
            // SAFETY: the allocation is freed only in `publish`, for which the completer is consumed, or by
            // a joiner that saw COMPLETE, which only `publish` sets.
            unsafe { &self.whole.as_ref().cell.head }
        }

        /// The future. It stays where it is until it is dropped.
        pub(super) fn future(&mut self) -> Pin<&mut F> {
            // SAFETY: alive as for `head`. The place is the completer's until the outcome is written, here reached
            // by `&mut`, and holds the future until that consumes the completer. It lies in a box that is never
            // moved out of before the future was dropped in its place: so it is pinned.
            unsafe {
                let place = &self.whole.as_ref().place;
                Pin::new_unchecked(place.with_mut(|at| &mut *(*at).future))
            }
        }

        /// Drops the future where it lies, and says whether that panicked. Nothing that unwinds may come
        /// between this and `publish`: the handle would never be told.
        #[inline(always)]
        pub(super) fn empty(self) -> (Emptied<F>, std::thread::Result<()>) {
            let whole = ManuallyDrop::new(self).whole;
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: alive as for `head`; the completer was consumed, so this is the future's last
                // use.
                unsafe {
                    whole.as_ref().place.with_mut(|at| ManuallyDrop::drop(&mut (*at).future));
                }
            }));
            (Emptied { whole }, dropped)
        }
    }

    impl<F: Future> Emptied<F> {
        /// Leaves the outcome for the joiner. An outcome that nobody will ever see is handed back, with
        /// the reporter a joiner left behind.
        #[inline(always)]
        pub(super) fn publish(self, outcome: Outcome<F::Output>) -> Unseen<F::Output> {
            let whole = ManuallyDrop::new(self).whole;
            // SAFETY: see `Completer::head`. Not used after the state allows the joiner to free it.
            let Whole { cell, place } = unsafe { whole.as_ref() };
            // Most tasks that nobody awaits were detached long before their end, and most that are awaited
            // find their joiner waiting.
            let mut state = cell.head.state.load(Ordering::Acquire);
            if state == DETACHED {
                // SAFETY: the joiner said goodbye with DETACHED; the cell is ours alone. The future is gone,
                // and the interest is moved out once.
                let interest = unsafe {
                    let interest = cell.interest.with_mut(|at| at.read());
                    erased::free::<F>(whole.cast());
                    interest
                };
                return Unseen::Yes(outcome, interest);
            }
            let outcome = ManuallyDrop::new(outcome);
            // SAFETY: until COMPLETE the place is the completer's, and the future is gone. (Written as what it is: a
            // `Place` of it would be as large as the future, and on the stack before it is here.)
            place.with_mut(|at| unsafe { (&raw mut (*at).outcome).write(outcome) });
            if state == EMPTY {
                let step = if seeded("join_relaxed_complete") {
                    let (relaxed, acquire) = (Ordering::Relaxed, Ordering::Acquire);
                    cell.head.state.compare_exchange(EMPTY, COMPLETE, relaxed, acquire)
                } else {
                    exchange(&cell.head.state, EMPTY, COMPLETE, Ordering::Acquire)
                };
                match step {
                    Ok(_) => return Unseen::No,
                    Err(other) => state = other,
                }
            }
            // SAFETY: the outcome is written, and the state is not COMPLETE yet.
            unsafe { complete_late(whole.cast(), state) }
        }
    }

    /// Completes a cell whose joiner waits, or has just left. `state` is what was last seen of it: each step
    /// finds out whether it still holds.
    ///
    /// # Safety
    /// The caller is the completer, wrote the outcome, and has not set COMPLETE. `state` was read with
    /// Acquire. The caller does not use the cell after this.
    unsafe fn complete_late<T>(pointer: NonNull<Cell<T>>, mut state: u8) -> Unseen<T> {
        // SAFETY: by the caller's promise the joiner cannot have freed it. Not used after the state
        // allows it to.
        let Cell { head: Head { state: at, .. }, interest } = unsafe { pointer.as_ref() };
        let unseen = || {
            // SAFETY: called after the joiner said goodbye with DETACHED; the cell is ours alone, with its outcome.
            let (outcome, interest) = unsafe { take_apart(pointer) };
            Unseen::Yes(outcome, interest)
        };
        loop {
            state = match state {
                WAITING if seeded("join_takes_the_waker_unlocked") => {
                    at.store(COMPLETE, Ordering::Release);
                    break;
                }
                WAITING => match exchange(at, WAITING, LOCKED, Ordering::Acquire) {
                    Ok(_) => break,
                    Err(other) => other,
                },
                EMPTY => match exchange(at, EMPTY, COMPLETE, Ordering::Acquire) {
                    Ok(_) => return Unseen::No,
                    Err(other) => other,
                },
                _detached => return unseen(),
            };
        }
        // SAFETY: in LOCKED the interest slot is the completer's.
        let interest =
            interest.with_mut(|slot| unsafe { mem::replace(&mut *slot, Interest::Nobody(None)) });
        let unseen = match at.swap(COMPLETE, Ordering::AcqRel) {
            DETACHED => unseen(),
            _ => Unseen::No,
        };
        // The waker is foreign code: it is called when we are done with the cell.
        if let Interest::Waker(waker) = interest {
            foreign::wake(waker);
        }
        unseen
    }
}

pub(crate) use shared::new;

impl<F: Future> Drop for Completer<F> {
    /// A task that is dropped without having been run counts as cancelled.
    fn drop(&mut self) {
        let (emptied, dropped) = Self { whole: self.whole }.empty();
        if let Err(payload) = dropped {
            foreign::panicked("a future's drop", payload);
        }
        drop(emptied.publish(Err(Failure::Cancelled)));
    }
}

impl<F: Future> Completer<F> {
    /// Ends the task: for its handle to see, or to be reported if none will. The handle must not
    /// resolve before the future is gone. If its drop panics, that is the outcome.
    // Out of line, so that a poll that does not end its task is the shorter for it.
    #[inline(never)]
    // ANCHOR: end
    pub(crate) fn complete(self, result: Outcome<F::Output>, origin: impl FnOnce() -> Origin) {
        let (emptied, dropped) = self.empty();
        let outcome = match dropped {
            Ok(()) => result,
            Err(payload) => {
                foreign::call("an output that nobody will see", || drop(result));
                Err(Failure::Panicked(payload))
            }
        };
        emptied.publish(outcome).settle(origin);
    }
    // END: end

    /// Tells the handle by which key to wake the task. Before the handle is shared.
    pub(crate) fn set_address(&self, key: u64) {
        self.head().set_address(key);
    }

    /// The same, when the handle may be at work on another thread.
    pub(crate) fn publish_address(&self, key: u64) {
        self.head().publish_address(key);
    }

    /// Whether somebody asked for cancellation.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.head().is_cancelled()
    }
}

impl fmt::Debug for Spawned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawned").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "spawned_tests.rs"]
mod tests;
