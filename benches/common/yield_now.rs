//! Yielding: 200 tasks that give way to each other 1,000 times each.
//!
//! The barest turn of a scheduler: one wake, one place in the run queue, one poll, no queue and no
//! allocation. Called by `benches/yield_now.rs`, `peers micro` and `peers multi`. Tokio has two rows, for the
//! reason given in the loop program: its `yield_now` defers the wake until its drivers have looked.

use tokio::runtime::Runtime;
use whirligig::{EventLoop, spawn, spawn_local, task};

const TASKS: u64 = 200;
const YIELDS: u64 = 1_000;

/// Yields in one run.
pub(crate) const OPERATIONS: u64 = TASKS * YIELDS;

pub(crate) fn whirligig(event_loop: &EventLoop) {
    let yields = event_loop.block_on(async {
        let handles: Vec<_> = (0..TASKS)
            .map(|_| {
                spawn_local(async {
                    let mut yields = 0;
                    while yields < YIELDS {
                        task::yield_now().await;
                        yields += 1;
                    }
                    yields
                })
            })
            .collect();
        let mut yields = 0;
        for handle in handles {
            yields += handle.await.expect("no task panics");
        }
        yields
    });
    assert_eq!(yields, OPERATIONS);
}

pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
    let yields = runtime.block_on(async {
        let handles: Vec<_> = (0..TASKS)
            .map(|_| {
                spawn(async {
                    let mut yields = 0;
                    while yields < YIELDS {
                        task::yield_now().await;
                        yields += 1;
                    }
                    yields
                })
            })
            .collect();
        let mut yields = 0;
        for handle in handles {
            yields += handle.await.expect("no task panics");
        }
        yields
    });
    assert_eq!(yields, OPERATIONS);
}

pub(crate) fn tokio<Y>(runtime: &Runtime, yield_now: impl Fn() -> Y + Copy + Send + 'static)
where
    Y: Future<Output = ()> + Send + 'static,
{
    let yields = runtime.block_on(async {
        let handles: Vec<_> = (0..TASKS)
            .map(|_| {
                tokio::spawn(async move {
                    let mut yields = 0;
                    while yields < YIELDS {
                        yield_now().await;
                        yields += 1;
                    }
                    yields
                })
            })
            .collect();
        let mut yields = 0;
        for handle in handles {
            yields += handle.await.expect("no task panics");
        }
        yields
    });
    assert_eq!(yields, OPERATIONS);
}
