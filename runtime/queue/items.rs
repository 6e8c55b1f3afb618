//! A queue's items, where the time at which they came is their order: a `VecDeque` that gives memory back, and drops
//! each item by itself.
//!
//! A queue takes its items from the one end, a last-in, first-out queue from the other (`order.rs`). Items in the order
//! of their priorities are in `heap.rs`. Two things `VecDeque` leaves to its owner:
//!
//! *Memory.* It grows and never shrinks, and a queue that once fell behind by a million items would keep
//! their memory for ever. So when a quarter of the slots or less is in use, half are given back. The next
//! step in either direction is then a quarter of the slots away, and pays for the moving. A few
//! kilobytes are kept always, or a queue that fills and empties would allocate each time.
//!
//! *Destructors.* An item's `Drop` is user code. Two that panic, one after the other while all items are
//! dropped, would end the process. So each is called by itself, and a panic is reported.
//!
//! **Alternative:** a ring of our own, with a power of two of slots, an index that is masked, and items
//! moved in by words. It takes `unsafe`, and saves a dozen instructions of the hundred and twenty
//! of a `put` and a `get`.

use std::collections::VecDeque;

use crate::engine::base::user_code;

/// So much is not worth giving back.
const KEPT_BYTES: usize = 16 << 10;

/// So many slots for a `T` are not worth giving back; all, of items without size.
pub(super) const fn kept_slots<T>() -> usize {
    match size_of::<T>() {
        0 => usize::MAX,
        size => KEPT_BYTES / size,
    }
}

/// Items in the order in which they came.
///
/// It is `pub` to be part of public types. No other crate can name it.
#[allow(unreachable_pub, missing_debug_implementations)]
pub struct Items<T>(VecDeque<T>);

impl<T> Items<T> {
    const KEPT: usize = kept_slots::<T>();

    pub(super) const fn new() -> Self {
        Self(VecDeque::new())
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cfg(all(test, not(loom)))]
    pub(super) fn capacity(&self) -> usize {
        self.0.capacity()
    }

    #[inline]
    pub(super) fn push_back(&mut self, item: T) {
        self.0.push_back(item);
    }

    /// Gives out the oldest item.
    #[inline]
    // ANCHOR: pop
    pub(super) fn pop_front(&mut self) -> Option<T> {
        let item = self.0.pop_front();
        if self.0.len() + Self::KEPT / 4 < self.0.capacity() / 4 {
            self.shrink();
        }
        item
    }
    // END: pop

    /// Gives out the newest item.
    #[inline]
    pub(super) fn pop_back(&mut self) -> Option<T> {
        let item = self.0.pop_back();
        if self.0.len() + Self::KEPT / 4 < self.0.capacity() / 4 {
            self.shrink();
        }
        item
    }

    #[cold]
    #[inline(never)]
    fn shrink(&mut self) {
        self.0.shrink_to(self.0.capacity() / 2);
    }
}

impl<T> Drop for Items<T> {
    fn drop(&mut self) {
        if std::mem::needs_drop::<T>() {
            while let Some(item) = self.0.pop_front() {
                user_code::call("an item of a queue", || drop(item));
            }
        }
    }
}
