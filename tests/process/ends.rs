//! Waiting for a child's end: once, often, by many, dropped in the middle, on several loops.

use std::{os::unix::process::ExitStatusExt, sync::mpsc, thread, time::Duration};

use futures_lite::future::poll_once;
use whirligig::{
    EventLoop, Runtime, WaitsFor, WaitsOn, dump,
    process::{Command, Stdio},
    spawn, task, time,
};

use crate::{cat, shell, variants::on_each_variant, watchdog::Watchdog};

#[test]
fn how_it_ended_is_told() {
    on_each_variant(|_| async {
        assert!(Command::new("true").status().await.unwrap().success());
        assert_eq!(Command::new("false").status().await.unwrap().code(), Some(1));
        assert_eq!(shell("exit 42").status().await.unwrap().code(), Some(42));
        let killed = shell("kill -KILL $$").status().await.unwrap();
        assert_eq!((killed.code(), killed.signal()), (None, Some(9)));
        assert_eq!(shell("kill -USR1 $$").status().await.unwrap().signal(), Some(10));
    });
}

#[test]
fn the_status_is_kept() {
    on_each_variant(|_| async {
        let mut child = cat().spawn().unwrap();
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(poll_once(child.handle().wait()).await.is_none());
        for _ in 0..3 {
            assert!(child.wait().await.unwrap().success());
            assert!(child.try_wait().unwrap().unwrap().success());
            assert!(child.handle().wait().await.unwrap().success());
        }
        child.start_kill().expect("it has ended, and nothing happens");
        assert!(child.kill().await.unwrap().success());
    });
}

#[test]
fn a_dropped_wait_has_lost_nothing() {
    on_each_variant(|_| async {
        let mut child = cat().spawn().unwrap();
        let (handle, input) = (child.handle(), child.stdin.take());
        for _ in 0..10 {
            assert!(poll_once(child.wait()).await.is_none());
            assert!(poll_once(handle.wait()).await.is_none());
        }
        drop(input);
        while child.try_wait().unwrap().is_none() {
            task::yield_now().await;
        }
        assert!(poll_once(child.wait()).await.unwrap().unwrap().success());
    });
}

#[test]
fn any_number_of_tasks_wait_for_one_child() {
    on_each_variant(|_| async {
        let mut child = cat().spawn().unwrap();
        let waiting: Vec<_> = (0..50)
            .map(|_| {
                let handle = child.handle();
                spawn(async move { handle.wait().await.unwrap().success() })
            })
            .collect();
        task::yield_now().await;
        drop(child.stdin.take());
        for task in waiting {
            assert!(task.await.unwrap());
        }
    });
}

#[test]
fn what_is_waited_for_is_told() {
    on_each_variant(|_| async {
        let child = cat().spawn().unwrap();
        let handle = child.handle();
        let waiting = spawn(async move { handle.wait().await });
        let told = loop {
            task::yield_now().await;
            let dump = dump();
            let found = dump.tasks.iter().find(|task| task.id == waiting.id()).unwrap();
            if let Some((what, location)) = found.waits {
                break (what, location.file(), found.waits_on);
            }
        };
        let process = WaitsOn::Process(child.id().into());
        assert_eq!(told, (WaitsFor::Process, file!(), Some(process)));
        drop(child);
        waiting.await.unwrap().unwrap();
    });
}

/// One child, waited for on an event loop, on another, and on a runtime, at once and one after the other.
#[test]
fn on_several_loops() {
    let _watchdog = Watchdog::new("on_several_loops");
    for _ in 0..20 {
        let mut child = cat().spawn().unwrap();
        // It has waited on a loop that is gone.
        EventLoop::new().unwrap().block_on(async {
            assert!(poll_once(child.handle().wait()).await.is_none());
        });
        let (waits, waiting) = mpsc::channel();
        let on_loops: Vec<_> = (0..3)
            .map(|which| {
                let (handle, waits) = (child.handle(), waits.clone());
                thread::spawn(move || {
                    let wait = async move {
                        assert!(poll_once(handle.wait()).await.is_none());
                        let wait = handle.wait();
                        waits.send(()).unwrap();
                        wait.await
                    };
                    match which {
                        0 | 1 => whirligig::run(wait),
                        _ => Runtime::new().unwrap().block_on(wait),
                    }
                })
            })
            .collect();
        (0..3).for_each(|_| waiting.recv().unwrap());
        drop(child.stdin.take());
        for thread in on_loops {
            assert!(thread.join().unwrap().unwrap().success());
        }
        assert!(whirligig::run(child.wait()).unwrap().success());
    }
}

/// Made on a thread that no loop runs, and asked there.
#[test]
fn outside_of_any_loop() {
    let _watchdog = Watchdog::new("outside_of_any_loop");
    let mut child = cat().spawn().unwrap();
    drop(child.stdin.take());
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => thread::yield_now(),
        }
    };
    assert!(status.success());
    let wait = futures_lite::future::block_on(child.wait());
    assert_eq!(wait.unwrap(), status, "what is known needs no loop");
}

/// A test clock does not jump over a child that is waited for.
#[test]
fn a_test_clock_waits_for_a_child() {
    let _watchdog = Watchdog::new("a_test_clock_waits_for_a_child");
    let clock = time::TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    clock.set_real_wait(Duration::from_secs(20));
    let limit = Duration::from_secs(3600);
    event_loop.block_on(async {
        let mut children: Vec<_> =
            (0..3).map(|_| shell("exec sleep 0.01").spawn().unwrap()).collect();
        for child in &mut children {
            assert!(time::timeout(limit, child.wait()).await.unwrap().unwrap().success());
        }
    });
}

/// The child closes its output long before it ends, and another holds it long after: both are waited for.
#[test]
fn the_end_is_not_the_end_of_the_output() {
    on_each_variant(|_| async {
        let mut child = shell("exec >&-; read line; exit 5");
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, input) = (child.stdout.take().unwrap(), child.stdin.take());
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(child.try_wait().unwrap(), None);
        drop(input);
        assert_eq!(child.wait().await.unwrap().code(), Some(5));

        // A shell gives its background jobs no input of its own, but for the asking.
        let mut child = shell("exec 3<&0; cat <&3 & exit 6")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (output, input) = (child.stdout.take().unwrap(), child.stdin.take());
        let status = child.wait().await;
        assert_eq!(status.unwrap().code(), Some(6));
        assert!(poll_once(output.read(&mut [0])).await.is_none(), "its own child goes on");
        drop(input);
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
    });
}
