//! Calls on the blocking pool: short ones, at times more than it has room for; cancelled, given up, awaited by nobody.
//! (Those that panic are in `panics.rs`.)
//!
//! The law: each call that begins ends; one whose handle says cancelled has not begun; every other handle gives its
//! own call's output.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use futures_util::future::join_all;
use whirligig::task::{self, JoinHandle};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, briefly, demand, pause},
};

#[derive(Default)]
pub(crate) struct Blocking {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Workload for Blocking {
    fn name(&self) -> &'static str {
        "blocking calls"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            here.lanes(4, &mut rng, |round, mut rng| {
                let this = self.clone();
                async move {
                    while round.goes_on() {
                        this.one(&round, &mut rng).await;
                        pause(&mut rng).await;
                    }
                }
            })
            .await;
        })
    }

    fn check(&self, round: &Round) {
        let (begun, ended) = (self.begun.load(SeqCst), self.ended.load(SeqCst));
        demand!(round, begun == ended, "{begun} calls began, {ended} ended");
    }
}

impl Blocking {
    async fn one(self: &Arc<Self>, round: &Arc<Round>, rng: &mut Rng) {
        let key = rng.u64(..);
        let has_begun = Arc::new(AtomicBool::new(false));
        let call = self.call(round, rng, key, has_begun.clone());
        match rng.u8(0..7) {
            0 => {
                if let Ok(handle) = task::try_spawn_blocking(call) {
                    round.expect(handle.await, key);
                }
            }
            1 => {
                let called = task::spawn_blocking(call);
                called.cancel();
                let cancelled = round.expect_or_cancelled(called.await, key);
                demand!(
                    round,
                    !(cancelled && has_begun.load(SeqCst)),
                    "a call that was cancelled had begun"
                );
            }
            2 => drop(task::spawn_blocking(call)),
            3 => {
                if let Some(outcome) = briefly(rng, task::spawn_blocking(call)).await {
                    round.expect(outcome, key);
                }
            }
            4 => {
                let calls: Vec<_> = (0..rng.u8(1..30)).map(|_| rng.u64(..)).collect();
                let calls = calls.into_iter().map(|key| {
                    let call = self.call(round, rng, key, Arc::default());
                    async move { round.expect(task::spawn_blocking(call).await, key) }
                });
                // All are made before the first is awaited.
                join_all(calls.collect::<Vec<_>>()).await;
            }
            _ => round.expect(task::spawn_blocking(call).await, key),
        }
    }

    fn call(
        self: &Arc<Self>,
        round: &Arc<Round>,
        rng: &mut Rng,
        key: u64,
        has_begun: Arc<AtomicBool>,
    ) -> impl FnOnce() -> u64 + Send + use<> {
        let (this, member) = (self.clone(), round.enrol(Kind::Job));
        let micros = rng.u64(0..1_500);
        move || {
            has_begun.store(true, SeqCst);
            this.begun.fetch_add(1, SeqCst);
            if micros > 500 {
                thread::sleep(Duration::from_micros(micros));
            }
            this.ended.fetch_add(1, SeqCst);
            member.complete();
            key
        }
    }
}
