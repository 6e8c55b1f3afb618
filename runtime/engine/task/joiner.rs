//! The handle's side of a join cell: waits for the outcome, takes it, or leaves.
//!
//! `join.rs` makes the public handle of it. Which slot it may touch in which state is in `cell.rs`; each of its
//! steps is one of the arrows there.

use std::{
    mem::{self, ManuallyDrop},
    ptr::NonNull,
    task::Context,
};

use super::{
    cell::{COMPLETE, Cell, DETACHED, EMPTY, Head, LOCKED, WAITING, exchange, take_apart},
    outcome::{Interest, Outcome, Report, Unseen},
};
use crate::engine::base::{
    place::Origin,
    primitives::{Ordering, seeded, thread},
};

/// The handle's side.
pub(crate) struct Joiner<T> {
    cell: NonNull<Cell<T>>,
}

// The table in `cell.rs` is the argument for every block below: which side may touch which slot in which
// state. `tests/models/join.rs` runs all of it under loom.
#[allow(unsafe_code)]
mod shared {
    use super::*;

    // SAFETY: the outcome, the only thing of type `T`, is written by the completer and read by the joiner, or
    // dropped by either; never by both at once. So moving a side moves or drops a `T` on another thread,
    // which is what `T: Send` allows. The joiner frees the future's memory, but the future was dropped
    // before that.
    unsafe impl<T: Send> Send for Joiner<T> {}
    // SAFETY: as above. No method of `&Joiner` touches the outcome.
    unsafe impl<T: Send> Sync for Joiner<T> {}

    impl<T> Joiner<T> {
        /// # Safety
        /// The cell is in EMPTY, and has no joiner yet. It begins an allocation that the pointer may free, whose
        /// functions take out of it an outcome of this type, and which stays until the table says who frees it.
        pub(in super::super) unsafe fn new(cell: NonNull<Cell<T>>) -> Self {
            Self { cell }
        }

        pub(super) fn cell(&self) -> &Cell<T> {
            // SAFETY: the cell is freed by the joiner's last step, after which there is no joiner, or by a completer
            // that saw DETACHED, which only such a step sets.
            unsafe { self.cell.as_ref() }
        }

        /// Takes the outcome. Only once COMPLETE was seen, with Acquire.
        #[inline]
        pub(super) fn into_outcome(self) -> Outcome<T> {
            debug_assert!(self.is_complete());
            let pointer = ManuallyDrop::new(self).cell;
            // SAFETY: in COMPLETE the joiner is alone with the cell, and this is its last step.
            let (outcome, _interest) = unsafe { take_apart(pointer) };
            outcome
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
                let state = self.head().state.load(Ordering::Acquire);
                match state {
                    COMPLETE => {
                        // SAFETY: in COMPLETE the joiner is alone with the cell, and this is its
                        // last step.
                        let (outcome, interest) = unsafe { take_apart(self.cell) };
                        let interest = match report {
                            Some(report) => Interest::Nobody(Some(report)),
                            None => interest,
                        };
                        return Unseen::Yes(outcome, interest);
                    }
                    WAITING => {
                        // The waker goes now, not when the task ends.
                        if self.to_empty() {
                            drop(self.replace_interest(Interest::Nobody(None)));
                        }
                    }
                    EMPTY => {
                        if let Some(report) = report.take() {
                            drop(self.replace_interest(Interest::Nobody(Some(report))));
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
    }
}

impl<T> Joiner<T> {
    fn head(&self) -> &Head {
        &self.cell().head
    }

    /// WAITING to EMPTY: takes the interest slot back. `false` if the completer was faster.
    fn to_empty(&self) -> bool {
        self.exchange(WAITING, EMPTY)
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        exchange(&self.head().state, from, to, Ordering::Relaxed).is_ok()
    }

    /// Tells by which key to wake the task. Before the task is in a run queue.
    pub(crate) fn set_address(&self, key: u64) {
        self.head().set_address(key);
    }

    /// Asks for cancellation. Gives the key to wake the task by, unless it was asked before, or the
    /// task has no key yet: then its first poll will see the bit.
    pub(crate) fn cancel(&self) -> Option<u64> {
        self.head().cancel()
    }

    /// Whether the outcome is there.
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: whoever is told relies on the task being gone.
        let acquire =
            if seeded("join_looks_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        self.head().state.load(acquire) == COMPLETE
    }

    /// The outcome; until there is one, the joiner again, and the waker of `cx` is woken when there is.
    #[inline]
    pub(crate) fn poll_outcome(mut self, cx: &mut Context<'_>) -> Result<Outcome<T>, Self> {
        let mut state = self.head().state.load(Ordering::Acquire);
        if state == WAITING && !self.to_empty() {
            state = self.head().state.load(Ordering::Acquire);
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
            let state = self.head().state.load(Ordering::Acquire);
            debug_assert_eq!(state, COMPLETE);
            drop(self.replace_interest(Interest::Nobody(None)));
        }
        Ok(self.into_outcome())
    }

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
