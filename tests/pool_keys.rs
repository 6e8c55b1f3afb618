//! A runtime's tasks are known by numbers that are used again: what is too late meets nobody else.

use std::{
    future::{pending, poll_fn},
    sync::mpsc,
    task::Poll,
    thread,
};

use whirligig::{Runtime, spawn, task};

fn runtimes() -> impl Iterator<Item = Runtime> {
    [1, 2, 4].map(|workers| Runtime::builder().worker_threads(workers).build().unwrap()).into_iter()
}

/// A later runtime is likely to have the number of the first.
#[test]
fn wakers_and_handles_that_outlive_their_runtime_do_nothing_to_the_next() {
    let (sender, receiver) = mpsc::channel();
    let waits_for_ever = move || {
        let sender = sender.clone();
        poll_fn(move |cx| {
            sender.send(cx.waker().clone()).unwrap();
            Poll::<()>::Pending
        })
    };
    let first = Runtime::builder().worker_threads(1).build().unwrap();
    let handle = first.spawn(waits_for_ever());
    let waker = receiver.recv().unwrap();
    drop(first);
    for runtime in runtimes() {
        let task = runtime.spawn(waits_for_ever());
        receiver.recv().unwrap();
        waker.wake_by_ref();
        handle.cancel();
        assert_eq!(runtime.block_on(async { spawn(async { 42 }).await.unwrap() }), 42);
        assert!(!task.is_finished());
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        while receiver.try_recv().is_ok() {}
    }
    assert!(handle.wait().unwrap_err().is_cancelled());
}

/// A task may be cancelled before it has begun, while it waits, and when it is long gone.
#[test]
fn a_cancel_reaches_its_task_from_any_thread_and_no_other() {
    for runtime in runtimes() {
        let neighbours: Vec<_> = (0..100).map(|_| runtime.spawn(task::yield_now())).collect();
        let handles: Vec<_> = (0..100).map(|_| runtime.spawn(pending::<()>())).collect();
        let cancelled = runtime.spawn(async move {
            handles.iter().for_each(|handle| _ = handle.cancel());
            let mut cancelled = 0;
            for handle in handles {
                cancelled += u32::from(handle.await.unwrap_err().is_cancelled());
            }
            cancelled
        });
        assert_eq!(cancelled.wait().unwrap(), 100);
        assert!(neighbours.into_iter().all(|neighbour| neighbour.wait().is_ok()));
        let mut ended = runtime.spawn(async { 7 });
        while !ended.is_finished() {
            thread::yield_now();
        }
        ended.cancel();
        assert_eq!(runtime.block_on(&mut ended).unwrap(), 7);
    }
}
