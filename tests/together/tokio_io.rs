//! Our streams by tokio's traits, with no runtime of tokio's.

use std::{future::poll_fn, io::IoSlice, mem::MaybeUninit, pin::Pin};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use whirligig::{
    io::{Source, pipe},
    net::{TcpListener, TcpStream, UnixStream},
    spawn,
};

use crate::on_each_variant;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// Sends a megabyte there and back, with the end of each direction.
async fn echoes(
    client: impl AsyncRead + AsyncWrite + Send + 'static,
    server: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) {
    let sent: Vec<u8> = (0..1 << 20).map(|n: u32| (n % 251) as u8).collect();
    let echo = spawn(async move {
        let (mut reader, mut writer) = tokio::io::split(server);
        let echoed = tokio::io::copy(&mut reader, &mut writer).await.unwrap();
        writer.shutdown().await.unwrap();
        echoed
    });
    let (mut reader, mut writer) = tokio::io::split(client);
    let sends = spawn({
        let sent = sent.clone();
        async move {
            writer.write_all(&sent).await.unwrap();
            writer.shutdown().await.unwrap();
        }
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received).await.unwrap();
    sends.await.unwrap();
    assert_eq!(echo.await.unwrap(), sent.len() as u64);
    assert!(received == sent);
}

#[test]
fn streams_echo_and_end() {
    on_each_variant(|_| async {
        let (client, server) = pair().await;
        echoes(client, server).await;
        let (client, server) = UnixStream::pair().unwrap();
        echoes(client, server).await;
    });
}

#[test]
fn owned_halves_echo_and_end() {
    on_each_variant(|_| async {
        let (client, server) = pair().await;
        let [client, server] = [client, server].map(|stream| {
            let (reader, writer) = stream.into_split();
            tokio::io::join(reader, writer)
        });
        echoes(client, server).await;
    });
}

/// A read goes behind what is filled, and says no more of the rest than it knows.
#[test]
fn a_read_fills_what_came_and_no_more() {
    on_each_variant(|_| async {
        let (mut client, mut server) = pair().await;
        client.write_all(b"abc").await.unwrap();
        let mut memory = [MaybeUninit::uninit(); 16];
        let mut buf = ReadBuf::uninit(&mut memory);
        buf.put_slice(b"before:");
        poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buf)).await.unwrap();
        assert_eq!(buf.filled(), b"before:abc");
        assert_eq!(buf.initialized().len(), 10);
        AsyncWriteExt::shutdown(&mut client).await.unwrap();
        poll_fn(|cx| Pin::new(&mut server).poll_read(cx, &mut buf)).await.unwrap();
        assert_eq!(buf.filled(), b"before:abc", "the end is a read of nothing");
    });
}

#[test]
fn several_buffers_are_one_write() {
    on_each_variant(|_| async {
        let (client, mut server) = pair().await;
        assert!(client.is_write_vectored());
        let bufs = [IoSlice::new(b"one "), IoSlice::new(b"write")];
        assert_eq!(client.write_vectored(&bufs).await.unwrap(), 9);
        let mut text = [0; 9];
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"one write");
    });
}

#[test]
fn a_pipe_ends_by_shutdown() {
    on_each_variant(|_| async {
        let (mut reader, mut writer) = pipe().unwrap();
        writer.write_all(b"through it").await.unwrap();
        writer.shutdown().await.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "through it");
        assert!(writer.write_all(b"more").await.is_err());
    });
}

#[test]
fn a_source_reads_and_writes_by_reference() {
    on_each_variant(|_| async {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (ours, mut theirs) = (Source::new(ours).unwrap(), Source::new(theirs).unwrap());
        theirs.write_all(b"by reference").await.unwrap();
        drop(theirs);
        let mut text = String::new();
        (&ours).read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "by reference");
    });
}
