//! Plain threads that reach into the runtime: they spawn, call, answer what tasks ask, wake wakers that they have no
//! business with, and one of them is an event loop of its own.
//!
//! The law: each task spawned and each call made from outside is run once or refused; each answer arrives; and a waker
//! may be woken whenever, also after its task or its runtime is gone.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use fastrand::Rng;
use futures_channel::oneshot;
use futures_util::future::{Either, select};
use whirligig::{
    Handle,
    task::{JoinHandle, yield_now},
    time::sleep,
};

use super::Workload;
use crate::{
    census::{Kind, Member},
    round::{Round, demand, pause},
};

/// Stray wakers that are kept at most.
const KEPT: usize = 200;

#[derive(Default)]
pub(crate) struct Wakes {
    strays: Arc<Mutex<Vec<Waker>>>,
}

/// What a task asks a thread: to send this back.
type Question = (oneshot::Sender<(u64, Member)>, u64);

impl Workload for Wakes {
    fn name(&self) -> &'static str {
        "wakes"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let handle = Handle::current();
        for _ in 0..2 {
            let (handle, rng) = (handle.clone(), rng.fork());
            round.thread("caller", move |round| call(round, rng, &handle));
        }
        let beside = rng.fork();
        round.thread("loop", move |round| whirligig::run(neighbour(round.clone(), beside, handle)));
        let (this, stray) = (self.clone(), rng.fork());
        round.thread("stray", move |round| this.wake_strays(round, stray));
        let (ask, questions) = channel::<Question>();
        let answers = rng.fork();
        round.thread("answer", move |round| answer(round, answers, &questions));

        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            here.lanes(6, &mut rng, |round, mut rng| {
                let (this, ask) = (self.clone(), ask.clone());
                async move {
                    while round.goes_on() {
                        this.ask(&round, &mut rng, &ask).await;
                    }
                }
            })
            .await;
        })
    }

    fn release(&self) {
        // Theirs is a runtime that is gone.
        let strays = std::mem::take(&mut *self.lock());
        strays.into_iter().for_each(Waker::wake);
    }
}

impl Wakes {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Waker>> {
        self.strays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, round: &Arc<Round>, rng: &mut Rng, ask: &Sender<Question>) {
        let (answer, mut answered) = oneshot::channel();
        let key = rng.u64(..);
        if ask.send((answer, key)).is_err() {
            demand!(round, round.is_cut(), "the thread that answers has ended");
            return;
        }
        match rng.u8(0..8) {
            // Gone before it is answered, it may be.
            0 => {}
            1 => {
                let delay = Duration::from_micros(rng.u64(0..300));
                if let Either::Left((answer, _)) = select(&mut answered, sleep(delay)).await {
                    self.check_answer(round, answer, key);
                }
            }
            2 => {
                let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                let mut strays = self.lock();
                if strays.len() < KEPT {
                    strays.push(waker);
                } else {
                    let at = rng.usize(..KEPT);
                    let old = std::mem::replace(&mut strays[at], waker);
                    drop(strays);
                    drop(old);
                }
            }
            _ => self.check_answer(round, answered.await, key),
        }
    }

    fn check_answer(
        &self,
        round: &Round,
        answer: Result<(u64, Member), oneshot::Canceled>,
        key: u64,
    ) {
        match answer {
            Ok((answer, member)) => {
                demand!(round, answer == key, "an answer to another question");
                member.complete();
            }
            Err(_) => demand!(round, round.is_cut(), "a question was not answered"),
        }
    }

    /// Wakes what others left, at any time.
    fn wake_strays(&self, round: &Round, mut rng: Rng) {
        while round.goes_on() {
            let waker = {
                let strays = self.lock();
                (!strays.is_empty()).then(|| strays[rng.usize(..strays.len())].clone())
            };
            if let Some(waker) = waker {
                waker.wake();
            }
            if rng.u8(0..8) == 0 {
                thread::sleep(Duration::from_micros(rng.u64(0..500)));
            }
        }
    }
}

/// Answers until nobody is left to ask.
fn answer(round: &Arc<Round>, mut rng: Rng, questions: &Receiver<Question>) {
    let mut kept = Vec::new();
    loop {
        match questions.recv_timeout(Duration::from_micros(200)) {
            Ok(question) => kept.push(question),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) if kept.is_empty() => return,
            Err(RecvTimeoutError::Disconnected) => {}
        }
        // Now one, now all of them, the latest first.
        if rng.u8(0..4) == 0 {
            while let Some((answer, key)) = kept.pop() {
                send(round, answer, key);
            }
        } else if rng.bool()
            && let Some((answer, key)) = kept.pop()
        {
            send(round, answer, key);
        }
    }
}

fn send(round: &Arc<Round>, answer: oneshot::Sender<(u64, Member)>, key: u64) {
    if let Err((_, member)) = answer.send((key, round.enrol(Kind::Answer))) {
        // Whoever asked has gone, as some do.
        member.complete();
    }
}

/// A thread that has tasks run, and waits for some of them.
fn call(round: &Arc<Round>, mut rng: Rng, handle: &Handle) {
    while round.goes_on() {
        let key = rng.u64(..);
        match rng.u8(0..6) {
            0 => {
                let member = round.enrol(Kind::Call);
                let refused = handle.call_soon_threadsafe(move || member.complete());
                demand!(round, refused.is_ok() || round.is_cut(), "a call was refused");
            }
            1 => {
                let task = round.spawn_on(handle, async move {
                    sleep(Duration::from_millis(1)).await;
                    key
                });
                if rng.bool() {
                    thread::sleep(Duration::from_micros(rng.u64(0..1_500)));
                }
                task.cancel();
                round.expect_or_cancelled(task.wait(), key);
            }
            2 => {
                // Nobody waits for them.
                for _ in 0..rng.u8(0..20) {
                    drop(round.spawn_on(handle, yield_now()));
                }
            }
            _ => {
                let mut choices = rng.fork();
                let task = round.spawn_on(handle, async move {
                    pause(&mut choices).await;
                    key
                });
                round.expect(task.wait(), key);
            }
        }
        if rng.u8(0..4) == 0 {
            thread::sleep(Duration::from_micros(rng.u64(0..500)));
        }
    }
}

/// A loop of its own that awaits tasks of the round's.
async fn neighbour(round: Arc<Round>, mut rng: Rng, handle: Handle) {
    while round.goes_on() {
        let (key, mut choices) = (rng.u64(..), rng.fork());
        let task = round.spawn_on(&handle, async move {
            pause(&mut choices).await;
            key
        });
        round.expect(task.await, key);
        pause(&mut rng).await;
    }
}
