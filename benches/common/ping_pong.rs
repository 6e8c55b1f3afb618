//! Ping-pong: 1,000 pairs of tasks, each pair sending one message there and one back.
//!
//! A pair is two spawns, two one-shot channels, two waits and two wakes: what a request that is
//! handed to another task costs. One task starts all pairs; on one thread it does so before any runs.
//! Called by `benches/ping_pong.rs`, `peers micro` and `peers multi`. The channel is tokio's on both
//! sides, as in tokio's own benchmark: it needs no runtime, and so the difference is the scheduler's. (That
//! of futures-channel makes some twenty atomic steps, which hide either.) Pairs are counted down with an
//! atomic on both sides, because most of these tasks must be `Send`.

use tokio::{runtime::Runtime, sync::oneshot};
use whirligig::{EventLoop, spawn, spawn_local};

use crate::countdown::Countdown;

/// Pairs in one run.
pub(crate) const OPERATIONS: u64 = 1_000;
// What the first side sends and the second sends back, one larger.
const PING: u64 = 41;
const SUM: u64 = OPERATIONS * (PING + 1);

pub(crate) fn whirligig(event_loop: &EventLoop) {
    let (countdown, all_done) = Countdown::from(SUM);
    let answer = event_loop.block_on(async move {
        drop(spawn_local(async move {
            for _ in 0..OPERATIONS {
                let countdown = countdown.clone();
                drop(spawn_local(async move {
                    let (ping, pinged) = oneshot::channel();
                    let (pong, ponged) = oneshot::channel();
                    drop(spawn_local(async move {
                        let value: u64 = pinged.await.expect("the ping is sent");
                        pong.send(value + 1).expect("the first side waits");
                    }));
                    ping.send(PING).expect("the second side waits");
                    countdown.take(ponged.await.expect("the pong is sent"));
                }));
            }
        }));
        all_done.await
    });
    assert_eq!(answer, Ok(()));
}

pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
    let (countdown, all_done) = Countdown::from(SUM);
    let answer = runtime.block_on(async move {
        drop(spawn(async move {
            for _ in 0..OPERATIONS {
                let countdown = countdown.clone();
                drop(spawn(async move {
                    let (ping, pinged) = oneshot::channel();
                    let (pong, ponged) = oneshot::channel();
                    drop(spawn(async move {
                        let value: u64 = pinged.await.expect("the ping is sent");
                        pong.send(value + 1).expect("the first side waits");
                    }));
                    ping.send(PING).expect("the second side waits");
                    countdown.take(ponged.await.expect("the pong is sent"));
                }));
            }
        }));
        all_done.await
    });
    assert_eq!(answer, Ok(()));
}

pub(crate) fn tokio(runtime: &Runtime) {
    let (countdown, all_done) = Countdown::from(SUM);
    let answer = runtime.block_on(async move {
        drop(tokio::spawn(async move {
            for _ in 0..OPERATIONS {
                let countdown = countdown.clone();
                drop(tokio::spawn(async move {
                    let (ping, pinged) = oneshot::channel();
                    let (pong, ponged) = oneshot::channel();
                    drop(tokio::spawn(async move {
                        let value: u64 = pinged.await.expect("the ping is sent");
                        pong.send(value + 1).expect("the first side waits");
                    }));
                    ping.send(PING).expect("the second side waits");
                    countdown.take(ponged.await.expect("the pong is sent"));
                }));
            }
        }));
        all_done.await
    });
    assert_eq!(answer, Ok(()));
}
