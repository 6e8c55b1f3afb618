//! The join cell: where a task leaves its output and a handle finds it.
//!
//! Two parties share one allocation. The task's side, the [`Completer`], writes the output once. The
//! handle's side, the [`Joiner`], waits for it. Behind the cell, in the same allocation, lies the
//! completer's *load*: the task's future. The joiner never touches it, nor knows its type, and the
//! completer drops it before the outcome is told; so a handle is `Send` whenever the output is, also
//! for a task that never leaves its thread. Both variants of the runtime and the blocking pool use
//! this cell.
//!
//! The word `state` says who may touch what:
//!
// ANCHOR: states
//! | state    | output slot      | interest slot    | who frees the cell     |
//! | -------- | ---------------- | ---------------- | ---------------------- |
//! | EMPTY    | completer        | joiner           | whoever leaves last    |
//! | WAITING  | completer        | nobody           | whoever leaves last    |
//! | LOCKED   | completer        | completer        | whoever leaves last    |
//! | COMPLETE | joiner           | joiner           | joiner                 |
//! | DETACHED | completer        | completer        | completer              |
// END: states
//!
//! ```text
//!      leave            poll              complete
//!   +--------- EMPTY <---------> WAITING ----------> LOCKED
//!   |            |           (it leaves by            |  \
//!   |            | complete   way of EMPTY)           |   \ leave
//!   v            v                                    v    v
//! DETACHED    COMPLETE                           COMPLETE  DETACHED
//! ```
//!
//! A completion with nobody waiting yet is one compare-and-exchange, after which the completer never
//! looks back; with somebody waiting it is two steps, and with the handle gone a load. Seen
//! `COMPLETE`, the joiner is alone with the cell. LOCKED exists so that the waker can be taken out
//! before the joiner may free what it lies in.
//!
//! Cancelling goes the other way, through a second word: the address of the task's waker, and a bit
//! that asks for cancellation. Both live in one word because the two sides race: whichever comes
//! second sees the other.
//!
//! The rivals are `Arc<Mutex<State>>`, no unsafe and twice the price of a spawn; and a cell apart from
//! the future, less unsafe and one allocation more (measured for spawn and join: 1,410 instructions
//! with two, 1,000 with one).

use std::{
    cell::UnsafeCell as StdUnsafeCell,
    mem::{self, ManuallyDrop},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    ptr::NonNull,
    task::Context,
};

use super::outcome::{Failure, Interest, Outcome, Report, Unseen};
use crate::{
    foreign,
    place::Origin,
    primitives::{AtomicU8, AtomicU64, Ordering, UnsafeCell, seeded, thread},
};

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const LOCKED: u8 = 2;
const COMPLETE: u8 = 3;
const DETACHED: u8 = 4;

/// Set in `address` when somebody asked for cancellation. A waker's key never has it: slots count to
/// 2^31 only.
const CANCEL: u64 = 1 << 31;

struct Cell<T> {
    state: AtomicU8,
    /// The key of the task's waker (0 while it has none), and [`CANCEL`].
    address: AtomicU64,
    interest: UnsafeCell<Interest<T>>,
    output: UnsafeCell<Option<Outcome<T>>>,
    /// Frees the whole allocation, of whose load only the completer knows the type. Drops nothing.
    free: unsafe fn(NonNull<Cell<T>>),
}

/// The allocation. The cell comes first, so that a pointer to either is one to both.
#[repr(C)]
struct Whole<T, L> {
    cell: Cell<T>,
    /// The completer's alone, and dropped by it.
    load: StdUnsafeCell<ManuallyDrop<L>>,
}

/// Makes the two sides of a new cell.
#[inline(always)]
pub(crate) fn new<T, L>(load: L) -> (Completer<T, L>, Joiner<T>) {
    // The room first, so that cell and load are written where they stay.
    let room = Box::new_uninit();
    let whole = Box::write(
        room,
        Whole {
            cell: Cell {
                state: AtomicU8::new(EMPTY),
                address: AtomicU64::new(0),
                interest: UnsafeCell::new(Interest::Nobody),
                output: UnsafeCell::new(None),
                free: shared::free::<T, L>,
            },
            load: StdUnsafeCell::new(ManuallyDrop::new(load)),
        },
    );
    let whole = NonNull::from(Box::leak(whole));
    (Completer { whole }, Joiner { cell: whole.cast() })
}

/// The task's side.
pub(crate) struct Completer<T, L = ()> {
    whole: NonNull<Whole<T, L>>,
}

/// The task's side, when its load was dropped.
#[must_use = "its handle never resolves unless it is published"]
pub(crate) struct Unloaded<T, L> {
    whole: NonNull<Whole<T, L>>,
}

/// The handle's side.
pub(crate) struct Joiner<T> {
    cell: NonNull<Cell<T>>,
}

// The table above is the argument for every block below: which side may touch which slot in which
// state. `tests/models/join.rs` runs all of it under loom.
#[allow(unsafe_code)]
mod shared {
    use super::*;

    // SAFETY: the output, the only thing of type `T`, is written by the completer and read by the
    // joiner, or dropped by either; never by both at once. So moving a side moves or drops a `T` on
    // another thread, which is what `T: Send` allows. The load is the completer's alone.
    unsafe impl<T: Send, L: Send> Send for Completer<T, L> {}
    // SAFETY: as above. The joiner frees the load's memory, but the load was dropped before that.
    unsafe impl<T: Send> Send for Joiner<T> {}
    // SAFETY: as above. No method of `&Joiner` touches the output.
    unsafe impl<T: Send> Sync for Joiner<T> {}

    /// # Safety
    /// `cell` is that of a `Whole<T, L>`, its owner is alone with it, and what is in it was dropped or
    /// moved out.
    pub(super) unsafe fn free<T, L>(cell: NonNull<Cell<T>>) {
        // SAFETY: by the caller's promise; `new` leaked this very box.
        drop(unsafe { Box::from_raw(cell.cast::<ManuallyDrop<Whole<T, L>>>().as_ptr()) });
    }

    /// Takes apart and frees a cell: its output, if there is one yet, and who is interested.
    ///
    /// # Safety
    /// The caller is alone with the cell, and does not use it after this. Its load was dropped.
    #[inline]
    unsafe fn take_apart<T>(cell: NonNull<Cell<T>>) -> (Option<Outcome<T>>, Interest<T>) {
        // SAFETY: by the caller's promise; each part is moved out once.
        unsafe {
            let Cell { interest, output, free, .. } = cell.as_ref();
            let parts = (output.with_mut(|at| at.read()), interest.with_mut(|at| at.read()));
            free(cell);
            parts
        }
    }

    impl<T, L> Completer<T, L> {
        pub(super) fn cell(&self) -> &Cell<T> {
            // SAFETY: the allocation is freed only in `publish`, for which the completer is consumed, or by
            // a joiner that saw COMPLETE, which only `publish` sets.
            unsafe { &self.whole.as_ref().cell }
        }

        /// The load. It stays where it is until it is dropped.
        pub(crate) fn load(&mut self) -> Pin<&mut L> {
            // SAFETY: alive as for `cell`. The load is reached only through its completer, here by
            // `&mut`, and dropped only when that is consumed. It lies in a box that is never moved
            // out of before the load was dropped in its place: so it is pinned.
            unsafe {
                Pin::new_unchecked(&mut *self.whole.as_ref().load.get())
                    .map_unchecked_mut(|l| &mut **l)
            }
        }

        /// The completer as a bare pointer, for a table that knows no types.
        pub(crate) fn into_raw(self) -> NonNull<()> {
            ManuallyDrop::new(self).whole.cast()
        }

        /// The completer again.
        ///
        /// # Safety
        /// `raw` came from `into_raw` of a completer of the same types, and only one completer is
        /// made of it at a time.
        pub(crate) unsafe fn from_raw(raw: NonNull<()>) -> Self {
            Self { whole: raw.cast() }
        }

        /// Drops the load where it lies, and says whether that panicked. Nothing that unwinds may come
        /// between this and `publish`: the handle would never be told.
        #[inline(always)]
        pub(super) fn unload(self) -> (Unloaded<T, L>, std::thread::Result<()>) {
            let whole = ManuallyDrop::new(self).whole;
            let dropped = catch_unwind(AssertUnwindSafe(|| {
                // SAFETY: alive as for `cell`; the completer was consumed, so this is the load's last
                // use.
                unsafe { ManuallyDrop::drop(&mut *whole.as_ref().load.get()) }
            }));
            (Unloaded { whole }, dropped)
        }
    }

    impl<T, L> Unloaded<T, L> {
        /// Leaves the outcome for the joiner. An outcome that nobody will ever see is handed back, with
        /// the reporter a joiner left behind.
        #[inline(always)]
        pub(super) fn publish(self, outcome: Outcome<T>) -> Unseen<T> {
            let pointer: NonNull<Cell<T>> = ManuallyDrop::new(self).whole.cast();
            // SAFETY: see `Completer::cell`. Not used after the state allows the joiner to free it.
            let cell = unsafe { pointer.as_ref() };
            // Most tasks that nobody awaits were detached long before their end, and most that are awaited
            // find their joiner waiting.
            let mut state = cell.state.load(Ordering::Acquire);
            if state == DETACHED {
                // SAFETY: the joiner said goodbye with DETACHED; the cell is ours alone. Its output
                // slot is empty, and the interest is moved out once.
                let interest = unsafe {
                    let interest = cell.interest.with_mut(|at| at.read());
                    free::<T, L>(pointer);
                    interest
                };
                return Unseen::Yes(outcome, interest);
            }
            // SAFETY: until COMPLETE the output slot is the completer's.
            cell.output.with_mut(|slot| unsafe { *slot = Some(outcome) });
            let release =
                if seeded("join_relaxed_complete") { Ordering::Relaxed } else { Ordering::AcqRel };
            if state == EMPTY {
                match exchange(cell, EMPTY, COMPLETE, release) {
                    Ok(_) => return Unseen::No,
                    Err(other) => state = other,
                }
            }
            // SAFETY: the outcome is written, and the state is not COMPLETE yet.
            unsafe { complete_late(pointer, state) }
        }
    }

    /// The completer's step from one state to another. Else the state there is instead.
    fn exchange<T>(cell: &Cell<T>, from: u8, to: u8, success: Ordering) -> Result<u8, u8> {
        cell.state.compare_exchange(from, to, success, Ordering::Acquire)
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
        let cell = unsafe { pointer.as_ref() };
        loop {
            state = match state {
                WAITING if seeded("join_takes_the_waker_unlocked") => {
                    cell.state.store(COMPLETE, Ordering::Release);
                    break;
                }
                WAITING => match exchange(cell, WAITING, LOCKED, Ordering::AcqRel) {
                    Ok(_) => break,
                    Err(other) => other,
                },
                EMPTY => match exchange(cell, EMPTY, COMPLETE, Ordering::AcqRel) {
                    Ok(_) => return Unseen::No,
                    Err(other) => other,
                },
                // SAFETY: the joiner said goodbye with DETACHED; the cell is ours alone.
                _detached => return Unseen::of(unsafe { take_apart(pointer) }),
            };
        }
        // SAFETY: in LOCKED the interest slot is the completer's.
        let interest =
            cell.interest.with_mut(|slot| unsafe { mem::replace(&mut *slot, Interest::Nobody) });
        let unseen = match cell.state.swap(COMPLETE, Ordering::AcqRel) {
            // SAFETY: as above.
            DETACHED => Unseen::of(unsafe { take_apart(pointer) }),
            _ => Unseen::No,
        };
        // The waker is foreign code: it is called when we are done with the cell.
        if let Interest::Waker(waker) = interest {
            foreign::wake(waker);
        }
        unseen
    }

    impl<T> Joiner<T> {
        pub(super) fn cell(&self) -> &Cell<T> {
            // SAFETY: the joiner's cell is freed in its own `drop`, or by a completer that saw
            // DETACHED, which only that `drop` sets.
            unsafe { self.cell.as_ref() }
        }

        /// Takes the outcome. Only once COMPLETE was seen, with Acquire.
        #[inline]
        pub(super) fn into_outcome(self) -> Outcome<T> {
            debug_assert!(self.is_complete());
            let pointer = ManuallyDrop::new(self).cell;
            // SAFETY: in COMPLETE the joiner is alone with the cell, and this is its last step.
            let (outcome, _interest) = unsafe { take_apart(pointer) };
            outcome.expect("a complete cell has an outcome, taken once")
        }

        /// Puts an interest into the slot, and the old one out.
        pub(super) fn replace_interest(&mut self, interest: Interest<T>) -> Interest<T> {
            // SAFETY: called only in EMPTY or COMPLETE, where the interest slot is the joiner's.
            self.cell().interest.with_mut(|slot| unsafe { mem::replace(&mut *slot, interest) })
        }

        /// Says goodbye. What is then known to be unseen is handed back.
        pub(super) fn say_goodbye(&mut self, report: Option<Report<T>>) -> Unseen<T> {
            let mut report = report;
            loop {
                let state = self.cell().state.load(Ordering::Acquire);
                match state {
                    COMPLETE => {
                        // SAFETY: in COMPLETE the joiner is alone with the cell, and this is its
                        // last step.
                        let mut unseen = Unseen::of(unsafe { take_apart(self.cell) });
                        if let (Unseen::Yes(_, interest), Some(report)) = (&mut unseen, report) {
                            *interest = Interest::Report(report);
                        }
                        return unseen;
                    }
                    WAITING => {
                        // The waker goes now, not when the task ends.
                        if self.to_empty() {
                            drop(self.replace_interest(Interest::Nobody));
                        }
                    }
                    EMPTY => {
                        if let Some(report) = report.take() {
                            drop(self.replace_interest(Interest::Report(report)));
                        }
                        if self.exchange(EMPTY, DETACHED) {
                            return Unseen::No;
                        }
                    }
                    _locked => {
                        // The completer is taking the waker and will find us gone. (A reporter
                        // cannot be left any more; that a failure goes unreported in this one
                        // instant is avoided by waiting it out.)
                        if report.is_some() {
                            thread::yield_now();
                        } else if self.exchange(LOCKED, DETACHED) {
                            return Unseen::No;
                        }
                    }
                }
            }
        }

        /// WAITING to EMPTY: takes the joiner slot back. `false` if the completer was faster.
        pub(super) fn to_empty(&self) -> bool {
            self.exchange(WAITING, EMPTY)
        }

        pub(super) fn exchange(&self, from: u8, to: u8) -> bool {
            let state = &self.cell().state;
            state.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        }
    }
}

impl<T, L> Drop for Completer<T, L> {
    /// A task that is dropped without having been run counts as cancelled.
    fn drop(&mut self) {
        let (unloaded, dropped) = Self { whole: self.whole }.unload();
        if let Err(payload) = dropped {
            foreign::panicked("a future's drop", payload);
        }
        drop(unloaded.publish(Err(Failure::Cancelled)));
    }
}

impl<T, L> Completer<T, L> {
    /// Bytes of the allocation.
    pub(crate) const SIZE: usize = size_of::<Whole<T, L>>();

    /// Ends the task: for its handle to see, or to be reported if none will. The handle must not
    /// resolve before the load is gone. If its drop panics, that is the outcome.
    // Out of line, so that a poll that does not end its task is the shorter for it.
    #[inline(never)]
    // ANCHOR: end
    pub(crate) fn complete(self, result: Outcome<T>, origin: impl FnOnce() -> Origin) {
        let (unloaded, dropped) = self.unload();
        let outcome = match dropped {
            Ok(()) => result,
            Err(payload) => {
                foreign::call("an output that nobody will see", || drop(result));
                Err(Failure::Panicked(payload))
            }
        };
        unloaded.publish(outcome).settle(origin);
    }
    // END: end

    /// Tells the handle by which key to wake the task. Before the handle is shared.
    pub(crate) fn set_address(&self, key: u64) {
        self.cell().address.store(key, Ordering::Relaxed);
    }

    /// The same, when the handle may be at work on another thread.
    pub(crate) fn publish_address(&self, key: u64) {
        self.cell().address.fetch_or(key, Ordering::AcqRel);
    }

    /// Whether somebody asked for cancellation. One plain load: asked at each poll.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.cell().address.load(Ordering::Relaxed) & CANCEL != 0
    }
}

impl<T> Joiner<T> {
    /// See [`Completer::set_address`]. Before the task is in a run queue.
    pub(crate) fn set_address(&self, key: u64) {
        self.cell().address.store(key, Ordering::Relaxed);
    }

    /// Asks for cancellation. Gives the key to wake the task by, unless it was asked before, or the
    /// task has no key yet: then its first poll will see the bit.
    pub(crate) fn cancel(&self) -> Option<u64> {
        let before = self.cell().address.fetch_or(CANCEL, Ordering::AcqRel);
        (before & CANCEL == 0 && before != 0).then_some(before)
    }

    /// Whether the outcome is there.
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: whoever is told relies on the task being gone.
        let acquire =
            if seeded("join_looks_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        self.cell().state.load(acquire) == COMPLETE
    }

    /// The outcome; until there is one, the joiner again, and the waker of `cx` is woken when there is.
    #[inline]
    pub(crate) fn poll_outcome(mut self, cx: &mut Context<'_>) -> Result<Outcome<T>, Self> {
        let mut state = self.cell().state.load(Ordering::Acquire);
        if state == WAITING && !self.to_empty() {
            state = self.cell().state.load(Ordering::Acquire);
        }
        if state == LOCKED {
            // The completer is between taking the old waker and being done. It will not see a new
            // one, so come back.
            cx.waker().wake_by_ref();
            return Err(self);
        }
        if state != COMPLETE {
            // Cloning and dropping wakers is foreign code; nothing is held here but our slot.
            let old = self.replace_interest(Interest::Waker(cx.waker().clone()));
            drop(old);
            if self.exchange(EMPTY, WAITING) {
                return Err(self);
            }
            // It completed meanwhile; the Acquire that the exchange lacks on failure:
            let state = self.cell().state.load(Ordering::Acquire);
            debug_assert_eq!(state, COMPLETE);
            drop(self.replace_interest(Interest::Nobody));
        }
        Ok(self.into_outcome())
    }
}

impl<T> Joiner<T> {
    /// Leaves. An outcome that is there, or comes, is reported by `report`; without one, only a panic
    /// is.
    #[inline]
    pub(crate) fn leave(self, report: Option<Report<T>>, origin: &Origin) {
        // A handle that is dropped at once, with its task still to run, is the common one.
        if report.is_none() && self.exchange(EMPTY, DETACHED) {
            mem::forget(self);
        } else {
            self.leave_late(report, origin);
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_late(self, report: Option<Report<T>>, origin: &Origin) {
        ManuallyDrop::new(self).say_goodbye(report).settle(|| origin.clone());
    }
}

impl<T> Drop for Joiner<T> {
    /// For a joiner that is not told where its task comes from: it leaves in silence.
    #[cold]
    fn drop(&mut self) {
        drop(self.say_goodbye(None));
    }
}
