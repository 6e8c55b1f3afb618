//! `AsyncRead` and `AsyncWrite` of any source whose reference reads and writes.

use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    net,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use futures_lite::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt, future::zip, io::BufReader,
};
use whirligig::{io::Source, spawn, task};

use crate::variants::on_each_variant;

fn pair() -> (Source<UnixStream>, Source<UnixStream>) {
    let (a, b) = UnixStream::pair().unwrap();
    (Source::new(a).unwrap(), Source::new(b).unwrap())
}

#[test]
fn a_socket_of_std_is_a_stream() {
    on_each_variant(|_| async {
        let listener = Source::new(net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.get_ref().local_addr().unwrap();
        let client = net::TcpStream::connect(address).unwrap();
        let server = listener.read_with(|listener| listener.accept()).await.unwrap().0;
        let (mut client, mut server) = (Source::new(client).unwrap(), Source::new(server).unwrap());
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 253) as u8).collect();
        let mut got = vec![0; bytes.len()];
        let (sent, read) = zip(client.write_all(&bytes), server.read_exact(&mut got)).await;
        sent.unwrap();
        read.unwrap();
        assert!(got == bytes);
        client.flush().await.unwrap();
        client.close().await.unwrap();
        server.write_all(b"still there").await.unwrap();
        let mut answer = [0; 11];
        client.read_exact(&mut answer).await.expect("closing a source has closed nothing");
        drop(client);
        assert_eq!(server.read(&mut answer).await.unwrap(), 0);
    });
}

/// One task reads and one writes, each by a reference of its own.
#[test]
fn two_tasks_share_one_by_reference() {
    on_each_variant(|_| async {
        let (ours, mut theirs) = pair();
        let ours = Arc::new(ours);
        let reading = spawn({
            let ours = ours.clone();
            async move {
                let mut lines = BufReader::new(&*ours).lines();
                let mut got = Vec::new();
                while let Some(line) = lines.next().await {
                    got.push(line.unwrap());
                }
                got
            }
        });
        task::yield_now().await;
        (&*ours).write_all(b"ask\n").await.unwrap();
        let mut ask = [0; 4];
        theirs.read_exact(&mut ask).await.unwrap();
        theirs.write_all(b"one\ntwo\nthree").await.unwrap();
        drop(theirs);
        assert_eq!(reading.await.unwrap(), ["one", "two", "three"]);
    });
}

/// A socket that gives one byte for each read, as a terminal gives one line; and counts what it is asked.
struct Sparing(UnixStream, AtomicUsize);

impl AsFd for Sparing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Read for &Sparing {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.1.fetch_add(1, Relaxed);
        (&self.0).read(&mut buf[..1])
    }
}

impl Write for &Sparing {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        (&self.0).write(&buf[..1])
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::Error::other("flushing is passed on"))
    }
}

/// A short count says nothing of an unknown type: what lies behind it is read all the same.
#[test]
fn a_short_count_is_not_taken_for_the_last() {
    on_each_variant(|_| async {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut ours = Source::new(Sparing(ours, AtomicUsize::new(0))).unwrap();
        theirs.write_all(&[7; 1000]).unwrap();
        let mut got = [0; 1000];
        ours.read_exact(&mut got).await.unwrap();
        assert_eq!(got, [7; 1000]);
        assert_eq!(ours.get_ref().1.load(Relaxed), 1000, "each read gave a byte");
        ours.write_all(&[8; 100]).await.unwrap();
        theirs.read_exact(&mut got[..100]).unwrap();
        assert_eq!(got[..100], [8; 100]);
        assert!(ours.flush().await.unwrap_err().to_string().contains("passed on"));
    });
}

#[test]
fn several_buffers_go_in_one_call() {
    on_each_variant(|_| async {
        let (mut a, mut b) = pair();
        let sent = a.write_vectored(&[IoSlice::new(b"ab"), IoSlice::new(b"cde")]).await.unwrap();
        assert_eq!(sent, 5);
        let (mut first, mut second) = ([0; 3], [0; 9]);
        let bufs = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(b.read_vectored(bufs).await.unwrap(), 5);
        assert_eq!((&first, &second[..2]), (b"abc", &b"de"[..]));
    });
}
