//! Locks between tasks: mutual exclusion, order, cancellation, and what is told of the holders.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex as StdMutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use whirligig::{
    EventLoop, Runtime, WaitsFor, WaitsOn, spawn,
    sync::{
        Barrier, Condition, Mutex, MutexGuard, RwLock, RwLockWriteGuard, Semaphore, TryAcquireError,
    },
    task::{self, yield_now},
    time::{sleep, timeout},
};

use crate::on_each_variant;

/// Goes on once so many wait.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        yield_now().await;
    }
}

#[test]
fn a_mutex_held_across_an_await_loses_no_update() {
    on_each_variant(|_| async {
        let counter = Arc::new(Mutex::new(0));
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let counter = counter.clone();
                spawn(async move {
                    for _ in 0..100 {
                        let mut count = counter.lock().await;
                        let seen = *count;
                        yield_now().await;
                        *count = seen + 1;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*counter.lock().await, 1000);
        assert_eq!(counter.waiters(), 0);
    });
}

#[test]
fn a_mutex_is_handed_on_in_the_order_of_arrival() {
    on_each_variant(|_| async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let guard = order.lock().await;
        let mut tasks = Vec::new();
        for number in 0..20 {
            let shared = order.clone();
            tasks.push(spawn(async move { shared.lock().await.push(number) }));
            until(|| order.waiters() == number + 1).await;
        }
        assert!(order.try_lock().is_err());
        drop(guard);
        assert!(order.try_lock().is_err(), "it was handed to the first, and others wait");
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock().await, Vec::from_iter(0..20));
    });
}

#[test]
fn one_that_unlocks_and_locks_again_waits_behind_the_others() {
    on_each_variant(|_| async {
        let turns = Arc::new(Mutex::new(Vec::new()));
        let first = turns.lock().await;
        let tasks = [1, 2].map(|name| {
            let turns = turns.clone();
            spawn(async move {
                for _ in 0..3 {
                    turns.lock().await.push(name);
                }
            })
        });
        until(|| turns.waiters() == 2).await;
        drop(first);
        for task in tasks {
            task.await.unwrap();
        }
        let turns = turns.lock().await;
        // Each guard is dropped before its task asks again, and by then the other waits: they take turns, but for the
        // last of them where the other has not yet been polled.
        assert_eq!(turns.iter().filter(|name| **name == 1).count(), 3);
        assert_eq!(turns.len(), 6);
        assert_ne!(turns[0], turns[1], "{turns:?}");
    });
}

#[test]
fn a_cancelled_wait_is_passed_over() {
    on_each_variant(|_| async {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock().await;
        let wait = |mutex: &Arc<Mutex<()>>| {
            let mutex = mutex.clone();
            spawn(async move { drop(mutex.lock().await) })
        };
        let first = wait(&mutex);
        until(|| mutex.waiters() == 1).await;
        let second = wait(&mutex);
        until(|| mutex.waiters() == 2).await;
        first.cancel();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(mutex.waiters(), 1);
        drop(guard);
        second.await.unwrap();
        assert!(!mutex.is_locked());
    });
}

#[test]
fn a_timeout_leaves_nothing_behind() {
    on_each_variant(|_| async {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.lock().await;
        assert!(timeout(Duration::from_millis(1), mutex.lock()).await.is_err());
        assert_eq!(mutex.waiters(), 0);
        drop(guard);
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn a_task_that_panics_or_is_cancelled_with_the_guard_unlocks() {
    on_each_variant(|_| async {
        let mutex = Arc::new(Mutex::new(0));
        let shared = mutex.clone();
        let panicking = spawn(async move {
            *shared.lock().await += 1;
            let _guard = shared.lock().await;
            std::panic::resume_unwind(Box::new("with the guard"));
        });
        assert!(panicking.await.unwrap_err().is_panic());
        assert_eq!(*mutex.lock().await, 1);

        let shared = mutex.clone();
        let holding = spawn(async move {
            let _guard = shared.lock_owned().await;
            std::future::pending::<()>().await;
        });
        until(|| mutex.is_locked()).await;
        holding.cancel();
        *mutex.lock().await += 1;
        assert!(holding.await.unwrap_err().is_cancelled());
        assert_eq!(*mutex.lock().await, 2);
    });
}

#[test]
fn guards_go_to_other_tasks_and_to_parts_of_the_value() {
    on_each_variant(|_| async {
        let pair = Arc::new(Mutex::new((1, String::from("a"))));
        let mut owned = pair.clone().lock_owned().await;
        assert!(pair.clone().try_lock_owned().is_err());
        spawn(async move { owned.0 += 1 }).await.unwrap();
        let mut text = MutexGuard::map(pair.lock().await, |pair| &mut pair.1);
        text.push('b');
        yield_now().await;
        assert!(pair.try_lock().is_err());
        drop(text);
        assert_eq!(*pair.lock().await, (2, "ab".into()));
    });
}

#[test]
fn plain_threads_wait_in_the_same_line() {
    on_each_variant(|_| async {
        let order = Arc::new(Mutex::new(Vec::new()));
        let guard = order.lock().await;
        let thread = std::thread::spawn({
            let order = order.clone();
            move || order.blocking_lock().push("thread")
        });
        until(|| order.waiters() == 1).await;
        let task = spawn({
            let order = order.clone();
            async move { order.lock().await.push("task") }
        });
        until(|| order.waiters() == 2).await;
        drop(guard);
        task.await.unwrap();
        thread.join().unwrap();
        assert_eq!(*order.lock().await, ["thread", "task"]);
    });
}

#[test]
fn a_blocking_call_that_would_stop_a_worker_is_refused_with_advice() {
    on_each_variant(|_| async {
        let mutex = Arc::new(Mutex::new(()));
        let guard = mutex.clone().lock_owned().await;
        let shared = mutex.clone();
        let refused = spawn(async move { drop(shared.blocking_lock()) }).await.unwrap_err();
        let payload = refused.try_into_panic().unwrap();
        let told = payload.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(told.contains("await the lock instead"), "{told}");
        assert_eq!(mutex.waiters(), 0, "it left the line");
        drop(guard);
        // One that need not wait is served.
        spawn(async move { drop(mutex.blocking_lock()) }).await.unwrap();
    });
}

#[test]
fn a_semaphore_lets_so_many_in() {
    on_each_variant(|_| async {
        let semaphore = Arc::new(Semaphore::new(3));
        let (inside, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let tasks: Vec<_> = (0..30)
            .map(|_| {
                let (semaphore, inside, most) = (semaphore.clone(), inside.clone(), most.clone());
                spawn(async move {
                    let _permit = semaphore.acquire().await.unwrap();
                    most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                    yield_now().await;
                    inside.fetch_sub(1, SeqCst);
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(most.load(SeqCst), 3);
        assert_eq!((semaphore.available_permits(), semaphore.waiters()), (3, 0));
    });
}

#[test]
fn one_that_asks_for_many_is_not_passed_over() {
    on_each_variant(|_| async {
        let semaphore = Arc::new(Semaphore::new(3));
        let served = Arc::new(StdMutex::new(Vec::new()));
        let ask = |count: u32| {
            let (semaphore, served) = (semaphore.clone(), served.clone());
            spawn(async move {
                let _permit = semaphore.acquire_many(count).await.unwrap();
                served.lock().unwrap().push(count);
            })
        };
        let mut held = VecDeque::from([(); 3].map(|()| semaphore.try_acquire().unwrap()));
        let many = ask(3);
        until(|| semaphore.waiters() == 1).await;
        let one = ask(1);
        until(|| semaphore.waiters() == 2).await;
        held.pop_front();
        assert_eq!(semaphore.available_permits(), 1, "kept for the first in line");
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
        assert_eq!(semaphore.waiters(), 2);
        held.clear();
        many.await.unwrap();
        one.await.unwrap();
        assert_eq!(*served.lock().unwrap(), [3, 1]);
    });
}

#[test]
fn a_cancelled_request_for_many_lets_those_behind_it_go() {
    on_each_variant(|_| async {
        let semaphore = Arc::new(Semaphore::new(2));
        let _held = semaphore.try_acquire().unwrap();
        let many = spawn({
            let semaphore = semaphore.clone();
            async move { drop(semaphore.acquire_many(2).await) }
        });
        until(|| semaphore.waiters() == 1).await;
        let one = spawn({
            let semaphore = semaphore.clone();
            async move { drop(semaphore.acquire().await.unwrap()) }
        });
        until(|| semaphore.waiters() == 2).await;
        many.cancel();
        one.await.unwrap();
        assert!(many.await.unwrap_err().is_cancelled());
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn close_ends_what_waits_and_what_comes() {
    on_each_variant(|_| async {
        let semaphore = Arc::new(Semaphore::new(1));
        let permit = semaphore.clone().acquire_owned().await.unwrap();
        let waiting = spawn({
            let semaphore = semaphore.clone();
            async move { semaphore.acquire().await.map(drop) }
        });
        until(|| semaphore.waiters() == 1).await;
        semaphore.close();
        assert!(waiting.await.unwrap().is_err());
        assert!(semaphore.acquire().await.is_err());
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
        assert!(semaphore.is_closed());
        drop(permit);
        assert_eq!(semaphore.available_permits(), 1);
    });
}

#[test]
fn permits_are_added_and_taken_away() {
    on_each_variant(|_| async {
        let semaphore = Arc::new(Semaphore::new(0));
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let semaphore = semaphore.clone();
                spawn(async move { semaphore.acquire().await.unwrap().forget() })
            })
            .collect();
        until(|| semaphore.waiters() == 3).await;
        semaphore.add_permits(4);
        for task in waiting {
            task.await.unwrap();
        }
        assert_eq!((semaphore.available_permits(), semaphore.total_permits()), (1, 1));
        assert_eq!(semaphore.forget_permits(5), 1);
        assert_eq!(semaphore.total_permits(), 0);
    });
}

#[test]
fn readers_read_together_and_writers_are_not_starved() {
    on_each_variant(|_| async {
        let lock = Arc::new(RwLock::new(0));
        let (one, other) = (lock.read().await, lock.read().await);
        let writer = spawn({
            let lock = lock.clone();
            async move { *lock.write().await += 1 }
        });
        until(|| lock.waiters() == 1).await;
        assert!(lock.try_read().is_err(), "a reader that comes now waits behind the writer");
        let late = spawn({
            let lock = lock.clone();
            async move { *lock.read().await }
        });
        until(|| lock.waiters() == 2).await;
        drop((one, other));
        assert_eq!(late.await.unwrap(), 1);
        writer.await.unwrap();
    });
}

#[test]
fn a_writer_that_goes_on_reading_lets_no_writer_in_between() {
    on_each_variant(|_| async {
        let lock = Arc::new(RwLock::new(0));
        let mut writing = lock.write().await;
        let reader = spawn({
            let lock = lock.clone();
            async move { *lock.read().await }
        });
        until(|| lock.waiters() == 1).await;
        let writer = spawn({
            let lock = lock.clone();
            async move { *lock.write().await += 1 }
        });
        until(|| lock.waiters() == 2).await;
        *writing = 5;
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(reader.await.unwrap(), 5, "the reader at the head of the line comes in");
        assert_eq!((*reading, lock.waiters()), (5, 1));
        drop(reading);
        writer.await.unwrap();
        assert_eq!(*lock.read_owned().await, 6);
    });
}

/// Two tasks that lock two mutexes in opposite order, and what is told of them.
async fn deadlock() -> String {
    let (left, right) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let both = |name: &str, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (first, second) = (first.clone(), second.clone());
        task::Builder::new().name(name).spawn(async move {
            let _first = first.lock().await;
            while !second.is_locked() {
                yield_now().await;
            }
            let _second = second.lock().await;
        })
    };
    let tasks = [both("alice to bob", &left, &right), both("bob to alice", &right, &left)];
    until(|| left.waiters() + right.waiters() == 2).await;
    // The note of a wait is kept after the poll that waits.
    let told = loop {
        let dump = whirligig::dump();
        let waiting = dump.tasks.iter().filter(|task| {
            !task.running && !task.scheduled && matches!(task.waits_on, Some(WaitsOn::Lock(_)))
        });
        if waiting.count() == 2 {
            let holders = |at: usize| dump.tasks.iter().find(|t| t.id == tasks[at].id()).unwrap();
            for at in [0, 1] {
                let told = holders(at);
                assert_eq!(told.waits.unwrap().0, WaitsFor::Lock);
                let held_by: Vec<_> = told.held_by.iter().map(|holder| holder.task).collect();
                assert_eq!(held_by, [Some(tasks[1 - at].id())]);
            }
            break dump.to_string();
        }
        yield_now().await;
    };
    assert_eq!(left.holder(), Some(tasks[0].id()));
    for task in tasks {
        task.cancel();
        drop(task.await);
    }
    assert_eq!((left.holder(), right.holder()), (None, None));
    told
}

#[test]
fn a_deadlock_by_lock_order_can_be_read_off_the_dump() {
    if !cfg!(debug_assertions) && std::env::var_os("WHIRLIGIG_DEBUG").is_none() {
        return;
    }
    on_each_variant(|_| async {
        let told = deadlock().await;
        assert!(told.contains("'alice to bob'") && told.contains("'bob to alice'"), "{told}");
        let lines = told.lines().filter(|line| {
            line.contains("waits for a lock at tests/together/locks.rs:")
                && line.contains(", held by task ")
                && line.ends_with('\'')
        });
        assert_eq!(lines.count(), 2, "{told}");
    });
}

#[test]
fn locks_serve_tasks_of_several_loops() {
    let counter = Arc::new(Mutex::new(0));
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let count = |counter: Arc<Mutex<i32>>| async move {
        for _ in 0..200 {
            let mut count = counter.lock().await;
            let seen = *count;
            yield_now().await;
            *count = seen + 1;
        }
    };
    let tasks: Vec<_> = (0..2).map(|_| runtime.spawn(count(counter.clone()))).collect();
    let thread = std::thread::spawn({
        let counter = counter.clone();
        move || EventLoop::new().unwrap().block_on(count(counter))
    });
    runtime.block_on(async {
        for task in tasks {
            task.await.unwrap();
        }
    });
    thread.join().unwrap();
    assert_eq!(Arc::try_unwrap(counter).unwrap().into_inner(), 600);
}

#[test]
fn a_ready_lock_is_charged_to_the_budget() {
    on_each_variant(|_| async {
        let mutex = Arc::new(Mutex::new(()));
        let turns = Arc::new(AtomicUsize::new(0));
        let other = spawn({
            let turns = turns.clone();
            async move {
                loop {
                    turns.fetch_add(1, SeqCst);
                    yield_now().await;
                }
            }
        });
        // Without a budget this would never let the other run on the event loop.
        while turns.load(SeqCst) < 3 {
            drop(mutex.lock().await);
        }
        other.cancel();
        drop(other.await);
        sleep(Duration::ZERO).await;
    });
}

#[test]
fn a_condition_tells_a_consumer_of_items() {
    on_each_variant(|_| async {
        let shared = Arc::new((Mutex::new(VecDeque::new()), Condition::new()));
        let consumers: Vec<_> = (0..3)
            .map(|_| {
                let shared = shared.clone();
                spawn(async move {
                    let (items, changed) = &*shared;
                    let mut sum = 0;
                    loop {
                        let mut items = changed
                            .wait_for(items.lock().await, |items: &mut VecDeque<u32>| {
                                !items.is_empty()
                            })
                            .await;
                        match items.pop_front() {
                            Some(0) | None => return sum,
                            Some(item) => sum += item,
                        }
                    }
                })
            })
            .collect();
        for item in (1..=100).chain([0, 0, 0]) {
            shared.0.lock().await.push_back(item);
            shared.1.notify_one();
            if item % 10 == 0 {
                yield_now().await;
            }
        }
        let mut sum = 0;
        for consumer in consumers {
            sum += consumer.await.unwrap();
        }
        assert_eq!(sum, 5050);
    });
}

#[test]
fn a_cancelled_wait_passes_its_notification_on() {
    on_each_variant(|_| async {
        let shared = Arc::new((Mutex::new(()), Condition::new()));
        let wait = || {
            let shared = shared.clone();
            spawn(async move { drop(shared.1.wait(shared.0.lock().await).await) })
        };
        let first = wait();
        until(|| shared.1.waiters() == 1).await;
        let second = wait();
        until(|| shared.1.waiters() == 2).await;
        // With the lock held here the first is notified, and waits for the lock.
        let guard = shared.0.lock().await;
        shared.1.notify_one();
        until(|| shared.0.waiters() == 1).await;
        assert_eq!(shared.1.waiters(), 1);
        first.cancel();
        assert!(first.await.unwrap_err().is_cancelled());
        until(|| shared.1.waiters() == 0).await;
        drop(guard);
        second.await.unwrap();
    });
}

#[test]
fn a_predicate_that_panics_unlocks() {
    on_each_variant(|_| async {
        let shared = Arc::new((Mutex::new(()), Condition::new()));
        let task = spawn({
            let shared = shared.clone();
            async move {
                let guard = shared.0.lock().await;
                let predicate = |_: &mut ()| std::panic::resume_unwind(Box::new("no"));
                drop(shared.1.wait_for(guard, predicate).await);
            }
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(!shared.0.is_locked());
    });
}

#[test]
fn a_barrier_opens_round_after_round() {
    on_each_variant(|_| async {
        let barrier = Arc::new(Barrier::new(3));
        let here = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (barrier, here) = (barrier.clone(), here.clone());
                spawn(async move {
                    let mut led = 0;
                    for round in 1..=20 {
                        here.fetch_add(1, SeqCst);
                        let result = barrier.wait().await.unwrap();
                        assert!(here.load(SeqCst) >= 3 * round, "one went on before all had come");
                        assert!(result.index() < 3);
                        led += usize::from(result.is_leader());
                    }
                    led
                })
            })
            .collect();
        let mut led = 0;
        for task in tasks {
            led += task.await.unwrap();
        }
        assert_eq!((led, barrier.waiters()), (20, 0));
    });
}

#[test]
fn a_barrier_that_is_aborted_lets_nobody_wait() {
    on_each_variant(|_| async {
        let barrier = Arc::new(Barrier::new(3));
        let come = || {
            let barrier = barrier.clone();
            spawn(async move { barrier.wait().await.map(|result| result.index()) })
        };
        let (first, second) = (come(), come());
        until(|| barrier.waiters() == 2).await;
        first.cancel();
        assert!(first.await.unwrap_err().is_cancelled());
        assert_eq!(barrier.waiters(), 1, "one that is cancelled leaves");
        barrier.abort();
        assert!(second.await.unwrap().is_err() && barrier.is_broken());
        assert!(barrier.wait().await.is_err());
        barrier.reset();
        let all = [come(), come(), come()];
        let mut indices = Vec::new();
        for task in all {
            indices.push(task.await.unwrap().unwrap());
        }
        indices.sort_unstable();
        assert_eq!(indices, [0, 1, 2]);
    });
}
