//! Join handles: awaiting, waiting, cancelling, detaching, and what becomes of a task's end.
//!
//! The order matters as much as the outcome: a handle resolves only after its task's future is gone.
//! What is told of an end that no handle sees is in `reports.rs`.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll},
    thread,
};

use tokio::sync::oneshot;
use whirligig::{
    EventLoop, spawn, spawn_local, task,
    task::{CancelHandle, JoinError, JoinHandle, yield_now},
};

/// Sets a flag as it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn flag() -> (Flag, impl Fn() -> bool + Clone + Send) {
    let flag = Arc::new(AtomicBool::new(false));
    (Flag(flag.clone()), move || flag.load(SeqCst))
}

#[test]
fn a_handle_is_awaited_on_its_own_loop_on_another_and_on_none() {
    let home = EventLoop::new().unwrap();
    let (asked, asks) = mpsc::channel::<(JoinHandle<i32>, JoinHandle<i32>)>();
    let elsewhere = thread::spawn(move || {
        let (first, second) = asks.recv().unwrap();
        (whirligig::run(first).unwrap(), second.wait().unwrap())
    });
    home.block_on(async {
        assert_eq!(spawn(async { 1 }).await.unwrap(), 1);
        let (tell, told) = oneshot::channel();
        let first = spawn(async { told.await.unwrap() });
        // The second ends only after the first was seen to end, so both are waited for.
        let (second_tell, second_told) = oneshot::channel();
        let second = spawn(async { second_told.await.unwrap() });
        asked.send((first, second)).unwrap();
        tell.send(2).unwrap();
        second_tell.send(3).unwrap();
        while !elsewhere.is_finished() {
            yield_now().await;
        }
    });
    assert_eq!(elsewhere.join().unwrap(), (2, 3));
}

#[test]
fn a_task_that_is_not_send_has_a_handle_that_is() {
    fn needs_send<T: Send + Sync>(_: &T) {}
    let event_loop = EventLoop::new().unwrap();
    let not_send = Rc::new(Cell::new(6));
    let handle = event_loop.spawn_local(async move { not_send.get() * 7 });
    needs_send(&handle);
    let waiting = thread::spawn(move || handle.wait().unwrap());
    while !waiting.is_finished() {
        event_loop.turn(Some(std::time::Duration::ZERO)).unwrap();
    }
    assert_eq!(waiting.join().unwrap(), 42);
}

#[test]
fn waiting_inside_a_task_panics_with_advice() {
    let error = whirligig::run(async { spawn(async { drop(spawn(async {}).wait()) }).await });
    let text = error.unwrap_err().to_string();
    assert!(text.contains("await the handle, or"), "{text}");
}

#[test]
fn waiting_in_what_a_loop_calls_panics_with_advice() {
    let event_loop = EventLoop::new().unwrap();
    let pending = event_loop.spawn_local(std::future::pending::<()>());
    let ended = event_loop.spawn_local(async { 42 });
    event_loop.block_on(yield_now());
    let (tell, told) = mpsc::channel();
    let handle = event_loop.handle();
    handle
        .call_soon_threadsafe(move || {
            let waits = catch_unwind(AssertUnwindSafe(|| pending.wait().is_ok()));
            let text = *waits.unwrap_err().downcast::<String>().unwrap();
            tell.send((text, ended.wait().unwrap())).unwrap();
        })
        .unwrap();
    event_loop.block_on(yield_now());
    let (text, ended) = told.recv().unwrap();
    assert!(text.contains("await the handle, or"), "{text}");
    assert_eq!(ended, 42, "one that has ended is not waited for");
}

#[test]
fn a_handle_may_be_awaited_by_reference_and_the_wait_given_up() {
    whirligig::run(async {
        let (tell, told) = oneshot::channel();
        let mut handle = spawn(async { told.await.unwrap() });
        let mut given_up = Box::pin(async { (&mut handle).await.unwrap() });
        poll_fn(|cx| {
            assert!(given_up.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(given_up);
        tell.send(42).unwrap();
        assert_eq!((&mut handle).await.unwrap(), 42);
        assert!(handle.is_finished());
        let again = spawn_local(handle);
        let text = again.await.unwrap_err().to_string();
        assert!(text.contains("polled after it had given its task's output"), "{text}");
    });
}

#[test]
fn a_task_cancelled_before_its_start_is_dropped_without_a_poll() {
    whirligig::run(async {
        let (guard, is_dropped) = flag();
        let handle = spawn(async move {
            let _guard = guard;
            panic!("it was polled");
        });
        handle.cancel();
        handle.cancel();
        assert!(!is_dropped(), "it is dropped in its own turn, not in its canceller's");
        let error: JoinError = handle.await.unwrap_err();
        assert!(error.is_cancelled() && !error.is_panic());
        assert!(is_dropped());
    });
}

#[test]
fn a_waiting_task_is_cancelled() {
    whirligig::run(async {
        let (guard, is_dropped) = flag();
        let handle = spawn(async move {
            pending::<()>().await;
            drop(guard);
        });
        yield_now().await;
        handle.cancel();
        assert!(!handle.is_finished());
        assert!(handle.await.unwrap_err().is_cancelled());
        assert!(is_dropped());
    });
}

#[test]
fn another_thread_cancels_a_task_of_a_loop_that_is_parked() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.spawn_local(pending::<()>());
    // It waits from here on; the cancellation comes while the loop parks, or just before.
    event_loop.turn(Some(std::time::Duration::ZERO)).unwrap();
    let (passed, back) = oneshot::channel();
    let canceller = thread::spawn(move || {
        handle.cancel();
        drop(passed.send(handle));
    });
    let error = event_loop.block_on(async { back.await.unwrap().await.unwrap_err() });
    assert!(error.is_cancelled());
    canceller.join().unwrap();
}

#[test]
fn a_task_sent_from_another_thread_is_cancelled_before_it_arrives() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle().spawn(async { panic!("it was polled") });
    handle.cancel();
    assert!(event_loop.block_on(handle).unwrap_err().is_cancelled());
}

/// A task that cancels itself, then waits or ends.
fn cancels_itself(ends: bool) -> Result<(), JoinError> {
    whirligig::run(async {
        let own = Rc::new(RefCell::new(None::<JoinHandle<()>>));
        let (tell, told) = oneshot::channel();
        let found = own.clone();
        *own.borrow_mut() = Some(spawn_local(async move {
            let handle = found.take().unwrap();
            handle.cancel();
            tell.send(handle).unwrap();
            if !ends {
                yield_now().await;
                unreachable!("its turn never comes");
            }
        }));
        told.await.unwrap().await
    })
}

#[test]
fn a_task_may_cancel_itself_and_then_waits_in_vain() {
    assert!(cancels_itself(false).unwrap_err().is_cancelled());
}

#[test]
fn a_task_that_ends_in_the_poll_in_which_it_was_cancelled_keeps_its_output() {
    cancels_itself(true).unwrap();
}

#[test]
fn cancelling_a_task_that_has_ended_changes_nothing() {
    whirligig::run(async {
        let handle = spawn(async { 42 });
        yield_now().await;
        assert!(handle.is_finished());
        handle.cancel();
        yield_now().await;
        assert_eq!(handle.await.unwrap(), 42);
    });
}

#[test]
fn a_handle_knows_its_task() {
    whirligig::run(async {
        let named = task::Builder::new().name("consumer").spawn_local(async {});
        let unnamed = spawn(async {});
        assert_eq!((named.name(), unnamed.name()), (Some("consumer"), None));
        assert_ne!(named.id(), unnamed.id());
        let text = format!("{named:?}");
        assert!(text.contains("consumer") && text.contains("finished: false"), "{text}");
        yield_now().await;
        assert!(named.is_finished() && unnamed.is_finished());
    });
}

#[test]
fn a_dropped_handle_lets_its_task_go_on() {
    whirligig::run(async {
        let (tell, told) = oneshot::channel();
        drop(spawn(async {
            yield_now().await;
            tell.send(42).unwrap();
        }));
        assert_eq!(told.await.unwrap(), 42);
    });
}

#[test]
fn an_output_that_nobody_wants_is_dropped_once() {
    for handle_first in [true, false] {
        let event_loop = EventLoop::new().unwrap();
        let (output, is_dropped) = flag();
        let handle = event_loop.spawn_local(async move { output });
        let mut handle = Some(handle);
        if handle_first {
            handle.take();
        }
        event_loop.block_on(yield_now());
        assert_eq!(is_dropped(), handle_first, "until the handle goes, the output is its own");
        drop(handle);
        assert!(is_dropped());
    }
}

#[test]
fn an_error_names_the_task_its_spawn_place_and_its_end() {
    whirligig::run(async {
        let line = line!() + 1;
        let cancelled = task::Builder::new().name("one").spawn(pending::<()>());
        cancelled.cancel();
        let error = cancelled.await.unwrap_err();
        let place = format!("spawned at {}:{line}:", file!());
        let text = error.to_string();
        assert!(text.starts_with(&format!("task {} 'one', {place}", error.id())), "{text}");
        assert!(text.ends_with(", was cancelled"), "{text}");
        assert_eq!(format!("{error:?}"), format!("JoinError({text})"));
        assert!(error.try_into_panic().unwrap_err().is_cancelled());

        let no = "no";
        let panicked = spawn(async move { panic!("oh {no}") }).await.unwrap_err();
        assert!(panicked.is_panic() && !panicked.is_cancelled());
        assert!(panicked.to_string().ends_with(", panicked: oh no"), "{panicked}");
        let payload = panicked.try_into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<String>().unwrap(), "oh no");

        let mute = spawn(async { std::panic::panic_any(7) }).await.unwrap_err();
        assert!(mute.to_string().ends_with("(its payload is no text)"), "{mute}");
    });
}

#[test]
fn a_task_that_panics_ends_alone() {
    whirligig::run(async {
        let others = [spawn(async { 1 }), spawn(async { panic!("alone") }), spawn(async { 3 })];
        let mut outcomes = Vec::new();
        for other in others {
            outcomes.push(other.await.ok());
        }
        assert_eq!(outcomes, [Some(1), None, Some(3)]);
    });
}

/// Panics as it is dropped.
struct PanicsOnDrop;

impl Drop for PanicsOnDrop {
    fn drop(&mut self) {
        panic!("in drop");
    }
}

#[test]
fn a_future_that_panics_as_it_is_dropped_ends_alone() {
    whirligig::run(async {
        let (bomb, other) = (PanicsOnDrop, spawn(async { 1 }));
        let cancelled = spawn(async move {
            let _bomb = bomb;
            pending::<()>().await;
        });
        yield_now().await;
        cancelled.cancel();
        assert!(cancelled.await.unwrap_err().to_string().ends_with("panicked: in drop"));
        assert_eq!(other.await.unwrap(), 1);
    });
}

/// What the handle of a task with a flag in its future finds when it resolves.
async fn seen_at_the_end(how: &str) -> bool {
    let (guard, is_dropped) = flag();
    let how = how.to_owned();
    let ends = how.clone();
    let handle = spawn(async move {
        // Held across a wait, so it is part of the future and not of its last poll.
        let _guard = guard;
        yield_now().await;
        match &*ends {
            "completes" => {}
            "panics" => panic!("on purpose"),
            _ => pending().await,
        }
    });
    yield_now().await;
    if how == "is cancelled" {
        handle.cancel();
    }
    let _outcome = handle.await;
    is_dropped()
}

#[test]
fn a_handle_resolves_only_after_the_future_is_dropped() {
    whirligig::run(async {
        for how in ["completes", "panics", "is cancelled"] {
            assert!(seen_at_the_end(how).await, "a task that {how}");
        }
    });

    /// Does not end by itself, and asks its own handle as it is dropped.
    struct Asks(Rc<RefCell<Option<JoinHandle<()>>>>, Rc<Cell<Option<bool>>>);
    impl Future for Asks {
        type Output = ();
        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }
    impl Drop for Asks {
        fn drop(&mut self) {
            let own = self.0.borrow();
            self.1.set(Some(own.as_ref().expect("the handle is there").is_finished()));
        }
    }
    let (own, seen) = (Rc::default(), Rc::default());
    let event_loop = EventLoop::new().unwrap();
    let asks = Asks(Rc::clone(&own), Rc::clone(&seen));
    *own.borrow_mut() = Some(event_loop.spawn_local(asks));
    event_loop.block_on(yield_now());
    assert_eq!(seen.get(), Some(false), "while the future is dropped the handle does not resolve");
    assert!(own.take().unwrap().is_finished());
}

/// Counts the drops of each task.
struct Counts(Rc<RefCell<Vec<u32>>>, usize);

impl Drop for Counts {
    fn drop(&mut self) {
        self.0.borrow_mut()[self.1] += 1;
    }
}

#[test]
fn dropping_the_loop_drops_each_task_once_whatever_state_it_is_in() {
    const TASKS: usize = 40;
    let drops = Rc::new(RefCell::new(vec![0; TASKS]));
    let event_loop = EventLoop::new().unwrap();
    // Each task holds the handle of the one before it, and the first that of the last.
    let last: Rc<RefCell<Option<JoinHandle<()>>>> = Rc::default();
    let mut before: Option<JoinHandle<()>> = None;
    for n in 0..TASKS {
        let (count, last) = (Counts(drops.clone(), n), last.clone());
        let mine = before.take();
        before = Some(event_loop.spawn_local(async move {
            let _count = count;
            let held = mine.or_else(|| last.take());
            match n % 4 {
                0 => pending().await,
                1 => drop(held.unwrap().await),
                // Scheduled at the end.
                2 => loop {
                    yield_now().await;
                },
                // Cancelled, and not yet told, at the end.
                _ => {
                    held.as_ref().unwrap().cancel();
                    pending().await
                }
            }
        }));
    }
    *last.borrow_mut() = before;
    event_loop.turn(Some(std::time::Duration::ZERO)).unwrap();
    // These never start.
    let late = event_loop.spawn_local(pending::<()>());
    drop(event_loop);
    assert_eq!(*drops.borrow(), vec![1; TASKS]);
    assert!(late.wait().unwrap_err().is_cancelled());
}

#[test]
fn a_loop_that_goes_wakes_who_awaits_its_tasks_elsewhere() {
    let home = EventLoop::new().unwrap();
    let handle = home.spawn_local(pending::<()>());
    let other = EventLoop::new().unwrap();
    let awaiting = other.spawn_local(handle);
    other.block_on(yield_now());
    assert!(!awaiting.is_finished());
    drop(home);
    assert!(other.block_on(awaiting).unwrap().unwrap_err().is_cancelled());
}

#[test]
fn a_task_knows_its_identity() {
    assert_eq!(task::try_id(), None, "outside a task there is none");
    assert!(catch_unwind(task::id).is_err());
    let event_loop = EventLoop::new().unwrap();
    let outside = event_loop.spawn_local(async { task::id() });
    let id = outside.id();
    event_loop.block_on(async {
        assert_eq!(outside.await.unwrap(), id);
        let root = task::id();
        let child = spawn(async {
            let before = task::id();
            // Another task's polls, and a whole other loop's, lie in between.
            yield_now().await;
            assert_ne!(whirligig::run(async { task::id() }), before);
            assert_eq!(task::id(), before);
            before
        });
        let id = child.id();
        assert_ne!(id, root);
        assert_eq!(child.await.unwrap(), id);
        assert_eq!(task::id(), root);
    });
    assert_eq!(task::try_id(), None);

    let runtime = whirligig::Runtime::builder().worker_threads(1).build().unwrap();
    assert_eq!(runtime.block_on(async { task::try_id() }), None, "it is no task");
    let child = runtime.spawn(async {
        let before = task::id();
        assert_eq!(task::block_in_place(task::id), before);
        yield_now().await;
        assert_eq!(task::id(), before);
        before
    });
    let id = child.id();
    assert_eq!(child.wait().unwrap(), id);
}

#[test]
fn a_handle_and_its_error_may_cross_a_caught_panic() {
    fn crosses<T: std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    crosses::<JoinHandle<RefCell<i32>>>();
    crosses::<JoinError>();
    crosses::<task::YieldNow>();
    crosses::<task::TaskId>();
}

#[test]
fn a_loop_s_counts_are_read_on_another_thread_and_after_its_end() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let elsewhere = handle.clone();
    event_loop.block_on(async {
        let task = spawn_local(async {});
        task.await.unwrap();
        // The loop stands in this very poll.
        let stats = thread::spawn(move || elsewhere.stats().unwrap()).join().unwrap();
        assert_eq!((stats.spawned, stats.ended, stats.polls), (1, 1, 3));
    });
    assert_eq!(handle.stats(), Some(event_loop.stats()));
    let last = event_loop.stats();
    drop(event_loop);
    assert_eq!(handle.stats(), Some(last));
    assert!(handle.worker_stats().is_empty(), "an event loop has no workers");

    let runtime = whirligig::Runtime::builder().worker_threads(2).build().unwrap();
    runtime.spawn(async {}).wait().unwrap();
    let handle = runtime.handle();
    assert_eq!((handle.stats(), handle.worker_stats().len()), (None, 2));
}

/// Runs `behaviour` inside a task of each variant.
fn on_both<F>(behaviour: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    EventLoop::new().unwrap().spawn_and_run(behaviour());
    for workers in [1, 2] {
        let runtime = whirligig::Runtime::builder().worker_threads(workers).build().unwrap();
        runtime.spawn(behaviour()).wait().unwrap();
    }
}

trait SpawnAndRun {
    fn spawn_and_run(&self, future: impl Future<Output = ()> + Send + 'static);
}

impl SpawnAndRun for EventLoop {
    fn spawn_and_run(&self, future: impl Future<Output = ()> + Send + 'static) {
        let task = self.handle().spawn(future);
        self.block_on(task).unwrap();
    }
}

/// Has a thread call the handle.
fn cancel_elsewhere(cancel: &CancelHandle) -> bool {
    let cancel = cancel.clone();
    thread::spawn(move || cancel.cancel()).join().unwrap()
}

async fn until_finished(cancel: &CancelHandle) {
    while !cancel.is_finished() {
        yield_now().await;
    }
}

#[test]
fn a_cancel_handle_cancels_from_another_thread() {
    on_both(|| async {
        let (guard, is_dropped) = flag();
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        yield_now().await;
        let cancel = task.cancel_handle();
        assert_eq!(cancel.id(), task.id());
        assert!(!cancel.is_finished());
        assert!(cancel_elsewhere(&cancel));
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(is_dropped() && cancel.is_finished());
        assert!(!cancel.cancel(), "it has ended");
    });
}

#[test]
fn a_cancel_handle_cancels_a_local_task_and_one_sent_from_a_thread() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(async {
        let not_send = Rc::new(());
        let local = spawn_local(async move {
            pending::<()>().await;
            drop(not_send);
        });
        assert!(cancel_elsewhere(&local.cancel_handle()));
        assert!(local.await.unwrap_err().is_cancelled());
        // The handle is made, and used, before the task has arrived.
        let sent = thread::spawn(move || {
            let sent = handle.spawn(pending::<()>());
            let cancel = sent.cancel_handle();
            assert!(cancel.cancel());
            sent
        });
        assert!(sent.join().unwrap().await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_cancel_handle_has_no_effect_after_the_end() {
    on_both(|| async {
        let mut task = spawn(async { 42 });
        let before = task.cancel_handle();
        while !task.is_finished() {
            yield_now().await;
        }
        let after = task.cancel_handle();
        for cancel in [&before, &after] {
            assert!(cancel.is_finished());
            assert!(!cancel_elsewhere(cancel));
        }
        assert_eq!((&mut task).await.unwrap(), 42);
        assert!(!task.cancel_handle().cancel(), "also once the output is taken");
    });
}

#[test]
fn a_cancel_handle_cancels_a_detached_task() {
    on_both(|| async {
        let (guard, is_dropped) = flag();
        let task = spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        let cancel = task.cancel_handle();
        drop(task);
        yield_now().await;
        assert!(!is_dropped(), "detached, it goes on");
        assert!(cancel_elsewhere(&cancel));
        until_finished(&cancel).await;
        assert!(is_dropped());
    });
}

#[test]
fn a_detached_task_s_output_is_dropped_at_its_end_and_not_with_its_cancel_handle() {
    on_both(|| async {
        let (guard, is_dropped) = flag();
        let (tell, told) = oneshot::channel::<()>();
        let task = spawn(async move {
            told.await.unwrap();
            guard
        });
        let cancel = task.cancel_handle();
        drop(task);
        tell.send(()).unwrap();
        while !is_dropped() {
            yield_now().await;
        }
        assert!(cancel.is_finished());
    });
}

#[test]
fn a_task_that_awaits_a_handle_is_woken_whenever_its_cancel_handle_was_made() {
    on_both(|| async {
        let (tell, told) = oneshot::channel();
        let task = Arc::new(Mutex::new(spawn(async { told.await.unwrap() })));
        let awaited = task.clone();
        let (polled, was_polled) = oneshot::channel();
        let mut polled = Some(polled);
        let waiting = spawn(poll_fn(move |cx| {
            let poll = Pin::new(&mut *awaited.lock().unwrap()).poll(cx);
            if let Some(polled) = polled.take() {
                polled.send(()).unwrap();
            }
            poll
        }));
        was_polled.await.unwrap();
        // It waits, and nothing but the end of the task wakes it.
        let cancel = task.lock().unwrap().cancel_handle();
        tell.send(42).unwrap();
        assert_eq!(waiting.await.unwrap().unwrap(), 42);
        assert!(cancel.is_finished());
    });
}

#[test]
fn a_cancel_handle_may_outlive_its_loop() {
    let (guard, is_dropped) = flag();
    let event_loop = EventLoop::new().unwrap();
    let task = event_loop.spawn_local(async move {
        let _guard = guard;
        pending::<()>().await;
    });
    let kept = task.cancel_handle();
    event_loop.block_on(yield_now());
    drop(event_loop);
    assert!(is_dropped() && kept.is_finished() && task.is_finished());
    assert!(!kept.cancel() && !cancel_elsewhere(&kept));

    let runtime = whirligig::Runtime::builder().worker_threads(2).build().unwrap();
    let kept = runtime.spawn(pending::<()>()).cancel_handle();
    drop(runtime);
    assert!(kept.is_finished() && !kept.cancel());
}

#[test]
fn a_cancel_handle_of_a_blocking_call_is_the_same_type() {
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    event_loop.block_on(async {
        let (go, gone) = mpsc::channel::<()>();
        let (begun, has_begun) = oneshot::channel();
        let first = task::spawn_blocking(move || {
            begun.send(()).unwrap();
            gone.recv().is_err()
        });
        let second = task::spawn_blocking(|| ());
        has_begun.await.unwrap();
        let handles: [CancelHandle; 3] =
            [first.cancel_handle(), second.cancel_handle(), spawn(pending::<()>()).cancel_handle()];
        assert!(handles.iter().all(|handle| !handle.is_finished()));
        assert_eq!(handles.each_ref().map(cancel_elsewhere), [false, true, true]);
        assert!(second.await.unwrap_err().is_cancelled());
        assert!(!handles[0].is_finished(), "a call that has begun goes its way");
        drop(go);
        assert!(first.await.unwrap());
        for handle in &handles {
            until_finished(handle).await;
        }
    });
}

/// What is in a task's future and output goes with the task, however many handles there are.
#[test]
fn a_thousand_cancel_handles_keep_nothing_of_an_ended_task() {
    on_both(|| async {
        let held = Arc::new(());
        let handles: Vec<CancelHandle> = (0..1000)
            .map(|number| {
                let (in_future, output) = (held.clone(), held.clone());
                let task = spawn(async move {
                    yield_now().await;
                    drop(in_future);
                    output
                });
                let cancel = task.cancel_handle();
                // Some are detached, some end while their handle is there.
                if number % 2 == 0 {
                    drop(spawn(async move { task.await.map(drop) }));
                }
                cancel
            })
            .collect();
        for handle in &handles {
            until_finished(handle).await;
        }
        while Arc::strong_count(&held) > 1 {
            yield_now().await;
        }
    });
}
