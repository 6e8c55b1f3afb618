//! Real servers on this machine, for tests and demonstrations: PostgreSQL and Redis as Debian packages them.
//!
//! A [`Server`] has a temporary folder, a free port of 127.0.0.1 and a Unix socket of its own, and is ready when it is
//! returned. It can be stopped in good order, killed, and started again on the same data and port: what a client has to
//! live through.
//!
//! What must hold: no server and no folder is left behind. Dropping ends the server, also after a panic. If this process
//! is killed, its *guard* sees it: a shell that reads a pipe of which this process has the only other end.
//!
//! These functions block for as long as a server takes (Redis some ten milliseconds, PostgreSQL a second). On a loop,
//! call them through [`spawn_blocking`](whirligig::task::spawn_blocking).
//!
//! **Alternative:** the kernel's signal at the parent's death (`PR_SET_PDEATHSIG`). It comes when the *thread* ends that
//! started the server, and each test is a thread. Or containers: a test that needs a daemon and a download is not run.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::{
        fs::{PermissionsExt, chown},
        net::UnixStream,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Pid, User, geteuid},
};
use tempfile::TempDir;

/// How long a server may take to be ready, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs as a child of this process. Dropped, it is killed, and its data are gone.
pub struct Server {
    kind: Kind,
    program: PathBuf,
    /// Whom it runs as, where that is not this process's user.
    user: Option<User>,
    port: u16,
    /// Before the folder: a server ends before its data are removed.
    running: Option<Running>,
    folder: TempDir,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Postgres,
    Redis,
}

impl Server {
    /// Starts a PostgreSQL: an empty database cluster whose superuser `postgres` needs no password.
    ///
    /// It refuses to be run by root, so then it runs as the user `postgres`, which its package has made.
    ///
    /// # Errors
    /// [`NotStarted::Missing`] if it is not installed.
    pub fn postgres() -> Result<Self, NotStarted> {
        let program = newest_postgres().or_else(|| in_path("postgres"));
        let program = program.ok_or(NotStarted::Missing { package: "postgresql" })?;
        let user = if geteuid().is_root() { postgres_user()? } else { None };
        Self::new(Kind::Postgres, program, user)
    }

    /// Starts a Redis that writes each change to its log (`appendfsync always`) before it answers.
    ///
    /// # Errors
    /// [`NotStarted::Missing`] if it is not installed.
    pub fn redis() -> Result<Self, NotStarted> {
        let program = in_path("redis-server");
        let program = program.ok_or(NotStarted::Missing { package: "redis-server" })?;
        Self::new(Kind::Redis, program, None)
    }

    fn new(kind: Kind, program: PathBuf, user: Option<User>) -> Result<Self, NotStarted> {
        let folder = tempfile::Builder::new().prefix("whirligig-server-").tempdir()?;
        if let Some(user) = &user {
            chown(folder.path(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
        }
        let mut server = Self { kind, program, user, folder, port: 0, running: None };
        if kind == Kind::Postgres {
            server.make_cluster()?;
        }
        let mut attempts = 0;
        loop {
            server.port = free_port()?;
            attempts += 1;
            match server.start() {
                // Between `free_port` and the server's own bind, another process may have taken it.
                Err(NotStarted::Failed { log, .. }) if in_use(&log) && attempts < 5 => {}
                started => return started.map(|()| server),
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Its Unix socket.
    pub fn socket(&self) -> PathBuf {
        match self.kind {
            Kind::Postgres => self.folder.path().join(format!(".s.PGSQL.{}", self.port)),
            Kind::Redis => self.folder.path().join("redis.sock"),
        }
    }

    /// What a client is given: an address as the server's own tools read it.
    pub fn url(&self) -> String {
        match self.kind {
            Kind::Postgres => format!("postgres://postgres@{}/postgres", self.address()),
            Kind::Redis => format!("redis://{}", self.address()),
        }
    }

    /// The number of its process, while it runs.
    pub fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.server.id())
    }

    /// Ends it in good order, and waits for it. The data stay.
    ///
    /// # Errors
    /// If it does not end in time; it is killed then.
    pub fn stop(&mut self) -> Result<(), NotStopped> {
        let Some(running) = self.running.take() else { return Ok(()) };
        running.end(match self.kind {
            Kind::Postgres => Signal::SIGINT, // does not wait for its clients, as SIGTERM would
            Kind::Redis => Signal::SIGTERM,
        })
    }

    /// Ends it as a crash does: nothing is written, and nobody is told. The data are what is on the disk.
    pub fn kill(&mut self) {
        drop(self.running.take());
    }

    /// Starts it again after [`stop`](Self::stop) or [`kill`](Self::kill), on the same port and data; returns when it
    /// is ready.
    ///
    /// # Errors
    /// With the end of its log.
    pub fn start(&mut self) -> Result<(), NotStarted> {
        if self.running.is_some() {
            return Ok(());
        }
        let log = fs::File::create(self.log_path())?;
        let mut command = self.command(&self.program);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let folder = self.folder.path();
        let port = self.port.to_string();
        match self.kind {
            Kind::Postgres => {
                command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
                command.args(["-p", &port, "-c", "listen_addresses=127.0.0.1"]);
                // What is written outlives the server; it is the machine's end that a disk is waited for.
                command.args(["-c", "fsync=off"]);
            }
            Kind::Redis => {
                command.args(["--bind", "127.0.0.1", "--port", &port, "--save", ""]);
                command.args(["--appendonly", "yes", "--appendfsync", "always"]);
                command.arg("--dir").arg(folder).arg("--unixsocket").arg(self.socket());
            }
        }
        // Ctrl-C in a terminal goes to all of the terminal's group: the servers are stopped by their owner alone.
        command.process_group(0);
        let mut running = Running::spawn(self.kind, &mut command, folder)?;
        let deadline = Instant::now() + PATIENCE;
        while !self.is_ready() {
            if let Some(status) = running.server.try_wait()? {
                return Err(self.failed(format!("ended with {status}")));
            }
            if Instant::now() > deadline {
                return Err(self.failed(format!("was not ready within {PATIENCE:?}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.running = Some(running);
        Ok(())
    }

    /// Whether it answers.
    fn is_ready(&self) -> bool {
        match self.kind {
            Kind::Redis => redis_answers(&self.socket()).unwrap_or(false),
            Kind::Postgres => {
                let mut asking = Command::new(self.program.with_file_name("pg_isready"));
                asking
                    .arg("-q")
                    .arg("-h")
                    .arg(self.folder.path())
                    .args(["-p", &self.port.to_string()]);
                asking.status().is_ok_and(|status| status.success())
            }
        }
    }

    fn make_cluster(&self) -> Result<(), NotStarted> {
        let mut initdb = self.command(&self.program.with_file_name("initdb"));
        initdb.arg("-D").arg(self.folder.path().join("data"));
        initdb.args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"]);
        let output = initdb.output()?;
        if output.status.success() {
            return Ok(());
        }
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        let why = format!("could not make its data (initdb: {})", output.status);
        Err(NotStarted::Failed { server: self.name(), why, log })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.folder.path());
        if let Some(user) = &self.user {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    fn failed(&self, why: String) -> NotStarted {
        let log = fs::read_to_string(self.log_path()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(10)..].join("\n");
        NotStarted::Failed { server: self.name(), why, log }
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Postgres => "PostgreSQL",
            Kind::Redis => "Redis",
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(self.name()).field("url", &self.url()).field("id", &self.id()).finish()
    }
}

/// A server's process, and the guard that ends it if this process cannot.
struct Running {
    kind: Kind,
    server: Child,
    guard: Child,
}

/// What the guard runs: `$1` is the server, `$2` how to end it, `$3` its folder. The read ends when this process does.
const GUARD: &str = r#"
    read -r _
    kill -s "$2" "$1"
    for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" 2>/dev/null || break; sleep 0.1; done
    rm -rf "$3"
"#;

impl Running {
    fn spawn(kind: Kind, command: &mut Command, folder: &Path) -> io::Result<Self> {
        let mut server = command.spawn()?;
        let mut guard = Command::new("sh");
        guard.args(["-c", GUARD, "sh", &server.id().to_string()]);
        guard.arg(crash(kind).as_str().trim_start_matches("SIG")).arg(folder);
        guard.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        match guard.spawn() {
            Ok(guard) => Ok(Self { kind, server, guard }),
            Err(error) => {
                server.kill()?;
                server.wait()?;
                Err(error)
            }
        }
    }

    fn end(mut self, signal: Signal) -> Result<(), NotStopped> {
        self.signal(signal);
        let deadline = Instant::now() + PATIENCE;
        while !matches!(self.server.try_wait(), Ok(Some(_))) {
            if Instant::now() > deadline {
                return Err(NotStopped { id: self.server.id() });
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn signal(&mut self, signal: Signal) {
        // Not to a number that is perhaps another process's by now.
        if let Ok(None) = self.server.try_wait() {
            let _ = kill(Pid::from_raw(self.server.id().cast_signed()), signal);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.signal(crash(self.kind));
        let _ = self.server.wait();
        let _ = self.guard.kill();
        let _ = self.guard.wait();
    }
}

/// The signal that ends a server at once, as a crash does. PostgreSQL is several processes: told by this one, its first
/// takes the others along; were that killed, they would stay a while, and keep the data locked.
fn crash(kind: Kind) -> Signal {
    match kind {
        Kind::Postgres => Signal::SIGQUIT,
        Kind::Redis => Signal::SIGKILL,
    }
}

/// Why there is no server.
pub enum NotStarted {
    /// It is not installed.
    Missing {
        /// The Debian package that it comes with.
        package: &'static str,
    },
    /// It was started, and did not get ready.
    Failed {
        /// Which server.
        server: &'static str,
        /// What happened.
        why: String,
        /// The end of its log.
        log: String,
    },
    /// The operating system refused something.
    Io(io::Error),
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { package } => {
                write!(f, "{package} is not installed: run `apt-get install {package}`")
            }
            Self::Failed { server, why, log } => {
                write!(f, "{server} {why}; its log ends with\n{log}")
            }
            Self::Io(error) => write!(f, "the server cannot be started: {error}"),
        }
    }
}

impl fmt::Debug for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for NotStarted {}

impl From<io::Error> for NotStarted {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A server did not end when it was told to, and was killed.
#[derive(Debug)]
pub struct NotStopped {
    id: u32,
}

impl fmt::Display for NotStopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server process {} did not end within {PATIENCE:?}, and was killed", self.id)
    }
}

impl std::error::Error for NotStopped {}

/// For tests: the server, or `None` and a line on the terminal, if it is not installed.
///
/// The line is written past the capture of `cargo test`, which shows nothing of a test that passes.
///
/// # Panics
/// If it is installed, and does not start.
#[track_caller]
pub fn or_skip(started: Result<Server, NotStarted>) -> Option<Server> {
    match started {
        Ok(server) => Some(server),
        Err(missing @ NotStarted::Missing { .. }) => {
            let current = thread::current();
            let test = current.name().unwrap_or("a test");
            let _ = writeln!(io::stderr(), "skipped: {test}: {missing}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Debian keeps PostgreSQL's programs out of the path, by version.
fn newest_postgres() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.filter_map(|version| {
        let path = version.ok()?.path();
        let number: u32 = path.file_name()?.to_str()?.parse().ok()?;
        let program = path.join("bin/postgres");
        is_program(&program).then_some((number, program))
    });
    programs.max().map(|(_, program)| program)
}

fn postgres_user() -> Result<Option<User>, NotStarted> {
    let user = User::from_name("postgres").map_err(io::Error::from)?;
    let why = "refuses to be run by root, and there is no user `postgres` to run it";
    let failed =
        || NotStarted::Failed { server: "PostgreSQL", why: why.into(), log: String::new() };
    user.map(Some).ok_or_else(failed)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| is_program(program))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn in_use(log: &str) -> bool {
    log.contains("Address already in use")
}

/// While it reads its log back after a restart, it answers `-LOADING`.
fn redis_answers(socket: &Path) -> io::Result<bool> {
    let mut redis = UnixStream::connect(socket)?;
    redis.set_read_timeout(Some(PATIENCE))?;
    redis.write_all(b"PING\r\n")?;
    let mut answer = [0; 7];
    redis.read_exact(&mut answer)?;
    Ok(&answer == b"+PONG\r\n")
}
