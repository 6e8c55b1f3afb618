//! Echo over Unix streams, 1 KiB, with 1 and with 64 connections.
//!
//! As `tcp_echo.rs` does it: the server has a thread of its own, and the client is one plain thread that writes a
//! message to each connection and then reads every echo. Run it with `cargo bench --bench unix_echo`.

mod common;

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    sync::mpsc,
    thread,
};

use criterion::{Bencher, Criterion, Throughput};

/// Bytes of one request, and of its echo.
const MESSAGE: usize = 1024;
/// Larger, so that each server sees a short read and can tell that no more is there.
const BUFFER: usize = 4 * MESSAGE;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for connections in [1, 64] {
        let mut group = criterion.benchmark_group(format!("unix_echo_{connections}"));
        group.throughput(Throughput::Elements(connections as u64));
        group.bench_function("whirligig", |bench| load(bench, connections, whirligig));
        group.bench_function("tokio", |bench| load(bench, connections, tokio));
        group.finish();
    }
    criterion.final_summary();
}

type Ready = Box<dyn FnOnce()>;

/// Gives how many bytes it has sent back.
fn whirligig(path: &Path, connections: usize, ready: Ready) -> io::Result<usize> {
    use futures_lite::AsyncWriteExt as _;

    common::event_loop().block_on(async move {
        let listener = whirligig::net::UnixListener::bind(path)?;
        ready();
        let mut tasks = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            tasks.push(whirligig::spawn_local(async move {
                let (mut buffer, mut echoed) = ([0; BUFFER], 0);
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return io::Result::Ok(echoed);
                    }
                    stream.write_all(&buffer[..length]).await?;
                    echoed += length;
                }
            }));
        }
        let mut echoed = 0;
        for task in tasks {
            echoed += task.await.map_err(io::Error::other)??;
        }
        Ok(echoed)
    })
}

fn tokio(path: &Path, connections: usize, ready: Ready) -> io::Result<usize> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    common::tokio_current_thread().block_on(async move {
        let listener = tokio::net::UnixListener::bind(path)?;
        ready();
        let mut tasks = Vec::with_capacity(connections);
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().await?;
            tasks.push(tokio::spawn(async move {
                let (mut buffer, mut echoed) = ([0; BUFFER], 0);
                loop {
                    let length = stream.read(&mut buffer).await?;
                    if length == 0 {
                        return io::Result::Ok(echoed);
                    }
                    stream.write_all(&buffer[..length]).await?;
                    echoed += length;
                }
            }));
        }
        let mut echoed = 0;
        for task in tasks {
            echoed += task.await.map_err(io::Error::other)??;
        }
        Ok(echoed)
    })
}

/// Times rounds of one message and its echo on each connection.
fn load(
    bench: &mut Bencher<'_>,
    connections: usize,
    serve: impl FnOnce(&Path, usize, Ready) -> io::Result<usize> + Send,
) {
    let directory = tempfile::tempdir().expect("a directory can be made");
    let path = &directory.path().join("socket");
    let mut rounds = 0;
    thread::scope(|scope| {
        let (ready, listens) = mpsc::channel();
        let server = scope.spawn(move || {
            let ready = move || ready.send(()).expect("the client waits");
            serve(path, connections, Box::new(ready))
        });
        listens.recv().expect("the server starts");
        let mut streams: Vec<_> = (0..connections)
            .map(|_| UnixStream::connect(path).expect("the server accepts"))
            .collect();
        bench.iter(|| {
            rounds += 1;
            round(&mut streams, rounds).expect("the server echoes");
        });
        drop(streams);
        let echoed = server.join().expect("the server does not panic").expect("it ends well");
        assert_eq!(echoed, rounds * connections * MESSAGE, "every byte was echoed once");
    });
}

fn round(streams: &mut [UnixStream], number: usize) -> io::Result<()> {
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
