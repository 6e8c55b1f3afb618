//! Without pidfds: the kernel is made to refuse them, as old ones and some sandboxes do.
//!
//! A seccomp filter holds for the thread that sets it and for those that this starts: so each test here has a thread
//! of its own, and the loops, workers and children in it have none.

use std::{io, os::unix::process::ExitStatusExt, thread};

use futures_lite::future::poll_once;
use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, pidfd_open},
};
use whirligig::{
    EventLoop, Runtime,
    process::{Child, Command},
    signal::{SignalKind, signal},
    spawn,
};

use crate::{
    again::alone,
    cat,
    counts::{counts, until_back_at},
    refused::refuse,
    shell,
    variants::on_each_variant,
    watchdog::Watchdog,
};

fn refuse_pidfds() {
    // `pidfd_open`, on all architectures alike.
    refuse(&[434], Errno::NOSYS);
    let own = Pid::from_raw(std::process::id() as i32).unwrap();
    let refused = pidfd_open(own, PidfdFlags::empty()).unwrap_err();
    assert_eq!(io::Error::from(refused).kind(), io::ErrorKind::Unsupported, "the filter holds");
}

fn without_pidfds(test: impl FnOnce() + Send + 'static) {
    let tests = move || {
        refuse_pidfds();
        test();
    };
    thread::spawn(tests).join().unwrap();
}

#[test]
fn ends_are_told() {
    without_pidfds(|| {
        on_each_variant(|_| async {
            assert_eq!(shell("exit 42").status().await.unwrap().code(), Some(42));
            assert_eq!(shell("kill -KILL $$").status().await.unwrap().signal(), Some(9));
            let mut child = cat().spawn().unwrap();
            let waiting: Vec<_> = (0..10)
                .map(|_| {
                    let handle = child.handle();
                    spawn(async move { handle.wait().await.unwrap().success() })
                })
                .collect();
            assert!(poll_once(child.handle().wait()).await.is_none());
            drop(child.stdin.take());
            for task in waiting {
                assert!(task.await.unwrap());
            }
            assert!(child.wait().await.unwrap().success());
        });
    });
}

#[test]
fn megabytes_each_way() {
    without_pidfds(|| {
        on_each_variant(|_| async {
            let input = vec![b'x'; 3 << 20];
            let output = cat().spawn().unwrap().communicate(&input).await.unwrap();
            assert!(output.stdout == input && output.status.success());
        });
    });
}

/// They end one after the other, and each end wakes all that wait.
#[test]
fn hundreds_at_once() {
    without_pidfds(|| {
        on_each_variant(|_| async {
            let wait = |mut child: Child| spawn(async move { child.wait().await.unwrap().code() });
            let children = (0..300).map(|n| shell(&format!("exit {}", n % 100)).spawn().unwrap());
            let waiting: Vec<_> = children.map(wait).collect();
            for (n, task) in (0..).zip(waiting) {
                assert_eq!(task.await.unwrap(), Some(n % 100));
            }
        });
    });
}

/// Who listens for `SIGCHLD` besides is not disturbed, nor does it disturb.
#[test]
fn beside_a_listener_of_the_users() {
    without_pidfds(|| {
        on_each_variant(|_| async {
            let mut listener = signal(SignalKind::child()).unwrap();
            assert!(Command::new("true").status().await.unwrap().success());
            listener.recv().await.unwrap();
        });
    });
}

/// And no zombie, descriptor or thread is left.
#[test]
fn nothing_is_left() {
    const NAME: &str = "without_pidfd::nothing_is_left";
    if !alone(NAME) {
        return;
    }
    let _watchdog = Watchdog::new(NAME);
    refuse_pidfds();
    // What `SIGCHLD` did, before it is listened for: nothing, and so afterwards.
    let before = counts();
    for _ in 0..10 {
        let behaviour = async || {
            drop(Command::new("true").spawn().unwrap());
            drop(shell("exec sleep 0.002").spawn().unwrap());
            drop(cat().kill_on_drop(true).spawn().unwrap());
            drop(poll_once(shell("exec sleep 0.002").output()).await);
            assert!(cat().spawn().unwrap().wait().await.unwrap().success());
        };
        EventLoop::new().unwrap().block_on(behaviour());
        until_back_at(&before);
        Runtime::builder().worker_threads(2).build().unwrap().block_on(behaviour());
        until_back_at(&before);
    }
    let input = EventLoop::new().unwrap().block_on(async {
        let mut child = cat().spawn().unwrap();
        child.stdin.take()
    });
    assert_eq!(counts().children, before.children + 1);
    drop(input);
    until_back_at(&before);
}
