//! What a table of tasks holds: slots and a run queue, and the steps that need both.
//!
//! Plain data behind the table's one `RefCell`. Each function here is one short borrow, in which no
//! foreign code runs. `local.rs` puts them together.
//!
//! A task is in one place at a time. While it waits to be woken it is in its slot. A wake moves it into the run
//! queue, from there it is popped and polled, and when it waits again it goes back. One that only gives way goes
//! from the poll to the end of the queue, with the line that gave way, and its slot is not touched.
//!
//! Two entries of the run queue come without a task. The root future is never in its slot: it is on the stack of
//! `block_on`. And a task that is woken while it runs must stand where it was woken, before whom it wakes after
//! that; so its key goes ahead, and the task waits in its slot for it, whatever it says of itself when its poll
//! ends.
//!
//! The rival is a queue of numbers, and the tasks in their slots all the time. Then each poll finds the slot
//! twice, to take the task out and to put it back, and gives way by marking there that it stands in the queue.

use std::{mem, panic::Location};

use super::{
    key::Key,
    slots::{AWAY, EXPECTED, IDLE, ROOT, Slot, Slots},
    spawned::Spawned,
};
use crate::engine::{
    base::{
        place::{Wait, WaitsFor},
        this_poll,
    },
    run_queue::batches::Batches,
};

/// While there are no more slots than this, the tasks are in the processor's nearest caches anyway.
const FEW: usize = 256;

/// One loop's tasks.
pub(super) struct Tasks {
    pub(super) slots: Slots,
    pub(super) run_queue: Batches<Ready>,
    /// Who is being polled, or dropped. [`Key::NOBODY`] in between.
    pub(super) running: Key,
    /// Who was woken last while it ran: its key stands in the run queue. Of one who does not run it says nothing.
    pub(super) woken_running: Key,
    pub(super) closed: bool,
}

/// An entry of the run queue.
pub(super) struct Ready {
    pub(super) key: Key,
    /// `None` for the root future, and for a task that is in its slot.
    pub(super) task: Option<Spawned>,
    /// The line where it gave way. `None`: it was woken, and its slot says what it had waited for.
    pub(super) gave_way_at: Option<&'static Location<'static>>,
}

impl Ready {
    /// A key without a task.
    #[inline(always)]
    pub(super) fn alone(key: Key) -> Self {
        Self { key, task: None, gave_way_at: None }
    }
}

impl Tasks {
    /// The first in the batch. `None` if the batch has ended.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Popped> {
        loop {
            let ready = self.run_queue.pop()?;
            let (key, task) = (ready.key, ready.task.take());
            if self.are_many() {
                self.prefetch_next();
            }
            if let Some(task) = task {
                return Some(Popped::Task(key, task));
            }
            if let Some(popped) = self.claim(key.slot()) {
                return Some(popped);
            }
        }
    }

    /// An entry without a task was popped: whoever it stands for, unless he is gone.
    #[inline(never)]
    fn claim(&mut self, number: u32) -> Option<Popped> {
        self.woken_running = Key::NOBODY;
        let slot = &mut self.slots[number];
        if slot.key == Key::NOBODY {
            self.slots.free_ended(number);
            return None;
        }
        slot.standing = AWAY;
        Some(match slot.task.take() {
            Some(task) => Popped::Task(slot.key, task),
            None => {
                debug_assert_eq!(number, ROOT, "a task whose key is popped is in its slot");
                Popped::Root(slot.key)
            }
        })
    }

    /// Whether some tasks' memory has left the nearest caches, so that fetching it ahead pays.
    #[inline(always)]
    fn are_many(&self) -> bool {
        self.slots.size() > FEW
    }

    /// Has the processor fetch the memory of the tasks that will be polled next, while something else is
    /// done: what was spawned or polled a thousand tasks ago has to come from afar. In two steps, for where
    /// a task ends is written at its beginning.
    #[inline(always)]
    fn prefetch_next(&self) {
        if let Some(task) = self.run_queue.ahead(1).and_then(|ready| ready.task.as_ref()) {
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
        let are_many = self.are_many();
        let Some(slot) = self.find(key) else { return false };
        if slot.standing != IDLE {
            return self.mark_away(key);
        }
        slot.standing = AWAY;
        let task = slot.task.take();
        if are_many && let Some(task) = &task {
            task.prefetch();
        }
        self.run_queue.push(|| Ready { key, task, gave_way_at: None });
        true
    }
    // END: mark

    /// [`mark`](Self::mark) for one who is not in his slot. It is news if he runs, or is the root future, and his
    /// key does not stand in the run queue yet.
    #[inline(never)]
    fn mark_away(&mut self, key: Key) -> bool {
        let slot = &mut self.slots[key.slot()];
        let runs = self.running == key;
        let news = (runs || key.slot() == ROOT) && slot.standing == AWAY;
        if news {
            slot.standing = EXPECTED;
            self.run_queue.push(|| Ready::alone(key));
            if runs {
                self.woken_running = key;
            }
        }
        news
    }

    /// Puts a task that was polled where it belongs. It goes to the end of the run queue if it gave way, and its key
    /// does not stand there yet; else into its slot, with what it waits for. Answers whether it went to the queue.
    #[inline(always)]
    // ANCHOR: put_back
    pub(super) fn put_back(&mut self, key: Key, task: Spawned) -> bool {
        let gave_way_at = this_poll::gave_way_at();
        if gave_way_at.is_some() && self.woken_running != key {
            self.run_queue.push(|| Ready { key, task: Some(task), gave_way_at });
            return true;
        }
        let slot = &mut self.slots[key.slot()];
        slot.wait = this_poll::wait();
        if slot.standing == AWAY {
            slot.standing = IDLE;
        }
        // The slot is empty while its task runs: there is nothing to drop.
        mem::forget(slot.task.replace(task));
        false
    }
    // END: put_back

    /// [`put_back`](Self::put_back) for the root future, which goes nowhere.
    pub(super) fn put_back_root(&mut self, key: Key) -> bool {
        let slot = &mut self.slots[ROOT];
        slot.wait = this_poll::wait();
        let again = slot.standing == AWAY && this_poll::gave_way_at().is_some();
        if again {
            slot.standing = EXPECTED;
            self.run_queue.push(|| Ready::alone(key));
        }
        again
    }

    /// Notes in their slots where those gave way who stand in the run queue.
    pub(super) fn note_who_gave_way(&mut self) {
        for ready in self.run_queue.iter() {
            if let Some(location) = ready.gave_way_at {
                self.slots[ready.key.slot()].wait = Some(Wait::new(WaitsFor::Turn, location));
            }
        }
    }

    /// No task is taken in from here on, and none is scheduled: all are in their slots, to be dropped.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for Ready { key, task, .. } in self.run_queue.drain() {
            if task.is_some() {
                mem::forget(mem::replace(&mut self.slots[key.slot()].task, task));
            }
        }
        self.slots.each_mut().for_each(|slot| slot.standing = EXPECTED);
    }
}

/// What is to be polled.
pub(super) enum Popped {
    Task(Key, Spawned),
    Root(Key),
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
