//! Each example, run as a reader runs it, prints what its Python original prints.
//!
//! `cargo test` builds the examples before it runs this; what runs here is the built program, with
//! its options, its exit code and its output. Expected lines come from the originals and from
//! arithmetic. Times are masked where the real clock measures them; where an example takes `--fast`
//! it runs on the test clock, where seconds pass at once.
//!
//! ```text
//! main.rs        how an example is run; the programs with sockets, and the half-million-action one
//! children.rs    the commands that run at once
//! graceful.rs    the server that is stopped without cutting anybody off
//! questions.rs   what the questions and the chapter beside the loop have one run
//! twins.rs       the twins of Python programs print what they should
//! originals.rs   and what their originals print, run by Python
//! ```

mod children;
mod graceful;
mod originals;
mod questions;
mod twins;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
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
    command.stdin(Stdio::null());
    for changes_output in ["RUST_BACKTRACE", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(changes_output);
    }
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
fn loop_program() {
    let printed = output(example("loop_program").args(["--actions", "2000", "--rounds", "1"]));
    let printed = without_times(&printed);
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some("Running standard loop with 2,000 actions."), "{printed}");
    assert_eq!(lines.next(), Some("App exiting, total time: #.## sec."), "{printed}");
    let rows: Vec<&str> =
        lines.filter_map(|line| line.strip_prefix("| ")?.split_whitespace().next()).collect();
    let [one, multi] = ["", "-multi"].map(|threads| {
        [
            format!("whirligig{threads}"),
            format!("tokio{threads}"),
            format!("tokio{threads}-self-waking"),
        ]
    });
    assert_eq!(rows, [&["runtime".to_owned()][..], &one, &multi].concat(), "{printed}");
    assert!(printed.contains("epoll_wait"), "tokio's first row is not explained: {printed}");
    assert!(printed.contains("2 workers"), "what is multi? {printed}");
}

#[test]
fn loop_program_runs_what_it_is_told_to() {
    let chosen = ["--clock", "off", "--runtimes", "tokio-self-waking,whirligig"];
    let printed = output(example("loop_program").args(chosen).args(["--actions", "2_000"]));
    let rows: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_whitespace().next())
        .collect();
    assert_eq!(rows, ["runtime", "tokio-self-waking", "whirligig"], "{printed}");
    assert!(!printed.contains("epoll_wait"), "a note on a row that is not there: {printed}");
    assert!(!printed.contains("workers"), "a note on rows that are not there: {printed}");
}

/// Each row is compared with the one of whirligig's that has as many threads.
#[test]
fn loop_program_compares_like_with_like() {
    let ratios = |runtimes: &str| -> Vec<bool> {
        let chosen = ["--actions", "2000", "--rounds", "1", "--runtimes", runtimes];
        let printed = output(example("loop_program").args(chosen));
        let rows = printed.lines().filter(|line| line.starts_with("| ")).skip(1);
        rows.map(|row| row.trim_end_matches([' ', '|']).ends_with(|c: char| c.is_ascii_digit()))
            .collect()
    };
    assert_eq!(ratios("whirligig-multi,tokio-multi"), [true, true]);
    assert_eq!(ratios("whirligig,tokio-multi,tokio"), [true, false, true]);
    assert_eq!(ratios("whirligig-multi,tokio"), [true, false]);
}

#[test]
fn loop_program_refuses_what_it_does_not_know() {
    refuses("loop_program", &["--acktions", "2000"], "--acktions");
    refuses("loop_program", &["--actions", "many"], "--actions");
    refuses("loop_program", &["--actions", "3"], "even");
    refuses("loop_program", &["--actions", "0"], "--actions");
    refuses("loop_program", &["--clock", "maybe"], "--clock");
    refuses("loop_program", &["--rounds", "0"], "--rounds");
    refuses("loop_program", &["--runtimes", "whirligig,asyncio"], "asyncio");
}

/// A program that is ended when the test ends, however it ends.
struct Background(Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts the echo server at a free port, with both of its outputs piped, and reads where it is.
fn start_echo_server() -> (Background, SocketAddr) {
    let mut server = example("echo_server");
    let server = server.args(["--address", "127.0.0.1:0"]);
    let server = server.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut server = Background(server.spawn().expect("the example starts"));
    let stdout = server.0.stdout.take().expect("its output is piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("the server prints where it listens");
    let address = line.split_whitespace().find_map(|word| word.parse().ok());
    let address = address.unwrap_or_else(|| panic!("no address in the first line: {line:?}"));
    (server, address)
}

#[test]
fn echo_server_and_client() {
    let (_server, address) = start_echo_server();
    let client = |arguments: &[&str]| {
        let mut client = example("echo_client");
        output(client.args(["--address", &address.to_string()]).args(arguments))
    };
    let printed = client(&["--connections", "2", "--rounds", "10"]);
    assert!(printed.starts_with("20 echoes"), "two connections of ten rounds: {printed}");
    // More than every buffer on the way holds: who writes all before he reads would wait for ever.
    let printed = client(&["--connections", "1", "--rounds", "1", "--size", "20000000"]);
    assert!(printed.starts_with("1 echoes"), "a long message: {printed}");
}

#[test]
fn echo_server_names_what_it_abandons() {
    let (mut server, address) = start_echo_server();
    let mut peer = TcpStream::connect(address).expect("the server listens");
    // The echo shows that the server has accepted.
    peer.write_all(b"x").expect("the server reads");
    peer.read_exact(&mut [0]).expect("the server answers");

    let terminate = format!("kill -TERM {}", server.0.id());
    let sent = Command::new("sh").args(["-c", &terminate]).status().expect("there is a shell");
    assert!(sent.success(), "{terminate:?} ended with {sent}");
    let status = server.0.wait().expect("the server is ours");
    assert!(status.success(), "told to terminate, it ended with {status}");

    let mut told = String::new();
    let mut stderr = server.0.stderr.take().expect("its complaints are piped");
    stderr.read_to_string(&mut told).expect("it writes UTF-8");
    let ours = peer.local_addr().expect("it is connected").to_string();
    assert!(told.contains(&ours), "{ours} is not named: {told}");
    assert_eq!(peer.read(&mut [0]).ok(), Some(0), "the connection was closed");
}

#[test]
fn echo_client_says_what_is_wrong() {
    // Bound but not listening: connecting to it is refused, and nobody else can listen there.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket can be had");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port is free");
    let address = socket.local_addr().expect("it is bound").as_socket().expect("it is an IP one");

    let run = example("echo_client").args(["--address", &address.to_string()]).output();
    let run = run.expect("the example starts");
    let message = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(1), "{message}");
    assert!(message.contains(&address.to_string()), "no address: {message}");
    assert!(message.contains("echo_server"), "no advice: {message}");

    refuses("echo_client", &["--connections", "0"], "--connections");
    refuses("echo_client", &["--rounds", "0"], "--rounds");
    refuses("echo_client", &["--size", "0"], "--size");
}
