//! A pool's process, from within: it serves calls until its pool is gone.
//!
//! The process is this program again, and so it comes to `main`, where [`init`] finds out what it is: its standard input
//! is the socket, and its environment names the parent. It runs one call after the other, on its main thread.
//!
//! What must hold: it does not outlive its pool. If that closes the socket, the process ends when it has answered. If the
//! parent is killed, the kernel kills the process, also in the middle of a call.
//!
//! **Alternative:** `fork` without a new program. What other threads held at that moment, locks above all, the child then
//! holds for ever.

use std::{
    fs::File,
    io::{self, BufReader, Read, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    process,
    sync::OnceLock,
};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::{
    frame,
    function::{AnyFunction, Failure},
};
use crate::net::unix::peer_cred::peer_cred;

/// In the environment of a pool's process: the process that started it.
pub(super) const PARENT: &str = "WHIRLIGIG_POOL_OF";

/// Whether `init` was called in this process.
static INITIALIZED: OnceLock<()> = OnceLock::new();

/// Tells this program's functions to the processes of its pools: **call it first of all in `main`**.
///
/// A process of a [`ProcessPool`](super::ProcessPool) is this program started anew. In it this call serves the pool, and
/// never returns; in the program itself it returns at once. What `main` does before it, each process does as well.
///
/// A test binary has no `main` of yours. There, one test calls this and nothing else, and the pool is told to start its
/// processes as that test: [`child_args`](super::ProcessPoolBuilder::child_args).
///
/// ```no_run
/// use whirligig::executor::{self, Function, ProcessPool};
///
/// static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
///
/// fn main() -> std::io::Result<()> {
///     executor::init(&[&SQUARE]);
///     let pool = ProcessPool::new(3)?;
///     let squares: Result<Vec<u64>, _> = pool.map(&SQUARE, [5, 2, 3, 4, 1]).collect();
///     assert_eq!(squares.unwrap(), [25, 4, 9, 16, 1]);
///     Ok(())
/// }
/// ```
///
/// # Panics
/// If two functions have one name.
#[doc(alias("freeze_support", "__main__"))]
#[track_caller]
pub fn init(functions: &[&dyn AnyFunction]) {
    for (at, function) in functions.iter().enumerate() {
        let name = function.name();
        let twice = functions[..at].iter().any(|earlier| earlier.name() == name);
        assert!(!twice, "two functions of the pool's processes are called {name:?}");
    }
    // A function may have a pool of its own.
    let _ = INITIALIZED.set(());
    if let Some(parent) = parent() {
        serve(functions, parent);
    }
}

pub(super) fn is_initialized() -> bool {
    INITIALIZED.get().is_some()
}

/// The process whose pool has started this one. (A program that a pool's process starts has the same environment, and
/// another standard input.) The socket names who made it, also when that one is gone by now: its process must not go on
/// as if it were the program itself.
fn parent() -> Option<u32> {
    let parent = std::env::var(PARENT).ok()?.parse().ok()?;
    let maker = peer_cred(io::stdin()).ok()?.pid?;
    (maker == parent).then_some(parent)
}

fn serve(functions: &[&dyn AnyFunction], parent: u32) -> ! {
    let ended = take_socket(parent).and_then(|socket| serve_on(&socket, functions));
    if let Err(error) = &ended {
        // A pool that is gone needs no word.
        if error.kind() != io::ErrorKind::BrokenPipe {
            eprintln!("whirligig: a process of a pool ends: {error}");
        }
    }
    process::exit(i32::from(ended.is_err()));
}

/// The socket that is standard input; that is empty from now on, as the calls see it.
fn take_socket(parent: u32) -> io::Result<UnixStream> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if getppid().is_none_or(|pid| pid.as_raw_nonzero().get() as u32 != parent) {
        // The parent was gone before the kernel was told.
        process::exit(1);
    }
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    Ok(socket)
}

/// Serves requests until the pool closes the socket.
fn serve_on(mut socket: &UnixStream, functions: &[&dyn AnyFunction]) -> io::Result<()> {
    let mut requests = BufReader::new(socket);
    while let Some(name) = read_frame(&mut requests)? {
        let name = String::from_utf8_lossy(&name);
        let function = functions.iter().find(|function| function.name() == name);
        let count = read_frame(&mut requests)?.map_or(0, |count| count.len());
        // All of it, before the first answer: the pool reads when it has sent all.
        let mut arguments = Vec::with_capacity(count);
        for _ in 0..count {
            let Some(frame) = read_frame(&mut requests)? else { return Ok(()) };
            arguments.push(frame);
        }
        for arguments in arguments {
            let answer = match function {
                Some(function) => function.call(&arguments),
                None => Err(Failure::Encoding(format!(
                    "its name: this program told `executor::init` of no function {name:?}"
                ))),
            };
            let (kind, bytes) = frame::encode(answer);
            socket.write_all(&frame::header(1 + bytes.len()))?;
            socket.write_all(&[kind])?;
            socket.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// The next frame; `None` if the pool has closed the socket.
fn read_frame(socket: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; 8];
    match socket.read_exact(&mut header) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = frame::room(frame::length(header)?)?;
    socket.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
