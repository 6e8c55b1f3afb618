//! Each example, run as a reader runs it, prints what its Python original prints.
//!
//! `cargo test` builds the examples before it runs this; what runs here is the built program, with
//! its options, its exit code and its output. Expected lines come from the originals and from
//! arithmetic. Times are masked where the real clock measures them; where an example takes `--fast`
//! it runs on the test clock, and its five seconds pass at once.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

/// The built example `name`.
fn example(name: &str) -> Command {
    let tests = std::env::current_exe().expect("a running program has a path");
    let profile = tests.ancestors().nth(2).expect("tests lie in PROFILE/deps");
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    let program: PathBuf = [profile.join("examples"), file.into()].iter().collect();
    assert!(program.exists(), "{program:?} is not built: run `cargo build --examples` first");
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).env_remove("TRACE");
    command
}

/// What it prints, without colours; it must succeed and complain of nothing.
#[track_caller]
fn output(command: &mut Command) -> String {
    let run = command.output().expect("the example starts");
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{command:?} ended with {}:\n{complaint}", run.status);
    assert_eq!(complaint, "", "{command:?} complains");
    without_colours(&String::from_utf8(run.stdout).expect("examples print UTF-8"))
}

/// Takes out the escape sequences that set colours: ESC, `[`, up to the `m`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap_or("").to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or(piece, |(_, rest)| rest))
}

/// `0.03` becomes `#.##`: which digits a real clock gives is no business of a test.
fn without_times(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(point) = rest.find('.') {
        let whole = rest[..point].trim_end_matches(|c: char| c.is_ascii_digit() || c == ',');
        let after = &rest[point + 1..];
        let fraction = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if whole.len() < point && fraction > 0 {
            masked += &format!("{whole}#.{}", "#".repeat(fraction));
        } else {
            masked += &rest[..=point];
        }
        rest = if whole.len() < point { &after[fraction..] } else { after };
    }
    masked + rest
}

#[test]
fn masks() {
    assert_eq!(without_times("time: 1,234.56 sec. 3 of 4."), "time: #.## sec. 3 of 4.");
    assert_eq!(without_colours("\x1b[33mone\x1b[0m two\x1b[1;36m"), "one two");
}

/// A wrong option ends with code 2, and the message names the option.
#[track_caller]
fn refuses(name: &str, arguments: &[&str], named: &str) {
    let run = example(name).args(arguments).output().expect("the example starts");
    let message = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{name} {arguments:?}: {message}");
    assert!(message.contains(named), "{name} {arguments:?} does not name {named}: {message}");
    assert!(run.stdout.is_empty(), "{name} {arguments:?} did work before it looked at its options");
}

#[test]
fn hello() {
    let expected = "Hello...\nWorld!\nHello Outside coroutines\n";
    assert_eq!(output(example("hello").arg("--fast")), expected);
    refuses("hello", &["--quick"], "--quick");
}

#[test]
fn loop_program() {
    let printed = output(example("loop_program").args(["--actions", "2000", "--rounds", "1"]));
    let printed = without_times(&printed);
    let lines: Vec<&str> = printed.lines().map(str::trim_end).collect();
    assert_eq!(lines.first(), Some(&"Running standard loop with 2,000 actions."), "{printed}");
    assert!(lines.contains(&"App exiting, total time: #.## sec."), "{printed}");
    assert!(printed.contains("tokio"), "no tokio beside it: {printed}");
}

#[test]
fn loop_program_refuses_what_it_does_not_know() {
    refuses("loop_program", &["--acktions", "2000"], "--acktions");
    refuses("loop_program", &["--actions", "many"], "--actions");
    refuses("loop_program", &["--rounds", "0"], "--rounds");
}

/// Two producers of 20 items each and a consumer of 40, half a second an item.
#[test]
fn producer_consumer() {
    let printed = output(example("producer_consumer").arg("--fast"));
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.first(), Some(&"App started."), "{printed}");

    let number = |line: &str, before: &str| -> Option<u64> {
        line.strip_prefix(before)?.split(' ').next()?.parse().ok()
    };
    let made: Vec<u64> =
        lines.iter().filter_map(|line| number(line, " -- generated item ")).collect();
    let mut sorted = made.clone();
    sorted.sort_unstable();
    let twice: Vec<u64> = (1..=20).flat_map(|item| [item, item]).collect();
    assert_eq!(sorted, twice, "two producers make the items 1 to 20: {printed}");

    // The queue is first in, first out, and an item's value is its square.
    let squares: Vec<u64> = made.iter().map(|item| item * item).collect();
    let taken: Vec<u64> =
        lines.iter().filter_map(|line| number(line, " +++ Processed value ")).collect();
    assert_eq!(taken, squares, "{printed}");

    let last = lines.last().and_then(|line| line.strip_prefix("App exiting, total time: "));
    let total: f64 = last
        .and_then(|rest| rest.strip_suffix(" sec."))
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or_else(|| panic!("the last line tells no total: {printed}"));
    // On the test clock: 40 items of half a second are 20 seconds, neither more hurried nor hidden.
    assert!(total >= 20.0, "{printed}");
}

/// A program that is ended when the test ends, however it ends.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn echo_server_and_client() {
    let mut server = example("echo_server");
    let server = server.args(["--address", "127.0.0.1:0"]).stdout(Stdio::piped());
    let mut server = Background(server.spawn().expect("the example starts"));
    let stdout = server.0.stdout.take().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the server prints where it listens");
    let address: SocketAddr = line
        .split_whitespace()
        .find_map(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("the server's first line tells no address: {line:?}"));

    let address = address.to_string();
    let mut client = example("echo_client");
    let printed =
        output(client.args(["--address", &address, "--connections", "2", "--rounds", "10"]));
    assert!(printed.contains("20 echoes"), "two connections of ten rounds: {printed}");
}
