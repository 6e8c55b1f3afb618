//! Tasks that compute: 64 of about a millisecond each, on two workers and on two plain threads.
//!
//! The threads are the floor: they take the next piece from a shared counter, and stop when there is
//! none. A runtime begins with all tasks on one worker, because one task spawns them, and has to see
//! that its neighbour should help, unpark it and hand half over; its share of the threads' time says
//! how soon. The pieces are of fixed work and not of fixed time, so that a busy machine slows all sides
//! alike. Called by `benches/cpu.rs` and by `peers multi`.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
};

use tokio::runtime::Runtime;

/// Pieces of work in one run.
pub(crate) const OPERATIONS: u64 = 64;
/// About a millisecond of work: each step needs the one before, for some six cycles.
const STEPS: u64 = 600_000;

/// Steps that stay in a register and cannot be taken several at a time.
fn compute(seed: u64) -> u64 {
    let step = |state: u64, _| (state ^ (state >> 29)).wrapping_mul(FACTOR).wrapping_add(1);
    (0..STEPS).fold(seed, step)
}

// Large and odd, so that no bit stays where it was.
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;

/// What all pieces come to together, found by doing them one after the other, once in a process.
fn expected() -> u64 {
    static SUM: LazyLock<u64> =
        LazyLock::new(|| (0..OPERATIONS).map(compute).fold(0, u64::wrapping_add));
    *SUM
}

/// The same work on `count` threads and no runtime.
pub(crate) fn threads(count: usize) {
    let next = AtomicU64::new(0);
    let work = || {
        let mut sum = 0_u64;
        loop {
            match next.fetch_add(1, Relaxed) {
                seed if seed < OPERATIONS => sum = sum.wrapping_add(compute(seed)),
                _ => return sum,
            }
        }
    };
    let sum = thread::scope(|scope| {
        let threads: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        let sums = threads.into_iter().map(|thread| thread.join().expect("no thread panics"));
        sums.fold(0, u64::wrapping_add)
    });
    assert_eq!(sum, expected());
}

pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
    let sum = runtime.block_on(async {
        let parent = whirligig::spawn(async {
            let handles: Vec<_> = (0..OPERATIONS)
                .map(|seed| whirligig::spawn(async move { compute(seed) }))
                .collect();
            let mut sum = 0_u64;
            for handle in handles {
                sum = sum.wrapping_add(handle.await.expect("no task panics"));
            }
            sum
        });
        parent.await.expect("no task panics")
    });
    assert_eq!(sum, expected());
}

pub(crate) fn tokio(runtime: &Runtime) {
    let sum = runtime.block_on(async {
        let parent = tokio::spawn(async {
            let handles: Vec<_> =
                (0..OPERATIONS).map(|seed| tokio::spawn(async move { compute(seed) })).collect();
            let mut sum = 0_u64;
            for handle in handles {
                sum = sum.wrapping_add(handle.await.expect("no task panics"));
            }
            sum
        });
        parent.await.expect("no task panics")
    });
    assert_eq!(sum, expected());
}
