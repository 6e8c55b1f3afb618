//! The reactor: which descriptors a loop watches, and what the kernel says of them.
//!
//! It owns the loop's `mio::Poll` and the sources by their tokens (`sources.rs`). The loop's thread waits in
//! [`Reactor::wait`] and nowhere else. (A runtime's reactor, which all of its workers share, is in `shared.rs`.)
//!
//! A socket holds a [`Registration`](registration::Registration), by which it is watched
//! (`registration.rs`): once, edge-triggered, for both directions, so that a request costs no `epoll_ctl`.
//!
//! A loop's one timer descriptor is here too, on Linux: epoll's own timeout counts milliseconds.
//!
//! **Alternative:** level-triggered registration with interest set per operation, as asyncio has it: simpler to
//! reason about, and two system calls more per wait.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use mio::{Interest, Token, unix::SourceFd};

use self::{
    flags::Flags,
    registration::{Registry, Watch, Where},
    source::Readiness,
    sources::Sources,
    woken::Woken,
};
use crate::engine::{
    base::{primitives::Arc, trace},
    inbox::{Address, Inbox},
    wait::{UNPARK, Unparker, Wait},
    waiting::waiter::Waiter,
};

pub(crate) mod flags;
pub(crate) mod registration;
mod selector;
pub(crate) mod shared;
mod slot;
pub(crate) mod source;
pub(crate) mod sources;
pub(crate) mod woken;

/// What ends a wait when time is up.
#[cfg(any(target_os = "linux", target_os = "android"))]
mod alarm {
    use super::*;
    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
        timerfd_settime,
    };

    /// A timerfd: exact to the nanosecond, and it ends any wait, also that of a loop which hosts ours.
    #[derive(Debug)]
    pub(super) struct Alarm(rustix::fd::OwnedFd);

    impl Alarm {
        pub(super) fn new(registry: &mio::Registry) -> io::Result<Self> {
            let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
            let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
            registry.register(&mut SourceFd(&fd.as_raw_fd()), ALARM, Interest::READABLE)?;
            Ok(Self(fd))
        }

        /// Goes off once, `after` nanoseconds from now. Each setting makes a new edge, so the descriptor
        /// is never read.
        pub(super) fn set(&self, after: u64) -> io::Result<()> {
            // Zero would disarm it.
            let after = after.max(1);
            let value = Timespec {
                tv_sec: (after / 1_000_000_000) as _,
                tv_nsec: (after % 1_000_000_000) as _,
            };
            let once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let spec = Itimerspec { it_interval: once, it_value: value };
            timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &spec)?;
            Ok(())
        }

        /// The descriptor ends the wait, so the wait needs no timeout of its own.
        pub(super) const ENDS_WAITS: bool = true;
    }
}

/// Elsewhere it is the wait's own timeout.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod alarm {
    use super::*;

    #[derive(Debug)]
    pub(super) struct Alarm;

    impl Alarm {
        pub(super) fn new(_registry: &mio::Registry) -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) fn set(&self, _after: u64) -> io::Result<()> {
            Ok(())
        }

        pub(super) const ENDS_WAITS: bool = false;
    }
}

const ALARM: Token = Token(usize::MAX - 1);

/// Events an event loop takes from the kernel in one call.
const EVENTS: usize = 1024;

/// What a wait or a look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Events of our sources.
    pub(crate) events: usize,
    /// The unparker or the alarm ended it.
    pub(crate) interrupted: bool,
    /// The alarm has gone off.
    pub(crate) alarm: bool,
}

pub(crate) struct Reactor {
    wait: RefCell<Wait>,
    registry: Arc<Registry>,
    sources: RefCell<Sources>,
    /// The waiters that [`wait`](Self::wait) leaves to be woken, kept for its memory.
    woken: RefCell<Woken>,
    alarm: alarm::Alarm,
}

impl Reactor {
    pub(crate) fn new(
        loop_id: u64,
        inbox: &'static Inbox,
        forget: fn(Address, Token),
    ) -> io::Result<(Self, Unparker)> {
        let wait = Wait::new(EVENTS)?;
        let unparker = Unparker::new(&wait)?;
        let alarm = alarm::Alarm::new(wait.registry())?;
        let registry = Registry::new(wait.registry(), loop_id, Where::Loop(inbox, forget))?;
        let reactor = Self {
            wait: RefCell::new(wait),
            registry: Arc::new(registry),
            sources: RefCell::new(Sources::new()),
            woken: RefCell::default(),
            alarm,
        };
        Ok((reactor, unparker))
    }

    /// Sources registered here.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.sources.borrow().len()
    }

    /// Whether a task waits on any of them. Walks them all.
    pub(crate) fn is_waited_on(&self) -> bool {
        self.sources.borrow().iter().any(Readiness::is_waited_on)
    }

    /// Sets the alarm to end a wait `after` nanoseconds from now.
    pub(crate) fn set_alarm(&self, after: u64) -> io::Result<()> {
        self.alarm.set(after)
    }

    /// Whether the alarm ends a wait by itself; otherwise the wait must be given a timeout.
    pub(crate) const fn alarm_ends_waits(&self) -> bool {
        alarm::Alarm::ENDS_WAITS
    }

    /// Asks the kernel what is ready, for up to `timeout`. Each task that waits for it is given to
    /// `wake` by its number; that calls no user code, and says whether the task was its own. The
    /// rest is left for [`wake_found`](Self::wake_found).
    pub(crate) fn wait(
        &self,
        timeout: Option<Duration>,
        mut wake: impl FnMut(u64) -> bool,
    ) -> io::Result<Found> {
        let mut found = Found::default();
        let tracing = trace::on();
        let mut wait = self.wait.borrow_mut();
        let events = wait.wait(timeout)?;
        let sources = self.sources.borrow();
        let mut woken = self.woken.borrow_mut();
        for event in sources.in_turn(events) {
            let token = event.token();
            if token == UNPARK || token == ALARM {
                found.interrupted = true;
                found.alarm |= token == ALARM;
                continue;
            }
            // An event of a source that is gone: its token finds another generation, or nothing.
            let Some(readiness) = sources.get(token) else { continue };
            found.events += 1;
            woken.note(token, |waiters| {
                readiness.set(Flags::of(event), |waiter| match waiter {
                    Waiter::Task(task) if !tracing && wake(task) => {}
                    waiter => waiters.push(waiter),
                });
            });
        }
        Ok(found)
    }

    /// Has `wake` wake those that the last wait left to be woken. That may call user code: it runs with
    /// nothing borrowed, and may even get here again.
    #[inline]
    pub(crate) fn wake_found(&self, wake: impl Fn(Waiter)) {
        if !self.woken.borrow().is_empty() {
            self.wake_left(wake);
        }
    }

    #[cold]
    fn wake_left(&self, wake: impl Fn(Waiter)) {
        let mut woken = self.woken.take();
        woken.wake_all(wake);
        self.woken.replace(woken);
    }

    /// Forgets a source. On the loop's own thread.
    pub(crate) fn remove(&self, token: Token) {
        let removed = self.sources.borrow_mut().remove(token);
        drop(removed);
    }

    /// The loop ends: hands out all who wait on its sources.
    pub(crate) fn close(&self) -> Vec<Waiter> {
        let sources = self.sources.borrow_mut().close();
        self.registry.close(&sources)
    }
}

impl AsFd for Reactor {
    /// The descriptor of the poll itself: readable when anything is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.registry.as_fd()
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("sources", &self.len()).finish_non_exhaustive()
    }
}

impl Watch for Reactor {
    fn registry(&self) -> io::Result<Arc<Registry>> {
        Ok(self.registry.clone())
    }

    fn insert(&self, readiness: Arc<Readiness>) -> io::Result<Token> {
        let mut sources = self.sources.borrow_mut();
        if sources.is_closed() {
            return Err(io::Error::other("the event loop has ended"));
        }
        Ok(sources.insert(readiness))
    }
}
