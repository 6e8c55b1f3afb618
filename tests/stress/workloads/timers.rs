//! Sleeps, intervals, timeouts and resets, alone and many at once, also of a task that did not begin them.
//!
//! The law: none is early, by the system's clock, and all fire.

use std::{
    future::{Future, pending},
    sync::Arc,
    time::{Duration, Instant},
};

use fastrand::Rng;
use futures_lite::future::poll_once;
use futures_util::future::join_all;
use whirligig::{
    task::JoinHandle,
    time::{self, interval, sleep, timeout},
};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, demand, pause},
};

const FAR: Duration = Duration::from_secs(3_600);

pub(crate) struct Timers;

impl Workload for Timers {
    fn name(&self) -> &'static str {
        "timers"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            here.lanes(8, &mut rng, |round, mut rng| async move {
                while round.goes_on() {
                    one(&round, &mut rng).await;
                    if rng.u8(0..4) == 0 {
                        pause(&mut rng).await;
                    }
                }
            })
            .await;
        })
    }
}

async fn one(round: &Arc<Round>, rng: &mut Rng) {
    let delay = Duration::from_micros(rng.u64(0..3_000));
    match rng.u8(0..8) {
        0 | 1 => fires(round, delay, || sleep(delay)).await,
        2 => {
            let timed_out = fires(round, delay, || timeout(delay, pending::<()>())).await;
            demand!(round, timed_out.is_err(), "what never comes came within {delay:?}");
        }
        3 => beat(round, rng).await,
        4 => {
            let first = if rng.bool() { FAR } else { Duration::from_micros(rng.u64(0..500)) };
            let mut moved = sleep(first);
            if poll_once(&mut moved).await.is_none() {
                pause(rng).await;
                let member = round.enrol(Kind::Timer);
                let before = Instant::now();
                moved.reset(time::Instant::now() + delay);
                moved.await;
                demand!(round, before.elapsed() >= delay, "a moved sleep of {delay:?} was early");
                member.complete();
            }
        }
        5 => {
            let delays = (0..rng.u8(1..50)).map(|_| Duration::from_micros(rng.u64(0..3_000)));
            join_all(delays.map(|delay| fires(round, delay, move || sleep(delay)))).await;
        }
        6 => {
            // Begun here, and ended by another task, on another worker it may be.
            let (before, mut begun) = (Instant::now(), sleep(delay));
            let _ = poll_once(&mut begun).await;
            let there = round.clone();
            let task = round.spawn(Kind::Lane, async move {
                let member = there.enrol(Kind::Timer);
                begun.await;
                demand!(
                    there,
                    before.elapsed() >= delay,
                    "a sleep of {delay:?} was early elsewhere"
                );
                member.complete();
            });
            round.expect(task.await, ());
        }
        _ => {
            // Given up for another that is due at about the same time.
            let other = Duration::from_micros(rng.u64(0..3_000));
            let _ = fires(round, delay.min(other), || timeout(delay, sleep(other))).await;
        }
    }
}

/// Makes and awaits what must not be ready before `delay`.
async fn fires<F: Future>(
    round: &Arc<Round>,
    delay: Duration,
    make: impl FnOnce() -> F,
) -> F::Output {
    let (member, before) = (round.enrol(Kind::Timer), Instant::now());
    let output = make().await;
    let after = before.elapsed();
    demand!(round, after >= delay, "a timer of {delay:?} fired after {after:?}");
    member.complete();
    output
}

async fn beat(round: &Arc<Round>, rng: &mut Rng) {
    let period = Duration::from_micros(rng.u64(50..1_000));
    let mut ticks = interval(period);
    let mut last = None;
    for _ in 0..rng.u8(1..6) {
        let member = round.enrol(Kind::Timer);
        let due = ticks.tick().await;
        demand!(round, time::Instant::now() >= due, "a tick was early");
        if let Some(last) = last {
            demand!(
                round,
                due - last == period,
                "a tick {:?} after the last, not {period:?}",
                due - last
            );
        }
        last = Some(due);
        member.complete();
    }
}
