//! What is sent comes back, in one program and between two.

use std::process::Command;

mod support;
use support::{Server, Watchdog, output};

const QUIC: &str = env!("CARGO_BIN_EXE_quic");

#[test]
fn server_and_client_in_one_program() {
    let _watchdog = Watchdog::new("server_and_client_in_one_program");
    let printed = output(&mut Command::new(QUIC));
    assert!(printed.starts_with("4 streams, 4 MiB there and back, nothing lost\n"), "{printed}");
}

#[test]
fn server_and_clients_apart() {
    let _watchdog = Watchdog::new("server_and_clients_apart");
    let folder = tempfile::tempdir().unwrap();
    let certificate = folder.path().join("echo.der");
    let certificate = certificate.to_str().unwrap();
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--certificate", certificate];
    let server = Server::start(QUIC, &arguments);
    for streams in ["1", "16"] {
        let address = server.address.to_string();
        let arguments = ["send", &address, "--certificate", certificate, "--streams", streams];
        let printed = output(Command::new(QUIC).args(arguments));
        assert!(printed.contains("nothing lost"), "{printed}");
    }
    let (_, log, status) = server.stop();
    assert!(status.success(), "{log}");
}
