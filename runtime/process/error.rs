//! The program in an error about a child.
//!
//! The kernel says "no such file or directory" and not which. What starts a child, waits for it or signals it says so
//! here, with the error's kind as it was.
//!
//! **Alternative:** an error type of our own in the signatures. All code that speaks `io::Result` would have to
//! convert it.

use std::{error::Error, ffi::OsStr, fmt, io};

/// What a failed call about a child process adds to the kernel's error: which program, and what was tried.
///
/// It is inside the [`io::Error`] that these return, which has the kind of the kernel's error:
///
/// ```
/// use std::io::ErrorKind;
/// use whirligig::process::{Command, CommandError};
///
/// let error = Command::new("no-such-program").spawn().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(error.to_string().starts_with("start `no-such-program`: "));
/// let inside = error.get_ref().and_then(|error| error.downcast_ref::<CommandError>()).unwrap();
/// assert_eq!(inside.program(), "no-such-program");
/// assert_eq!(inside.io_error().kind(), ErrorKind::NotFound);
/// ```
pub struct CommandError {
    action: &'static str,
    program: Box<OsStr>,
    error: io::Error,
}

impl CommandError {
    /// `error`, which trying to `action` a child of that program has met.
    pub(super) fn wrap(action: &'static str, program: &OsStr, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self { action, program: program.into(), error })
    }

    /// The program, as the command names it.
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// What the kernel said, with its error number; or what this library said.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }

    /// What to look at, where the kernel's words mislead.
    fn advice(&self) -> Option<&'static str> {
        match (self.action, self.error.raw_os_error()?) {
            (START, libc::ENOENT) => Some(
                "the program is not in `PATH` or at the path given, or the interpreter that its first line names \
                 is missing, or the directory of `current_dir` is",
            ),
            (START, libc::EACCES) => Some(
                "the file may not be executed, or a directory on the way to it may not be searched",
            ),
            (START, libc::ENOEXEC) => Some(
                "it is no program of this system; a script must begin with `#!` and its interpreter",
            ),
            (START, libc::EAGAIN) => {
                Some("this user has as many processes as are allowed (`ulimit -u`)")
            }
            (START, libc::EMFILE) => Some(
                "this process has as many descriptors open as it is allowed (`ulimit -n`): start fewer children \
                 at once, for example behind a semaphore",
            ),
            (WAIT, libc::ECHILD) => Some(
                "its exit status was taken by another: something in this process waits for all children, or \
                 `SIGCHLD` is ignored",
            ),
            _ => None,
        }
    }
}

pub(super) const START: &str = "start";
pub(super) const WAIT: &str = "wait for";
pub(super) const SIGNAL: &str = "signal";
pub(super) const COMMUNICATE: &str = "communicate with";

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, program, error } = self;
        write!(f, "{action} `{}`: {error}", program.display())?;
        match self.advice() {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CommandError({self})")
    }
}

// No `source`: the text says it already.
impl Error for CommandError {}
