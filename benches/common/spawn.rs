//! Spawning: what a task costs that does nothing.
//!
//! `batch` has one task spawn ten thousand and join them all; `chain` has each task spawn the next, a
//! thousand deep, which shows the latency of one spawn rather than the throughput of many. `many` and
//! `outside`, for the multi-threaded runtimes, spawn ten thousand and keep no handle: from one task,
//! whose worker has the others help, and from a thread that is no worker. Called by
//! `benches/spawn.rs`, `peers micro` and `peers multi`. All sides keep the handles of a batch in a
//! vector of the same length; the last task of a chain reports through the same runtime-neutral
//! channel on all.

use futures_channel::oneshot;
use tokio::runtime::Runtime;
use whirligig::{EventLoop, spawn, spawn_local};

use crate::countdown::Countdown;

/// Spawn many, then join them in order.
pub(crate) mod batch {
    use super::*;

    /// Tasks spawned and joined by one run.
    pub(crate) const OPERATIONS: u64 = 10_000;
    const SUM: u64 = OPERATIONS * (OPERATIONS - 1) / 2;

    pub(crate) fn whirligig(event_loop: &EventLoop) {
        let sum = event_loop.block_on(async {
            let parent = spawn_local(async {
                let handles: Vec<_> =
                    (0..OPERATIONS).map(|index| spawn_local(async move { index })).collect();
                let mut sum = 0;
                for handle in handles {
                    sum += handle.await.expect("no task panics");
                }
                sum
            });
            parent.await.expect("no task panics")
        });
        assert_eq!(sum, SUM);
    }

    pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
        let sum = runtime.block_on(async {
            let parent = spawn(async {
                let handles: Vec<_> =
                    (0..OPERATIONS).map(|index| spawn(async move { index })).collect();
                let mut sum = 0;
                for handle in handles {
                    sum += handle.await.expect("no task panics");
                }
                sum
            });
            parent.await.expect("no task panics")
        });
        assert_eq!(sum, SUM);
    }

    pub(crate) fn tokio(runtime: &Runtime) {
        let sum = runtime.block_on(async {
            let parent = tokio::spawn(async {
                let handles: Vec<_> =
                    (0..OPERATIONS).map(|index| tokio::spawn(async move { index })).collect();
                let mut sum = 0;
                for handle in handles {
                    sum += handle.await.expect("no task panics");
                }
                sum
            });
            parent.await.expect("no task panics")
        });
        assert_eq!(sum, SUM);
    }
}

/// Each task spawns the next; nobody joins.
pub(crate) mod chain {
    use super::*;

    /// Tasks in one chain.
    pub(crate) const OPERATIONS: u64 = 1_000;

    pub(crate) fn whirligig(event_loop: &EventLoop) {
        fn link(left: u64, end: oneshot::Sender<u64>) {
            drop(spawn_local(async move {
                match left {
                    0 => end.send(OPERATIONS).expect("the root waits"),
                    _ => link(left - 1, end),
                }
            }));
        }
        let links = event_loop.block_on(async {
            let (sender, receiver) = oneshot::channel();
            link(OPERATIONS - 1, sender);
            receiver.await
        });
        assert_eq!(links, Ok(OPERATIONS));
    }

    pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
        fn link(left: u64, end: oneshot::Sender<u64>) {
            drop(spawn(async move {
                match left {
                    0 => end.send(OPERATIONS).expect("the root waits"),
                    _ => link(left - 1, end),
                }
            }));
        }
        let links = runtime.block_on(async {
            let (sender, receiver) = oneshot::channel();
            link(OPERATIONS - 1, sender);
            receiver.await
        });
        assert_eq!(links, Ok(OPERATIONS));
    }

    pub(crate) fn tokio(runtime: &Runtime) {
        fn link(left: u64, end: oneshot::Sender<u64>) {
            drop(tokio::spawn(async move {
                match left {
                    0 => end.send(OPERATIONS).expect("the root waits"),
                    _ => link(left - 1, end),
                }
            }));
        }
        let links = runtime.block_on(async {
            let (sender, receiver) = oneshot::channel();
            link(OPERATIONS - 1, sender);
            receiver.await
        });
        assert_eq!(links, Ok(OPERATIONS));
    }
}

/// One task spawns many; nobody joins.
pub(crate) mod many {
    use super::*;

    /// Tasks spawned by one run.
    pub(crate) const OPERATIONS: u64 = 10_000;
    const SUM: u64 = OPERATIONS * (OPERATIONS + 1) / 2;

    pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
        let (countdown, all_done) = Countdown::from(SUM);
        drop(runtime.spawn(async move {
            for part in 1..=OPERATIONS {
                let countdown = countdown.clone();
                drop(spawn(async move { countdown.take(part) }));
            }
        }));
        assert_eq!(runtime.block_on(all_done), Ok(()));
    }

    pub(crate) fn tokio(runtime: &Runtime) {
        let (countdown, all_done) = Countdown::from(SUM);
        drop(runtime.spawn(async move {
            for part in 1..=OPERATIONS {
                let countdown = countdown.clone();
                drop(tokio::spawn(async move { countdown.take(part) }));
            }
        }));
        assert_eq!(runtime.block_on(all_done), Ok(()));
    }
}

/// A thread that is no worker spawns many; nobody joins.
pub(crate) mod outside {
    use super::*;

    /// Tasks spawned by one run.
    pub(crate) const OPERATIONS: u64 = 10_000;
    const SUM: u64 = OPERATIONS * (OPERATIONS + 1) / 2;

    pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
        let (countdown, all_done) = Countdown::from(SUM);
        for part in 1..=OPERATIONS {
            let countdown = countdown.clone();
            drop(runtime.spawn(async move { countdown.take(part) }));
        }
        drop(countdown);
        assert_eq!(runtime.block_on(all_done), Ok(()));
    }

    pub(crate) fn tokio(runtime: &Runtime) {
        let (countdown, all_done) = Countdown::from(SUM);
        for part in 1..=OPERATIONS {
            let countdown = countdown.clone();
            drop(runtime.spawn(async move { countdown.take(part) }));
        }
        drop(countdown);
        assert_eq!(runtime.block_on(all_done), Ok(()));
    }
}
