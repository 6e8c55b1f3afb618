//! How a file is opened: std's options.

use std::{panic::Location, path::Path};

use super::{
    calls::{FileCall, call},
    file::File,
};

/// How a file is to be opened, as [`std::fs::OpenOptions`], which this is made of.
///
/// ```
/// use futures_lite::AsyncWriteExt;
/// use whirligig::fs::{self, OpenOptions};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("log");
/// whirligig::run(async {
///     for line in ["one\n", "two\n"] {
///         let mut log = OpenOptions::new().append(true).create(true).open(&path).await?;
///         log.write_all(line.as_bytes()).await?;
///         log.close().await?;
///     }
///     assert_eq!(fs::read_to_string(&path).await?, "one\ntwo\n");
///     std::io::Result::Ok(())
/// })
/// # ?; std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "options open nothing by themselves"]
pub struct OpenOptions {
    options: std::fs::OpenOptions,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            pub fn $name(mut self, yes: bool) -> Self {
                self.options.$name(yes);
                self
            }
        )*
    };
}

impl OpenOptions {
    /// Options that allow nothing yet.
    pub fn new() -> Self {
        Self { options: std::fs::OpenOptions::new() }
    }

    options! {
        /// To read.
        read,
        /// To write.
        write,
        /// To write at the end, whatever others write meanwhile.
        append,
        /// Without what is in it.
        truncate,
        /// A new one, if there is none.
        create,
        /// A new one, and an error if there is one.
        create_new,
    }

    /// Opens the file, on the blocking pool.
    ///
    /// *Cancel safety*: a file that was opened for nobody is closed.
    ///
    /// # Errors
    /// As [`std::fs::OpenOptions::open`]; the path is in the error.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    pub fn open(&self, path: impl AsRef<Path>) -> FileCall<File> {
        let options = self.options.clone();
        let location = Location::caller();
        call("open", path, move |path| options.open(path).map(|file| File::new(file, location)))
    }
}

impl File {
    /// Opens a file to read it.
    ///
    /// # Errors
    /// As [`std::fs::File::open`]; the path is in the error.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    pub fn open(path: impl AsRef<Path>) -> FileCall<Self> {
        OpenOptions::new().read(true).open(path)
    }

    /// Opens a file to write it, without what was in it; makes it if there is none.
    ///
    /// # Errors
    /// As [`std::fs::File::create`]; the path is in the error.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    pub fn create(path: impl AsRef<Path>) -> FileCall<Self> {
        OpenOptions::new().write(true).create(true).truncate(true).open(path)
    }

    /// Makes a file to write and read it.
    ///
    /// # Errors
    /// As [`std::fs::File::create_new`]: if there is one, among others. The path is in the error.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    pub fn create_new(path: impl AsRef<Path>) -> FileCall<Self> {
        OpenOptions::new().read(true).write(true).create_new(true).open(path)
    }
}

impl From<std::fs::OpenOptions> for OpenOptions {
    fn from(options: std::fs::OpenOptions) -> Self {
        Self { options }
    }
}
