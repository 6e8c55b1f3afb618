//! A connection up to the bytes that tell HTTP/1 from HTTP/2.
//!
//! hyper-util's server reads until the bytes cannot be, or are, HTTP/2's preface, and sets no limit for that: a client
//! that connects and sends nothing, or `PRI`, would keep its connection for ever. hyper's own limit for a request's head
//! begins only after. So the stream itself gives up when they do not come.
//!
//! What must hold: while it waits it hands out no byte beyond the preface, so that all it has seen it has compared.
//!
//! **Alternative:** to wait for readability before the server sees the connection. One byte would pass that.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use ::hyper::rt::{Read, ReadBufCursor, Write};

use crate::{
    engine::base::this_poll,
    net::{Family, Stream},
    time::{Sleep, sleep},
};

/// What a client sends first if it speaks HTTP/2 without TLS.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose first bytes must come in time.
pub(super) struct FirstBytes<F: Family> {
    stream: Stream<F>,
    /// Until they have come. By itself on the heap: most of a connection's life is after.
    undecided: Option<Box<Undecided>>,
}

struct Undecided {
    /// So many bytes of the preface have come, and nothing else.
    seen: usize,
    limit: Sleep,
}

impl<F: Family> FirstBytes<F> {
    pub(super) fn new(stream: Stream<F>, limit: Duration) -> Self {
        let undecided = Undecided { seen: 0, limit: sleep(limit) };
        Self { stream, undecided: Some(Box::new(undecided)) }
    }
}

impl<F: Family> Read for FirstBytes<F> {
    #[inline]
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { stream, undecided } = &mut *self;
        let Some(waits) = undecided else {
            return Read::poll_read(Pin::new(stream), cx, buf);
        };
        let mut bytes = [0; PREFACE.len()];
        let room = buf.remaining().min(PREFACE.len() - waits.seen);
        let read = futures_io::AsyncRead::poll_read(Pin::new(stream), cx, &mut bytes[..room]);
        if read.is_pending() && is_over(&mut waits.limit, cx) {
            let problem = "the client sent no request in time";
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, problem)));
        }
        // ANCHOR: preface
        let bytes = &bytes[..ready!(read)?];
        let is_preface = PREFACE[waits.seen..].starts_with(bytes);
        waits.seen += bytes.len();
        if bytes.is_empty() || !is_preface || waits.seen == PREFACE.len() {
            *undecided = None;
        }
        buf.put_slice(bytes);
        // END: preface
        Poll::Ready(Ok(()))
    }
}

/// Whether the limit is over. What the task waits for is the stream.
fn is_over(limit: &mut Sleep, cx: &mut Context<'_>) -> bool {
    let noted = this_poll::take_note();
    let is_over = Pin::new(limit).poll(cx).is_ready();
    if let Some(noted) = noted {
        this_poll::note_again(noted);
    }
    is_over
}

impl<F: Family> Write for FirstBytes<F> {
    #[inline]
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Write::poll_write(Pin::new(&mut self.stream), cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Write::poll_flush(Pin::new(&mut self.stream), cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.undecided = None;
        Write::poll_shutdown(Pin::new(&mut self.stream), cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    #[inline]
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Write::poll_write_vectored(Pin::new(&mut self.stream), cx, bufs)
    }
}
