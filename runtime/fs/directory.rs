//! What is in a directory: a stream of its entries, read in batches.
//!
//! **Alternative:** a call for each entry. An entry is a few dozen bytes in a block that the kernel gave out long ago.

use std::{
    collections::VecDeque,
    ffi::OsString,
    fmt,
    fs::{FileType, Metadata},
    io,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use super::{
    calls::{FileCall, call},
    error::{PathError, not_run},
};
use crate::task::{self, SpawnBlocking};

/// Entries that are read in one call.
const BATCH: usize = 64;

/// Begins to read a directory. See [`std::fs::read_dir`].
///
/// # Errors
/// As there; the path is in the error.
///
/// # Panics
/// If no runtime runs this thread.
///
/// ```
/// use whirligig::fs;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path();
/// whirligig::run(async {
///     for name in ["a", "b", "c"] {
///         fs::write(path.join(name), "").await?;
///     }
///     let mut entries = fs::read_dir(path).await?;
///     let mut names = Vec::new();
///     while let Some(entry) = entries.next().await {
///         names.push(entry?.file_name());
///     }
///     names.sort();
///     assert_eq!(names, ["a", "b", "c"]);
///     std::io::Result::Ok(())
/// })
/// # ?; std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias("listdir", "scandir", "iterdir"))]
pub fn read_dir(path: impl AsRef<Path>) -> FileCall<ReadDir> {
    call("list", path, |path| {
        let mut entries = std::fs::read_dir(path)?;
        let read = next_batch(&mut entries);
        Ok(ReadDir { directory: path.into(), read, state: State::Idle(entries) })
    })
}

type Batch = VecDeque<io::Result<std::fs::DirEntry>>;

fn next_batch(entries: &mut std::fs::ReadDir) -> Batch {
    entries.take(BATCH).collect()
}

/// The entries of a directory, from [`read_dir`]: a stream, with [`next`](Self::next) for its own. In no order.
pub struct ReadDir {
    directory: Arc<Path>,
    /// Entries that were read and not given out.
    read: Batch,
    state: State,
}

enum State {
    Idle(std::fs::ReadDir),
    Busy(SpawnBlocking<(std::fs::ReadDir, Batch)>),
    Ended,
}

impl ReadDir {
    /// The next entry; `None` at the end.
    ///
    /// *Cancel safety*: giving up loses nothing.
    #[expect(clippy::should_implement_trait, reason = "streams have a `next` by custom")]
    pub fn next(&mut self) -> NextEntry<'_> {
        NextEntry { entries: self }
    }

    fn poll_entry(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<DirEntry>>> {
        loop {
            if let Some(entry) = self.read.pop_front() {
                return Poll::Ready(Some(match entry {
                    Ok(entry) => Ok(DirEntry { entry: Arc::new(entry) }),
                    Err(error) => Err(PathError::wrap("list", &self.directory, error)),
                }));
            }
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(None),
                State::Idle(mut entries) => {
                    self.state = State::Busy(task::spawn_blocking(move || {
                        let batch = next_batch(&mut entries);
                        (entries, batch)
                    }));
                }
                State::Busy(mut call) => match Pin::new(&mut call).poll(cx) {
                    Poll::Pending => {
                        self.state = State::Busy(call);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(not_run(&error)))),
                    Poll::Ready(Ok((_, batch))) if batch.is_empty() => {}
                    Poll::Ready(Ok((entries, batch))) => {
                        self.read = batch;
                        self.state = State::Idle(entries);
                    }
                },
            }
        }
    }
}

impl Stream for ReadDir {
    type Item = io::Result<DirEntry>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_entry(cx)
    }
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("directory", &self.directory).finish_non_exhaustive()
    }
}

/// The future of [`ReadDir::next`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct NextEntry<'a> {
    entries: &'a mut ReadDir,
}

impl Future for NextEntry<'_> {
    type Output = Option<io::Result<DirEntry>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let entry = ready!(self.entries.poll_entry(cx));
        Poll::Ready(entry)
    }
}

/// A name in a directory, and what can be asked about it.
#[derive(Debug, Clone)]
pub struct DirEntry {
    entry: Arc<std::fs::DirEntry>,
}

impl DirEntry {
    /// The directory's path and this name.
    pub fn path(&self) -> PathBuf {
        self.entry.path()
    }

    /// The name.
    pub fn file_name(&self) -> OsString {
        self.entry.file_name()
    }

    /// Whether it is a file, a directory or a link. Mostly the directory knows, and nothing is waited for.
    ///
    /// # Errors
    /// As [`std::fs::DirEntry::file_type`]; the path is in the error.
    #[track_caller]
    pub fn file_type(&self) -> FileCall<FileType> {
        let entry = self.entry.clone();
        call("look at", self.path(), move |_| entry.file_type())
    }

    /// What the system knows of it; of a link, of that itself.
    ///
    /// # Errors
    /// As [`std::fs::DirEntry::metadata`]; the path is in the error.
    #[track_caller]
    #[doc(alias = "stat")]
    pub fn metadata(&self) -> FileCall<Metadata> {
        let entry = self.entry.clone();
        call("look at", self.path(), move |_| entry.metadata())
    }
}
