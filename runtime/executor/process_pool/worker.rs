//! The pool's side of a process: a task that takes calls from the line and sends them over, one after the other.
//!
//! There is one such task for each process that the pool may have, on the event loop of the pool's own thread. It starts
//! its process with its first call, and a new one when that has ended: after the calls it may serve, or because it died.
//! A process that dies costs the calls that were sent to it, and no others.
//!
//! **Alternative:** to send a second call while the first runs. It hides the way there and back, a few microseconds;
//! and of a process that died one would not know which call it was at.

use std::{
    future::{Future, poll_fn},
    io,
    os::{fd::OwnedFd, unix::net::UnixStream as StdStream, unix::process::ExitStatusExt},
    pin::{Pin, pin},
    process::{ExitStatus, Stdio},
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use futures_io::{AsyncRead, AsyncWrite};

use super::{
    child, frame,
    frame::Answer,
    line::{Request, Shared},
};
use crate::{
    executor::call::{CallError, Calls},
    net::UnixStream,
    process::{Child, Command},
    time::sleep,
};

/// Serves calls until there will be no more.
pub(super) async fn work(pool: Arc<Shared>) {
    let (mut process, mut failures) = (None, 0);
    while let Ok(waiting) = pool.line.get().await {
        if !waiting.is_queued(0) {
            continue;
        }
        let mut running = match usable(process.take()).map_or_else(|| Process::start(&pool), Ok) {
            Ok(running) => running,
            Err(error) => {
                failures += 1;
                // Descriptors and memory may come back, and other workers may have a process.
                if failures < STARTS && pool.line.try_put(waiting.clone()).is_ok() {
                    sleep(BETWEEN_STARTS).await;
                } else if let Some(job) = waiting.take() {
                    let why = format!("a process of it could not be started: {error}");
                    job.finish(Err(CallError::Broken(why)));
                }
                continue;
            }
        };
        failures = 0;
        // Cancelled meanwhile, if it is not there any more.
        let Some(job) = waiting.take() else {
            process = Some(running);
            continue;
        };
        match running.call(&job.request).await {
            Ok(answers) => {
                running.calls += answers.len() as u64;
                job.finish(Ok(answers));
                if pool.max_calls.is_some_and(|most| running.calls >= most) {
                    running.end().await;
                } else {
                    process = Some(running);
                }
            }
            Err(error) => {
                let pid = running.child.id();
                let how = running.end().await.map_or_else(|| error.to_string(), describe);
                job.finish(Err(CallError::Died(format!("process {pid} {how}"))));
            }
        }
    }
    if let Some(process) = process {
        process.end().await;
    }
}

/// How often a worker tries to start its process, before it says of a call that it cannot.
const STARTS: u32 = 10;
const BETWEEN_STARTS: Duration = Duration::from_millis(100);

/// The process, unless it has died since its last call.
fn usable(process: Option<Process>) -> Option<Process> {
    process.filter(|process| matches!(process.child.try_wait(), Ok(None)))
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was killed by signal {signal}"),
        (None, Some(code)) => format!("exited with code {code}"),
        (None, None) => "ended".to_owned(),
    }
}

struct Process {
    child: Child,
    socket: UnixStream,
    /// Calls that it has served.
    calls: u64,
}

impl Process {
    fn start(pool: &Shared) -> io::Result<Self> {
        let (ours, theirs) = StdStream::pair()?;
        let child = Command::new("/proc/self/exe")
            .args(&pool.child_args)
            .env(child::PARENT, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .kill_on_drop(true)
            .spawn()?;
        Ok(Self { child, socket: UnixStream::from_std(ours)?, calls: 0 })
    }

    /// Has it make the calls. That it has died is seen by its end as well: what it has started may have its socket still.
    async fn call(&mut self, request: &Request) -> io::Result<Vec<Answer>> {
        let handle = self.child.handle();
        let mut exit = handle.wait();
        let mut answers = pin!(self.exchange(request));
        poll_fn(|cx| {
            if let Poll::Ready(answers) = answers.as_mut().poll(cx) {
                return Poll::Ready(answers);
            }
            ready!(Pin::new(&mut exit).poll(cx))?;
            // What it wrote before that is there.
            match answers.as_mut().poll(cx) {
                Poll::Ready(answers) => Poll::Ready(answers),
                Poll::Pending => Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        })
        .await
    }

    async fn exchange(&mut self, request: &Request) -> io::Result<Vec<Answer>> {
        let Request { name, arguments } = request;
        self.send(name.as_bytes()).await?;
        self.send(&vec![0; arguments.len()]).await?;
        for arguments in arguments {
            self.send(arguments).await?;
        }
        let mut answers = Vec::with_capacity(arguments.len());
        for _ in arguments {
            answers.push(self.receive().await?);
        }
        Ok(answers)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.len() < SMALL {
            // In one system call.
            let frame = [&frame::header(bytes.len())[..], bytes].concat();
            return write_all(&mut self.socket, &frame).await;
        }
        write_all(&mut self.socket, &frame::header(bytes.len())).await?;
        write_all(&mut self.socket, bytes).await
    }

    async fn receive(&mut self) -> io::Result<Answer> {
        let (mut header, mut kind) = ([0; 8], [0]);
        read_exact(&mut self.socket, &mut header).await?;
        read_exact(&mut self.socket, &mut kind).await?;
        let mut bytes = frame::room(frame::length(header)?.saturating_sub(1))?;
        read_exact(&mut self.socket, &mut bytes).await?;
        Ok(frame::decode(kind[0], bytes))
    }

    /// Closes the socket, at which the process ends, and waits for that.
    async fn end(self) -> Option<ExitStatus> {
        let Self { mut child, socket, .. } = self;
        drop(socket);
        child.wait().await.ok()
    }
}

/// Frames shorter than this are copied, to go in one system call.
const SMALL: usize = 4 << 10;

async fn write_all(socket: &mut UnixStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|cx| Pin::new(&mut *socket).poll_write(cx, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

async fn read_exact(socket: &mut UnixStream, mut into: &mut [u8]) -> io::Result<()> {
    while !into.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *socket).poll_read(cx, into)).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => into = &mut into[count..],
        }
    }
    Ok(())
}
