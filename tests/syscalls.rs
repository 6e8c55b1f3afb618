//! What an echo costs in system calls, counted by strace in a child.
//!
//! Counts only: the difference between a long and a short run is what the requests cost, and what
//! starting and stopping costs falls out. A request is one read, one write and its share of a wait.
//! Where strace is not installed, or may not trace, the test says that it was skipped.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
};

use futures_lite::AsyncReadExt;
use whirligig::{EventLoop, net::TcpListener, spawn_local};

use sockets::{Background, as_child, role};

mod sockets;

const NAME: &str = "an_echo_costs_a_read_and_a_write";
const CONNECTIONS: usize = 4;
const REQUEST: [u8; 100] = [7; 100];

/// What the server calls its looks at the reactor while tasks were ready.
const LOOKS: &str = "looks:";

/// Calls and errors by the name of the system call.
type Counts = BTreeMap<String, (i64, i64)>;

/// No `epoll_ctl`, no timer, no read that finds nothing: registered once, and after a short read the
/// socket is known to be empty. So by the futures-io trait and by the methods of the same name.
#[test]
fn an_echo_costs_a_read_and_a_write() {
    match role().as_deref() {
        Some(how) => return serve(how == "by trait"),
        None if !can_trace() => return eprintln!("SKIPPED {NAME}: strace is not to be had here"),
        None => {}
    }
    for how in ["by trait", "by method"] {
        let (short, long) = (count(how, 10), count(how, 60));
        let requests = 50 * CONNECTIONS as i64;
        let difference = |name: &str| {
            let of = |counts: &Counts| counts.get(name).copied().unwrap_or_default();
            let ((calls, errors), (fewer, less)) = (of(&long), of(&short));
            (calls - fewer, errors - less)
        };
        let (reads, in_vain) = difference("recvfrom");
        assert_eq!(reads - in_vain, requests, "{how}: {long:?}");
        // A connection's very first read may come before its data. No other.
        assert!(in_vain.abs() <= CONNECTIONS as i64, "{how}: {long:?}");
        assert_eq!(difference("sendto"), (requests, 0), "{how}: {long:?}");
        // A request waits at most once. Looks come by the clock, which strace makes run fast.
        let (waits, looks) = (difference("epoll_wait").0, difference(LOOKS).0);
        assert!(waits <= requests + looks, "{how}: {waits} waits, {looks} of them looks");
        for (name, (calls, _)) in &long {
            let (more, _) = difference(name);
            let known = ["recvfrom", "sendto", "epoll_wait", LOOKS].contains(&name.as_str());
            // A descriptor that was ready at once needs no registration, and none to be ended.
            let by_chance = 2 * (CONNECTIONS as i64 + 1);
            assert!(
                known || more.abs() <= by_chance,
                "{how}: {calls} calls of {name}, {more} more"
            );
        }
    }
}

fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-c", "-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// One run of the server under strace, with so many rounds of requests on each connection.
fn count(how: &str, rounds: usize) -> Counts {
    let table = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("syscalls-{rounds}"));
    let mut command = Command::new("strace");
    command.args(["-f", "-c", "-o"]).arg(&table);
    as_child(&mut command, NAME, how);
    let mut server = Background(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let address: SocketAddr = lines
        .find_map(|line| line.unwrap().split_once("listens at ")?.1.parse().ok())
        .expect("the server says where it listens");
    let mut connections: Vec<_> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(address).unwrap()).collect();
    for _ in 0..rounds {
        for connection in &mut connections {
            connection.write_all(&REQUEST).unwrap();
        }
        for connection in &mut connections {
            let mut answer = [0; REQUEST.len()];
            connection.read_exact(&mut answer).unwrap();
            assert_eq!(answer, REQUEST);
        }
    }
    drop(connections);
    let looks = lines.find_map(|line| line.unwrap().strip_prefix(LOOKS)?.trim().parse().ok());
    let looks = looks.expect("the server says how often it looked");
    assert!(server.0.wait().unwrap().success());
    let mut counts = parse(&std::fs::read_to_string(&table).unwrap());
    counts.insert(LOOKS.to_owned(), (looks, 0));
    counts
}

/// `% time, seconds, usecs/call, calls, errors, syscall`; the column of errors may be empty.
fn parse(table: &str) -> Counts {
    let rows = table
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with('-'))
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let number = |text: &str| text.parse().expect("a count is a number");
    rows.filter_map(|row| match row[..] {
        [_, _, _, calls, name] if name != "total" => Some((name, (number(calls), 0))),
        [_, _, _, calls, errors, name] if name != "total" => {
            Some((name, (number(calls), number(errors))))
        }
        _ => None,
    })
    .map(|(name, counts)| (name.to_owned(), counts))
    .collect()
}

#[test]
fn a_table_of_strace_is_read() {
    let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                 ------ ----------- ----------- --------- --------- ----------------\n\
                 \x20 0.00    0.000000           0        12         3 recvfrom\n\
                 \x20 0.00    0.000000           0         7           sendto\n\
                 ------ ----------- ----------- --------- --------- ----------------\n\
                 100.00    0.000000           0        19         3 total\n";
    let expected = [("recvfrom".to_owned(), (12, 3)), ("sendto".to_owned(), (7, 0))];
    assert_eq!(parse(table), Counts::from(expected));
}

/// The server: real clock, as a server has it, but no bet before parking, whose looks are `epoll_wait`
/// calls too.
fn serve(by_trait: bool) {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("listens at {}", listener.local_addr().unwrap());
        let mut tasks = Vec::new();
        for _ in 0..CONNECTIONS {
            let (mut stream, _) = listener.accept().await.unwrap();
            tasks.push(spawn_local(async move {
                let mut buf = [0; 1024];
                loop {
                    let n = if by_trait {
                        AsyncReadExt::read(&mut stream, &mut buf).await.unwrap()
                    } else {
                        stream.read(&mut buf).await.unwrap()
                    };
                    match n {
                        0 => break,
                        n => assert_eq!(stream.write(&buf[..n]).await.unwrap(), n),
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    println!("{LOOKS} {}", event_loop.stats().looks);
}
