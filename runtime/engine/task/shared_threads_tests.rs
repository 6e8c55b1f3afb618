//! The shared task on several threads at once, for more steps than loom can go through.
//!
//! No test waits for a time. Each goes on until all its tasks have ended, and hangs if one is lost.

use std::{hint, thread};

use futures_task::waker;

use super::*;

/// Three workers run tasks in rings that hand a token on, while another thread looks at them all and
/// cancels some. Every token goes round, or its ring was cancelled; and all is gone at the end.
#[test]
fn many_threads_hand_tokens_round() {
    const RINGS: usize = 20;
    const TASKS: usize = 5;
    const ROUNDS: usize = 200;

    /// One place of a ring: how often the token was here, and who waits for it.
    #[derive(Default)]
    struct Place {
        arrived: AtomicUsize,
        waiter: Mutex<Option<Waker>>,
    }

    let stub = Stub::new();
    let drops = sync::Arc::new(AtomicUsize::new(0));
    let mut handles = Vec::new();
    for _ in 0..RINGS {
        let ring: sync::Arc<[Place; TASKS]> = sync::Arc::default();
        ring[0].arrived.store(1, SeqCst);
        for at in 0..TASKS {
            let (ring, guard) = (ring.clone(), Dropped(drops.clone()));
            let (_, handle) = spawn(&stub, None, async move {
                let _guard = guard;
                for round in 1..=ROUNDS {
                    poll_fn(|cx| {
                        let place = &ring[at];
                        *place.waiter.lock().unwrap() = Some(cx.waker().clone());
                        match place.arrived.load(SeqCst) >= round {
                            true => Poll::Ready(()),
                            false => Poll::Pending,
                        }
                    })
                    .await;
                    let next = &ring[(at + 1) % TASKS];
                    next.arrived.fetch_add(1, SeqCst);
                    let waiter = next.waiter.lock().unwrap().take();
                    waiter.into_iter().for_each(Waker::wake);
                }
                ROUNDS
            });
            handles.push(handle);
        }
    }
    let cancelled: Vec<_> = handles.drain(..2 * TASKS).collect();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while stub.owned.len() > 0 {
                    if !stub.run_one() {
                        thread::yield_now();
                    }
                }
            });
        }
        scope.spawn(|| {
            cancelled.iter().for_each(|handle| _ = handle.cancel());
            while stub.owned.len() > 0 {
                for task in stub.owned.tasks() {
                    hint::black_box(task.waits());
                }
                thread::yield_now();
            }
        });
    });
    assert!(stub.pop().is_none_or(|task| task.stage().is_none()), "a runnable is left");
    assert!(handles.into_iter().all(|handle| output(handle).is_ok_and(|rounds| rounds == ROUNDS)));
    for handle in cancelled {
        assert!(output(handle).map_or_else(|error| error.is_cancelled(), |_| true));
    }
    assert_eq!(drops.load(SeqCst), RINGS * TASKS);
    assert_eq!(stub.ends().len(), RINGS * TASKS);
}

/// Shut down by one thread while others run and wake: each future goes once, and nothing is left.
#[test]
fn a_shutdown_among_many_threads_drops_each_task_once() {
    const TASKS: usize = 300;
    let stub = Stub::new();
    let drops = sync::Arc::new(AtomicUsize::new(0));
    let shut = AtomicBool::new(false);
    let mut handles = Vec::new();
    let mut wakers = Vec::new();
    for at in 0..TASKS {
        let guard = Dropped(drops.clone());
        let (task, handle) = spawn(
            &stub,
            None,
            poll_fn(move |cx| {
                let _ = &guard;
                if at % 3 == 0 {
                    this_poll::run_again(cx, Location::caller());
                }
                Poll::<()>::Pending
            }),
        );
        wakers.push(waker(task));
        handles.push(handle);
    }
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !shut.load(SeqCst) {
                    stub.run_one();
                }
            });
        }
        scope.spawn(|| {
            while !shut.load(SeqCst) {
                wakers.iter().for_each(Waker::wake_by_ref);
            }
        });
        for task in stub.owned.close() {
            assert_ne!(task.shut_down(), Shut::Ended, "nothing else ends a task");
        }
        while stub.owned.len() > 0 {
            thread::yield_now();
        }
        shut.store(true, SeqCst);
    });
    stub.run_all();
    assert_eq!(drops.load(SeqCst), TASKS);
    assert_eq!(stub.ends(), vec![PollOutcome::Cancelled; TASKS]);
    assert!(handles.into_iter().all(|handle| output(handle).unwrap_err().is_cancelled()));
}
