//! No worker idles beside work, and nothing waits behind a worker that is stuck in one long poll: not a
//! task, not a socket, not a timer. And with all of them parked nothing looks.
//!
//! What is long here lasts until what waits for it was served. So there is nothing to measure: with a
//! worker that idles each of these tests hangs, and the watchdog ends it.

use std::{
    fs,
    future::{Future, pending, poll_fn},
    io::{Read, Write, pipe},
    pin::pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, Sender, channel},
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::{Duration, Instant},
};

use whirligig::{
    EventLoop, Runtime,
    io::Source,
    spawn,
    task::{self, JoinHandle},
    time,
    trace::{self, Event, EventKind},
};

use crate::Watchdog;

fn workers(workers: usize) -> Runtime {
    Runtime::builder().worker_threads(workers).build().unwrap()
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

/// Waits until one worker is awake and another has the guard duty.
fn await_guard(runtime: &Runtime) {
    loop {
        let state = format!("{runtime:?}");
        if state.contains("awake: 1") && state.contains("guard: Some") {
            return;
        }
        thread::yield_now();
    }
}

/// Runs `poll` on a worker that is stuck in it, while another is the guard. Says how many takeovers had
/// been counted before.
fn beside_a_guard(runtime: &Runtime, poll: impl FnOnce() + Send + 'static) -> u64 {
    let (go, gone) = channel();
    let stuck = runtime.spawn(async move {
        gone.recv().unwrap();
        poll();
    });
    await_guard(runtime);
    // The guard has looked by then, or looks soon after: the worker is known to be stuck.
    thread::sleep(Duration::from_millis(3));
    let before = takeovers(runtime);
    go.send(()).unwrap();
    stuck.wait().unwrap();
    before
}

fn takeovers(runtime: &Runtime) -> u64 {
    runtime.stats().iter().map(|worker| worker.takeovers).sum()
}

/// Exactly one takeover has been counted since `before`: the guard counts it when it is done, and wakes
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
    let runtime = workers(2);
    let before = beside_a_guard(&runtime, || {
        let (served, wait) = channel();
        drop(spawn(async move { served.send(()).unwrap() }));
        wait.recv().unwrap();
    });
    await_takeover(&runtime, before);
}

#[test]
fn a_task_in_the_lifo_slot_of_a_stuck_worker_runs() {
    let _watchdog = Watchdog::new("a task in the lifo slot of a stuck worker");
    let runtime = workers(2);
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
    let before = beside_a_guard(&runtime, move || {
        // In a poll: so it goes into the slot, to run next on this worker.
        waker.wake();
        wait.recv().unwrap();
    });
    await_takeover(&runtime, before);
}

/// Three hundred bytes, one after the other. The parked worker waits in the reactor and hears of each: no
/// look of the guard is needed for any.
#[test]
fn readiness_behind_a_stuck_worker_needs_no_takeover() {
    let _watchdog = Watchdog::new("a busy socket of a stuck worker");
    let runtime = workers(2);
    let before = beside_a_guard(&runtime, || {
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
    assert_eq!(takeovers(&runtime), before);
}

/// Waits for a timer in the middle of a poll, as another crate's `block_on` does.
fn await_a_timer() {
    // Not due yet by the time of this turn, which ends no sooner than the poll.
    let mut sleep = pin!(time::sleep(Duration::from_millis(1)));
    let (waker, rings) = bell();
    assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    rings.recv().unwrap();
    assert!(time::Instant::now() >= sleep.deadline(), "early");
}

#[test]
fn a_due_timer_of_a_stuck_worker_fires() {
    let _watchdog = Watchdog::new("a timer of a stuck worker");
    beside_a_guard(&workers(2), await_a_timer);
}

/// No worker is parked, so none is the guard: those that are busy look as well.
fn beside_a_busy_worker(poll: impl FnOnce() + Send + 'static) {
    let runtime = workers(2);
    let over = Arc::new(AtomicBool::new(false));
    let seen = over.clone();
    let (begin, begun) = channel();
    let busy = runtime.spawn(async move {
        begin.send(()).unwrap();
        while !seen.load(SeqCst) {
            task::yield_now().await;
        }
    });
    begun.recv().unwrap();
    let stuck = runtime.spawn(async move { poll() });
    stuck.wait().unwrap();
    over.store(true, SeqCst);
    busy.wait().unwrap();
}

#[test]
fn a_busy_worker_looks_at_the_sockets_of_one_that_is_stuck() {
    let _watchdog = Watchdog::new("sockets beside a busy worker");
    beside_a_busy_worker(|| {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let mut read = pin!(reader.readable());
        let (waker, rings) = bell();
        assert!(read.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        writer.write_all(b"x").unwrap();
        rings.recv().unwrap();
    });
}

#[test]
fn a_busy_worker_fires_the_timers_of_one_that_is_stuck() {
    let _watchdog = Watchdog::new("timers beside a busy worker");
    beside_a_busy_worker(await_a_timer);
}

/// A guard that is unparked for work all the time looks after the others all the same.
#[test]
fn a_guard_that_is_often_called_away_keeps_guard() {
    let _watchdog = Watchdog::new("a guard that is often called away");
    let runtime = workers(2);
    let rounds = Arc::new(AtomicUsize::new(0));
    let counted = rounds.clone();
    drop(runtime.spawn(async move {
        loop {
            time::sleep(Duration::from_micros(50)).await;
            counted.fetch_add(1, SeqCst);
        }
    }));
    let stuck = runtime.spawn(async move {
        let (served, wait) = channel();
        while rounds.load(SeqCst) < 100 {
            thread::yield_now();
        }
        drop(spawn(async move { served.send(()).unwrap() }));
        wait.recv().unwrap();
    });
    stuck.wait().unwrap();
}

/// One that always has a timer that is due is not so busy that a stuck worker's tasks must wait.
#[test]
fn a_worker_whose_timers_are_always_due_takes_over_from_one_that_is_stuck() {
    let _watchdog = Watchdog::new("a takeover by a worker whose timers are always due");
    let runtime = workers(2);
    let (begun, begins) = channel();
    drop(runtime.spawn(async move {
        for round in 0.. {
            // It is due when the poll ends.
            let sleep = time::sleep(Duration::from_micros(1));
            let since = Instant::now();
            while since.elapsed() < Duration::from_micros(20) {}
            sleep.await;
            if round == 100 {
                begun.send(()).unwrap();
            }
        }
    }));
    begins.recv().unwrap();
    let stuck = runtime.spawn(async move {
        let (served, wait) = channel();
        drop(spawn(async move { served.send(()).unwrap() }));
        wait.recv().unwrap();
    });
    stuck.wait().unwrap();
}

/// All of it on the trace: the guard says from whom it took over, then what it found there.
#[test]
fn a_takeover_is_told_to_the_trace() {
    let _watchdog = Watchdog::new("a takeover on the trace");
    let (told, lines) = channel();
    let runtime = Runtime::builder()
        .worker_threads(2)
        .on_thread_start(move |worker| {
            let told = told.clone();
            let listening = trace::listen(move |event| {
                let _ = told.send((worker, event.clone()));
            });
            std::mem::forget(listening);
        })
        .build()
        .unwrap();
    beside_a_guard(&runtime, || {
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
    let said = trace::lines([spawn].into_iter().chain(others));
    let at = |line: &str| said.iter().position(|said| said == line);
    let takeover = at(&format!("took over from worker {stuck}"));
    assert!(takeover.is_some() && takeover < at("served polled"), "{said:#?}");
    assert!(at("served completed").is_some(), "{said:#?}");
}

#[test]
fn what_is_injected_beside_a_stuck_worker_unparks_another() {
    let _watchdog = Watchdog::new("an injection beside a stuck worker");
    let runtime = workers(2);
    beside_a_guard(&runtime, {
        let handle = runtime.handle();
        move || {
            let inject = move || assert_eq!(handle.spawn(async { 7 }).wait().unwrap(), 7);
            thread::spawn(inject).join().unwrap();
        }
    });
}

/// As many tasks as there are workers, each of which blocks until all of them run at the same time.
async fn all_at_once(tasks: usize) {
    let all_here = Arc::new(Barrier::new(tasks));
    let tasks: Vec<_> = (0..tasks)
        .map(|_| {
            let all_here = all_here.clone();
            spawn(async move {
                all_here.wait();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Tasks that take no time, so that their cost is known to be small.
async fn many_small_tasks() {
    let tasks: Vec<_> = (0..1_000).map(|_| spawn(task::yield_now())).collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[test]
fn a_burst_of_long_tasks_reaches_all_workers() {
    let _watchdog = Watchdog::new("a burst on all workers");
    for size in [2, 4, 8, 16] {
        let runtime = workers(size);
        for _ in 0..10 {
            // Spawned by a task, which waits for them: so its worker runs one of them.
            runtime.spawn(all_at_once(size)).wait().unwrap();
            // Spawned from outside.
            runtime.block_on(all_at_once(size));
            runtime.spawn(many_small_tasks()).wait().unwrap();
            runtime.spawn(all_at_once(size)).wait().unwrap();
            runtime.block_on(many_small_tasks());
            runtime.block_on(all_at_once(size));
        }
    }
}

/// Each of them waits for a task of its own, and no worker is left but those on other threads.
#[test]
fn with_every_worker_in_block_in_place_tasks_run() {
    let _watchdog = Watchdog::new("every worker in block_in_place");
    for size in [1, 2, 4] {
        let runtime = workers(size);
        for _ in 0..20 {
            let all_here = Arc::new(Barrier::new(size));
            let blocking = |_| {
                let all_here = all_here.clone();
                runtime.spawn(async move {
                    task::block_in_place(|| {
                        all_here.wait();
                        let task = spawn(async {
                            time::sleep(Duration::from_micros(100)).await;
                            task::yield_now().await;
                            7
                        });
                        assert_eq!(task.wait().unwrap(), 7);
                    });
                    // Also a second time, when another thread may run the worker that this poll began on.
                    assert_eq!(task::block_in_place(|| spawn(async { 9 }).wait().unwrap()), 9);
                    // Wherever that ended, the task goes on.
                    task::yield_now().await;
                    spawn(async { 8 }).await.unwrap()
                })
            };
            let tasks: Vec<JoinHandle<i32>> = (0..size).map(blocking).collect();
            tasks.into_iter().for_each(|task| assert_eq!(task.wait().unwrap(), 8));
        }
    }
}

#[test]
fn a_turn_that_waits_inside_a_task_does_not_hold_its_worker_back() {
    let _watchdog = Watchdog::new("a turn inside a task");
    let runtime = workers(1);
    let turned = runtime.spawn(async {
        let event_loop = EventLoop::new().unwrap();
        let inner = event_loop.handle();
        drop(spawn(async move { inner.call_soon_threadsafe(|| ()).unwrap() }));
        event_loop.turn(None).map(drop)
    });
    turned.wait().unwrap().unwrap();
}

#[test]
fn a_loop_inside_a_task_does_not_hold_its_worker_back() {
    let _watchdog = Watchdog::new("a loop inside a task");
    let runtime = workers(1);
    let outer = runtime.spawn(async {
        let (served, wait) = channel();
        drop(spawn(async move { served.send(()).unwrap() }));
        EventLoop::new().unwrap().block_on(async move {
            while wait.try_recv().is_err() {
                task::yield_now().await;
            }
        });
        // And another runtime.
        let (served, wait) = channel();
        drop(spawn(async move { served.send(()).unwrap() }));
        workers(1).block_on(async move {
            while wait.try_recv().is_err() {
                task::yield_now().await;
            }
        });
        spawn(async { 7 }).await.unwrap()
    });
    assert_eq!(outer.wait().unwrap(), 7);
}

/// A worker whose timers are always due asks the kernel all the same.
#[test]
fn timers_that_are_always_due_leave_room_for_sockets() {
    let _watchdog = Watchdog::new("sockets beside timers that are always due");
    for size in [1, 2] {
        let runtime = workers(size);
        for _ in 0..size {
            drop(runtime.spawn(async {
                loop {
                    time::sleep(Duration::ZERO).await;
                }
            }));
        }
        let (reader, mut writer) = pipe().unwrap();
        let read = runtime.spawn(async move {
            let reader = Source::new(reader).unwrap();
            reader.read_with(|mut pipe| pipe.read(&mut [0])).await.unwrap()
        });
        while runtime.dump().tasks.iter().all(|task| task.name.is_none() && task.scheduled) {
            thread::yield_now();
        }
        writer.write_all(b"x").unwrap();
        assert_eq!(read.wait().unwrap(), 1);
    }
}

/// Notes how many slow polls there had been when it was called.
struct CountedWake {
    slow_polls: Arc<AtomicUsize>,
    before: Mutex<Option<usize>>,
}

impl Wake for CountedWake {
    fn wake(self: Arc<Self>) {
        self.before.lock().unwrap().get_or_insert(self.slow_polls.load(SeqCst));
    }
}

/// A worker that goes by what polls cost of late has learnt that they are quick, when they turn slow: a timer
/// and a pipe still wait for one of them, and for what had begun.
#[test]
fn quick_polls_that_turn_slow_delay_a_look_by_one_of_them() {
    const TASKS: usize = 20;
    let _watchdog = Watchdog::new("quick polls that turn slow");
    let runtime = workers(1);
    let is_slow = Arc::new(AtomicBool::new(false));
    let slow_polls = Arc::new(AtomicUsize::new(0));
    for _ in 0..TASKS {
        let (is_slow, slow_polls) = (is_slow.clone(), slow_polls.clone());
        drop(runtime.spawn(async move {
            loop {
                if is_slow.load(SeqCst) {
                    let began = std::time::Instant::now();
                    while began.elapsed() < Duration::from_millis(5) {
                        std::hint::spin_loop();
                    }
                    slow_polls.fetch_add(1, SeqCst);
                }
                task::yield_now().await;
            }
        }));
    }
    let counted = || {
        let (slow_polls, before) = (slow_polls.clone(), Mutex::default());
        Arc::new(CountedWake { slow_polls, before })
    };
    let (timer, readable) = (counted(), counted());
    let (timers, readers, turns_slow, counts) =
        (timer.clone(), readable.clone(), is_slow.clone(), slow_polls.clone());
    let waiting = runtime.spawn(async move {
        for _ in 0..1_000 {
            task::yield_now().await;
        }
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let mut buffer = [0];
        let mut read = Box::pin(reader.read_with(|mut pipe| pipe.read(&mut buffer)));
        let mut asleep = Box::pin(time::sleep(Duration::from_millis(1)));
        let (timers, readers) = (Waker::from(timers), Waker::from(readers));
        assert!(asleep.as_mut().poll(&mut Context::from_waker(&timers)).is_pending());
        assert!(read.as_mut().poll(&mut Context::from_waker(&readers)).is_pending());
        writer.write_all(&[1]).unwrap();
        turns_slow.store(true, SeqCst);
        while counts.load(SeqCst) < TASKS {
            task::yield_now().await;
        }
    });
    waiting.wait().unwrap();
    is_slow.store(false, SeqCst);
    for (what, wake) in [("timer", timer), ("pipe", readable)] {
        let before = wake.before.lock().unwrap().expect("it was woken");
        assert!(before <= 1, "the {what} was heard of after {before} slow polls");
    }
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

/// With nothing to do for any worker the guard duty lapses: one waits in the reactor, the others on their
/// parkers, and none with a timeout. Whatever does not come from outside never comes.
#[test]
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
fn with_all_workers_parked_nothing_looks() {
    let _watchdog = Watchdog::new("a guard duty that should lapse");
    let runtime = Runtime::builder().worker_threads(3).thread_name("dormouse").build().unwrap();
    drop(runtime.spawn(pending::<()>()));
    runtime.spawn(async { task::yield_now().await }).wait().unwrap();
    // `epoll_wait` is number 232 and `futex` 202; of both the fourth argument is the timeout.
    let argument = |syscall: &str, number| {
        let mut words = syscall.split_whitespace();
        if words.next() == Some(number) { words.nth(3).map(str::to_owned) } else { None }
    };
    let waits_for_ever = |syscall: &String| match argument(syscall, "232") {
        Some(timeout) => timeout.ends_with("ffffffff"),
        None => argument(syscall, "202").is_some_and(|timeout| timeout == "0x0"),
    };
    loop {
        let waits = waits_of("dormouse");
        let in_reactor = waits.iter().filter(|wait| argument(wait, "232").is_some()).count();
        let is_guarded = !format!("{runtime:?}").contains("guard: None");
        if waits.len() == 3 && in_reactor == 1 && waits.iter().all(waits_for_ever) && !is_guarded {
            break;
        }
        thread::yield_now();
    }
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
