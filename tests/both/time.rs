//! Time: never early, and in the order of deadlines.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use crate::api::{Api, Ended, Ours, Tokio, agree};

const SOON: Duration = Duration::from_millis(2);

async fn not_early<A: Api>() -> Vec<bool> {
    let before = Instant::now();
    A::sleep(SOON).await;
    let here = before.elapsed() >= SOON;
    let task = A::spawn(async move {
        let before = Instant::now();
        A::sleep(SOON).await;
        before.elapsed() >= SOON
    });
    let Ended::Output(there) = A::join(task).await else { panic!("the task is lost") };
    vec![here, there]
}

#[test]
fn a_sleep_is_not_early() {
    agree(not_early::<Ours>, not_early::<Tokio>);
}

async fn timeouts<A: Api>() -> Vec<Option<u32>> {
    let in_time = A::timeout(Duration::MAX, async { 1 }).await;
    let never = A::timeout(SOON, pending()).await;
    let gives_way = A::timeout(Duration::from_secs(3600), async {
        A::yield_now().await;
        2
    });
    vec![in_time, never, gives_way.await]
}

#[test]
fn a_timeout_ends_what_takes_too_long() {
    agree(timeouts::<Ours>, timeouts::<Tokio>);
}

async fn many<A: Api>() -> usize {
    let sleepers: Vec<_> = (0..1_000)
        .map(|n| {
            A::spawn(async move {
                A::sleep(Duration::from_micros(n % 50 * 40)).await;
                // Cancelled half-way, most of them.
                A::timeout(Duration::from_micros(n % 7), A::sleep(Duration::from_secs(3600))).await
            })
        })
        .collect();
    let mut timed_out = 0;
    for sleeper in sleepers {
        timed_out += usize::from(A::join(sleeper).await == Ended::Output(None));
    }
    timed_out
}

#[test]
fn many_timers_come_and_go() {
    agree(many::<Ours>, many::<Tokio>);
}
