//! Processes that work together: what Python's `multiprocessing` has for it.
//!
//! ```text
//! cargo run --example processes -- five
//! cargo run --example processes -- queue
//! cargo run --example processes -- pipe
//! cargo run --example processes -- manager
//! cargo run --example processes -- lock
//! ```
//!
//! One sees five processes, the squares that they put into one queue, a word from a child, a map that five children
//! fill, and a lock that one of five has at a time.
//!
//! Each child is this program again, with a subcommand that the help does not show. What they share is the kernel's: a
//! pipe whose writers are the children's standard outputs is a queue, and it ends once all of them are gone. What needs
//! one owner, the map and the lock, the parent has; a Unix socket leads there. A connection is also a sign of life: the
//! lock is free again when the child that had it is gone, whatever became of it.

use std::{
    collections::BTreeMap,
    env, io,
    io::Write,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream as StdUnixStream,
    },
    path::{Path, PathBuf},
    process::{self, Stdio},
    rc::Rc,
    time::Duration,
};

use clap::Parser;
use futures_lite::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt, io::BufReader};
use whirligig::{
    io::PipeReader,
    net::{UnixListener, UnixStream},
    process::{Child, Command},
    queue::Queue,
    spawn_local,
    sync::{Mutex, oneshot},
    time::sleep,
};

/// Processes that work together.
#[derive(Parser)]
enum Options {
    /// Five processes
    Five,
    /// Five processes that put items into one queue
    Queue,
    /// A process that sends a word
    Pipe,
    /// Five processes that fill one map
    Manager,
    /// Five processes that take turns
    Lock,
    /// What a child does
    #[command(subcommand, hide = true)]
    Child(ChildOptions),
}

#[derive(clap::Subcommand)]
enum ChildOptions {
    Work { number: u64 },
    PutSquare { number: u64 },
    Send,
    SetSquare { number: u64, socket: PathBuf },
    WorkLocked { number: u64, socket: PathBuf },
}

fn main() -> io::Result<()> {
    match Options::parse() {
        Options::Five => whirligig::run(five()),
        Options::Queue => whirligig::run(queue()),
        Options::Pipe => whirligig::run(pipe()),
        Options::Manager => whirligig::run(manager()),
        Options::Lock => whirligig::run(lock()),
        Options::Child(child) => match child {
            ChildOptions::Work { number } => work(number),
            ChildOptions::PutSquare { number } => put_square(number),
            ChildOptions::Send => send(),
            ChildOptions::SetSquare { number, socket } => {
                whirligig::run(set_square(number, &socket))
            }
            ChildOptions::WorkLocked { number, socket } => {
                whirligig::run(work_locked(number, &socket))
            }
        },
    }
}

/// This program, as a child that does `what`. It is killed if the parent gives up before it has ended.
fn child(what: &str) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["child", what]).kill_on_drop(true);
    Ok(command)
}

/// Five such children, numbered, each with a command line of its own.
fn five_children(command: impl Fn(&str) -> io::Result<Command>) -> io::Result<Vec<Child>> {
    (0..5).map(|number| command(&number.to_string())?.spawn()).collect()
}

async fn wait_all(children: Vec<Child>) -> io::Result<()> {
    for mut child in children {
        let status = child.wait().await?;
        if !status.success() {
            return Err(io::Error::other(format!("a child ended with {status}")));
        }
    }
    Ok(())
}

async fn five() -> io::Result<()> {
    wait_all(five_children(|number| {
        let mut command = child("work")?;
        command.arg(number);
        Ok(command)
    })?)
    .await?;
    println!("All have ended");
    Ok(())
}

fn work(number: u64) -> io::Result<()> {
    println!("Worker {number} is working in process {}", process::id());
    Ok(())
}

async fn queue() -> io::Result<()> {
    let (reader, writer) = io::pipe()?;
    let children = five_children(|number| {
        let mut command = child("put-square")?;
        command.arg(number).stdout(Stdio::from(writer.try_clone()?));
        Ok(command)
    })?;
    drop(writer); // from here on the children alone can write

    let mut items = BufReader::new(PipeReader::from_std(reader)?).lines();
    let mut squares = Vec::new();
    for _ in 0..5 {
        let item = items.next().await.ok_or(io::ErrorKind::UnexpectedEof)??;
        squares.push(item.parse::<u64>().map_err(io::Error::other)?);
    }
    squares.sort_unstable();
    println!("{squares:?}");
    wait_all(children).await?;
    match items.next().await.transpose()? {
        Some(item) => println!("A sixth get: {item}"),
        None => println!("A sixth get: the end, for all writers are gone"),
    }
    Ok(())
}

/// One short line in one write: the kernel does not mix it with those of others.
fn put_square(number: u64) -> io::Result<()> {
    io::stdout().write_all(format!("{}\n", number * number).as_bytes())
}

async fn pipe() -> io::Result<()> {
    // As Python's `Pipe`, this pair of sockets goes both ways. The child gets one as its standard input.
    let (ours, theirs) = StdUnixStream::pair()?;
    let mut command = child("send")?;
    let child = command.stdin(Stdio::from(OwnedFd::from(theirs))).spawn()?;
    drop(command); // it holds the child's end as well
    let mut word = String::new();
    UnixStream::from_std(ours)?.read_to_string(&mut word).await?;
    println!("{word}");
    wait_all(vec![child]).await
}

fn send() -> io::Result<()> {
    let connection = io::stdin().as_fd().try_clone_to_owned()?;
    StdUnixStream::from(connection).write_all(b"Hello from child")
}

/// A key, a value, and where to tell that they are in the map.
type Set = (u64, u64, oneshot::Sender<()>);

async fn manager() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket)?;

    // One task owns the map. It needs no lock, for it alone changes it.
    let requests = Rc::new(Queue::<Set>::unbounded());
    let owner = spawn_local({
        let requests = Rc::clone(&requests);
        async move {
            let mut squares = BTreeMap::new();
            while let Ok((key, value, done)) = requests.get().await {
                squares.insert(key, value);
                let _ = done.send(()); // a child that is gone needs no answer
            }
            squares
        }
    });
    let serving = spawn_local({
        let requests = Rc::clone(&requests);
        async move {
            while let Ok((connection, _)) = listener.accept().await {
                spawn_local(serve(connection, Rc::clone(&requests)));
            }
        }
    });

    wait_all(five_children(|number| {
        let mut command = child("set-square")?;
        command.arg(number).arg(&socket);
        Ok(command)
    })?)
    .await?;
    serving.cancel();
    requests.close();
    println!("{:?}", owner.await.expect("it does not panic"));
    Ok(())
}

/// Passes on what one child asks for: `KEY VALUE`, answered by an empty line.
async fn serve(connection: UnixStream, requests: Rc<Queue<Set>>) -> io::Result<()> {
    let (reader, mut writer) = connection.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next().await.transpose()? {
        let numbers = line
            .split_once(' ')
            .and_then(|(key, value)| Some((key.parse().ok()?, value.parse().ok()?)));
        let (key, value) = numbers.ok_or(io::ErrorKind::InvalidData)?;
        let (done, is_done) = oneshot::channel();
        requests.put((key, value, done)).await.map_err(io::Error::other)?;
        is_done.await.map_err(io::Error::other)?;
        writer.write_all(b"\n").await?;
    }
    Ok(())
}

async fn set_square(number: u64, socket: &Path) -> io::Result<()> {
    let mut manager = UnixStream::connect(socket).await?;
    manager.write_all(format!("{number} {}\n", number * number).as_bytes()).await?;
    manager.read_exact(&mut [0]).await // it is in the map
}

async fn lock() -> io::Result<()> {
    let directory = tempfile::tempdir()?;
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket)?;

    // First come, first served, as always where something waits for a lock of this library.
    let lock = Rc::new(Mutex::new(()));
    let serving = spawn_local(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let lock = Rc::clone(&lock);
            spawn_local(async move {
                let _guard = lock.lock().await;
                connection.write_all(&[0]).await?; // the child has the lock ...
                connection.read(&mut [0]).await // ... until its end of the connection is gone
            });
        }
    });

    wait_all(five_children(|number| {
        let mut command = child("work-locked")?;
        command.arg(number).arg(&socket);
        Ok(command)
    })?)
    .await?;
    serving.cancel();
    Ok(())
}

async fn work_locked(number: u64, socket: &Path) -> io::Result<()> {
    let mut lock = UnixStream::connect(socket).await?;
    lock.read_exact(&mut [0]).await?;
    println!("Process {number} is working");
    sleep(Duration::from_millis(100)).await;
    println!("Process {number} has finished");
    drop(lock);
    Ok(())
}
