//! The event loop from the outside: starting, nesting, stopping, and being a guest in another loop.
//!
//! What a task's handle does is in `join_handle.rs`, the order of a turn in `turns.rs`. A misuse must
//! panic with a message that says what to do instead. What could end the process runs in a child:
//! the test starts its own program again with `CHILD` set.

use std::{
    cell::{Cell, RefCell},
    env,
    io::{Read, Write, pipe},
    os::fd::{AsFd, AsRawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    process::Command,
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use mio::{Events, Interest, Poll, Token, unix::SourceFd};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::oneshot;
use whirligig::{
    EventLoop, Handle, io::Source, spawn, spawn_local, task, task::yield_now, time::sleep,
};

/// What `f` says as it panics.
#[track_caller]
fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).expect_err("it must panic");
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast_ref::<&str>().expect("a text")).to_owned(),
    }
}

#[test]
fn tasks_start_in_the_order_in_which_they_were_spawned() {
    let order = Rc::new(RefCell::new(Vec::new()));
    let start = |n: usize| {
        let order = order.clone();
        async move { order.borrow_mut().push(n) }
    };
    let event_loop = EventLoop::new().unwrap();
    for n in 0..3 {
        event_loop.spawn_local(start(n));
    }
    event_loop.block_on(async {
        for n in 3..300 {
            spawn_local(start(n));
        }
        yield_now().await;
    });
    assert_eq!(*order.borrow(), (0..300).collect::<Vec<_>>());
}

#[test]
fn tasks_of_another_thread_start_in_the_order_in_which_it_spawned_them() {
    let event_loop = EventLoop::new().unwrap();
    let (started, starts) = mpsc::channel();
    let handle = event_loop.handle();
    let spawns = move || {
        for n in 0..300 {
            let started = started.clone();
            handle.spawn(async move { started.send(n).unwrap() });
        }
    };
    thread::spawn(spawns).join().unwrap();
    // One turn takes them in and runs them.
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(starts.try_iter().collect::<Vec<_>>(), (0..300).collect::<Vec<_>>());
}

#[test]
fn a_loop_is_not_run_from_its_own_tasks() {
    let event_loop = Rc::new(EventLoop::new().unwrap());
    let own = event_loop.clone();
    let nested = event_loop.spawn_local(async move {
        // Tried twice: the first refusal must not leave the loop thinking that it rests.
        for _ in 0..2 {
            let texts = [
                panic_text(|| own.block_on(async {})),
                panic_text(|| own.run_forever()),
                panic_text(|| drop(own.turn(None))),
            ];
            for text in texts {
                assert!(text.contains("this event loop is turning already"), "{text}");
                assert!(text.contains("Await the future instead, or spawn it"), "{text}");
            }
        }
        yield_now().await;
    });
    // The loop goes on after it; and from the root future the answer is the same.
    event_loop.block_on(nested).unwrap();
    let text = event_loop.block_on(async { panic_text(|| event_loop.block_on(async {})) });
    assert!(text.contains("turning already"), "{text}");
}

#[test]
fn outside_any_loop_each_call_says_what_it_needs() {
    let calls: [(&str, fn()); 8] = [
        ("`spawn` needs", || drop(spawn(async {}))),
        ("`spawn_local` needs", || drop(spawn_local(async {}))),
        ("`task::Builder::spawn` needs", || drop(task::Builder::new().spawn(async {}))),
        ("`task::Builder::spawn_local` needs", || drop(task::Builder::new().spawn_local(async {}))),
        ("`Handle::current` needs", || _ = Handle::current()),
        ("`spawn_blocking` needs", || drop(task::spawn_blocking(|| ()))),
        ("`try_spawn_blocking` needs", || drop(task::try_spawn_blocking(|| ()))),
        ("`dump` needs", || drop(whirligig::dump())),
    ];
    for (who, call) in calls {
        let text = panic_text(call);
        assert!(text.starts_with(who), "{text}");
        assert!(text.contains("call it from inside `whirligig::run`"), "{text}");
    }
    assert!(Handle::try_current().is_none());
}

#[test]
fn another_loop_may_run_inside_a_task() {
    let outer = EventLoop::new().unwrap();
    let log = Rc::new(RefCell::new(Vec::new()));
    outer.block_on(async {
        let (tell, told) = oneshot::channel::<()>();
        let logged = log.clone();
        let waiting = spawn_local(async move {
            told.await.unwrap();
            logged.borrow_mut().push("outer task");
        });
        yield_now().await;
        let inner = EventLoop::new().unwrap();
        inner.block_on(async {
            tell.send(()).unwrap();
            // However long the inner loop goes on, the outer one's task waits for its own loop.
            for _ in 0..3 {
                yield_now().await;
                log.borrow_mut().push("inner turn");
            }
            spawn_local(async {}).await.unwrap();
        });
        log.borrow_mut().push("back");
        // From here on this thread's loop is the outer one again: it alone could run this.
        spawn_local(async {}).await.unwrap();
        waiting.await.unwrap();
    });
    let expected = ["inner turn", "inner turn", "inner turn", "back", "outer task"];
    assert_eq!(*log.borrow(), expected);
}

#[test]
fn a_panic_inside_a_nested_loop_leaves_the_outer_one_in_place() {
    whirligig::run(async {
        let outer = format!("{:?}", Handle::current());
        let unwound = catch_unwind(|| whirligig::run(async { panic!("inside") }));
        assert_eq!(*unwound.unwrap_err().downcast_ref::<&str>().unwrap(), "inside");
        assert_eq!(format!("{:?}", Handle::current()), outer);
        spawn(async {}).await.unwrap();
        // Also the poll's budget is this poll's again: a handle cannot be waited for here.
        let task = spawn(async {});
        assert!(catch_unwind(AssertUnwindSafe(|| task.wait())).is_err());
    });
}

#[test]
fn a_root_future_that_panics_leaves_its_loop_usable() {
    let event_loop = EventLoop::new().unwrap();
    let task = event_loop.spawn_local(async { yield_now().await });
    let unwound = catch_unwind(AssertUnwindSafe(|| event_loop.block_on(async { panic!("root") })));
    assert!(unwound.is_err());
    event_loop.block_on(task).unwrap();
    assert!(Handle::try_current().is_none());
}

#[test]
fn tasks_go_on_in_the_next_block_on() {
    let event_loop = EventLoop::new().unwrap();
    let steps = Rc::new(Cell::new(0));
    let counted = steps.clone();
    let task = event_loop.spawn_local(async move {
        for _ in 0..3 {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
    });
    event_loop.block_on(async {});
    assert_eq!(steps.get(), 1);
    event_loop.block_on(task).unwrap();
    assert_eq!(steps.get(), 3);
}

/// Starts this program again for one test, in which `child` runs. `true` in the child.
fn is_child(test: &str) -> bool {
    if env::var_os("CHILD").is_some() {
        return true;
    }
    let program = env::current_exe().unwrap();
    let mut run = Command::new(program);
    let run = run.args([test, "--exact", "--nocapture"]).env("CHILD", "1").output().unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{}:\n{stdout}{stderr}", run.status);
    assert!(stdout.contains("1 passed"), "no such test: {stdout}");
    false
}

/// Runs a closure as the thread's locals are destroyed.
struct AtExit(Option<Box<dyn FnOnce()>>);

impl Drop for AtExit {
    fn drop(&mut self) {
        if let Some(f) = self.0.take() {
            f();
        }
    }
}

thread_local! {
    static AT_EXIT: RefCell<AtExit> = const { RefCell::new(AtExit(None)) };
}

/// Runs `f` in a thread's destruction. Locals are destroyed in an order that depends on which was
/// used first, so the thread has run a loop before or after it says so.
fn at_thread_exit(loop_first: bool, f: fn()) {
    let body = move || {
        let run = || whirligig::run(async { spawn(async {}).await.unwrap() });
        if loop_first {
            run();
        }
        AT_EXIT.with_borrow_mut(|at_exit| at_exit.0 = Some(Box::new(f)));
        if !loop_first {
            run();
        }
    };
    thread::spawn(body).join().unwrap();
}

#[test]
fn a_loop_runs_within_thread_local_destruction() {
    if !is_child("a_loop_runs_within_thread_local_destruction") {
        return;
    }
    static RAN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    for loop_first in [true, false] {
        at_thread_exit(loop_first, || {
            let answer = whirligig::run(async {
                sleep(Duration::from_micros(1)).await;
                spawn_local(async { 1 }).await.unwrap()
            });
            RAN.fetch_add(answer, std::sync::atomic::Ordering::SeqCst);
        });
    }
    assert_eq!(RAN.load(std::sync::atomic::Ordering::SeqCst), 2);
}

#[test]
fn a_loop_is_dropped_within_thread_local_destruction() {
    thread_local! { static LOOP: EventLoop = EventLoop::new().unwrap(); }
    struct Told(mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
        }
    }
    if !is_child("a_loop_is_dropped_within_thread_local_destruction") {
        return;
    }
    let (dropped, drops) = mpsc::channel();
    let body = move || {
        LOOP.with(|event_loop| {
            event_loop.block_on(async {
                let told = Told(dropped);
                spawn_local(async move {
                    sleep(Duration::MAX).await;
                    drop(told);
                });
                yield_now().await;
            });
        });
    };
    thread::spawn(body).join().unwrap();
    assert_eq!(drops.iter().count(), 1, "the task is dropped with its loop");
}

#[test]
fn stop_ends_run_forever_from_within_and_from_another_thread() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let turns = Rc::new(Cell::new(0));
    let counted = turns.clone();
    let task = event_loop.spawn_local(async move {
        for _ in 0..3 {
            counted.set(counted.get() + 1);
            yield_now().await;
        }
        handle.stop();
        std::future::pending::<()>().await;
    });
    event_loop.run_forever();
    assert_eq!(turns.get(), 3);
    assert!(!task.is_finished(), "stopping ends the loop's run, not its tasks");

    // Nothing is ready now: the loop is parked, or about to park, when the stop arrives.
    let handle = event_loop.handle();
    let stopper = thread::spawn(move || handle.stop());
    event_loop.run_forever();
    stopper.join().unwrap();
}

#[test]
fn a_stop_that_comes_too_early_ends_the_first_turn() {
    let event_loop = EventLoop::new().unwrap();
    let task = event_loop.spawn_local(async {});
    event_loop.handle().stop();
    event_loop.run_forever();
    assert!(task.is_finished(), "the turn in which the stop arrived was a whole one");
}

#[test]
fn block_on_is_not_ended_by_stop() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    handle.stop();
    let answer = event_loop.block_on(async {
        handle.stop();
        yield_now().await;
        sleep(Duration::from_micros(1)).await;
        42
    });
    assert_eq!(answer, 42);
}

#[test]
fn closures_of_other_threads_run_on_the_loops_thread_until_it_is_gone() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let home = thread::current().id();
    let (tell, told) = oneshot::channel();
    let sender = handle.clone();
    thread::spawn(move || {
        sender.call_soon_threadsafe(|| panic!("harms nobody")).unwrap();
        sender.call_soon_threadsafe(move || tell.send(thread::current().id()).unwrap()).unwrap();
    });
    assert_eq!(event_loop.block_on(told).unwrap(), home);

    drop(event_loop);
    let (kept, ended) = mpsc::channel::<()>();
    let refused = handle.call_soon_threadsafe(move || kept.send(()).unwrap());
    assert_eq!(refused.unwrap_err().to_string(), "the runtime of this handle has been dropped");
    assert!(ended.recv().is_err(), "a refused closure is dropped, not run");
    assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
    handle.stop();
}

/// Runs a guest until `done`, waiting with poll(2), which is level-triggered, for its descriptor.
/// Returns how often it waited.
fn host(guest: &EventLoop, done: impl Fn() -> bool) -> usize {
    let mut waits = 0;
    loop {
        while guest.turn(Some(Duration::ZERO)).unwrap().ready {}
        if done() {
            return waits;
        }
        poll(&mut [PollFd::new(guest, PollFlags::IN)], None).unwrap();
        waits += 1;
    }
}

fn is_readable(guest: &EventLoop) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(guest, PollFlags::IN)], Some(&now)).unwrap() > 0
}

#[test]
fn a_guests_timers_end_its_hosts_wait() {
    let guest = EventLoop::new().unwrap();
    let task = guest.spawn_local(async {
        for _ in 0..5 {
            sleep(Duration::from_micros(300)).await;
        }
    });
    let waits = host(&guest, || task.is_finished());
    // For each sleep a wait that the alarm ends, and one that takes the alarm's event away.
    assert!(waits <= 10, "the descriptor stays readable without cause: {waits} waits");
    assert!(!is_readable(&guest));
}

#[test]
fn another_threads_wake_ends_the_hosts_wait() {
    let guest = EventLoop::new().unwrap();
    let (tell, told) = oneshot::channel();
    let task = guest.spawn_local(told);
    assert!(!guest.turn(Some(Duration::ZERO)).unwrap().ready);
    let other = thread::spawn(move || tell.send(42).unwrap());
    host(&guest, || task.is_finished());
    other.join().unwrap();
    assert_eq!(task.wait().unwrap().unwrap(), 42);

    let handle = guest.handle();
    let spawned = thread::spawn(move || handle.spawn(async { 43 }).wait().unwrap());
    host(&guest, || spawned.is_finished() || guest.stats().spawned == 2);
    assert_eq!(spawned.join().unwrap(), 43);
}

#[test]
fn the_hosts_own_thread_can_wake_a_guest_that_rests() {
    let guest = EventLoop::new().unwrap();
    let (tell, told) = oneshot::channel::<()>();
    let task = guest.spawn_local(told);
    let turn = guest.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!((turn.ready, turn.tasks), (false, 1));
    assert!(!is_readable(&guest));
    tell.send(()).unwrap();
    assert!(is_readable(&guest), "a wake between two turns");
    host(&guest, || task.is_finished());

    let task = guest.spawn_local(async {});
    assert!(is_readable(&guest), "a task spawned between two turns");
    host(&guest, || task.is_finished());
    assert_eq!(guest.turn(Some(Duration::ZERO)).unwrap().tasks, 0);
}

#[test]
fn a_guest_lives_in_a_mio_loop_beside_its_hosts_own_sources() {
    const GUEST: Token = Token(0);
    const OWN: Token = Token(1);
    let guest = EventLoop::new().unwrap();
    let mut host = Poll::new().unwrap();
    let (mut own, to_host) = pipe().unwrap();
    let (to_guest, from_host) = pipe().map(|(reader, writer)| (writer, reader)).unwrap();
    let watch = |fd: i32, token| {
        host.registry().register(&mut SourceFd(&fd), token, Interest::READABLE).unwrap();
    };
    // mio is edge-triggered: a wake-up that the guest missed would not come again.
    watch(guest.as_fd().as_raw_fd(), GUEST);
    watch(own.as_raw_fd(), OWN);

    // The guest sends each byte that it is sent back to its host, after a nap.
    let from_host = Source::new(from_host).unwrap();
    let task = guest.spawn_local(async move {
        for _ in 0..20 {
            let mut byte = [0];
            from_host.read_with(|mut pipe| pipe.read_exact(&mut byte)).await.unwrap();
            sleep(Duration::from_micros(100)).await;
            (&to_host).write_all(&byte).unwrap();
        }
    });
    while guest.turn(Some(Duration::ZERO)).unwrap().ready {}
    let (mut sent, mut received) = (1_u8, 0_u8);
    (&to_guest).write_all(&[1]).unwrap();
    let mut events = Events::with_capacity(8);
    while !task.is_finished() {
        host.poll(&mut events, None).unwrap();
        for event in &events {
            if event.token() == GUEST {
                while guest.turn(Some(Duration::ZERO)).unwrap().ready {}
            } else {
                let mut byte = [0];
                own.read_exact(&mut byte).unwrap();
                received += 1;
                assert_eq!(byte, [received]);
                if sent < 20 {
                    sent += 1;
                    (&to_guest).write_all(&[sent]).unwrap();
                }
            }
        }
    }
    assert_eq!(sent, 20);
}

#[test]
fn a_turn_without_a_limit_waits_for_what_comes_next() {
    let event_loop = EventLoop::new().unwrap();
    let timer = event_loop.spawn_local(sleep(Duration::from_micros(100)));
    while !timer.is_finished() {
        event_loop.turn(None).unwrap();
    }

    let (tell, told) = oneshot::channel::<()>();
    let wake = event_loop.spawn_local(told);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let other = thread::spawn(move || tell.send(()).unwrap());
    while !wake.is_finished() {
        event_loop.turn(None).unwrap();
    }
    other.join().unwrap();
}

#[test]
fn two_loops_stand_side_by_side_on_one_thread() {
    let (a, b) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (tell, told) = oneshot::channel();
    let on_a = a.spawn_local(async move { told.await.unwrap() });
    a.block_on(yield_now());
    b.block_on(async { tell.send(7).unwrap() });
    // The wake went through a's inbox: b ran the thread.
    assert!(!b.block_on(async { on_a.is_finished() }));
    assert_eq!(a.block_on(on_a).unwrap(), 7);
}
