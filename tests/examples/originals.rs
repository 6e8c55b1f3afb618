//! The Python originals beside their twins: both are run, and print the same.
//!
//! The originals are in `docs/twins/python/`. Those that sleep for long run under its `fast.py`, as
//! their twins run with `--fast`. Where Python is not installed, or a package that an original
//! needs, its test says so and is skipped. `PYTHON=path` chooses another Python than `python3`.

use std::{
    env,
    io::pipe,
    process::{Command, Stdio},
};

use crate::{
    example,
    twins::{entered, printed},
    without_times,
};

fn python() -> Command {
    let mut python = Command::new(env::var_os("PYTHON").unwrap_or_else(|| "python3".into()));
    python.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/twins/python"));
    python.stdin(Stdio::null()).env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// What the original prints, if Python and the `package` it needs are there.
#[track_caller]
fn original(arguments: &[&str], package: &str) -> Option<String> {
    if !can_run(arguments, package) {
        return None;
    }
    let run = python().args(arguments).output().expect("it started a moment ago");
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{arguments:?} ended with {}:\n{complaint}", run.status);
    Some(String::from_utf8(run.stdout).expect("the originals print UTF-8"))
}

/// Whether Python is there, and the `package`. Otherwise it says what is not.
fn can_run(arguments: &[&str], package: &str) -> bool {
    // `to_thread` is the newest that they use.
    let check = format!("import {package}, asyncio; asyncio.to_thread");
    match python().args(["-c", &check]).output() {
        Err(error) => {
            eprintln!("skipped {arguments:?}: no Python to run it with: {error}");
            false
        }
        Ok(run) if !run.status.success() => {
            let message = String::from_utf8_lossy(&run.stderr);
            let reason = message.lines().last().unwrap_or("it gives no reason");
            eprintln!("skipped {arguments:?}: this Python cannot run it: {reason}");
            false
        }
        Ok(_) => true,
    }
}

/// Original and twin print the same, but for what `masked` takes out.
#[track_caller]
fn compare_masked(
    package: &str,
    arguments: &[&str],
    twin: (&str, &[&str]),
    masked: impl Fn(&str) -> String,
) {
    let Some(original) = original(arguments, package) else { return };
    assert_eq!(masked(&printed(twin.0, twin.1)), masked(&original), "twin, and then original");
}

#[track_caller]
fn compare(arguments: &[&str], name: &str, twin: &[&str]) {
    compare_masked("asyncio", arguments, (name, twin), str::to_owned);
}

#[test]
fn hello() {
    compare(&["fast.py", "hello.py"], "hello", &["--fast"]);
}

#[test]
fn tasks() {
    for program in ["gather", "create-task", "as-completed"] {
        compare(&["fast.py", "tasks.py", program], "tasks", &[program, "--fast"]);
    }
    compare(&["tasks.py", "frozen"], "tasks", &["frozen"]);
    // How often it ticks in two seconds depends on how busy the machine is.
    let without_ticks = |printed: &str| {
        assert!(printed.contains("tick 1\n"), "{printed}");
        printed.lines().filter(|line| !line.starts_with("tick ")).collect()
    };
    let twin: (_, &[_]) = ("tasks", &["to-thread"]);
    compare_masked("asyncio", &["tasks.py", "to-thread"], twin, without_ticks);
}

#[test]
fn generator() {
    for way in ["iterator", "state-machine", "async-block"] {
        compare(&["generator.py"], "generator", &[way]);
    }
}

#[test]
fn greenlet() {
    let twin: (_, &[_]) = ("green", &["greenlet"]);
    compare_masked("greenlet", &["greenlet_switch.py"], twin, str::to_owned);
}

#[test]
fn gevent() {
    let twin: (_, &[_]) = ("green", &["gevent", "--fast"]);
    compare_masked("gevent", &["gevent_tasks.py"], twin, str::to_owned);
}

#[test]
fn counter() {
    for arguments in [&["threads", "--lock"][..], &["tasks", "--lock"], &["tasks"]] {
        compare(&[&["counter.py"], arguments].concat(), "counter", arguments);
    }
    // How much they lose differs from run to run.
    let without_number = |printed: &str| {
        let (_, of) = printed.split_once(" of ").unwrap_or_else(|| panic!("{printed:?}"));
        of.to_owned()
    };
    let twin: (_, &[_]) = ("counter", &["threads"]);
    compare_masked("asyncio", &["counter.py", "threads"], twin, without_number);
}

#[test]
fn producer_consumer_sync() {
    let twin: (_, &[_]) = ("producer_consumer_sync", &["--fast"]);
    compare_masked("asyncio", &["fast.py", "producer_consumer_sync.py"], twin, without_times);
}

/// Each draws its own delays: the same lines, in another order.
#[test]
fn producer_consumer() {
    let sorted = |printed: &str| {
        let masked = without_times(printed);
        let mut lines: Vec<&str> = masked.lines().collect();
        lines.sort_unstable();
        lines.join("\n")
    };
    let twin: (_, &[_]) = ("producer_consumer", &["--fast"]);
    compare_masked("asyncio", &["fast.py", "producer_consumer.py"], twin, sorted);
}

#[test]
fn queue_threads() {
    compare(&["queue_threads.py"], "queue_threads", &[]);
}

/// The delays are random, and so are the items that five seconds are enough for. The rest is alike: both
/// producers begin, and all three end before the program says that it does.
#[test]
fn nursery() {
    let kinds = |printed: &str| {
        let of_item = |line: &str| line.starts_with(' ');
        let mut lines: Vec<&str> = printed.lines().filter(|line| !of_item(line)).collect();
        let last = lines.pop().unwrap_or_else(|| panic!("it prints nothing"));
        lines.sort_unstable();
        for first in [" -- Producer 1 generated item 1", " -- Producer 2 generated item 1"] {
            assert!(printed.contains(first), "{printed}");
        }
        format!("{lines:?}, and last {last}")
    };
    compare_masked("trio", &["fast.py", "nursery.py"], ("nursery", &["--fast"]), kinds);
}

#[test]
fn bank() {
    for locks in ["unsafe", "safe", "fine-grained", "deadlock"] {
        // How often money is missing differs from run to run, and a dump the original has not.
        let without_errors = |printed: &str| {
            let lines = printed.lines().filter(|line| !line.starts_with("ERROR: "));
            let lines = lines.filter(|line| !line.starts_with("task "));
            lines.map(without_times).collect::<Vec<_>>().join("\n")
        };
        let twin: (_, &[_]) = ("bank", &[locks, "--fast"]);
        compare_masked("asyncio", &["bank.py", locks], twin, without_errors);
    }
}

#[test]
fn rate_limit() {
    for limit in ["in-flight", "per-second"] {
        compare(&["fast.py", "rate_limit.py", limit], "rate_limit", &[limit, "--fast"]);
    }
}

/// Lines whose order is the scheduler's.
fn sorted(printed: &str) -> String {
    let mut lines: Vec<&str> = printed.lines().collect();
    lines.sort_unstable();
    lines.join("\n")
}

/// The same, with `#` for the number of a process.
fn sorted_without_pids(printed: &str) -> String {
    let without_pid = |line: &str| match line.rsplit_once(" in process ") {
        Some((what, _)) => format!("{what} in process #\n"),
        None => format!("{line}\n"),
    };
    sorted(&printed.lines().map(without_pid).collect::<String>())
}

#[test]
fn threads() {
    for program in ["daemon", "non-daemon", "join-timeout"] {
        compare(&["threads.py", program], "threads", &[program]);
    }
    for program in ["hello", "five"] {
        compare_masked("asyncio", &["threads.py", program], ("threads", &[program]), sorted);
    }
}

#[test]
fn thread_pool() {
    for program in ["submit", "map", "as-completed", "exceptions", "cancel", "shutdown"] {
        compare(&["thread_pool.py", program], "thread_pool", &[program]);
    }
}

#[test]
fn processes() {
    for program in ["pipe", "manager"] {
        compare(&["processes.py", program], "processes", &[program]);
    }
    let compare_sorted = |program: &str| {
        let twin: (_, &[_]) = ("processes", &[program]);
        compare_masked("asyncio", &["processes.py", program], twin, sorted_without_pids);
    };
    compare_sorted("five");
    compare_sorted("lock");
    // What a sixth `get` does is the difference.
    let first_line = |printed: &str| {
        let (first, sixth) = printed.split_once('\n').unwrap_or_else(|| panic!("{printed:?}"));
        assert!(sixth.starts_with("A sixth get: "), "{sixth}");
        first.to_owned()
    };
    let twin: (_, &[_]) = ("processes", &["queue"]);
    compare_masked("asyncio", &["processes.py", "queue"], twin, first_line);
}

#[test]
fn squares() {
    for package in ["joblib", "dask"] {
        let twin: (_, &[_]) = ("squares", &[package]);
        compare_masked(package, &["squares.py", package], twin, str::to_owned);
    }
}

#[test]
fn mixed() {
    compare_masked("unsync", &["mixed.py"], ("mixed", &[]), without_times);
}

/// How many items come before Enter differs from run to run.
#[test]
fn enter() {
    if !can_run(&["enter.py"], "asyncio") {
        return;
    }
    let without_items = |command: Command| {
        let (stdin, user) = pipe().expect("there are descriptors left");
        let printed = entered(command, stdin, user);
        let others = printed.lines().filter(|line| !line.starts_with(" -- "));
        others.map(str::to_owned).collect::<Vec<_>>()
    };
    let mut original = python();
    original.arg("enter.py");
    assert_eq!(without_items(example("enter")), without_items(original));
}

#[test]
fn process_pool() {
    for program in ["map", "as-completed", "pool-map", "apply-async"] {
        compare(&["process_pool.py", program], "process_pool", &[program]);
    }
    let twin: (_, &[_]) = ("process_pool", &["submit"]);
    compare_masked("asyncio", &["process_pool.py", "submit"], twin, sorted_without_pids);
}

#[test]
fn cores() {
    for (package, program) in [("asyncio", "roots"), ("pyximport", "nogil")] {
        let twin: (_, &[_]) = ("cores", &[program]);
        compare_masked(package, &["cores.py", program], twin, without_times);
    }
}
