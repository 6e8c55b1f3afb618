//! The event loop's run queue: two batches.
//!
//! A turn runs the tasks that were ready when it began, and what they wake waits for the next. So the
//! queue is two lists: the batch that is being run, from the front, and the next one, which only
//! grows. When the first is used up the two change places. First in, first out, no allocation at a
//! steady state, and no wrap-around to compute as in a ring.
//!
//! A batch that is cut short is finished first: the next turn runs the rest of it.
//!
//! The rival is a list through the tasks' slots: a link each, nothing to grow. It was measured: the next
//! number is then known only when the slot before has come from memory, and with 10,000 tasks in turn each
//! waits for the one before it (spawn and join took twice as long).

use std::mem;

#[derive(Debug, Default)]
pub(crate) struct Batches {
    batch: Vec<u32>,
    /// How much of `batch` has been run.
    run: usize,
    next: Vec<u32>,
}

impl Batches {
    /// Schedules a slot's number, behind all others.
    #[inline(always)]
    pub(crate) fn push(&mut self, number: u32) {
        if self.next.len() < self.next.capacity() {
            self.next.push(number);
        } else {
            self.push_and_grow(number);
        }
    }

    #[cold]
    #[inline(never)]
    fn push_and_grow(&mut self, number: u32) {
        self.next.push(number);
    }

    /// Whether no runnable waits, in either batch.
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

    /// The number that will be popped next from the batch.
    #[inline(always)]
    pub(crate) fn first(&self) -> Option<u32> {
        self.batch.get(self.run).copied()
    }

    /// The number that stands first in the batch.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let number = *self.batch.get(self.run)?;
        self.run += 1;
        Some(number)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_during_a_batch_waits_for_the_next() {
        let mut queue = Batches::default();
        queue.push(1);
        queue.push(2);
        queue.begin();
        assert_eq!(queue.pop(), Some(1));
        queue.push(3);
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), None, "3 belongs to the next batch");
        queue.begin();
        assert_eq!(queue.pop(), Some(3));
        assert!(queue.is_empty());
    }

    #[test]
    fn a_batch_that_is_cut_short_keeps_its_place() {
        let mut queue = Batches::default();
        (1..=3).for_each(|number| queue.push(number));
        queue.begin();
        assert_eq!(queue.pop(), Some(1));
        queue.push(1);
        queue.begin(); // the rest of the batch comes first
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(2), Some(3), None]);
        queue.begin();
        assert_eq!(queue.pop(), Some(1));
    }
}
