//! The hidden subcommand `child http-idle`: connections that ask once, and then stay open.
//!
//! A process of its own, for its sockets would count among the server's descriptors.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::{child, machine};

/// Opens connections, and keeps them until it is ended.
#[derive(Args, Debug)]
pub(crate) struct Idle {
    address: String,
    connections: usize,
}

impl Idle {
    pub(crate) fn run(&self) -> Result<()> {
        machine::raise_descriptor_limit()?;
        let open = open(&self.address, self.connections)?;
        child::report(&open.len())?;
        loop {
            std::thread::sleep(Duration::from_secs(3_600));
        }
    }
}

/// Connections that have had one answer each.
pub(super) fn open(address: &str, connections: usize) -> Result<Vec<TcpStream>> {
    let one = |_| -> Result<TcpStream> {
        let mut stream = TcpStream::connect(address).context("cannot connect")?;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut answer = Vec::new();
        while !answer.ends_with(super::server::ANSWER) {
            let mut bytes = [0; 1024];
            let read = stream.read(&mut bytes)?;
            ensure!(read > 0, "the server closed a connection");
            answer.extend_from_slice(&bytes[..read]);
        }
        Ok(stream)
    };
    (0..connections).map(one).collect()
}
