//! The items of a queue: a ring that doubles when it is full.
//!
//! It is std's `VecDeque`, less all that the queue does not need, and that is why it is here: each `put`
//! and `get` passes through it. `push_back` is a call that finds its item on the stack, where the future
//! has just copied it; and an index is wrapped by comparing. Here an item is moved once, and the capacity
//! is a power of two. (Measured on the loop program: 6 of 233 instructions a poll, a thirtieth of the time.)
//!
//! The rivals are blocks in a list, which give memory back and never copy: as fast while it grows, and a
//! tenth slower warm, for the allocator hands the blocks to the kernel and back; and a ring of `Option<T>`,
//! safe, and twice as large for items that leave no room for a mark.
//!
//! What must hold: the `len` slots from `head` on, round the end to the front, hold items. The others hold
//! nothing that may be read.

use std::mem::MaybeUninit;

/// The first items find room without growing again.
const SMALLEST: usize = 4;

pub(super) struct Ring<T> {
    /// As many as a power of two, or none.
    slots: Vec<MaybeUninit<T>>,
    head: usize,
    len: usize,
}

impl<T> Ring<T> {
    pub(super) const fn new() -> Self {
        Self { slots: Vec::new(), head: 0, len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[allow(unsafe_code)]
mod slots {
    use super::*;

    impl<T> Ring<T> {
        /// Puts an item behind the last.
        #[inline(always)]
        pub(in super::super) fn push(&mut self, item: T) {
            if self.len == self.slots.len() {
                self.grow();
            }
            let at = (self.head + self.len) & (self.slots.len() - 1);
            // SAFETY: there are slots, as many as a power of two, so `at` is one of them. It is behind the
            // `len` from `head` on, of which there are fewer than slots: it holds nothing.
            unsafe { self.slots.get_unchecked_mut(at) }.write(item);
            self.len += 1;
        }

        /// Takes the first item.
        #[inline(always)]
        pub(in super::super) fn pop(&mut self) -> Option<T> {
            if self.len == 0 {
                return None;
            }
            let at = self.head;
            self.head = (at + 1) & (self.slots.len() - 1);
            self.len -= 1;
            // SAFETY: `head` is a slot, and held an item as one of the first `len`. It is no longer
            // counted, so the item is read once.
            Some(unsafe { self.slots.get_unchecked(at).assume_init_read() })
        }

        /// Doubles the ring, which is full.
        #[cold]
        #[inline(never)]
        fn grow(&mut self) {
            let before = self.slots.len();
            let after =
                before.checked_mul(2).expect("a queue has room for its items").max(SMALLEST);
            self.slots.reserve_exact(after - before);
            // SAFETY: that much was reserved, and a slot that holds nothing needs no value.
            unsafe { self.slots.set_len(after) };
            // What came round the end to the front goes behind what was there, into the new half.
            let (old, new) = self.slots.split_at_mut(before);
            let wrapped = &old[..self.head];
            // SAFETY: one slot is as large as the other, and the slices do not overlap. The slots moved
            // from hold nothing from here on: they lie before `head`, and `len` slots do not reach them.
            unsafe {
                std::ptr::copy_nonoverlapping(wrapped.as_ptr(), new.as_mut_ptr(), wrapped.len());
            }
        }
    }
}

impl<T> Drop for Ring<T> {
    /// Drops the items, first in, first out. One that panics does not keep the others.
    fn drop(&mut self) {
        struct Rest<'a, T>(&'a mut Ring<T>);
        impl<T> Drop for Rest<'_, T> {
            fn drop(&mut self) {
                while self.0.pop().is_some() {}
            }
        }
        if !std::mem::needs_drop::<T>() {
            return;
        }
        let rest = Rest(self);
        while rest.0.pop().is_some() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        cell::Cell,
        collections::VecDeque,
        panic::{AssertUnwindSafe, catch_unwind},
        rc::Rc,
    };

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Items on the heap, so that memcheck sees one that is dropped twice, or never.
        #[test]
        fn it_holds_what_a_vec_deque_holds(steps in prop::collection::vec(any::<bool>(), 0..400)) {
            let (mut ring, mut model) = (Ring::new(), VecDeque::new());
            for (n, put) in steps.into_iter().enumerate() {
                // Long runs of one kind, now and then: it grows, and goes round.
                if put || n % 50 < 25 {
                    ring.push(Box::new(n));
                    model.push_back(n);
                } else {
                    prop_assert_eq!(ring.pop().map(|item| *item), model.pop_front());
                }
                prop_assert_eq!((ring.len(), ring.is_empty()), (model.len(), model.is_empty()));
            }
            for expected in model.into_iter().take(10) {
                prop_assert_eq!(*ring.pop().unwrap(), expected);
            }
        }
    }

    #[test]
    fn it_grows_wherever_its_head_is() {
        for head in 0..SMALLEST {
            let mut ring = Ring::new();
            for n in 0..head {
                ring.push(n);
                assert_eq!(ring.pop(), Some(n));
            }
            (0..SMALLEST * 4).for_each(|n| ring.push(n));
            let popped: Vec<_> = std::iter::from_fn(|| ring.pop()).collect();
            assert!(popped.into_iter().eq(0..SMALLEST * 4), "with its head at {head}");
        }
    }

    #[test]
    fn items_without_a_size_are_counted() {
        let mut ring = Ring::new();
        (0..100).for_each(|_| ring.push(()));
        assert_eq!(std::iter::from_fn(|| ring.pop()).count(), 100);
    }

    /// Counts its drops; the one of number 1 panics.
    struct Counted(usize, Rc<Cell<usize>>);

    impl Drop for Counted {
        fn drop(&mut self) {
            self.1.set(self.1.get() + 1);
            assert_ne!(self.0, 1, "as the test wants it");
        }
    }

    #[test]
    fn each_item_left_is_dropped_also_after_one_that_panics() {
        let dropped = Rc::new(Cell::new(0));
        let mut ring = Ring::new();
        (0..6).for_each(|n| ring.push(Counted(n, dropped.clone())));
        drop(ring.pop());
        assert!(catch_unwind(AssertUnwindSafe(|| drop(ring))).is_err());
        assert_eq!(dropped.get(), 6);
    }
}
