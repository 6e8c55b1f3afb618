//! A queue's items, where a priority is their order: std's `BinaryHeap`, smallest item first, and of equal items the
//! one that came first.
//!
//! The heap compares items, which is user code, and does so in the middle of a change: the queue's shell is open then,
//! and cannot be let go. It is the one place where user code runs inside. What must hold all the same:
//!
//! *A comparison that panics* is caught by itself and reported, and the two items count as equal. So the heap's change
//! goes on to its end: no item is lost, and the queue's numbers are right. **Alternative:** to catch the panic of a
//! whole `push` or `pop`. std's `pop` loses the item that it was about to give out.
//!
//! *A comparison that uses its own queue* is the program's mistake: a thread would wait for itself. The queue's docs
//! say so.
//!
//! Two items of equal priority leave in the order in which they came, by a number that each gets when it comes. A heap
//! alone does not keep that order: Python's gives equal items in any.
//!
//! Memory and destructors are as in `items.rs`.

use std::{cmp::Ordering, collections::BinaryHeap};

use super::items::kept_slots;
use crate::engine::base::user_code;

/// An item, and which of equal ones it is.
struct Entry<T> {
    item: T,
    number: u64,
}

impl<T: Ord> Ord for Entry<T> {
    /// The greatest is the one that leaves first.
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let mut order = Ordering::Equal;
        user_code::call("the `Ord` of an item of a priority queue", || {
            order = other.item.cmp(&self.item);
        });
        order.then_with(|| other.number.cmp(&self.number))
    }
}

impl<T: Ord> PartialOrd for Entry<T> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<T: Ord> Eq for Entry<T> {}

/// Items in the order of their priorities.
///
/// It is `pub` to be part of public types. No other crate can name it.
#[allow(unreachable_pub, missing_debug_implementations)]
pub struct Heap<T> {
    entries: BinaryHeap<Entry<T>>,
    /// The number of the next item.
    next: u64,
}

impl<T: Ord> Heap<T> {
    const KEPT: usize = kept_slots::<Entry<T>>();

    pub(super) const fn new() -> Self {
        Self { entries: BinaryHeap::new(), next: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn capacity(&self) -> usize {
        self.entries.capacity()
    }

    #[inline]
    pub(super) fn push(&mut self, item: T) {
        let number = self.next;
        self.next += 1;
        self.entries.push(Entry { item, number });
    }

    /// Gives out the smallest item, and of equal ones the oldest.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        let entry = self.entries.pop();
        if self.entries.len() + Self::KEPT / 4 < self.entries.capacity() / 4 {
            self.shrink();
        }
        entry.map(|entry| entry.item)
    }

    #[cold]
    #[inline(never)]
    fn shrink(&mut self) {
        self.entries.shrink_to(self.entries.capacity() / 2);
    }
}

impl<T> Drop for Heap<T> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            // In no order: what is only dropped need not be compared.
            for entry in self.entries.drain() {
                user_code::call("an item of a queue", || drop(entry));
            }
        }
    }
}
