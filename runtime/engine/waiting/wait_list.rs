//! Who waits, in order: a first-come-first-served line of wakers.
//!
//! The async queue keeps three: one each for its getters, putters and joiners. (A source, where nearly
//! always one task waits in a direction, has slots instead.) The list is plain data. It never clones,
//! wakes or drops a waker: it takes wakers in and gives them back, and whoever holds the list does the
//! rest once it has let go of its borrow or its lock.
//!
//! A waiter is in the line, or it has been *woken*: [`WaitList::pop_front`] takes it out of the line
//! and hands out its waker, but its key stays good until [`WaitList::remove`]. So a future that finds
//! its key woken knows that this wake was its own, and one that is dropped can tell whether it leaves
//! the line or leaves something it was woken for.
//!
//! Waiters are doubly linked by their numbers in a slab: joining, leaving from the middle and being
//! woken each take a few steps however long the line is. Nothing is allocated before the first waiter
//! comes, nor later while the line stays below its longest. The rivals: a `VecDeque` of wakers, where
//! a cancelled waiter leaves a hole or costs a search; and a list threaded through the pinned futures
//! themselves, which allocates nothing at all and needs `unsafe` in every future.

use std::task::Waker;

use slab::Slab;

/// Where the line ends, in both directions.
const NOBODY: u32 = u32::MAX;

/// One waiter's number. Good from [`WaitList::push`] to [`WaitList::remove`]; a future that is leaked
/// leaves its waiter behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WaitKey(u32);

impl WaitKey {
    fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Debug)]
struct Waiter {
    /// `None` once woken.
    waker: Option<Waker>,
    before: u32,
    after: u32,
}

/// The line.
#[derive(Debug)]
pub(crate) struct WaitList {
    waiters: Slab<Waiter>,
    first: u32,
    last: u32,
    in_line: usize,
}

impl WaitList {
    pub(crate) const fn new() -> Self {
        Self { waiters: Slab::new(), first: NOBODY, last: NOBODY, in_line: 0 }
    }

    /// Whether nobody is in the line. The woken no longer are.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.in_line == 0
    }

    /// How many are in the line.
    pub(crate) fn len(&self) -> usize {
        self.in_line
    }

    /// Joins the line at its end.
    pub(crate) fn push(&mut self, waker: Waker) -> WaitKey {
        let waiter = Waiter { waker: Some(waker), before: self.last, after: NOBODY };
        let key = u32::try_from(self.waiters.insert(waiter)).expect("fewer than 2^32 waiters");
        match self.last {
            NOBODY => self.first = key,
            last => self.waiters[last as usize].after = key,
        }
        self.last = key;
        self.in_line += 1;
        WaitKey(key)
    }

    /// Takes the first out of the line, as woken. The caller wakes it.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Waker> {
        if self.is_empty() { None } else { self.pop(WaitKey(self.first)) }
    }

    /// Takes everybody out of the line, as woken, first come first.
    pub(crate) fn pop_all(&mut self, wakers: &mut Vec<Waker>) {
        wakers.reserve(self.in_line);
        while let Some(waker) = self.pop_front() {
            wakers.push(waker);
        }
    }

    /// Ends this waiter if it was woken, and says whether it was.
    #[inline]
    pub(crate) fn remove_woken(&mut self, key: WaitKey) -> bool {
        let woken = self.is_woken(key);
        if woken {
            self.waiters.remove(key.index());
        }
        woken
    }

    /// Whether this waiter was taken out of the line.
    #[inline]
    pub(crate) fn is_woken(&self, key: WaitKey) -> bool {
        self.waiters[key.index()].waker.is_none()
    }

    /// Whether this waiter is in the line with a waker as good as `waker`.
    #[inline]
    pub(crate) fn will_wake(&self, key: WaitKey, waker: &Waker) -> bool {
        self.waiters[key.index()].waker.as_ref().is_some_and(|kept| kept.will_wake(waker))
    }

    /// Changes the waker of a waiter in the line, which keeps its place. Returns the one not kept:
    /// the old one, or `waker` if the waiter has been woken.
    pub(crate) fn replace(&mut self, key: WaitKey, waker: Waker) -> Waker {
        match &mut self.waiters[key.index()].waker {
            Some(kept) => std::mem::replace(kept, waker),
            None => waker,
        }
    }

    /// Ends this waiter. Returns its waker if it was still in the line, `None` if it was woken.
    pub(crate) fn remove(&mut self, key: WaitKey) -> Option<Waker> {
        if !self.is_woken(key) {
            self.unlink(key);
        }
        self.waiters.remove(key.index()).waker
    }

    fn pop(&mut self, first: WaitKey) -> Option<Waker> {
        let Waiter { waker, after, .. } = &mut self.waiters[first.index()];
        let (waker, after) = (waker.take(), *after);
        self.first = after;
        self.in_line -= 1;
        match after {
            NOBODY => self.last = NOBODY,
            after => self.waiters[after as usize].before = NOBODY,
        }
        waker
    }

    fn unlink(&mut self, key: WaitKey) {
        let Waiter { before, after, .. } = self.waiters[key.index()];
        match before {
            NOBODY => self.first = after,
            before => self.waiters[before as usize].after = after,
        }
        match after {
            NOBODY => self.last = before,
            after => self.waiters[after as usize].before = before,
        }
        self.in_line -= 1;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{sync::Arc, task::Wake};

    use proptest::prelude::*;

    use super::*;

    struct Number;
    impl Wake for Number {
        fn wake(self: Arc<Self>) {}
    }

    fn waker() -> Waker {
        Arc::new(Number).into()
    }

    #[derive(Debug, Clone)]
    enum Act {
        Push,
        Pop,
        PopAll,
        Replace(usize),
        Remove(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            4 => Just(Act::Push),
            2 => Just(Act::Pop),
            1 => Just(Act::PopAll),
            2 => any::<usize>().prop_map(Act::Replace),
            3 => any::<usize>().prop_map(Act::Remove),
        ]
    }

    proptest! {
        /// Against a vector of (key, waker), in order, where the woken have no waker.
        #[test]
        fn behaves_like_a_vector(acts in prop::collection::vec(act(), 0..200)) {
            let mut list = WaitList::new();
            let mut model: Vec<(WaitKey, Option<Waker>)> = Vec::new();
            for act in acts {
                let first = model.iter_mut().find(|(_, waker)| waker.is_some());
                match act {
                    Act::Push => {
                        let waker = waker();
                        model.push((list.push(waker.clone()), Some(waker)));
                    }
                    Act::Pop => match (list.pop_front(), first.and_then(|(_, waker)| waker.take())) {
                        (Some(popped), Some(expected)) => prop_assert!(popped.will_wake(&expected)),
                        (popped, expected) => prop_assert!(popped.is_none() && expected.is_none()),
                    },
                    Act::PopAll => {
                        let mut popped = Vec::new();
                        list.pop_all(&mut popped);
                        let expected: Vec<_> =
                            model.iter_mut().filter_map(|(_, waker)| waker.take()).collect();
                        prop_assert_eq!(popped.len(), expected.len());
                        for (popped, expected) in popped.iter().zip(&expected) {
                            prop_assert!(popped.will_wake(expected));
                        }
                    }
                    Act::Replace(at) if !model.is_empty() => {
                        let at = at % model.len();
                        let (key, kept) = &mut model[at];
                        let fresh = waker();
                        let back = list.replace(*key, fresh.clone());
                        match kept {
                            Some(kept) => {
                                prop_assert!(back.will_wake(kept));
                                *kept = fresh;
                            }
                            None => prop_assert!(back.will_wake(&fresh)),
                        }
                    }
                    Act::Remove(at) if !model.is_empty() => {
                        let (key, expected) = model.remove(at % model.len());
                        match (list.remove(key), expected) {
                            (Some(left), Some(expected)) => prop_assert!(left.will_wake(&expected)),
                            (left, expected) => prop_assert!(left.is_none() && expected.is_none()),
                        }
                    }
                    Act::Replace(_) | Act::Remove(_) => {}
                }
                let in_line = model.iter().filter(|(_, waker)| waker.is_some()).count();
                prop_assert_eq!(list.len(), in_line);
                prop_assert_eq!(list.is_empty(), in_line == 0);
                for (key, waker) in &model {
                    prop_assert_eq!(list.is_woken(*key), waker.is_none());
                    if let Some(waker) = waker {
                        prop_assert!(list.will_wake(*key, waker));
                    }
                }
            }
        }
    }

    #[test]
    fn a_line_that_stays_short_allocates_once() {
        let mut list = WaitList::new();
        assert_eq!(list.waiters.capacity(), 0, "an empty list owns no memory");
        let keys = [(); 3].map(|()| list.push(waker()));
        let capacity = list.waiters.capacity();
        for key in keys {
            list.remove(key);
        }
        for _ in 0..1_000 {
            let key = list.push(waker());
            list.pop_front();
            list.remove(key);
        }
        assert_eq!(list.waiters.capacity(), capacity);
    }
}
