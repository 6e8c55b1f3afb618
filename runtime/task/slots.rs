//! The slab of an event loop's tasks: numbered slots, vacant ones in a list.
//!
//! Plain data. It knows nothing of wakers and queues; `local.rs` decides when a slot is freed. A slot's
//! flags stand where a wake reads them with one load each, and a vacant slot's link lies in the same
//! place, so the slab costs a task nothing beyond its fields. That is why it is not the slab crate:
//! there every access asks first whether the slot is taken, and the generation would go with the task.

use std::{
    mem,
    ops::{Index, IndexMut},
    panic::Location,
};

use super::spawned::Spawned;
use crate::{
    id::TaskId,
    place::{Name, Wait},
};

/// One place in the table.
pub(crate) struct Slot {
    /// `None` while it runs, for the root future, in a tombstone, and in a vacant slot.
    pub(crate) task: Option<Spawned>,
    pub(crate) id: TaskId,
    pub(crate) name: Name,
    pub(crate) place: &'static Location<'static>,
    pub(crate) wait: Option<Wait>,
    /// Its number stands in the run queue.
    pub(crate) scheduled: bool,
    pub(crate) generation: u16,
    /// [`LIVE`], [`ENDED`], or the number of the next vacant slot.
    pub(crate) next_vacant: u32,
}

/// A task lives here.
pub(crate) const LIVE: u32 = u32::MAX;
/// Nothing will be polled here again; or, as a link, there is no next vacant slot.
pub(crate) const ENDED: u32 = u32::MAX - 1;

/// The slot of the root future.
pub(crate) const ROOT: u32 = 0;

pub(crate) struct Slots {
    slots: Vec<Slot>,
    /// The first vacant slot; [`ENDED`] if none is.
    vacant: u32,
    next_generation: u16,
    /// Slots that are taken, the root's not counted.
    tasks: usize,
}

impl Slots {
    pub(crate) fn new(first_generation: u16) -> Self {
        let root = Slot {
            task: None,
            id: TaskId::draw(),
            name: None,
            place: Location::caller(),
            wait: None,
            scheduled: false,
            generation: first_generation,
            next_vacant: ENDED,
        };
        let next_generation = first_generation.wrapping_add(1);
        Self { slots: vec![root], vacant: ENDED, next_generation, tasks: 0 }
    }

    /// Tasks there are, the root not counted.
    pub(crate) fn len(&self) -> usize {
        self.tasks
    }

    pub(crate) fn next_generation(&self) -> u16 {
        self.next_generation
    }

    #[inline(always)]
    pub(crate) fn get(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)
    }

    #[inline(always)]
    pub(crate) fn get_mut(&mut self, number: u32) -> Option<&mut Slot> {
        self.slots.get_mut(number as usize)
    }

    /// The slots with a task, or the root future, that has not ended.
    pub(crate) fn live(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let live = self.slots.iter().enumerate().filter(|(_, slot)| slot.next_vacant == LIVE);
        live.map(|(number, slot)| (number as u32, slot))
    }

    #[inline]
    pub(crate) fn draw_generation(&mut self) -> u16 {
        let generation = self.next_generation;
        self.next_generation = generation.wrapping_add(1);
        generation
    }

    /// Takes a slot out of the vacant ones, or makes one. The task that moves in makes it [`LIVE`].
    #[inline]
    pub(crate) fn reserve(&mut self) -> (u32, u16, &mut Slot) {
        let generation = self.draw_generation();
        self.tasks += 1;
        if self.vacant == ENDED {
            self.vacant = self.grow();
        }
        let number = self.vacant;
        let slot = &mut self.slots[number as usize];
        self.vacant = slot.next_vacant;
        (number, generation, slot)
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
            place: root.place,
            wait: None,
            scheduled: false,
            generation: 0,
            next_vacant: ENDED,
        };
        self.slots.push(slot);
        number as u32
    }

    /// The task in this slot has ended. The slot is free at once, unless its number stands in the run
    /// queue: then it is a tombstone until that is popped.
    #[inline]
    // ANCHOR: end
    pub(crate) fn end(&mut self, number: u32) -> &mut Slot {
        self.tasks -= 1;
        let slot = &mut self.slots[number as usize];
        slot.next_vacant =
            if slot.scheduled { ENDED } else { mem::replace(&mut self.vacant, number) };
        slot
    }
    // END: end

    /// A number was popped whose task has ended: its slot can be freed now. (The root's never is.)
    #[cold]
    pub(crate) fn free_ended(&mut self, number: u32) {
        if number != ROOT {
            self[number].next_vacant = mem::replace(&mut self.vacant, number);
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
