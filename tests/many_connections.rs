//! 10,000 idle connections beside 100 busy ones.
//!
//! An idle connection must cost its memory and nothing else: no poll, no event, no registration
//! anew. So the server's counts over the busy part are those of the busy connections alone. Each end
//! needs more descriptors than a process has by default: server and clients are children of the
//! test, with the limit raised as far as the system lets it; where that is too low the test says so.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use socket2::SockRef;
use whirligig::{EventLoop, net::TcpListener, spawn_local, task::yield_now};

use sockets::{Background, as_child, event_loop, role, run_on, sources};

mod sockets;

const NAME: &str = "many_idle_connections_beside_busy_ones";
const IDLE: usize = 10_000;
const BUSY: usize = 100;
const ROUNDS: usize = 20;
/// Both kinds, and some for the process itself.
const DESCRIPTORS: usize = IDLE + BUSY + 100;

const TOO_FEW: &str = "the limit of descriptors is too low";

#[test]
fn many_idle_connections_beside_busy_ones() {
    match role().as_deref() {
        Some("server") => return serve(),
        Some(address) => return visit(address),
        None => {}
    }
    let mut command = Command::new("sh");
    let raise = format!(
        r#"ulimit -n $(ulimit -Hn); n=$(ulimit -n)
           if [ "$n" != unlimited ] && [ "$n" -lt {DESCRIPTORS} ]; then
               echo "{TOO_FEW}: $n, and the test needs {DESCRIPTORS}" >&2; exit 0
           fi
           exec "$0" "$@""#
    );
    command.args(["-c", &raise]);
    as_child(&mut command, NAME, "server");
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stdout));
    if said.contains(TOO_FEW) {
        eprintln!("SKIPPED {NAME}: {said}");
    }
}

/// The server's part. Its first connection is for control: each byte there asks for the counts to be
/// taken, and is echoed after that.
fn serve() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = Command::new(std::env::current_exe().unwrap());
        let address = listener.local_addr().unwrap().to_string();
        client.args(["--exact", NAME, "--nocapture"]).env("WHIRLIGIG_TEST_ROLE", address);
        let mut client = Background(client.stdin(Stdio::null()).spawn().unwrap());

        let (control, _) = listener.accept().await.unwrap();
        let acceptor = spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(spawn_local(echo(stream)));
            }
        });
        let mut byte = [0];
        let mut counts = Vec::new();
        while control.read(&mut byte).await.unwrap() == 1 {
            counts.push(event_loop.stats());
            control.write(&byte).await.unwrap();
        }
        assert!(client.0.wait().unwrap().success(), "the client complains above");
        acceptor.cancel();
        assert!(acceptor.await.unwrap_err().is_cancelled());
        check(&counts, &event_loop);
        drop(control);
        // The clients have gone; their ends arrive, and the loop is as it was.
        while event_loop.stats().ended < event_loop.stats().spawned {
            yield_now().await;
        }
        assert_eq!(sources(&event_loop), 0);
    });
}

fn check(counts: &[whirligig::Stats], event_loop: &EventLoop) {
    let [before, after] = counts else { panic!("two phases were counted: {counts:?}") };
    let all = (IDLE + BUSY) as u64;
    assert_eq!(after.spawned, all + 1, "each connection was accepted");
    assert_eq!(after.registrations, before.registrations, "no epoll_ctl per request");
    // Control and listener have a registration each.
    assert_eq!(event_loop.stats().registrations, all + 2, "each was registered once");
    // A request is an event and a poll. The closing byte of the phase is one more.
    let requests = (BUSY * ROUNDS) as u64;
    assert_eq!(after.events - before.events, requests + 1);
    assert!(after.polls - before.polls <= requests + 1, "an idle connection was polled");
}

async fn echo(stream: whirligig::net::TcpStream) {
    let mut buf = [0; 64];
    // An error is the client's reset, which spares the system a lingering socket each.
    while let Ok(n @ 1..) = stream.read(&mut buf).await {
        stream.write(&buf[..n]).await.unwrap();
    }
}

/// The clients' part, with blocking sockets: all of it has happened when it returns.
fn visit(address: &str) {
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        stream
    };
    let ask = |mut stream: &TcpStream| stream.write_all(b"ask").unwrap();
    let hear = |mut stream: &TcpStream| {
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"ask");
    };
    let mut control = TcpStream::connect(address).unwrap();
    let mut take_counts = || {
        control.write_all(b"!").unwrap();
        control.read_exact(&mut [0]).unwrap();
    };
    let idle: Vec<_> = (0..IDLE).map(|_| connect()).collect();
    let busy: Vec<_> = (0..BUSY).map(|_| connect()).collect();
    // Each one's first echo shows that it has been accepted and registered.
    for some in [&idle, &busy] {
        some.iter().for_each(ask);
        some.iter().for_each(hear);
    }
    take_counts();
    for _ in 0..ROUNDS {
        busy.iter().for_each(ask);
        busy.iter().for_each(hear);
    }
    take_counts();
    // After all that one in the middle of the idle ones still gets its answer.
    ask(&idle[IDLE / 2]);
    hear(&idle[IDLE / 2]);
}
