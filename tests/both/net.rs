//! Sockets: the same types on every variant.

use futures_util::{AsyncReadExt, AsyncWriteExt};
use whirligig::{
    net::{TcpListener, TcpStream},
    spawn,
};

use crate::api::ours;

const CLIENTS: u8 = 20;
const ROUNDS: u8 = 50;

async fn echo(mut stream: TcpStream) {
    let mut buffer = [0; 64];
    loop {
        let n = stream.read(&mut buffer).await.unwrap();
        if n == 0 {
            return;
        }
        stream.write_all(&buffer[..n]).await.unwrap();
    }
}

async fn talk() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn(async move {
        let mut connections = Vec::new();
        for _ in 0..CLIENTS {
            let (stream, _) = listener.accept().await.unwrap();
            connections.push(spawn(echo(stream)));
        }
        for connection in connections {
            connection.await.unwrap();
        }
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| {
            spawn(async move {
                let mut stream = TcpStream::connect(address).await.unwrap();
                for round in 0..ROUNDS {
                    let message = [n, round, !n];
                    stream.write_all(&message).await.unwrap();
                    let mut answer = [0; 3];
                    stream.read_exact(&mut answer).await.unwrap();
                    assert_eq!(answer, message);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    server.await.unwrap();
}

#[test]
fn clients_are_answered() {
    ours(talk);
}

/// A stream made in one task is read in another and written in a third.
async fn halves() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = spawn(async move { listener.accept().await.unwrap().0 });
    let client = TcpStream::connect(address).await.unwrap();
    let server = server.await.unwrap();
    let echoing = spawn(echo(server));
    let (mut reader, mut writer) = client.into_split();
    let writing = spawn(async move {
        for n in 0..=u8::MAX {
            writer.write_all(&[n; 100]).await.unwrap();
        }
        writer.close().await.unwrap();
    });
    let reading = spawn(async move {
        let mut all = Vec::new();
        reader.read_to_end(&mut all).await.unwrap();
        all
    });
    writing.await.unwrap();
    let all = reading.await.unwrap();
    assert_eq!(all.len(), 25_600);
    assert!(all.chunks(100).zip(0..=u8::MAX).all(|(chunk, n)| chunk == [n; 100]));
    echoing.await.unwrap();
}

#[test]
fn a_streams_halves_go_their_own_ways() {
    ours(halves);
}
