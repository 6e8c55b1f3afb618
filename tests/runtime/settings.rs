//! What a `RuntimeBuilder` is told, and the hooks on its threads.

use std::{
    cell::Cell,
    mem,
    num::NonZeroU32,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use whirligig::{Handle, Runtime, RuntimeBuilder, spawn, task};

fn one_worker() -> RuntimeBuilder {
    Runtime::builder().worker_threads(1)
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = [
        (Runtime::builder().worker_threads(0), "worker_threads"),
        (Runtime::builder().worker_threads(1_025), "worker_threads"),
        (one_worker().thread_name("a\0b"), "thread_name"),
        (one_worker().stack_size(0), "stack_size"),
        (one_worker().stack_size((64 << 10) - 1), "stack_size"),
        (one_worker().stack_size(usize::MAX), "stack_size"),
        (one_worker().blocking_threads(0), "blocking_threads"),
    ];
    for (builder, name) in refused {
        let shown = format!("{builder:?}");
        let error = builder.build().expect_err(&shown);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{shown}");
        assert!(error.to_string().starts_with(name), "{error} does not name {name}");
    }
}

#[test]
fn settings_at_their_limits_work() {
    let least = Runtime::builder()
        .worker_threads(2)
        .thread_name("")
        .stack_size(64 << 10)
        .lifo_uses(0)
        .look_interval(NonZeroU32::MIN)
        .blocking_threads(1)
        .blocking_queue(0);
    let most = Runtime::builder()
        .worker_threads(2)
        .stack_size(16 << 20)
        .lifo_uses(u32::MAX)
        .look_interval(NonZeroU32::MAX)
        .blocking_queue(usize::MAX);
    for builder in [least, most] {
        let runtime = builder.build().unwrap();
        let tasks = |n| {
            spawn(async move {
                task::yield_now().await;
                spawn(async move { task::spawn_blocking(move || n).await.unwrap() }).await.unwrap()
            })
        };
        let sum = runtime.block_on(async {
            let mut sum = 0;
            for task in (0..500).map(tasks).collect::<Vec<_>>() {
                sum += task.await.unwrap();
            }
            sum
        });
        assert_eq!(sum, 499 * 250);
    }
}

/// A future stays where it was spawned to: it may be larger than the stack of who polls it, and of who ends it.
#[test]
fn a_future_may_be_larger_than_a_workers_stack() {
    struct Large([u8; 4 << 20]);
    impl Future for Large {
        type Output = u8;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<u8> {
            match mem::replace(&mut self.0[4 << 19], 1) {
                0 => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
                byte => Poll::Ready(byte),
            }
        }
    }
    let runtime = one_worker().stack_size(1 << 20).build().unwrap();
    let handle = runtime.handle();
    let spawns = move || [handle.spawn(Large([0; 4 << 20])), handle.spawn(Large([0; 4 << 20]))];
    let spawner = thread::Builder::new().stack_size(256 << 20).spawn(spawns).unwrap();
    let [ends, is_cancelled] = spawner.join().unwrap();
    is_cancelled.cancel();
    assert_eq!(ends.wait().unwrap(), 1);
    let _ = is_cancelled.wait();
}

#[test]
fn threads_bear_their_name_and_number() {
    let runtime = one_worker().thread_name("miller").build().unwrap();
    let name = runtime.spawn(async { thread::current().name().map(str::to_owned) });
    assert_eq!(name.wait().unwrap().as_deref(), Some("miller-0"));
}

/// What hooks did, in order.
type Log = Arc<Mutex<Vec<String>>>;

#[test]
fn hooks_run_around_all_tasks_on_the_workers_own_threads() {
    thread_local!(static NUMBER: Cell<Option<usize>> = const { Cell::new(None) });
    let log = Log::default();
    let (starts, stops) = (log.clone(), log.clone());
    let runtime = Runtime::builder()
        .worker_threads(3)
        .on_thread_start(move |worker| {
            assert_eq!(NUMBER.replace(Some(worker)), None, "a thread starts once");
            let name = thread::current().name().map(str::to_owned);
            assert_eq!(name, Some(format!("whirligig-{worker}")));
            assert!(Handle::try_current().is_some(), "the runtime is current here");
            starts.lock().unwrap().push(format!("start {worker}"));
        })
        .on_thread_stop(move |worker| {
            assert_eq!(NUMBER.get(), Some(worker), "the same thread");
            let late = spawn(async { unreachable!("the runtime is closed") });
            assert!(late.is_finished());
            stops.lock().unwrap().push(format!("stop {worker}"));
        })
        .build()
        .unwrap();
    let on_worker = runtime.spawn(async { NUMBER.get() }).wait().unwrap();
    assert!(on_worker.is_some(), "a hook ran before the task did");
    runtime.shutdown_timeout(Duration::MAX).unwrap();
    let mut log = log.lock().unwrap().clone();
    log.sort();
    assert_eq!(log, ["start 0", "start 1", "start 2", "stop 0", "stop 1", "stop 2"]);
}

#[test]
fn a_hook_that_panics_stops_no_worker() {
    let runtime = one_worker()
        .on_thread_start(|_| panic!("as it should, at the start"))
        .on_thread_stop(|_| panic!("as it should, at the stop"))
        .build()
        .unwrap();
    assert_eq!(runtime.spawn(async { 7 }).wait().unwrap(), 7);
    runtime.shutdown_timeout(Duration::MAX).unwrap();
}

/// Without the lifo slot, what a task wakes stands behind what was ready before.
#[test]
fn the_lifo_slot_can_be_switched_off() {
    for (uses, expected) in [(16, ["woken", "spawned"]), (0, ["spawned", "woken"])] {
        let runtime = one_worker().lifo_uses(uses).build().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let said = log.clone();
        let program = async move {
            let (tell, told) = futures_channel::oneshot::channel();
            let log = said.clone();
            let woken = spawn(async move {
                told.await.unwrap();
                log.lock().unwrap().push("woken");
            });
            task::yield_now().await;
            let log = said.clone();
            let spawned = spawn(async move { log.lock().unwrap().push("spawned") });
            tell.send(()).unwrap();
            spawned.await.unwrap();
            woken.await.unwrap();
        };
        runtime.spawn(program).wait().unwrap();
        assert_eq!(*log.lock().unwrap(), expected, "with {uses} uses");
    }
}
