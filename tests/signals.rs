//! Signals: real ones, of this process to itself, and in children wherever the default is what matters.
//!
//! A test that needs a process of its own runs this program again, with the same test and a role in the environment.
//! What the parent looks at is how the child ended, and what it wrote.

use std::{
    fs,
    future::pending,
    io::ErrorKind,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use futures_lite::{StreamExt, future::poll_once};
use whirligig::{
    EventLoop, Runtime, WaitsFor, WaitsOn, dump,
    signal::{Interrupted, Signal, SignalKind, cancel_on_ctrl_c, ctrl_c, run_until_ctrl_c, signal},
    spawn, task,
};

use self::{
    again::{as_child, by_signal, end, ended, role, say, this_program},
    variants::on_each_variant,
    watchdog::Watchdog,
};

#[path = "support/again.rs"]
mod again;
#[path = "support/variants.rs"]
mod variants;
#[path = "support/watchdog.rs"]
mod watchdog;

/// Each test has signals of its own, for the tests of this program run at once: real-time ones where no default
/// matters.
fn real_time(number: i32) -> SignalKind {
    SignalKind::from_raw(libc_sigrtmin() + number)
}

fn libc_sigrtmin() -> i32 {
    // glibc keeps two for itself.
    34
}

fn raise(kind: SignalKind) {
    signal_hook::low_level::raise(kind.as_raw()).unwrap();
}

#[test]
fn each_listener_hears_each_signal() {
    on_each_variant(|_| async {
        let kind = real_time(1);
        let listeners: Vec<Signal> = (0..3).map(|_| signal(kind).unwrap()).collect();
        let rounds = Arc::new(AtomicUsize::new(0));
        let tasks: Vec<_> = listeners
            .into_iter()
            .map(|mut listener| {
                let rounds = rounds.clone();
                spawn(async move {
                    for _ in 0..10 {
                        listener.recv().await.unwrap();
                        rounds.fetch_add(1, SeqCst);
                    }
                })
            })
            .collect();
        for round in 1..=10 {
            raise(kind);
            while rounds.load(SeqCst) < 3 * round {
                task::yield_now().await;
            }
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(rounds.load(SeqCst), 30, "and each only once");
    });
}

/// It empties the pipe that all share, and what is in there by then is the others' news.
#[test]
fn a_new_listener_takes_nothing_from_those_that_wait() {
    let _watchdog = Watchdog::new("a new listener");
    whirligig::run(async {
        let kind = real_time(20);
        let mut first = signal(kind).unwrap();
        let waiting = spawn(async move { first.recv().await });
        task::yield_now().await;
        task::yield_now().await;
        raise(kind);
        let mut second = signal(kind).unwrap();
        waiting.await.unwrap().unwrap();
        assert!(poll_once(second.recv()).await.is_none(), "it came before");
    });
}

#[test]
fn signals_that_come_before_a_look_are_one() {
    on_each_variant(|_| async {
        let kind = real_time(2);
        let mut early = signal(kind).unwrap();
        (0..1000).for_each(|_| raise(kind));
        let mut late = signal(kind).unwrap();
        early.recv().await.unwrap();
        assert!(poll_once(early.recv()).await.is_none(), "a thousand were one");
        assert!(poll_once(late.recv()).await.is_none(), "what came before it is not its own");
        raise(kind);
        late.recv().await.unwrap();
        early.recv().await.unwrap();
    });
}

/// More than the pipe between handler and loop has room for: what does not fit is not missed, nor what comes after.
#[test]
fn a_flood_of_signals_is_heard() {
    on_each_variant(|_| async {
        let kind = real_time(3);
        let mut listener = signal(kind).unwrap();
        for signals in [66_000, 1] {
            (0..signals).for_each(|_| raise(kind));
            listener.recv().await.unwrap();
            assert!(poll_once(listener.recv()).await.is_none());
        }
    });
}

#[test]
fn a_listener_is_a_stream() {
    on_each_variant(|_| async {
        let kind = real_time(4);
        let mut stream = signal(kind).unwrap();
        for _ in 0..3 {
            assert!(poll_once(stream.next()).await.is_none());
            raise(kind);
            stream.next().await.unwrap().unwrap();
        }
    });
}

/// On two loops and a runtime at once, in threads of their own. A listener made on none of them moves between them.
#[test]
fn on_any_loop_of_the_process() {
    let _watchdog = Watchdog::new("on_any_loop_of_the_process");
    let kind = real_time(5);
    let mut moving = signal(kind).unwrap();
    let heard = Arc::new(AtomicUsize::new(0));
    let counts = |mut listener: Signal| {
        let heard = heard.clone();
        async move {
            for _ in 0..5 {
                listener.recv().await.unwrap();
                heard.fetch_add(1, SeqCst);
            }
        }
    };
    let (one, two, three) = (signal(kind).unwrap(), signal(kind).unwrap(), signal(kind).unwrap());
    let (one, two, three) = (counts(one), counts(two), counts(three));
    let on_loops = [
        thread::spawn(|| whirligig::run(one)),
        thread::spawn(|| whirligig::run(two)),
        thread::spawn(|| Runtime::new().unwrap().block_on(three)),
    ];
    for round in 1..=5 {
        raise(kind);
        // A new loop each time.
        whirligig::run(moving.recv()).unwrap();
        while heard.load(SeqCst) < 3 * round {
            thread::yield_now();
        }
    }
    on_loops.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_dropped_wait_has_heard_nothing() {
    on_each_variant(|_| async {
        let kind = real_time(6);
        let mut listener = signal(kind).unwrap();
        assert!(poll_once(listener.recv()).await.is_none());
        raise(kind);
        drop(listener.recv());
        listener.recv().await.unwrap();
    });
}

#[test]
fn what_is_waited_for_is_told() {
    on_each_variant(|_| async {
        let kind = real_time(7);
        let mut listener = signal(kind).unwrap();
        let waiting = spawn(async move { listener.recv().await });
        let waits = loop {
            task::yield_now().await;
            let dump = dump();
            let found = dump.tasks.iter().find(|task| task.id == waiting.id()).unwrap();
            if let Some((what, location)) = found.waits {
                break (what, location.file(), found.waits_on);
            }
        };
        let number = kind.as_raw() as u64;
        assert_eq!(waits, (WaitsFor::OsSignal, file!(), Some(WaitsOn::OsSignal(number))));
        raise(kind);
        waiting.await.unwrap().unwrap();
    });
}

#[test]
fn what_cannot_be_listened_for_says_why() {
    for (kind, why) in [
        (SignalKind::kill(), "SIGKILL cannot be listened for: the kernel lets no process catch it"),
        (SignalKind::stop(), "the kernel lets no process"),
        (
            SignalKind::from_raw(11),
            "SIGSEGV cannot be listened for: it tells of an error of this very program",
        ),
        (SignalKind::from_raw(0), "there is no signal 0"),
        (SignalKind::from_raw(-3), "there is no signal -3"),
        (SignalKind::from_raw(65), "there is no signal 65"),
        (SignalKind::from_raw(i32::MAX), "there is no signal"),
    ] {
        let error = signal(kind).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// In a process of its own, for no other test may open descriptors meanwhile.
#[test]
fn nothing_is_left_open() {
    if role().is_some() {
        let open = || fs::read_dir("/proc/self/fd").unwrap().count();
        let threads = || fs::read_dir("/proc/self/task").unwrap().count();
        let before = (open(), threads());
        for round in 0..20 {
            let event_loop = EventLoop::new().unwrap();
            event_loop.block_on(async {
                let mut listeners = [signal(real_time(8)).unwrap(), signal(real_time(8)).unwrap()];
                raise(real_time(8));
                for listener in &mut listeners {
                    listener.recv().await.unwrap();
                    assert!(poll_once(listener.recv()).await.is_none());
                }
            });
            drop(event_loop);
            assert_eq!((open(), threads()), before, "in round {round}");
        }
        return;
    }
    let child = this_program("nothing_is_left_open", "counts");
    assert_eq!(end(child), (ended(0), String::new()));
}

// What ends a process, and what does not.

#[test]
fn while_one_listens_the_default_is_off_and_after_the_last_it_is_back() {
    const NAME: &str = "while_one_listens_the_default_is_off_and_after_the_last_it_is_back";
    match role().as_deref() {
        Some("listens") => whirligig::run(async {
            let (mut one, two) = (terminate(), terminate());
            drop(two);
            say("ready");
            one.recv().await.unwrap();
            say("heard");
        }),
        Some("has listened") => {
            drop((terminate(), terminate()));
            say("ready");
            whirligig::run(pending::<()>());
        }
        Some("listens again") => whirligig::run(async {
            drop(terminate());
            let mut again = terminate();
            say("ready");
            again.recv().await.unwrap();
            say("heard");
        }),
        _ => {
            for (role, status, said) in [
                ("listens", ended(0), "heard\n"),
                ("has listened", by_signal(15), ""),
                ("listens again", ended(0), "heard\n"),
            ] {
                let mut child = this_program(NAME, role);
                child.await_line("ready");
                child.send(SignalKind::terminate().as_raw());
                assert_eq!(end(child), (status, said.to_owned()), "{role}");
            }
        }
    }
}

fn terminate() -> Signal {
    signal(SignalKind::terminate()).unwrap()
}

/// `nohup`, and a shell's background jobs: what was ignored before is not made deadly by having been listened for.
#[test]
fn what_was_ignored_before_is_ignored_again() {
    const NAME: &str = "what_was_ignored_before_is_ignored_again";
    if role().is_some() {
        whirligig::run(async {
            let mut hangup = signal(SignalKind::hangup()).unwrap();
            raise(SignalKind::hangup());
            hangup.recv().await.unwrap();
        });
        raise(SignalKind::hangup());
        return say("alive");
    }
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" HUP; exec "$0" "$@""#]);
    let child = as_child(command, NAME, "ignores");
    assert_eq!(end(child), (ended(0), "alive\n".to_owned()));
}

/// A handler of the program's own, from before or through the crate that this library uses too, goes on hearing.
#[test]
fn other_handlers_hear_it_as_well() {
    const NAME: &str = "other_handlers_hear_it_as_well";
    if role().is_some() {
        static HEARD: AtomicUsize = AtomicUsize::new(0);
        let flag = Arc::new(std::sync::atomic::AtomicBool::new(false));
        signal_hook::flag::register(SignalKind::user_defined1().as_raw(), flag.clone()).unwrap();
        whirligig::run(async {
            let mut user = signal(SignalKind::user_defined1()).unwrap();
            raise(SignalKind::user_defined1());
            user.recv().await.unwrap();
            HEARD.fetch_add(1, SeqCst);
        });
        assert!(flag.swap(false, SeqCst));
        // Nobody of ours listens any more: it is that handler's alone again.
        raise(SignalKind::user_defined1());
        assert!(flag.load(SeqCst));
        return say("alive");
    }
    let child = this_program(NAME, "has a handler");
    assert_eq!(end(child), (ended(0), "alive\n".to_owned()));
}

/// What an orderly end cleans up.
struct CleanUp(&'static str);

impl Drop for CleanUp {
    fn drop(&mut self) {
        say(self.0);
    }
}

/// A child that runs with asyncio's manners. The role says what its clean-up does.
fn interrupted_program(role: &str) -> Result<(), Interrupted> {
    run_until_ctrl_c(async {
        let _main = CleanUp("main cleaned up");
        let _other = spawn(async {
            let _other = CleanUp("other cleaned up");
            pending::<()>().await
        });
        task::yield_now().await;
        if role == "hangs" {
            struct Hangs;
            impl Drop for Hangs {
                fn drop(&mut self) {
                    say("cleaning up");
                    loop {
                        thread::park();
                    }
                }
            }
            let _hangs = Hangs;
            say("ready");
            pending::<()>().await
        }
        say("ready");
        if role == "ends" {
            return;
        }
        pending::<()>().await
    })
}

#[test]
fn the_first_ctrl_c_cleans_up_and_the_second_ends_at_once() {
    const NAME: &str = "the_first_ctrl_c_cleans_up_and_the_second_ends_at_once";
    match role().as_deref() {
        Some("says so") => {
            let outcome = interrupted_program("says so");
            return say(&format!("{}", outcome.unwrap_err()));
        }
        Some("ends") => {
            interrupted_program("ends").unwrap();
            say("ended");
            // Nobody listens now.
            return raise(SignalKind::interrupt());
        }
        Some(role) => interrupted_program(role).unwrap_err().exit(),
        None => {}
    }
    let cleaned = "main cleaned up\nother cleaned up\n";
    let mut child = this_program(NAME, "says so");
    child.await_line("ready");
    child.send(SignalKind::interrupt().as_raw());
    assert_eq!(end(child), (ended(0), format!("{cleaned}interrupted by Ctrl-C\n")));

    let mut child = this_program(NAME, "exits");
    child.await_line("ready");
    child.send(SignalKind::interrupt().as_raw());
    assert_eq!(end(child), (by_signal(2), cleaned.to_owned()));

    let mut child = this_program(NAME, "ends");
    child.await_line("ready");
    assert_eq!(end(child), (by_signal(2), format!("{cleaned}ended\n")));

    let mut child = this_program(NAME, "hangs");
    child.await_line("ready");
    child.send(SignalKind::interrupt().as_raw());
    child.await_line("cleaning up");
    child.send(SignalKind::interrupt().as_raw());
    assert_eq!(end(child), (by_signal(2), String::new()));
}

/// A future that is ready again and again, and gives way only when its budget is used up.
#[test]
fn ctrl_c_reaches_a_future_that_is_always_ready() {
    const NAME: &str = "ctrl_c_reaches_a_future_that_is_always_ready";
    if role().is_some() {
        let queue = whirligig::queue::Queue::unbounded();
        let outcome = run_until_ctrl_c(async {
            let mut told = false;
            while !queue.is_closed() {
                queue.put(()).await.unwrap();
                queue.get().await.unwrap();
                if !told {
                    say("ready");
                    told = true;
                }
            }
        });
        return say(&outcome.unwrap_err().to_string());
    }
    let mut child = this_program(NAME, "is ready");
    child.await_line("ready");
    child.send(SignalKind::interrupt().as_raw());
    assert_eq!(end(child), (ended(0), "interrupted by Ctrl-C\n".to_owned()));
}

/// On a runtime, with a clean-up that awaits, and `ctrl_c` again and again.
#[test]
fn ctrl_c_on_a_runtime() {
    const NAME: &str = "ctrl_c_on_a_runtime";
    if role().is_some() {
        return Runtime::new().unwrap().block_on(async {
            let first = ctrl_c();
            raise(SignalKind::interrupt());
            first.await.unwrap();
            let second = spawn(async { ctrl_c().await });
            let third = ctrl_c();
            let work = spawn(async { cancel_on_ctrl_c(pending::<()>()).unwrap().await });
            // Each listens from its first line on.
            while dump().to_string().matches("signal 2").count() < 2 {
                task::yield_now().await;
            }
            raise(SignalKind::interrupt());
            third.await.unwrap();
            second.await.unwrap().unwrap();
            assert!(work.await.unwrap().is_err());
            spawn(async { say("cleaned up") }).await.unwrap();
        });
    }
    let child = this_program(NAME, "listens");
    assert_eq!(end(child), (ended(0), "cleaned up\n".to_owned()));
}
