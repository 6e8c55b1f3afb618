//! UDP echo over loopback, 64 bytes, with 1 and with 64 clients.
//!
//! The server is one task with one socket, on a thread of its own. The client is one plain thread with a socket for
//! each client: it sends a datagram on each and then receives every echo, so that it needs no event loop that could
//! favour a side. An empty datagram ends the server. `whirligig-batch` is ours with `recv_many` and `send_many`, for
//! which tokio has no counterpart. Run it with `cargo bench --bench udp_echo`.

mod common;

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    sync::mpsc,
    thread,
};

use criterion::{Bencher, Criterion, Throughput};
use whirligig::net::Datagram;

/// Bytes of one request, and of its echo.
const MESSAGE: usize = 64;
const BUFFER: usize = 1500;
const ANY_PORT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 0);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for clients in [1, 64] {
        let mut group = criterion.benchmark_group(format!("udp_echo_{clients}"));
        group.throughput(Throughput::Elements(clients as u64));
        group.bench_function("whirligig", |bench| load(bench, clients, whirligig));
        group.bench_function("whirligig-batch", |bench| load(bench, clients, whirligig_batch));
        group.bench_function("tokio", |bench| load(bench, clients, tokio));
        group.finish();
    }
    criterion.final_summary();
}

type Ready = Box<dyn FnOnce(SocketAddr)>;

/// Gives how many bytes it has sent back.
fn whirligig(ready: Ready) -> io::Result<usize> {
    common::event_loop().block_on(async move {
        let socket = whirligig::net::UdpSocket::bind(SocketAddr::from(ANY_PORT)).await?;
        ready(socket.local_addr()?);
        let echo = async move {
            let (mut buffer, mut echoed) = ([0; BUFFER], 0);
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await?;
                if length == 0 {
                    return Ok(echoed);
                }
                echoed += socket.send_to(&buffer[..length], peer).await?;
            }
        };
        whirligig::spawn_local(echo).await.map_err(io::Error::other)?
    })
}

fn whirligig_batch(ready: Ready) -> io::Result<usize> {
    common::event_loop().block_on(async move {
        let socket = whirligig::net::UdpSocket::bind(SocketAddr::from(ANY_PORT)).await?;
        ready(socket.local_addr()?);
        let echo = async move {
            let (mut batch, mut echoed) = (vec![Datagram::with_capacity(BUFFER); 32], 0);
            loop {
                let received = socket.recv_many(&mut batch).await?;
                let batch = &batch[..received];
                let mut sent = 0;
                while sent < received {
                    sent += socket.send_many(&batch[sent..]).await?;
                }
                echoed += batch.iter().map(|datagram| datagram.payload().len()).sum::<usize>();
                if batch.iter().any(|datagram| datagram.payload().is_empty()) {
                    return Ok(echoed);
                }
            }
        };
        whirligig::spawn_local(echo).await.map_err(io::Error::other)?
    })
}

fn tokio(ready: Ready) -> io::Result<usize> {
    common::tokio_current_thread().block_on(async move {
        let socket = tokio::net::UdpSocket::bind(SocketAddr::from(ANY_PORT)).await?;
        ready(socket.local_addr()?);
        let echo = async move {
            let (mut buffer, mut echoed) = ([0; BUFFER], 0);
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await?;
                if length == 0 {
                    return Ok(echoed);
                }
                echoed += socket.send_to(&buffer[..length], peer).await?;
            }
        };
        tokio::spawn(echo).await.map_err(io::Error::other)?
    })
}

/// Times rounds of one datagram and its echo for each client.
fn load(
    bench: &mut Bencher<'_>,
    clients: usize,
    serve: impl FnOnce(Ready) -> io::Result<usize> + Send,
) {
    let mut rounds = 0;
    thread::scope(|scope| {
        let (ready, address) = mpsc::channel();
        let server = scope.spawn(move || {
            serve(Box::new(move |address| ready.send(address).expect("the client waits")))
        });
        let address = address.recv().expect("the server starts");
        let sockets: Vec<_> =
            (0..clients).map(|_| connect(address).expect("a socket can be made")).collect();
        bench.iter(|| {
            rounds += 1;
            round(&sockets, rounds).expect("the server echoes");
        });
        sockets[0].send(&[]).expect("the server can be ended");
        let echoed = server.join().expect("the server does not panic").expect("it ends well");
        assert_eq!(echoed, rounds * clients * MESSAGE, "every byte was echoed once");
    });
}

fn connect(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(ANY_PORT)?;
    socket.connect(address)?;
    Ok(socket)
}

fn round(sockets: &[UdpSocket], number: usize) -> io::Result<()> {
    let message = [number as u8; MESSAGE];
    for socket in sockets {
        socket.send(&message)?;
    }
    for socket in sockets {
        let mut answer = [0; MESSAGE];
        socket.recv(&mut answer)?;
        assert_eq!(answer, message);
    }
    Ok(())
}
