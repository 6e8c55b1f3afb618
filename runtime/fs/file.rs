//! An open file, read and written through a buffer, a batch at a time beside the loop.
//!
//! At most one call is under way for a file, and it has the buffer while it runs. Otherwise the buffer is here, and
//! holds one of two things: bytes that were read ahead of what was asked for, or bytes that are still to be written. So
//! the file's own position is ahead of the user's by what was read, or behind it by what is to be written, and each
//! change from reading to writing, or to another position, first makes the two agree.
//!
//! What must hold: bytes are written in the order in which they were given, and what a failed write did not write is told
//! to the next write, flush or close. A file that is dropped with bytes to be written has them written still, beside the
//! loop.
//!
//! What the buffer answers costs the loop no turn; so reads and writes are charged to the poll's budget, and a task that
//! copies lines gives way as one that reads a socket does.
//!
//! **Alternative:** a call for each read and write, without a buffer. A program that writes lines would pay the way to
//! another thread and back for each.

use std::{
    fmt,
    fs::{Metadata, Permissions},
    io::{self, Read, Seek, SeekFrom, Write},
    mem,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_io::{AsyncRead, AsyncSeek, AsyncWrite};

use super::error::not_run;
use crate::{
    engine::{
        base::{this_poll, user_code},
        current,
    },
    task::{self, SpawnBlocking},
};

/// So much is read ahead at least, and so many written bytes are gathered.
const BATCH: usize = 64 << 10;

/// No call moves more than this, and no buffer is larger.
const MOST: usize = 1 << 20;

/// An open file. Reads and writes go through a buffer, and run on the blocking pool.
///
/// It is read, written and moved about in by the traits of futures-io; futures-lite and futures-util have the methods.
/// Written bytes are in the file after [`flush`](futures_io::AsyncWrite::poll_flush) or `close`, and some before. A read
/// finds what was written before it.
///
/// *Cancel safety*: a read that is dropped loses no byte: what it has read, or that it was at the end, is given to the
/// next. Bytes that a write has
/// taken are written, also when the future is dropped, or the file is; how many it has taken is known only from its
/// answer. So a `write_all` that is dropped may have written a part. **Lost** are the bytes of a file that is dropped
/// unflushed, if its loop or runtime ends before they were written; and an error of that write is told on standard
/// error at best. Close the file to know. A seek that is dropped is done, or not.
///
/// ```
/// use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
/// use std::io::SeekFrom;
/// use whirligig::fs::{File, OpenOptions};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("letter");
/// whirligig::run(async {
///     let mut file = OpenOptions::new().read(true).write(true).create(true).open(&path).await?;
///     file.write_all(b"Hello, world").await?;
///     file.seek(SeekFrom::Start(7)).await?;
///     let mut world = String::new();
///     file.read_to_string(&mut world).await?;
///     assert_eq!(world, "world");
///     file.close().await
/// })
/// # ?; std::io::Result::Ok(())
/// ```
#[doc(alias = "aiofiles")]
pub struct File {
    file: Arc<std::fs::File>,
    state: State,
    /// What a call has left to be told.
    error: Option<io::Error>,
    /// The last read came to the end.
    at_end: bool,
    /// A move of the position that was not told yet, and what it came to.
    moved: Option<(Move, io::Result<u64>)>,
    /// The line that opened it. Where it gives way, the methods of other crates' traits know no nearer one.
    location: &'static Location<'static>,
}

enum State {
    Idle(Buffer),
    Busy(SpawnBlocking<Done>),
}

/// Why the position is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    /// Back to where the user is.
    Back,
    /// The user seeks.
    Seek(SeekFrom),
}

/// Bytes, those from `at` to `end`.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    at: usize,
    end: usize,
    /// They are to be written; otherwise they were read.
    dirty: bool,
}

impl Buffer {
    fn left(&self) -> &[u8] {
        &self.bytes[self.at..self.end]
    }

    /// The memory stays.
    fn clear(&mut self) {
        (self.at, self.end, self.dirty) = (0, 0, false);
    }

    /// Adds bytes to those to be written.
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(bytes);
        self.end = self.bytes.len();
    }

    /// Bytes that were read and not given out.
    fn ahead(&self) -> u64 {
        if self.dirty { 0 } else { self.left().len() as u64 }
    }

    /// Bytes that are to be written.
    fn unwritten(&self) -> &[u8] {
        if self.dirty { self.left() } else { &[] }
    }
}

/// What a call came to, with the buffer.
struct Done {
    buffer: Buffer,
    outcome: Outcome,
}

enum Outcome {
    Read(io::Result<()>),
    Written(io::Result<()>),
    Moved(Move, io::Result<u64>),
}

impl File {
    /// Takes a file that is open already, as one of the crate `tempfile`.
    ///
    /// ```
    /// use futures_lite::AsyncWriteExt;
    /// use whirligig::fs::File;
    ///
    /// let mut file = File::from_std(tempfile::tempfile()?);
    /// whirligig::run(async {
    ///     file.write_all(b"scratch").await?;
    ///     file.sync_all().await?;
    ///     assert_eq!(file.metadata().await?.len(), 7);
    ///     std::io::Result::Ok(())
    /// })
    /// # ?; std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn from_std(file: std::fs::File) -> Self {
        Self::new(file, Location::caller())
    }

    pub(super) fn new(file: std::fs::File, location: &'static Location<'static>) -> Self {
        Self {
            file: Arc::new(file),
            state: State::Idle(Buffer::default()),
            error: None,
            at_end: false,
            moved: None,
            location,
        }
    }

    /// The file as std has it, with all bytes written and the position where the user has it.
    ///
    /// # Errors
    /// What a write that was not flushed has met.
    pub async fn into_std(mut self) -> io::Result<std::fs::File> {
        self.settle().await?;
        let file = self.file.clone();
        drop(self);
        // Nothing is under way, so this is the only one.
        Arc::try_unwrap(file).or_else(|shared| shared.try_clone())
    }

    /// Writes what is to be written, and has the system write it to the disk.
    ///
    /// *Cancel safety*: dropped before what was written is out, it is not done; after that, all the same.
    ///
    /// # Errors
    /// As [`std::fs::File::sync_all`], and what a write has met.
    #[doc(alias = "fsync")]
    pub async fn sync_all(&mut self) -> io::Result<()> {
        self.call_anywhere(|file| file.sync_all()).await
    }

    /// The same without what the system keeps of the file beside its bytes.
    ///
    /// # Errors
    /// As [`std::fs::File::sync_data`], and what a write has met.
    #[doc(alias = "fdatasync")]
    pub async fn sync_data(&mut self) -> io::Result<()> {
        self.call_anywhere(|file| file.sync_data()).await
    }

    /// Cuts the file off at this length, or fills it up with zeros.
    ///
    /// # Errors
    /// As [`std::fs::File::set_len`], and what a write has met.
    #[doc(alias = "truncate")]
    pub async fn set_len(&mut self, length: u64) -> io::Result<()> {
        self.call(move |file| file.set_len(length)).await
    }

    /// What the system knows of the file, with all bytes written.
    ///
    /// # Errors
    /// As [`std::fs::File::metadata`], and what a write has met.
    #[doc(alias = "fstat")]
    pub async fn metadata(&mut self) -> io::Result<Metadata> {
        self.call_anywhere(|file| file.metadata()).await
    }

    /// Changes who may do what with the file.
    ///
    /// # Errors
    /// As [`std::fs::File::set_permissions`], and what a write has met.
    #[doc(alias = "fchmod")]
    pub async fn set_permissions(&mut self, permissions: Permissions) -> io::Result<()> {
        self.call_anywhere(move |file| file.set_permissions(permissions)).await
    }

    /// A second one on the same open file: they share its position, which is the system's. Each reads ahead of what it was
    /// asked for, so after one has read, **seek** before the other reads or writes, or it begins somewhere behind.
    ///
    /// # Errors
    /// As [`std::fs::File::try_clone`], and what a write has met.
    pub async fn try_clone(&mut self) -> io::Result<Self> {
        let location = self.location;
        self.call(|file| file.try_clone()).await.map(|file| Self::new(file, location))
    }

    /// Runs `f` beside the loop, with all bytes written. It asks nothing of the file's position, which not all files have.
    async fn call_anywhere<T: Send + 'static>(
        &mut self,
        f: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        std::future::poll_fn(|cx| self.poll_written(cx)).await?;
        let file = self.file.clone();
        let call = task::spawn_blocking(move || f(&file));
        call.await.unwrap_or_else(|error| Err(not_run(&error)))
    }

    /// The same, with the file's position the user's.
    async fn call<T: Send + 'static>(
        &mut self,
        f: impl FnOnce(&std::fs::File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        self.settle().await?;
        // The end that a dropped read has met may be elsewhere after it.
        self.at_end = false;
        self.call_anywhere(f).await
    }

    /// Makes the file's position the user's.
    async fn settle(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| {
            ready!(self.poll_written(cx))?;
            self.poll_back(cx)
        })
        .await
    }

    /// Waits for the call that is under way, if one is. Then the state is idle.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<&mut Buffer> {
        if let State::Busy(call) = &mut self.state {
            let done = ready!(Pin::new(call).poll(cx)).unwrap_or_else(|error| Done {
                buffer: Buffer::default(),
                outcome: Outcome::Written(Err(not_run(&error))),
            });
            match done.outcome {
                Outcome::Read(Ok(())) => self.at_end = done.buffer.left().is_empty(),
                Outcome::Read(Err(error)) | Outcome::Written(Err(error)) => {
                    self.error = Some(error)
                }
                Outcome::Written(Ok(())) => {}
                Outcome::Moved(why, result) => self.moved = Some((why, result)),
            }
            self.state = State::Idle(done.buffer);
        }
        match &mut self.state {
            State::Idle(buffer) => Poll::Ready(buffer),
            State::Busy(_) => unreachable!("it has just ended"),
        }
    }

    /// The same, and tells what a call has met.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_idle(cx));
        Poll::Ready(self.error.take().map_or(Ok(()), Err))
    }

    fn buffer(&mut self) -> &mut Buffer {
        match &mut self.state {
            State::Idle(buffer) => buffer,
            State::Busy(_) => unreachable!("the file is idle"),
        }
    }

    /// Begins a call, with the buffer. The file is idle.
    fn begin(&mut self, f: impl FnOnce(&std::fs::File, &mut Buffer) -> Outcome + Send + 'static) {
        let mut buffer = mem::take(self.buffer());
        let file = self.file.clone();
        self.state = State::Busy(task::spawn_blocking(move || {
            let outcome = f(&file, &mut buffer);
            Done { buffer, outcome }
        }));
    }

    /// Waits until all bytes are written.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_ready(cx))?;
            if self.buffer().unwritten().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.begin(|file, buffer| Outcome::Written(write_out(file, buffer)));
        }
    }

    /// Waits until the file's position is not ahead of the user's any more.
    fn poll_back(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            ready!(self.poll_ready(cx))?;
            if let Some((Move::Back, result)) = self.moved.take() {
                return Poll::Ready(result.map(drop));
            }
            match self.buffer().ahead() {
                0 => return Poll::Ready(Ok(())),
                ahead => self.begin_move(Move::Back, SeekFrom::Current(-(ahead as i64))),
            }
        }
    }

    fn begin_move(&mut self, why: Move, to: SeekFrom) {
        self.at_end = false;
        self.begin(move |mut file, buffer| {
            let moved = file.seek(to);
            // One that failed has left all as it was.
            if moved.is_ok() {
                buffer.clear();
            }
            Outcome::Moved(why, moved)
        });
    }
}

/// Writes what is to be written. After an error the rest stays, and is not tried again.
fn write_out(mut file: &std::fs::File, buffer: &mut Buffer) -> io::Result<()> {
    let result = file.write_all(buffer.unwritten());
    buffer.clear();
    result
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if into.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this_poll::poll_budget(cx, this.location));
        // ANCHOR: read
        loop {
            ready!(this.poll_written(cx))?;
            // What is read now comes after a seek that was dropped, and the same seek asked for again is another one.
            this.moved = None;
            if mem::take(&mut this.at_end) {
                return Poll::Ready(Ok(0));
            }
            let buffer = this.buffer();
            let left = buffer.left();
            if !left.is_empty() {
                let count = left.len().min(into.len());
                into[..count].copy_from_slice(&left[..count]);
                buffer.at += count;
                this_poll::charge();
                return Poll::Ready(Ok(count));
            }
            let most = into.len().clamp(BATCH, MOST);
            this.begin(move |file, buffer| Outcome::Read(read_in(file, buffer, most)));
        }
        // END: read
    }
}

/// Reads once, at most so much.
fn read_in(mut file: &std::fs::File, buffer: &mut Buffer, most: usize) -> io::Result<()> {
    buffer.clear();
    if buffer.bytes.len() < most {
        buffer.bytes.resize(most, 0);
    }
    loop {
        match file.read(&mut buffer.bytes[..most]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => {
                buffer.end = read?;
                return Ok(());
            }
        }
    }
}

impl AsyncWrite for File {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        ready!(this_poll::poll_budget(cx, this.location));
        ready!(this.poll_back(cx))?;
        this.at_end = false;
        let buffer = this.buffer();
        if !buffer.dirty {
            buffer.clear();
            buffer.dirty = true;
        }
        // More than a batch goes in one call, if it comes at once.
        let room = if buffer.end == 0 { MOST } else { BATCH - buffer.end };
        let count = bytes.len().min(room);
        buffer.push(&bytes[..count]);
        if buffer.end >= BATCH {
            this.begin(|file, buffer| Outcome::Written(write_out(file, buffer)));
        }
        this_poll::charge();
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_written(cx)
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

impl AsyncSeek for File {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        loop {
            ready!(self.poll_written(cx))?;
            if let Some((why, result)) = self.moved.take()
                && why == Move::Seek(to)
            {
                return Poll::Ready(result);
            }
            let real = match to {
                SeekFrom::Current(offset) => {
                    SeekFrom::Current(offset.saturating_sub(self.buffer().ahead() as i64))
                }
                to => to,
            };
            self.begin_move(Move::Seek(to), real);
        }
    }
}

impl Drop for File {
    fn drop(&mut self) {
        // A write that is under way goes on by itself.
        let State::Idle(buffer) = &mut self.state else { return };
        if buffer.unwritten().is_empty() {
            return;
        }
        let (file, mut buffer) = (self.file.clone(), mem::take(buffer));
        let mut write = move || {
            if let Err(error) = write_out(&file, &mut buffer) {
                user_code::say(format_args!(
                    "what was written to a file and not flushed before it was dropped is lost: {error}"
                ));
            }
        };
        if current::get().is_some() {
            drop(task::spawn_blocking(write));
        } else {
            write();
        }
    }
}

impl From<std::fs::File> for File {
    fn from(file: std::fs::File) -> Self {
        Self::from_std(file)
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File").field("file", &self.file).finish_non_exhaustive()
    }
}
