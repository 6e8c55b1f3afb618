//! Slots that are pinned where they are, a fixed number of them in one allocation.
//!
//! What waits for many futures keeps them here (`task/many.rs`): each is polled where it lies until it has ended.
//! The slice is never moved out of its box while a slot could mind, so each slot is pinned as soon as it is in.
//!
//! **Alternative:** a box for each future. That needs no `unsafe`, and one allocation for each.

use std::pin::Pin;

/// See the top of this file.
pub(crate) struct PinnedSlots<T> {
    slots: Pin<Box<[T]>>,
}

impl<T> PinnedSlots<T> {
    pub(crate) fn new(slots: impl IntoIterator<Item = T>) -> Self {
        Self { slots: Box::into_pin(slots.into_iter().collect::<Box<[T]>>()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// The slot of this index.
    #[allow(unsafe_code)]
    #[inline]
    pub(crate) fn get_mut(&mut self, index: usize) -> Pin<&mut T> {
        // SAFETY: an element lies inside its slice and is moved when that is, or when somebody has `&mut` to it. The
        // slice is pinned, and what is given out here, the only way to a `&mut` of a slot that is not `Unpin`, is
        // pinned too. The slots are dropped where they lie, by the box.
        unsafe { self.slots.as_mut().map_unchecked_mut(|slots| &mut slots[index]) }
    }

    /// The slots again, of a kind that may be moved.
    pub(crate) fn into_vec(self) -> Vec<T>
    where
        T: Unpin,
    {
        Pin::into_inner(self.slots).into_vec()
    }
}
