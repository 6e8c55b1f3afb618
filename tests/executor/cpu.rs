//! Calls that compute, on rayon's threads.

use std::sync::{Arc, Barrier, mpsc};

use rayon::prelude::*;
use whirligig::{
    executor::{self, CallError},
    task,
};

use crate::PanicsOnDrop;

#[test]
fn a_call_computes_beside_the_loop_and_splits_inside() {
    whirligig::run(async {
        let (go, gone) = mpsc::channel::<()>();
        let call = executor::cpu(move || {
            gone.recv().unwrap();
            (0..10_000_u64).into_par_iter().map(|n| n * n).sum::<u64>()
        });
        // The loop goes on meanwhile: only it can let the call go on.
        task::yield_now().await;
        go.send(()).unwrap();
        assert_eq!(call.await, Ok((0..10_000).map(|n| n * n).sum()));
    });
}

#[test]
fn a_panic_is_an_error_and_a_call_that_has_not_begun_can_be_cancelled() {
    let panicked = executor::cpu(|| panic!("no root of -1")).result().map(|(): ()| ());
    assert_eq!(panicked, Err(CallError::Panicked("no root of -1".to_owned())));

    // All threads are busy until this one comes too.
    let threads = rayon::current_num_threads();
    let (all, go) = (Arc::new(Barrier::new(threads + 1)), Arc::new(Barrier::new(threads + 1)));
    let busy: Vec<_> = (0..threads)
        .map(|_| {
            let (all, go) = (all.clone(), go.clone());
            executor::cpu(move || {
                all.wait();
                go.wait();
            })
        })
        .collect();
    all.wait();
    let waiting = executor::cpu(|| unreachable!("it was cancelled"));
    assert!(busy.iter().all(|call| call.running() && !call.cancel()));
    assert!(!waiting.running() && waiting.cancel() && waiting.done());
    assert_eq!(waiting.result(), Err(CallError::Cancelled), "at once");
    go.wait();
    assert!(busy.into_iter().all(|call| call.result() == Ok(())));
}

/// An outcome that panics when it is dropped harms nothing: rayon would end the process.
#[test]
fn an_outcome_that_nobody_wants_may_panic_when_it_is_dropped() {
    let (dropped, is_dropped) = mpsc::channel::<()>();
    let call = executor::cpu(move || {
        is_dropped.recv().unwrap();
        PanicsOnDrop
    });
    drop(call);
    dropped.send(()).unwrap();
    assert_eq!(executor::cpu(|| 1).result(), Ok(1));
    // All threads have been through what was submitted before.
    rayon::broadcast(|_| ());
}
