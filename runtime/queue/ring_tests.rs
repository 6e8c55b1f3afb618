//! The ring against `VecDeque`: what is in it, in which order, and that each item is dropped once.
//!
//! Items of every kind of size are moved in a way of their own, so there is one of each. `.ci/run` has memcheck
//! look over these tests.

use std::{
    cell::Cell,
    collections::VecDeque,
    fmt::Debug,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use proptest::prelude::*;

use super::ring::Ring;

/// Pushes (positive) and pops (negative) by turns.
fn acts() -> impl Strategy<Value = Vec<isize>> {
    prop::collection::vec(prop_oneof![1..=9isize, -9..=-1isize, 20..=40isize], 1..60)
}

/// Does `acts` with both, and compares all that comes out.
fn compare<T: Debug + PartialEq + Clone>(acts: &[isize], make: impl Fn(usize) -> T) {
    let (mut ring, mut model) = (Ring::new(), VecDeque::new());
    let mut made = 0;
    for &act in acts {
        for _ in 0..act.abs() {
            if act > 0 {
                let item = make(made);
                made += 1;
                model.push_back(item.clone());
                let mut item = Some(item);
                ring.push_back(&mut item);
                assert!(item.is_none(), "it is in the ring");
            } else if let Some(expected) = model.pop_front() {
                assert_eq!(ring.pop_front(), expected);
            }
            assert_eq!((ring.len(), ring.is_empty()), (model.len(), model.is_empty()));
        }
    }
    while let Some(expected) = model.pop_front() {
        assert_eq!(ring.pop_front(), expected);
    }
    assert!(ring.is_empty());
}

#[derive(Debug, Clone, PartialEq)]
#[repr(align(64))]
struct Aligned(u8);

proptest! {
    #[test]
    fn words(acts in acts()) {
        compare(&acts, |n| n as u64);
        compare(&acts, |n| [n as u64, !n as u64, 7]);
        compare(&acts, Box::new);
        compare(&acts, |n| vec![n; n % 3]);
    }

    #[test]
    fn words_with_gaps(acts in acts()) {
        compare(&acts, |n| (n as u64, n as u8));
        compare(&acts, |n| (n % 2 == 0).then(|| n.to_string()));
    }

    #[test]
    fn no_words(acts in acts()) {
        compare(&acts, |n| n as u8);
        compare(&acts, |n| [n as u8; 11]);
        compare(&acts, |n| (n as u32, n as u16, n as u8));
    }

    #[test]
    fn more_words_than_are_moved_one_by_one(acts in acts()) {
        compare(&acts, |n| [n; 8]);
        compare(&acts, |n| [n; 9]);
    }

    #[test]
    fn aligned_items(acts in acts()) {
        compare(&acts, |n| Aligned(n as u8));
    }

    #[test]
    fn items_without_size(acts in acts()) {
        compare(&acts, |_| ());
    }

    #[test]
    fn each_item_is_dropped_once(acts in acts()) {
        let item = Rc::new(());
        compare(&acts, |_| Rc::clone(&item));
        let mut ring = Ring::new();
        let mut held = 0;
        for &act in &acts {
            for _ in 0..act.abs() {
                if act > 0 {
                    ring.push_back(&mut Some(Rc::clone(&item)));
                    held += 1;
                } else if held > 0 {
                    drop(ring.pop_front());
                    held -= 1;
                }
                assert_eq!(Rc::strong_count(&item), 1 + held);
            }
        }
        drop(ring);
        assert_eq!(Rc::strong_count(&item), 1);
    }
}

#[test]
fn a_ring_of_megabytes() {
    compare(&[100_000, -60_000, 200_000, -100_000, 300_000, -1], |n| [n, !n]);
}

#[test]
fn nothing_is_taken_from_nothing() {
    let mut ring = Ring::<String>::new();
    ring.push_back(&mut None);
    assert!(ring.is_empty());
    catch_unwind(AssertUnwindSafe(|| ring.pop_front())).unwrap_err();
    ring.push_back(&mut Some("still whole".to_owned()));
    assert_eq!(ring.pop_front(), "still whole");
}

#[test]
fn a_drop_that_panics_keeps_no_other_item_from_being_dropped() {
    struct Counted<'a>(&'a Cell<u32>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(self.0.get() != 2, "the second does not go quietly");
        }
    }

    let dropped = Cell::new(0);
    let mut ring = Ring::new();
    (0..5).for_each(|_| ring.push_back(&mut Some(Counted(&dropped))));
    catch_unwind(AssertUnwindSafe(|| drop(ring))).unwrap_err();
    assert_eq!(dropped.get(), 5);
}
