//! How the tests run the programs, and other people's tools against them.
//!
//! A program is started as a reader starts it, at a free port, and is gone when the test is over, however that ends.
//! A tool that is not installed is named with its Debian package, and the test counts as skipped.

#![allow(dead_code, reason = "each test uses some of it")]

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio},
    thread::{self, JoinHandle},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

#[path = "../../../../tests/support/watchdog.rs"]
mod watchdog;

pub(crate) use self::watchdog::Watchdog;

/// A program of ours that serves.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    stdout: BufReader<ChildStdout>,
    log: Option<BufReader<ChildStderr>>,
    draining: Option<JoinHandle<String>>,
}

impl Server {
    /// Starts it, and reads the address from the first line that it prints.
    #[track_caller]
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut stdout = BufReader::new(child.stdout.take().expect("its output is piped"));
        let log = child.stderr.take().map(BufReader::new);
        let mut line = String::new();
        stdout.read_line(&mut line).expect("it prints where it listens");
        let words = line.split(|c: char| c.is_whitespace() || c == ',' || c == '/');
        let address = words.filter_map(|word| word.parse().ok()).next();
        let Some(address) = address else {
            let mut complaint = String::new();
            _ = child.kill();
            _ = log.expect("its log is piped").read_to_string(&mut complaint);
            panic!("no address in the first line of {program}: {line:?}\n{complaint}");
        };
        Self { child, address, stdout, log, draining: None }
    }

    /// From here on its log is read by a thread, so that it is never held up by a full pipe.
    pub(crate) fn drain_log(&mut self) {
        let mut log = self.log.take().expect("the log is read once");
        self.draining = Some(thread::spawn(move || {
            let mut text = String::new();
            _ = log.read_to_string(&mut text);
            text
        }));
    }

    /// The next line that it logs.
    pub(crate) fn says(&mut self) -> String {
        let mut line = String::new();
        let log = self.log.as_mut().expect("the log is not drained");
        log.read_line(&mut line).expect("it writes UTF-8");
        line.trim_end().to_owned()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("the program is ours");
    }

    /// Ends it by Ctrl-C, and waits. Gives what it still printed, its log if that was drained, and how it ended.
    pub(crate) fn stop(self) -> (String, String, ExitStatus) {
        self.signal(Signal::SIGINT);
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> (String, String, ExitStatus) {
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).expect("it writes UTF-8");
        let log = match self.draining.take() {
            Some(draining) => draining.join().expect("reading does not panic"),
            None => {
                let mut rest = String::new();
                let log = self.log.as_mut().expect("the log is not drained");
                log.read_to_string(&mut rest).expect("it writes UTF-8");
                rest
            }
        };
        let status = self.child.wait().expect("the program is ours");
        (printed, log, status)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A tool of somebody else's, or `None` if it is not installed: then the test says so, and is skipped.
pub(crate) fn tool(name: &str, package: &str) -> Option<Command> {
    let found = Command::new("sh").args(["-c", &format!("command -v {name}")]).output();
    if found.is_ok_and(|found| found.status.success()) {
        let mut command = Command::new(name);
        command.stdin(Stdio::null());
        return Some(command);
    }
    skipped(&format!("`{name}` is not installed: apt-get install {package}"));
    None
}

/// Says that the calling test is skipped, past the harness, which keeps what tests print to itself.
pub(crate) fn skipped(why: &str) {
    use std::io::Write;
    let test = thread::current().name().unwrap_or("a test").to_owned();
    _ = writeln!(std::io::stderr(), "skipped: {test}: {why}");
}

/// Runs it to its end. It must succeed; gives what it printed, on both streams.
#[track_caller]
pub(crate) fn output(command: &mut Command) -> String {
    let run = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&run.stdout).into_owned();
    let text = text + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{command:?} ended with {}:\n{text}", run.status);
    text
}

/// How many requests wrk has had answered. None may have failed: its report has a line for what failed, if anything did.
#[track_caller]
pub(crate) fn wrk_requests(report: &str) -> u64 {
    for failed in ["Socket errors", "Non-2xx"] {
        assert!(!report.contains(failed), "{report}");
    }
    let count = report.lines().find_map(|line| line.trim().split_once(" requests in "));
    let (count, _) = count.unwrap_or_else(|| panic!("no count in wrk's report:\n{report}"));
    count.parse().unwrap_or_else(|_| panic!("{count:?} is no count"))
}

/// The program refuses these arguments, and its complaint has this word.
#[track_caller]
pub(crate) fn refuses(program: &str, arguments: &[&str], word: &str) {
    let run = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let run = run.expect("the program starts");
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{arguments:?} is refused: {complaint}");
    assert!(complaint.contains(word), "no {word:?} in:\n{complaint}");
}

/// It has ended well, and printed this and nothing else.
#[track_caller]
pub(crate) fn prints(run: &Output, expected: &str) {
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{}:\n{complaint}", run.status);
    assert_eq!(String::from_utf8_lossy(&run.stdout), expected, "{complaint}");
}

/// It has failed, and its complaint has these words.
#[track_caller]
pub(crate) fn fails(run: &Output, words: &str) {
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && complaint.contains(words), "{}:\n{complaint}", run.status);
}
