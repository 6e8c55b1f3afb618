//! std's functions on files and directories, each as one call on the blocking pool.
//!
//! They begin when they are called, not when they are awaited, and what has begun goes on when its future is dropped.
//!
//! **Alternative:** to begin with the first poll. Then a future that is dropped unpolled does nothing, as others; but one
//! dropped later does all the same, for a call cannot be taken back.

use std::{
    fs::{Metadata, Permissions},
    io,
    path::{Path, PathBuf},
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::error::{PathError, not_run};
use crate::task::{self, SpawnBlocking};

/// A call on a file or directory, which has begun: the future of the functions of [`fs`](super).
///
/// It borrows none of their arguments. Dropping it lets the call go on.
#[derive(Debug)]
#[must_use = "its outcome, errors included, comes from awaiting it"]
pub struct FileCall<T> {
    call: SpawnBlocking<io::Result<T>>,
}

/// Runs `f` on the blocking pool. Its error says what was done to which path.
#[track_caller]
pub(super) fn call<T: Send + 'static>(
    action: &'static str,
    path: impl AsRef<Path>,
    f: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> FileCall<T> {
    let path = path.as_ref().to_owned();
    let call = task::spawn_blocking(move || {
        f(&path).map_err(|error| PathError::wrap(action, &path, error))
    });
    FileCall { call }
}

impl<T> Future for FileCall<T> {
    type Output = io::Result<T>;

    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(Pin::new(&mut self.call).poll(cx));
        Poll::Ready(result.unwrap_or_else(|error| Err(not_run(&error))))
    }
}

/// Reads a whole file.
///
/// *Cancel safety*: the file is read to its end, and the bytes are lost.
///
/// # Errors
/// As [`std::fs::read`]; the path is in the error.
///
/// # Panics
/// As all of [`fs`](super): if no runtime runs this thread.
///
/// ```
/// use whirligig::fs;
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("letter");
/// whirligig::run(async {
///     fs::write(&path, "one").await?;
///     assert_eq!(fs::read(&path).await?, b"one");
///     assert_eq!(fs::read_to_string(&path).await?, "one");
///     fs::rename(&path, path.with_extension("old")).await?;
///     assert!(!fs::exists(&path).await?);
///     std::io::Result::Ok(())
/// })
/// # ?; std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "aiofiles")]
pub fn read(path: impl AsRef<Path>) -> FileCall<Vec<u8>> {
    call("read", path, |path| std::fs::read(path))
}

/// Reads a whole file that is text.
///
/// *Cancel safety*: the file is read to its end, and the text is lost.
///
/// # Errors
/// As [`std::fs::read_to_string`]; the path is in the error.
#[track_caller]
pub fn read_to_string(path: impl AsRef<Path>) -> FileCall<String> {
    call("read", path, |path| std::fs::read_to_string(path))
}

/// Writes a whole file: makes it if there is none, and replaces what was in it.
///
/// *Cancel safety*: the file is written all the same, unless its loop or runtime ends before that has begun. Who reads
/// the file meanwhile may find half of it: to replace a file at one stroke, write another and [`rename`] it.
///
/// # Errors
/// As [`std::fs::write`]; the path is in the error.
#[track_caller]
pub fn write(path: impl AsRef<Path>, contents: impl AsRef<[u8]> + Send + 'static) -> FileCall<()> {
    call("write", path, move |path| std::fs::write(path, contents))
}

/// Copies a file and its permissions, in the kernel where that can be. Gives the number of bytes.
///
/// *Cancel safety*: the file is copied all the same.
///
/// # Errors
/// As [`std::fs::copy`]; the path copied from is in the error.
#[track_caller]
#[doc(alias = "shutil")]
pub fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> FileCall<u64> {
    let to = to.as_ref().to_owned();
    call("copy", from, move |from| std::fs::copy(from, to))
}

/// Renames a file or directory, and replaces a file that was there.
///
/// *Cancel safety*: it is renamed all the same.
///
/// # Errors
/// As [`std::fs::rename`]; the old path is in the error.
#[track_caller]
pub fn rename(from: impl AsRef<Path>, to: impl AsRef<Path>) -> FileCall<()> {
    let to = to.as_ref().to_owned();
    call("rename", from, move |from| std::fs::rename(from, to))
}

/// Removes a file. See [`std::fs::remove_file`].
///
/// *Cancel safety*: it is removed all the same.
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "unlink")]
pub fn remove_file(path: impl AsRef<Path>) -> FileCall<()> {
    call("remove", path, |path| std::fs::remove_file(path))
}

/// Makes a directory. See [`std::fs::create_dir`].
///
/// *Cancel safety*: it is made all the same.
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "mkdir")]
pub fn create_dir(path: impl AsRef<Path>) -> FileCall<()> {
    call("create the directory", path, |path| std::fs::create_dir(path))
}

/// Makes a directory and those above it that are missing. See [`std::fs::create_dir_all`].
///
/// *Cancel safety*: they are made all the same.
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "makedirs")]
pub fn create_dir_all(path: impl AsRef<Path>) -> FileCall<()> {
    call("create the directory", path, |path| std::fs::create_dir_all(path))
}

/// Removes an empty directory. See [`std::fs::remove_dir`].
///
/// *Cancel safety*: it is removed all the same.
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "rmdir")]
pub fn remove_dir(path: impl AsRef<Path>) -> FileCall<()> {
    call("remove the directory", path, |path| std::fs::remove_dir(path))
}

/// Removes a directory and all that is in it. See [`std::fs::remove_dir_all`].
///
/// *Cancel safety*: all of it is removed all the same.
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "rmtree")]
pub fn remove_dir_all(path: impl AsRef<Path>) -> FileCall<()> {
    call("remove the directory", path, |path| std::fs::remove_dir_all(path))
}

/// What the system knows of a file or directory; of a link, of what it leads to. See [`std::fs::metadata`].
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "stat")]
pub fn metadata(path: impl AsRef<Path>) -> FileCall<Metadata> {
    call("look at", path, |path| std::fs::metadata(path))
}

/// What the system knows of a file, directory or link itself. See [`std::fs::symlink_metadata`].
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "lstat")]
pub fn symlink_metadata(path: impl AsRef<Path>) -> FileCall<Metadata> {
    call("look at", path, |path| std::fs::symlink_metadata(path))
}

/// Whether there is a file or directory. See [`std::fs::exists`].
///
/// # Errors
/// As there: that it cannot be told, as where a directory on the way may not be searched.
#[track_caller]
pub fn exists(path: impl AsRef<Path>) -> FileCall<bool> {
    call("look for", path, |path| std::fs::exists(path))
}

/// The whole path, without links. See [`std::fs::canonicalize`].
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias("realpath", "resolve"))]
pub fn canonicalize(path: impl AsRef<Path>) -> FileCall<PathBuf> {
    call("follow", path, |path| std::fs::canonicalize(path))
}

/// Where a link leads. See [`std::fs::read_link`].
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
pub fn read_link(path: impl AsRef<Path>) -> FileCall<PathBuf> {
    call("follow the link", path, |path| std::fs::read_link(path))
}

/// Makes a second name of a file. See [`std::fs::hard_link`].
///
/// *Cancel safety*: it is made all the same.
///
/// # Errors
/// As there; the path of the original is in the error.
#[track_caller]
pub fn hard_link(original: impl AsRef<Path>, link: impl AsRef<Path>) -> FileCall<()> {
    let link = link.as_ref().to_owned();
    call("link", original, move |original| std::fs::hard_link(original, link))
}

/// Makes a symbolic link. See [`std::os::unix::fs::symlink`].
///
/// *Cancel safety*: it is made all the same.
///
/// # Errors
/// As there; the link's path is in the error.
#[track_caller]
pub fn symlink(original: impl AsRef<Path>, link: impl AsRef<Path>) -> FileCall<()> {
    let original = original.as_ref().to_owned();
    call("make the link", link, move |link| std::os::unix::fs::symlink(original, link))
}

/// Changes who may do what with a file. See [`std::fs::set_permissions`].
///
/// *Cancel safety*: they are changed all the same.
///
/// # Errors
/// As there; the path is in the error.
#[track_caller]
#[doc(alias = "chmod")]
pub fn set_permissions(path: impl AsRef<Path>, permissions: Permissions) -> FileCall<()> {
    call("change the permissions of", path, move |path| std::fs::set_permissions(path, permissions))
}
