//! Sockets, pipes, children: the kernel says when.

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use whirligig::{
    io,
    net::{TcpListener, TcpStream, UdpSocket, UnixStream},
    process::Command,
    spawn,
};

use crate::{pause, sweep};

#[test]
fn a_connection() {
    sweep(|cut| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = spawn(async move {
            let (mut stream, _) = listener.accept().await?;
            pause().await;
            let mut byte = [0];
            while stream.read(&mut byte).await? == 1 {
                stream.write_all(&byte).await?;
            }
            std::io::Result::Ok(())
        });
        let program = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for _ in 0..2 {
                stream.write_all(b"x").await.unwrap();
                stream.read_exact(&mut [0]).await.unwrap();
            }
        };
        let ended = cut.run(program).await.is_some();
        // Was it cancelled before it connected?
        let late = TcpStream::connect(address).await;
        drop(late);
        // The connection may have been reset.
        let _ = server.await.unwrap();
        ended
    });
}

#[test]
fn accepting() {
    sweep(|cut| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = spawn(async move {
            pause().await;
            TcpStream::connect(address).await.unwrap()
        });
        let accepted = cut.run(listener.accept()).await;
        let _stream = client.await.unwrap();
        match accepted {
            Some(accepted) => {
                accepted.unwrap();
                true
            }
            None => {
                listener.accept().await.expect("it was not lost");
                false
            }
        }
    });
}

#[test]
fn a_datagram_and_a_local_stream_and_a_pipe() {
    sweep(|cut| async move {
        let (receiver, sender) = (
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
            UdpSocket::bind("127.0.0.1:0").await.unwrap(),
        );
        let to = receiver.local_addr().unwrap();
        let (mut near, mut far) = UnixStream::pair().unwrap();
        let (mut reader, mut writer) = io::pipe().unwrap();
        let other = spawn(async move {
            pause().await;
            sender.send_to(b"datagram", to).await.unwrap();
            far.write_all(b"s").await.unwrap();
            pause().await;
            writer.write_all(b"p").await.unwrap();
        });
        let program = async {
            assert_eq!(receiver.recv_from(&mut [0; 16]).await.unwrap().0, 8);
            near.read_exact(&mut [0]).await.unwrap();
            reader.read_exact(&mut [0]).await.unwrap();
        };
        let ended = cut.run(program).await.is_some();
        other.await.unwrap();
        ended
    });
}

#[test]
fn a_child() {
    sweep(|cut| async move {
        let mut child = Command::new("sh").args(["-c", "sleep 0.002"]).spawn().unwrap();
        let ended = cut.run(child.wait()).await;
        let status = match ended {
            Some(status) => status,
            None => {
                assert!(child.wait().await.unwrap().success());
                return false;
            }
        };
        assert!(status.unwrap().success());
        true
    });
}
