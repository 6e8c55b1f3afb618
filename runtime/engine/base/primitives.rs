//! std, or loom: the one switch.
//!
//! Wherever a protocol between threads rests on it, what they touch is made of what this file exports:
//! atomics, locks, shared pointers, cells, threads. In an ordinary build they are std's. Under
//! `cfg(loom)` they are loom's, which runs a model once for every way its threads can interleave, so
//! the models check the code that ships and not a copy of it.
//!
//! Outside the models, and std's in both builds, are statics (loom's objects live only within one of its
//! runs), the test clock, the payload of a panic, and a pool's count of whose turn it is. What is only ever
//! counted, such as the next identity, uses [`counter`], which is std's too. What no model runs is shared by std's
//! `Arc`, imported as `StdArc` where this file's `Arc` is near.

use std::time::Duration;
#[cfg(not(loom))]
pub(crate) use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        },
    },
    thread,
};

#[cfg(loom)]
pub(crate) use loom::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{
            AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
        },
    },
    thread,
};

/// Atomics for process-wide counts and flags that no protocol rests on.
pub(crate) mod counter {
    pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
}

/// Locks `mutex`. A panic elsewhere while it was held does not spread: every critical section of
/// this crate leaves its data whole at each step, and no user code runs inside one.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Waits on `condvar` for no longer than `timeout`. `true`: that long. In a model, where there is no
/// time, it never is.
pub(crate) fn wait_timeout<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> (MutexGuard<'a, T>, bool) {
    let waited = condvar.wait_timeout(guard, timeout);
    let (guard, waited) = waited.unwrap_or_else(|poisoned| poisoned.into_inner());
    (guard, waited.timed_out())
}

/// Whether a thread has ended. In a model, which cannot ask that, none has.
#[cfg(not(loom))]
pub(crate) fn has_ended<T>(thread: &thread::JoinHandle<T>) -> bool {
    thread.is_finished()
}

#[cfg(loom)]
pub(crate) fn has_ended<T>(_thread: &thread::JoinHandle<T>) -> bool {
    false
}

/// A cell whose every access loom checks for data races.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct UnsafeCell<T: ?Sized>(std::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(std::cell::UnsafeCell::new(value))
    }

    pub(crate) fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

#[cfg(not(loom))]
impl<T: ?Sized> UnsafeCell<T> {
    /// Hands `f` a pointer to read through.
    #[inline(always)]
    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    /// Hands `f` a pointer to write through.
    #[inline(always)]
    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}

#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

/// Defines functions that are `const`; but not in the models, where no atomic is made at compile time.
#[cfg(not(loom))]
macro_rules! const_but_in_models {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident($($args:tt)*) -> $out:ty $body:block)+) => {
        $($(#[$meta])* $vis const fn $name($($args)*) -> $out $body)+
    };
}

#[cfg(loom)]
macro_rules! const_but_in_models {
    ($($item:item)+) => { $($item)+ };
}

pub(crate) use const_but_in_models;

/// Whether this is built for the models.
pub(crate) const IN_MODEL: bool = cfg!(loom);

/// How large a structure is: `size`, or `in_models`, because there each further step multiplies the
/// orders to try.
pub(crate) const fn sized(size: u32, in_models: u32) -> u32 {
    if IN_MODEL { in_models } else { size }
}

/// Whether each thread has thread-locals of its own. In a model they share them, so what they say there is of any.
pub(crate) const fn has_own_locals() -> bool {
    !cfg!(loom)
}

/// Whether the seeded bug `name` is switched on, by the environment variable `SEEDED`.
///
/// A model that cannot fail shows nothing. So each protocol has places where a known mistake can be
/// made on purpose, and a test that demands that loom finds it. In an ordinary build the answer is a
/// constant, and the mistake is not compiled.
#[cfg(loom)]
pub(crate) fn seeded(name: &str) -> bool {
    std::env::var("SEEDED").is_ok_and(|seeded| seeded == name)
}

/// Never, outside the models.
#[cfg(not(loom))]
#[inline(always)]
pub(crate) const fn seeded(_name: &str) -> bool {
    false
}
