//! Groups: a task spawns ten thousand children into a group and takes their outcomes as they end.
//!
//! `next` takes them one by one, `wait` all at once; tokio's `JoinSet` has `join_next` and `join_all` for that.
//! `window` keeps sixteen children in a group, a new one for each that ends: what a crawler does. Called by
//! `benches/group.rs`.

use tokio::{runtime::Runtime, task::JoinSet};
use whirligig::{EventLoop, spawn, spawn_local, task::TaskGroup};

/// Children spawned and joined by one run.
pub(crate) const OPERATIONS: u64 = 10_000;
const SUM: u64 = OPERATIONS * (OPERATIONS - 1) / 2;
/// Children in a group at one time, in `window`.
const WINDOW: u64 = 16;

/// The program as one task of a side.
macro_rules! sides {
    ($ours:ident, $theirs:ident) => {
        pub(crate) fn whirligig(event_loop: &EventLoop) {
            let sum = event_loop.block_on(async { spawn_local($ours()).await });
            assert_eq!(sum.expect("the parent does not panic"), SUM);
        }

        pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
            let sum = runtime.block_on(async { spawn($ours()).await });
            assert_eq!(sum.expect("the parent does not panic"), SUM);
        }

        pub(crate) fn tokio(runtime: &Runtime) {
            let sum = runtime.block_on(async { tokio::spawn($theirs()).await });
            assert_eq!(sum.expect("the parent does not panic"), SUM);
        }
    };
}

/// One outcome after the other.
pub(crate) mod next {
    use super::*;

    async fn ours() -> u64 {
        let mut group = TaskGroup::new();
        for index in 0..OPERATIONS {
            group.spawn(async move { index });
        }
        let mut sum = 0;
        while let Some(outcome) = group.next().await {
            sum += outcome.expect("no child panics");
        }
        sum
    }

    async fn theirs() -> u64 {
        let mut set = JoinSet::new();
        for index in 0..OPERATIONS {
            set.spawn(async move { index });
        }
        let mut sum = 0;
        while let Some(outcome) = set.join_next().await {
            sum += outcome.expect("no child panics");
        }
        sum
    }

    sides!(ours, theirs);
}

/// All outcomes at once.
pub(crate) mod wait {
    use super::*;

    async fn ours() -> u64 {
        let mut group = TaskGroup::new();
        for index in 0..OPERATIONS {
            group.spawn(async move { index });
        }
        let outcomes = group.wait().await;
        outcomes.into_iter().map(|outcome| outcome.expect("no child panics")).sum()
    }

    async fn theirs() -> u64 {
        let mut set = JoinSet::new();
        for index in 0..OPERATIONS {
            set.spawn(async move { index });
        }
        set.join_all().await.into_iter().sum()
    }

    sides!(ours, theirs);
}

/// A few at a time.
pub(crate) mod window {
    use super::*;

    async fn ours() -> u64 {
        let mut group = TaskGroup::new();
        let mut sum = 0;
        for index in 0..OPERATIONS {
            if index >= WINDOW {
                let outcome = group.next().await.expect("the window is full");
                sum += outcome.expect("no child panics");
            }
            group.spawn(async move { index });
        }
        while let Some(outcome) = group.next().await {
            sum += outcome.expect("no child panics");
        }
        sum
    }

    async fn theirs() -> u64 {
        let mut set = JoinSet::new();
        let mut sum = 0;
        for index in 0..OPERATIONS {
            if index >= WINDOW {
                let outcome = set.join_next().await.expect("the window is full");
                sum += outcome.expect("no child panics");
            }
            set.spawn(async move { index });
        }
        while let Some(outcome) = set.join_next().await {
            sum += outcome.expect("no child panics");
        }
        sum
    }

    sides!(ours, theirs);
}
