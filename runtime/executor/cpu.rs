//! Calls that compute, on rayon's threads.
//!
//! A computation of milliseconds would hold up the loop or the worker that runs it, and on a pool for calls that block
//! it would compete with more threads than there are processors. rayon has one thread a processor, and inside the call
//! its parallel iterators and `join` split the work over all of them. Rust needs no second process for this: there is
//! no interpreter's lock.
//!
//! **Alternative:** a pool of our own for it. rayon is that pool, well kept, and what users split their loops with.

use std::sync::Arc;

use super::{
    call::{CallHandle, hand_over, outcome_of},
    queued::Queued,
};
use crate::sync::oneshot;

/// Runs `f`, which computes, on rayon's global pool. `unsync`'s CPU-bound kind of work, and what a Python program takes a
/// process pool for.
///
/// Inside, rayon's own operations run on the same pool: `par_iter`, `join`, `scope`. To have another number of threads,
/// build rayon's global pool at the start of the program (`rayon::ThreadPoolBuilder`).
///
/// Of the feature `rayon`.
///
/// ```
/// use rayon::prelude::*;
/// use whirligig::executor;
///
/// whirligig::run(async {
///     let sum = executor::cpu(|| (0..10_000_u64).into_par_iter().map(|n| n * n).sum::<u64>());
///     assert_eq!(sum.await, Ok(333_283_335_000));
/// });
/// ```
#[doc(alias("spawn_cpu", "ProcessPoolExecutor"))]
pub fn cpu<T, F>(f: F) -> CallHandle<T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    // ANCHOR: cpu
    let (tell, outcome) = oneshot::channel();
    let job: Job = Box::new(move || hand_over(tell, outcome_of(f)));
    let call = Arc::new(Queued::new(job));
    let begins = call.clone();
    rayon::spawn(move || {
        if let Some(job) = begins.take() {
            job();
        }
    });
    CallHandle::new(outcome, call, 1)
    // END: cpu
}

type Job = Box<dyn FnOnce() + Send>;
