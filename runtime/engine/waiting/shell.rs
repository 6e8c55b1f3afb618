//! The shell around data that one thread owns, or that several share.
//!
//! The queue and the timers are plain `&mut` data, their *core*. An event loop keeps a core in a
//! `RefCell`, and the workers of a runtime keep it in a `Mutex`: that is the whole difference between
//! the two forms, so the code around a core is written once, for any shell.
//!
//! What must hold: no user code runs while a shell is open. Wakers and items are cloned, woken and
//! dropped by the caller, after it has let go of what [`open`](Shell::open) gave. Then no `RefCell` is
//! found borrowed, no lock is held for long, and a panic leaves each core whole. (A priority queue compares its items inside,
//! for it cannot elsewhere: `queue/heap.rs` says what that asks of it.)
//!
//! **Alternative:** a `Mutex` for both. An uncontended lock is two atomic operations, and the event
//! loop's queue takes fewer instructions than that for a whole visit.

use std::{
    cell::{RefCell, RefMut},
    ops::DerefMut,
};

use crate::engine::base::primitives::{Mutex, MutexGuard, lock};

/// Something that holds a `T` and opens for one visitor at a time: a `RefCell` or a `Mutex`.
///
/// It is `pub` to bound public types. No other crate can name it, so none implements it.
#[allow(unreachable_pub)]
pub trait Shell<T> {
    /// The open shell. It closes when this is dropped.
    type Open<'a>: DerefMut<Target = T>
    where
        Self: 'a;

    /// Puts a shell around `core`.
    fn around(core: T) -> Self;

    /// Opens it. A thread that has it open must not open it again.
    fn open(&self) -> Self::Open<'_>;
}

impl<T> Shell<T> for RefCell<T> {
    type Open<'a>
        = RefMut<'a, T>
    where
        T: 'a;

    #[inline]
    fn around(core: T) -> Self {
        RefCell::new(core)
    }

    #[inline]
    fn open(&self) -> RefMut<'_, T> {
        self.borrow_mut()
    }
}

impl<T> Shell<T> for Mutex<T> {
    type Open<'a>
        = MutexGuard<'a, T>
    where
        T: 'a;

    #[inline]
    fn around(core: T) -> Self {
        Mutex::new(core)
    }

    #[inline]
    fn open(&self) -> MutexGuard<'_, T> {
        lock(self)
    }
}
