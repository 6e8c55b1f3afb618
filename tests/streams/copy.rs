//! `io::copy_bidirectional`: both directions to their ends, each closed alone.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll},
};

use futures_lite::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt,
    future::{poll_once, zip},
    io::Cursor,
};
use whirligig::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    spawn,
};

use crate::variants::on_each_variant;

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// The client says all, closes its direction, and only then gets its answer, through the proxy.
#[test]
fn the_end_of_one_direction_is_passed_on_and_the_other_goes_on() {
    on_each_variant(|_| async {
        let (mut client, mut inward) = pair().await;
        let (mut outward, mut server) = pair().await;
        let proxy = spawn(async move { copy_bidirectional(&mut inward, &mut outward).await });
        let question: Vec<u8> = (0..500_000_u32).map(|n| (n % 250) as u8).collect();
        let asks = async {
            client.write_all(&question).await.unwrap();
            client.close().await.unwrap();
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answers = async {
            let mut heard = Vec::new();
            server.read_to_end(&mut heard).await.unwrap();
            heard.reverse();
            server.write_all(&heard).await.unwrap();
            server.write_all(b"end").await.unwrap();
            drop(server);
        };
        let (mut answer, ()) = zip(asks, answers).await;
        assert_eq!(answer.split_off(question.len()), b"end");
        answer.reverse();
        assert!(answer == question);
        let sent = question.len() as u64;
        assert_eq!(proxy.await.unwrap().unwrap(), (sent, sent + 3));
    });
}

/// Gives what it has, and keeps what is written until it is flushed. Never ready to read once it is empty, but for its
/// end.
struct Buffering {
    gives: Cursor<Vec<u8>>,
    ends: bool,
    taken: Vec<u8>,
    flushed: usize,
    closed: bool,
}

impl Buffering {
    fn new(gives: &[u8], ends: bool) -> Self {
        let gives = Cursor::new(gives.to_vec());
        Self { gives, ends, taken: Vec::new(), flushed: 0, closed: false }
    }
}

impl AsyncRead for Buffering {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.gives).poll_read(cx, buf) {
            Poll::Ready(Ok(0)) if !self.ends => Poll::Pending,
            read => read,
        }
    }
}

impl AsyncWrite for Buffering {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        // A byte at a time.
        self.taken.extend(buf.first());
        Poll::Ready(Ok(buf.len().min(1)))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = self.taken.len();
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.closed = true;
        self.poll_flush(cx)
    }
}

#[test]
fn a_direction_that_waits_has_flushed_what_it_wrote() {
    on_each_variant(|_| async {
        let (mut a, mut b) = (Buffering::new(b"from a", false), Buffering::new(b"from b", true));
        // The budget may end a poll before both wait.
        for _ in 0..10 {
            let mut copying = copy_bidirectional(&mut a, &mut b);
            assert!(
                futures_lite::future::poll_once(&mut copying).await.is_none(),
                "a does not end"
            );
            drop(copying);
        }
        assert_eq!((&b.taken[..], b.flushed, b.closed), (&b"from a"[..], 6, false));
        assert_eq!((&a.taken[..], a.flushed, a.closed), (&b"from b"[..], 6, true));
    });
}

/// Reads zeroes for ever, and takes all: a pair of such would never return to the loop.
#[derive(Default)]
struct Endless {
    writes: usize,
}

impl AsyncRead for Endless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }
}

impl AsyncWrite for Endless {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes += 1;
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn two_streams_that_are_always_ready_give_way() {
    on_each_variant(|_| async {
        let copying = spawn(async {
            copy_bidirectional(&mut Endless::default(), &mut Endless::default()).await
        });
        for _ in 0..3 {
            whirligig::task::yield_now().await;
        }
        copying.cancel();
        assert!(copying.await.unwrap_err().is_cancelled());
    });
}

/// One direction that is always ready leaves the other its turns.
#[test]
fn neither_direction_has_all_of_the_budget() {
    whirligig::run(async {
        let (mut a, mut b) = (Endless::default(), Endless::default());
        let mut copying = copy_bidirectional(&mut a, &mut b);
        for _ in 0..10 {
            assert!(poll_once(&mut copying).await.is_none());
            whirligig::task::yield_now().await;
        }
        let (to_a, to_b) = (a.writes, b.writes);
        assert!(0 < to_a && to_a.abs_diff(to_b) <= to_a / 2, "{to_a} and {to_b}");
    });
}

#[test]
fn the_first_error_ends_both() {
    on_each_variant(|_| async {
        let (mut client, mut inward) = pair().await;
        let (mut outward, server) = pair().await;
        let proxy = spawn(async move { copy_bidirectional(&mut inward, &mut outward).await });
        // Bytes that it never read: it closes with a reset.
        client.write_all(&[0; 1000]).await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        let error = proxy.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0, "the proxy's ends are closed");
    });
}
