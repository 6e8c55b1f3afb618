//! A slot for one waiter, in words that any thread may read.
//!
//! A waker is two words, its data and its functions, and that of an event loop's task one, a number. So a
//! waiter is taken apart, kept in atomics, and put together again when it is taken out. Who may take it out
//! is decided by the source's word (`source.rs`), not here: what is read may belong to a waiter that another
//! thread takes out at the same moment. It stays two numbers until the word has decided.
//!
//! **Alternative:** a cell that holds the waker. Two threads may not even read that at once, so an event would
//! have to lock the slot, read it and unlock it again: one more step on the word.

use std::{
    mem, ptr,
    task::{RawWakerVTable, Waker},
};

use crate::engine::{
    base::primitives::{AtomicPtr, AtomicU64, Ordering},
    waiting::waiter::Waiter,
};

/// Written by the thread that has claimed it, read while its waiter is waiting.
#[derive(Debug)]
pub(super) struct Slot {
    /// A waker's data; of a task of an event loop, the bits of its waker.
    data: AtomicPtr<()>,
    /// A waker's functions; null for a task of an event loop.
    functions: AtomicPtr<RawWakerVTable>,
    /// What its waiter is known by.
    key: AtomicU64,
}

/// A waiter taken apart, as a slot keeps it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawWaiter {
    data: *mut (),
    functions: *mut RawWakerVTable,
}

impl Slot {
    pub(super) fn new() -> Self {
        Self {
            data: AtomicPtr::new(ptr::null_mut()),
            functions: AtomicPtr::new(ptr::null_mut()),
            key: AtomicU64::new(0),
        }
    }

    /// Takes a waiter in. Only for the thread that has claimed the slot.
    #[inline]
    pub(super) fn write(&self, waiter: Waiter, key: u64) {
        let RawWaiter { data, functions } = RawWaiter::of(&waiter);
        mem::forget(waiter);
        self.data.store(data, Ordering::Relaxed);
        self.functions.store(functions, Ordering::Relaxed);
        self.key.store(key, Ordering::Relaxed);
    }

    /// The key of the waiter that is written there.
    #[inline]
    pub(super) fn key(&self) -> u64 {
        self.key.load(Ordering::Relaxed)
    }

    /// What is written there. Whether a waiter still is in it, the word says.
    #[inline]
    pub(super) fn read(&self) -> RawWaiter {
        RawWaiter {
            data: self.data.load(Ordering::Relaxed),
            functions: self.functions.load(Ordering::Relaxed),
        }
    }
}

impl RawWaiter {
    #[inline]
    fn of(waiter: &Waiter) -> Self {
        match waiter {
            Waiter::Task(bits) => Self {
                data: ptr::without_provenance_mut(*bits as usize),
                functions: ptr::null_mut(),
            },
            Waiter::Waker(waker) => Self {
                data: waker.data().cast_mut(),
                functions: ptr::from_ref(waker.vtable()).cast_mut(),
            },
        }
    }

    /// Whether this wakes the same task.
    pub(super) fn will_wake(self, waiter: &Waiter) -> bool {
        let Self { data, functions } = Self::of(waiter);
        self.data == data && self.functions == functions
    }

    /// The waiter again.
    ///
    /// # Safety
    /// These were read while the slot was claimed or waiting, it has not changed since, and it is the
    /// caller, and no other thread, that takes its waiter out.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) unsafe fn into_waiter(self) -> Waiter {
        let Self { data, functions } = self;
        if functions.is_null() {
            return Waiter::Task(data.addr() as u64);
        }
        // SAFETY: `write` took a waker apart into these, and forgot it. By the caller's promise no thread
        // else puts it together again.
        Waiter::Waker(unsafe { Waker::new(data, &*functions) })
    }
}
