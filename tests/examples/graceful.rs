//! The graceful server, driven from outside: what its limit and its deadline do, and how it ends.
//!
//! Nothing here is timed. What it does, it says in order, line by line.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{ChildStderr, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Background, example, refuses};

/// The server, at a free port.
struct Server {
    child: Background,
    address: SocketAddr,
    log: BufReader<ChildStderr>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut server = example("graceful_server");
        let server = server.args(["--address", "127.0.0.1:0"]).args(arguments);
        let server = server.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = Background(server.spawn().expect("the example starts"));
        let mut line = String::new();
        let stdout = child.0.stdout.take().expect("its output is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it prints where it listens");
        let address = line.split_whitespace().find_map(|word| word.parse().ok());
        let address = address.unwrap_or_else(|| panic!("no address in the first line: {line:?}"));
        let log = BufReader::new(child.0.stderr.take().expect("its log is piped"));
        Self { child, address, log }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the server listens");
        let name = stream.local_addr().expect("it is connected").to_string();
        Client { stream: BufReader::new(stream), name }
    }

    /// The next line that it says.
    #[track_caller]
    fn says(&mut self, expected: &str) {
        let mut line = String::new();
        self.log.read_line(&mut line).expect("it writes UTF-8");
        assert_eq!(line.trim_end(), expected);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.0), signal).expect("the server is ours");
    }

    /// Its exit code, if no signal has ended it.
    fn code(&mut self) -> Option<i32> {
        self.child.0.wait().expect("the server is ours").code()
    }
}

struct Client {
    stream: BufReader<TcpStream>,
    name: String,
}

impl Client {
    fn ask(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.stream.get_mut().write_all(line.as_bytes()).expect("the server reads");
    }

    #[track_caller]
    fn hears(&mut self, expected: &str) {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server answers");
        assert_eq!(line.trim_end(), expected);
    }

    /// The server has closed the connection: at its end, or with a reset for what it had not read.
    #[track_caller]
    fn is_let_go(&mut self) {
        match self.stream.read(&mut [0]) {
            Ok(read) => assert_eq!(read, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

/// The third of two waits until one has gone: the log has the order.
#[test]
fn no_more_at_once_than_the_limit() {
    let mut server = Server::start(&["--limit", "2"]);
    let mut clients = [(); 2].map(|()| server.connect());
    for client in &mut clients {
        server.says(&format!("{}: accepted", client.name));
        client.ask("hello");
        client.hears("hello");
    }
    let mut third = server.connect();
    third.ask("let me in");
    let [mut first, second] = clients;
    first.ask("still here");
    first.hears("still here");
    let gone = first.name.clone();
    drop(first);
    server.says(&format!("{gone}: 2 answers"));
    server.says(&format!("{}: accepted", third.name));
    third.hears("let me in");
    drop(second);
}

#[test]
fn no_longer_than_the_deadline() {
    let mut server = Server::start(&["--deadline", "0.1"]);
    let mut client = server.connect();
    server.says(&format!("{}: accepted", client.name));
    client.is_let_go();
    server.says(&format!("{}: its time is over", client.name));
}

/// Stopped, it accepts no more, answers what was asked, lets everybody go, and says that all is well.
#[test]
fn who_is_connected_gets_the_answer() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::start(&[]);
        let (mut busy, mut silent) = (server.connect(), server.connect());
        for client in [&busy, &silent] {
            server.says(&format!("{}: accepted", client.name));
        }
        // One that is answered shows that the other's request has been read as well: it was sent before.
        busy.ask("wait 300");
        silent.ask("hello");
        silent.hears("hello");
        server.signal(signal);
        server.says("Stopping. Connections: 2");
        silent.is_let_go();
        server.says(&format!("{}: 1 answers", silent.name));
        let refused = TcpStream::connect(server.address).expect_err("it accepts no more");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        busy.hears("wait 300");
        busy.is_let_go();
        server.says(&format!("{}: 1 answers", busy.name));
        server.says("Stopped. Nobody was cut off.");
        assert_eq!(server.code(), Some(0));
    }
}

/// One that takes too long is cut off, named, and told by the exit code.
#[test]
fn who_takes_too_long_is_cut_off() {
    let mut server = Server::start(&["--grace", "0.1"]);
    let mut client = server.connect();
    server.says(&format!("{}: accepted", client.name));
    // In one piece: when the first is answered, the second has come.
    client.ask("first\nwait 3600000");
    client.hears("first");
    server.signal(Signal::TERM);
    server.says("Stopping. Connections: 1");
    server.says("Stopped. Connections cut off: 1");
    server.says(&format!("{}: cut off", client.name));
    client.is_let_go();
    assert_eq!(server.code(), Some(3));
}

/// The second signal does what it does to any program.
#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    let mut server = Server::start(&["--grace", "3600"]);
    let mut client = server.connect();
    server.says(&format!("{}: accepted", client.name));
    // In one piece: when the first is answered, the second has come.
    client.ask("first\nwait 3600000");
    client.hears("first");
    server.signal(Signal::INT);
    server.says("Stopping. Connections: 1");
    server.signal(Signal::INT);
    assert_eq!(server.code(), None);
}

#[test]
fn wrong_options_are_named() {
    refuses("graceful_server", &["--limit", "0"], "--limit");
    refuses("graceful_server", &["--grace", "soon"], "--grace");
    refuses("graceful_server", &["--deadline=-1"], "--deadline");
}
