//! One child's end: how it is waited for, and told once and for all.
//!
//! A child that has ended stays a *zombie* until its parent reaps it (`waitpid`), and until then its number is its own.
//! So all that needs the number goes through the lock here: reaping, and sending signals. None goes to a process
//! that got the number later.
//!
//! What wakes a task that waits is the child's *pidfd*, a descriptor that is ready to read once the process has
//! ended: one more source of the reactor, as any socket. Where the kernel has none (Linux before 5.3, other systems, some
//! sandboxes), or no descriptor is left, it is the signal `SIGCHLD`, by way of `signal`: then each child's end wakes
//! all that wait, and each asks for its own.
//!
//! What must hold: the status is kept, so any number may wait, at once or later, on any loops, and a dropped wait has
//! lost nothing.
//!
//! **Alternative:** a thread that waits for each child. It works everywhere, and a thousand children would be a thousand
//! threads.

use std::{
    ffi::{OsStr, OsString},
    fmt, io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::Location,
    pin::Pin,
    process::{self, ExitStatus},
    task::{Context, Poll, ready},
};

use rustix::{
    io::Errno,
    process::{Pid, Signal as Number, getpgid, kill_process, kill_process_group},
};

use super::error::{CommandError, SIGNAL, WAIT};
use crate::{
    engine::{
        base::{
            location::{WaitsFor, WaitsOn},
            primitives::{Mutex, lock},
            this_poll,
        },
        reactor::{
            flags::Direction,
            source::{Caller, WaiterKey},
        },
    },
    io::Source,
    signal::{Signal, SignalKind, signal},
};

/// What is known of one child, for all who hold it.
pub(super) struct Exit {
    pid: Pid,
    program: OsString,
    /// `None`: it is waited for by `SIGCHLD`.
    pidfd: Option<Source<OwnedFd>>,
    state: Mutex<State>,
}

enum State {
    /// Not reaped.
    Running(process::Child),
    Ended(ExitStatus),
    /// Something else has reaped it.
    Lost,
}

/// To whom a signal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum To {
    Child,
    /// The process group that the child leads.
    Group,
    /// The group if the child leads one, or else the child.
    All,
}

impl Exit {
    pub(super) fn new(child: process::Child, program: OsString) -> Self {
        let pid = Pid::from_child(&child);
        let pidfd = open_pidfd(pid).map(Source::from_nonblocking);
        Self { pid, program, pidfd, state: Mutex::new(State::Running(child)) }
    }

    pub(super) fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    pub(super) fn program(&self) -> &OsStr {
        &self.program
    }

    /// What is ready to read once the child has ended, where the kernel has such a thing.
    pub(super) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// The status, if the child has ended. Reaps it.
    ///
    /// # Errors
    /// If the status was taken by another.
    pub(super) fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        let mut state = lock(&self.state);
        let waited = match &mut *state {
            State::Running(child) => child.try_wait(),
            State::Ended(status) => return Ok(Some(*status)),
            State::Lost => Err(io::Error::from_raw_os_error(libc::ECHILD)),
        };
        match &waited {
            Ok(Some(status)) => *state = State::Ended(*status),
            Ok(None) => {}
            Err(_) => *state = State::Lost,
        }
        waited.map_err(|error| CommandError::wrap(WAIT, &self.program, error))
    }

    /// The status, if the child was reaped.
    fn ended(&self) -> Option<ExitStatus> {
        match &*lock(&self.state) {
            State::Ended(status) => Some(*status),
            State::Running(_) | State::Lost => None,
        }
    }

    /// Sends a signal. One to a child that has ended does nothing.
    ///
    /// # Errors
    /// What the kernel says; to a group, if the child leads none, or has been reaped.
    pub(super) fn signal(&self, kind: SignalKind, to: To) -> io::Result<()> {
        let wrap = |error| CommandError::wrap(SIGNAL, &self.program, error);
        let invalid = |what: String| wrap(io::Error::new(io::ErrorKind::InvalidInput, what));
        let Some(number) = Number::from_named_raw(kind.as_raw()) else {
            return Err(invalid(format!("{kind} has no name here, and cannot be sent")));
        };
        // Held over the call: nobody reaps the child meanwhile, so the number stays its own.
        let state = lock(&self.state);
        let is_running = matches!(&*state, State::Running(_));
        let leads = || is_running && getpgid(Some(self.pid)).is_ok_and(|group| group == self.pid);
        let sent = match to {
            To::Group if !is_running => {
                return Err(invalid(
                    "it has ended and was waited for, so the number of its group may be another's by now: signal the \
                     group before that"
                        .to_owned(),
                ));
            }
            To::Group if !leads() => {
                return Err(invalid(
                    "it leads no process group: start it with `Command::process_group(0)`"
                        .to_owned(),
                ));
            }
            To::Child | To::All if !is_running => Ok(()),
            To::Group => kill_process_group(self.pid, number),
            To::All if leads() => kill_process_group(self.pid, number),
            To::Child | To::All => kill_process(self.pid, number),
        };
        drop(state);
        match sent {
            // It has ended, and another has reaped it.
            Err(Errno::SRCH) if to != To::Group => Ok(()),
            sent => sent.map_err(|error| wrap(error.into())),
        }
    }

    #[track_caller]
    pub(super) fn wait(&self, location: &'static Location<'static>) -> Wait<'_> {
        Wait { exit: self, key: 0, listening: None, location }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn open_pidfd(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn open_pidfd(_pid: Pid) -> Option<OwnedFd> {
    None
}

impl fmt::Debug for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Child");
        debug.field("program", &self.program).field("id", &self.id());
        debug.field("status", &self.ended()).finish()
    }
}

/// The future of [`Child::wait`](super::Child::wait) and [`ChildHandle::wait`](super::ChildHandle::wait).
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<'a> {
    exit: &'a Exit,
    /// Its waiter's at the pidfd, while it waits.
    key: WaiterKey,
    /// In the place of a pidfd.
    listening: Option<Signal>,
    location: &'static Location<'static>,
}

impl Wait<'_> {
    /// Listens first, then asks: so the end that comes in between is heard of.
    fn poll_by_signal(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let listening = match &mut self.listening {
            Some(listening) => listening,
            None => self.listening.insert(signal(SignalKind::child())?),
        };
        loop {
            if let Some(status) = self.exit.try_wait()? {
                self.listening = None;
                this_poll::charge();
                return Poll::Ready(Ok(status));
            }
            ready!(listening.poll_recv(cx, self.location))?;
        }
    }
}

impl Future for Wait<'_> {
    type Output = io::Result<ExitStatus>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        ready!(this_poll::poll_budget(cx, this.location));
        if let Some(status) = this.exit.ended() {
            this_poll::charge();
            return Poll::Ready(Ok(status));
        }
        // ANCHOR: wait
        let waited = match &this.exit.pidfd {
            Some(pidfd) => {
                let caller = Caller::Future(&mut this.key);
                let reap = |_: &_, _| {
                    this.exit.try_wait()?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
                };
                pidfd.poll_op(Direction::Read, caller, cx, this.location, reap)
            }
            None => this.poll_by_signal(cx),
        };
        // END: wait
        if waited.is_pending() {
            let process = WaitsOn::Process(this.exit.id().into());
            this_poll::note_on(WaitsFor::Process, process, this.location);
        }
        waited
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        if let Some(pidfd) = &self.exit.pidfd {
            pidfd.leave(Direction::Read, self.key);
        }
    }
}

impl fmt::Debug for Wait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait")
            .field("exit", &self.exit)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
