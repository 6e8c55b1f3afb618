//! Tasks that are cancelled while they wait for whatever there is to wait for, from tasks and from plain threads.
//!
//! The law: a task that was cancelled in time says so, one that was faster gives its output, and either way its future
//! is gone by the time the handle says anything.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use futures_channel::oneshot;
use whirligig::{
    net::TcpListener,
    queue::Queue,
    task::{self, JoinHandle, yield_now},
    time::sleep,
};

use super::Workload;
use crate::{
    census::Kind,
    round::{Round, demand, pause},
};

pub(crate) struct Cancels;

/// A handle on its way to a thread that cancels it, and back.
type Sent = (JoinHandle<u64>, oneshot::Sender<JoinHandle<u64>>);

impl Workload for Cancels {
    fn name(&self) -> &'static str {
        "cancels"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let (cancel, handles) = channel::<Sent>();
        let mut choices = rng.fork();
        round.thread("cancel", move |_| {
            for (task, back) in handles {
                if choices.bool() {
                    thread::sleep(Duration::from_micros(choices.u64(0..100)));
                }
                task.cancel();
                // Nobody may want it back by now.
                let _ = back.send(task);
            }
        });
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            here.lanes(4, &mut rng, |round, mut rng| {
                let cancel = cancel.clone();
                async move {
                    while round.goes_on() {
                        one(&round, &mut rng, &cancel).await;
                    }
                }
            })
            .await;
        })
    }
}

async fn one(round: &Arc<Round>, rng: &mut Rng, cancel: &Sender<Sent>) {
    /// Says when it is dropped.
    struct Gone(Arc<AtomicBool>);
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.store(true, SeqCst);
        }
    }
    let (key, is_gone) = (rng.u64(..), Arc::new(AtomicBool::new(false)));
    let (gone, choices, there) = (Gone(is_gone.clone()), rng.fork(), round.clone());
    let mut task = round.spawn(Kind::Victim, async move {
        let _gone = gone;
        wait(&there, choices).await;
        key
    });
    pause(rng).await;
    match rng.u8(0..4) {
        0 => {
            let (back, wait) = oneshot::channel();
            if cancel.send((task, back)).is_err() {
                return demand!(round, round.is_cut(), "the thread that cancels has ended");
            }
            let Ok(returned) = wait.await else {
                return demand!(round, round.is_cut(), "the thread that cancels lost a handle");
            };
            task = returned;
        }
        1 => {
            let shared = Arc::new(task);
            let cancelled = shared.clone();
            let another = round.spawn(Kind::Lane, async move { _ = cancelled.cancel() });
            round.expect(another.await, ());
            // Its task has ended, so its future and what that held are gone.
            let Some(returned) = Arc::into_inner(shared) else {
                return round.fail("a task has ended and its future is not gone".to_owned());
            };
            task = returned;
        }
        _ => _ = task.cancel(),
    }
    round.expect_or_cancelled(task.await, key);
    demand!(round, is_gone.load(SeqCst), "a task's handle is ready before its future is dropped");
}

/// For ever, or a while.
async fn wait(round: &Arc<Round>, mut rng: Rng) {
    match rng.u8(0..9) {
        0 => sleep(Duration::from_micros(rng.u64(0..2_000))).await,
        1 => sleep(Duration::MAX).await,
        2 => drop(Queue::<u8>::bounded(1).get().await),
        3 => {
            let full = Queue::bounded(1);
            let _ = full.put(1).await;
            let _ = full.put(2).await;
        }
        4 => {
            let (_sender, receiver) = oneshot::channel::<()>();
            let _ = receiver.await;
        }
        5 => {
            for _ in 0..rng.u16(0..2_000) {
                yield_now().await;
            }
        }
        6 => {
            let inner = round.spawn(Kind::Tree, async move {
                sleep(Duration::from_micros(rng.u64(0..2_000))).await;
            });
            let _ = inner.await;
        }
        7 => {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            drop(listener.accept().await);
        }
        _ => {
            let member = round.enrol(Kind::Job);
            drop(task::spawn_blocking(move || member.complete()).await);
        }
    }
}
