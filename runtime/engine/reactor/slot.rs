//! Room for one waiter, in words that any thread may read.
//!
//! A waker is two words, its data and its functions, and that of an event loop's task one, a number. So a
//! waiter is taken apart, kept in atomics, and put together again by whoever takes it out. Who that is, the
//! source's word says (`source.rs`), and here nobody knows: what is read may be of a waiter that another
//! takes out in the same moment. It is two numbers until the word has said whose they are.
//!
//! The rival, a cell that holds the waker, may not even be read by two at once: then an event would have to
//! close the slot, read it and open it again, one step more on the word.

use std::{
    mem, ptr,
    task::{RawWakerVTable, Waker},
};

use crate::engine::{
    base::primitives::{AtomicPtr, AtomicU64, Ordering},
    waiting::waiter::Waiter,
};

/// Written by whoever has claimed it, read while it is waiting.
#[derive(Debug)]
pub(super) struct Slot {
    /// A waker's data; of a task of an event loop, the bits of its waker.
    data: AtomicPtr<()>,
    /// A waker's functions; null for a task of an event loop.
    functions: AtomicPtr<RawWakerVTable>,
    /// What its waiter is known by.
    key: AtomicU64,
}

/// A waiter taken apart, as it stands in a slot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
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

    /// Takes a waiter in. By whoever has claimed the slot.
    #[inline]
    pub(super) fn write(&self, waiter: Waiter, key: u64) {
        let Words { data, functions } = Words::of(&waiter);
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

    /// What is written there. Whether it still is anybody's, the word says.
    #[inline]
    pub(super) fn read(&self) -> Words {
        Words {
            data: self.data.load(Ordering::Relaxed),
            functions: self.functions.load(Ordering::Relaxed),
        }
    }
}

impl Words {
    #[inline]
    fn of(waiter: &Waiter) -> Self {
        match waiter {
            Waiter::Task(bits) => Self {
                data: ptr::without_provenance_mut(*bits as usize),
                functions: ptr::null_mut(),
            },
            Waiter::Foreign(waker) => Self {
                data: waker.data().cast_mut(),
                functions: ptr::from_ref(waker.vtable()).cast_mut(),
            },
        }
    }

    /// Whether this is what wakes the same one.
    pub(super) fn are_of(self, waiter: &Waiter) -> bool {
        let Self { data, functions } = Self::of(waiter);
        self.data == data && self.functions == functions
    }

    /// The waiter again.
    ///
    /// # Safety
    /// These were read while the slot was claimed or waiting, it has not changed since, and it is the
    /// caller, and nobody else, who takes its waiter out.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) unsafe fn into_waiter(self) -> Waiter {
        let Self { data, functions } = self;
        if functions.is_null() {
            return Waiter::Task(data.addr() as u64);
        }
        // SAFETY: `write` took a waker apart into these, and forgot it. By the caller's promise nobody
        // else puts it together again.
        Waiter::Foreign(unsafe { Waker::new(data, &*functions) })
    }
}
