//! The thread-safe async queue, in every way that two or three threads can interleave.
//!
//! What must hold: an item put is got once; a future that waits is woken; what a cancelled one was woken
//! for goes to the next that waits; nothing overtakes a `get` that was promised an item. A lost wake shows
//! as a deadlock, which loom reports.
//!
//! The lock makes every visit to the core one step, so what is left to go wrong is what happens
//! between two visits: between the look and the joining of the list, between the wake and the poll. The
//! struct, its futures and the steps of `leaf.rs` are those of the local queue, in the other shell.
//!
//! `block_on` below is what `get_blocking` and the others of `queue/blocking.rs` do, by loom's means: std's `park`, by which
//! those wait, loom cannot see. The order of the items plays no part between threads: one is enough.

use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use futures_sink::Sink;
use loom::sync::Notify;

use super::seeded_bug_is_caught;
use crate::{
    engine::base::primitives::thread,
    queue::{GetError, PutError, Queue},
};

/// Ends the wait of the thread that blocks on a future. Not by loom's `unpark`: a thread that waits for a
/// lock just then forgets it.
struct Unpark(Notify);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let unpark = Arc::new(Unpark(Notify::new()));
    let waker = Waker::from(unpark.clone());
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => unpark.0.wait(),
        }
    }
}

/// Polls once, lets the others run, and gives up.
pub(super) fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    let mut future = pin!(future);
    let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    thread::yield_now();
    polled
}

#[test]
fn a_get_hears_of_the_put_that_came_while_it_joined_the_line() {
    loom::model(|| {
        let queue = loom::sync::Arc::new(Queue::unbounded());
        let getter = thread::spawn({
            let queue = queue.clone();
            move || block_on(queue.get())
        });
        queue.try_put(7).expect("an open queue without bound takes an item");
        assert_eq!(getter.join().unwrap(), Ok(7));
    });
}

#[test]
fn close_ends_a_get_and_returns_a_put() {
    loom::model(|| {
        let empty = loom::sync::Arc::new(Queue::<u8>::unbounded());
        let full = loom::sync::Arc::new(Queue::bounded(1));
        full.try_put(1).unwrap();
        let getter = thread::spawn({
            let empty = empty.clone();
            move || block_on(empty.get())
        });
        let putter = thread::spawn({
            let full = full.clone();
            move || block_on(full.put(2))
        });
        empty.close();
        full.close();
        assert_eq!(getter.join().unwrap(), Err(GetError));
        assert_eq!(putter.join().unwrap(), Err(PutError(2)));
        assert_eq!(full.try_get(), Ok(1), "what was in it can still be got");
    });
}

#[test]
fn a_cancelled_get_loses_no_item_and_passes_its_wake_on() {
    loom::model(|| {
        let queue = loom::sync::Arc::new(Queue::unbounded());
        let getter = thread::spawn({
            let queue = queue.clone();
            move || block_on(queue.get())
        });
        let putter = thread::spawn({
            let queue = queue.clone();
            move || queue.try_put(7).unwrap()
        });
        let early = poll_once(queue.get());
        putter.join().unwrap();
        if let Poll::Ready(item) = early {
            queue.try_put(item.unwrap()).unwrap();
        }
        assert_eq!(getter.join().unwrap(), Ok(7));
        assert!(queue.is_empty());
    });
}

#[test]
fn a_cancelled_put_passes_its_room_on() {
    loom::model(|| {
        let queue = loom::sync::Arc::new(Queue::bounded(1));
        queue.try_put(0).unwrap();
        let putter = thread::spawn({
            let queue = queue.clone();
            move || block_on(queue.put(2))
        });
        let getter = thread::spawn({
            let queue = queue.clone();
            move || assert_eq!(queue.try_get(), Ok(0))
        });
        let cancelled_was_in_time = poll_once(queue.put(1)).is_ready();
        getter.join().unwrap();
        if cancelled_was_in_time {
            assert_eq!(block_on(queue.get()), Ok(1));
        }
        assert_eq!(putter.join().unwrap(), Ok(()));
        assert_eq!(queue.try_get(), Ok(2));
    });
}

#[test]
fn a_dropped_sink_passes_its_room_on() {
    loom::model(|| {
        let queue = loom::sync::Arc::new(Queue::bounded(1));
        let putter = thread::spawn({
            let queue = queue.clone();
            move || block_on(queue.put(2))
        });
        let mut sink = queue.sink();
        let has_room = poll_once(poll_fn(|cx| Pin::new(&mut sink).poll_ready(cx))).is_ready();
        drop(sink);
        assert_eq!(putter.join().unwrap(), Ok(()));
        assert_eq!(queue.try_get(), Ok(2), "whether the sink came first ({has_room}) or not");
    });
}

#[test]
fn nobody_overtakes_a_get_that_was_promised_an_item() {
    loom::model(|| {
        let queue = loom::sync::Arc::new(Queue::unbounded());
        let getter = thread::spawn({
            let queue = queue.clone();
            move || block_on(queue.get())
        });
        let putter = thread::spawn({
            let queue = queue.clone();
            move || queue.try_put(7).unwrap()
        });
        // Fair only if the getter did not wait yet: then the item is put back for it.
        if let Ok(item) = queue.try_get() {
            queue.try_put(item).unwrap();
        }
        putter.join().unwrap();
        assert_eq!(getter.join().unwrap(), Ok(7));
    });
}

#[test]
fn join_waits_for_the_last_task_done() {
    loom::model(|| {
        let queue = loom::sync::Arc::new(Queue::unbounded());
        queue.try_put(1).unwrap();
        queue.try_put(2).unwrap();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let queue = queue.clone();
                thread::spawn(move || {
                    block_on(queue.get()).unwrap();
                    queue.task_done();
                })
            })
            .collect();
        block_on(queue.join());
        assert_eq!(queue.unfinished(), 0);
        for worker in workers {
            worker.join().unwrap();
        }
    });
}

#[test]
fn a_future_that_does_not_look_again_is_caught() {
    for finding in [
        seeded_bug_is_caught(
            "models::queue::a_get_hears_of_the_put_that_came_while_it_joined_the_line",
            "queue_no_second_look",
        ),
        seeded_bug_is_caught(
            "models::queue::a_cancelled_put_passes_its_room_on",
            "queue_no_second_look",
        ),
        seeded_bug_is_caught(
            "models::queue::join_waits_for_the_last_task_done",
            "queue_no_second_look",
        ),
    ] {
        assert!(finding.contains("deadlock"), "a lost wake: {finding}");
    }
}

#[test]
fn a_cancelled_get_that_keeps_its_item_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::queue::a_cancelled_get_loses_no_item_and_passes_its_wake_on",
        "queue_cancelled_get_keeps_item",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_cancelled_put_that_keeps_its_room_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::queue::a_cancelled_put_passes_its_room_on",
        "queue_cancelled_put_keeps_room",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_dropped_sink_that_keeps_its_room_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::queue::a_dropped_sink_passes_its_room_on",
        "queue_dropped_sink_keeps_room",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}

#[test]
fn a_try_get_that_overtakes_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::queue::nobody_overtakes_a_get_that_was_promised_an_item",
        "queue_try_get_overtakes",
    );
    assert!(finding.contains("left: Err(GetError"), "{finding}");
}
