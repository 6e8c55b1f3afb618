//! A file, sent over a connection without passing through this process: `sendfile`.
//!
//! What must hold: whatever ends it, it is known how much was sent. And a big file does not keep its task going: it
//! goes in pieces, each an operation for the poll's budget.

use std::{
    fmt,
    future::Future,
    io,
    ops::{Bound, RangeBounds},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{family::Family, stream::Stream};
use crate::{engine::reactor::flags::Direction, io::Waiting};

impl<F: Family> Stream<F> {
    /// Sends the bytes of `file` that lie in `range` (`..` is all of it), and says how many they were: fewer than the
    /// range has if the file ends before. The file's own position is neither used nor moved.
    ///
    /// The kernel moves the bytes, in pieces of 64 KiB, each when the connection has room. **What is not in the page
    /// cache is read from the disk meanwhile, and that blocks** this thread, a piece at a time: nothing tells
    /// beforehand. Where disks are slow and the runtime has other things to do, read through the blocking pool
    /// instead.
    ///
    /// Where the process has not left `SIGPIPE` ignored, as each Rust program does from the start, a peer that is gone
    /// raises it: this call of the kernel's cannot be told otherwise.
    ///
    /// *Cancel safety*: dropped before it is ready, it may have sent a part. Await it by reference to learn
    /// [how much](SendFile::sent).
    ///
    /// # Errors
    /// What the kernel says: the peer is gone, `file` is no regular file, and the like. What was sent before is
    /// [still told](SendFile::sent).
    ///
    /// ```
    /// use std::{fs::File, io::Write};
    /// use whirligig::net::UnixStream;
    ///
    /// # let directory = tempfile::tempdir()?;
    /// # let path = directory.path().join("file");
    /// std::fs::write(&path, "0123456789")?;
    /// let file = File::open(&path)?;
    /// whirligig::run(async {
    ///     let (ours, theirs) = UnixStream::pair()?;
    ///     assert_eq!(ours.send_file(&file, 2..5).await?, 3);
    ///     let mut buf = [0; 16];
    ///     let length = theirs.read(&mut buf).await?;
    ///     assert_eq!(&buf[..length], b"234");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "sendfile")]
    #[doc(alias = "sock_sendfile")]
    pub fn send_file<'a>(
        &'a self,
        file: &'a impl AsFd,
        range: impl RangeBounds<u64>,
    ) -> SendFile<'a> {
        let offset = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => end.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        let waiting = Waiting::new(&self.source, Direction::Write, Location::caller());
        SendFile { waiting, file: file.as_fd(), offset, end, sent: 0 }
    }
}

/// The future of [`send_file`](Stream::send_file).
#[must_use = "futures do nothing unless awaited"]
pub struct SendFile<'a> {
    waiting: Waiting<'a, OwnedFd>,
    file: BorrowedFd<'a>,
    offset: u64,
    end: u64,
    sent: u64,
}

impl SendFile<'_> {
    /// Bytes that were sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }
}

/// In one call. The kernel moves no more at once, and what a poll may do before others have their turn stays bounded.
const PIECE: u64 = 64 * 1024;

impl Future for SendFile<'_> {
    type Output = io::Result<u64>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let Self { waiting, file, offset, end, sent } = &mut *self;
        loop {
            let left = end.saturating_sub(*offset).min(PIECE) as usize;
            if left == 0 {
                return Poll::Ready(Ok(*sent));
            }
            let piece = |socket: &OwnedFd| send_piece(socket, *file, *offset, left);
            let moved = ready!(waiting.poll_op(cx, piece))? as u64;
            if moved == 0 {
                // The file ends here.
                *end = *offset;
            }
            *offset += moved;
            *sent += moved;
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn send_piece(
    socket: &OwnedFd,
    file: BorrowedFd<'_>,
    mut offset: u64,
    count: usize,
) -> io::Result<usize> {
    Ok(rustix::fs::sendfile(socket, file, Some(&mut offset), count)?)
}

/// Elsewhere the bytes pass through this process: the call is another on each system.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn send_piece(
    socket: &OwnedFd,
    file: BorrowedFd<'_>,
    offset: u64,
    count: usize,
) -> io::Result<usize> {
    let mut piece = vec![0; count];
    let length = rustix::io::pread(file, &mut piece[..], offset)?;
    super::stream::write(socket, &piece[..length])
}

impl fmt::Debug for SendFile<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFile")
            .field("offset", &self.offset)
            .field("end", &self.end)
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}
