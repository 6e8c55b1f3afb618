//! The slab of an event loop's tasks: numbered slots, vacant ones in a list.
//!
//! Plain data. It knows nothing of wakers and queues; `tasks.rs` decides when a slot is freed. A wake reads
//! two words of a slot: whose it is (the key) and where its task is, and a vacant slot's link lies in the
//! latter; so the slab costs a task nothing beyond its fields. That is why it is not the slab crate: there
//! every access asks first whether the slot is taken, and the generation would go with the task.

use std::{
    mem,
    ops::{Index, IndexMut},
    panic::Location,
};

use super::{key::Key, spawned::Spawned};
use crate::engine::base::{
    id::TaskId,
    place::{Name, Origin, Wait},
};

/// One place in the table.
pub(crate) struct Slot {
    /// The task while it waits. `None` while it stands in the run queue or runs, for the root future, in a
    /// tombstone, and in a vacant slot.
    pub(crate) task: Option<Spawned>,
    pub(crate) id: TaskId,
    pub(crate) name: Name,
    pub(crate) location: &'static Location<'static>,
    /// The task that spawned it.
    pub(crate) parent: Option<TaskId>,
    /// What its task waits for, if that is known.
    pub(crate) wait: Option<Wait>,
    /// [`IDLE`], [`AWAY`], [`EXPECTED`], or of a vacant slot the number of the next one, if there is one.
    /// Expected with nobody's key is a tombstone.
    pub(crate) standing: u32,
    /// The number of its task. [`Key::NOBODY`] if nothing will be polled here: a vacant slot, or a tombstone.
    pub(crate) key: Key,
}

#[cfg(test)]
const _: () = assert!(size_of::<Slot>() <= 72, "each task has one");

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

/// The task is in its slot, and waits to be woken.
pub(crate) const IDLE: u32 = u32::MAX;
/// The task stands in the run queue, or runs. Of the root future, which is never in its slot: its key does not
/// stand there.
pub(crate) const AWAY: u32 = u32::MAX - 1;
/// The slot's key stands in the run queue, without a task: for the root future, or for a task that was woken while
/// it ran.
pub(crate) const EXPECTED: u32 = u32::MAX - 2;
/// There is no next vacant slot.
const LAST: u32 = u32::MAX - 3;

/// The slot of the root future.
pub(crate) const ROOT: u32 = 0;

pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// The first vacant slot.
    vacant: u32,
    /// The loop's number.
    number: u16,
    next_generation: u16,
    /// Slots that are taken, the root's not counted.
    tasks: usize,
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
            standing: AWAY,
            key: Key::NOBODY,
        };
        let next_generation = first_generation;
        Self { slots: vec![root], vacant: LAST, number, next_generation, tasks: 0 }
    }

    /// Tasks there are, the root not counted.
    pub(crate) fn len(&self) -> usize {
        self.tasks
    }

    /// Slots there are, taken or not.
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        self.slots.len()
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
        self.slots.iter().filter(|slot| slot.key != Key::NOBODY)
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

    /// Takes a slot out of the vacant ones, or makes one. The task that moves in has this key.
    #[inline]
    pub(crate) fn reserve(&mut self) -> (Key, &mut Slot) {
        self.tasks += 1;
        if self.vacant == LAST {
            self.vacant = self.grow();
        }
        let number = self.vacant;
        let key = self.draw_key(number);
        let slot = &mut self.slots[number as usize];
        self.vacant = slot.standing;
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
            standing: LAST,
            key: Key::NOBODY,
        };
        self.slots.push(slot);
        number as u32
    }

    /// The task of this slot has ended. The slot is free at once, unless its key stands in the run queue: then
    /// it is a tombstone until that is popped.
    #[inline]
    // ANCHOR: end
    pub(crate) fn end(&mut self, number: u32) -> &mut Slot {
        self.tasks -= 1;
        let slot = &mut self.slots[number as usize];
        slot.key = Key::NOBODY;
        if slot.standing != EXPECTED {
            slot.standing = mem::replace(&mut self.vacant, number);
        }
        slot
    }
    // END: end

    /// A key was popped whose task has ended: its slot can be freed now. (The root's never is.)
    #[cold]
    pub(crate) fn free_ended(&mut self, number: u32) {
        self[number].standing = match number {
            ROOT => AWAY,
            _ => mem::replace(&mut self.vacant, number),
        };
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
