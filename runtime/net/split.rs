//! The two directions of a connection, apart.

use std::{
    error::Error,
    fmt,
    io::{self, IoSlice, IoSliceMut},
    net::Shutdown,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{
    family::{Family, Inet},
    stream::{Stream, async_read, async_write},
};

impl<F: Family> Stream<F> {
    /// A reader and a writer that borrow the connection.
    #[track_caller]
    pub fn split(&mut self) -> (ReadHalf<'_, F>, WriteHalf<'_, F>) {
        let (stream, location) = (&*self, Location::caller());
        (ReadHalf { stream, location }, WriteHalf { stream, location })
    }

    /// A reader and a writer that share the connection, for two tasks, on any loops. Dropping the
    /// writer ends its direction, so that the peer reads the end.
    #[track_caller]
    pub fn into_split(self) -> (OwnedReadHalf<F>, OwnedWriteHalf<F>) {
        let (stream, location) = (Arc::new(self), Location::caller());
        let reader = OwnedReadHalf { stream: stream.clone(), location };
        (reader, OwnedWriteHalf { stream, location, ends: true })
    }
}

/// Reads from a borrowed connection. From [`split`](Stream::split).
#[derive(Debug)]
pub struct ReadHalf<'a, F: Family = Inet> {
    stream: &'a Stream<F>,
    location: &'static Location<'static>,
}

/// Writes to a borrowed connection. From [`split`](Stream::split).
#[derive(Debug)]
pub struct WriteHalf<'a, F: Family = Inet> {
    stream: &'a Stream<F>,
    location: &'static Location<'static>,
}

/// Reads from a shared connection. From [`into_split`](Stream::into_split).
#[derive(Debug)]
pub struct OwnedReadHalf<F: Family = Inet> {
    stream: Arc<Stream<F>>,
    location: &'static Location<'static>,
}

/// Writes to a shared connection. From [`into_split`](Stream::into_split). Dropping it ends the direction of
/// writing: the peer reads the end.
#[derive(Debug)]
pub struct OwnedWriteHalf<F: Family = Inet> {
    stream: Arc<Stream<F>>,
    location: &'static Location<'static>,
    ends: bool,
}

impl<F: Family> AsRef<Stream<F>> for ReadHalf<'_, F> {
    fn as_ref(&self) -> &Stream<F> {
        self.stream
    }
}

impl<F: Family> AsRef<Stream<F>> for WriteHalf<'_, F> {
    fn as_ref(&self) -> &Stream<F> {
        self.stream
    }
}

impl<F: Family> AsRef<Stream<F>> for OwnedReadHalf<F> {
    fn as_ref(&self) -> &Stream<F> {
        &self.stream
    }
}

impl<F: Family> AsRef<Stream<F>> for OwnedWriteHalf<F> {
    fn as_ref(&self) -> &Stream<F> {
        &self.stream
    }
}

async_read!(ReadHalf<'_, F>, |this| this.stream);
async_write!(WriteHalf<'_, F>, |this| this.stream);
async_read!(OwnedReadHalf<F>, |this| this.stream);
async_write!(OwnedWriteHalf<F>, |this| this.stream);

impl<F: Family> OwnedReadHalf<F> {
    /// Puts the two halves together again.
    ///
    /// # Errors
    /// Gives both back if they are not of one connection.
    pub fn reunite(self, writer: OwnedWriteHalf<F>) -> Result<Stream<F>, ReuniteError<F>> {
        if !Arc::ptr_eq(&self.stream, &writer.stream) {
            return Err(ReuniteError(self, writer));
        }
        writer.forget();
        Ok(Arc::into_inner(self.stream).expect("two halves hold a connection, and one is gone"))
    }
}

impl<F: Family> OwnedWriteHalf<F> {
    /// Drops the half without ending its direction.
    pub fn forget(mut self) {
        self.ends = false;
    }
}

impl<F: Family> Drop for OwnedWriteHalf<F> {
    fn drop(&mut self) {
        if self.ends {
            // A connection that is broken has ended already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// The two halves are not of one connection.
#[derive(Debug)]
pub struct ReuniteError<F: Family = Inet>(pub OwnedReadHalf<F>, pub OwnedWriteHalf<F>);

impl<F: Family> fmt::Display for ReuniteError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are not of one connection")
    }
}

impl<F: Family> Error for ReuniteError<F> {}
