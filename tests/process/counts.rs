//! Nothing is left: no descriptor, no thread, no zombie. Counted before and after, in a process of its own.

use std::{fs, os::unix::process::ExitStatusExt, thread};

use futures_lite::future::poll_once;
use whirligig::{
    EventLoop, Runtime,
    process::{Child, Command, Stdio},
    task,
};

use crate::{again::alone, cat, shell, watchdog::Watchdog};

/// What a process has open, and which children it has, zombies included.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    descriptors: usize,
    threads: usize,
    pub(crate) children: usize,
}

pub(crate) fn counts() -> Counts {
    let entries = |path: &str| fs::read_dir(path).unwrap().count();
    let own = std::process::id().to_string();
    let parent = |stat: String| {
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.split(' ').nth(1).map(str::to_owned)
    };
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let stats = processes.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    let children = stats.filter_map(parent).filter(|parent| *parent == own).count();
    Counts { descriptors: entries("/proc/self/fd"), threads: entries("/proc/self/task"), children }
}

/// Waits for what is on its way to be gone: threads that end, children that die. For ever if it is not; that is what
/// the watchdog is for.
pub(crate) fn until_back_at(before: &Counts) {
    let mut now = counts();
    while now != *before {
        thread::sleep(std::time::Duration::from_millis(1));
        now = counts();
    }
}

fn on_loop_and_runtime(test: &'static str, rounds: usize, behaviour: impl AsyncFn()) {
    let _watchdog = Watchdog::new(test);
    let before = counts();
    for _ in 0..rounds {
        EventLoop::new().unwrap().block_on(behaviour());
        until_back_at(&before);
        Runtime::builder().worker_threads(2).build().unwrap().block_on(behaviour());
        until_back_at(&before);
    }
}

#[test]
fn a_thousand_children_at_once() {
    const NAME: &str = "counts::a_thousand_children_at_once";
    if !alone(NAME) {
        return;
    }
    on_loop_and_runtime(NAME, 1, async || {
        let before = counts();
        let mut children: Vec<Child> = (0..1000).map(|_| cat().spawn().unwrap()).collect();
        assert_eq!(counts().children, before.children + 1000);
        assert_eq!(counts().threads, before.threads, "no thread for any of them");
        for child in &mut children {
            assert!(poll_once(child.handle().wait()).await.is_none());
        }
        children.iter_mut().for_each(|child| drop(child.stdin.take()));
        for child in &mut children {
            assert!(child.wait().await.unwrap().success());
        }
        assert_eq!(counts().children, before.children, "each was reaped");
    });
}

/// Dropped in every state that a child can be in.
#[test]
fn no_drop_leaves_a_zombie() {
    const NAME: &str = "counts::no_drop_leaves_a_zombie";
    if !alone(NAME) {
        return;
    }
    let sleeps = || {
        let mut command = Command::new("sleep");
        command.arg("1000");
        command
    };
    on_loop_and_runtime(NAME, 3, async || {
        for round in 0..20 {
            // Running, and ends soon: some before they are dropped, some after.
            drop(Command::new("true").spawn().unwrap());
            drop(shell("exec sleep 0.002").spawn().unwrap());
            // Its input's end is its own.
            drop(cat().spawn().unwrap());
            // Killed, and not waited for.
            sleeps().spawn().unwrap().start_kill().unwrap();
            drop(sleeps().kill_on_drop(true).spawn().unwrap());
            // Waiting was given up.
            let mut child = cat().spawn().unwrap();
            assert!(poll_once(child.handle().wait()).await.is_none());
            drop(poll_once(child.wait()).await);
            drop(child);
            // Nobody awaits it.
            drop(Command::new("true").status());
            drop(Command::new("true").output());
            drop(poll_once(shell("exec sleep 0.002").output()).await);
            // A task that is cancelled.
            let mut child = sleeps().kill_on_drop(true).spawn().unwrap();
            let waiting = task::spawn_blocking(move || {
                drop(poll_once(child.wait()));
                child
            });
            match round % 2 {
                0 => drop(waiting.await.unwrap()),
                _ => drop(waiting),
            }
            // Waited for as it should be.
            assert!(Command::new("true").status().await.unwrap().success());
        }
    });
}

/// A child that outlives its loop, whose `Child` was dropped, is reaped all the same; and the thread that does it goes.
#[test]
fn orphans_outlive_their_loop() {
    const NAME: &str = "counts::orphans_outlive_their_loop";
    if !alone(NAME) {
        return;
    }
    let _watchdog = Watchdog::new(NAME);
    let before = counts();
    for _ in 0..3 {
        let inputs: Vec<_> = EventLoop::new().unwrap().block_on(async {
            let orphan = || {
                let mut child = cat().stdout(Stdio::null()).spawn().unwrap();
                child.stdin.take().unwrap()
            };
            (0..100).map(|_| orphan()).collect()
        });
        let now = counts();
        assert_eq!(now.children, before.children + 100);
        assert_eq!(now.threads, before.threads + 1, "one thread for all of them");
        drop(inputs);
        until_back_at(&before);
    }
}

/// Where no descriptor is left, starting fails with an error that says so, and nothing is lost; then it goes on.
#[test]
fn without_descriptors() {
    const NAME: &str = "counts::without_descriptors";
    if !alone(NAME) {
        return;
    }
    let _watchdog = Watchdog::new(NAME);
    let event_loop = EventLoop::new().unwrap();
    let before = counts();
    event_loop.block_on(async {
        let (mut children, mut files) = (Vec::new(), Vec::new());
        // One that is waited for by its pidfd, while there are any.
        children.push(cat().spawn().unwrap());
        assert!(poll_once(children[0].handle().wait()).await.is_none());
        while let Ok(file) = fs::File::open("/dev/null") {
            files.push(file);
        }
        let error = cat().spawn().unwrap_err();
        assert!(error.to_string().contains("`ulimit -n`"), "{error}");
        // Descriptors for the pipes, and perhaps none for the pidfd.
        for _ in 0..16 {
            drop(files.pop());
            children.extend(cat().spawn().ok());
        }
        assert!(children.len() > 1, "some could be started");
        drop(files);
        for mut child in children {
            let killed = child.kill().await.unwrap();
            assert!(killed.success() || killed.signal() == Some(9));
        }
    });
    until_back_at(&before);
}
