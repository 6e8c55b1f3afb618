//! The items against a plain `VecDeque`, and how their memory follows their number.

use std::{cell::Cell, collections::VecDeque, rc::Rc};

use proptest::prelude::*;

use super::items::Items;

proptest! {
    /// Large enough items for the memory to be given back again and again.
    #[test]
    fn behaves_like_a_deque(acts in prop::collection::vec(-60..=60isize, 1..60)) {
        let (mut items, mut model) = (Items::new(), VecDeque::new());
        for (act, number) in acts.into_iter().zip(0..) {
            for _ in 0..act.abs() {
                if act > 0 {
                    items.push_back([number; 256]);
                    model.push_back([number; 256]);
                } else {
                    prop_assert_eq!(items.pop_front(), model.pop_front());
                }
                prop_assert_eq!((items.len(), items.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }
}

/// A walk down from many items and up again must not give memory back and take it at each step.
#[test]
fn memory_follows_the_number_of_items_and_moves_seldom() {
    const MANY: usize = 1 << 16;
    let mut items = Items::new();
    let (mut capacity, mut moves) = (0, 0);
    let mut seen = |items: &Items<u64>| {
        if capacity != items.capacity() {
            capacity = items.capacity();
            moves += 1;
        }
        std::mem::take(&mut moves)
    };
    let mut up = 0;
    for n in 0..MANY as u64 {
        items.push_back(n);
        up += seen(&items);
    }
    let mut down = 0;
    for n in 0..MANY as u64 {
        assert_eq!(items.pop_front(), Some(n));
        down += seen(&items);
        assert!(items.capacity() <= (8 * items.len()).max(16 * 1024), "{}", items.len());
    }
    assert!(up <= 17 && down <= 17, "{up} and {down} moves for {MANY} items");
    for _ in 0..MANY {
        (0..100).for_each(|n| items.push_back(n));
        (0..100).for_each(|_| assert!(items.pop_front().is_some()));
        assert_eq!(seen(&items), 0, "a few items back and forth move nothing");
    }
}

#[test]
fn items_without_size() {
    let mut items = Items::new();
    (0..10_000).for_each(|_| items.push_back(()));
    assert_eq!((0..10_001).filter_map(|_| items.pop_front()).count(), 10_000);
}

#[test]
fn drops_that_panic_keep_no_other_item_from_being_dropped() {
    struct Counted<'a>(&'a Cell<u32>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(self.0.get().is_multiple_of(2), "every other item panics");
        }
    }

    let dropped = Cell::new(0);
    let mut items = Items::new();
    (0..5).for_each(|_| items.push_back(Counted(&dropped)));
    drop(items);
    assert_eq!(dropped.get(), 5);
}

#[test]
fn each_item_is_dropped_once() {
    let item = Rc::new(());
    let mut items = Items::new();
    (0..9).for_each(|_| items.push_back(Rc::clone(&item)));
    drop(items.pop_front());
    assert_eq!(Rc::strong_count(&item), 9);
    drop(items);
    assert_eq!(Rc::strong_count(&item), 1);
}
