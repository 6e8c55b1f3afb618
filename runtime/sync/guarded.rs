//! The value under a `Mutex` or an `RwLock`, and the right to use it.
//!
//! The right comes from acquired permits: [`Exclusive`] is made of all the permits that a lock has, [`Shared`] of one
//! or more. Two `Exclusive`, or one beside a `Shared`, would together hold more permits than there are. So this
//! file, the only one of the locks with `unsafe` in it, rests on the count of `permits.rs`, and on two things more:
//! the value is reached in no other way than by these, by `&mut` of the lock, or by taking the lock apart; and a
//! lock always leads to the same value and the same permits, which [`HasValue`] demands of the two types that are one.
//!
//! Under loom, each look at the value is checked: it must come after the writes of those that had the lock before.
//!
//! **Alternative:** the cell in each lock, with its own guards around it. Then `unsafe` is in two files, and in
//! eight types.

#![allow(unsafe_code)]

use std::{marker::PhantomData, ops::Deref};

use super::permits::{HasPermits, Held, Permits};
use crate::engine::base::primitives::{UnsafeCell, const_but_in_models};

/// A value that several may read at once.
pub(super) struct Value<T: ?Sized>(UnsafeCell<T>);

// SAFETY: references to the value come from `Shared` and `Exclusive` alone. `T: Send`, for a thread with an
// `Exclusive` may take the value out; `T: Sync`, for several may hold a `Shared`. models/mutex.rs and
// models/rwlock.rs check that the accesses exclude each other.
unsafe impl<T: ?Sized + Send + Sync> Sync for Value<T> {}

/// A value that one may use at a time: its lock has a single permit.
pub(super) struct Alone<T: ?Sized>(Value<T>);

// SAFETY: as above; and without `T: Sync`, for the permits of a lock that has one are never shared (`Shared::new`).
unsafe impl<T: ?Sized + Send> Sync for Alone<T> {}

impl<T> Value<T> {
    const_but_in_models! {
        pub(super) fn new(value: T) -> Self {
            Self(UnsafeCell::new(value))
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Value<T> {
    pub(super) fn get_mut(&mut self) -> &mut T {
        // SAFETY: nothing else has the value while `self` is borrowed so.
        self.0.with_mut(|value| unsafe { &mut *value })
    }
}

impl<T> Alone<T> {
    const_but_in_models! {
        pub(super) fn new(value: T) -> Self {
            Self(Value::new(value))
        }
    }

    pub(super) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Alone<T> {
    pub(super) fn value(&self) -> &Value<T> {
        &self.0
    }

    pub(super) fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// A lock around a value. It always leads to the same permits and the same value, and has exactly `ALL` permits,
/// free and held together.
pub(super) trait HasValue: HasPermits {
    type Value: ?Sized;
    const ALL: u32;

    fn value(&self) -> &Value<Self::Value>;
}

/// What `L` leads to.
type ValueOf<L> = <<L as Deref>::Target as HasValue>::Value;

/// The right to use the value alone.
pub(super) struct Exclusive<L: Deref<Target: HasValue>> {
    held: Held<L>,
    /// It may be sent, and shared, where the value may.
    _value: PhantomData<Box<ValueOf<L>>>,
}

impl<L: Deref<Target: HasValue>> Exclusive<L> {
    #[inline]
    pub(super) fn new(held: Held<L>) -> Self {
        assert_eq!(held.count(), L::Target::ALL, "all permits are needed");
        Self { held, _value: PhantomData }
    }

    #[inline(always)]
    pub(super) fn lock(&self) -> &L {
        self.held.lock()
    }

    #[inline]
    pub(super) fn get(&self) -> &ValueOf<L> {
        // SAFETY: `held` has all permits of this lock (`new`) for as long as `self` lives, so there is no other
        // guard; and no `&mut` from this one while `self` is borrowed.
        self.lock().value().0.with(|value| unsafe { &*value })
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut ValueOf<L> {
        // SAFETY: as in `get`; and `self` is borrowed mutably, so it gives no other reference meanwhile.
        self.lock().value().0.with_mut(|value| unsafe { &mut *value })
    }

    /// Gives all permits back but one.
    pub(super) fn downgrade(self) -> Shared<L> {
        let mut held = self.held;
        held.keep(1);
        Shared::new(held)
    }
}

/// The right to read the value, beside others that do.
pub(super) struct Shared<L: Deref<Target: HasValue>> {
    held: Held<L>,
    /// It may be sent, and shared, where references to the value may.
    _value: PhantomData<Box<ValueOf<L>>>,
}

impl<L: Deref<Target: HasValue>> Shared<L> {
    #[inline]
    pub(super) fn new(held: Held<L>) -> Self {
        const { assert!(L::Target::ALL > 1, "a lock with one permit has its value in `Alone`") };
        assert!(held.count() >= 1, "a permit is needed");
        Self { held, _value: PhantomData }
    }

    #[inline(always)]
    pub(super) fn lock(&self) -> &L {
        self.held.lock()
    }

    #[inline]
    pub(super) fn get(&self) -> &ValueOf<L> {
        // SAFETY: `held` has a permit of this lock for as long as `self` lives, so nothing has an `Exclusive`.
        self.lock().value().0.with(|value| unsafe { &*value })
    }
}

/// The right to use a part of a value alone.
pub(super) struct Mapped<'a, U: ?Sized> {
    part: *mut U,
    /// The permits of all of it.
    held: Held<&'a Permits>,
    _part: PhantomData<&'a mut U>,
}

// SAFETY: it is used as the `&mut U` that it was made of; the permits may be sent and shared.
unsafe impl<U: ?Sized + Send> Send for Mapped<'_, U> {}
// SAFETY: likewise.
unsafe impl<U: ?Sized + Sync> Sync for Mapped<'_, U> {}

impl<'a, U: ?Sized> Mapped<'a, U> {
    /// The part of the value that `map` chooses.
    pub(super) fn new<M: HasValue + ?Sized>(
        mut whole: Exclusive<&'a M>,
        map: impl FnOnce(&mut M::Value) -> &mut U,
    ) -> Self {
        let part: *mut U = map(whole.get_mut());
        Self { part, held: whole.held.only_permits(), _part: PhantomData }
    }

    /// A part of the part.
    pub(super) fn map<V: ?Sized>(self, map: impl FnOnce(&mut U) -> &mut V) -> Mapped<'a, V> {
        let Self { part, held, .. } = self;
        // SAFETY: `part` was made of a `&mut U` to the value or a part of it, which stays where it is for 'a; `held`
        // has all permits of its lock still, and `self` is consumed, so nothing else leads there.
        let part: *mut V = map(unsafe { &mut *part });
        Mapped { part, held, _part: PhantomData }
    }

    #[inline]
    pub(super) fn get(&self) -> &U {
        // SAFETY: as in `map`; and no `&mut` from this one while `self` is borrowed.
        unsafe { &*self.part }
    }

    #[inline]
    pub(super) fn get_mut(&mut self) -> &mut U {
        // SAFETY: as in `map`; and `self` is borrowed mutably, so it gives no other reference meanwhile.
        unsafe { &mut *self.part }
    }
}
