//! What cannot be seen from outside: what the futures charge to the budget and note, and a queue's
//! identity.

use std::{
    future::poll_fn,
    panic::Location,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use futures_core::Stream;
use futures_sink::Sink;

use super::{Queue, local};
use crate::engine::base::{location::WaitsFor, this_poll};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Operations left in this poll. Using them up is the way to count them.
fn left() -> i32 {
    let mut left = 0;
    while this_poll::poll_budget(&mut Context::from_waker(Waker::noop()), Location::caller())
        .is_ready()
    {
        this_poll::charge();
        left += 1;
    }
    left
}

#[test]
fn only_ready_awaits_are_charged() {
    let queue = local::Queue::bounded(1);
    this_poll::begin(Waker::noop(), None, 0);
    let mut get = pin!(queue.get());
    assert!(poll(get.as_mut()).is_pending(), "a wait ends the poll by itself, and is free");
    queue.try_put(1).unwrap();
    assert!(poll(get).is_ready(), "the first charge: the end of a wait");
    queue.task_done();
    assert!(poll(pin!(queue.put(2))).is_ready(), "the second");
    assert!(poll(pin!(queue.get())).is_ready(), "the third");
    queue.task_done();
    assert!(poll(pin!(queue.join())).is_ready(), "the fourth");
    let mut sink = queue.sink();
    assert!(poll(pin!(poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)))).is_ready(), "the fifth");
    Pin::new(&mut sink).start_send(3).unwrap();
    let mut stream = queue.stream();
    assert!(poll(pin!(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)))).is_ready(), "the sixth");
    queue.try_put(4).unwrap();
    queue.try_get().unwrap();
    assert_eq!(left(), this_poll::BUDGET - 6, "what never waits is never charged");
    this_poll::end();
}

#[test]
fn a_used_up_budget_gives_way_and_loses_nothing() {
    let queue = Queue::unbounded();
    this_poll::begin(Waker::noop(), None, 0);
    left();
    let (mut put, mut get) = (pin!(queue.put(1)), pin!(queue.get()));
    assert!(poll(put.as_mut()).is_pending());
    assert!(this_poll::noted().is_some_and(|wait| wait.what() == WaitsFor::Turn));
    assert!(poll(get.as_mut()).is_pending());
    assert_eq!(queue.stats().getters, 0, "it did not join the line");
    this_poll::begin(Waker::noop(), None, 0);
    assert_eq!(poll(put), Poll::Ready(Ok(())));
    assert_eq!(poll(get), Poll::Ready(Ok(1)));
    this_poll::end();
}

#[test]
fn a_wait_notes_what_for_and_where() {
    let queue = Queue::bounded(1);
    let noted = |what, line| {
        let wait = this_poll::take_note().expect("a wait was noted");
        assert_eq!(
            (wait.what(), wait.location.file(), wait.location.line()),
            (what, file!(), line)
        );
    };
    let (mut get, line) = (pin!(queue.get()), line!());
    assert!(poll(get.as_mut()).is_pending());
    noted(WaitsFor::Item, line);

    queue.try_put(1).unwrap();
    let (put, line) = (pin!(queue.put(2)), line!());
    assert!(poll(put).is_pending());
    noted(WaitsFor::Room, line);

    let (join, line) = (pin!(queue.join()), line!());
    assert!(poll(join).is_pending());
    noted(WaitsFor::QueueDone, line);

    let (mut sink, line) = (queue.sink(), line!());
    assert!(poll(pin!(poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx)))).is_pending());
    noted(WaitsFor::Room, line);

    let empty = Queue::<u8>::unbounded();
    let (mut stream, line) = (empty.stream(), line!());
    assert!(poll(pin!(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)))).is_pending());
    noted(WaitsFor::Item, line);

    assert!(poll(get).is_ready());
    assert!(this_poll::take_note().is_none(), "a ready future waits for nothing");
}

#[test]
fn an_identity_stays_and_no_other_queue_has_it() {
    let (a, b, c) =
        (Queue::<u8>::unbounded(), Queue::<u8>::bounded(1), local::Queue::<u8>::unbounded());
    let ids = [a.id(), b.id(), c.id()];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[0], "{ids:?}");
    assert!(!ids.contains(&0), "0 can mean none");
    let moved = Box::new(a);
    assert_eq!(moved.id(), ids[0]);
    drop(moved);
    assert!(!ids.contains(&Queue::<u8>::unbounded().id()), "nor one that comes after it");
    assert!(format!("{b:?}").contains(&ids[1].to_string()), "one is shown it");
}
