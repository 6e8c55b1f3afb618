//! Ping-pong: 1,000 pairs of tasks, each pair sending one message there and one back.
//!
//! A pair is two spawns, two one-shot channels, two waits and two wakes: what a request that is
//! handed to another task costs. All pairs are started before any runs. Called by
//! `benches/ping_pong.rs` and by `peers micro`. The channel is the same, runtime-neutral one on both
//! sides, so that the difference is the scheduler's and not the channel's; pairs are counted down
//! with an atomic on both sides, because tokio's tasks must be `Send`.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::AcqRel},
};

use futures_channel::oneshot;
use tokio::runtime::Runtime;
use whirligig::{EventLoop, spawn_local};

/// Pairs in one run.
pub(crate) const OPERATIONS: u64 = 1_000;
// What the first side sends and the second sends back, one larger.
const PING: u64 = 41;

pub(crate) fn whirligig(event_loop: &EventLoop) {
    let answer = event_loop.block_on(async {
        let (all_done, wait) = oneshot::channel();
        let countdown = Countdown::new(all_done);
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
                countdown.finish(ponged.await.expect("the pong is sent"));
            }));
        }
        drop(countdown);
        wait.await
    });
    assert_eq!(answer, Ok(PING + 1));
}

pub(crate) fn tokio(runtime: &Runtime) {
    let answer = runtime.block_on(async {
        let (all_done, wait) = oneshot::channel();
        let countdown = Countdown::new(all_done);
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
                countdown.finish(ponged.await.expect("the pong is sent"));
            }));
        }
        drop(countdown);
        wait.await
    });
    assert_eq!(answer, Ok(PING + 1));
}

/// Sends the last pair's answer once all pairs have one.
#[derive(Clone)]
struct Countdown(Arc<(AtomicU64, std::sync::Mutex<Option<oneshot::Sender<u64>>>)>);

impl Countdown {
    fn new(all_done: oneshot::Sender<u64>) -> Self {
        Self(Arc::new((AtomicU64::new(OPERATIONS), std::sync::Mutex::new(Some(all_done)))))
    }

    fn finish(&self, answer: u64) {
        let (left, all_done) = &*self.0;
        if left.fetch_sub(1, AcqRel) == 1 {
            let sender = all_done.lock().expect("no pair panics").take();
            sender.expect("only one pair is the last").send(answer).expect("the root waits");
        }
    }
}
