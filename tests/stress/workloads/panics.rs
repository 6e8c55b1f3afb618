//! Tasks and blocking calls that panic.
//!
//! The law: a panic is its own handle's outcome, with its own payload, and harms nobody else. A handle that outlives
//! its runtime has an outcome as well.
//!
//! They unwind without the panic hook, which is left to the panics that nobody meant. And as a panic that no handle
//! sees is reported on standard error, the handles are kept where a task that is dropped does not take them along.

use std::{
    future::{Future, poll_fn},
    panic::resume_unwind,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use fastrand::Rng;
use whirligig::task::{self, JoinError, JoinHandle, SpawnBlocking};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, demand, pause},
};

const LANES: usize = 3;

#[derive(Default)]
pub(crate) struct Panics {
    kept: [Mutex<Kept>; LANES],
}

/// Of a task, or of a blocking call.
enum Handle {
    Task(JoinHandle<()>),
    Call(SpawnBlocking<()>),
}

impl Handle {
    fn is_finished(&self) -> bool {
        match self {
            Self::Task(task) => task.is_finished(),
            Self::Call(call) => call.is_finished(),
        }
    }

    fn wait(self) -> Result<(), JoinError> {
        match self {
            Self::Task(task) => task.wait(),
            Self::Call(call) => call.wait(),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), JoinError>> {
        match self {
            Self::Task(task) => Pin::new(task).poll(cx),
            Self::Call(call) => Pin::new(call).poll(cx),
        }
    }
}

/// One that is to panic, and what with.
type Kept = Option<(u64, Handle)>;

impl Workload for Panics {
    fn name(&self) -> &'static str {
        "panics"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            let mut lanes = 0..LANES;
            here.lanes(LANES, &mut rng, |round, mut rng| {
                let (this, lane) = (self.clone(), lanes.next().expect("as many"));
                async move {
                    while round.goes_on() {
                        this.one(&round, &mut rng, lane).await;
                        pause(&mut rng).await;
                    }
                }
            })
            .await;
        })
    }

    fn check(&self, round: &Round) {
        for lane in 0..LANES {
            let kept = self.lock(lane).take();
            if let Some((key, task)) = kept {
                demand!(
                    round,
                    task.is_finished(),
                    "a task of a runtime that is gone has not ended"
                );
                expect_panic(round, task.wait(), key);
            }
        }
    }
}

impl Panics {
    fn lock(&self, lane: usize) -> MutexGuard<'_, Kept> {
        self.kept[lane].lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn one(&self, round: &Arc<Round>, rng: &mut Rng, lane: usize) {
        let (key, mut choices, there) = (rng.u64(..), rng.fork(), round.clone());
        // Complete just before the panic: what is cancelled instead has not completed.
        let blocking = rng.bool().then(|| {
            let member = round.enrol(Kind::Panic);
            task::try_spawn_blocking(move || -> () {
                member.complete();
                resume_unwind(Box::new(key))
            })
        });
        let task = match blocking {
            Some(Ok(call)) => Handle::Call(call),
            Some(Err(_full_or_over)) => return,
            None => Handle::Task(whirligig::spawn(async move {
                let member = there.enrol(Kind::Panic);
                pause(&mut choices).await;
                member.complete();
                resume_unwind(Box::new(key));
            })),
        };
        *self.lock(lane) = Some((key, task));
        let outcome = poll_fn(|cx| {
            let mut kept = self.lock(lane);
            let (_, task) = kept.as_mut().expect("it is kept until it has ended");
            task.poll(cx)
        })
        .await;
        *self.lock(lane) = None;
        expect_panic(round, outcome, key);
    }
}

fn expect_panic(round: &Round, outcome: Result<(), JoinError>, key: u64) {
    let Err(error) = outcome else { return round.fail("a panic was lost".to_owned()) };
    match error.try_into_panic() {
        Ok(panic) => {
            let panic = panic.downcast_ref();
            demand!(round, panic == Some(&key), "another task's panic: {panic:?}");
        }
        Err(error) => demand!(round, round.is_cut(), "{error}"),
    }
}
