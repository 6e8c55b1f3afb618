//! TCP echo over loopback, 1 KiB, with 1 and with 64 connections; see `common/echo.rs`.
//!
//! The server has a thread of its own, and on the multi-threaded runtimes two workers besides. The
//! client is one plain thread that writes a message to each connection and then reads every echo, so
//! it needs no event loop that could favour a side. Run it with `cargo bench --bench tcp_echo`. Most
//! of each request is the kernel's: `peers echo` separates the processes, pins them and counts what
//! the server itself spends.

mod common;
#[path = "common/echo.rs"]
mod echo;
#[path = "common/multi.rs"]
mod multi;

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use criterion::{Bencher, Criterion, Throughput};
use echo::MESSAGE;
use multi::WORKERS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for connections in [1, 64] {
        let mut group = criterion.benchmark_group(format!("tcp_echo_{connections}"));
        group.throughput(Throughput::Elements(connections as u64));
        group.bench_function("whirligig", |bench| {
            load(bench, connections, |ready| {
                echo::whirligig(&common::event_loop(), connections, ready, count)
            });
        });
        group.bench_function("tokio", |bench| {
            load(bench, connections, |ready| {
                echo::tokio(&common::tokio_current_thread(), connections, ready, count)
            });
        });
        group.bench_function("mio", |bench| {
            load(bench, connections, |ready| echo::mio(connections, ready, count));
        });
        group.finish();

        let mut group = criterion.benchmark_group(format!("tcp_echo_multi_{connections}"));
        group.throughput(Throughput::Elements(connections as u64));
        group.bench_function("whirligig", |bench| {
            load(bench, connections, |ready| {
                echo::whirligig_multi(&multi::runtime(WORKERS), connections, ready, count)
            });
        });
        group.bench_function("tokio", |bench| {
            load(bench, connections, |ready| {
                echo::tokio(&multi::tokio(WORKERS), connections, ready, count)
            });
        });
        group.finish();
    }
    criterion.final_summary();
}

static ECHOED: AtomicU64 = AtomicU64::new(0);

fn count(bytes: usize) {
    ECHOED.fetch_add(bytes as u64, Relaxed);
}

type Ready = Box<dyn FnOnce(SocketAddr)>;

/// Times rounds of one message and its echo on each connection.
fn load(
    bench: &mut Bencher<'_>,
    connections: usize,
    serve: impl FnOnce(Ready) -> io::Result<()> + Send,
) {
    ECHOED.store(0, Relaxed);
    let mut rounds: u64 = 0;
    thread::scope(|scope| {
        let (ready, address) = mpsc::channel();
        let server = scope.spawn(move || {
            serve(Box::new(move |address| ready.send(address).expect("the client waits")))
        });
        let address = address.recv().expect("the server starts");
        let mut streams: Vec<_> =
            (0..connections).map(|_| connect(address).expect("the server accepts")).collect();
        bench.iter(|| {
            rounds += 1;
            round(&mut streams, rounds).expect("the server echoes");
        });
        drop(streams);
        server.join().expect("the server does not panic").expect("the server ends well");
    });
    let sent = rounds * (connections * MESSAGE) as u64;
    assert_eq!(ECHOED.load(Relaxed), sent, "every byte was echoed once");
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn round(streams: &mut [TcpStream], number: u64) -> io::Result<()> {
    let message = [number as u8; MESSAGE];
    for stream in &mut *streams {
        stream.write_all(&message)?;
    }
    for stream in streams {
        let mut answer = [0; MESSAGE];
        stream.read_exact(&mut answer)?;
        assert_eq!(answer, message);
    }
    Ok(())
}
