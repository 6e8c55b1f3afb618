//! Models of a group's list of children that ended, `engine/waiting/arrivals.rs`, with the join cells whose wakers
//! fill it; and of a borrowing scope, `task/borrowing.rs`, whose children fill it when they are woken.
//!
//! What must hold: a child that ends while its group is about to wait is not overlooked; the group is not woken
//! before as many have ended as it waits for; and what arrived has its outcome in its cell. A child that is woken while
//! it is polled is polled once more, and what awaits a child's handle hears of its end.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{pending, poll_fn},
    panic::Location,
    pin::pin,
    sync::Arc as StdArc,
    task::{Context, Poll, Waker},
};

use super::{join::Sleeper, seeded_bug_is_caught};
use crate::{
    engine::{
        base::{
            id::TaskId,
            location::Origin,
            primitives::{Arc, AtomicBool, Mutex, Ordering, lock, thread},
        },
        task::{
            cell::{Completer, Joiner},
            spawned,
        },
        waiting::arrivals::Arrivals,
    },
    task::borrowing_scope,
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

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let (sleeper, waker) = Sleeper::new();
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        sleeper.sleep();
    }
}

#[test]
fn a_borrowed_child_that_is_woken_while_it_is_polled_is_polled_again() {
    loom::model(|| {
        let (over, left) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None::<Waker>)));
        let other = thread::spawn({
            let (over, left) = (over.clone(), left.clone());
            move || {
                over.store(true, Ordering::Release);
                let waker = lock(&left).take();
                waker.into_iter().for_each(Waker::wake);
            }
        });
        let scope = borrowing_scope(async |scope| {
            scope.spawn(poll_fn(|cx| {
                *lock(&left) = Some(cx.waker().clone());
                if over.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
            }));
        });
        block_on(scope).unwrap();
        other.join().unwrap();
        drop(lock(&left).take());
    });
}

#[test]
fn what_awaits_a_child_hears_of_its_end() {
    loom::model(|| {
        let mut elsewhere = None;
        let scope = borrowing_scope(|scope| {
            let child = scope.spawn(async { Ok::<_, Infallible>(7) });
            elsewhere = Some(thread::spawn(move || block_on(child)));
            async { Ok::<(), Infallible>(()) }
        });
        block_on(scope).unwrap();
        assert_eq!(elsewhere.unwrap().join().unwrap(), 7);
    });
}

#[test]
fn a_mark_that_is_taken_away_after_the_poll_is_caught() {
    seeded_bug_is_caught(
        "models::group::a_borrowed_child_that_is_woken_while_it_is_polled_is_polled_again",
        "borrowing_unmarks_after_the_poll",
    );
}

#[test]
fn a_handle_that_looks_once_is_caught() {
    seeded_bug_is_caught("models::group::what_awaits_a_child_hears_of_its_end", "child_looks_once");
}
