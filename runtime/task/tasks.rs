//! What a table of tasks holds: slots and a run queue, and the steps that need both.
//!
//! Plain data behind the table's one `RefCell`. Each function here is one short borrow, in which no
//! foreign code runs. `local.rs` puts them together.

use super::{
    key::Key,
    slots::{LIVE, Slot, Slots},
    spawned::Spawned,
};
use crate::run_queue::batches::Batches;

/// One loop's tasks.
pub(super) struct Tasks {
    pub(super) slots: Slots,
    pub(super) run_queue: Batches,
    pub(super) closed: bool,
}

impl Tasks {
    /// The first in the batch, taken out of its slot. `None` if the batch has ended.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Popped> {
        loop {
            let number = self.run_queue.pop()?;
            self.prefetch_next();
            let slot = &mut self.slots[number];
            slot.scheduled = false;
            if slot.next_vacant == LIVE {
                let Slot { generation, task, .. } = slot;
                return Some(Popped { number, generation: *generation, task: task.take() });
            }
            self.slots.free_ended(number);
        }
    }

    /// Has the processor fetch the memory of the next task in the batch, while this one is polled: what
    /// was spawned or woken a thousand tasks ago has left the nearest cache.
    #[inline(always)]
    fn prefetch_next(&self) {
        if let Some(next) = self.run_queue.first()
            && let Some(slot) = self.slots.get(next)
            && let Some(task) = &slot.task
        {
            task.prefetch();
        }
    }

    /// The slot of a key, if the key is not stale.
    #[inline(always)]
    // ANCHOR: find
    pub(super) fn find(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.slot())?;
        (slot.generation == key.generation() && slot.next_vacant == LIVE).then_some(slot)
    }
    // END: find

    /// Schedules the task of a key. `false` if the key is stale, or the task is scheduled already.
    #[inline(always)]
    // ANCHOR: mark
    pub(super) fn mark(&mut self, key: Key) -> bool {
        match self.find(key) {
            Some(slot) if !slot.scheduled => {
                slot.scheduled = true;
                if let Some(task) = &slot.task {
                    task.prefetch();
                }
                self.run_queue.push(key.slot());
                true
            }
            _ => false,
        }
    }
    // END: mark
}

/// What is to be polled: a task, or, without one, the root future.
pub(super) struct Popped {
    pub(super) number: u32,
    pub(super) generation: u16,
    pub(super) task: Option<Spawned>,
}

/// The table is closed.
#[derive(Debug)]
pub(crate) struct Refused;

/// How a turn's batch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Batch {
    /// All of it ran, and more is ready.
    Done,
    /// All of it ran, and nothing is ready any more.
    Dry,
    /// A look at the reactor or the timers is due; the rest keeps its place.
    LookDue,
    /// The root future ended; the rest keeps its place.
    RootEnded,
}
