//! The task's side of a join cell: polls the future, and leaves the outcome in its place.
//!
//! Here alone the future's type is known. A table of tasks holds a completer as a bare pointer (`spawned.rs`),
//! and reaches what is here through the functions in the cell's head. Which slot the completer may touch in
//! which state is in `cell.rs`.
//!
//! What a task does when it ends is the same everywhere. Its future is dropped first; only then is its handle
//! told, so that whoever awaits the handle finds the task's guards and sockets gone. A panic becomes the
//! outcome: that of the poll, and that of the drop.

use std::{
    future::Future,
    mem::{self, ManuallyDrop, MaybeUninit},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    ptr::NonNull,
    task::Poll,
};

use super::{
    cell::{COMPLETE, Cell, DETACHED, EMPTY, Functions, Head, LOCKED, WAITING, take_apart},
    joiner::Joiner,
    outcome::{Failure, Interest, Outcome, Unseen},
    visit::{End, Naming, Visit},
};
use crate::{
    foreign,
    place::Origin,
    primitives::{Ordering, UnsafeCell, seeded},
};

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

/// The task's side.
pub(crate) struct Completer<F: Future> {
    whole: NonNull<Whole<F>>,
}

/// The task's side, when its future was dropped.
#[must_use = "its handle never resolves unless it is published"]
struct Emptied<F: Future> {
    whole: NonNull<Whole<F>>,
}

// The table in `cell.rs` is the argument for every block below: which side may touch which slot in which
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
        let functions = const {
            &Functions {
                poll: poll::<F>,
                cancel: cancel::<F>,
                take: take::<F>,
                size: size_of::<Whole<F>>(),
            }
        };
        // The room first, so that cell and future are written where they stay.
        let room = Box::new_uninit();
        let whole = Box::write(
            room,
            Whole {
                cell: Cell {
                    head: Head::new(functions),
                    interest: UnsafeCell::new(Interest::Nobody(None)),
                },
                place: UnsafeCell::new(Place { future: ManuallyDrop::new(future) }),
            },
        );
        let whole = NonNull::from(Box::leak(whole));
        // SAFETY: the cell is new.
        let joiner = unsafe { Joiner::new(whole.cast()) };
        (Completer { whole }, joiner)
    }

    /// # Safety
    /// `head` is that of a `Whole<F>`, its owner is alone with it, and what is in it was dropped or
    /// moved out.
    unsafe fn free<F: Future>(head: NonNull<Head>) {
        // SAFETY: by the caller's promise; `new` leaked this very box.
        drop(unsafe { Box::from_raw(head.cast::<MaybeUninit<Whole<F>>>().as_ptr()) });
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
    /// `head` came from `into_raw` of a `Completer<F>`, and nobody else uses it. Unless the answer is
    /// `Pending`, it is used up.
    unsafe fn poll<F: Future>(head: NonNull<Head>, visit: &mut Visit<'_>) -> End {
        // A panic on the way leaks what is left: it may be used up already.
        let mut completer = ManuallyDrop::new(Completer::<F> { whole: head.cast() });
        if completer.is_cancelled() {
            let completer = ManuallyDrop::into_inner(completer);
            completer.complete(Err(Failure::Cancelled), visit.origin);
            return End::Cancelled;
        }
        let polled = catch_unwind(AssertUnwindSafe(|| completer.future().poll(&mut visit.cx)));
        let complete =
            |outcome| ManuallyDrop::into_inner(completer).complete(outcome, visit.origin);
        match polled {
            Ok(Poll::Pending) => End::Pending,
            Ok(Poll::Ready(output)) => {
                complete(Ok(output));
                End::Completed
            }
            Err(payload) => {
                complete(Err(Failure::Panicked(payload)));
                End::Panicked
            }
        }
    }

    /// # Safety
    /// As for `poll`. The completer is used up.
    unsafe fn cancel<F: Future>(head: NonNull<Head>, origin: &Naming<'_>) {
        Completer::<F> { whole: head.cast() }.complete(Err(Failure::Cancelled), origin);
    }

    impl<F: Future> Completer<F> {
        pub(super) fn head(&self) -> &Head {
            // SAFETY: the allocation is freed only in `publish`, for which the completer is consumed, or by
            // a joiner that saw COMPLETE, which only `publish` sets.
            unsafe { &self.whole.as_ref().cell.head }
        }

        /// The future. It stays where it is until it is dropped.
        fn future(&mut self) -> Pin<&mut F> {
            // SAFETY: alive as for `head`. The place is reached only through the completer until the outcome is
            // written, here by `&mut`, and holds the future until that consumes the completer. It lies in a box
            // that is never moved out of before the future was dropped in its place: so it is pinned.
            unsafe {
                let place = &self.whole.as_ref().place;
                Pin::new_unchecked(place.with_mut(|at| &mut *(*at).future))
            }
        }

        /// The completer as a bare pointer, for a table that knows no types.
        pub(in super::super) fn into_raw(self) -> NonNull<Head> {
            ManuallyDrop::new(self).whole.cast()
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
                    free::<F>(whole.cast());
                    interest
                };
                return Unseen::Yes(outcome, interest);
            }
            // SAFETY: until COMPLETE the place is the completer's, and the future is gone.
            place.with_mut(|at| unsafe { at.write(Place { outcome: ManuallyDrop::new(outcome) }) });
            if state == EMPTY {
                let step = if seeded("join_relaxed_complete") {
                    let (relaxed, acquire) = (Ordering::Relaxed, Ordering::Acquire);
                    cell.head.state.compare_exchange(EMPTY, COMPLETE, relaxed, acquire)
                } else {
                    cell.head.exchange(EMPTY, COMPLETE, Ordering::Acquire)
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
        let Cell { head, interest } = unsafe { pointer.as_ref() };
        let unseen = || {
            // SAFETY: called after the joiner said goodbye with DETACHED; the cell is ours alone, with its outcome.
            let (outcome, interest) = unsafe { take_apart(pointer) };
            Unseen::Yes(outcome, interest)
        };
        loop {
            state = match state {
                WAITING if seeded("join_takes_the_waker_unlocked") => {
                    head.state.store(COMPLETE, Ordering::Release);
                    break;
                }
                WAITING => match head.exchange(WAITING, LOCKED, Ordering::Acquire) {
                    Ok(_) => break,
                    Err(other) => other,
                },
                EMPTY => match head.exchange(EMPTY, COMPLETE, Ordering::Acquire) {
                    Ok(_) => return Unseen::No,
                    Err(other) => other,
                },
                _detached => return unseen(),
            };
        }
        // SAFETY: in LOCKED the interest slot is the completer's.
        let interest =
            interest.with_mut(|slot| unsafe { mem::replace(&mut *slot, Interest::Nobody(None)) });
        let unseen = match head.state.swap(COMPLETE, Ordering::AcqRel) {
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
