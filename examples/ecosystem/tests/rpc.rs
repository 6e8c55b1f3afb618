//! Each kind of call comes back right, in one program and between two.

use std::process::Command;

mod support;
use support::{Server, Watchdog, output};

const RPC: &str = env!("CARGO_BIN_EXE_rpc");

const PRINTED: &str = "the square of 12 is 144
counted: 1 2 3 4 5
the sum of 1 to 100 is 5050
sums as they go: 3 4 8 9 14
refused: OutOfRange, the square has 64 bits
";

#[test]
fn server_and_client_in_one_program() {
    let _watchdog = Watchdog::new("server_and_client_in_one_program");
    assert_eq!(output(&mut Command::new(RPC)), PRINTED);
}

#[test]
fn server_and_clients_apart() {
    let _watchdog = Watchdog::new("server_and_clients_apart");
    let server = Server::start(RPC, &["serve", "--listen", "127.0.0.1:0"]);
    for _ in 0..3 {
        let called = output(Command::new(RPC).args(["call", &server.address.to_string()]));
        assert_eq!(called, PRINTED);
    }
    let (printed, log, status) = server.stop();
    assert!(status.success(), "{log}");
    assert_eq!(printed, "3 connections, 0 of them cut off\n");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let run = Command::new(RPC).args(["call", "127.0.0.1:1"]).output().expect("it starts");
    let complaint = String::from_utf8_lossy(&run.stderr);
    assert!(!run.status.success() && complaint.contains("127.0.0.1:1"), "{complaint}");
}
