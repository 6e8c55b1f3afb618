//! The event loop's run queue: two batches.
//!
//! A turn runs the tasks that were ready when it began, and what they wake waits for the next. So the
//! queue is two lists: the batch that is being run, from the front, and the next one, which only
//! grows. When the first is used up the two change places. First in, first out, no allocation at a
//! steady state, and no wrap-around to compute as in a ring.
//!
//! Both keep the memory of the largest batch there was: 24 bytes a task each, on an event loop.
//!
//! A batch that is cut short is finished first: the next turn runs the rest of it.
//!
//! What is popped is lent, and the borrower takes out of it what needs to be dropped. So a batch that is used
//! up is let go in one step, and not entry by entry.
//!
//! The rival is a list through the tasks' slots: a link each, nothing to grow. It was measured: the next
//! task is then known only when the slot before has come from memory, and with 10,000 tasks in turn each
//! waits for the one before it (spawn and join took twice as long).

use std::{
    fmt,
    mem::{self, ManuallyDrop},
};

pub(crate) struct Batches<T> {
    batch: Vec<ManuallyDrop<T>>,
    /// How much of `batch` has been run.
    run: usize,
    next: Vec<ManuallyDrop<T>>,
}

impl<T> Batches<T> {
    pub(crate) fn new() -> Self {
        Self { batch: Vec::new(), run: 0, next: Vec::new() }
    }

    /// Schedules an entry, behind all others. (A function makes it, so that it is made in its place: handed over
    /// by value it is written, read and written again, by stores and loads of different widths.)
    #[inline(always)]
    pub(crate) fn push(&mut self, entry: impl FnOnce() -> T) {
        if self.next.len() == self.next.capacity() {
            self.grow();
        }
        self.next.push(ManuallyDrop::new(entry()));
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        self.next.reserve(1);
    }

    /// Whether nothing waits, in either batch.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.run == self.batch.len() && self.is_next_empty()
    }

    /// Whether there will be nothing to run when this batch has ended.
    #[inline(always)]
    pub(crate) fn is_next_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Begins a turn: the batch is what is left of one that was cut short, or all that is ready.
    #[inline]
    // ANCHOR: batch
    pub(crate) fn begin(&mut self) {
        if self.run == self.batch.len() {
            self.begin_next();
        }
    }

    /// Begins the batch of all that is ready. The one before has ended.
    #[inline(always)]
    pub(crate) fn begin_next(&mut self) {
        self.batch.clear();
        self.run = 0;
        mem::swap(&mut self.batch, &mut self.next);
    }
    // END: batch

    /// The entry of the batch that will be popped after so many others.
    #[inline(always)]
    pub(crate) fn ahead(&self, others: usize) -> Option<&T> {
        self.batch.get(self.run + others).map(|entry| &**entry)
    }

    /// The entry that stands first in the batch. What is not taken out of it is never dropped.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<&mut T> {
        let entry = self.batch.get_mut(self.run)?;
        self.run += 1;
        Some(entry)
    }

    /// All that waits, first to last.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.batch[self.run..].iter().chain(&self.next).map(|entry| &**entry)
    }

    /// Empties the queue, first to last.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        let batch = self.batch.drain(..).skip(mem::take(&mut self.run));
        batch.chain(self.next.drain(..)).map(ManuallyDrop::into_inner)
    }
}

impl<T> Drop for Batches<T> {
    fn drop(&mut self) {
        self.drain().for_each(drop);
    }
}

impl<T> fmt::Debug for Batches<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ready = self.batch.len() - self.run;
        f.debug_struct("Batches").field("ready", &ready).field("next", &self.next.len()).finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::rc::Rc;

    use super::*;

    #[test]
    fn what_is_pushed_during_a_batch_waits_for_the_next() {
        let mut queue = Batches::new();
        queue.push(|| 1);
        queue.push(|| 2);
        queue.begin();
        assert_eq!(queue.pop().copied(), Some(1));
        queue.push(|| 3);
        assert_eq!(queue.pop().copied(), Some(2));
        assert_eq!(queue.pop().copied(), None, "3 belongs to the next batch");
        queue.begin();
        assert_eq!(queue.pop().copied(), Some(3));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_was_not_popped_is_dropped_with_the_queue_and_what_was_is_not() {
        let counted = Rc::new(());
        let mut queue = Batches::new();
        (0..3).for_each(|_| queue.push(|| Some(Rc::clone(&counted))));
        queue.begin();
        let popped = queue.pop().and_then(Option::take);
        queue.push(|| Some(Rc::clone(&counted)));
        assert_eq!(queue.iter().count(), 3);
        drop(queue);
        assert_eq!(Rc::strong_count(&counted), 2);
        drop(popped);
    }

    #[test]
    fn a_batch_that_is_cut_short_keeps_its_place() {
        let mut queue = Batches::new();
        (1..=3).for_each(|number| queue.push(|| number));
        queue.begin();
        assert_eq!(queue.pop().copied(), Some(1));
        queue.push(|| 1);
        queue.begin(); // the rest of the batch comes first
        assert_eq!([(); 3].map(|()| queue.pop().copied()), [Some(2), Some(3), None]);
        queue.begin();
        assert_eq!(queue.pop().copied(), Some(1));
    }
}
