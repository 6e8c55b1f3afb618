//! The event loop's run queue: slot numbers, in two batches.
//!
//! A turn runs the tasks that were ready when it began, and what they wake waits for the next. So the
//! queue is two lists of slot numbers: the batch that is being run, from its front, and the next one,
//! which only grows. When the first is used up the two change places. First in, first out, no
//! allocation at a steady state, and no wrap-around to compute as in a ring. A batch that is cut short
//! is finished first: the next turn runs the rest of it.
//!
//! The queue knows nothing of tasks. That each number stands in it once is the business of the slots'
//! states (`task/slots.rs`).
//!
//! **Alternative:** a list through the slots, a link each and nothing to grow. The next task is then
//! known only when the slot before it has come from memory.

use std::mem;

/// A batch's room for so many numbers is kept in any case.
const KEPT: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct RunQueue {
    batch: Vec<u32>,
    /// How much of `batch` has been run.
    run: usize,
    next: Vec<u32>,
}

impl RunQueue {
    /// Schedules a slot number, behind all others.
    #[inline(always)]
    pub(crate) fn push(&mut self, number: u32) {
        self.next.push(number);
    }

    /// Whether there will be nothing to run when this batch has ended.
    #[inline(always)]
    pub(crate) fn is_next_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Whether nothing waits, in either batch.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.run == self.batch.len() && self.next.is_empty()
    }

    /// Begins a turn: the batch is what is left of one that was cut short, or all that is ready.
    #[inline(always)]
    // ANCHOR: batch
    pub(crate) fn begin(&mut self) {
        if self.run == self.batch.len() {
            self.batch.clear();
            self.run = 0;
            mem::swap(&mut self.batch, &mut self.next);
        }
    }
    // END: batch

    /// Gives back the room of a burst that is over.
    pub(crate) fn give_back(&mut self) {
        for batch in [&mut self.batch, &mut self.next] {
            if batch.capacity() > KEPT && batch.len() < batch.capacity() / 16 {
                batch.shrink_to(KEPT);
            }
        }
    }

    /// Takes the first number out of the batch.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<u32> {
        let number = *self.batch.get(self.run)?;
        self.run += 1;
        Some(number)
    }

    /// Empties the queue.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_during_a_batch_waits_for_the_next() {
        let mut queue = RunQueue::default();
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
        let mut queue = RunQueue::default();
        (1..=3).for_each(|number| queue.push(number));
        queue.begin();
        assert_eq!(queue.pop(), Some(1));
        queue.push(1);
        queue.begin(); // the rest of the batch comes first
        assert_eq!([(); 3].map(|()| queue.pop()), [Some(2), Some(3), None]);
        queue.begin();
        assert_eq!(queue.pop(), Some(1));
    }

    fn turn(queue: &mut RunQueue, tasks: u32) {
        (0..tasks).for_each(|number| queue.push(number));
        queue.begin();
        while queue.pop().is_some() {}
    }

    #[test]
    fn the_room_of_a_burst_goes_back_in_the_turns_after_it() {
        let mut queue = RunQueue::default();
        turn(&mut queue, 1_000_000);
        turn(&mut queue, 1);
        queue.give_back();
        turn(&mut queue, 1);
        queue.give_back();
        assert!(queue.batch.capacity() + queue.next.capacity() <= 2 * KEPT);
    }

    #[test]
    fn batches_of_like_size_keep_their_room() {
        let mut queue = RunQueue::default();
        (0..4).for_each(|_| turn(&mut queue, 10_000));
        let room = (queue.batch.as_ptr(), queue.next.as_ptr());
        turn(&mut queue, 5_000);
        queue.give_back();
        assert_eq!((queue.next.as_ptr(), queue.batch.as_ptr()), room, "they have changed places");
    }
}
