//! Sockets between tasks: echoes of each kind, on every variant, with clients that come and go.

use std::sync::Arc;

use whirligig::{
    net::{Datagram, UdpSocket},
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
