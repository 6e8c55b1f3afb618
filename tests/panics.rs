//! User code that panics where it is not expected: in drops, in wakers, in a listener to the trace, in a hook.
//!
//! Such a panic ends one task, or no wait but its own; it never comes out of the loop. And guards that are dropped in
//! the wrong order, which is a mistake of the user's code as well.

use std::{
    cell::{Cell, RefCell},
    fmt,
    future::{Future, pending, poll_fn},
    io::{Write, pipe},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use whirligig::{
    EventLoop, Handle, Runtime,
    io::Source,
    queue, spawn_local,
    task::{JoinHandle, yield_now},
    time::sleep,
    trace::{self, EventKind},
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

/// Tells as it is dropped whether a panic unwinds, and may panic in its turn.
struct Witness {
    told: mpsc::Sender<bool>,
    panics: bool,
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.told.send(thread::panicking()).unwrap();
        if self.panics {
            panic!("the second panic");
        }
    }
}

/// A future that panics, and owns a witness: as a field, which is dropped with it. (A local of an `async` block would
/// be dropped inside the poll.)
fn panics_with(told: mpsc::Sender<bool>, panics: bool) -> impl Future<Output = ()> + Send {
    let witness = Witness { told, panics };
    poll_fn(move |_| {
        let _owned = &witness;
        panic!("the first panic");
    })
}

#[test]
fn a_future_whose_poll_panics_is_dropped_while_the_panic_unwinds() {
    for second_panic in [false, true] {
        let (told, drops) = mpsc::channel();
        let event_loop = EventLoop::new().unwrap();
        let task = event_loop.spawn_local(panics_with(told.clone(), second_panic));
        let error = event_loop.block_on(task).unwrap_err();
        assert!(error.to_string().ends_with("panicked: the first panic"), "{error}");
        assert_eq!(event_loop.block_on(event_loop.spawn_local(async { 1 })).unwrap(), 1);

        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let error = runtime.spawn(panics_with(told, second_panic)).wait().unwrap_err();
        assert!(error.to_string().ends_with("panicked: the first panic"), "{error}");
        assert_eq!(runtime.spawn(async { 1 }).wait().unwrap(), 1);
        assert_eq!(drops.into_iter().collect::<Vec<_>>(), [true, true], "once each, unwinding");
    }
}

#[test]
fn of_several_values_each_is_dropped_though_another_panics() {
    /// An error whose report panics, and its drop as well, also while another panic unwinds.
    struct Hostile;
    impl fmt::Display for Hostile {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("in a report");
        }
    }
    impl Drop for Hostile {
        fn drop(&mut self) {
            panic!("in an error's drop");
        }
    }
    whirligig::run(async {
        let failed = spawn_local(async { Err::<(), _>(Hostile) });
        let fails = spawn_local(async { Err::<(), _>(Hostile) });
        fails.detach_reporting();
        yield_now().await;
        failed.detach_reporting();
        assert_eq!(spawn_local(async { 1 }).await.unwrap(), 1);
    });
}

#[test]
fn a_handle_whose_waker_panics_as_it_is_dropped_still_detaches() {
    struct Hostile(Arc<AtomicUsize>);
    impl Wake for Hostile {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Hostile {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
            panic!("in a waker's drop");
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let output = Arc::new(());
    let event_loop = EventLoop::new().unwrap();
    let theirs = output.clone();
    let mut task = event_loop.spawn_local(async move { theirs });
    let waker = Waker::from(Arc::new(Hostile(drops.clone())));
    assert!(Pin::new(&mut task).poll(&mut Context::from_waker(&waker)).is_pending());
    drop(waker);
    assert_eq!(drops.load(SeqCst), 0, "the handle has the last one");
    drop(task);
    assert_eq!(drops.load(SeqCst), 1);
    event_loop.block_on(yield_now());
    assert_eq!(Arc::strong_count(&output), 1, "the task's output is gone, as nobody wants it");
}

#[test]
fn a_listener_that_panics_hears_no_more_and_the_others_do() {
    let event_loop = EventLoop::new().unwrap();
    let (calls, polls) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
    let called = calls.clone();
    let hostile = trace::listen(move |event| {
        if let EventKind::Scheduled { .. } = event.kind {
            called.set(called.get() + 1);
            panic!("in a listener");
        }
    });
    let counted = polls.clone();
    let listening = trace::listen(move |event| {
        if let EventKind::Polled { .. } = event.kind {
            counted.set(counted.get() + 1);
        }
    });
    event_loop.block_on(async {
        let task = spawn_local(async { yield_now().await });
        task.await.unwrap();
    });
    drop((hostile, listening));
    assert_eq!((calls.get(), polls.get()), (1, 4), "two polls of each");
}

#[test]
fn a_listener_that_panics_on_a_worker_costs_no_task_and_no_worker() {
    let calls = Arc::new(AtomicUsize::new(0));
    let called = calls.clone();
    let runtime = Runtime::builder()
        .worker_threads(2)
        .on_thread_start(move |_| {
            let called = called.clone();
            let listening = trace::listen(move |event| {
                // A task is in the worker's hand then, and in no queue.
                if let EventKind::Waits { .. } = event.kind {
                    called.fetch_add(1, SeqCst);
                    panic!("in a listener");
                }
            });
            std::mem::forget(listening);
        })
        .build()
        .unwrap();
    for _ in 0..20 {
        let tasks: Vec<_> = (0..10).map(|_| runtime.spawn(yield_now())).collect();
        tasks.into_iter().for_each(|task| task.wait().unwrap());
    }
    assert!((1..=2).contains(&calls.load(SeqCst)), "once on each worker at most");
    runtime.shutdown_timeout(Duration::from_secs(600)).unwrap();
}

#[test]
fn a_thread_hook_that_panics_costs_no_worker_and_shutdown_ends() {
    let runtime = Runtime::builder()
        .worker_threads(2)
        .on_thread_start(|_| panic!("in a hook, at the start"))
        .on_thread_stop(|_| panic!("in a hook, at the end"))
        .build()
        .unwrap();
    assert_eq!(runtime.spawn(async { 1 }).wait().unwrap(), 1);
    runtime.shutdown_timeout(Duration::from_secs(600)).unwrap();
}

#[test]
fn a_listener_may_listen_and_cease_to_while_it_is_called() {
    let event_loop = EventLoop::new().unwrap();
    let heard = Rc::new(Cell::new(0));
    let other = Rc::new(RefCell::new(None));
    let (counted, slot) = (heard.clone(), other.clone());
    let listening = trace::listen(move |event| {
        if let EventKind::Spawned { .. } = event.kind {
            counted.set(counted.get() + 1);
            // One listener more, and what it would hear of is caused by this one: not reported to any.
            *slot.borrow_mut() = Some(trace::listen(|_| {}));
            drop(spawn_local(async {}));
            slot.take();
            drop(spawn_local(async {}));
        }
    });
    event_loop.block_on(async { spawn_local(async {}).await.unwrap() });
    drop(listening);
    assert_eq!(heard.get(), 1, "what a listener spawns is not reported");
}

#[test]
fn guards_dropped_out_of_order_say_so_and_leave_the_thread_in_no_runtime() {
    let enter = || {
        let runtime = Runtime::builder().worker_threads(1).build().unwrap();
        let guard = runtime.enter();
        (runtime, guard)
    };
    let (first, first_guard) = enter();
    let (second, second_guard) = enter();
    let (third, third_guard) = enter();
    let dropped = catch_unwind(AssertUnwindSafe(|| drop(first_guard)));
    let advice = dropped.unwrap_err();
    let advice = advice.downcast_ref::<String>().expect("it panics with advice");
    assert!(advice.contains("drop guards in the reverse order"), "{advice}");
    assert!(catch_unwind(AssertUnwindSafe(|| drop(second_guard))).is_err());
    // The third is the innermost: it is still the thread's, and in its turn.
    drop((first, second));
    assert_eq!(whirligig::spawn(async { 1 }).wait().unwrap(), 1, "the third runtime runs it");
    drop(third_guard);
    drop(third);
    assert!(Handle::try_current().is_none(), "the thread is left in a runtime that is gone");
}

#[test]
fn guards_dropped_out_of_order_by_a_panic_do_not_end_the_process() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let (first, second) = (runtime.enter(), runtime.enter());
        // Fields are dropped in the order in which they stand.
        let _guards = (first, second);
        panic!("on purpose");
    }));
    assert_eq!(unwound.unwrap_err().downcast_ref(), Some(&"on purpose"));
    assert!(Handle::try_current().is_none());
}

/// Awaits the handle that it is sent, which is that of its own task; gives what it panicked with.
async fn awaits_itself(handles: mpsc::Receiver<JoinHandle<()>>, tell: mpsc::Sender<String>) {
    let mut own = handles.recv().unwrap();
    let panicked = poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut own).poll(cx).is_ready()));
        Poll::Ready(polled.unwrap_err())
    });
    let payload = panicked.await;
    tell.send(payload.downcast_ref::<String>().unwrap().clone()).unwrap();
}

#[test]
fn a_task_that_awaits_itself_is_told_so() {
    let (tell, told) = mpsc::channel();
    let event_loop = EventLoop::new().unwrap();
    let (give, handles) = mpsc::channel();
    give.send(event_loop.spawn_local(awaits_itself(handles, tell.clone()))).unwrap();
    event_loop.block_on(yield_now());

    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let (give, handles) = mpsc::channel();
    give.send(runtime.spawn(awaits_itself(handles, tell))).unwrap();

    for text in told {
        assert!(text.starts_with("task ") && text.contains("awaits its own JoinHandle"), "{text}");
    }
}
