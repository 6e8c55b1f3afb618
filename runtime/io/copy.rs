//! Copying both ways between two streams, as a proxy does.
//!
//! One way is what crates offer: `futures_lite::io::copy`. Both ways are more than two of those side by side, because of
//! how they end: when one peer has said all it will, the other must read the end, and may go on to answer. So the
//! end of one direction closes that direction alone (a half-close), and the whole is over when both are.
//!
//! What must hold: no byte that was read is lost but by dropping the future; a direction never waits with bytes in its
//! writer that were not flushed.
//!
//! **Alternative:** `zip(copy(..), copy(..))` over split streams. Neither closes its writer, so both wait for ever on
//! a peer that reads to the end before it answers.

use std::{
    fmt, io, mem,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncWrite};

use crate::engine::base::this_poll;

/// Bytes of one direction on their way, at most.
const BUFFER: usize = 8 * 1024;

/// Copies from `a` to `b` and from `b` to `a`, until both have said all. Gives the number of bytes of each direction.
///
/// When `a` reads its end, `b` is closed (`poll_close`: for a TCP connection, its direction of writing), and the other
/// direction goes on; likewise the other way round.
///
/// One direction alone is `futures_lite::io::copy`.
///
/// *Cancel safety*: dropped, it loses what it has read and not yet written, up to 8 KiB each way.
///
/// # Errors
/// The first of either direction. The other one is given up with it.
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncWriteExt};
/// use whirligig::{io::copy_bidirectional, net::{TcpListener, TcpStream}, spawn};
///
/// whirligig::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let echo = listener.local_addr()?;
///     let server = spawn(async move {
///         let (mut reader, mut writer) = listener.accept().await?.0.into_split();
///         futures_lite::io::copy(&mut reader, &mut writer).await
///     });
///     let front = TcpListener::bind("127.0.0.1:0").await?;
///     let mut client = TcpStream::connect(front.local_addr()?).await?;
///     let (mut inward, _) = front.accept().await?;
///     let proxy = spawn(async move {
///         let mut outward = TcpStream::connect(echo).await?;
///         copy_bidirectional(&mut inward, &mut outward).await
///     });
///     client.write_all(b"hello").await?;
///     client.close().await?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer).await?;
///     assert_eq!(answer, "hello");
///     assert_eq!(proxy.await.unwrap()?, (5, 5));
///     assert_eq!(server.await.unwrap()?, 5);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn copy_bidirectional<'a, A, B>(a: &'a mut A, b: &'a mut B) -> CopyBidirectional<'a, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    let location = Location::caller();
    CopyBidirectional {
        a,
        b,
        there: OneWay::new(),
        back: OneWay::new(),
        back_first: false,
        location,
    }
}

/// The future of [`copy_bidirectional`].
#[must_use = "futures do nothing unless awaited"]
pub struct CopyBidirectional<'a, A: ?Sized, B: ?Sized> {
    a: &'a mut A,
    b: &'a mut B,
    there: OneWay,
    back: OneWay,
    /// Which one has this poll's budget first. They take turns, or one that is always ready would have all of it.
    back_first: bool,
    location: &'static Location<'static>,
}

impl<A, B> Future for CopyBidirectional<'_, A, B>
where
    A: AsyncRead + AsyncWrite + Unpin + ?Sized,
    B: AsyncRead + AsyncWrite + Unpin + ?Sized,
{
    type Output = io::Result<(u64, u64)>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { a, b, there, back, back_first, location } = self.get_mut();
        let (there, back) = if mem::replace(back_first, !*back_first) {
            let back = back.poll(cx, *b, *a, location)?;
            (there.poll(cx, *a, *b, location)?, back)
        } else {
            (there.poll(cx, *a, *b, location)?, back.poll(cx, *b, *a, location)?)
        };
        Poll::Ready(Ok((ready!(there), ready!(back))))
    }
}

/// One direction. It may be polled on when it is done.
struct OneWay {
    buffer: Box<[u8]>,
    /// What was read and is not yet written.
    start: usize,
    end: usize,
    written: u64,
    is_flushed: bool,
    stage: Stage,
}

enum Stage {
    Copying,
    /// The reader is at its end.
    Closing,
    Done,
}

impl OneWay {
    fn new() -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        Self { buffer, start: 0, end: 0, written: 0, is_flushed: true, stage: Stage::Copying }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin + ?Sized),
        writer: &mut (impl AsyncWrite + Unpin + ?Sized),
        location: &'static Location<'static>,
    ) -> Poll<io::Result<u64>> {
        loop {
            match self.stage {
                Stage::Copying => ready!(self.poll_copy(cx, reader, writer, location))?,
                Stage::Closing => {
                    ready!(Pin::new(&mut *writer).poll_close(cx))?;
                    self.stage = Stage::Done;
                }
                Stage::Done => return Poll::Ready(Ok(self.written)),
            }
        }
    }

    /// One read or one write.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        reader: &mut (impl AsyncRead + Unpin + ?Sized),
        writer: &mut (impl AsyncWrite + Unpin + ?Sized),
        location: &'static Location<'static>,
    ) -> Poll<io::Result<()>> {
        // Two streams of other crates may be ready for ever.
        ready!(this_poll::poll_budget(cx, location));
        if self.start < self.end {
            let rest = &self.buffer[self.start..self.end];
            let n = ready!(Pin::new(writer).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.start += n;
            self.written += n as u64;
            self.is_flushed = false;
            this_poll::charge();
            return Poll::Ready(Ok(()));
        }
        match Pin::new(reader).poll_read(cx, &mut self.buffer)? {
            Poll::Ready(0) => self.stage = Stage::Closing,
            Poll::Ready(n) => (self.start, self.end) = (0, n),
            Poll::Pending => {
                if !self.is_flushed {
                    ready!(Pin::new(writer).poll_flush(cx))?;
                    self.is_flushed = true;
                }
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<A: ?Sized, B: ?Sized> fmt::Debug for CopyBidirectional<'_, A, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CopyBidirectional")
            .field("there", &self.there.written)
            .field("back", &self.back.written)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
