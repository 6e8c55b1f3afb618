//! The sentry: what waits behind a worker that is stuck in one long poll is served while that poll goes
//! on, whatever it is; and where everybody sleeps, nothing ticks.
//!
//! The poll here lasts until what waits behind it was served. So there is nothing to measure: without a
//! sentry each of these tests hangs, and the watchdog ends it.

use std::{
    fs,
    future::{pending, poll_fn},
    io::{Read, Write, pipe},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use whirligig::{
    Runtime, RuntimeBuilder,
    io::Source,
    spawn,
    task::{self, JoinHandle},
    time,
    trace::{Event, EventKind},
};

use crate::Watchdog;

fn two_workers() -> RuntimeBuilder {
    Runtime::builder().worker_threads(2).sentry_tick(Duration::from_millis(1))
}

/// Says that it was called.
struct Bell(Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Called a second time, nobody may listen any more.
        let _ = self.0.send(());
    }
}

fn bell() -> (Waker, Receiver<()>) {
    let (sender, rings) = channel();
    (Waker::from(Arc::new(Bell(sender))), rings)
}

/// Waits until one worker is awake and the other keeps guard.
fn await_guard(runtime: &Runtime) {
    loop {
        let state = format!("{runtime:?}");
        if state.contains("awake: 1") && state.contains("sentry: Some") {
            return;
        }
        thread::yield_now();
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A worker stuck in a task's poll, while the other keeps guard.
struct Stuck {
    tasks: [JoinHandle<()>; 2],
    job: Sender<Option<Job>>,
}

impl Stuck {
    /// Has both workers stuck, and frees the second: the first one's reactor has the sockets of both.
    fn first(runtime: &Runtime) -> Self {
        let (arrive, arrived) = channel();
        let stick = |()| {
            let arrive = arrive.clone();
            runtime.spawn(async move {
                let (job, jobs) = channel::<Option<Job>>();
                let worker = thread::current().name().map(str::to_owned);
                arrive.send((worker, job)).unwrap();
                if let Some(job) = jobs.recv().unwrap() {
                    job();
                }
            })
        };
        let (task, one) = (stick(()), arrived.recv().unwrap());
        await_long_poll();
        let tasks = [task, stick(())];
        let other = arrived.recv().unwrap();
        let is_first = one.0.expect("a worker's thread has a name").ends_with('0');
        let (first, second) = if is_first { (one.1, other.1) } else { (other.1, one.1) };
        second.send(None).unwrap();
        await_guard(runtime);
        Self { tasks, job: first }
    }

    /// Has it do this, in that same poll.
    fn run(&self, job: impl FnOnce() + Send + 'static) {
        self.job.send(Some(Box::new(job))).unwrap();
    }

    fn end(self) {
        self.tasks.into_iter().for_each(|task| task.wait().unwrap());
    }
}

/// Lets time pass until no worker that is in a poll has read its clock lately: then whoever injects gets
/// another up.
fn await_long_poll() {
    let before = Instant::now();
    while before.elapsed() < Duration::from_millis(1) {
        thread::yield_now();
    }
}

/// Runs `poll` on a worker that is stuck in it, while the other keeps guard. Says how many takeovers had
/// been counted before.
fn beside_a_sentry(runtime: &Runtime, poll: impl FnOnce() + Send + 'static) -> u64 {
    let stuck = Stuck::first(runtime);
    let before = takeovers(runtime);
    stuck.run(poll);
    stuck.end();
    before
}

fn takeovers(runtime: &Runtime) -> u64 {
    runtime.stats().iter().map(|worker| worker.takeovers).sum()
}

/// Exactly one takeover has been counted since `before`: a sentry counts it when it is done, and wakes
/// before that.
fn await_takeover(runtime: &Runtime, before: u64) {
    while takeovers(runtime) == before {
        thread::yield_now();
    }
    assert_eq!(takeovers(runtime), before + 1);
}

#[test]
fn a_task_in_the_queue_of_a_stuck_worker_runs() {
    let _watchdog = Watchdog::new("a task behind a stuck worker");
    let runtime = two_workers().build().unwrap();
    let before = beside_a_sentry(&runtime, || {
        let (served, wait) = channel();
        drop(spawn(async move { served.send(()).unwrap() }));
        wait.recv().unwrap();
    });
    await_takeover(&runtime, before);
}

#[test]
fn a_task_in_the_lifo_slot_of_a_stuck_worker_runs() {
    let _watchdog = Watchdog::new("a task in the lifo slot of a stuck worker");
    let runtime = two_workers().build().unwrap();
    let (served, wait) = channel();
    let slot = Arc::new(Mutex::new(None::<Waker>));
    let keeps = slot.clone();
    let mut polls = 0;
    drop(runtime.spawn(poll_fn(move |cx| {
        polls += 1;
        if polls == 1 {
            *keeps.lock().unwrap() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        served.send(()).unwrap();
        Poll::Ready(())
    })));
    let waker = loop {
        // Idle: whoever wakes it now puts it into a queue, and no worker is at it.
        let idle = runtime.dump().tasks.iter().all(|task| !task.running && !task.scheduled);
        if let Some(waker) = slot.lock().unwrap().take_if(|_| idle) {
            break waker;
        }
        thread::yield_now();
    };
    let before = beside_a_sentry(&runtime, move || {
        // In a poll: so it goes into the slot, to run next on this worker.
        waker.wake();
        wait.recv().unwrap();
    });
    await_takeover(&runtime, before);
}

#[test]
fn a_ready_socket_of_a_stuck_worker_is_looked_at() {
    let _watchdog = Watchdog::new("a socket of a stuck worker");
    let runtime = two_workers().build().unwrap();
    let before = beside_a_sentry(&runtime, || {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let mut read = pin!(reader.read_with(|mut pipe| pipe.read(&mut [0])));
        let (waker, rings) = bell();
        let mut cx = Context::from_waker(&waker);
        assert!(read.as_mut().poll(&mut cx).is_pending());
        writer.write_all(b"x").unwrap();
        rings.recv().unwrap();
        assert!(read.poll(&mut cx).is_ready());
    });
    await_takeover(&runtime, before);
}

/// Three hundred bytes, one after the other: at one a tick that would take longer than the watchdog waits.
#[test]
fn whoever_took_over_a_socket_is_back_soon() {
    const TICK: Duration = Duration::from_millis(300);
    let _watchdog = Watchdog::new("a busy socket of a stuck worker");
    let runtime = two_workers().sentry_tick(TICK).build().unwrap();
    beside_a_sentry(&runtime, || {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let (waker, rings) = bell();
        let mut cx = Context::from_waker(&waker);
        for _ in 0..300 {
            // All of it is one poll, whose budget is less.
            let read = task::unconstrained(reader.read_with(|mut pipe| pipe.read(&mut [0])));
            let mut read = pin!(read);
            assert!(read.as_mut().poll(&mut cx).is_pending());
            writer.write_all(b"x").unwrap();
            rings.recv().unwrap();
            assert!(read.poll(&mut cx).is_ready());
        }
    });
}

#[test]
fn a_due_timer_of_a_stuck_worker_fires() {
    let _watchdog = Watchdog::new("a timer of a stuck worker");
    let runtime = two_workers().build().unwrap();
    let before = beside_a_sentry(&runtime, || {
        // Not due yet by the time of this turn, which ends no sooner than the poll.
        let mut sleep = pin!(time::sleep(Duration::from_millis(1)));
        let (waker, rings) = bell();
        assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        rings.recv().unwrap();
        assert!(time::Instant::now() >= sleep.deadline(), "early");
    });
    await_takeover(&runtime, before);
}

/// A sentry that is called away more often than it ticks keeps the bound all the same.
#[test]
fn a_sentry_that_sleeps_badly_keeps_guard() {
    let _watchdog = Watchdog::new("a sentry that sleeps badly");
    let runtime = two_workers().sentry_tick(Duration::from_millis(20)).build().unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let stuck = Stuck::first(&runtime);
    stuck.run(move || {
        let reader = Source::new(reader).unwrap();
        let mut read = pin!(reader.readable());
        let (waker, rings) = bell();
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        rings.recv().unwrap();
    });
    // The other worker finds this in the injector, and its timers are the other's from then on.
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = rounds.clone();
    drop(runtime.spawn(async move {
        loop {
            time::sleep(Duration::from_millis(5)).await;
            counted.fetch_add(1, SeqCst);
        }
    }));
    while rounds.load(SeqCst) < 3 {
        thread::yield_now();
    }
    writer.write_all(b"x").unwrap();
    stuck.end();
}

/// The worker that has the sockets of both is stuck, and the other is never idle: no sentry is there.
#[test]
fn a_busy_worker_looks_at_the_sockets_of_one_that_is_stuck() {
    let _watchdog = Watchdog::new("sockets beside a busy worker");
    let runtime = two_workers().sentry_tick(Duration::from_secs(60)).build().unwrap();
    let stuck = Stuck::first(&runtime);
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    await_long_poll();
    let busy = runtime.spawn(async move {
        while !seen.load(SeqCst) {
            task::yield_now().await;
        }
    });
    stuck.run(|| {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let mut read = pin!(reader.readable());
        let (waker, rings) = bell();
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        writer.write_all(b"x").unwrap();
        rings.recv().unwrap();
    });
    stuck.end();
    over.store(true, SeqCst);
    busy.wait().unwrap();
}

/// All of it on the trace: the sentry says whom it took over from, then what it found there.
#[test]
fn a_takeover_is_told_to_the_trace() {
    let _watchdog = Watchdog::new("a takeover on the trace");
    let (told, lines) = channel();
    let runtime = two_workers()
        .on_thread_start(move |worker| {
            let told = told.clone();
            let listening = whirligig::trace::listen(move |event| {
                let _ = told.send((worker, event.clone()));
            });
            std::mem::forget(listening);
        })
        .build()
        .unwrap();
    beside_a_sentry(&runtime, || {
        let (served, wait) = channel();
        drop(task::Builder::new().name("served").spawn(async move { served.send(()).unwrap() }));
        wait.recv().unwrap();
    });
    drop(runtime);
    let lines: Vec<_> = lines.into_iter().collect();
    let spawned = |(_, event): &(usize, Event)| matches!(event.kind, EventKind::Spawned { .. });
    let at = lines.iter().position(spawned).expect("it was spawned");
    let (stuck, spawn) = &lines[at];
    let others = lines[at..].iter().filter(|(worker, _)| worker != stuck).map(|(_, event)| event);
    let said = whirligig::trace::lines([spawn].into_iter().chain(others));
    let at = |line: &str| said.iter().position(|said| said == line);
    let takeover = at(&format!("took over from worker {stuck}"));
    assert!(takeover.is_some() && takeover < at("served polled"), "{said:#?}");
    assert!(at("served completed").is_some(), "{said:#?}");
}

/// One task comes from outside while the only worker awake is stuck. No sentry need come for it.
#[test]
fn whoever_injects_beside_a_stuck_worker_gets_another_up() {
    let _watchdog = Watchdog::new("an injection beside a stuck worker");
    let runtime = two_workers().sentry_tick(Duration::from_secs(60)).build().unwrap();
    let (arrive, arrived) = channel();
    let (go, gone) = channel::<()>();
    let stuck = runtime.spawn(async move {
        arrive.send(()).unwrap();
        gone.recv().unwrap();
    });
    // Else its worker, still on the way, takes both tasks along.
    arrived.recv().unwrap();
    await_guard(&runtime);
    await_long_poll();
    assert_eq!(runtime.spawn(async { 7 }).wait().unwrap(), 7);
    go.send(()).unwrap();
    stuck.wait().unwrap();
}

/// The system calls that the threads of these names wait in, as the kernel tells.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn waits_of(prefix: &str) -> Vec<String> {
    let threads = fs::read_dir("/proc/self/task").unwrap();
    let of = |thread: fs::DirEntry| {
        // A thread of another test may have ended.
        let comm = fs::read_to_string(thread.path().join("comm")).ok()?;
        let syscall = fs::read_to_string(thread.path().join("syscall")).ok();
        comm.starts_with(prefix).then(|| syscall.expect("the kernel tells of one's own threads"))
    };
    threads.filter_map(|thread| of(thread.ok()?)).collect()
}

/// With nothing to do for anybody the sentry stands down, and each worker waits in the kernel with no
/// timeout: whatever does not come from outside never comes.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn with_everybody_parked_nothing_ticks() {
    let _watchdog = Watchdog::new("a sentry that should stand down");
    let runtime = two_workers().worker_threads(3).thread_name("dormouse").build().unwrap();
    drop(runtime.spawn(pending::<()>()));
    runtime.spawn(async { task::yield_now().await }).wait().unwrap();
    // `epoll_wait` is number 232, and its fourth argument the timeout.
    let waits_for_ever = |syscall: &String| {
        let mut words = syscall.split_whitespace();
        words.next() == Some("232") && words.nth(3).is_some_and(|word| word.ends_with("ffffffff"))
    };
    loop {
        let waits = waits_of("dormouse");
        if waits.len() == 3 && waits.iter().all(waits_for_ever) {
            break;
        }
        thread::yield_now();
    }
    assert!(format!("{runtime:?}").contains("sentry: None"), "{runtime:?}");
    let counts =
        || runtime.stats().iter().map(|w| [w.parks, w.unparks, w.looks]).collect::<Vec<_>>();
    let before = counts();
    for _ in 0..1_000 {
        thread::yield_now();
    }
    assert_eq!(counts(), before);
    // And they are there when something comes.
    assert_eq!(runtime.spawn(async { 7 }).wait().unwrap(), 7);
}
