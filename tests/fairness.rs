//! What keeps a loop from its timers and sockets: floods of messages, long polls, and what a listener does.
//!
//! Nothing here asserts how long something takes. A flood goes on until the loop has done what it should,
//! so a loop that never gets round to it hangs, and the watchdog ends the test; or it is counted how much
//! ran before.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    io::{Read, Write, pipe},
    pin::pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use whirligig::{
    EventLoop, Handle,
    io::Source,
    spawn_local,
    task::yield_now,
    time::{TestClock, sleep},
    trace::{self, Event, EventKind},
};

use self::watchdog::Watchdog;

#[path = "support/watchdog.rs"]
mod watchdog;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Tasks that need the loop's timers and its reactor, one after the other, and the root future that waits
/// for them and for a timer of its own.
async fn timers_and_sockets() {
    let (reader, mut writer) = pipe().unwrap();
    let reading = spawn_local(async move {
        let reader = Source::new(reader).unwrap();
        for _ in 0..3 {
            reader.read_with(|mut pipe| pipe.read_exact(&mut [0])).await.unwrap();
            sleep(MILLISECOND).await;
        }
    });
    for _ in 0..3 {
        sleep(MILLISECOND).await;
        writer.write_all(b"x").unwrap();
    }
    reading.await.unwrap();
}

/// Runs them while a flood goes on that begins with `start`.
fn under_a_flood(test: &'static str, start: impl FnOnce(Handle, Arc<AtomicBool>)) {
    let _watchdog = Watchdog::new(test);
    let event_loop = EventLoop::new().unwrap();
    let over = Arc::new(AtomicBool::new(false));
    event_loop.block_on(async {
        start(Handle::current(), over.clone());
        timers_and_sockets().await;
    });
    over.store(true, SeqCst);
}

#[test]
fn a_closure_that_sends_the_next_for_ever_delays_no_timer_and_no_socket() {
    fn send_next(handle: Handle, over: Arc<AtomicBool>) {
        let next = handle.clone();
        let call = move || {
            if !over.load(SeqCst) {
                send_next(next, over);
            }
        };
        handle.call_soon_threadsafe(call).ok();
    }
    under_a_flood("a chain of closures", send_next);
}

#[test]
fn a_future_that_spawns_the_next_for_ever_delays_no_timer_and_no_socket() {
    fn spawn_next(handle: Handle, over: Arc<AtomicBool>) {
        let next = handle.clone();
        drop(handle.spawn(async move {
            if !over.load(SeqCst) {
                spawn_next(next, over);
            }
        }));
    }
    under_a_flood("a chain of futures", spawn_next);
}

/// A flood from two threads.
fn under_a_flood_of_threads(test: &'static str, send: fn(&Handle)) {
    let mut threads = Vec::new();
    under_a_flood(test, |handle, over| {
        for _ in 0..2 {
            let (handle, over) = (handle.clone(), over.clone());
            threads.push(thread::spawn(move || {
                while !over.load(SeqCst) {
                    send(&handle);
                }
            }));
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn closures_from_threads_delay_no_timer_and_no_socket() {
    under_a_flood_of_threads("closures", |handle| _ = handle.call_soon_threadsafe(|| ()));
}

#[test]
fn futures_from_threads_delay_no_timer_and_no_socket() {
    under_a_flood_of_threads("futures", |handle| drop(handle.spawn(async {})));
}

#[test]
fn calls_to_stop_that_a_block_on_ignores_delay_no_timer_and_no_socket() {
    under_a_flood_of_threads("stops", Handle::stop);
}

#[test]
fn wakes_from_a_thread_delay_no_timer_and_no_socket() {
    let _watchdog = Watchdog::new("wakes");
    let over = Arc::new(AtomicBool::new(false));
    let event_loop = EventLoop::new().unwrap();
    let (waker, wakers) = mpsc::channel::<Waker>();
    let ends = over.clone();
    let flood = thread::spawn(move || {
        let waker = wakers.recv().unwrap();
        while !ends.load(SeqCst) {
            waker.wake_by_ref();
        }
    });
    event_loop.block_on(async {
        spawn_local(poll_fn(move |cx| {
            drop(waker.send(cx.waker().clone()));
            Poll::<()>::Pending
        }));
        timers_and_sockets().await;
    });
    over.store(true, SeqCst);
    flood.join().unwrap();
}

fn work(time: Duration) {
    let began = std::time::Instant::now();
    while began.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn a_closure_of_a_thread_runs_before_the_rest_of_a_batch() {
    const TASKS: usize = 20;
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let polled = Arc::new(AtomicBool::new(false));
    let ran_after = Rc::new(Cell::new(None));
    let count = Rc::new(Cell::new(0));
    for number in 0..TASKS {
        let (handle, polled) = (handle.clone(), polled.clone());
        let (count, ran_after) = (count.clone(), ran_after.clone());
        event_loop.spawn_local(async move {
            if number == 0 {
                let ran = polled.clone();
                let send = move || handle.call_soon_threadsafe(move || ran.store(true, SeqCst));
                thread::spawn(send).join().unwrap().unwrap();
            }
            work(MILLISECOND);
            if polled.load(SeqCst) && ran_after.get().is_none() {
                ran_after.set(Some(count.get()));
            }
            count.set(count.get() + 1);
        });
    }
    event_loop.block_on(async {
        while count.get() < TASKS {
            yield_now().await;
        }
    });
    let ran_after = ran_after.get().expect("it was seen");
    assert!(ran_after <= 1, "sent in the first poll, it ran after {ran_after} others");
}

#[test]
fn quick_polls_that_turn_slow_delay_the_look_by_one_of_them() {
    const TASKS: usize = 20;
    let event_loop = EventLoop::new().unwrap();
    let (is_slow, slow_polls) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let fired_after = Rc::new(Cell::new(None));
    let (counted, heard) = (slow_polls.clone(), fired_after.clone());
    let listening = trace::listen(move |event| {
        if let EventKind::Fired { .. } = event.kind {
            heard.set(Some(counted.get()));
        }
    });
    event_loop.block_on(async {
        for _ in 0..TASKS {
            let (is_slow, slow_polls) = (is_slow.clone(), slow_polls.clone());
            spawn_local(async move {
                loop {
                    if is_slow.get() {
                        work(5 * MILLISECOND);
                        slow_polls.set(slow_polls.get() + 1);
                    }
                    yield_now().await;
                }
            });
        }
        // A loop that goes by what polls cost of late has learnt that they are quick.
        for _ in 0..1_000 {
            yield_now().await;
        }
        let mut asleep = pin!(sleep(MILLISECOND));
        poll_fn(|cx: &mut Context<'_>| Poll::Ready(asleep.as_mut().poll(cx).is_pending())).await;
        is_slow.set(true);
        asleep.await;
    });
    drop(listening);
    let fired_after = fired_after.get().expect("it fired");
    assert!(fired_after <= 1, "it was due after the first, and fired after {fired_after}");
}

/// Has a listener call `act` at the first event that `is_it`, with nothing else to do for the loop that runs
/// `root`.
fn act_on(
    test: &'static str,
    event_loop: EventLoop,
    is_it: fn(&Event) -> bool,
    act: impl Fn() + 'static,
    root: impl Future<Output = ()>,
) {
    let _watchdog = Watchdog::new(test);
    let acted = Cell::new(false);
    let listening = trace::listen(move |event| {
        if is_it(event) && !acted.replace(true) {
            act();
        }
    });
    event_loop.block_on(root);
    drop(listening);
}

fn loops() -> [EventLoop; 2] {
    let clock = TestClock::new();
    let test = EventLoop::builder().test_clock(&clock).build().unwrap();
    [EventLoop::new().unwrap(), test]
}

fn parks(event: &Event) -> bool {
    matches!(event.kind, EventKind::Parked)
}

fn looks(event: &Event) -> bool {
    matches!(event.kind, EventKind::Looked { .. })
}

#[test]
fn what_a_listener_wakes_as_the_loop_parks_is_run() {
    for event_loop in loops() {
        let waker = Rc::new(RefCell::new(None::<Waker>));
        let woken = waker.clone();
        let mut polls = 0;
        let root = poll_fn(move |cx| {
            *waker.borrow_mut() = Some(cx.waker().clone());
            polls += 1;
            if polls == 2 { Poll::Ready(()) } else { Poll::Pending }
        });
        let wake = move || woken.borrow().as_ref().expect("it was polled").wake_by_ref();
        act_on("a wake", event_loop, parks, wake, root);
    }
}

#[test]
fn what_a_listener_spawns_as_the_loop_parks_or_looks_is_run() {
    for is_it in [parks, looks] {
        // Under a test clock a loop looks before it parks, if it has a source.
        let [_, event_loop] = loops();
        let (reader, _writer) = pipe().unwrap();
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = Cell::new(Some(tell));
        let spawns = move || {
            let tell = tell.take().expect("once");
            drop(spawn_local(async move { tell.send(()).unwrap() }));
        };
        let root = async move {
            let reader = Source::new(reader).unwrap();
            let mut reading = pin!(reader.readable());
            poll_fn(|cx| Poll::Ready(reading.as_mut().poll(cx).is_pending())).await;
            told.await.unwrap();
        };
        act_on("a spawn", event_loop, is_it, spawns, root);
    }
}

#[test]
fn what_a_listener_sets_a_timer_for_as_the_loop_parks_fires() {
    for event_loop in loops() {
        let asleep = Rc::new(RefCell::new(None));
        let (sets, waker) = (asleep.clone(), Rc::new(RefCell::new(None::<Waker>)));
        let kept = waker.clone();
        let set = move || {
            let mut sleep = Box::pin(sleep(MILLISECOND));
            let waker = waker.borrow().clone().expect("it was polled");
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            *sets.borrow_mut() = Some(sleep);
        };
        let root = poll_fn(move |cx| {
            *kept.borrow_mut() = Some(cx.waker().clone());
            match &mut *asleep.borrow_mut() {
                Some(sleep) => sleep.as_mut().poll(cx),
                None => Poll::Pending,
            }
        });
        act_on("a timer", event_loop, parks, set, root);
    }
}

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a bomb in a drop");
    }
}

#[test]
fn captures_that_panic_in_a_closed_loops_inbox_harm_nothing() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let dropped = Arc::new(());
    for _ in 0..3 {
        let (bomb, kept) = (Bomb, dropped.clone());
        handle.call_soon_threadsafe(move || drop((bomb, kept))).unwrap();
    }
    drop(event_loop);
    assert_eq!(Arc::strong_count(&dropped), 1);
}
