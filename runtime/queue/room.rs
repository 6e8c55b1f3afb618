//! Memory for the slots of a ring.
//!
//! `ring.rs` is its only caller. Whether a slot holds an item is the ring's affair: here it is memory, given back
//! when the ring is done with it.
//!
//! A queue that has fallen behind by a hundred thousand items takes megabytes, and is walked from end to end. In
//! pages of 4 KiB each one costs the kernel a fault and the processor a walk through its tables. So a large room
//! begins where a huge page does, and the kernel is asked for those. Where it has none, nothing is lost. Where it
//! has, the price is memory: a ring that has just doubled is half empty, and a huge page is resident as a whole
//! once it was touched. And where the kernel must clear its memory up to find one, that fault takes longer. The
//! advice stays with the addresses when they are given back; whoever is given them next has huge pages, too.
//!
//! The rival is a `Vec` of slots. It cannot be told where to begin.

#![allow(unsafe_code)]

use std::{
    alloc::{Layout, alloc, dealloc, handle_alloc_error},
    mem::MaybeUninit,
    ptr::NonNull,
};

/// What most kernels of x86-64 and of arm64 call a huge page.
const HUGE_PAGE: usize = 2 << 20;

/// Bytes of a large room, at least: it fills three quarters of its pages or more.
const LARGE: usize = HUGE_PAGE / 4 * 3;

pub(super) struct Room<T> {
    first: NonNull<MaybeUninit<T>>,
    slots: usize,
}

// SAFETY: it owns its slots as a `Vec` of them would.
unsafe impl<T: Send> Send for Room<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Room<T> {}

impl<T> Room<T> {
    /// No room at all.
    pub(super) const fn none() -> Self {
        Self { first: NonNull::dangling(), slots: 0 }
    }

    /// Room for so many items, and nothing in it yet.
    pub(super) fn new(slots: usize) -> Self {
        let layout = Self::layout(slots);
        if layout.size() == 0 {
            return Self { slots, ..Self::none() };
        }
        // SAFETY: its size is not 0.
        let Some(first) = NonNull::new(unsafe { alloc(layout) }) else {
            handle_alloc_error(layout)
        };
        if layout.size() >= LARGE {
            ask_for_huge_pages(first, layout.size());
        }
        Self { first: first.cast(), slots }
    }

    fn layout(slots: usize) -> Layout {
        let layout = Layout::array::<T>(slots).ok();
        let layout = layout.and_then(|layout| match layout.size() {
            LARGE.. => Some(layout.align_to(HUGE_PAGE).ok()?.pad_to_align()),
            _ => Some(layout),
        });
        layout.expect("a queue's items fit into the address space")
    }

    /// How many items there is room for.
    #[inline(always)]
    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// The slot of this number.
    ///
    /// # Safety
    /// There is one.
    #[inline(always)]
    pub(super) unsafe fn slot(&mut self, number: usize) -> &mut MaybeUninit<T> {
        debug_assert!(number < self.slots);
        // SAFETY: by the caller's promise within the room, which is borrowed as a whole.
        unsafe { self.first.add(number).as_mut() }
    }

    /// All slots.
    pub(super) fn all(&self) -> &[MaybeUninit<T>] {
        // SAFETY: so many were allocated, and they may hold anything.
        unsafe { NonNull::slice_from_raw_parts(self.first, self.slots).as_ref() }
    }

    /// All slots.
    pub(super) fn all_mut(&mut self) -> &mut [MaybeUninit<T>] {
        // SAFETY: so many were allocated, and they may hold anything.
        unsafe { NonNull::slice_from_raw_parts(self.first, self.slots).as_mut() }
    }
}

impl<T> Drop for Room<T> {
    fn drop(&mut self) {
        let layout = Self::layout(self.slots);
        if layout.size() != 0 {
            // SAFETY: allocated by `new`, with this layout.
            unsafe { dealloc(self.first.as_ptr().cast(), layout) };
        }
    }
}

#[cfg(target_os = "linux")]
fn ask_for_huge_pages(first: NonNull<u8>, size: usize) {
    use rustix::mm::{Advice, madvise};
    // SAFETY: this memory is ours, and how it is paged does not change what is in it.
    // A kernel without huge pages says so, and has been asked for no more than that.
    let _ = unsafe { madvise(first.as_ptr().cast(), size, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn ask_for_huge_pages(_first: NonNull<u8>, _size: usize) {}
