//! tokio's `AsyncRead` and `AsyncWrite`, for all that has futures-io's.
//!
//! Of tokio this takes the two traits and `ReadBuf`, and no feature: no runtime, no reactor, no macro. What is built on
//! the traits (tokio-rustls, tokio-postgres, h2, tokio-util's codecs) then takes our streams as they are.
//!
//! The traits differ from futures-io's in three ways. A reader is given memory that need not be initialised: the
//! streams read into it as it is, and what reads by a call of its own (a [`Source`], the standard input, a file) has
//! it zeroed first. `poll_shutdown` is `poll_close`. And a writer says whether several buffers are
//! written by one call: what is built on it copies them into one otherwise.
//!
//! What must hold: no byte is said to be read that the kernel, or the reader, has not written.
//!
//! **Alternative:** `tokio_util::compat`, which wraps anything of futures-io's. Each stream would carry a wrapper
//! in its type, all memory would be zeroed, and vectored writes would be lost.

use std::{
    io::{self, IoSlice, Read, Write},
    os::fd::AsFd,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_io::AsyncWrite as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::{
    fs::File,
    io::{PipeReader, PipeWriter, Source, Stderr, Stdin, Stdout},
    net::{Family, OwnedReadHalf, OwnedWriteHalf, ReadHalf, Stream, WriteHalf},
};

/// A reader with a `poll_read_uninit`.
macro_rules! reads {
    ($(#[$doc:meta])* [$($generics:tt)*] $reader:ty) => {
        $(#[$doc])*
        impl<$($generics)*> AsyncRead for $reader {
            #[inline]
            #[allow(unsafe_code)]
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                // SAFETY: no byte of it is made uninitialised: rustix has the kernel write into it, or leaves it alone.
                let room = unsafe { buf.unfilled_mut() };
                let read = ready!(self.get_mut().poll_read_uninit(cx, room))?;
                // SAFETY: `poll_read_uninit` says how many bytes at its beginning the kernel has written.
                unsafe { buf.assume_init(read) };
                buf.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    };
}

/// A reader that wants its memory initialised.
macro_rules! reads_zeroed {
    ($(#[$doc:meta])* [$($generics:tt)*] $reader:ty $(where $($bounds:tt)*)?) => {
        $(#[$doc])*
        impl<$($generics)*> AsyncRead for $reader $(where $($bounds)*)? {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                let room = buf.initialize_unfilled();
                let read = ready!(futures_io::AsyncRead::poll_read(self, cx, room))?;
                buf.advance(read);
                Poll::Ready(Ok(()))
            }
        }
    };
}

/// A writer. `true`: several buffers are one system call.
macro_rules! writes {
    ($(#[$doc:meta])* $vectored:literal [$($generics:tt)*] $writer:ty $(where $($bounds:tt)*)?) => {
        $(#[$doc])*
        impl<$($generics)*> AsyncWrite for $writer $(where $($bounds)*)? {
            #[inline]
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write(self, cx, buf)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                bufs: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                futures_io::AsyncWrite::poll_write_vectored(self, cx, bufs)
            }

            fn is_write_vectored(&self) -> bool {
                $vectored
            }

            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                futures_io::AsyncWrite::poll_flush(self, cx)
            }

            fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_close(cx)
            }
        }
    };
}

reads! {
    /// With feature `tokio-io`.
    ///
    /// ```
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// use whirligig::net::{TcpListener, TcpStream};
    ///
    /// whirligig::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let mut client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (mut server, _) = listener.accept().await?;
    ///     client.write_all(b"hello").await?;
    ///     // A stream has a `shutdown` of its own, which comes before the trait's.
    ///     AsyncWriteExt::shutdown(&mut client).await?;
    ///     let mut greeting = String::new();
    ///     server.read_to_string(&mut greeting).await?;
    ///     assert_eq!(greeting, "hello");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    [F: Family] Stream<F>
}

writes! {
    /// With feature `tokio-io`. `poll_shutdown` ends the direction of writing.
    true [F: Family] Stream<F>
}

reads! {
    /// With feature `tokio-io`.
    [F: Family] ReadHalf<'_, F>
}

reads! {
    /// With feature `tokio-io`.
    [F: Family] OwnedReadHalf<F>
}

writes! {
    /// With feature `tokio-io`.
    true [F: Family] WriteHalf<'_, F>
}

writes! {
    /// With feature `tokio-io`.
    true [F: Family] OwnedWriteHalf<F>
}

reads! {
    /// With feature `tokio-io`.
    [] PipeReader
}

writes! {
    /// With feature `tokio-io`. `poll_shutdown` closes this end.
    true [] PipeWriter
}

reads_zeroed! {
    /// With feature `tokio-io`, as futures-io's: for any `T` that can be read by reference.
    [T: AsFd] Source<T> where for<'a> &'a T: Read
}

reads_zeroed! {
    /// As for `Source`.
    [T: AsFd] &Source<T> where for<'a> &'a T: Read
}

// Whether `T` writes several buffers at once, std does not say yet.
writes! {
    /// With feature `tokio-io`, as futures-io's: for any `T` that can be written by reference.
    false [T: AsFd] Source<T> where for<'a> &'a T: Write
}

writes! {
    /// As for `Source`.
    false [T: AsFd] &Source<T> where for<'a> &'a T: Write
}

reads_zeroed! {
    /// With feature `tokio-io`.
    [] Stdin
}

writes! {
    /// With feature `tokio-io`.
    false [] Stdout
}

writes! {
    /// With feature `tokio-io`.
    false [] Stderr
}

reads_zeroed! {
    /// With feature `tokio-io`.
    [] File
}

writes! {
    /// With feature `tokio-io`.
    false [] File
}
