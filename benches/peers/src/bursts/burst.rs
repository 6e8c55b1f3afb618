//! Many tasks at once, each of which blocks its thread once: from a task, and from outside.
//!
//! The clock runs from before the first spawn until the last task has been joined. The spawner takes no
//! worker from its tasks: in [`inside`] its own is free while it waits, and in [`outside`] it has none. So
//! as many tasks as there are workers can take as long as one. What goes beyond that is time for which
//! tasks that were ready waited behind others.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use whirligig::Runtime;

/// A task: blocks the thread that polls it, and gives its number.
async fn block(number: usize, time: Duration) -> usize {
    thread::sleep(time);
    number
}

/// What a burst of `tasks` measured, if its results add up to `sum`.
fn checked(took: Duration, sum: usize, tasks: usize) -> Result<Vec<Duration>> {
    ensure!(sum == tasks * (tasks - 1) / 2, "the results of {tasks} tasks add up to {sum}");
    Ok(vec![took])
}

/// One task spawns all.
pub(in crate::bursts) mod inside {
    use super::*;

    pub(in crate::bursts) fn whirligig(
        runtime: &Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        let parent = runtime.spawn(async move {
            let started = Instant::now();
            let handles: Vec<_> =
                (0..tasks).map(|number| whirligig::spawn(block(number, time))).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.expect("no task panics");
            }
            (started.elapsed(), sum)
        });
        let (took, sum) = runtime.block_on(parent).expect("no task panics");
        checked(took, sum, tasks)
    }

    pub(in crate::bursts) fn tokio(
        runtime: &tokio::runtime::Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        let parent = runtime.spawn(async move {
            let started = Instant::now();
            let handles: Vec<_> =
                (0..tasks).map(|number| tokio::spawn(block(number, time))).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.expect("no task panics");
            }
            (started.elapsed(), sum)
        });
        let (took, sum) = runtime.block_on(parent).expect("no task panics");
        checked(took, sum, tasks)
    }
}

/// The thread that is in `block_on`, and is no worker, spawns all.
pub(in crate::bursts) mod outside {
    use super::*;

    pub(in crate::bursts) fn whirligig(
        runtime: &Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        let (took, sum) = runtime.block_on(async {
            let started = Instant::now();
            let handles: Vec<_> =
                (0..tasks).map(|number| whirligig::spawn(block(number, time))).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.expect("no task panics");
            }
            (started.elapsed(), sum)
        });
        checked(took, sum, tasks)
    }

    pub(in crate::bursts) fn tokio(
        runtime: &tokio::runtime::Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        let (took, sum) = runtime.block_on(async {
            let started = Instant::now();
            let handles: Vec<_> =
                (0..tasks).map(|number| tokio::spawn(block(number, time))).collect();
            let mut sum = 0;
            for handle in handles {
                sum += handle.await.expect("no task panics");
            }
            (started.elapsed(), sum)
        });
        checked(took, sum, tasks)
    }
}
