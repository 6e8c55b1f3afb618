//! Models of a group's list of children that ended, `engine/waiting/arrivals.rs`, with the join cells whose wakers
//! fill it.
//!
//! What must hold: a child that ends while its group is about to wait is not overlooked; the group is not woken
//! before as many have ended as it waits for; and what arrived has its outcome in its cell.

use std::{
    collections::VecDeque,
    future::pending,
    panic::Location,
    sync::Arc as StdArc,
    task::{Context, Poll},
};

use super::{join::Sleeper, seeded_bug_is_caught};
use crate::engine::{
    base::{
        id::TaskId,
        location::Origin,
        primitives::{Arc, thread},
    },
    task::{
        cell::{Completer, Joiner},
        spawned,
    },
    waiting::arrivals::Arrivals,
};

type Output = Arc<()>;

fn origin() -> Origin {
    Origin { id: TaskId::draw(), name: None, location: Location::caller(), parent: None }
}

/// A child of the group with this number, both sides.
fn child(
    arrivals: &StdArc<Arrivals>,
    number: u32,
) -> (Completer<std::future::Pending<Output>>, Joiner<Output>) {
    let (completer, mut joiner) = spawned::new(pending::<Output>());
    joiner.watch_new(arrivals.waker(number));
    (completer, joiner)
}

/// Waits until `enough` have arrived.
fn wait(arrivals: &Arrivals, enough: usize) -> VecDeque<u32> {
    let (sleeper, waker) = Sleeper::new();
    let mut taken = VecDeque::new();
    loop {
        match arrivals.poll_take(&Context::from_waker(&waker), enough, &mut taken) {
            Poll::Ready(()) => return taken,
            Poll::Pending => sleeper.sleep(),
        }
    }
}

#[test]
fn a_child_that_ends_as_its_group_waits_is_seen() {
    loom::model(|| {
        let arrivals = Arrivals::new();
        let (completer, joiner) = child(&arrivals, 7);
        let task = thread::spawn(move || completer.complete(Ok(Arc::new(())), origin));
        assert_eq!(wait(&arrivals, 1), [7]);
        assert!(joiner.is_complete(), "what arrived has its outcome");
        task.join().unwrap();
        drop(joiner);
    });
}

#[test]
fn the_last_of_two_wakes_the_group_that_waits_for_both() {
    loom::model(|| {
        let arrivals = Arrivals::new();
        let children = [1, 2].map(|number| {
            let (completer, joiner) = child(&arrivals, number);
            let task = thread::spawn(move || completer.complete(Ok(Arc::new(())), origin));
            (task, joiner)
        });
        let mut ended: Vec<_> = wait(&arrivals, 2).into();
        ended.sort_unstable();
        assert_eq!(ended, [1, 2]);
        for (task, joiner) in children {
            assert!(joiner.is_complete());
            task.join().unwrap();
        }
    });
}

#[test]
fn a_group_that_is_dropped_leaves_its_children() {
    loom::model(|| {
        let arrivals = Arrivals::new();
        let (completer, joiner) = child(&arrivals, 0);
        let task = thread::spawn(move || completer.complete(Ok(Arc::new(())), origin));
        let (_sleeper, waker) = Sleeper::new();
        let mut taken = VecDeque::new();
        let _ = arrivals.poll_take(&Context::from_waker(&waker), 1, &mut taken);
        drop(arrivals);
        drop(joiner);
        task.join().unwrap();
    });
}

#[test]
fn a_waiter_that_is_put_there_without_a_second_look_is_caught() {
    seeded_bug_is_caught(
        "models::group::a_child_that_ends_as_its_group_waits_is_seen",
        "arrivals_look_once",
    );
}
