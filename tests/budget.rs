//! What other crates' futures can charge to a poll's budget: a task that drains a channel of another crate gives way
//! like one that drains ours.

use std::{
    cell::Cell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Poll, ready},
};

use futures_channel::mpsc::{UnboundedReceiver, unbounded};
use futures_lite::Stream;
use whirligig::{spawn_local, task};

const ITEMS: usize = 1_000;

/// A channel of another crate, full.
fn full() -> UnboundedReceiver<usize> {
    let (sender, receiver) = unbounded();
    (0..ITEMS).for_each(|n| sender.unbounded_send(n).unwrap());
    receiver
}

/// How many items a task has taken when its neighbour has had its first turn.
fn taken_by_the_neighbours_turn(
    drain: impl AsyncFn(UnboundedReceiver<usize>, &Cell<usize>) + 'static,
) -> usize {
    whirligig::run(async move {
        let taken = Rc::new(Cell::new(0));
        let counts = taken.clone();
        let drains = spawn_local(async move { drain(full(), &counts).await });
        let neighbour = spawn_local({
            let taken = taken.clone();
            async move { taken.get() }
        });
        let seen = neighbour.await.unwrap();
        drains.await.unwrap();
        assert_eq!(taken.get(), ITEMS);
        seen
    })
}

#[test]
fn a_channel_of_another_crate_counts_nothing() {
    let seen = taken_by_the_neighbours_turn(async |mut receiver, taken| {
        while receiver.recv().await.is_ok() {
            taken.set(taken.get() + 1);
        }
    });
    assert_eq!(seen, ITEMS);
}

#[test]
fn unless_its_user_does() {
    let seen = taken_by_the_neighbours_turn(async |mut receiver, taken| {
        while receiver.recv().await.is_ok() {
            taken.set(taken.get() + 1);
            task::consume_budget().await;
        }
    });
    assert!((1..ITEMS).contains(&seen), "{seen}");
}

#[test]
fn or_the_leaf_that_wraps_it() {
    let seen = taken_by_the_neighbours_turn(async |mut receiver, taken| {
        let mut next = poll_fn(|cx| {
            let budget = ready!(task::poll_proceed(cx));
            let item = ready!(Pin::new(&mut receiver).poll_next(cx));
            budget.made_progress();
            Poll::Ready(item)
        });
        while (&mut next).await.is_some() {
            taken.set(taken.get() + 1);
        }
    });
    assert!((1..ITEMS).contains(&seen), "{seen}");
}
