//! The injector: runnables that no worker has yet.
//!
//! What a full ring overflows, and what is spawned or woken outside the workers, waits here, first in,
//! first out. It is a list behind a lock, held for a push, a pop or a move of a batch, with its length
//! beside it: a worker that finds nothing has paid one load. A worker takes a fair share at once, the
//! first of it to run and the rest for its own ring, so the lock is taken once for many.
//!
//! An empty look says nothing about what comes a moment later. A worker about to park must first make
//! that known, and then look here again; a thread that pushes must push, and then look for a parked worker.
//! `idle.rs` has the protocol.
//!
//! A closed injector hands back what it is given, to be dropped with no lock held. No user code
//! runs under the lock: items are moved, never dropped.
//!
//! **Alternative:** a list without a lock, or several. What comes here is the exception, and comes in
//! batches; a lock that is free costs two atomic steps, as many as the lists would.

use std::{collections::VecDeque, mem};

use super::stealing::{CAPACITY, Overflow, Owner};
use crate::engine::base::primitives::{
    AtomicUsize, Mutex, MutexGuard,
    Ordering::{Acquire, Release},
    lock, seeded,
};

pub(crate) struct Injector<T> {
    /// As it was when the lock was last let go.
    len: AtomicUsize,
    queue: Mutex<Queue<T>>,
}

struct Queue<T> {
    items: VecDeque<T>,
    is_closed: bool,
}

impl<T> Injector<T> {
    pub(crate) fn new() -> Self {
        let queue = Queue { items: VecDeque::new(), is_closed: false };
        Self { len: AtomicUsize::new(0), queue: Mutex::new(queue) }
    }

    /// How many items wait, or did a moment ago.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Acquire)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pushes an item behind all others. A closed injector hands it back.
    pub(crate) fn push(&self, item: T) -> Result<(), T> {
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            return Err(item);
        }
        queue.items.push_back(item);
        self.unlock(queue);
        Ok(())
    }

    /// Pushes what did not fit into a ring. A closed injector hands it back.
    pub(crate) fn push_overflow<'a>(
        &self,
        overflow: Overflow<'a, T>,
    ) -> Result<(), Overflow<'a, T>> {
        let mut queue = lock(&self.queue);
        if queue.is_closed {
            return Err(overflow);
        }
        queue.items.extend(overflow);
        self.unlock(queue);
        Ok(())
    }

    /// Pops the item that has waited longest. Workers take their share instead.
    #[cfg(test)]
    pub(crate) fn pop(&self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut queue = lock(&self.queue);
        let item = queue.items.pop_front();
        self.unlock(queue);
        item
    }

    /// Pops the share of one of `workers`: the first to be run at once, the rest into `owner`'s ring,
    /// of which it fills half at most.
    pub(crate) fn pop_share(&self, owner: &Owner<T>, workers: usize) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut queue = lock(&self.queue);
        let share = (queue.items.len() / workers + 1).min(CAPACITY / 2);
        let first = queue.items.pop_front();
        owner.fill_from(&mut queue.items, share - 1);
        self.unlock(queue);
        first
    }

    /// Refuses everything from now on, and hands back what waits.
    #[must_use]
    pub(crate) fn close(&self) -> VecDeque<T> {
        let mut queue = lock(&self.queue);
        let left = mem::take(&mut queue.items);
        if seeded("injector_closes_in_two_steps") {
            self.unlock(queue);
            queue = lock(&self.queue);
        }
        queue.is_closed = true;
        self.unlock(queue);
        left
    }

    /// Ends each change of the list. The length is written under the lock, for else an older one could
    /// come last, and stay.
    fn unlock(&self, queue: MutexGuard<'_, Queue<T>>) {
        let len = queue.items.len();
        if seeded("injector_counts_unlocked") {
            drop(queue);
        }
        self.len.store(len, Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn filled(items: std::ops::Range<u32>) -> Injector<u32> {
        let injector = Injector::new();
        items.for_each(|item| injector.push(item).unwrap());
        injector
    }

    fn rest(injector: &Injector<u32>) -> Vec<u32> {
        std::iter::from_fn(|| injector.pop()).collect()
    }

    #[test]
    fn first_in_first_out() {
        let injector = filled(0..3);
        assert_eq!(injector.len(), 3);
        assert_eq!(rest(&injector), [0, 1, 2]);
        assert!(injector.is_empty());
    }

    #[test]
    fn an_overflow_comes_in_one_piece_and_in_order() {
        let (injector, owner) = (filled(1000..1001), Owner::new());
        for item in 0..CAPACITY as u32 {
            assert!(owner.push(item).is_ok());
        }
        let overflow = owner.push(CAPACITY as u32).expect_err("the ring is full");
        assert_eq!(overflow.len(), CAPACITY / 2 + 1);
        assert!(injector.push_overflow(overflow).is_ok());
        let half = CAPACITY as u32 / 2;
        let expected: Vec<_> = [1000].into_iter().chain(0..half).chain([2 * half]).collect();
        assert_eq!(rest(&injector), expected);
        assert_eq!(owner.pop(), Some(half), "the younger half stayed");
    }

    #[test]
    fn a_share_is_fair() {
        let (injector, owner) = (filled(0..10), Owner::new());
        assert_eq!(injector.pop_share(&owner, 4), Some(0));
        assert_eq!([owner.pop(), owner.pop(), owner.pop()], [Some(1), Some(2), None]);
        assert_eq!(injector.len(), 7);
        assert_eq!(injector.pop_share(&owner, 1), Some(3), "one worker takes all");
        assert_eq!((owner.len(), injector.len()), (6, 0));
        assert_eq!(injector.pop_share(&owner, 1), None);
    }

    #[test]
    fn a_share_fills_half_a_ring_at_most() {
        let (injector, owner) = (filled(0..1000), Owner::new());
        assert_eq!(injector.pop_share(&owner, 1), Some(0));
        assert_eq!((owner.len(), injector.len()), (CAPACITY / 2 - 1, 1000 - CAPACITY / 2));
    }

    #[test]
    fn a_share_stays_within_the_room() {
        let (injector, owner) = (filled(0..1000), Owner::new());
        for item in 0..CAPACITY as u32 - 1 {
            assert!(owner.push(item).is_ok());
        }
        assert_eq!(injector.pop_share(&owner, 1), Some(0));
        assert_eq!((owner.len(), injector.len()), (CAPACITY, 998));
    }

    #[test]
    fn a_closed_injector_hands_everything_back() {
        let (injector, owner) = (Injector::new(), Owner::new());
        let item = Arc::new(());
        for _ in 0..CAPACITY {
            assert!(owner.push(item.clone()).is_ok());
        }
        injector.push(item.clone()).unwrap();
        assert_eq!(injector.close().len(), 1);
        assert!(injector.is_empty());
        assert!(injector.push(item.clone()).is_err());
        let overflow = owner.push(item.clone()).expect_err("the ring is full");
        let refused = injector.push_overflow(overflow).expect_err("the injector is closed");
        assert_eq!(refused.len(), CAPACITY / 2 + 1);
        drop(refused);
        assert_eq!(Arc::strong_count(&item), 1 + CAPACITY / 2, "what stayed in the ring");
        assert!(injector.pop().is_none() && injector.close().is_empty());
    }
}
