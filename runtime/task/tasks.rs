//! What a table of tasks holds: slots and a run queue, and the steps that need both.
//!
//! Plain data behind the table's one `RefCell`. Each function here is one short borrow, in which no
//! foreign code runs. `local.rs` puts them together.

use std::mem;

use super::{
    key::Key,
    slots::{IDLE, Slot, Slots},
    spawned::Spawned,
};
use crate::{run_queue::batches::Batches, this_poll};

/// While there are no more slots than this, the tasks are in the processor's nearest caches anyway.
const FEW: usize = 256;

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
            if self.are_many()
                && let Some(next) = self.run_queue.first()
            {
                self.prefetch(next);
            }
            let slot = &mut self.slots[number];
            slot.standing = IDLE;
            let (key, task) = (slot.key, slot.task.take());
            if key != Key::NOBODY {
                return Some(Popped { key, task });
            }
            self.slots.free_ended(number);
        }
    }

    /// Whether some tasks' memory has left the nearest caches, so that fetching it ahead pays.
    #[inline(always)]
    fn are_many(&self) -> bool {
        self.slots.size() > FEW
    }

    /// Has the processor fetch the memory of a task that will be polled soon, while something else is
    /// done: what was spawned or polled a thousand tasks ago has to come from afar.
    #[inline(always)]
    fn prefetch(&self, number: u32) {
        if let Some(slot) = self.slots.get(number)
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
        (slot.key == key).then_some(slot)
    }
    // END: find

    /// Schedules the task of a key. `false` if the key is stale, or the task is scheduled already.
    #[inline(always)]
    // ANCHOR: mark
    pub(super) fn mark(&mut self, key: Key) -> bool {
        let news = self.find(key).is_some_and(Slot::schedule);
        if news {
            if self.are_many() {
                self.prefetch(key.slot());
            }
            self.run_queue.push(key.slot());
        }
        news
    }
    // END: mark

    /// Puts a task back after its poll, with what it waits for, and schedules it if it wants to run
    /// again. Whether that was news.
    #[inline(always)]
    pub(super) fn put_back(&mut self, number: u32, task: Option<Spawned>) -> bool {
        let slot = &mut self.slots[number];
        // The slot is empty while its task runs: there is nothing to drop.
        mem::forget(mem::replace(&mut slot.task, task));
        (slot.waits_for, slot.waits_at) = this_poll::last_note();
        let news = this_poll::runs_again() && slot.schedule();
        if news {
            self.run_queue.push(number);
        }
        news
    }
}

/// What is to be polled: a task, or, without one, the root future.
pub(super) struct Popped {
    pub(super) key: Key,
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
