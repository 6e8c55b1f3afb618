//! The event loop's run queue: a list through the slots of its tasks.
//!
//! A slot stands in it at most once, so one link a slot is all it takes: no allocation, no bound and
//! nothing to grow. First in, first out. A turn runs the tasks that were ready when it began, and what
//! they wake waits for the next: so it notes which slot stood last then, and the *batch* ends with it.
//! A batch that is cut short goes on in the next turn.
//!
//! The rival is a ring of numbers, tokio's and asyncio's `deque`: apart from the tasks, so that it can be
//! read without touching them, and with a length to grow and an index to wrap at each step.

use std::mem;

use super::slots::{IDLE, LAST, Slot, Slots};

#[derive(Debug)]
pub(super) struct LocalQueue {
    first: u32,
    last: u32,
    /// The slot that the batch ends with; [`LAST`] if it has ended.
    batch_end: u32,
}

impl LocalQueue {
    pub(super) fn new() -> Self {
        Self { first: LAST, last: LAST, batch_end: LAST }
    }

    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.first == LAST
    }

    /// Schedules a slot, behind all others. It was not in the queue; its link says [`LAST`] already, by
    /// whoever has just seen it say [`IDLE`].
    #[inline(always)]
    pub(super) fn push(&mut self, slots: &mut Slots, number: u32) {
        match self.first {
            LAST => self.first = number,
            _ => slots[self.last].next = number,
        }
        self.last = number;
    }

    /// Begins a turn: the batch is what is left of one that was cut short, or all that is ready.
    #[inline(always)]
    // ANCHOR: batch
    pub(super) fn begin(&mut self) {
        if self.batch_end == LAST && !self.is_empty() {
            self.begin_next();
        }
    }
    // END: batch

    /// Begins the batch of all that is ready. The one before has ended, and the queue is not empty.
    #[inline(always)]
    pub(super) fn begin_next(&mut self) {
        debug_assert!(self.batch_end == LAST && !self.is_empty());
        self.batch_end = self.last;
    }

    /// The slot that stands first in the batch. `None`: the batch has ended.
    #[inline(always)]
    pub(super) fn pop<'a>(&mut self, slots: &'a mut Slots) -> Option<(u32, &'a mut Slot)> {
        if self.batch_end == LAST {
            return None;
        }
        let number = self.first;
        if number == self.batch_end {
            self.batch_end = LAST;
        }
        let slot = &mut slots[number];
        self.first = mem::replace(&mut slot.next, IDLE);
        Some((number, slot))
    }

    /// The slot that will be popped next, if there is one.
    #[inline(always)]
    pub(super) fn first(&self) -> u32 {
        self.first
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A queue, and slots 1 to 3 of three tasks, none of them scheduled.
    struct Three(LocalQueue, Slots);

    impl Three {
        fn new() -> Self {
            let mut slots = Slots::new(0, 1);
            for expected in 1..=3 {
                let (number, stamp, slot) = slots.reserve();
                assert_eq!(number, expected);
                slot.stamp = stamp;
                slot.next = IDLE;
            }
            Self(LocalQueue::new(), slots)
        }

        fn push(&mut self, number: u32) {
            assert_eq!(mem::replace(&mut self.1[number].next, LAST), IDLE);
            self.0.push(&mut self.1, number);
        }

        fn pop(&mut self) -> Option<u32> {
            self.0.pop(&mut self.1).map(|(number, _)| number)
        }
    }

    #[test]
    fn what_is_pushed_during_a_batch_waits_for_the_next() {
        let mut queue = Three::new();
        queue.push(1);
        queue.push(2);
        queue.0.begin();
        assert_eq!(queue.pop(), Some(1));
        queue.push(3);
        queue.push(1); // as a task that wakes itself does
        assert_eq!(queue.pop(), Some(2));
        assert_eq!(queue.pop(), None, "3 belongs to the next batch");
        queue.0.begin();
        assert_eq!([queue.pop(), queue.pop()], [Some(3), Some(1)]);
        assert!(queue.0.is_empty());
        queue.0.begin();
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_batch_that_is_cut_short_keeps_its_place() {
        let mut queue = Three::new();
        (1..=3).for_each(|number| queue.push(number));
        queue.0.begin();
        assert_eq!(queue.pop(), Some(1));
        queue.push(1);
        queue.0.begin(); // the rest of the batch comes first
        assert_eq!([queue.pop(), queue.pop(), queue.pop()], [Some(2), Some(3), None]);
        queue.0.begin();
        assert_eq!(queue.pop(), Some(1));
    }
}
