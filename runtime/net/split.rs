//! The two directions of a connection, apart.

use std::{
    error::Error,
    fmt,
    io::{self, IoSlice, IoSliceMut, Read},
    net::Shutdown,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::stream::{TcpStream, async_read, async_write};

impl TcpStream {
    /// A reader and a writer that borrow the connection.
    #[track_caller]
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        let (stream, location) = (&*self, Location::caller());
        (ReadHalf { stream, location }, WriteHalf { stream, location })
    }

    /// A reader and a writer that share the connection, for two tasks, on any loops. Dropping the
    /// writer ends its direction, so that the peer reads the end.
    #[track_caller]
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let (stream, location) = (Arc::new(self), Location::caller());
        let reader = OwnedReadHalf { stream: stream.clone(), location };
        (reader, OwnedWriteHalf { stream, location, ends: true })
    }
}

/// Reads from a borrowed connection. From [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a> {
    stream: &'a TcpStream,
    location: &'static Location<'static>,
}

/// Writes to a borrowed connection. From [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a> {
    stream: &'a TcpStream,
    location: &'static Location<'static>,
}

/// Reads from a shared connection. From [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf {
    stream: Arc<TcpStream>,
    location: &'static Location<'static>,
}

/// Writes to a shared connection. From [`TcpStream::into_split`]. Dropping it ends the direction of
/// writing: the peer reads the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    location: &'static Location<'static>,
    ends: bool,
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.stream
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.stream
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

async_read!(ReadHalf<'_>, |this| this.stream);
async_write!(WriteHalf<'_>, |this| this.stream);
async_read!(OwnedReadHalf, |this| this.stream);
async_write!(OwnedWriteHalf, |this| this.stream);

impl OwnedReadHalf {
    /// Puts the two halves together again.
    ///
    /// # Errors
    /// Gives both back if they are not of one connection.
    pub fn reunite(self, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.stream, &writer.stream) {
            return Err(ReuniteError(self, writer));
        }
        writer.forget();
        Ok(Arc::into_inner(self.stream).expect("two halves hold a connection, and one is gone"))
    }
}

impl OwnedWriteHalf {
    /// Drops the half without ending its direction.
    pub fn forget(mut self) {
        self.ends = false;
    }
}

impl Drop for OwnedWriteHalf {
    fn drop(&mut self) {
        if self.ends {
            // A connection that is broken has ended already.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
    }
}

/// The two halves are not of one connection.
#[derive(Debug)]
pub struct ReuniteError(pub OwnedReadHalf, pub OwnedWriteHalf);

impl fmt::Display for ReuniteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves are not of one connection")
    }
}

impl Error for ReuniteError {}
