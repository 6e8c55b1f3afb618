//! Tasks: how they end, and who is told.

use std::{
    future::{Future, pending},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use futures_channel::oneshot;

use crate::api::{Api, Ended, Ours, Tokio, agree};

async fn ends<A: Api>() -> Vec<Ended<u32>> {
    let completes = A::spawn(async { 1 });
    let waits = A::spawn(async {
        A::yield_now().await;
        2
    });
    let panics = A::spawn(async { panic!("as it should") });
    let cancelled = A::spawn(pending());
    A::cancel(&cancelled);
    let mut ends = Vec::new();
    for task in [completes, waits, panics, cancelled] {
        ends.push(A::join(task).await);
    }
    ends
}

#[test]
fn a_handle_says_how_its_task_ended() {
    agree(ends::<Ours>, ends::<Tokio>);
}

/// Counts drops.
struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

async fn drops<A: Api>() -> Vec<usize> {
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut seen = Vec::new();
    for way in 0..3 {
        let guard = Guard(dropped.clone());
        let task = A::spawn(async move {
            let _guard = guard;
            match way {
                0 => {}
                1 => pending().await,
                _ => panic!("as it should"),
            }
        });
        if way == 1 {
            A::cancel(&task);
        }
        A::join(task).await;
        seen.push(dropped.load(SeqCst));
    }
    seen
}

#[test]
fn a_task_is_dropped_once_before_its_handle_is_told() {
    agree(drops::<Ours>, drops::<Tokio>);
}

async fn too_late<A: Api>() -> Ended<u32> {
    let (tell, told) = oneshot::channel();
    let task = A::spawn(async {
        tell.send(()).unwrap();
        3
    });
    told.await.unwrap();
    // On several threads it may be about to end only now. It does so without another await.
    A::cancel(&task);
    A::join(task).await
}

#[test]
fn a_task_that_has_ended_is_not_cancelled() {
    agree(too_late::<Ours>, too_late::<Tokio>);
}

async fn detached<A: Api>() -> u32 {
    let (tell, told) = oneshot::channel();
    drop(A::spawn(async move {
        A::yield_now().await;
        tell.send(4).unwrap();
    }));
    told.await.unwrap()
}

#[test]
fn a_detached_task_goes_on() {
    agree(detached::<Ours>, detached::<Tokio>);
}

fn tree<A: Api>(depth: u32) -> Pin<Box<dyn Future<Output = u32> + Send>> {
    Box::pin(async move {
        if depth == 0 {
            return 1;
        }
        let branches: Vec<_> = (0..3).map(|_| A::spawn(tree::<A>(depth - 1))).collect();
        let mut leaves = 0;
        for branch in branches {
            let Ended::Output(n) = A::join(branch).await else { panic!("a branch is lost") };
            leaves += n;
        }
        leaves
    })
}

#[test]
fn tasks_spawn_tasks() {
    agree(|| tree::<Ours>(7), || tree::<Tokio>(7));
}

async fn ring<A: Api>() -> u64 {
    const TASKS: usize = 50;
    const ROUNDS: u64 = 100;
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..TASKS).map(|_| futures_channel::mpsc::unbounded::<u64>()).unzip();
    let mut handles = Vec::new();
    let mut nexts = senders.clone();
    nexts.rotate_left(1);
    senders[0].unbounded_send(0).unwrap();
    drop(senders);
    for (mut receiver, next) in receivers.into_iter().zip(nexts) {
        handles.push(A::spawn(async move {
            let mut last = 0;
            while let Ok(n) = receiver.recv().await {
                last = n;
                // The last turn is not passed on, and the ring falls apart.
                if n + 1 == ROUNDS * TASKS as u64 || next.unbounded_send(n + 1).is_err() {
                    break;
                }
            }
            last
        }));
    }
    let mut most = 0;
    for handle in handles {
        if let Ended::Output(last) = A::join(handle).await {
            most = most.max(last);
        }
    }
    most
}

#[test]
fn a_token_goes_round_a_ring_of_tasks() {
    agree(ring::<Ours>, ring::<Tokio>);
}

async fn woken_from_outside<A: Api>() -> u32 {
    let mut sum = 0;
    for n in 0..100 {
        let (tell, told) = oneshot::channel();
        let task = A::spawn(told);
        let helper = thread::spawn(move || tell.send(n).unwrap());
        if let Ended::Output(Ok(n)) = A::join(task).await {
            sum += n;
        }
        helper.join().unwrap();
    }
    sum
}

#[test]
fn plain_threads_wake_tasks() {
    agree(woken_from_outside::<Ours>, woken_from_outside::<Tokio>);
}

async fn blocking<A: Api>() -> Vec<Ended<u32>> {
    let ok = A::spawn_blocking(|| 5).await;
    let panics = A::spawn_blocking(|| panic!("as it should")).await;
    let inside = A::spawn(async { A::spawn_blocking(|| 6).await });
    let Ended::Output(inside) = A::join(inside).await else { panic!("the task is lost") };
    vec![ok, panics, inside]
}

#[test]
fn blocking_calls_say_how_they_ended() {
    agree(blocking::<Ours>, blocking::<Tokio>);
}
