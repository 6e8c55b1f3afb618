//! A queue's items: a ring that doubles.
//!
//! `core.rs` is its only caller. The oldest item is at `head`, the others follow it, and round to the front again.
//! Of the slots, `len` from `head` on hold an item each; in any other is nothing that may be read.
//!
//! An item is moved in by words. A `put` has written it into its future a moment ago, part by part, and a load that
//! is wider than a part has to wait until the parts have left the processor's store buffer: some twenty cycles. A
//! compiler that moves a whole item takes the widest loads there are.
//!
//! The rival is `VecDeque`, which does the same but for that. It compiles each push to a call, and turns the corner
//! by comparing; here a push is a dozen instructions where it stands, and the corner is turned by a mask, for which
//! the number of slots is a power of two. What is given up: the ring needs a `Drop` of its own, so a queue cannot be
//! declared before what its items borrow. Another rival is a ring of `Option`s, without `unsafe`: for most types it
//! is twice as large.

#![allow(unsafe_code)]

use std::{
    mem::{self, MaybeUninit},
    ptr,
};

use super::room::Room;

/// A larger item is moved as the compiler likes: its first parts have left the store buffer by then.
const MOST_WORDS: usize = 8;

pub(super) struct Ring<T> {
    /// A power of two of slots, or none.
    room: Room<T>,
    head: usize,
    len: usize,
}

impl<T> Ring<T> {
    pub(super) const fn new() -> Self {
        Self { room: Room::none(), head: 0, len: 0 }
    }

    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes in the item that is there, if one is.
    #[inline(always)]
    pub(super) fn push_back(&mut self, item: &mut Option<T>) {
        let Some(from) = item else { return };
        if self.len == self.room.slots() {
            self.grow();
        }
        let at = (self.head + self.len) & (self.room.slots() - 1);
        // SAFETY: the mask keeps it below their number, which is not 0.
        *unsafe { self.room.slot(at) } = bits_of(from);
        self.len += 1;
        // The item is in the ring now.
        mem::forget(item.take());
    }

    /// Gives out the oldest item.
    ///
    /// # Panics
    /// If there is none.
    #[inline(always)]
    pub(super) fn pop_front(&mut self) -> T {
        assert!(self.len != 0, "the ring is empty");
        let at = self.head;
        self.head = (at + 1) & (self.room.slots() - 1);
        self.len -= 1;
        // SAFETY: the slot is the first of those that hold an item, and is none of them from here on.
        unsafe { self.room.slot(at).assume_init_read() }
    }

    /// Moves all to a room that is twice as large, the oldest to its front. The ring is full.
    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let mut larger = Room::new((self.room.slots() * 2).max(4));
        let (rest, first) = self.room.all().split_at(self.head);
        let (to_first, others) = larger.all_mut().split_at_mut(first.len());
        // SAFETY: as many slots each, of two rooms. The items are in the new one now, for the old one goes, and
        // takes nothing with it but the memory.
        unsafe {
            ptr::copy_nonoverlapping(first.as_ptr(), to_first.as_mut_ptr(), first.len());
            ptr::copy_nonoverlapping(rest.as_ptr(), others.as_mut_ptr(), rest.len());
        }
        self.room = larger;
        self.head = 0;
    }
}

/// An item's bits, for one who forgets the item.
#[inline(always)]
fn bits_of<T>(item: &mut T) -> MaybeUninit<T> {
    let mut bits = MaybeUninit::<T>::uninit();
    let words = size_of::<T>() / size_of::<u64>();
    let is_words =
        size_of::<T>() == words * size_of::<u64>() && align_of::<T>() >= align_of::<u64>();
    if is_words && words <= MOST_WORDS {
        let from = ptr::from_mut(item).cast::<MaybeUninit<u64>>();
        let to = bits.as_mut_ptr().cast::<MaybeUninit<u64>>();
        for word in 0..words {
            // SAFETY: both have so many words, each aligned as one. Volatile, or the compiler joins the loads.
            unsafe { to.add(word).write(from.add(word).read_volatile()) };
        }
    } else {
        // SAFETY: both are one `T`, and not the same.
        unsafe { ptr::copy_nonoverlapping(item, bits.as_mut_ptr(), 1) };
    }
    bits
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        /// If an item's drop panics, the others are dropped all the same.
        struct Rest<'a, T>(&'a mut Ring<T>);

        impl<T> Rest<'_, T> {
            fn drop_all(&mut self) {
                while !self.0.is_empty() {
                    drop(self.0.pop_front());
                }
            }
        }

        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                self.drop_all();
            }
        }

        Rest(self).drop_all();
    }
}
