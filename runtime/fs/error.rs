//! The path in an error about a file.
//!
//! The kernel says "no such file or directory" and not which. Each call here says so, with the error's kind as it was.
//!
//! **Alternative:** an error type of our own in the signatures. All code that speaks `io::Result` would have to
//! convert it.

use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
};

use crate::task::JoinError;

/// What a failed call about a file adds to the kernel's error: which path, and what was tried.
///
/// It is inside the [`io::Error`] that the calls of [`fs`](super) return, which has the kind of the kernel's error:
///
/// ```
/// use std::io::ErrorKind;
/// use whirligig::fs::{self, PathError};
///
/// whirligig::run(async {
///     let error = fs::read("/no/such/file").await.unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::NotFound);
///     assert!(error.to_string().starts_with("read `/no/such/file`: "));
///     let inside = error.get_ref().and_then(|error| error.downcast_ref::<PathError>()).unwrap();
///     assert_eq!(inside.path().to_str(), Some("/no/such/file"));
/// });
/// ```
pub struct PathError {
    action: &'static str,
    path: PathBuf,
    error: io::Error,
}

impl PathError {
    pub(super) fn wrap(action: &'static str, path: &Path, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self { action, path: path.to_owned(), error })
    }

    /// The path, as it was given. Of two, the first.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the kernel said, with its error number.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: {}", self.action, self.path.display(), self.error)
    }
}

impl fmt::Debug for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PathError({self})")
    }
}

impl Error for PathError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

/// The error of a call that came to no end of its own.
pub(super) fn not_run(error: &JoinError) -> io::Error {
    io::Error::other(match error.is_cancelled() {
        true => "the loop or runtime ended before the file was touched".to_owned(),
        false => format!("a call on a file: {error}"),
    })
}
