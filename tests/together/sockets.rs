//! Sockets between tasks: echoes of each kind, on every variant, with clients that come and go.

use std::{os::fd::AsFd, sync::Arc};

use futures_lite::{AsyncReadExt, AsyncWriteExt, io::copy};
use whirligig::{
    net::{Datagram, UdpSocket, UnixDatagram, UnixListener, UnixStream},
    spawn,
};

use crate::variants::on_each_variant;

const CLIENTS: u8 = 20;
const ROUNDS: u8 = 50;

/// Clients with a socket each, in tasks of their own, and a server that answers in batches.
#[test]
fn udp_clients_are_answered() {
    on_each_variant(|_| async {
        let server = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = server.local_addr().unwrap();
        let echoing = spawn(async move {
            let mut batch = vec![Datagram::with_capacity(64); 8];
            let mut answered = 0;
            while answered < usize::from(CLIENTS) * usize::from(ROUNDS) {
                let received = server.recv_many(&mut batch).await.unwrap();
                let mut sent = 0;
                while sent < received {
                    sent += server.send_many(&batch[sent..received]).await.unwrap();
                }
                answered += received;
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                spawn(async move {
                    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                    socket.connect(address).await.unwrap();
                    for round in 0..ROUNDS {
                        socket.send(&[n, round]).await.unwrap();
                        let mut answer = [0; 8];
                        assert_eq!(socket.recv(&mut answer).await.unwrap(), 2);
                        assert_eq!(answer[..2], [n, round]);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        echoing.await.unwrap();
    });
}

/// One socket, shared: many tasks wait in `recv_from` at once, and each datagram goes to one of them.
#[test]
fn a_shared_udp_socket_gives_each_datagram_to_one_task() {
    on_each_variant(|_| async {
        let shared = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = shared.local_addr().unwrap();
        let receivers: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let shared = shared.clone();
                spawn(async move {
                    let mut buf = [0; 8];
                    let (length, _) = shared.recv_from(&mut buf).await.unwrap();
                    assert_eq!(length, 1);
                    buf[0]
                })
            })
            .collect();
        let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for n in 0..CLIENTS {
            sender.send_to(&[n], address).await.unwrap();
        }
        let mut got = Vec::new();
        for receiver in receivers {
            got.push(receiver.await.unwrap());
        }
        got.sort_unstable();
        assert!(got.into_iter().eq(0..CLIENTS));
    });
}

/// Streams at a path: each client has a task of its own here and there.
#[test]
fn unix_clients_are_answered() {
    on_each_variant(|_| async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        let server = spawn(async move {
            let mut connections = Vec::new();
            for _ in 0..CLIENTS {
                let (stream, _) = listener.accept().await.unwrap();
                connections.push(spawn(async move {
                    let (reader, writer) = stream.into_split();
                    copy(reader, writer).await.unwrap()
                }));
            }
            let mut echoed = 0;
            for connection in connections {
                echoed += connection.await.unwrap();
            }
            echoed
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let path = path.clone();
                spawn(async move {
                    let mut stream = UnixStream::connect(path).await.unwrap();
                    for round in 0..ROUNDS {
                        stream.write_all(&[n, round, !n]).await.unwrap();
                        let mut answer = [0; 3];
                        stream.read_exact(&mut answer).await.unwrap();
                        assert_eq!(answer, [n, round, !n]);
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
        assert_eq!(server.await.unwrap(), u64::from(CLIENTS) * u64::from(ROUNDS) * 3);
    });
}

/// Many senders fill one receiver's small queue over and over: each datagram arrives once, those of one sender in
/// order.
#[test]
fn unix_datagrams_arrive_once() {
    on_each_variant(|_| async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let senders: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let path = path.clone();
                spawn(async move {
                    let socket = UnixDatagram::unbound().unwrap();
                    for round in 0..ROUNDS {
                        // Some connected, some not: they wait in different ways.
                        if n % 2 == 0 {
                            socket.send_to(&[n, round], &path).await.unwrap();
                        } else {
                            socket.connect(&path).unwrap();
                            socket.send(&[n, round]).await.unwrap();
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; CLIENTS as usize];
        for _ in 0..usize::from(CLIENTS) * usize::from(ROUNDS) {
            let mut buf = [0; 8];
            assert_eq!(receiver.recv(&mut buf).await.unwrap(), 2);
            let next = &mut next[usize::from(buf[0])];
            assert_eq!(buf[1], *next);
            *next += 1;
        }
        for sender in senders {
            sender.await.unwrap();
        }
    });
}

/// A connection is accepted in one task and served in another, to which it went as a descriptor.
#[test]
fn a_connection_is_handed_over_as_a_descriptor() {
    on_each_variant(|_| async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let worker = spawn(async move {
            let (mut buf, mut fds) = ([0; 8], Vec::new());
            assert_eq!(theirs.recv_fds(&mut buf, &mut fds).await.unwrap(), 4);
            let stream = std::os::unix::net::UnixStream::from(fds.remove(0));
            let mut stream = UnixStream::from_std(stream).unwrap();
            stream.write_all(b"served").await.unwrap();
        });
        let (client, server) = UnixStream::pair().unwrap();
        ours.send_fds(b"take", &[server.as_fd()]).await.unwrap();
        drop(server);
        let mut answer = String::new();
        { client }.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "served");
        worker.await.unwrap();
    });
}
