//! Many futures in one task, woken by other threads, in every way that these can interleave.
//!
//! What must hold: each wake is followed by a poll of its future. The wakes come while the task is looking which futures
//! were woken, while it polls, and after it has said `Pending`. A lost wake shows as a deadlock.

use super::{queue::block_on, seeded_bug_is_caught};
use crate::{engine::base::primitives::thread, queue::Queue, task};

#[test]
fn a_wake_that_comes_while_the_task_looks_is_heard() {
    loom::model(|| {
        let queues = loom::sync::Arc::new([Queue::unbounded(), Queue::unbounded()]);
        let gathers = thread::spawn({
            let queues = queues.clone();
            move || block_on(task::gather(queues.iter().map(Queue::get)))
        });
        queues[1].try_put(1).unwrap();
        queues[0].try_put(0).unwrap();
        assert_eq!(gathers.join().unwrap(), [Ok(0), Ok(1)]);
    });
}

#[test]
fn the_first_of_two_threads_ends_a_race_and_the_other_loses_nothing() {
    super::bounded_model(2, || {
        let queues = loom::sync::Arc::new([Queue::unbounded(), Queue::unbounded()]);
        let puts = [0, 1].map(|index| {
            let queues = queues.clone();
            thread::spawn(move || queues[index].try_put(index).unwrap())
        });
        let first = block_on(task::race(queues.iter().map(Queue::get))).unwrap();
        puts.into_iter().for_each(|put| put.join().unwrap());
        assert!(queues[first].is_empty());
        assert_eq!(queues[1 - first].try_get(), Ok(1 - first));
    });
}

#[test]
fn a_wake_lost_between_the_look_and_the_waker_is_caught() {
    seeded_bug_is_caught(
        "models::many::a_wake_that_comes_while_the_task_looks_is_heard",
        "many_registers_after_the_look",
    );
}
