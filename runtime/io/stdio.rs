//! The standard streams of this process.
//!
//! They are not this process's alone. The shell that started it has the same terminal, and whoever comes after it in
//! `(one; two) < pipe` has the same pipe. Non-blocking mode is a property of what they share, the *open file
//! description*: a program that sets it makes others fail with `EAGAIN`, and leaves the terminal so when it ends. So
//! it is never set here. What is done depends on what the descriptor is:
//!
//! - A **pipe** or **socket** is watched. When the kernel says that it is ready, one call is made that then does not
//!   block: a read takes what is there, and a write gives at most `PIPE_BUF` bytes, for which there is room.
//! - A **terminal** is opened a second time, for a description of our own, in non-blocking mode. (A write to it may
//!   block for as long as the user has stopped it, and nothing says how much room there is.) Where that cannot be done,
//!   input is watched, as a pipe's, and output goes to the blocking pool.
//! - A **file**, `/dev/null` and whatever else is not watched by epoll goes to the blocking pool (`pooled.rs`).
//!
//! Each handle has a duplicate of the descriptor, so that any number can be watched.
//!
//! What must hold: between the kernel's word and the call nobody else takes what is there. If another program reads the
//! same pipe at that very moment, the call waits for the next bytes, and this loop with it. Programs that share an
//! input take turns, as a shell's do.
//!
//! **Alternative:** the blocking pool for all of them, as tokio has it. A read that waits for a terminal cannot be taken
//! back: it keeps its thread, and the program from ending, until somebody presses Enter.

use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileTypeExt,
    },
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{
    operation::ask_kernel,
    pooled::{PooledReader, PooledWriter},
    source::Source,
};
use crate::engine::reactor::{flags::Direction, source::Caller};

/// What a write may give to a pipe that is ready, and not block.
#[cfg(any(target_os = "linux", target_os = "android"))]
const PIPE_BUF: usize = 4096;
/// What POSIX grants everywhere.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const PIPE_BUF: usize = 512;

/// The standard input of this process, for tasks. asyncio's `connect_read_pipe(.., sys.stdin)`.
///
/// Lines come from the crates that build on futures-io. From a terminal a line comes when Enter is pressed.
///
/// It has no buffer of its own, and takes nothing that it does not give. What std's
/// [`stdin`](std::io::stdin) has read ahead is not seen here: use one of the two.
///
/// # Errors
/// If there is no descriptor left.
///
/// ```no_run
/// use futures_lite::{AsyncBufReadExt, StreamExt, io::BufReader};
/// use whirligig::io::stdin;
///
/// whirligig::run(async {
///     let mut lines = BufReader::new(stdin()?).lines();
///     while let Some(line) = lines.next().await {
///         println!("you said: {}", line?);
///     }
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "connect_read_pipe")]
pub fn stdin() -> io::Result<Stdin> {
    let location = Location::caller();
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let input = match Kind::of(&file)? {
        Kind::Watched => Input::Watched(Source::from_nonblocking(file)),
        Kind::Terminal => {
            let own = reopen(&file, Direction::Read).unwrap_or(file);
            Input::Watched(Source::from_nonblocking(own))
        }
        Kind::Other => Input::Pooled(PooledReader::new(file, location)),
    };
    Ok(Stdin { input, location })
}

/// The standard output of this process, for tasks: without a buffer, and without std's lock.
///
/// `println!` works as ever, and has its loop wait where the reader of a pipe is slow. What is written by both ways comes
/// in no certain order.
///
/// Flush or close it before the loop ends: where it is a file, the last write is still under way.
///
/// # Errors
/// If there is no descriptor left.
///
/// ```
/// use futures_lite::AsyncWriteExt;
///
/// whirligig::run(async {
///     let mut stdout = whirligig::io::stdout()?;
///     stdout.write_all(b"hello\n").await?;
///     stdout.flush().await
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "connect_write_pipe")]
pub fn stdout() -> io::Result<Stdout> {
    let location = Location::caller();
    let file = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    Ok(Stdout { output: Output::new(file, location)?, location })
}

/// The standard error of this process, for tasks. See [`stdout`].
///
/// # Errors
/// If there is no descriptor left.
#[track_caller]
pub fn stderr() -> io::Result<Stderr> {
    let location = Location::caller();
    let file = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    Ok(Stderr { output: Output::new(file, location)?, location })
}

/// What a descriptor is, as far as it matters here.
enum Kind {
    /// A pipe or a socket.
    Watched,
    Terminal,
    Other,
}

impl Kind {
    fn of(file: &File) -> io::Result<Self> {
        let kind = file.metadata()?.file_type();
        Ok(match () {
            () if kind.is_fifo() || kind.is_socket() => Self::Watched,
            () if file.is_terminal() => Self::Terminal,
            () => Self::Other,
        })
    }
}

/// The same terminal, by an open file description of its own, in non-blocking mode.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn reopen(file: &File, direction: Direction) -> io::Result<File> {
    use std::os::{fd::AsRawFd, unix::fs::OpenOptionsExt};
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let (reads, writes) = (direction == Direction::Read, direction == Direction::Write);
    // It is not to become this session's terminal.
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    File::options().read(reads).write(writes).custom_flags(flags).open(path)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn reopen(_file: &File, _direction: Direction) -> io::Result<File> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Fails with `WouldBlock` unless the kernel says that the operation would not: the descriptor itself may be in
/// blocking mode.
fn unless_it_blocks(fd: BorrowedFd<'_>, direction: Direction) -> io::Result<()> {
    match ask_kernel(fd, direction)? {
        true => Ok(()),
        false => Err(io::ErrorKind::WouldBlock.into()),
    }
}

enum Input {
    Watched(Source<File>),
    Pooled(PooledReader),
}

enum Output {
    Watched(Source<File>),
    Pooled(PooledWriter),
}

impl Output {
    fn new(file: File, location: &'static Location<'static>) -> io::Result<Self> {
        let pooled = |file| Self::Pooled(PooledWriter::new(file, location));
        Ok(match Kind::of(&file)? {
            Kind::Watched => Self::Watched(Source::from_nonblocking(file)),
            Kind::Terminal => match reopen(&file, Direction::Write) {
                Ok(own) => Self::Watched(Source::from_nonblocking(own)),
                Err(_) => pooled(file),
            },
            Kind::Other => pooled(file),
        })
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
        location: &'static Location<'static>,
    ) -> Poll<io::Result<usize>> {
        let source = match self {
            Self::Watched(source) => source,
            Self::Pooled(writer) => return writer.poll_write(cx, buf),
        };
        let buf = &buf[..buf.len().min(PIPE_BUF)];
        source.poll_op(Direction::Write, Caller::PollFn, cx, location, |mut file, _| {
            unless_it_blocks(file.as_fd(), Direction::Write)?;
            file.write(buf)
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            // The kernel has it.
            Self::Watched(_) => Poll::Ready(Ok(())),
            Self::Pooled(writer) => writer.poll_flush(cx),
        }
    }
}

/// The standard input: futures-io's [`AsyncRead`]. From [`stdin`].
pub struct Stdin {
    input: Input,
    location: &'static Location<'static>,
}

impl Stdin {
    /// Whether it is a terminal.
    #[doc(alias = "isatty")]
    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }
}

impl AsyncRead for Stdin {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Self { input, location } = self.get_mut();
        let source = match input {
            Input::Watched(source) => source,
            Input::Pooled(reader) => return reader.poll_read(cx, buf),
        };
        source.poll_op(Direction::Read, Caller::PollFn, cx, location, |mut file, _| {
            unless_it_blocks(file.as_fd(), Direction::Read)?;
            file.read(buf)
        })
    }
}

macro_rules! output {
    ($(#[$doc:meta])* $name:ident, $std:path) => {
        $(#[$doc])*
        pub struct $name {
            output: Output,
            location: &'static Location<'static>,
        }

        impl $name {
            /// Whether it is a terminal.
            #[doc(alias = "isatty")]
            pub fn is_terminal(&self) -> bool {
                $std().is_terminal()
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                buf: &[u8],
            ) -> Poll<io::Result<usize>> {
                let Self { output, location } = self.get_mut();
                output.poll_write(cx, buf, location)
            }

            /// Waits until all that was accepted is the kernel's.
            fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.get_mut().output.poll_flush(cx)
            }

            /// Flushes. The stream itself stays open: it is this process's.
            fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.poll_flush(cx)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}

output! {
    /// The standard output: futures-io's [`AsyncWrite`]. From [`stdout`].
    Stdout, io::stdout
}

output! {
    /// The standard error: futures-io's [`AsyncWrite`]. From [`stderr`].
    Stderr, io::stderr
}

impl fmt::Debug for Stdin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdin").finish_non_exhaustive()
    }
}
