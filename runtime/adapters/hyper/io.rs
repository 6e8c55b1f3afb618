//! hyper's `Read` and `Write`: on our streams as they are, and on anything of futures-io's by [`Io`].
//!
//! hyper's connections read into memory that is not initialised. A TCP or Unix stream lets the kernel write into it
//! as it is. What is read by a reader of another crate, such as a TLS stream, has it zeroed first.
//!
//! `Io` goes both ways: what hyper hands out after an upgrade speaks hyper's traits, and the crates that
//! go on from there, such as async-tungstenite, want futures-io's.
//!
//! What must hold: no byte is said to be read that the kernel, or the reader, has not written; a reader that claims
//! more than its buffer holds is not believed.
//!
//! **Alternative:** [`Io`] around our own streams too. Each would have its memory zeroed, and a wrapper in its type.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use ::hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use futures_io::{AsyncRead, AsyncWrite};
use pin_project_lite::pin_project;

use crate::net::{Family, Stream};

/// With feature `hyper`.
impl<F: Family> Read for Stream<F> {
    #[inline]
    #[allow(unsafe_code)]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        // ANCHOR: read
        // SAFETY: no byte of it is made uninitialised: rustix has the kernel write into it, or leaves it alone.
        let room = unsafe { buf.as_mut() };
        let read = ready!(self.get_mut().poll_read_uninit(cx, room))?;
        // SAFETY: `poll_read_uninit` says how many bytes at its beginning the kernel has written.
        unsafe { buf.advance(read) };
        // END: read
        Poll::Ready(Ok(()))
    }
}

/// With feature `hyper`. `poll_shutdown` ends the direction of writing.
impl<F: Family> Write for Stream<F> {
    #[inline]
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write(self, cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        AsyncWrite::poll_flush(self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_close(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        AsyncWrite::poll_write_vectored(self, cx, bufs)
    }
}

pin_project! {
    /// hyper's traits for anything of futures-io's, and futures-io's for anything of hyper's. `hyper_util`'s `TokioIo`.
    ///
    /// For a TLS stream under hyper, or for hyper's `Upgraded` under a WebSocket. Our TCP and Unix streams need none.
    ///
    /// ```
    /// use futures_lite::{AsyncReadExt, AsyncWriteExt};
    /// use whirligig::{adapters::hyper::Io, net::UnixStream};
    ///
    /// whirligig::run(async {
    ///     let (ours, mut theirs) = UnixStream::pair()?;
    ///     // Into hyper's traits, and back again.
    ///     let mut ours = Io::new(Io::new(ours));
    ///     theirs.write_all(b"hello").await?;
    ///     let mut greeting = [0; 5];
    ///     ours.read_exact(&mut greeting).await?;
    ///     assert_eq!(&greeting, b"hello");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[derive(Debug, Clone, Copy)]
    #[doc(alias = "TokioIo")]
    pub struct Io<T> {
        #[pin]
        inner: T,
    }
}

impl<T> Io<T> {
    /// Wraps it.
    pub fn new(inner: T) -> Self {
        Self { inner }
    }

    /// What is wrapped.
    pub fn get_ref(&self) -> &T {
        &self.inner
    }

    /// What is wrapped.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.inner
    }

    /// Gives it back.
    pub fn into_inner(self) -> T {
        self.inner
    }
}

/// The most that one read asks for: it is zeroed first, and a record of TLS holds no more.
const MOST: usize = 16 * 1024;

impl<T: AsyncRead> Read for Io<T> {
    #[allow(unsafe_code)]
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let asked = buf.remaining().min(MOST);
        let room = buf.initialize_unfilled_to(asked);
        let read = ready!(self.project().inner.poll_read(cx, room))?;
        assert!(read <= asked, "a reader claims {read} bytes in a buffer of {asked}");
        // SAFETY: `asked` bytes were initialised, and this is no more of them.
        unsafe { buf.advance(read) };
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite> Write for Io<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_close(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }
}

impl<T: Read> AsyncRead for Io<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        ready!(self.project().inner.poll_read(cx, buf.unfilled()))?;
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<T: Write> AsyncWrite for Io<T> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.project().inner.poll_write_vectored(cx, bufs)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_flush(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().inner.poll_shutdown(cx)
    }
}
