//! What happened, in order: small programs, asserted line by line.
//!
//! Each expected line says why it must stand there. A trace that changes is a change of behaviour:
//! explain it here or undo it.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    io::{Read, Write, pipe},
    pin::pin,
    rc::Rc,
    sync::{Arc, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use whirligig::{
    EventLoop, WaitsOn,
    io::Source,
    spawn_local, task,
    task::{JoinHandle, yield_now},
    time::{self, TestClock, sleep},
    trace::{self, Event, EventKind, Recorder},
};

/// Spawns a task with a name.
fn named<T: 'static>(name: &str, future: impl Future<Output = T> + 'static) -> JoinHandle<T> {
    task::Builder::new().name(name).spawn_local(future)
}

/// A loop under the test clock: what its traces say depends on nothing but the program.
fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    (clock, event_loop)
}

/// What running `program` on a fresh loop recorded.
fn trace_of(program: impl Future) -> Vec<String> {
    let (_clock, event_loop) = test_loop();
    let recorder = Recorder::start();
    event_loop.block_on(program);
    recorder.lines()
}

#[test]
fn spawn_and_join() {
    let lines = trace_of(async {
        named("child", async {}).await.unwrap();
    });
    let expected = [
        "root polled",           // block_on begins with its future
        "child spawned",         // in that poll
        "child scheduled",       // a new task is ready at once
        "root waits for a task", // the handle has no output yet
        "child polled",          // the next turn
        "root woken by child",   // its end is told before the task itself is done with,
        "root scheduled",        // and the root is ready for the turn after
        "child completed",       // its slot is free now
        "root polled",           // the third turn: the handle is ready
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn two_tasks_that_yield_take_turns() {
    let lines = trace_of(async {
        let first = named("first", yield_now());
        let second = named("second", yield_now());
        first.await.unwrap();
        second.await.unwrap();
    });
    let expected = [
        "root polled",
        "first spawned", // spawned first, it will start first
        "first scheduled",
        "second spawned",
        "second scheduled",
        "root waits for a task", // the first
        "first polled",          // turn 2 runs what was ready when it began
        "first woken by first",  // a yield is a wake of oneself
        "first scheduled",       // for turn 3
        "first waits for its next turn",
        "second polled", // still turn 2
        "second woken by second",
        "second scheduled",
        "second waits for its next turn",
        "first polled",        // turn 3, in the order of turn 2
        "root woken by first", // behind `second`, which was scheduled before
        "root scheduled",
        "first completed",
        "second polled",    // nobody awaits it yet: its end wakes nobody
        "second completed", // the output waits in the cell
        "root polled",      // turn 4: both handles are ready
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_sleep_under_the_test_clock() {
    let lines = trace_of(async { sleep(Duration::from_secs(3600)).await });
    let expected = [
        "root polled",
        "root waits for a timer",  // its deadline is an hour ahead
        "clock advanced by 3600s", // nothing is ready and nothing can come: no park, a jump
        "timer 0 fired",           // the loop's first timer, in the same turn
        "root woken by timer 0",   // a timer knows its task's waker and nothing else
        "root scheduled",          // for the next turn
        "root polled",             // the clock has passed the deadline
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn timers_fire_in_the_order_of_their_deadlines() {
    let lines = trace_of(async {
        let late = named("late", sleep(Duration::from_millis(2)));
        let early = named("early", sleep(Duration::from_millis(1)));
        late.await.unwrap();
        assert!(early.is_finished());
    });
    let fired: Vec<_> = lines.iter().skip_while(|line| !line.starts_with("clock")).collect();
    let expected = [
        "clock advanced by 1ms", // to the earliest deadline, no further
        "timer 1 fired",         // inserted second, due first
        "early woken by timer 1",
        "early scheduled",
        "early polled", // time stands still while a task can run
        "early completed",
        "clock advanced by 1ms", // the rest of the way
        "timer 0 fired",
        "late woken by timer 0",
        "late scheduled",
        "late polled",
        "root woken by late", // who awaits the late one alone
        "root scheduled",
        "late completed",
        "root polled",
        "root completed",
    ];
    assert_eq!(fired, expected);
}

#[test]
fn a_wake_from_another_thread() {
    let (hand_over, wakers) = mpsc::channel::<std::task::Waker>();
    let (done, woken) = mpsc::channel();
    let other = thread::spawn(move || {
        let waker = wakers.recv().unwrap();
        waker.wake_by_ref();
        waker.wake();
        done.send(()).unwrap();
    });
    let mut polls = 0;
    let lines = trace_of(poll_fn(|cx| {
        polls += 1;
        if polls == 1 {
            hand_over.send(cx.waker().clone()).unwrap();
            // Both wakes are in the inbox, as one message, before the poll ends: the loop need not park.
            woken.recv().unwrap();
            return Poll::Pending;
        }
        Poll::Ready(())
    }));
    other.join().unwrap();
    let expected = [
        "root polled",
        "root waits", // for a future of another crate: no leaf noted a wait
        "root woken by another thread", // taken from the inbox as the next turn begins,
        "root scheduled", // which makes it ready for that turn
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_wake_from_another_thread_ends_a_park() {
    let (_clock, event_loop) = test_loop();
    let (hand_over, wakers) = mpsc::channel::<std::task::Waker>();
    let recorder = Recorder::start();
    // The listener lets the other thread go when the loop says that it parks: not before.
    let (go, gone) = mpsc::channel();
    let listening = trace::listen(move |event| {
        if event.kind == EventKind::Parked {
            go.send(()).unwrap();
        }
    });
    let other = thread::spawn(move || {
        let waker = wakers.recv().unwrap();
        gone.recv().unwrap();
        waker.wake();
    });
    let mut polls = 0;
    event_loop.block_on(poll_fn(|cx| {
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        hand_over.send(cx.waker().clone()).unwrap();
        Poll::Pending
    }));
    drop(listening);
    other.join().unwrap();
    let expected = [
        "root polled",
        "root waits",
        "parked",                       // nothing is ready, and no timer to jump to
        "unparked",                     // by the message, whose sender found the loop parked
        "root woken by another thread", // the next turn takes the inbox
        "root scheduled",
        "root polled",
        "root completed",
    ];
    assert_eq!(recorder.lines(), expected);
}

#[test]
fn cancel() {
    let lines = trace_of(async {
        let task = named("task", pending::<()>());
        yield_now().await;
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
    });
    let expected = [
        "root polled",
        "task spawned",
        "task scheduled",
        "root woken by root", // the yield
        "root scheduled",
        "root waits for its next turn",
        "task polled",
        "task waits", // pending() is nobody's leaf
        "root polled",
        "task woken by root", // cancelling marks the task and wakes it: it ends in its own turn
        "task scheduled",
        "root waits for a task",
        "task polled",        // its future is dropped here, instead of a poll,
        "root woken by task", // and only then is the handle told
        "root scheduled",
        "task cancelled",
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn panic() {
    let lines = trace_of(async {
        let task = named("task", async { panic!("on purpose") });
        assert!(task.await.unwrap_err().is_panic());
    });
    let expected = [
        "root polled",
        "task spawned",
        "task scheduled",
        "root waits for a task",
        "task polled",        // it panics, and the panic is caught here
        "root woken by task", // the payload is in the handle
        "root scheduled",
        "task panicked",
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_pipe_becomes_readable() {
    let (reader, mut writer) = pipe().unwrap();
    let lines = trace_of(async {
        let reader = Source::new(reader).unwrap();
        let task = named("reader", async move {
            let mut byte = [0];
            reader.read_with(|mut pipe| pipe.read_exact(&mut byte)).await.unwrap();
        });
        yield_now().await;
        writer.write_all(b"x").unwrap();
        task.await.unwrap();
    });
    let expected = [
        "root polled",
        "reader spawned",
        "reader scheduled",
        "root woken by root",
        "root scheduled",
        "root waits for its next turn",
        "reader polled", // a fresh descriptor is tried at once: WouldBlock, so it is registered
        "reader waits for readiness to read",
        "root polled",           // same turn; here the byte is written
        "root waits for a task", // now nothing is ready
        "looked, found 1",       // time stands still: first a look, no park
        "source 0 ready",        // the loop's first source
        "reader woken by source 0",
        "reader scheduled",
        "reader polled", // this time the read gives a byte
        "root woken by reader",
        "root scheduled",
        "reader completed", // the source, which was its own, is gone with it
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_timeout_that_is_not_needed_fires_nothing() {
    let lines = trace_of(async {
        time::timeout(Duration::from_secs(1), yield_now()).await.unwrap();
    });
    let expected = [
        "root polled",
        "root woken by root",
        "root scheduled",
        "root waits for its next turn", // what the inner future waits for; the deadline only bounds it
        "root polled",                  // it is ready first
        "root completed",               // and the timer is gone without a word
    ];
    assert_eq!(lines, expected);
}

#[test]
fn dropping_a_loop_cancels_its_tasks_in_the_open() {
    let (_clock, event_loop) = test_loop();
    event_loop.spawn_local(pending::<()>());
    let recorder = Recorder::start();
    drop(event_loop);
    // The record begins after the spawn, so it does not know the task's name.
    assert_eq!(recorder.lines(), ["root cancelled"]);
}

#[test]
fn an_unnamed_task_has_a_number_and_a_spawn_place() {
    let recorder = Recorder::start();
    let line = line!() + 1;
    whirligig::run(async { drop(spawn_local(async {})) });
    assert_eq!(recorder.lines()[1], "task 1 spawned");
    let events = recorder.events();
    let EventKind::Spawned { name: None, location, parent, .. } = events[1].kind else {
        panic!("{events:?}");
    };
    assert_eq!((location.file(), location.line()), (file!(), line));
    assert!(parent.is_some(), "the root future spawned it");
}

/// Calls the waker it is made of: to a source it is anybody's.
struct Relay(Waker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
    }
}

/// The order in which two tasks go on whose pipes become readable at once: the first waits by way of a waker that is
/// not the loop's, as in a `FuturesUnordered`, the second by the loop's.
fn order_of_two_readers(listens: bool) -> Vec<&'static str> {
    let event_loop = EventLoop::new().unwrap();
    let order = Rc::new(RefCell::new(Vec::new()));
    let listening = listens.then(|| trace::listen(|_| {}));
    event_loop.block_on(async {
        let mut writers = Vec::new();
        let mut tasks = Vec::new();
        for name in ["relayed", "direct"] {
            let (reader, writer) = pipe().unwrap();
            writers.push(writer);
            let (reader, order) = (Source::new(reader).unwrap(), order.clone());
            tasks.push(named(name, async move {
                let mut readable = pin!(reader.readable());
                poll_fn(|cx| {
                    if name == "direct" {
                        return readable.as_mut().poll(cx);
                    }
                    let relay = Waker::from(Arc::new(Relay(cx.waker().clone())));
                    readable.as_mut().poll(&mut Context::from_waker(&relay))
                })
                .await
                .unwrap();
                order.borrow_mut().push(name);
            }));
        }
        yield_now().await;
        for writer in &mut writers {
            writer.write_all(b"x").unwrap();
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    drop(listening);
    order.take()
}

#[test]
fn to_listen_changes_no_order() {
    assert_eq!(order_of_two_readers(true), order_of_two_readers(false));
}

#[test]
fn an_event_says_when_and_in_which_turn() {
    let (_clock, event_loop) = test_loop();
    let recorder = Recorder::start();
    event_loop.block_on(async {
        yield_now().await;
        sleep(Duration::from_secs(1)).await;
    });
    let events = recorder.events();
    let polls: Vec<_> =
        events.iter().filter(|event| matches!(event.kind, EventKind::Polled { .. })).collect();
    let [first, second, third] = polls[..] else { panic!("{polls:?}") };
    assert_eq!((first.turn, second.turn, third.turn), (1, 2, 3), "one poll in each");
    assert_eq!(first.at, second.at, "the test clock stands still while a task can run");
    assert_eq!(third.at - second.at, 1_000_000_000);
    assert!(events.iter().all(|event| event.worker.is_none()), "an event loop has no workers");
}

#[test]
fn an_event_of_a_runtime_says_on_which_worker() {
    let (sender, events) = mpsc::channel();
    let runtime = whirligig::Runtime::builder()
        .worker_threads(2)
        .on_thread_start(move |worker| {
            let sender = sender.clone();
            let listening = trace::listen(move |event| {
                let _ = sender.send((worker, event.clone()));
            });
            std::mem::forget(listening);
        })
        .build()
        .unwrap();
    for _ in 0..10 {
        runtime.spawn(yield_now()).wait().unwrap();
    }
    drop(runtime);
    let mut last = [(0, 0); 2];
    let mut events = events.into_iter().peekable();
    assert!(events.peek().is_some());
    for (worker, event) in events {
        assert_eq!(event.worker, Some(worker), "{event:?}");
        let before = std::mem::replace(&mut last[worker], (event.at, event.turn));
        assert!(before <= last[worker], "{before:?}, then {event:?}");
    }
}

#[test]
fn a_wait_says_on_which_task() {
    let recorder = Recorder::start();
    let id = whirligig::run(async {
        let child = named("child", yield_now());
        let id = child.id();
        child.await.unwrap();
        id
    });
    let on = WaitsOn::Task(id);
    let waits = |event: &&Event| matches!(event.kind, EventKind::Waits { object: Some(object), .. } if object == on);
    assert_eq!(recorder.events().iter().filter(waits).count(), 1);
}

#[test]
fn a_listener_may_spawn_when_it_hears_of_a_spawn() {
    let (_clock, event_loop) = test_loop();
    let (ran, runs) = (Rc::new(Cell::new(false)), Cell::new(None));
    runs.set(Some(ran.clone()));
    let listening = trace::listen(move |event| {
        if let EventKind::Spawned { .. } = event.kind
            && let Some(ran) = runs.take()
        {
            drop(spawn_local(async move { ran.set(true) }));
        }
    });
    event_loop.block_on(async {
        spawn_local(async {}).await.unwrap();
        yield_now().await;
    });
    drop(listening);
    assert!(ran.get());
}
