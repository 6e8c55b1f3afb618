//! A test in a process of its own: this program again, with the same test, and a role to play in the environment.
//!
//! For what concerns a whole process: how it ends, and how many descriptors, threads and children it has. The parent
//! looks at how the child ended, and at what it has said. Included with `#[path]`, beside `watchdog.rs`.

#![allow(dead_code, reason = "each test program uses a part")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal as Number, kill_process};

use crate::watchdog::Watchdog;

const ROLE: &str = "WHIRLIGIG_TEST_ROLE";

pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// To the parent, past the capture of the test harness.
pub(crate) fn say(line: &str) {
    let mut stderr = std::io::stderr().lock();
    writeln!(stderr, "> {line}").unwrap();
}

pub(crate) struct Playing {
    child: Child,
    lines: BufReader<std::process::ChildStderr>,
    _watchdog: Watchdog,
}

pub(crate) fn this_program(test: &str, role: &str) -> Playing {
    let mut command = Command::new("env");
    command.arg("--");
    as_child(command, test, role)
}

/// This test again, as the last arguments of a launcher.
pub(crate) fn as_child(launcher: Command, test: &str, role: &str) -> Playing {
    as_child_with(launcher, test, role, Stdio::inherit())
}

/// The same with another standard input.
pub(crate) fn as_child_with(
    mut launcher: Command,
    test: &str,
    role: &str,
    stdin: Stdio,
) -> Playing {
    let program = std::env::current_exe().unwrap();
    launcher
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(Stdio::null())
        .stdin(stdin)
        .stderr(Stdio::piped());
    let mut child = launcher.spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap());
    Playing { child, lines, _watchdog: Watchdog::new("a test in a process of its own") }
}

impl Playing {
    /// What the child says next.
    pub(crate) fn next_line(&mut self) -> String {
        self.next_line_before("anything")
    }

    fn next_line_before(&mut self, expected: &str) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.lines.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the child has ended before it said {expected:?}");
            if let Some(said) = line.trim_end().strip_prefix("> ") {
                return said.to_owned();
            }
        }
    }

    pub(crate) fn await_line(&mut self, expected: &str) {
        while self.next_line_before(expected) != expected {}
    }

    pub(crate) fn send(&self, number: i32) {
        let number = Number::from_named_raw(number).unwrap();
        kill_process(Pid::from_child(&self.child), number).unwrap();
    }
}

/// How it ended, and what it has said since the line that was awaited last.
pub(crate) fn end(mut playing: Playing) -> (ExitStatus, String) {
    let mut rest = String::new();
    playing.lines.read_to_string(&mut rest).unwrap();
    let said =
        rest.lines().filter_map(|line| line.strip_prefix("> ")).map(|line| format!("{line}\n"));
    let said = said.collect();
    let status = playing.child.wait().unwrap();
    if !status.success() && status.signal().is_none() {
        eprintln!("{rest}");
    }
    (status, said)
}

pub(crate) fn ended(code: i32) -> ExitStatus {
    ExitStatus::from_raw(code << 8)
}

pub(crate) fn by_signal(number: i32) -> ExitStatus {
    ExitStatus::from_raw(number)
}

/// Runs a test in a process of its own, which must end well. `true`: this is that process.
pub(crate) fn alone(test: &str) -> bool {
    if role().is_some() {
        return true;
    }
    let child = this_program(test, "alone");
    assert_eq!(end(child), (ended(0), String::new()), "{test} in a process of its own");
    false
}
