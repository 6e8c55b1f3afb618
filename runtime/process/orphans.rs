//! Children that nobody holds any more: reaped in the background when they end.
//!
//! A [`Child`](super::Child) may be dropped while its process goes on. Whenever that ends then, it must be reaped, or it
//! stays a zombie as long as this process lives. No loop can be asked to do that, for the loop may end first; so
//! a thread does, which is there only while there are such children. It waits in `poll` for their pidfds, and for the
//! pipe by which it is told of one more. For children without a pidfd, `SIGCHLD` writes into the same pipe.
//!
//! Nothing is waited for when the process exits: then the children are init's.
//!
//! What must hold: who adds a child and who ends the thread for lack of children do so under one lock. So either the
//! thread sees the new one, or its adder sees that a thread must be started.
//!
//! **Alternative:** to reap those that have ended whenever the next child is started, as Python does. The last ones
//! would stay.

use std::{
    io::{self, PipeReader, PipeWriter, Read, Write},
    sync::{Arc as StdArc, Mutex, MutexGuard},
    thread,
};

use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::{SigId, low_level};

use super::exit::Exit;
use crate::signal::SignalKind;

/// A static is std's, also in a model.
static ORPHANS: Mutex<Orphans> = Mutex::new(Orphans { arrived: Vec::new(), reaper: None });

struct Orphans {
    /// Not yet with the thread.
    arrived: Vec<StdArc<Exit>>,
    /// By what the thread is told, while there is one.
    reaper: Option<PipeWriter>,
}

fn lock() -> MutexGuard<'static, Orphans> {
    ORPHANS.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Sees to it that a child is reaped. If it has ended, at once.
pub(super) fn adopt(exit: StdArc<Exit>) {
    if is_over(&exit) {
        return;
    }
    let mut orphans = lock();
    orphans.arrived.push(exit);
    match &mut orphans.reaper {
        // A byte is there already if the pipe is full.
        Some(told) => drop(told.write(b"+")),
        // If no descriptor or no thread is left, the next to be adopted tries again.
        None => orphans.reaper = start_reaper().ok(),
    }
}

fn is_over(exit: &Exit) -> bool {
    !matches!(exit.try_wait(), Ok(None))
}

fn start_reaper() -> io::Result<PipeWriter> {
    let (reader, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&reader, true)?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    let for_signals = writer.try_clone()?;
    thread::Builder::new().name("whirligig-reaper".to_owned()).stack_size(64 * 1024).spawn(
        move || Reaper { told: reader, for_signals, hears: None, children: Vec::new() }.run(),
    )?;
    Ok(writer)
}

struct Reaper {
    told: PipeReader,
    for_signals: PipeWriter,
    /// That `SIGCHLD` writes into the pipe.
    hears: Option<SigId>,
    children: Vec<StdArc<Exit>>,
}

impl Reaper {
    fn run(mut self) {
        loop {
            self.children.append(&mut lock().arrived);
            self.listen_if_needed();
            self.children.retain(|exit| !is_over(exit));
            if !self.children.is_empty() {
                self.wait();
                continue;
            }
            let mut orphans = lock();
            if orphans.arrived.is_empty() {
                orphans.reaper = None;
                break;
            }
        }
        if let Some(id) = self.hears {
            low_level::unregister(id);
        }
    }

    /// Before the children are asked: one that ends in between is heard of.
    fn listen_if_needed(&mut self) {
        let is_needed = self.children.iter().any(|exit| exit.pidfd().is_none());
        if is_needed && self.hears.is_none() {
            let number = SignalKind::child().as_raw();
            let pipe = self.for_signals.try_clone();
            self.hears = pipe.and_then(|pipe| low_level::pipe::register(number, pipe)).ok();
        }
    }

    /// Until a child has ended, or one more is there.
    fn wait(&mut self) {
        let pidfds = self.children.iter().filter_map(|exit| exit.pidfd());
        let mut fds: Vec<_> =
            pidfds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect();
        fds.push(PollFd::new(&self.told, PollFlags::IN));
        // An error here is an interruption, or a lack of memory that passes.
        let _ = poll(&mut fds, None);
        while self.told.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
    }
}
