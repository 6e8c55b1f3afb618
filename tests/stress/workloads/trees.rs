//! Tasks that spawn tasks: random trees, whose tasks are awaited, let go or cancelled.
//!
//! The law: each task is counted in and out once, and each handle gives its own task's output, or says cancelled
//! where it was.

use std::{pin::Pin, sync::Arc};

use fastrand::Rng;
use whirligig::task::{JoinHandle, yield_now};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, pause},
};

pub(crate) struct Trees;

impl Workload for Trees {
    fn name(&self) -> &'static str {
        "trees"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            here.lanes(4, &mut rng, |round, mut rng| async move {
                while round.goes_on() {
                    let (depth, key) = (rng.u8(0..6), rng.u64(..));
                    let root = tree(round.clone(), rng.fork(), depth, key);
                    round.expect(round.spawn(Kind::Tree, root).await, key);
                    pause(&mut rng).await;
                }
            })
            .await;
        })
    }
}

/// A task, its children and theirs. Its output is its key.
fn tree(
    round: Arc<Round>,
    mut rng: Rng,
    depth: u8,
    key: u64,
) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        let mut children = Vec::new();
        if depth > 0 {
            for _ in 0..rng.u8(0..5) {
                let key = rng.u64(..);
                let child = tree(round.clone(), rng.fork(), depth - 1, key);
                children.push((key, round.spawn(Kind::Tree, child)));
                if rng.u8(0..4) == 0 {
                    yield_now().await;
                }
            }
        }
        for (key, child) in children {
            match rng.u8(0..8) {
                0 => drop(child),
                1 => {
                    child.cancel();
                    round.expect_or_cancelled(child.await, key);
                }
                2 => {
                    yield_now().await;
                    child.cancel();
                    yield_now().await;
                    round.expect_or_cancelled(child.await, key);
                }
                _ => round.expect(child.await, key),
            }
        }
        key
    })
}
