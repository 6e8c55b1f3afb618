//! The items against a plain `VecDeque` and a sorted vector, and how their memory follows their number.

use std::{cell::Cell, collections::VecDeque, rc::Rc};

use proptest::prelude::*;

use super::{
    heap::Heap,
    items::Items,
    order::{Fifo, Lifo, Prioritized, Priority, sealed::Sealed},
};

proptest! {
    /// Large enough items for the memory to be given back again and again.
    #[test]
    fn behaves_like_a_deque(acts in prop::collection::vec(-60..=60isize, 1..60), newest in any::<bool>()) {
        let (mut items, mut model) = (Items::new(), VecDeque::new());
        for (act, number) in acts.into_iter().zip(0..) {
            for _ in 0..act.abs() {
                if act > 0 {
                    items.push_back([number; 256]);
                    model.push_back([number; 256]);
                } else if newest {
                    prop_assert_eq!(items.pop_back(), model.pop_back());
                } else {
                    prop_assert_eq!(items.pop_front(), model.pop_front());
                }
                prop_assert_eq!(items.len(), model.len());
            }
        }
    }

    /// As above. The model's sort is stable.
    #[test]
    fn the_heap_gives_out_the_smallest_and_of_equal_ones_the_oldest(
        acts in prop::collection::vec((-60..=60isize, 0..4u8), 1..60),
    ) {
        let (mut items, mut model) = (Heap::new(), Vec::new());
        let mut number = 0;
        for (act, priority) in acts {
            for _ in 0..act.abs() {
                if act > 0 {
                    number += 1;
                    items.push(Prioritized { priority, item: [number; 256] });
                    model.push((priority, number));
                    model.sort_by_key(|item| item.0);
                } else {
                    let first = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(items.pop().map(|it| (it.priority, it.item[0])), first);
                }
                prop_assert_eq!(items.len(), model.len());
            }
        }
    }
}

/// A walk down from many items and up again must not give memory back and take it at each step.
fn memory_follows_the_number_of_items<O: Sealed<u64>>(
    many: usize,
    slots: impl Fn(&O::Items) -> usize,
    kept: usize,
) {
    let mut items = O::new();
    let (mut capacity, mut moves) = (0, 0);
    let mut seen = |items: &O::Items| {
        if capacity != slots(items) {
            capacity = slots(items);
            moves += 1;
        }
        std::mem::take(&mut moves)
    };
    let mut up = 0;
    for n in 0..many as u64 {
        O::push(&mut items, n);
        up += seen(&items);
    }
    let mut down = 0;
    for _ in 0..many {
        assert!(O::pop(&mut items).is_some());
        down += seen(&items);
        let (len, slots) = (O::len(&items), slots(&items));
        assert!(slots <= (8 * len).max(kept), "{slots} slots for {len}");
    }
    assert!(up <= 17 && down <= 17, "{up} and {down} moves for {many} items");
    for _ in 0..many {
        (0..100).for_each(|n| O::push(&mut items, n));
        (0..100).for_each(|_| assert!(O::pop(&mut items).is_some()));
        assert_eq!(seen(&items), 0, "a few items back and forth move nothing");
    }
}

#[test]
fn memory_follows_the_number_of_items_and_moves_seldom() {
    memory_follows_the_number_of_items::<Fifo>(1 << 16, Items::capacity, 16 << 10);
    memory_follows_the_number_of_items::<Lifo>(1 << 16, Items::capacity, 16 << 10);
    memory_follows_the_number_of_items::<Priority>(1 << 12, Heap::capacity, 8 << 10);
}

#[test]
fn items_without_size() {
    let mut items = Items::new();
    (0..10_000).for_each(|_| items.push_back(()));
    assert_eq!((0..10_001).filter_map(|_| items.pop_front()).count(), 10_000);
    (0..10_000).for_each(|_| items.push_back(()));
    assert_eq!((0..10_001).filter_map(|_| items.pop_back()).count(), 10_000);
    let mut items = Heap::new();
    (0..10_000).for_each(|_| items.push(()));
    assert_eq!((0..10_001).filter_map(|_| items.pop()).count(), 10_000);
}

/// Counts its drops, and every other of them panics.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Counted<'a>(&'a Cell<u32>);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
        assert!(self.0.get().is_multiple_of(2), "every other item panics");
    }
}

fn drops_that_panic<O: for<'a> Sealed<Counted<'a>>>() {
    let dropped = Cell::new(0);
    let mut items = O::new();
    (0..5).for_each(|_| O::push(&mut items, Counted(&dropped)));
    drop(items);
    assert_eq!(dropped.get(), 5);
}

#[test]
fn drops_that_panic_keep_no_other_item_from_being_dropped() {
    drops_that_panic::<Fifo>();
    drops_that_panic::<Priority>();
}

fn dropped_once<O: Sealed<Rc<()>>>() {
    let item = Rc::new(());
    let mut items = O::new();
    (0..9).for_each(|_| O::push(&mut items, Rc::clone(&item)));
    drop(O::pop(&mut items));
    assert_eq!(Rc::strong_count(&item), 9);
    drop(items);
    assert_eq!(Rc::strong_count(&item), 1);
}

#[test]
fn each_item_is_dropped_once() {
    dropped_once::<Fifo>();
    dropped_once::<Lifo>();
    dropped_once::<Priority>();
}
