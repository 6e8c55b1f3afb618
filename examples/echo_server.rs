//! A TCP server that sends back whatever it is sent, until Ctrl-C.
//!
//! ```text
//! cargo run --release --example echo_server
//! cargo run --release --example echo_server -- --address 127.0.0.1:0
//! ```
//!
//! The first line says where it listens (port 0 is any free one). Talk to it with the example
//! `echo_client`, or with `nc`. On Ctrl-C, or when told to terminate, it stops accepting, names the
//! connections that it abandons, and ends well.
//!
//! One task accepts, and each connection is a task of its own, written as if it were alone. The
//! root future waits for the signal. It ends, and `run` drops the loop with every task that is
//! left: their sockets are closed with them.

use std::{cell::RefCell, collections::BTreeSet, io, net::SocketAddr, rc::Rc};

use anyhow::Context;
use clap::Parser;
use futures_lite::{AsyncWriteExt, future::race};
use whirligig::{
    net::{TcpListener, TcpStream},
    signal::{SignalKind, signal},
    spawn_local,
};

/// Sends back whatever it is sent, until Ctrl-C.
#[derive(Parser)]
struct Options {
    /// Where to listen, as `host:port`; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8888")]
    address: String,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    whirligig::run(serve(&options.address))
}

async fn serve(address: &str) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen at {address}"))?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for signals")?;
    println!("Listening at {}", listener.local_addr()?);

    let open = Rc::new(RefCell::new(BTreeSet::new()));
    spawn_local(accept(listener, Rc::clone(&open)));
    race(interrupt.recv(), terminate.recv()).await?;

    let open = open.borrow();
    eprintln!("Stopped. Connections abandoned: {}", open.len());
    for peer in open.iter() {
        eprintln!("  {peer}");
    }
    Ok(())
}

/// The peers that are connected now.
type Open = Rc<RefCell<BTreeSet<SocketAddr>>>;

async fn accept(listener: TcpListener, open: Open) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                open.borrow_mut().insert(peer);
                let open = Rc::clone(&open);
                spawn_local(async move {
                    if let Err(error) = echo(stream).await {
                        eprintln!("{peer}: {error}");
                    }
                    open.borrow_mut().remove(&peer);
                });
            }
            // Out of descriptors, say. The next call waits a little before it tries again.
            Err(error) => eprintln!("cannot accept: {error}"),
        }
    }
}

/// Sends back what comes, until the peer has no more to say.
async fn echo(mut stream: TcpStream) -> io::Result<()> {
    // An answer goes out at once, also while an earlier one is on its way.
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count]).await?;
    }
}
