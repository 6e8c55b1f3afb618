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
//! The list is a deque in the order of the keys. What leaves from the middle leaves a hole there, which is closed when
//! it comes to an end of the list, or when there are more holes than waiters. So joining and leaving take a few
//! instructions, though leaving from the middle may now and then take a time that grows with the list; to find a key
//! takes one that grows with the logarithm of its length. The deque gives memory back as it shrinks.
//!
//! **Alternative:** an ordered map. It has no holes, and a mutex that is handed on takes a fifth more instructions for
//! it. Or waiters linked by their indices in a slab: its indices are used again, and one waiter that stays at its end
//! keeps the memory of a million. Or a list threaded through the pinned futures, which allocates nothing and needs
//! `unsafe` in every future.

use std::{collections::VecDeque, mem};

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
///
/// Neither the first entry nor the last is a hole, and at most half of them are.
#[derive(Debug)]
pub(crate) struct WaitList<A = ()> {
    entries: VecDeque<Entry<A>>,
    holes: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry<A> {
    key: u64,
    /// `None`: a hole.
    waiting: Option<(Waiter, A)>,
}

impl<A> Entry<A> {
    fn is_hole(&self) -> bool {
        self.waiting.is_none()
    }
}

/// Memory for as many entries is kept, however few there are.
const KEPT: usize = 32;

impl<A> WaitList<A> {
    pub(crate) const fn new() -> Self {
        Self { entries: VecDeque::new(), holes: 0, next: 0 }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.holes
    }

    /// Joins the list at its end, and asks for this.
    pub(crate) fn push(&mut self, waiter: Waiter, asks: A) -> WaitKey {
        let key = self.next;
        self.next += 1;
        self.entries.push_back(Entry { key, waiting: Some((waiter, asks)) });
        WaitKey(key)
    }

    /// The first, and what it asks for.
    pub(crate) fn first(&self) -> Option<(WaitKey, &A)> {
        let first = self.entries.front()?;
        let (_, asks) = first.waiting.as_ref()?;
        Some((WaitKey(first.key), asks))
    }

    /// Takes the first out. The caller wakes it.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Waiter> {
        let (waiter, _) = self.entries.pop_front()?.waiting?;
        self.tidy();
        Some(waiter)
    }

    /// Takes all out, first come first. The caller wakes them.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = Waiter> + use<A> {
        self.holes = 0;
        mem::take(&mut self.entries).into_iter().filter_map(|entry| Some(entry.waiting?.0))
    }

    /// Whether this waiter was taken out to be woken.
    #[inline]
    pub(crate) fn is_woken(&self, key: WaitKey) -> bool {
        self.find(key).is_none()
    }

    /// This waiter, unless it was woken.
    #[inline]
    pub(crate) fn get_mut(&mut self, key: WaitKey) -> Option<&mut Waiter> {
        let at = self.find(key)?;
        self.entries[at].waiting.as_mut().map(|(waiter, _)| waiter)
    }

    /// Takes this waiter out: `None` if it was woken.
    pub(crate) fn remove(&mut self, key: WaitKey) -> Option<Waiter> {
        let at = self.find(key)?;
        let (waiter, _) = self.entries[at].waiting.take()?;
        self.holes += 1;
        self.tidy();
        Some(waiter)
    }

    /// Where this waiter is, unless it was woken.
    #[inline]
    fn find(&self, key: WaitKey) -> Option<usize> {
        let first = self.entries.front()?.key;
        // Mostly there are no holes, or they are not closed yet: then the keys say where each is.
        let guess = usize::try_from(key.0.checked_sub(first)?).ok()?;
        let is_there = self.entries.get(guess).is_some_and(|entry| entry.key == key.0);
        let found = if is_there {
            Ok(guess)
        } else {
            self.entries.binary_search_by_key(&key.0, |entry| entry.key)
        };
        found.ok().filter(|at| !self.entries[*at].is_hole())
    }

    /// Closes the holes at both ends, and all if they are too many; gives memory back.
    #[inline]
    fn tidy(&mut self) {
        if self.holes != 0 {
            self.close_holes();
        }
        if self.entries.capacity() > KEPT && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to(KEPT.max(self.entries.len() * 2));
        }
    }

    #[cold]
    fn close_holes(&mut self) {
        while self.entries.pop_front_if(|entry| entry.is_hole()).is_some() {
            self.holes -= 1;
        }
        while self.entries.pop_back_if(|entry| entry.is_hole()).is_some() {
            self.holes -= 1;
        }
        if self.holes > self.len() {
            self.entries.retain(|entry| !entry.is_hole());
            self.holes = 0;
        }
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
                prop_assert!(list.holes <= waiting, "{:?}", list);
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

    #[test]
    fn what_leaves_gives_its_memory_back() {
        let mut list = WaitList::new();
        let keys: Vec<_> = (0..10_000).map(|number| list.push(Waiter::Task(number), ())).collect();
        // All but one in a hundred leave, from anywhere; the first and the last stay.
        for (at, key) in keys.iter().enumerate() {
            if at % 100 != 0 && at != 9_999 {
                assert!(list.remove(*key).is_some());
            }
        }
        assert_eq!(list.len(), 101);
        assert!(list.entries.len() <= 202 && list.entries.capacity() < 1_000, "{:?}", list.entries);
        for at in (0..10_000).step_by(100) {
            assert_eq!(list.first().unwrap().0, keys[at]);
            assert_eq!(list.pop_front().map(number), Some(at as u64));
        }
        assert_eq!(list.pop_front().map(number), Some(9_999));
        assert!(list.is_empty() && list.entries.capacity() <= 2 * KEPT);
    }
}
