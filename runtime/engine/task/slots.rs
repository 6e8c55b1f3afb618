//! The slab of an event loop's tasks: numbered slots, vacant ones in a list.
//!
//! Plain data. It knows nothing of wakers and queues; `tasks.rs` moves a task from state to state. A
//! wake reads two words of a slot, the key of its task and the state.
//!
//! ```text
//!   Vacant --spawn--> Scheduled --popped--> Running --Pending--> Idle --wake--> Scheduled
//!                                              |
//!                                              +--Ready--------> Vacant
//!                                              +--gave way-----> Scheduled
//!                                              +--wake---------> WokenWhileRunning
//!
//!   WokenWhileRunning --Pending--> Scheduled
//!   WokenWhileRunning --Ready----> Complete --popped--> Vacant
//! ```
//!
//! What must hold:
//! - A slot whose number stands in the run queue is not given to another task: that one would be
//!   polled out of its turn. A task that ended in a poll in which it was woken leaves its slot
//!   `Complete`, and the slot is vacant when the number is popped.
//! - The memory of a burst goes back: when most slots are vacant, those behind the last task are given
//!   back. (A task cannot move, for wakers name its slot.)
//!
//! **Alternative:** the slab crate. There every access asks first whether the slot is taken, and the
//! key would go with the task.

use std::{
    mem,
    ops::{Index, IndexMut},
    panic::Location,
};

use super::{key::Key, spawned::Spawned};
use crate::engine::base::{
    id::TaskId,
    location::{Name, Origin, WaitNote},
};

/// One task's slot.
pub(crate) struct Slot {
    /// The task, unless it runs. Never the root future, which is on the stack of `block_on`.
    pub(crate) task: Option<Spawned>,
    pub(crate) id: TaskId,
    pub(crate) name: Name,
    pub(crate) location: &'static Location<'static>,
    /// The task that spawned it.
    pub(crate) parent: Option<TaskId>,
    /// What the task waits for, or where it gave way, as far as that is known.
    pub(crate) wait: Option<WaitNote>,
    /// What its task's wakers hold. [`Key::NONE`] if there is no task.
    pub(crate) key: Key,
    pub(crate) state: State,
    /// The vacant slot after this vacant one.
    next_vacant: u32,
}

#[cfg(test)]
const _: () = assert!(size_of::<Slot>() <= 72, "each task has one");

/// Where in its life the task of a slot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// There is no task.
    Vacant,
    /// It waits to be woken.
    Idle,
    /// Its number stands in the run queue.
    Scheduled,
    /// It is being polled.
    Running,
    /// It is being polled, and its number stands in the run queue already.
    WokenWhileRunning,
    /// It has ended, and its number stands in the run queue still.
    Complete,
}

impl Slot {
    pub(crate) fn origin(&self) -> Origin {
        Origin {
            id: self.id,
            name: self.name.clone(),
            location: self.location,
            parent: self.parent,
        }
    }
}

/// The end of the list of vacant slots.
const LAST: u32 = u32::MAX;

/// The slot of the root future.
pub(crate) const ROOT: u32 = 0;

/// So many slots are kept in any case.
const KEPT: usize = 1024;
/// Steps that the search for vacant slots at the end may take, for each task that has ended.
const STEPS: usize = 4;

pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// The first vacant slot.
    vacant: u32,
    /// The loop's number.
    number: u16,
    next_generation: u16,
    /// Tasks there are, the root not counted.
    tasks: usize,
    /// Steps that may be spent on looking for slots to give back.
    steps: usize,
}

impl Slots {
    pub(crate) fn new(number: u16, first_generation: u16) -> Self {
        let root = Slot {
            task: None,
            id: TaskId::draw(),
            name: None,
            location: Location::caller(),
            parent: None,
            wait: None,
            key: Key::NONE,
            state: State::Vacant,
            next_vacant: LAST,
        };
        let next_generation = first_generation;
        Self { slots: vec![root], vacant: LAST, number, next_generation, tasks: 0, steps: 0 }
    }

    /// Tasks there are, the root not counted.
    pub(crate) fn len(&self) -> usize {
        self.tasks
    }

    pub(crate) fn next_generation(&self) -> u16 {
        self.next_generation
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number as usize)
    }

    /// The slots with a task, or the root future, that has not ended.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(|slot| slot.key != Key::NONE)
    }

    /// All slots.
    pub(crate) fn each_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut()
    }

    /// A key for a new task in this slot. There is no generation 0.
    #[inline]
    pub(crate) fn draw_key(&mut self, number: u32) -> Key {
        let generation = self.next_generation.max(1);
        self.next_generation = generation.wrapping_add(1);
        Key::new(self.number, generation, number)
    }

    /// Takes a slot out of the vacant ones, or makes one, for a task that will have this key.
    #[inline]
    pub(crate) fn reserve(&mut self) -> (Key, &mut Slot) {
        self.tasks += 1;
        if self.vacant == LAST {
            self.vacant = self.grow();
        }
        let number = self.vacant;
        let key = self.draw_key(number);
        let slot = &mut self.slots[number as usize];
        self.vacant = slot.next_vacant;
        (key, slot)
    }

    #[cold]
    fn grow(&mut self) -> u32 {
        let number = self.slots.len();
        assert!(number < 1 << 31, "an event loop holds no more than 2^31 tasks");
        let root = &self.slots[ROOT as usize];
        let slot = Slot {
            task: None,
            id: root.id,
            name: None,
            location: root.location,
            parent: None,
            wait: None,
            key: Key::NONE,
            state: State::Vacant,
            next_vacant: LAST,
        };
        self.slots.push(slot);
        number as u32
    }

    /// The running task of this slot has ended. Gives what its slot said of it.
    #[inline]
    // ANCHOR: end
    pub(crate) fn end(&mut self, number: u32) -> (TaskId, Name) {
        self.tasks -= 1;
        let slot = &mut self.slots[number as usize];
        slot.key = Key::NONE;
        let ended = (slot.id, slot.name.take());
        if slot.state == State::WokenWhileRunning {
            slot.state = State::Complete;
        } else {
            self.free(number);
        }
        ended
    }
    // END: end

    /// Nothing refers to this slot any more.
    #[inline]
    pub(crate) fn free(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        slot.state = State::Vacant;
        if number == ROOT {
            return;
        }
        self.steps += STEPS;
        slot.next_vacant = mem::replace(&mut self.vacant, number);
    }

    /// Gives back the slots behind the last task, if they are many. It takes no more than a few steps
    /// for each task that has ended, however often it is called.
    pub(crate) fn give_back(&mut self) {
        let size = self.slots.len();
        if size <= KEPT || self.tasks > size / 8 {
            return;
        }
        let is_vacant = |slot: &&Slot| slot.state == State::Vacant;
        let ends = self.slots[1..].iter().rev().take(self.steps);
        let at_end = ends.take_while(is_vacant).count();
        if at_end < size / 4 {
            self.steps -= at_end;
            return;
        }
        self.slots.truncate(size - at_end);
        self.slots.shrink_to_fit();
        self.steps = 0;
        // The lowest first: then the end is vacant the sooner.
        self.vacant = LAST;
        for (number, slot) in self.slots.iter_mut().enumerate().skip(1).rev() {
            if slot.state == State::Vacant {
                slot.next_vacant = mem::replace(&mut self.vacant, number as u32);
            }
        }
    }
}

impl Index<u32> for Slots {
    type Output = Slot;

    #[inline(always)]
    fn index(&self, number: u32) -> &Slot {
        &self.slots[number as usize]
    }
}

impl IndexMut<u32> for Slots {
    #[inline(always)]
    fn index_mut(&mut self, number: u32) -> &mut Slot {
        &mut self.slots[number as usize]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn taken(slots: &mut Slots, count: u32) -> Vec<u32> {
        let numbers = (0..count).map(|_| {
            let (key, slot) = slots.reserve();
            (slot.key, slot.state) = (key, State::Running);
            key.slot()
        });
        numbers.collect()
    }

    #[test]
    fn the_slots_of_a_burst_go_back_in_whatever_order_its_tasks_end() {
        fn shuffled(mut numbers: Vec<u32>) -> Vec<u32> {
            fastrand::Rng::with_seed(1).shuffle(&mut numbers);
            numbers
        }
        let orders: [fn(Vec<u32>) -> Vec<u32>; 3] =
            [|numbers| numbers, |numbers| numbers.into_iter().rev().collect(), shuffled];
        for order in orders {
            let mut slots = Slots::new(0, 0);
            let stay = taken(&mut slots, 3);
            for number in order(taken(&mut slots, 100_000)) {
                slots.end(number);
            }
            slots.give_back();
            assert!(slots.slots.capacity() <= 2 * KEPT, "{} slots kept", slots.slots.capacity());
            assert_eq!((slots.len(), slots.live().count()), (3, 3));
            // All that is vacant is found again, once.
            let size = slots.slots.len() as u32;
            let mut again = taken(&mut slots, size - 4);
            assert_eq!(slots.slots.len() as u32, size, "before any new one");
            again.extend(stay);
            again.sort_unstable();
            assert_eq!(again, (1..size).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_slot_whose_number_is_queued_is_not_given_to_another() {
        let mut slots = Slots::new(0, 0);
        let number = taken(&mut slots, 1)[0];
        slots[number].state = State::WokenWhileRunning;
        slots.end(number);
        assert_ne!(taken(&mut slots, 1)[0], number);
        slots.free(number);
        assert_eq!(taken(&mut slots, 1)[0], number);
    }
}
