//! What waits for something, first come, first served.
//!
//! The async queue keeps three lists: its getters, its putters and its joiners. (A source, for which
//! nearly always one task waits in a direction, has slots instead.) The list is plain data. It never
//! clones, wakes or drops a waiter while it is borrowed: waiters go in and come out, and the owner of
//! the list does the rest once it has let go of its borrow or its lock.
//!
//! A waiter's key is a number that only rises. So the keys' order is the order of arrival, and a key
//! that is not in the list any more says that its waiter was *woken*: only its own future takes it out
//! otherwise. A future that is polled can tell its own wake from another's, and one that is dropped can
//! tell whether it leaves the list, or leaves something it was woken for. A future that is leaked leaves
//! its waiter behind until its turn comes.
//!
//! Every step takes a time that grows with the logarithm of the list's length, or less, leaving from
//! the middle too; and the map gives memory back as it shrinks.
//!
//! **Alternative:** a `VecDeque` of waiters, where a cancelled one leaves a hole, which must be closed
//! some time. Or waiters linked by their indices in a slab, a few instructions faster: its indices are
//! used again, and one waiter that stays at its end keeps the memory of a million. Or a list threaded
//! through the pinned futures, which allocates nothing and needs `unsafe` in every future.

use std::{collections::BTreeMap, mem};

use crate::engine::{base::user_code, waiting::waiter::Waiter};

/// One waiter's number in its list. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitKey(u64);

impl WaitKey {
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// The list. With each waiter it may keep what that one asks for.
#[derive(Debug)]
pub(crate) struct WaitList<A = ()> {
    waiting: BTreeMap<u64, (Waiter, A)>,
    next: u64,
}

impl<A> WaitList<A> {
    pub(crate) const fn new() -> Self {
        Self { waiting: BTreeMap::new(), next: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Joins the list at its end, and asks for this.
    pub(crate) fn push(&mut self, waiter: Waiter, asks: A) -> WaitKey {
        let key = self.next;
        self.next += 1;
        self.waiting.insert(key, (waiter, asks));
        WaitKey(key)
    }

    /// The first, and what it asks for.
    pub(crate) fn first(&self) -> Option<(WaitKey, &A)> {
        let (&key, (_, asks)) = self.waiting.first_key_value()?;
        Some((WaitKey(key), asks))
    }

    /// Takes the first out. The caller wakes it.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Waiter> {
        if self.is_empty() { None } else { Some(self.waiting.pop_first()?.1.0) }
    }

    /// Takes all out, first come first. The caller wakes them.
    pub(crate) fn take_all(&mut self) -> impl ExactSizeIterator<Item = Waiter> + use<A> {
        mem::take(&mut self.waiting).into_values().map(|(waiter, _)| waiter)
    }

    /// Whether this waiter was taken out to be woken.
    #[inline]
    pub(crate) fn is_woken(&self, key: WaitKey) -> bool {
        !self.waiting.contains_key(&key.0)
    }

    /// This waiter, unless it was woken.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: WaitKey) -> Option<&mut Waiter> {
        self.waiting.get_mut(&key.0).map(|(waiter, _)| waiter)
    }

    /// Takes this waiter out: `None` if it was woken.
    pub(crate) fn remove(&mut self, key: WaitKey) -> Option<Waiter> {
        self.waiting.remove(&key.0).map(|(waiter, _)| waiter)
    }
}

impl<A> Drop for WaitList<A> {
    fn drop(&mut self) {
        // Only leaked futures leave any.
        discard(self.take_all());
    }
}

/// Drops waiters that are not to be woken. A waker's `Drop` is user code: each is called by itself.
pub(crate) fn discard(waiters: impl IntoIterator<Item = Waiter>) {
    for waiter in waiters {
        match waiter {
            Waiter::Task(_) => {}
            Waiter::Waker(waker) => user_code::call("a waker", || drop(waker)),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(waiter: Waiter) -> u64 {
        let Waiter::Task(number) = waiter else { panic!("only tasks wait here") };
        number
    }

    #[derive(Debug, Clone)]
    enum Act {
        Push,
        Pop,
        TakeAll,
        Replace(usize),
        Remove(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => Just(Act::Push),
            2 => Just(Act::Pop),
            1 => Just(Act::TakeAll),
            2 => any::<usize>().prop_map(Act::Replace),
            3 => any::<usize>().prop_map(Act::Remove),
        ]
    }

    proptest! {
        /// Against a vector of (key, number), in order, where the woken have no number.
        #[test]
        fn behaves_like_a_vector(acts in prop::collection::vec(act(), 0..200)) {
            let mut list = WaitList::new();
            let mut model: Vec<(WaitKey, Option<u64>)> = Vec::new();
            for (fresh, act) in (0..).zip(acts) {
                let first = model.iter_mut().find(|(_, number)| number.is_some());
                match act {
                    Act::Push => model.push((list.push(Waiter::Task(fresh), ()), Some(fresh))),
                    Act::Pop => {
                        let expected = first.and_then(|(_, number)| number.take());
                        prop_assert_eq!(list.pop_front().map(number), expected);
                    }
                    Act::TakeAll => {
                        let expected: Vec<_> =
                            model.iter_mut().filter_map(|(_, number)| number.take()).collect();
                        let taken: Vec<_> = list.take_all().map(number).collect();
                        prop_assert_eq!(taken, expected);
                    }
                    Act::Replace(at) if !model.is_empty() => {
                        let at = at % model.len();
                        let (key, kept) = &mut model[at];
                        let replaced = list.get_mut(*key);
                        prop_assert_eq!(replaced.is_some(), kept.is_some());
                        if let Some(waiter) = replaced {
                            *waiter = Waiter::Task(fresh);
                            *kept = Some(fresh);
                        }
                    }
                    Act::Remove(at) if !model.is_empty() => {
                        let (key, expected) = model.remove(at % model.len());
                        prop_assert_eq!(list.remove(key).map(number), expected);
                    }
                    Act::Replace(_) | Act::Remove(_) => {}
                }
                let waiting = model.iter().filter(|(_, number)| number.is_some()).count();
                prop_assert_eq!(list.len(), waiting);
                prop_assert_eq!(list.is_empty(), waiting == 0);
                for (key, number) in &model {
                    prop_assert_eq!(list.is_woken(*key), number.is_none());
                }
            }
        }
    }

    #[test]
    fn a_key_is_never_used_again() {
        let mut list = WaitList::new();
        let old = list.push(Waiter::Task(0), ());
        list.remove(old);
        let new = list.push(Waiter::Task(1), ());
        assert_ne!(old, new);
        assert!(list.remove(old).is_none(), "the old key finds nothing");
        assert!(!list.is_woken(new));
    }
}
