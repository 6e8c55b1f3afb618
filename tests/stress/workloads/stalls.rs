//! Tasks that stop their worker, or the whole event loop: in long polls, and on a runtime in `block_in_place`.
//!
//! The law: everything else goes on beside them or after them, and adds up.

use std::{
    hint,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;
use whirligig::{
    task::{JoinHandle, block_in_place},
    time::sleep,
};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, demand},
};

pub(crate) struct LongPolls;

impl Workload for LongPolls {
    fn name(&self) -> &'static str {
        "long polls"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            here.lanes(2, &mut rng, |round, mut rng| async move {
                while round.goes_on() {
                    let member = round.enrol(Kind::LongPoll);
                    stall(&mut rng, 1_000..5_000);
                    member.complete();
                    sleep(Duration::from_micros(rng.u64(0..40_000))).await;
                }
            })
            .await;
        })
    }
}

pub(crate) struct BlocksInPlace;

impl Workload for BlocksInPlace {
    fn name(&self) -> &'static str {
        "block_in_place"
    }

    /// One at a time waits for a task in there, and only where a worker is left to run it.
    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        let others = round.variant.workers.is_some_and(|workers| workers > 1);
        round.spawn(Kind::Lane, async move {
            while here.goes_on() {
                let member = here.enrol(Kind::InPlace);
                let (key, mut borrowed) = (rng.u64(..), 0);
                block_in_place(|| {
                    stall(&mut rng, 0..2_000);
                    borrowed = key;
                    if others && rng.bool() {
                        let task = here.spawn(Kind::Tree, async move {
                            sleep(Duration::from_micros(100)).await;
                            key
                        });
                        here.expect(task.wait(), key);
                    }
                });
                demand!(here, borrowed == key, "what it borrowed was not written");
                member.complete();
                sleep(Duration::from_micros(rng.u64(0..20_000))).await;
            }
        })
    }
}

/// Holds up its thread, computing or in the kernel.
fn stall(rng: &mut Rng, micros: std::ops::Range<u64>) {
    let length = Duration::from_micros(rng.u64(micros));
    if rng.bool() {
        thread::sleep(length);
    } else {
        let began = Instant::now();
        while began.elapsed() < length {
            hint::spin_loop();
        }
    }
}
