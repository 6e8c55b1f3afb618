//! Foreign code that panics where nobody expects it: in drops and in wakers.
//!
//! Such a panic ends one task, or nobody's wait; it never comes out of the loop.

use std::{
    future::{Future, pending, poll_fn},
    io::{Write, pipe},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use whirligig::{
    EventLoop,
    io::Source,
    queue, spawn_local,
    task::{JoinHandle, yield_now},
    time::sleep,
};

/// Panics as it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            panic!("a bomb in a drop");
        }
    }
}

#[test]
fn panics_in_every_drop_end_one_task_each() {
    let event_loop = EventLoop::new().unwrap();
    let bombs: [JoinHandle<()>; 3] = event_loop.block_on(async {
        // Completes, with a future that panics as it is dropped.
        let bomb = Bomb;
        let mut slot = Some(bomb);
        let first = spawn_local(poll_fn(move |_| {
            assert!(slot.is_some());
            _ = &mut slot;
            Poll::Ready(())
        }));
        // Cancelled, likewise; and left to the loop's drop.
        let waits = || async {
            let _bomb = Bomb;
            pending::<()>().await;
        };
        let second = spawn_local(waits());
        let third = spawn_local(waits());
        // An output that panics as nobody wants it.
        drop(spawn_local(async { Bomb }));
        yield_now().await;
        second.cancel();
        yield_now().await;
        yield_now().await;
        assert!(first.is_finished() && second.is_finished() && !third.is_finished());
        assert_eq!(spawn_local(async { 1 }).await.unwrap(), 1);
        [first, second, third]
    });
    drop(event_loop);
    for bomb in bombs {
        let error = bomb.wait().unwrap_err();
        assert!(error.to_string().ends_with("panicked: a bomb in a drop"), "{error}");
    }
}

#[test]
fn a_future_and_its_output_that_both_panic_as_they_are_dropped_end_alone() {
    let event_loop = EventLoop::new().unwrap();
    let bomb = Bomb;
    let mut slot = Some(bomb);
    let task = event_loop.spawn_local(poll_fn(move |_| {
        _ = &mut slot;
        Poll::Ready(Bomb)
    }));
    let root = catch_unwind(AssertUnwindSafe(|| event_loop.block_on(yield_now())));
    assert!(root.is_ok(), "the panic of a task came out of the loop");
    assert!(task.is_finished());
    assert!(task.wait().map(std::mem::forget).unwrap_err().is_panic());
}

#[test]
fn wakers_that_panic_end_nobody_elses_wait() {
    struct PanicsOnWake;
    impl Wake for PanicsOnWake {
        fn wake(self: Arc<Self>) {
            panic!("a waker that panics");
        }
    }
    let waker = Waker::from(Arc::new(PanicsOnWake));
    let cx = &mut Context::from_waker(&waker);
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let mut timer = sleep(Duration::from_micros(1));
        assert!(Pin::new(&mut timer).poll(cx).is_pending());
        let mut ended = spawn_local(async {});
        assert!(Pin::new(&mut ended).poll(cx).is_pending());
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let mut readable = reader.readable();
        assert!(Pin::new(&mut readable).poll(cx).is_pending());
        let queue = queue::local::Queue::unbounded();
        let mut get = queue.get();
        assert!(Pin::new(&mut get).poll(cx).is_pending());
        writer.write_all(b"x").unwrap();
        queue.try_put(1).unwrap();
        sleep(Duration::from_micros(2)).await;
        reader.readable().await.unwrap();
        ended.await.unwrap();
        assert_eq!(get.await.unwrap(), 1);
    });
}
