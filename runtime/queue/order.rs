//! In which order a queue gives its items out: asyncio's three queues.
//!
//! An order is four functions on what holds the items, and nothing else of a queue depends on it: what waits is served
//! first come, first served in all three, and a promise is a count of items, whichever these will be.
//!
//! **Alternative:** three queues. Or an order chosen when the queue is made: then each item taken asks for it, and every
//! item must be `Ord`.

use std::cmp::Ordering;

/// In which order the items of a [`GenericQueue`](super::GenericQueue) leave: [`Fifo`], [`Lifo`] or [`Priority`]. There is no fourth.
pub trait Order<T>: sealed::Sealed<T> {}

/// First in, first out: [`Queue`](super::Queue).
#[derive(Debug)]
pub enum Fifo {}

/// Last in, first out: [`LifoQueue`](super::LifoQueue).
#[derive(Debug)]
pub enum Lifo {}

/// The smallest first, and of equal items the one that came first: [`PriorityQueue`](super::PriorityQueue).
#[derive(Debug)]
pub enum Priority {}

impl<T> Order<T> for Fifo {}
impl<T> Order<T> for Lifo {}
impl<T: Ord> Order<T> for Priority {}

pub(super) mod sealed {
    use super::{
        super::{heap::Heap, items::Items},
        Fifo, Lifo, Priority,
    };

    pub trait Sealed<T> {
        /// What a queue of this order is called.
        const NAME: &'static str;
        /// Holds the items. Dropped, it drops each by itself.
        type Items;

        fn new() -> Self::Items;
        fn len(items: &Self::Items) -> usize;
        fn push(items: &mut Self::Items, item: T);
        fn pop(items: &mut Self::Items) -> Option<T>;
    }

    // ANCHOR: orders
    impl<T> Sealed<T> for Fifo {
        const NAME: &'static str = "Queue";
        type Items = Items<T>;

        fn new() -> Items<T> {
            Items::new()
        }
        #[inline]
        fn len(items: &Items<T>) -> usize {
            items.len()
        }
        #[inline]
        fn push(items: &mut Items<T>, item: T) {
            items.push_back(item);
        }
        #[inline]
        fn pop(items: &mut Items<T>) -> Option<T> {
            items.pop_front()
        }
    }

    impl<T> Sealed<T> for Lifo {
        const NAME: &'static str = "LifoQueue";
        type Items = Items<T>;

        fn new() -> Items<T> {
            Items::new()
        }
        #[inline]
        fn len(items: &Items<T>) -> usize {
            items.len()
        }
        #[inline]
        fn push(items: &mut Items<T>, item: T) {
            items.push_back(item);
        }
        #[inline]
        fn pop(items: &mut Items<T>) -> Option<T> {
            items.pop_back()
        }
    }

    impl<T: Ord> Sealed<T> for Priority {
        const NAME: &'static str = "PriorityQueue";
        type Items = Heap<T>;

        fn new() -> Heap<T> {
            Heap::new()
        }
        #[inline]
        fn len(items: &Heap<T>) -> usize {
            items.len()
        }
        #[inline]
        fn push(items: &mut Heap<T>, item: T) {
            items.push(item);
        }
        #[inline]
        fn pop(items: &mut Heap<T>) -> Option<T> {
            items.pop()
        }
    }
    // END: orders
}

/// An item with a priority beside it, by which alone it is compared: for a [`PriorityQueue`](super::PriorityQueue) of items that are not
/// `Ord`, or whose own order is another. Python's `PrioritizedItem`.
///
/// The smallest priority leaves first. [`Reverse`](std::cmp::Reverse) around the priority has the greatest leave first.
///
/// ```
/// use whirligig::queue::{Prioritized, PriorityQueue};
///
/// let queue = PriorityQueue::unbounded();
/// for (priority, item) in [(2, "tidy"), (1, "eat"), (1, "sleep")] {
///     queue.try_put(Prioritized { priority, item }).unwrap();
/// }
/// assert_eq!(queue.try_get().unwrap().item, "eat");
/// assert_eq!(queue.try_get().unwrap().item, "sleep"); // of the same priority: first come, first served
/// ```
#[doc(alias = "PrioritizedItem")]
#[derive(Debug, Clone, Copy, Default)]
pub struct Prioritized<P, T> {
    /// The smaller, the sooner.
    pub priority: P,
    /// Never compared.
    pub item: T,
}

impl<P: Ord, T> Ord for Prioritized<P, T> {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.priority.cmp(&other.priority)
    }
}

impl<P: Ord, T> PartialOrd for Prioritized<P, T> {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Equal if the priorities are.
impl<P: Ord, T> PartialEq for Prioritized<P, T> {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<P: Ord, T> Eq for Prioritized<P, T> {}
