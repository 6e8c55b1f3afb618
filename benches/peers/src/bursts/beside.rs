//! A short task beside tasks that block their worker again and again: how late it is.
//!
//! Each of the blocking tasks does the same for ever: a poll that blocks the thread, then a sleep on the
//! runtime's timer. [`Polls`] counts the polls. Beside them one task waits for one thing: a socket
//! ([`echo`]), a timer ([`timer`]) or a wake from a plain thread ([`wake`]). As long as one worker is
//! free, it can run as soon as that happens. If instead it waits in the run queue, the timers or the
//! `epoll` of a blocked worker, its latency is up to a whole poll.
//!
//! What needs nothing of a runtime but its `sleep` is written once for both, and what depends on its types
//! twice. The alternative for the client is a process of its own, as `peers echo` has. Here it sends one
//! byte in about a millisecond, which takes no time from the runtime that would show.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_channel::mpsc as wakes;
use futures_lite::StreamExt as _;
use whirligig::Runtime;

use crate::echo_servers;

/// Requests, sleeps or wakes before those that are measured.
const WARM_UP: usize = 20;
const MEASURED: usize = 300;
/// Between two polls of a task that blocks.
const PAUSE: Duration = Duration::from_millis(1);
/// Beyond this something is lost and not late.
const LATEST: Duration = Duration::from_secs(10);

/// How often each of the tasks that block has been polled.
#[derive(Clone)]
struct Polls(Arc<[AtomicU64]>);

impl Polls {
    fn of(tasks: usize) -> Self {
        Self((0..tasks).map(|_| AtomicU64::new(0)).collect())
    }

    /// The task with this number. It ends with its runtime.
    async fn block_again_and_again<S: Future<Output = ()>>(
        self,
        number: usize,
        time: Duration,
        sleep: fn(Duration) -> S,
    ) {
        loop {
            thread::sleep(time);
            self.0[number].fetch_add(1, Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// Calls `measure` once every task has been polled, and checks that each was polled meanwhile.
    fn during<T>(&self, measure: impl FnOnce() -> Result<T>) -> Result<T> {
        let counts = || self.0.iter().map(|polls| polls.load(Relaxed)).collect::<Vec<_>>();
        let started = Instant::now();
        while counts().contains(&0) {
            ensure!(started.elapsed() < LATEST, "a task was not polled within {LATEST:?}");
            thread::sleep(PAUSE);
        }
        let before = counts();
        let measured = measure()?;
        let all_went_on = before.iter().zip(counts()).all(|(&before, after)| after > before);
        ensure!(all_went_on, "a task that blocks was not polled while the others were measured");
        Ok(measured)
    }
}

/// Calls `measure` while `tasks` block workers of ours.
fn beside_whirligig<T>(
    runtime: &Runtime,
    tasks: usize,
    time: Duration,
    measure: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let polls = Polls::of(tasks);
    for number in 0..tasks {
        let polls = polls.clone();
        drop(runtime.spawn(polls.block_again_and_again(number, time, whirligig::time::sleep)));
    }
    polls.during(measure)
}

/// Calls `measure` while `tasks` block workers of tokio's.
fn beside_tokio<T>(
    runtime: &tokio::runtime::Runtime,
    tasks: usize,
    time: Duration,
    measure: impl FnOnce() -> Result<T>,
) -> Result<T> {
    let polls = Polls::of(tasks);
    for number in 0..tasks {
        let polls = polls.clone();
        drop(runtime.spawn(polls.block_again_and_again(number, time, tokio::time::sleep)));
    }
    polls.during(measure)
}

/// Calls `request` with each number, and gives how long the measured ones took.
///
/// The pauses between them differ, for with equal ones the requests fall into step with the polls. They
/// are no longer than [`PAUSE`], which is the harder comparison: with 0.5 to 1.5 ms tokio's p99 of the
/// echo is that of a whole poll, because a worker that leaves its driver for a task hands it to no other.
fn one_after_another(mut request: impl FnMut(usize) -> Result<()>) -> Result<Vec<Duration>> {
    let mut random = fastrand::Rng::with_seed(0x5EED);
    let mut took = Vec::with_capacity(WARM_UP + MEASURED);
    for number in 0..WARM_UP + MEASURED {
        thread::sleep(Duration::from_micros(random.u64(300..=1_000)));
        let started = Instant::now();
        request(number)?;
        took.push(started.elapsed());
    }
    Ok(took.split_off(WARM_UP))
}

/// One byte over TCP, there and back, asked for by a plain thread.
pub(in crate::bursts) mod echo {
    use super::*;

    pub(in crate::bursts) fn whirligig(
        runtime: &Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        beside_whirligig(runtime, tasks, time, || {
            let mut client = None;
            let ready = |address| client = Some(thread::spawn(move || requests(address)));
            echo_servers::whirligig_multi(runtime, 1, ready, |_| ())?;
            client.context("the server was never ready")?.join().expect("the client does not panic")
        })
    }

    pub(in crate::bursts) fn tokio(
        runtime: &tokio::runtime::Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        beside_tokio(runtime, tasks, time, || {
            let mut client = None;
            let ready = |address| client = Some(thread::spawn(move || requests(address)));
            echo_servers::tokio(runtime, 1, ready, |_| ())?;
            client.context("the server was never ready")?.join().expect("the client does not panic")
        })
    }

    fn requests(address: SocketAddr) -> Result<Vec<Duration>> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LATEST))?;
        one_after_another(|number| {
            let (sent, mut received) = ([number as u8], [0]);
            stream.write_all(&sent).context("the server does not read")?;
            stream.read_exact(&mut received).context("the server does not answer")?;
            ensure!(sent == received, "the echo differs from the byte");
            Ok(())
        })
    }
}

/// A sleep of a millisecond, again and again: from its deadline to when the task runs.
pub(in crate::bursts) mod timer {
    use super::*;

    const ASKED: Duration = Duration::from_millis(1);

    pub(in crate::bursts) fn whirligig(
        runtime: &Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        beside_whirligig(runtime, tasks, time, || {
            let task = runtime.spawn(lateness(whirligig::time::sleep));
            runtime.block_on(task).expect("no task panics")
        })
    }

    pub(in crate::bursts) fn tokio(
        runtime: &tokio::runtime::Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        beside_tokio(runtime, tasks, time, || {
            let task = runtime.spawn(lateness(tokio::time::sleep));
            runtime.block_on(task).expect("no task panics")
        })
    }

    async fn lateness<S: Future<Output = ()>>(sleep: fn(Duration) -> S) -> Result<Vec<Duration>> {
        let mut late = Vec::with_capacity(WARM_UP + MEASURED);
        for _ in 0..WARM_UP + MEASURED {
            let started = Instant::now();
            sleep(ASKED).await;
            late.push(started.elapsed().checked_sub(ASKED).context("a sleep ended early")?);
        }
        Ok(late.split_off(WARM_UP))
    }
}

/// A plain thread wakes a task through a channel, and waits for its answer.
pub(in crate::bursts) mod wake {
    use super::*;

    pub(in crate::bursts) fn whirligig(
        runtime: &Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        beside_whirligig(runtime, tasks, time, || {
            let (questions, asked) = wakes::unbounded();
            let (answer, answers) = mpsc::channel();
            let task = runtime.spawn(answer_all(asked, answer));
            let took = ask(questions, &answers)?;
            runtime.block_on(task).expect("no task panics");
            Ok(took)
        })
    }

    pub(in crate::bursts) fn tokio(
        runtime: &tokio::runtime::Runtime,
        tasks: usize,
        time: Duration,
    ) -> Result<Vec<Duration>> {
        beside_tokio(runtime, tasks, time, || {
            let (questions, asked) = wakes::unbounded();
            let (answer, answers) = mpsc::channel();
            let task = runtime.spawn(answer_all(asked, answer));
            let took = ask(questions, &answers)?;
            runtime.block_on(task).expect("no task panics");
            Ok(took)
        })
    }

    async fn answer_all(mut asked: wakes::UnboundedReceiver<usize>, answer: mpsc::Sender<usize>) {
        while let Some(number) = asked.next().await {
            answer.send(number).expect("the thread waits for it");
        }
    }

    /// Consumes the sender: the task ends when there is none.
    fn ask(
        questions: wakes::UnboundedSender<usize>,
        answers: &mpsc::Receiver<usize>,
    ) -> Result<Vec<Duration>> {
        one_after_another(|number| {
            questions.unbounded_send(number).context("the task has ended")?;
            let answered = answers.recv_timeout(LATEST).context("the task does not answer")?;
            ensure!(answered == number, "asked {number}, and {answered} was answered");
            Ok(())
        })
    }
}
