//! `Runtime`: what a multi-threaded runtime owes its users.

use std::{
    future::{Future, poll_fn},
    io::{Read, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use whirligig::{EventLoop, Runtime, io::Source, queue::Queue, spawn, task, time};

use crate::runtimes;

#[test]
fn block_on_gives_the_output() {
    for runtime in runtimes() {
        assert_eq!(runtime.block_on(async { 42 }), 42);
    }
}

#[test]
fn a_root_that_panics_leaves_its_thread_as_it_was() {
    for runtime in runtimes() {
        let root = AssertUnwindSafe(|| runtime.block_on(async { panic!("as the test wants it") }));
        assert!(catch_unwind(root).is_err());
        // Not inside any poll: so it may wait as a plain thread does.
        assert_eq!(runtime.spawn(async { 1 }).wait().unwrap(), 1);
    }
}

#[test]
fn block_on_within_a_loop_s_poll_leaves_that_poll_as_it_was() {
    for runtime in runtimes() {
        EventLoop::new().unwrap().block_on(async {
            let mut yields = pin!(task::yield_now());
            let mut polls = 0;
            poll_fn(|cx| {
                polls += 1;
                let polled = yields.as_mut().poll(cx);
                // The yield before it, in the same poll, is kept.
                runtime.block_on(async {});
                polled
            })
            .await;
            assert_eq!(polls, 2);
        });
    }
}

#[test]
fn a_task_runs_and_is_joined() {
    for runtime in runtimes() {
        let inside = runtime.block_on(async { spawn(async { 6 * 7 }).await.unwrap() });
        let outside = runtime.spawn(async { 6 * 7 }).wait().unwrap();
        assert_eq!([inside, outside], [42, 42]);
    }
}

#[test]
fn many_tasks_spawned_in_one_poll_all_run() {
    for runtime in runtimes() {
        let ran = Arc::new(AtomicUsize::new(0));
        let counted = ran.clone();
        runtime.block_on(async move {
            let spawner = spawn(async move {
                let count = |_| {
                    let counted = counted.clone();
                    spawn(async move {
                        task::yield_now().await;
                        counted.fetch_add(1, SeqCst);
                    })
                };
                let tasks: Vec<_> = (0..10_000).map(count).collect();
                for task in tasks {
                    task.await.unwrap();
                }
            });
            spawner.await.unwrap();
        });
        assert_eq!(ran.load(SeqCst), 10_000);
    }
}

#[test]
fn tasks_talk_through_a_queue() {
    for runtime in runtimes() {
        let sum = runtime.block_on(async {
            let queue = Arc::new(Queue::bounded(4));
            let producers: Vec<_> = (0..4)
                .map(|_| {
                    let queue = queue.clone();
                    spawn(async move {
                        for n in 0..1_000_u64 {
                            queue.put(n).await.unwrap();
                        }
                    })
                })
                .collect();
            let consumer = spawn(async move {
                let mut sum = 0;
                for _ in 0..4_000 {
                    sum += queue.get().await.unwrap();
                }
                sum
            });
            for producer in producers {
                producer.await.unwrap();
            }
            consumer.await.unwrap()
        });
        assert_eq!(sum, 4 * 499_500);
    }
}

#[test]
fn several_threads_block_on_one_runtime() {
    for runtime in runtimes() {
        thread::scope(|scope| {
            for n in 0..4 {
                let runtime = &runtime;
                scope.spawn(move || {
                    let output = runtime.block_on(async move { spawn(async move { n }).await });
                    assert_eq!(output.unwrap(), n);
                });
            }
        });
    }
}

#[test]
fn a_wake_from_a_plain_thread_gets_a_worker_up() {
    for runtime in runtimes() {
        let (sender, receiver) = futures_channel::oneshot::channel();
        let task = runtime.spawn(receiver);
        let helper = thread::spawn(move || sender.send(7).unwrap());
        assert_eq!(task.wait().unwrap().unwrap(), 7);
        helper.join().unwrap();
    }
}

#[test]
fn a_dropped_runtime_drops_its_tasks_once() {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    for runtime in runtimes() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let handles: Vec<_> = (0..100)
            .map(|n| {
                let count = Count(dropped.clone());
                runtime.spawn(async move {
                    let _count = count;
                    if n % 2 == 0 {
                        std::future::pending::<()>().await;
                    }
                    loop {
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        drop(runtime);
        assert_eq!(dropped.load(SeqCst), 100);
        for handle in handles {
            assert!(handle.wait().unwrap_err().is_cancelled());
        }
    }
}

#[test]
fn a_runtime_dropped_in_its_own_task_does_not_wait_for_itself() {
    for runtime in runtimes() {
        let (sender, receiver) = mpsc::channel();
        let handle = runtime.handle();
        let task = handle.spawn(async move {
            drop(runtime);
            sender.send(()).unwrap();
        });
        receiver.recv().unwrap();
        let _ = task.wait();
    }
}

#[test]
fn a_dead_runtimes_handle_says_cancelled() {
    let handle = Runtime::builder().worker_threads(1).build().unwrap().handle();
    assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
    assert!(handle.call_soon_threadsafe(|| {}).is_err());
}

#[test]
fn spawn_local_is_refused_with_a_way_out() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let task = runtime.spawn(async { drop(whirligig::spawn_local(async {})) });
    let error = task.wait().unwrap_err().to_string();
    assert!(error.contains("whirligig::run"), "{error}");
}

#[test]
fn a_sleep_ends_after_its_deadline() {
    for runtime in runtimes() {
        let delays = [0, 50, 1_000, 3_000].map(Duration::from_micros);
        runtime.block_on(async {
            let sleepers: Vec<_> = (0..40)
                .map(|n| {
                    spawn(async move {
                        let (before, delay) = (Instant::now(), delays[n % 4]);
                        time::sleep(delay).await;
                        assert!(before.elapsed() >= delay, "early");
                    })
                })
                .collect();
            for sleeper in sleepers {
                sleeper.await.unwrap();
            }
            let before = Instant::now();
            time::sleep(Duration::from_millis(2)).await;
            assert!(before.elapsed() >= Duration::from_millis(2), "the root future was early");
        });
    }
}

#[test]
fn a_timeout_ends_what_never_would() {
    for runtime in runtimes() {
        let never = || time::timeout(Duration::from_millis(1), std::future::pending::<()>());
        assert!(runtime.block_on(never()).is_err());
        assert!(runtime.block_on(async move { spawn(never()).await.unwrap() }).is_err());
    }
}

#[test]
fn blocking_calls_run_beside_the_workers() {
    for runtime in runtimes() {
        let sum = runtime.block_on(async {
            let here = task::spawn_blocking(|| 1).await.unwrap();
            here + spawn(async { task::spawn_blocking(|| 2).await.unwrap() }).await.unwrap()
        });
        assert_eq!(sum, 3);
    }
}

/// What waits at a worker that is stuck in a poll: a task it woke, one it spawned, a timer, a socket.
/// The poll lasts until all of that has happened, so it happens elsewhere or not at all.
#[test]
fn another_worker_takes_over_from_a_worker_that_is_stuck() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    // On a busy machine the other worker may be awake already, and steal what it would have taken over.
    while runtime.stats().iter().all(|worker| worker.takeovers == 0) {
        stuck_beside_what_is_ready(&runtime);
    }
}

/// A task that does not return before another worker has run what waits on its own.
fn stuck_beside_what_is_ready(runtime: &Runtime) {
    let done = Arc::new(AtomicUsize::new(0));
    let finish = |done: &Arc<AtomicUsize>| {
        done.fetch_add(1, SeqCst);
    };
    let (queue, counted) = (Arc::new(Queue::unbounded()), done.clone());
    let task = runtime.spawn(async move {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let (getter, woken) = (queue.clone(), counted.clone());
        spawn(async move {
            getter.get().await.unwrap();
            finish(&woken);
        });
        let slept = counted.clone();
        spawn(async move {
            time::sleep(Duration::from_millis(1)).await;
            finish(&slept);
        });
        let read = counted.clone();
        spawn(async move {
            reader.read_with(|mut pipe| pipe.read(&mut [0])).await.unwrap();
            finish(&read);
        });
        // All of them wait now, on this worker: nothing was worth unparking the other.
        for _ in 0..3 {
            task::yield_now().await;
        }
        writer.write_all(b"x").unwrap();
        queue.try_put(7).unwrap();
        let spawned = counted.clone();
        spawn(async move { finish(&spawned) });
        while counted.load(SeqCst) < 4 {
            std::hint::spin_loop();
        }
    });
    task.wait().unwrap();
}

#[test]
fn what_does_not_end_is_named_at_shutdown() {
    for runtime in runtimes() {
        let (stuck, go_on) = (Arc::new(Barrier::new(3)), Arc::new(Barrier::new(3)));
        let (stuck2, go_on2) = (stuck.clone(), go_on.clone());
        let task = task::Builder::new().name("stubborn").spawn_on(&runtime.handle(), async move {
            stuck2.wait();
            go_on2.wait();
            task::yield_now().await;
            unreachable!("it is dropped at the end of its poll");
        });
        let (stuck2, go_on2) = (stuck.clone(), go_on.clone());
        let call = {
            let _entered = runtime.enter();
            task::spawn_blocking(move || {
                stuck2.wait();
                go_on2.wait();
            })
        };
        stuck.wait();
        let left = runtime.shutdown_timeout(Duration::ZERO).unwrap_err();
        assert_eq!(left.tasks.len(), 1);
        assert_eq!(left.tasks[0].name.as_deref(), Some("stubborn"));
        assert!(left.tasks[0].running);
        assert_eq!(left.blocking_calls.len(), 1);
        let text = left.to_string();
        assert!(text.contains("'stubborn'") && text.contains("tests/runtime/basics.rs"), "{text}");
        go_on.wait();
        assert!(task.wait().unwrap_err().is_cancelled());
        call.wait().expect("it had begun");
    }
}

#[test]
fn a_shutdown_with_nothing_left_says_so() {
    for runtime in runtimes() {
        let task = runtime.spawn(std::future::pending::<()>());
        runtime.block_on(async { task::spawn_blocking(|| ()).await.unwrap() });
        runtime.shutdown_timeout(Duration::MAX).unwrap();
        assert!(task.wait().unwrap_err().is_cancelled());
    }
}

#[test]
fn a_shutdown_in_the_background_may_be_ordered_by_a_task() {
    for runtime in runtimes() {
        let handle = runtime.handle();
        let other = runtime.spawn(std::future::pending::<()>());
        let task = handle.spawn(async move {
            runtime.shutdown_background();
            task::yield_now().await;
            unreachable!("it is dropped at the end of its poll");
        });
        assert!(task.wait().unwrap_err().is_cancelled());
        assert!(other.wait().unwrap_err().is_cancelled());
    }
}

#[test]
fn a_drop_that_panics_spawns_and_wakes_harms_nobody_at_shutdown() {
    struct Hostile(whirligig::Handle, Arc<Queue<()>>, Arc<AtomicUsize>);
    impl Drop for Hostile {
        fn drop(&mut self) {
            self.1.close();
            self.0.spawn(async { unreachable!("spawned too late") });
            self.2.fetch_add(1, SeqCst);
            panic!("a panic in a drop");
        }
    }
    for runtime in runtimes() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let queue = Arc::new(Queue::unbounded());
        let tasks: Vec<_> = (0..10)
            .map(|_| {
                let (getter, dropped) = (queue.clone(), dropped.clone());
                let hostile = Hostile(runtime.handle(), queue.clone(), dropped);
                runtime.spawn(async move {
                    let _hostile = hostile;
                    let _ = getter.get().await;
                    std::future::pending::<()>().await;
                })
            })
            .collect();
        drop(runtime);
        assert_eq!(dropped.load(SeqCst), 10);
        for task in tasks {
            let error = task.wait().unwrap_err();
            assert!(error.is_panic() || error.is_cancelled());
        }
    }
}

#[test]
fn a_dump_says_what_each_task_waits_for() {
    for runtime in runtimes() {
        let queue = Arc::new(Queue::<()>::unbounded());
        let getter = queue.clone();
        let handle = runtime.handle();
        let task = task::Builder::new()
            .name("getter")
            .spawn_on(&handle, async move { getter.get().await.unwrap_err() });
        let dump = loop {
            let dump = runtime.dump();
            if dump.tasks[0].waits.is_some() {
                break dump;
            }
            thread::yield_now();
        };
        assert_eq!(dump.tasks.len(), 1);
        assert!(dump.to_string().contains("'getter'"), "{dump}");
        assert!(
            dump.to_string().contains("waits for an item at tests/runtime/basics.rs"),
            "{dump}"
        );
        queue.close();
        task.wait().unwrap();
        // A task's handle is told just before the task leaves the list.
        runtime.block_on(async {
            while !whirligig::dump().tasks.is_empty() {
                task::yield_now().await;
            }
        });
    }
}

#[test]
fn a_call_that_blocks_in_place_leaves_the_rest_to_the_others() {
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let task = runtime.spawn(async {
        let other = spawn(async { 7 });
        // Waits, with this worker blocked, for a task that stood in its queue.
        task::block_in_place(|| other.wait().unwrap())
    });
    assert_eq!(task.wait().unwrap(), 7);
    assert_eq!(task::block_in_place(|| 7), 7, "outside any runtime it is a plain call");
    let refused = whirligig::run(async {
        spawn(async { task::block_in_place(|| ()) }).await.unwrap_err().to_string()
    });
    assert!(refused.contains("spawn_blocking"), "{refused}");
}
