//! Tasks that compute: 64 of about a millisecond each, on two workers and on two plain threads.
//!
//! The threads are the floor: they take the next piece from a shared counter, and stop when there is
//! none. A runtime begins with all tasks on one worker, because one task spawns them, and has to see
//! that its neighbour should help, unpark it and hand half over; its share of the threads' time says
//! how soon. The pieces are of fixed work and not of fixed time, so that a busy machine slows all sides
//! alike. Called by `benches/cpu.rs` and by `peers multi`.

use std::{
    hint::black_box,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
};

use tokio::runtime::Runtime;

/// Pieces of work in one run.
pub(crate) const OPERATIONS: u64 = 64;
/// About a millisecond of work: each step needs the one before, for some ten cycles.
const STEPS: u64 = 450_000;

// A linear congruential generator, with the numbers that Knuth gives for MMIX.
const FACTOR: u64 = 6_364_136_223_846_793_005;
const INCREMENT: u64 = 1_442_695_040_888_963_407;

fn compute(seed: u64) -> u64 {
    let mut state = seed;
    for _ in 0..STEPS {
        // Hidden from the compiler, which knows how to make one step of eight.
        state = black_box(state).wrapping_mul(FACTOR).wrapping_add(INCREMENT);
    }
    state
}

/// What all pieces come to together, without doing the steps: those of twice as many are the map
/// applied to itself.
fn expected() -> u64 {
    let (mut factor, mut increment) = (1_u64, 0_u64);
    let (mut doubled, mut added) = (FACTOR, INCREMENT);
    let mut steps = STEPS;
    while steps > 0 {
        if steps % 2 == 1 {
            factor = factor.wrapping_mul(doubled);
            increment = increment.wrapping_mul(doubled).wrapping_add(added);
        }
        added = added.wrapping_mul(doubled.wrapping_add(1));
        doubled = doubled.wrapping_mul(doubled);
        steps /= 2;
    }
    let piece = |seed: u64| seed.wrapping_mul(factor).wrapping_add(increment);
    (0..OPERATIONS).map(piece).fold(0, u64::wrapping_add)
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
