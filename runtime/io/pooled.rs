//! A file as a stream, by way of the blocking pool.
//!
//! epoll refuses regular files: they are always ready, also when the disk must be waited for. So each read and each
//! write is a call on the pool, one at a time, in order. A read brings what was asked for and no more, for others may
//! share the position in the file. A write is accepted at once and goes on in the background: the next one waits for it
//! and tells its error, and so does a flush.
//!
//! What must hold: bytes that a call has read are kept here if nobody waits for them any more; and bytes that were
//! accepted are written in their order.
//!
//! **Alternative:** a write that is ready only when it is done. One that is dropped in the middle could not be told from
//! the next: the count of the one would be taken for the other's.

use std::{
    fs::File,
    io::{self, Read, Write},
    panic::Location,
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll, ready},
};

use crate::{
    engine::base::this_poll,
    task::{SpawnBlocking, spawn_blocking_from},
};

/// The most that one call reads or writes.
const CHUNK: usize = 64 * 1024;

pub(super) struct PooledReader {
    file: StdArc<File>,
    /// What was read, and from where on nobody has it.
    read: Vec<u8>,
    start: usize,
    call: Option<SpawnBlocking<io::Result<Vec<u8>>>>,
    location: &'static Location<'static>,
}

impl PooledReader {
    pub(super) fn new(file: File, location: &'static Location<'static>) -> Self {
        Self { file: StdArc::new(file), read: Vec::new(), start: 0, call: None, location }
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        ready!(this_poll::poll_budget(cx, self.location));
        if self.start == self.read.len() && !buf.is_empty() {
            self.read = ready!(self.poll_call(cx, buf.len()))?;
            self.start = 0;
        }
        let n = buf.len().min(self.read.len() - self.start);
        buf[..n].copy_from_slice(&self.read[self.start..][..n]);
        self.start += n;
        this_poll::charge();
        Poll::Ready(Ok(n))
    }

    fn poll_call(&mut self, cx: &mut Context<'_>, asked: usize) -> Poll<io::Result<Vec<u8>>> {
        let call = self.call.get_or_insert_with(|| {
            let file = self.file.clone();
            let mut bytes = vec![0; asked.min(CHUNK)];
            let read = move || {
                let n = retry(|| (&*file).read(&mut bytes))?;
                bytes.truncate(n);
                Ok(bytes)
            };
            spawn_blocking_from(read, self.location)
        });
        let done = ready!(Pin::new(call).poll(cx));
        self.call = None;
        Poll::Ready(done.map_err(io::Error::other).flatten())
    }
}

pub(super) struct PooledWriter {
    file: StdArc<File>,
    call: Option<SpawnBlocking<io::Result<()>>>,
    location: &'static Location<'static>,
}

impl PooledWriter {
    pub(super) fn new(file: File, location: &'static Location<'static>) -> Self {
        Self { file: StdArc::new(file), call: None, location }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let n = buf.len().min(CHUNK);
        let (file, bytes) = (self.file.clone(), buf[..n].to_vec());
        let write = move || (&*file).write_all(&bytes);
        self.call = Some(spawn_blocking_from(write, self.location));
        this_poll::charge();
        Poll::Ready(Ok(n))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(this_poll::poll_budget(cx, self.location));
        let Some(call) = &mut self.call else { return Poll::Ready(Ok(())) };
        let done = ready!(Pin::new(call).poll(cx));
        self.call = None;
        Poll::Ready(done.map_err(io::Error::other).flatten())
    }
}

fn retry<T>(mut f: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match f() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
