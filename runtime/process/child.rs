//! A child process, as its owner holds it, and as others may.
//!
//! Both are a shared [`Exit`]. The owner has the streams besides, and decides what becomes of the process when it is
//! dropped: killed, or left to itself. In both cases it is reaped (`orphans.rs`).
//!
//! **Alternative:** one cloneable type for both. Then nobody could say when the last one is gone, and so
//! `kill_on_drop` would depend on whether somebody keeps a copy.

use std::{
    fmt,
    future::poll_fn,
    io,
    panic::Location,
    pin::Pin,
    process::{self, ExitStatus, Output},
    sync::Arc as StdArc,
    task::{Context, Poll},
};

use futures_io::AsyncWrite;

use super::{
    error::{COMMUNICATE, CommandError},
    exit::{Exit, To, Wait},
    orphans,
};
use crate::{
    io::{PipeReader, PipeWriter},
    signal::SignalKind,
};

/// The standard input of a child, to be written.
pub type ChildStdin = PipeWriter;
/// The standard output of a child, to be read.
pub type ChildStdout = PipeReader;
/// The standard error of a child, to be read.
pub type ChildStderr = PipeReader;

/// A running child process. From [`Command::spawn`](super::Command::spawn).
///
/// Dropping it lets the process go on (or kills it, with [`kill_on_drop`](super::Command::kill_on_drop)), and
/// closes its piped streams. No zombie is left: when the process ends, it is reaped in the background.
///
/// It belongs to no loop: it may be made anywhere, and be waited for on any loop, and on another one then.
///
/// ```
/// use futures_lite::{AsyncBufReadExt, StreamExt, io::BufReader};
/// use whirligig::process::{Command, Stdio};
///
/// whirligig::run(async {
///     let mut child = Command::new("seq").arg("3").stdout(Stdio::piped()).spawn()?;
///     let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
///     while let Some(line) = lines.next().await {
///         println!("{}", line?);
///     }
///     assert!(child.wait().await?.success());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "Process")]
#[doc(alias = "Popen")]
pub struct Child {
    /// What the child reads, if [`Stdio::piped`](super::Stdio::piped) was asked for. To be taken out.
    pub stdin: Option<ChildStdin>,
    /// What the child writes, if piped.
    pub stdout: Option<ChildStdout>,
    /// What the child writes on its standard error, if piped.
    pub stderr: Option<ChildStderr>,
    exit: StdArc<Exit>,
    kill_on_drop: bool,
}

impl Child {
    /// Takes a new child over, with its streams.
    #[track_caller]
    pub(super) fn new(
        mut child: process::Child,
        program: std::ffi::OsString,
        kill_on_drop: bool,
    ) -> io::Result<Self> {
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let exit = StdArc::new(Exit::new(child, program));
        // From here on it is reaped whatever happens.
        let mut new = Self { stdin: None, stdout: None, stderr: None, exit, kill_on_drop };
        if let Some(stdin) = streams.0 {
            new.stdin = Some(PipeWriter::from_std(std::os::fd::OwnedFd::from(stdin).into())?);
        }
        if let Some(stdout) = streams.1 {
            new.stdout = Some(PipeReader::from_std(std::os::fd::OwnedFd::from(stdout).into())?);
        }
        if let Some(stderr) = streams.2 {
            new.stderr = Some(PipeReader::from_std(std::os::fd::OwnedFd::from(stderr).into())?);
        }
        Ok(new)
    }

    /// The process's number.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.exit.id()
    }

    /// Waits for the process to end. Its standard input, if piped and not taken, is closed first: a child that
    /// reads to the end would wait for that.
    ///
    /// Output that is piped and not read may fill its pipe, and the child never end:
    /// [`wait_with_output`](Self::wait_with_output) and [`communicate`](Self::communicate) read it.
    ///
    /// *Cancel safety*: nothing is lost. The status is kept, and may be asked for again.
    ///
    /// # Errors
    /// If the status was taken by another, such as a `waitpid(-1)` elsewhere in this process; and what the kernel says
    /// to watching one more descriptor.
    ///
    /// # Panics
    /// On a thread that no loop runs, if it must wait.
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    /// use whirligig::process::Command;
    ///
    /// whirligig::run(async {
    ///     let mut child = Command::new("sh").args(["-c", "kill -TERM $$"]).spawn()?;
    ///     assert_eq!(child.wait().await?.signal(), Some(15));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn wait(&mut self) -> Wait<'_> {
        self.wait_from(Location::caller())
    }

    pub(super) fn wait_from(&mut self, location: &'static Location<'static>) -> Wait<'_> {
        drop(self.stdin.take());
        self.exit.wait(location)
    }

    /// The status, if the process has ended.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    #[doc(alias = "poll")]
    #[doc(alias = "returncode")]
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.exit.try_wait()
    }

    /// Closes the standard input, reads what the child writes to the ends of its piped output, and waits for it.
    ///
    /// *Cancel safety*: dropped, it drops the child, and what was read.
    ///
    /// # Errors
    /// Those of reading, and those of [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_with_output(mut self) -> impl Future<Output = io::Result<Output>> {
        let location = Location::caller();
        drop(self.stdin.take());
        async move { exchange(&mut self, &[], location).await }
    }

    /// Writes `input` to the child and closes its standard input, reads its piped output to the end meanwhile, and
    /// waits for it. Neither side ever waits for the other for ever, however much goes either way.
    ///
    /// A child that ends or closes its input before it has read all of it is no error, as in Python.
    ///
    /// With a time limit: `time::timeout(limit, child.communicate(input))`, then [`kill`](Self::kill).
    ///
    /// *Cancel safety*: dropped, it loses what was read and leaves the rest of `input` unwritten, and the streams are
    /// closed. The child is still there.
    ///
    /// # Errors
    /// If there is an input, and the standard input is not piped, or was taken; those of reading and writing, and
    /// those of [`wait`](Self::wait).
    ///
    /// ```
    /// use whirligig::process::{Command, Stdio};
    ///
    /// whirligig::run(async {
    ///     let mut sort = Command::new("sort").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    ///     let output = sort.communicate("pear\napple\n").await?;
    ///     assert_eq!(output.stdout, b"apple\npear\n");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn communicate<'a>(
        &'a mut self,
        input: impl AsRef<[u8]> + 'a,
    ) -> impl Future<Output = io::Result<Output>> + 'a {
        let location = Location::caller();
        async move { exchange(self, input.as_ref(), location).await }
    }

    /// Kills the process (`SIGKILL`), and waits for its end. Its own children go on: see
    /// [`kill_group`](Self::kill_group).
    ///
    /// *Cancel safety*: it is killed by the call, before anything is awaited.
    ///
    /// # Errors
    /// What the kernel says, and those of [`wait`](Self::wait). That the process has ended already is none.
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    /// use whirligig::process::Command;
    ///
    /// whirligig::run(async {
    ///     let mut child = Command::new("sleep").arg("1000").spawn()?;
    ///     assert_eq!(child.kill().await?.signal(), Some(9));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn kill(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + '_ {
        let location = Location::caller();
        let killed = self.start_kill();
        async move {
            killed?;
            self.wait_from(location).await
        }
    }

    /// Kills the process and all others of the group that it leads, and waits for its own end. For what was started with
    /// [`Command::process_group(0)`](super::Command::process_group): a shell with all that it runs.
    ///
    /// # Errors
    /// As [`signal_group`](Self::signal_group) and [`wait`](Self::wait).
    #[track_caller]
    #[doc(alias = "killpg")]
    pub fn kill_group(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + '_ {
        let location = Location::caller();
        let killed = self.signal_group(SignalKind::kill());
        async move {
            killed?;
            self.wait_from(location).await
        }
    }

    /// Kills the process (`SIGKILL`), and does not wait.
    ///
    /// # Errors
    /// What the kernel says. That the process has ended already is none.
    pub fn start_kill(&self) -> io::Result<()> {
        self.exit.signal(SignalKind::kill(), To::Child)
    }

    /// Sends a signal to the process. If that has ended, nothing happens.
    ///
    /// # Errors
    /// What the kernel says: a process of another user, after `setuid`.
    ///
    /// ```
    /// use std::os::unix::process::ExitStatusExt;
    /// use whirligig::{process::Command, signal::SignalKind};
    ///
    /// whirligig::run(async {
    ///     let mut child = Command::new("sleep").arg("1000").spawn()?;
    ///     child.signal(SignalKind::terminate())?;
    ///     assert_eq!(child.wait().await?.signal(), Some(15));
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "send_signal")]
    #[doc(alias = "terminate")]
    pub fn signal(&self, kind: SignalKind) -> io::Result<()> {
        self.exit.signal(kind, To::Child)
    }

    /// Sends a signal to all processes of the group that the child leads.
    ///
    /// # Errors
    /// `InvalidInput` if it leads none, or if it has ended and was waited for: its number may be another's by then. And
    /// what the kernel says.
    #[doc(alias = "killpg")]
    pub fn signal_group(&self, kind: SignalKind) -> io::Result<()> {
        self.exit.signal(kind, To::Group)
    }

    /// What other tasks and threads may hold of the child: to wait for it and to signal it while this one is used.
    ///
    /// ```
    /// use whirligig::{process::Command, spawn};
    ///
    /// whirligig::run(async {
    ///     let mut child = Command::new("sleep").arg("1000").spawn()?;
    ///     let handle = child.handle();
    ///     let waiting = spawn(async move { handle.wait().await });
    ///     child.kill().await?;
    ///     assert!(!waiting.await.unwrap()?.success());
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn handle(&self) -> ChildHandle {
        ChildHandle { exit: self.exit.clone() }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.kill_on_drop {
            // That it cannot be killed has no one to be told to.
            let _ = self.exit.signal(SignalKind::kill(), To::All);
        }
        orphans::adopt(self.exit.clone());
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exit.fmt(f)
    }
}

/// A handle to a child process, for other tasks and threads. From [`Child::handle`].
///
/// It keeps nothing alive: the process is killed or left to itself with its [`Child`].
#[derive(Clone)]
pub struct ChildHandle {
    exit: StdArc<Exit>,
}

impl ChildHandle {
    /// The process's number.
    #[doc(alias = "pid")]
    pub fn id(&self) -> u32 {
        self.exit.id()
    }

    /// Waits for the process to end. Other than [`Child::wait`] it leaves the standard input open.
    ///
    /// *Cancel safety*: nothing is lost.
    ///
    /// # Errors
    /// As [`Child::wait`].
    ///
    /// # Panics
    /// On a thread that no loop runs, if it must wait.
    #[track_caller]
    pub fn wait(&self) -> Wait<'_> {
        self.exit.wait(Location::caller())
    }

    /// The status, if the process has ended.
    ///
    /// # Errors
    /// As [`Child::wait`].
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.exit.try_wait()
    }

    /// See [`Child::start_kill`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn start_kill(&self) -> io::Result<()> {
        self.exit.signal(SignalKind::kill(), To::Child)
    }

    /// See [`Child::signal`].
    ///
    /// # Errors
    /// What the kernel says.
    pub fn signal(&self, kind: SignalKind) -> io::Result<()> {
        self.exit.signal(kind, To::Child)
    }

    /// See [`Child::signal_group`].
    ///
    /// # Errors
    /// As there.
    pub fn signal_group(&self, kind: SignalKind) -> io::Result<()> {
        self.exit.signal(kind, To::Group)
    }
}

impl fmt::Debug for ChildHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.exit.fmt(f)
    }
}

/// Writes all of `input` and reads both outputs to their ends, each as it comes; then waits.
async fn exchange(
    child: &mut Child,
    input: &[u8],
    location: &'static Location<'static>,
) -> io::Result<Output> {
    if child.stdin.is_none() && !input.is_empty() {
        let what = "its standard input is not piped, or was taken: start it with `Command::stdin(Stdio::piped())`";
        let error = io::Error::new(io::ErrorKind::InvalidInput, what);
        return Err(CommandError::wrap(COMMUNICATE, child.exit.program(), error));
    }
    let mut input = (child.stdin.take(), input);
    let mut stdout = (child.stdout.take(), Vec::new());
    let mut stderr = (child.stderr.take(), Vec::new());
    let streams = poll_fn(|cx| {
        let is_written = poll_write(&mut input, cx)?.is_ready();
        let is_stdout_read = poll_read(&mut stdout, cx)?.is_ready();
        let is_stderr_read = poll_read(&mut stderr, cx)?.is_ready();
        match is_written && is_stdout_read && is_stderr_read {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    });
    let done: io::Result<()> = streams.await;
    done.map_err(|error| CommandError::wrap(COMMUNICATE, child.exit.program(), error))?;
    let status = child.wait_from(location).await?;
    Ok(Output { status, stdout: stdout.1, stderr: stderr.1 })
}

/// Goes on with what is left to be written. Closes the stream with the last of it.
fn poll_write(
    (stream, left): &mut (Option<ChildStdin>, &[u8]),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while let Some(open) = stream {
        if left.is_empty() {
            *stream = None;
            break;
        }
        match Pin::new(open).poll_write(cx, left) {
            Poll::Ready(Ok(n)) => *left = &left[n..],
            // It reads no more.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => *stream = None,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
    }
    Poll::Ready(Ok(()))
}

/// Goes on to read. Closes the stream at its end.
fn poll_read(
    (stream, read): &mut (Option<PipeReader>, Vec<u8>),
    cx: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    let Some(open) = stream else { return Poll::Ready(Ok(())) };
    let done = open.poll_read_to_end(cx, read);
    if done.is_ready() {
        *stream = None;
    }
    done
}
