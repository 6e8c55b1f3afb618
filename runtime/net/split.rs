//! The two directions of a connection, apart.

use std::{
    error::Error,
    fmt,
    io::{self, IoSlice, IoSliceMut, Read},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::stream::{TcpStream, async_read, async_write};

impl TcpStream {
    /// A reader and a writer that borrow the connection.
    pub fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        (ReadHalf(self), WriteHalf(self))
    }

    /// A reader and a writer that share the connection, for two tasks, on any loops. Dropping the
    /// writer ends its direction, so that the peer reads the end.
    pub fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        let stream = Arc::new(self);
        (OwnedReadHalf(stream.clone()), OwnedWriteHalf { stream, ends: true })
    }
}

/// Reads from a borrowed connection. From [`TcpStream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a>(&'a TcpStream);

/// Writes to a borrowed connection. From [`TcpStream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a>(&'a TcpStream);

/// Reads from a shared connection. From [`TcpStream::into_split`].
#[derive(Debug)]
pub struct OwnedReadHalf(Arc<TcpStream>);

/// Writes to a shared connection. From [`TcpStream::into_split`]. Dropping it ends the direction of
/// writing: the peer reads the end.
#[derive(Debug)]
pub struct OwnedWriteHalf {
    stream: Arc<TcpStream>,
    ends: bool,
}

impl AsRef<TcpStream> for ReadHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for WriteHalf<'_> {
    fn as_ref(&self) -> &TcpStream {
        self.0
    }
}

impl AsRef<TcpStream> for OwnedReadHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.0
    }
}

impl AsRef<TcpStream> for OwnedWriteHalf {
    fn as_ref(&self) -> &TcpStream {
        &self.stream
    }
}

async_read!(ReadHalf<'_>, |this| this.0);
async_write!(WriteHalf<'_>, |this| this.0);
async_read!(OwnedReadHalf, |this| this.0);
async_write!(OwnedWriteHalf, |this| this.stream);

impl OwnedReadHalf {
    /// Puts the two halves together again.
    ///
    /// # Errors
    /// Gives both back if they are not of one connection.
    pub fn reunite(self, writer: OwnedWriteHalf) -> Result<TcpStream, ReuniteError> {
        if !Arc::ptr_eq(&self.0, &writer.stream) {
            return Err(ReuniteError(self, writer));
        }
        writer.forget();
        Ok(Arc::into_inner(self.0).expect("two halves hold a connection, and one is gone"))
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
