//! What a table of tasks holds: slots and a run queue, and the steps that need both.
//!
//! Plain data behind the table's one `RefCell`. Each function here is one short borrow, in which no
//! user code runs. `local.rs` puts them together.
//!
//! A task is in its slot, except while it is polled. The run queue holds slot numbers. What a wake has
//! to know is the slot's state: a task that is idle is put into the queue, and one that runs as well, so
//! that its place in the queue is where it was woken, before what it wakes after that.
//!
//! **Alternative:** the tasks in the run queue, and out of their slots meanwhile. That spares each poll
//! a visit to the slot (some 20 instructions of 250), and then a wake must know where a task is.

use std::mem;

use super::{
    key::Key,
    slots::{ROOT, Slot, Slots, State},
    spawned::Spawned,
};
use crate::engine::{
    base::{id::TaskId, this_poll},
    run_queue::batches::RunQueue,
};

/// One loop's tasks.
pub(super) struct Tasks {
    pub(super) slots: Slots,
    pub(super) run_queue: RunQueue,
    /// The slot of the task that is being polled, or dropped.
    pub(super) running: u32,
    pub(super) closed: bool,
}

/// A task that was taken out of its slot, to be polled. The root future is not in its slot.
pub(super) struct TakenOut {
    pub(super) key: Key,
    pub(super) id: TaskId,
    pub(super) task: Option<Spawned>,
}

impl Tasks {
    /// The slot of a key, unless the key is stale.
    #[inline(always)]
    // ANCHOR: find
    pub(super) fn find(&mut self, key: Key) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(key.slot())?;
        (slot.key == key).then_some(slot)
    }
    // END: find

    /// Schedules the task of a key. `false` if the key is stale, or the task is scheduled already.
    #[inline(always)]
    // ANCHOR: schedule
    pub(super) fn schedule(&mut self, key: Key) -> bool {
        let Some(slot) = self.find(key) else { return false };
        slot.state = match slot.state {
            State::Idle => State::Scheduled,
            State::Running => State::WokenWhileRunning,
            _ => return false,
        };
        self.run_queue.push(key.slot());
        true
    }
    // END: schedule

    /// Takes the first task of the batch out of its slot. `None` if the batch has ended.
    #[inline(always)]
    // ANCHOR: pop
    pub(super) fn pop(&mut self) -> Option<TakenOut> {
        loop {
            let number = self.run_queue.pop()?;
            let slot = &mut self.slots[number];
            if slot.state == State::Scheduled {
                slot.state = State::Running;
                self.running = number;
                return Some(TakenOut { key: slot.key, id: slot.id, task: slot.task.take() });
            }
            debug_assert_eq!(slot.state, State::Complete, "what is queued is scheduled");
            self.slots.free(number);
        }
    }
    // END: pop

    /// Puts a task back after a poll that did not end it, with what it waits for. `true`: it gave way,
    /// and is scheduled for it.
    #[inline(always)]
    // ANCHOR: put_back
    pub(super) fn put_back(&mut self, TakenOut { key, task, .. }: TakenOut) -> bool {
        let slot = &mut self.slots[key.slot()];
        // The slot is empty while its task runs: there is nothing to drop.
        mem::forget(mem::replace(&mut slot.task, task));
        slot.wait = this_poll::noted();
        if slot.state == State::WokenWhileRunning {
            slot.state = State::Scheduled;
            return false;
        }
        let gave_way = this_poll::gave_way_at().is_some();
        if gave_way {
            slot.state = State::Scheduled;
            self.run_queue.push(key.slot());
        } else {
            slot.state = State::Idle;
        }
        gave_way
    }
    // END: put_back

    /// A root future takes its slot, and is scheduled.
    pub(super) fn open_root(&mut self) -> (Key, &mut Slot) {
        let key = self.slots.draw_key(ROOT);
        let slot = &mut self.slots[ROOT];
        // The one before may have ended with its number in the queue. Then it serves this one.
        if slot.state != State::Complete {
            self.run_queue.push(ROOT);
        }
        slot.state = State::Scheduled;
        (key, slot)
    }

    /// The root future is gone.
    pub(super) fn close_root(&mut self) {
        let slot = &mut self.slots[ROOT];
        slot.key = Key::NONE;
        slot.wait = None;
        slot.state = match slot.state {
            State::Scheduled | State::WokenWhileRunning => State::Complete,
            _ => State::Vacant,
        };
    }

    /// No task is taken in from here on, and none is scheduled.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.run_queue.clear();
        // What counts as scheduled is not scheduled again.
        self.slots.each_mut().for_each(|slot| slot.state = State::Scheduled);
    }

    /// Gives back the memory of a burst that is over.
    pub(super) fn give_back(&mut self) {
        self.slots.give_back();
        self.run_queue.give_back();
    }
}

/// The table is closed.
#[derive(Debug)]
pub(crate) struct Refused;

/// How a turn's batch came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchEnd {
    /// All of it ran, and more is ready.
    MoreReady,
    /// All of it ran, and nothing is ready any more.
    NothingReady,
    /// It was cut short; the rest keeps its place.
    CutShort,
    /// The root future ended; the rest keeps its place.
    RootEnded,
}
