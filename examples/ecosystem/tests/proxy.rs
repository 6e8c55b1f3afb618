//! The proxy, between real peers: what each limit does, how it ends, and what other people's load tools say of it.
//!
//! Echo servers are std's, one thread a connection. Nothing asserts on a duration: what happened is read from the log,
//! from the last line's figures, and from the bytes.

mod support;

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::Arc,
    thread,
};

use ecosystem::servers::{Server as Database, or_skip};
use nix::sys::signal::Signal;
use support::{Server, Watchdog, output, refuses, tool, wrk_requests};

const PROXY: &str = env!("CARGO_BIN_EXE_proxy");

/// Serves each connection on a thread of its own, as long as the process lives.
fn serve(serve_one: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("a connection is accepted");
            thread::spawn(move || serve_one(stream));
        }
    });
    address
}

/// Sends back what comes, as it comes.
fn echo(mut stream: TcpStream) {
    let mut writer = stream.try_clone().expect("there are descriptors left");
    _ = std::io::copy(&mut stream, &mut writer);
    _ = writer.shutdown(Shutdown::Write);
}

/// Reads to the end, and then says how much that was.
fn count(mut stream: TcpStream) {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("the client ends properly");
    write!(stream, "{} bytes", all.len()).expect("the client reads on");
}

/// A port of this machine at which nobody listens.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().expect("it is bound")
}

fn proxy(to: &[SocketAddr], more: &[&str]) -> Server {
    let to: Vec<String> = to.iter().map(SocketAddr::to_string).collect();
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--to"];
    arguments.extend(to.iter().map(String::as_str));
    arguments.extend(more);
    Server::start(PROXY, &arguments)
}

fn connect(proxy: &Server) -> TcpStream {
    TcpStream::connect(proxy.address).expect("the proxy listens")
}

/// Sends a line, and hears it.
#[track_caller]
fn hears_itself(stream: &mut TcpStream, line: &str) {
    stream.write_all(line.as_bytes()).expect("the proxy reads");
    let mut answer = vec![0; line.len()];
    stream.read_exact(&mut answer).expect("the echo comes back");
    assert_eq!(answer, line.as_bytes());
}

/// The proxy has closed the connection: at its end, or with a reset.
#[track_caller]
fn is_let_go(stream: &mut TcpStream) {
    match stream.read(&mut [0]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Both variants: one event loop, and two workers.
const VARIANTS: [&str; 2] = ["0", "2"];

#[test]
fn the_answer_comes_after_the_end() {
    let _watchdog = Watchdog::new("the_answer_comes_after_the_end");
    for workers in VARIANTS {
        let proxy = proxy(&[serve(count)], &["--workers", workers]);
        let mut stream = connect(&proxy);
        stream.write_all(&[7; 300_000]).expect("the proxy reads");
        stream.shutdown(Shutdown::Write).expect("the other direction stays");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the answer comes, and its end");
        assert_eq!(answer, "300000 bytes");
        let (printed, log, status) = proxy.stop();
        assert!(status.success(), "{status}: {log}");
        assert!(printed.contains("1 relayed"), "{printed}");
        assert!(printed.contains("Bytes: 300000 from clients, 12 to clients"), "{printed}");
    }
}

/// Forty clients at once, a million bytes each way: each gets its own back, and the figures add up.
#[test]
fn nothing_is_lost_or_mixed_up() {
    let _watchdog = Watchdog::new("nothing_is_lost_or_mixed_up");
    const BYTES: usize = 1_000_000;
    for workers in VARIANTS {
        let proxy = proxy(&[serve(echo), serve(echo)], &["--workers", workers]);
        thread::scope(|scope| {
            for client in 0..40_u64 {
                let stream = connect(&proxy);
                scope.spawn(move || {
                    // What is sent is the client's own, so another's is noticed.
                    let mut random = fastrand::Rng::with_seed(client);
                    let sent: Vec<u8> =
                        std::iter::repeat_with(|| random.u8(..)).take(BYTES).collect();
                    let mut writer = stream.try_clone().expect("there are descriptors left");
                    let mut received = Vec::new();
                    thread::scope(|scope| {
                        scope.spawn(|| {
                            writer.write_all(&sent).expect("the proxy reads");
                            writer.shutdown(Shutdown::Write).expect("the other direction stays");
                        });
                        (&stream).read_to_end(&mut received).expect("it comes back");
                    });
                    assert!(sent == received, "client {client} got something else back");
                });
            }
        });
        let (printed, log, status) = proxy.stop();
        assert!(status.success(), "{status}: {log}");
        let bytes = 40 * BYTES;
        assert!(
            printed.contains("40 relayed, 0 without a target, 0 idle, 0 broken, 0 cut off"),
            "{printed}"
        );
        assert!(
            printed.contains(&format!("Bytes: {bytes} from clients, {bytes} to clients")),
            "{printed}"
        );
    }
}

#[test]
fn targets_take_turns_and_a_dead_one_is_passed_over() {
    let _watchdog = Watchdog::new("targets_take_turns_and_a_dead_one_is_passed_over");
    fn one(mut stream: TcpStream) {
        _ = stream.write_all(b"one");
    }
    fn two(mut stream: TcpStream) {
        _ = stream.write_all(b"two");
    }
    let proxy = proxy(&[serve(one), nobody(), serve(two)], &["--avoid", "3600"]);
    let ask = || {
        let mut answer = String::new();
        connect(&proxy).read_to_string(&mut answer).expect("one of them answers");
        answer
    };
    // The turns of the dead one are the other's after it.
    let answers = [(); 6].map(|()| ask());
    assert_eq!(answers, ["one", "two", "two", "one", "two", "two"].map(str::to_owned));
}

#[test]
fn who_can_have_no_target_is_let_go() {
    let _watchdog = Watchdog::new("who_can_have_no_target_is_let_go");
    let dead = [nobody(), nobody()];
    let mut proxy = proxy(&dead, &[]);
    is_let_go(&mut connect(&proxy));
    let line = proxy.says();
    assert!(line.contains("no target can be reached"), "{line}");
    for address in dead {
        assert!(line.contains(&address.to_string()), "{address} is named: {line}");
    }
    let (printed, ..) = proxy.stop();
    assert!(printed.contains("1 without a target"), "{printed}");
}

/// The third of two is not refused: it is relayed once one of them has gone.
#[test]
fn beyond_the_limit_clients_wait() {
    let _watchdog = Watchdog::new("beyond_the_limit_clients_wait");
    let proxy = proxy(&[serve(echo)], &["--limit", "2"]);
    let [mut first, mut second] = [(); 2].map(|()| connect(&proxy));
    hears_itself(&mut first, "first");
    hears_itself(&mut second, "second");
    let mut third = connect(&proxy);
    third.write_all(b"third").expect("the kernel takes it");
    hears_itself(&mut first, "first again");
    third.set_nonblocking(true).expect("it is a socket");
    let error = third.read(&mut [0]).expect_err("it is not relayed yet");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    third.set_nonblocking(false).expect("it is a socket");
    drop(first);
    let mut answer = [0; 5];
    third.read_exact(&mut answer).expect("now it is");
    assert_eq!(&answer, b"third");
    drop((second, third));
    let (printed, ..) = proxy.stop();
    assert!(printed.contains("Connections: 3, at most 2 at once"), "{printed}");
}

#[test]
fn who_is_silent_for_too_long_is_let_go() {
    let _watchdog = Watchdog::new("who_is_silent_for_too_long_is_let_go");
    let mut proxy = proxy(&[serve(echo)], &["--idle-timeout", "0.2"]);
    let mut stream = connect(&proxy);
    hears_itself(&mut stream, "hello");
    is_let_go(&mut stream);
    let line = proxy.says();
    assert!(line.ends_with("nothing has moved for 0.2 s"), "{line}");
    let (printed, ..) = proxy.stop();
    assert!(printed.contains("1 idle"), "{printed}");
}

/// Stopped, it accepts no more; who is connected finishes.
#[test]
fn who_is_connected_may_finish() {
    let _watchdog = Watchdog::new("who_is_connected_may_finish");
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut proxy = proxy(&[serve(echo)], &["--grace", "3600"]);
        let mut stream = connect(&proxy);
        hears_itself(&mut stream, "before");
        proxy.signal(signal);
        assert_eq!(proxy.says(), "Stopping. Connections: 1");
        let refused = TcpStream::connect(proxy.address).expect_err("it accepts no more");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        hears_itself(&mut stream, "after");
        drop(stream);
        let (printed, log, status) = proxy.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(printed.contains("1 relayed"), "{printed}");
    }
}

#[test]
fn who_does_not_finish_is_cut_off() {
    let _watchdog = Watchdog::new("who_does_not_finish_is_cut_off");
    for workers in VARIANTS {
        let proxy = proxy(&[serve(echo)], &["--grace", "0.1", "--workers", workers]);
        let mut stream = connect(&proxy);
        hears_itself(&mut stream, "hello");
        let (printed, log, status) = proxy.stop();
        assert_eq!(status.code(), Some(3), "{log}");
        assert!(
            printed.contains("0 relayed, 0 without a target, 0 idle, 0 broken, 1 cut off"),
            "{printed}"
        );
        assert!(printed.contains("Bytes: 5 from clients, 5 to clients"), "{printed}");
        is_let_go(&mut stream);
    }
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let _watchdog = Watchdog::new("a_second_ctrl_c_ends_it_at_once");
    let mut proxy = proxy(&[serve(echo)], &["--grace", "3600"]);
    let mut stream = connect(&proxy);
    hears_itself(&mut stream, "hello");
    proxy.signal(Signal::SIGINT);
    assert_eq!(proxy.says(), "Stopping. Connections: 1");
    let (_, _, status) = proxy.stop();
    assert_eq!(status.code(), None, "the signal ends it");
}

/// Through the proxy to a server, by a tool of somebody else's: what it printed. No connection may break.
fn through(server: SocketAddr, more: &[&str], load: impl FnOnce(SocketAddr) -> String) -> String {
    let mut proxy = proxy(&[server], more);
    proxy.drain_log();
    let said = load(proxy.address);
    let (printed, log, status) = proxy.stop();
    assert!(status.success(), "{status}: {printed}{log}");
    assert!(printed.contains("0 without a target, 0 idle, 0 broken, 0 cut off"), "{printed}{log}");
    said
}

#[test]
fn pgbench_loses_no_transaction() {
    let Some(pgbench) = tool("pgbench", "postgresql") else { return };
    let Some(postgres) = or_skip(Database::postgres()) else { return };
    for workers in VARIANTS {
        let pgbench = |address: SocketAddr, arguments: &[&str]| {
            let port = address.port().to_string();
            let mut run = Command::new(pgbench.get_program());
            let run = run.args(["--host", "127.0.0.1", "--port", &port, "--username", "postgres"]);
            output(run.args(arguments).arg("postgres"))
        };
        let said = through(postgres.address(), &["--workers", workers], |address| {
            pgbench(address, &["--initialize", "--quiet"]);
            pgbench(address, &["--client", "20", "--jobs", "2", "--transactions", "50"])
        });
        assert!(said.contains("actually processed: 1000/1000"), "{said}");
        assert!(said.contains("failed transactions: 0 "), "{said}");
    }
}

#[test]
fn redis_benchmark_loses_no_request() {
    let Some(redis_benchmark) = tool("redis-benchmark", "redis-tools") else { return };
    let Some(redis) = or_skip(Database::redis()) else { return };
    for (round, workers) in (1..).zip(VARIANTS) {
        let said = through(redis.address(), &["--workers", workers], |address| {
            let mut run = Command::new(redis_benchmark.get_program());
            let run = run.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]);
            output(run.args(["-c", "50", "-n", "10000", "-t", "set,get,lpush", "--csv"]))
        });
        for command in ["SET", "GET", "LPUSH"] {
            assert!(said.contains(&format!("\"{command}\"")), "{command} was run: {said}");
        }
        assert!(!said.to_lowercase().contains("error"), "{said}");
        // Each push is in the server's list.
        let mut direct = TcpStream::connect(redis.address()).expect("it runs");
        direct.write_all(b"LLEN mylist\r\nQUIT\r\n").expect("it reads");
        let mut answer = String::new();
        direct.read_to_string(&mut answer).expect("it answers, and closes");
        assert_eq!(answer, format!(":{}\r\n+OK\r\n", round * 10_000));
    }
}

#[test]
fn wrk_sees_no_error() {
    let Some(wrk) = tool("wrk", "wrk") else { return };
    let http = tiny_http::Server::http("127.0.0.1:0").expect("there is a free port");
    let http = Arc::new(http);
    let address = http.server_addr().to_ip().expect("it is an IP address");
    for _ in 0..4 {
        let http = Arc::clone(&http);
        thread::spawn(move || {
            for request in http.incoming_requests() {
                _ = request.respond(tiny_http::Response::from_string("hello"));
            }
        });
    }
    for workers in VARIANTS {
        let mut proxy = proxy(&[address], &["--workers", workers]);
        proxy.drain_log();
        let mut run = Command::new(wrk.get_program());
        let run = run.args(["-t2", "-c64", "-d1s"]).arg(format!("http://{}/", proxy.address));
        assert_ne!(wrk_requests(&output(run)), 0);
        // Its end is abrupt: it closes with answers unread. So connections break, and that is all.
        let (printed, log, status) = proxy.stop();
        assert!(status.success(), "{status}: {printed}{log}");
        // It tries the address first, by a connection of its own, which the others may meet still.
        let most = ["at most 64 at once", "at most 65 at once"];
        assert!(most.iter().any(|most| printed.contains(most)), "{printed}");
        assert!(printed.contains("0 without a target, 0 idle"), "{printed}{log}");
    }
}

#[test]
fn wrong_options_are_named() {
    refuses(PROXY, &[], "--to");
    refuses(PROXY, &["--to", "example.org"], "write host:port");
    refuses(PROXY, &["--to", "example.org:http"], "no port from 0 to 65535");
    refuses(PROXY, &["--to", "127.0.0.1:1", "--limit", "0"], "--limit");
    refuses(PROXY, &["--to", "127.0.0.1:1", "--idle-timeout", "0"], "over before anything began");
    refuses(PROXY, &["--to", "127.0.0.1:1", "--grace", "soon"], "--grace");
}
