//! The thread pool, beside what Python's `concurrent.futures` does.

use std::{
    collections::BTreeSet,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use futures_lite::StreamExt;
use whirligig::{
    executor::{CallError, CallHandle, ThreadPool, as_completed},
    task,
};

use crate::{variants::on_each_variant, watchdog::Watchdog};

/// A call that has begun when this returns, and gives `output` when the second is dropped.
fn hold<T: Send + 'static>(pool: &ThreadPool, output: T) -> (CallHandle<T>, mpsc::Sender<()>) {
    let (begins, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let call = pool.submit(move || {
        begins.send(()).unwrap();
        let _ = gone.recv();
        output
    });
    begun.recv().unwrap();
    (call, go)
}

#[test]
fn outcomes_come_in_the_order_in_which_they_are_asked_for() {
    let pool = ThreadPool::new(3);
    let calls = [3, 2, 1].map(|n| pool.submit(move || n * 10));
    assert_eq!(calls.map(|call| call.result()), [Ok(30), Ok(20), Ok(10)]);
}

#[test]
fn a_map_is_in_order_whatever_ends_first() {
    let pool = ThreadPool::new(3);
    let slow_first = |n: u64| {
        thread::sleep(Duration::from_millis(n));
        n * n
    };
    let squares: Vec<_> = pool.map([5, 2, 3, 4, 1], slow_first).map(Result::unwrap).collect();
    assert_eq!(squares, [25, 4, 9, 16, 1]);
}

#[test]
fn a_map_takes_from_an_endless_source_no_more_than_it_is_asked_to_look_ahead() {
    let taken = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPool::new(2);
    let source = {
        let taken = taken.clone();
        std::iter::repeat_with(move || taken.fetch_add(1, SeqCst))
    };
    let mut map = pool.map(source, |n| n + 1);
    assert_eq!(taken.load(SeqCst), 4, "twice the threads");
    map = map.look_ahead(7);
    for n in 1..=10 {
        assert_eq!(map.next(), Some(Ok(n)));
        assert!(taken.load(SeqCst) <= n + 7);
    }
}

#[test]
fn calls_are_given_as_they_end() {
    let pool = ThreadPool::new(3);
    let (first, go_first) = hold(&pool, 1);
    let (second, go_second) = hold(&pool, 2);
    let mut ended = as_completed([first, second]);
    drop(go_second);
    assert_eq!(ended.next(), Some(Ok(2)));
    drop(go_first);
    assert_eq!(ended.next(), Some(Ok(1)));
    assert_eq!(ended.next(), None);
}

#[test]
fn an_error_is_an_output_and_a_panic_an_error() {
    let pool = ThreadPool::new(2);
    let divide = |a: f64, b: f64| match b {
        0.0 => Err("division by zero"),
        b => Ok(a / b),
    };
    assert_eq!(pool.submit(move || divide(10.0, 2.0)).result(), Ok(Ok(5.0)));
    assert_eq!(pool.submit(move || divide(1.0, 0.0)).result(), Ok(Err("division by zero")));
    let zero = Mutex::new(0);
    let panicked = pool.submit(move || 1 / *zero.lock().unwrap()).result().unwrap_err();
    assert_eq!(panicked.to_string(), "the call panicked: attempt to divide by zero");
    assert_eq!(pool.submit(|| 1).result(), Ok(1), "its thread goes on");
}

#[test]
fn what_has_not_begun_is_cancelled_false_false_true_true() {
    for _ in 0..200 {
        let pool = ThreadPool::new(2);
        let (both, go) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
        let calls = [0, 1, 2, 3].map(|_| {
            let (both, go) = (both.clone(), go.clone());
            pool.submit(move || {
                both.wait();
                go.wait();
            })
        });
        both.wait();
        assert!(calls[0].running() && calls[1].running() && !calls[2].running());
        assert_eq!(calls.each_ref().map(|call| call.cancel()), [false, false, true, true]);
        assert_eq!(calls.each_ref().map(|call| call.done()), [false, false, true, true]);
        go.wait();
        let outcomes = calls.map(|call| call.result());
        let cancelled = Err(CallError::Cancelled);
        assert_eq!(outcomes, [Ok(()), Ok(()), cancelled.clone(), cancelled]);
    }
}

#[test]
fn a_shutdown_waits_for_what_was_submitted_and_takes_no_more() {
    let pool = ThreadPool::new(2);
    let ended = Arc::new(AtomicUsize::new(0));
    let calls: Vec<_> = (0..20)
        .map(|_| {
            let ended = ended.clone();
            pool.submit(move || {
                thread::sleep(Duration::from_millis(1));
                ended.fetch_add(1, SeqCst);
            })
        })
        .collect();
    pool.shutdown(true, false);
    assert_eq!(ended.load(SeqCst), 20);
    assert!(calls.iter().all(CallHandle::done));
    assert_eq!(pool.submit(|| 1).result(), Err(CallError::ShutDown));
    pool.shutdown(true, true);
}

#[test]
fn a_shutdown_that_cancels_drops_what_has_not_begun() {
    let pool = ThreadPool::new(1);
    let (held, go) = hold(&pool, ());
    let waiting = pool.submit(|| 1);
    pool.shutdown(false, true);
    assert_eq!(waiting.result(), Err(CallError::Cancelled));
    assert!(held.running());
    drop(go);
    pool.shutdown(true, false);
    assert_eq!(held.result(), Ok(()));
}

/// With no thread to be had, nothing but the cancel ends the call.
#[cfg(target_os = "linux")]
#[test]
fn a_call_that_is_cancelled_ends_the_wait_for_the_pools_end() {
    let _watchdog = Watchdog::new("a shutdown beside a cancel");
    let pool = Arc::new(ThreadPool::new(1));
    let submits = pool.clone();
    let call = thread::spawn(move || {
        refuse_threads();
        submits.submit(|| ())
    });
    let call = call.join().unwrap();
    let waits = pool.clone();
    let refused = thread::spawn(move || {
        let (asks, asked) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || {
                refuse_threads();
                asks.send(()).unwrap();
                waits.shutdown(true, false);
            });
            asked.recv().unwrap();
            thread::sleep(Duration::from_millis(20));
            assert!(call.cancel());
        });
    });
    refused.join().unwrap();
}

/// From here on this thread cannot start another.
#[cfg(target_os = "linux")]
fn refuse_threads() {
    crate::refused::refuse(&[libc::SYS_clone3, libc::SYS_clone], rustix::io::Errno::AGAIN);
}

#[test]
fn a_pool_that_is_dropped_waits_as_leaving_with_does() {
    let ended = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPool::new(1);
    for _ in 0..3 {
        let ended = ended.clone();
        drop(pool.submit(move || {
            thread::sleep(Duration::from_millis(5));
            ended.fetch_add(1, SeqCst);
        }));
    }
    drop(pool);
    assert_eq!(ended.load(SeqCst), 3);
}

#[test]
fn a_pool_that_is_dropped_by_its_own_call_or_in_a_task_does_not_wait_for_itself() {
    let _watchdog = Watchdog::new("a pool's drop");
    let pool = Arc::new(ThreadPool::new(1));
    let own = pool.clone();
    let (go, gone) = mpsc::channel::<()>();
    let call = pool.submit(move || {
        let _ = gone.recv();
        drop(own);
    });
    drop(pool);
    drop(go);
    assert_eq!(call.result(), Ok(()));

    whirligig::run(async {
        let pool = ThreadPool::new(1);
        let (held, go) = hold(&pool, ());
        drop(pool);
        drop(go);
        assert_eq!(held.await, Ok(()));
    });
}

#[test]
fn each_thread_is_initialised_once_and_named() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    let pool = ThreadPool::builder()
        .max_workers(3)
        .thread_name("worker")
        .initializer(move || _ = counter.fetch_add(1, SeqCst))
        .build();
    let together = Arc::new(Barrier::new(3));
    let calls: Vec<_> = (0..3)
        .map(|_| {
            let together = together.clone();
            pool.submit(move || {
                together.wait();
                thread::current().name().unwrap().to_owned()
            })
        })
        .collect();
    let names: BTreeSet<_> = calls.into_iter().map(|call| call.result().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["worker_0", "worker_1", "worker_2"].map(str::to_owned)));
    for n in 0..50 {
        assert_eq!(pool.apply(move || n), Ok(n));
    }
    assert_eq!(begun.load(SeqCst), 3);
}

#[test]
fn an_initialiser_that_panics_breaks_the_pool() {
    let pool = ThreadPool::builder().max_workers(1).initializer(|| panic!("no licence")).build();
    for _ in 0..2 {
        let error = pool.submit(|| unreachable!("the pool is broken")).result().map(|(): ()| ());
        let text = error.unwrap_err().to_string();
        assert!(text.contains("initialiser failed") && text.contains("no licence"), "{text}");
    }
}

#[test]
fn a_wait_with_a_timeout_can_be_repeated() {
    let pool = ThreadPool::new(1);
    let (mut held, go) = hold(&pool, ());
    assert_eq!(held.result_timeout(Duration::from_millis(1)), None);
    assert!(held.running() && !held.done());
    drop(go);
    assert_eq!(held.result_timeout(Duration::from_secs(50)), Some(Ok(())));
    assert!(held.done() && !held.running());
}

#[test]
fn the_default_is_pythons() {
    let processors = thread::available_parallelism().unwrap().get();
    assert_eq!(ThreadPool::builder().build().max_workers(), (processors + 4).min(32));
    assert!(catch_unwind(|| ThreadPool::new(0)).is_err());
}

async fn awaits_its_calls(pool: Arc<ThreadPool>) {
    assert_eq!(pool.submit(|| 7).await, Ok(7));
    let squares: Vec<_> = pool.map(0..50, |n| n * n).stream().collect().await;
    assert_eq!(squares, (0..50).map(|n| Ok(n * n)).collect::<Vec<_>>());
    let mut ended = task::as_completed((0..10).map(|n| pool.submit(move || n)));
    let mut seen = BTreeSet::new();
    while let Some(n) = ended.next().await {
        seen.insert(n.unwrap());
    }
    assert_eq!(seen, (0..10).collect());
    // The loop or the worker would stand still.
    let (held, go) = hold(&pool, ());
    let refused = catch_unwind(AssertUnwindSafe(|| held.result())).unwrap_err();
    let text = refused.downcast_ref::<String>().expect("a text");
    assert!(text.contains("await the handle"), "{text}");
    drop(go);
}

#[test]
fn tasks_of_each_variant_await_calls() {
    let pool = Arc::new(ThreadPool::new(3));
    on_each_variant(|_| awaits_its_calls(pool.clone()));
}

#[test]
fn a_handle_that_is_dropped_lets_its_call_go_on_and_a_map_that_is_dropped_does_not() {
    let pool = ThreadPool::new(1);
    let (ends, ended) = mpsc::channel();
    drop(pool.submit(move || ends.send(7).unwrap()));
    assert_eq!(ended.recv(), Ok(7));

    let (_held, go) = hold(&pool, ());
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = begun.clone();
    drop(pool.map(0..2, move |_| counter.fetch_add(1, SeqCst)));
    drop(go);
    pool.shutdown(true, false);
    assert_eq!(begun.load(SeqCst), 0, "they had not begun");
}
