//! Calls on the blocking pool that do nothing: 200,000, of which 512 are on their way at a time.
//!
//! Each of 512 tasks makes a call, awaits its answer and makes the next: the way there and back is all
//! there is, threads that are started on the way included. Called by `benches/blocking.rs` and by
//! `peers multi`. Both pools may have 512 threads, which is what both runtimes have if nothing else is
//! said; no side has to wait for room in its queue.

use tokio::runtime::Runtime;

/// Calls in one run.
pub(crate) const OPERATIONS: u64 = 200_000;
const IN_FLIGHT: u64 = 512;

/// The calls that one of the tasks makes, by number.
fn share(task: u64, calls: u64) -> impl Iterator<Item = u64> {
    (task..calls).step_by(IN_FLIGHT as usize)
}

pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime, calls: u64) {
    let sum = runtime.block_on(async move {
        let caller = |task| {
            whirligig::spawn(async move {
                let mut sum = 0;
                for call in share(task, calls) {
                    let answer = whirligig::task::spawn_blocking(move || call).await;
                    sum += answer.expect("no call panics");
                }
                sum
            })
        };
        let tasks: Vec<_> = (0..IN_FLIGHT).map(caller).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("no task panics");
        }
        sum
    });
    assert_eq!(sum, calls * (calls - 1) / 2);
}

pub(crate) fn tokio(runtime: &Runtime, calls: u64) {
    let sum = runtime.block_on(async move {
        let caller = |task| {
            tokio::spawn(async move {
                let mut sum = 0;
                for call in share(task, calls) {
                    let answer = tokio::task::spawn_blocking(move || call).await;
                    sum += answer.expect("no call panics");
                }
                sum
            })
        };
        let tasks: Vec<_> = (0..IN_FLIGHT).map(caller).collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.expect("no task panics");
        }
        sum
    });
    assert_eq!(sum, calls * (calls - 1) / 2);
}
