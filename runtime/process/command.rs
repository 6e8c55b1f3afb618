//! What to start: std's builder, and what this library adds to it.
//!
//! Whatever std's `Command` can do goes on to it. What is ours is what becomes of the child: asynchronous streams, and
//! whether dropping kills it.
//!
//! Starting is not asynchronous: the kernel has no such thing. It takes some hundred microseconds, most of them the
//! kernel's, in which this thread's loop stands still. A program that starts many large ones may do so in
//! [`spawn_blocking`](crate::task::spawn_blocking): a child may be made on any thread.
//!
//! **Alternative:** a builder of our own around `posix_spawn`. It would be std's again, with its faults to be found anew.

use std::{
    ffi::OsStr,
    fmt, io,
    os::unix::process::CommandExt,
    panic::Location,
    path::Path,
    process::{self, ExitStatus, Output, Stdio},
};

use super::{
    child::Child,
    error::{CommandError, START},
};

/// A child process to be started: std's [`Command`](process::Command), with what is awaited.
/// `asyncio.create_subprocess_exec`.
///
/// For a shell's command line, as of `create_subprocess_shell`: `Command::new("sh").args(["-c", line])`.
///
/// ```
/// use whirligig::process::Command;
///
/// whirligig::run(async {
///     let output = Command::new("echo").arg("hello").output().await?;
///     assert_eq!(output.stdout, b"hello\n");
///     assert!(Command::new("true").status().await?.success());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "create_subprocess_exec")]
#[doc(alias = "create_subprocess_shell")]
#[doc(alias = "open_process")]
#[doc(alias = "run_process")]
pub struct Command {
    std: process::Command,
    kill_on_drop: bool,
    /// Which streams were set: the defaults of `output` are others than those of `spawn`.
    stdin_is_set: bool,
    stdout_is_set: bool,
    stderr_is_set: bool,
}

impl Command {
    /// A program, by its path or its name in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        process::Command::new(program).into()
    }

    /// One argument more.
    pub fn arg(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg(arg);
        self
    }

    /// Several arguments more.
    pub fn args(&mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> &mut Self {
        self.std.args(args);
        self
    }

    /// What the program sees as its own name, in the place of the one it is found by.
    pub fn arg0(&mut self, arg: impl AsRef<OsStr>) -> &mut Self {
        self.std.arg0(arg);
        self
    }

    /// Sets a variable of its environment.
    pub fn env(&mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.std.env(key, value);
        self
    }

    /// Sets several variables of its environment.
    pub fn envs<K: AsRef<OsStr>, V: AsRef<OsStr>>(
        &mut self,
        vars: impl IntoIterator<Item = (K, V)>,
    ) -> &mut Self {
        self.std.envs(vars);
        self
    }

    /// Takes a variable out of its environment.
    pub fn env_remove(&mut self, key: impl AsRef<OsStr>) -> &mut Self {
        self.std.env_remove(key);
        self
    }

    /// Takes all variables out of its environment.
    pub fn env_clear(&mut self) -> &mut Self {
        self.std.env_clear();
        self
    }

    /// The directory that it runs in.
    #[doc(alias = "cwd")]
    pub fn current_dir(&mut self, dir: impl AsRef<Path>) -> &mut Self {
        self.std.current_dir(dir);
        self
    }

    /// Its standard input. By default this process's own; with [`output`](Self::output) none.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.std.stdin(stdin);
        self.stdin_is_set = true;
        self
    }

    /// Its standard output. By default this process's own; with [`output`](Self::output) piped.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.std.stdout(stdout);
        self.stdout_is_set = true;
        self
    }

    /// Its standard error. By default this process's own; with [`output`](Self::output) piped.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.std.stderr(stderr);
        self.stderr_is_set = true;
        self
    }

    /// The user that it runs as.
    #[doc(alias = "user")]
    pub fn uid(&mut self, id: u32) -> &mut Self {
        self.std.uid(id);
        self
    }

    /// The group of users that it runs as.
    #[doc(alias = "group")]
    pub fn gid(&mut self, id: u32) -> &mut Self {
        self.std.gid(id);
        self
    }

    /// Puts it into this process group; 0: into one of its own, which it leads. A group can be signalled and killed as a
    /// whole ([`Child::kill_group`]), and Ctrl-C on the terminal goes to this process's group alone.
    ///
    /// ```
    /// use std::io::ErrorKind;
    /// use whirligig::process::{Command, Stdio};
    ///
    /// whirligig::run(async {
    ///     // A shell and what it started: both hold the pipe.
    ///     let mut shell = Command::new("sh");
    ///     shell.args(["-c", "sleep 1000 & wait"]).process_group(0).stdout(Stdio::piped());
    ///     let mut shell = shell.spawn()?;
    ///     let output = shell.stdout.take().unwrap();
    ///     shell.kill_group().await?;
    ///     assert_eq!(output.read(&mut [0]).await?, 0);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "start_new_session")]
    #[doc(alias = "setpgid")]
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.std.process_group(group);
        self
    }

    /// Whether dropping the [`Child`] kills the process, and with it the group that it leads, if it leads one. `false`
    /// unless said otherwise: it goes on, and is reaped when it ends.
    ///
    /// ```
    /// use std::time::Duration;
    /// use whirligig::{process::{Command, Stdio}, time};
    ///
    /// whirligig::run(async {
    ///     let mut command = Command::new("sleep");
    ///     command.arg("1000").stdout(Stdio::piped()).kill_on_drop(true);
    ///     let mut child = command.spawn()?;
    ///     let output = child.stdout.take().unwrap();
    ///     // The future owns the child; the timeout drops it.
    ///     time::timeout(Duration::from_millis(1), async move { child.wait().await }).await.unwrap_err();
    ///     assert_eq!(output.read(&mut [0]).await?, 0, "it is gone");
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    pub fn kill_on_drop(&mut self, kills: bool) -> &mut Self {
        self.kill_on_drop = kills;
        self
    }

    /// std's command, to be looked at.
    pub fn as_std(&self) -> &process::Command {
        &self.std
    }

    /// std's command, for what is not here: `pre_exec`, `exec`, and what std gains. A stream that is set there is not
    /// known to be set to [`output`](Self::output).
    pub fn as_std_mut(&mut self) -> &mut process::Command {
        &mut self.std
    }

    /// Gives std's command back.
    pub fn into_std(self) -> process::Command {
        self.std
    }

    /// Starts it. This thread waits until the program runs, or could not be run: some hundred microseconds.
    ///
    /// # Errors
    /// [`CommandError`] names the program and says what to look at.
    #[track_caller]
    pub fn spawn(&mut self) -> io::Result<Child> {
        let program = self.std.get_program().to_owned();
        let child = self.std.spawn();
        let child = child.map_err(|error| CommandError::wrap(START, &program, error))?;
        Child::new(child, program, self.kill_on_drop)
    }

    /// Starts it at once, and waits for it to end. Piped output that nobody reads is closed; input likewise.
    ///
    /// *Cancel safety*: dropped, it drops the child: see [`kill_on_drop`](Self::kill_on_drop).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn) and [`Child::wait`].
    #[track_caller]
    #[doc(alias = "call")]
    pub fn status(&mut self) -> impl Future<Output = io::Result<ExitStatus>> + use<> {
        let location = Location::caller();
        let child = self.spawn();
        async move {
            let mut child = child?;
            drop((child.stdout.take(), child.stderr.take()));
            child.wait_from(location).await
        }
    }

    /// Starts it at once, reads all that it writes, and waits for it to end. Streams that were not set: no input, and
    /// both outputs piped, as std has it.
    ///
    /// *Cancel safety*: dropped, it drops the child, and what was read: see [`kill_on_drop`](Self::kill_on_drop).
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn), [`Child::wait`], and those of reading. That the program failed is none: its
    /// status is in the output.
    #[track_caller]
    #[doc(alias = "check_output")]
    #[doc(alias = "run")]
    pub fn output(&mut self) -> impl Future<Output = io::Result<Output>> + use<> {
        if !self.stdin_is_set {
            self.std.stdin(Stdio::null());
        }
        if !self.stdout_is_set {
            self.std.stdout(Stdio::piped());
        }
        if !self.stderr_is_set {
            self.std.stderr(Stdio::piped());
        }
        let child = self.spawn().map(Child::wait_with_output);
        // As they were: the command may be used again.
        if !self.stdin_is_set {
            self.std.stdin(Stdio::inherit());
        }
        if !self.stdout_is_set {
            self.std.stdout(Stdio::inherit());
        }
        if !self.stderr_is_set {
            self.std.stderr(Stdio::inherit());
        }
        async move { child?.await }
    }
}

/// Streams that were set in std's command are not known to be set to [`Command::output`], which sets its own.
impl From<process::Command> for Command {
    fn from(std: process::Command) -> Self {
        let (stdin_is_set, stdout_is_set, stderr_is_set) = (false, false, false);
        Self { std, kill_on_drop: false, stdin_is_set, stdout_is_set, stderr_is_set }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.std.fmt(f)
    }
}
