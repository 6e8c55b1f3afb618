//! The reactor: which descriptors a loop watches, and what the kernel says of them.
//!
//! It owns the loop's `mio::Poll` and a slab of sources. A source's token is its place in that slab
//! and a generation, so that an event of a descriptor that is gone finds nothing. [`Reactor::wait`]
//! is the only place where the loop's thread sleeps.
//!
//! A socket holds a [`Registration`]: the shared [`Readiness`], and where it is registered. It is
//! registered once, edge-triggered, for both directions, by the loop that first had to wait for it;
//! so a request costs no `epoll_ctl`. Waited for on another loop, it registers there anew. Dropped, on
//! any thread, it deregisters: the kernel at once, the slab through the inbox.
//!
//! A loop's one timer descriptor lives here too, on Linux: epoll's own timeout counts milliseconds.
//!
//! The rival, level-triggered registration with interest set per operation, is asyncio's: simpler to
//! reason about, and two system calls more per wait.

use std::{
    cell::{Cell, RefCell},
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
    vec::Drain,
};

use mio::{Interest, Token, unix::SourceFd};
use slab::Slab;

use self::source::{Flags, Readiness};
use crate::{
    inbox::Inbox,
    primitives::{Arc, AtomicU64, Mutex, Ordering, lock},
    trace::{self, Cause, Event},
    wait::{UNPARK, Unparker, Wait},
    waiter::Waiter,
};

pub(crate) mod source;

/// A loop's way of being told when time is up.
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

        /// Rings once, `after` nanoseconds from now. Each setting makes a new edge, so the descriptor
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

/// Elsewhere the wait's own timeout has to do.
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

/// A source's token: generation and place in the slab.
fn token(generation: u32, at: usize) -> Token {
    Token((generation as usize) << 32 | at)
}

/// What a source needs of its loop, from any thread.
#[derive(Debug)]
pub(crate) struct Registry {
    mio: mio::Registry,
    pub(crate) loop_id: u64,
    pub(crate) inbox: &'static Inbox,
    /// Has the loop forget a token, from whichever thread: at once on its own.
    forget: fn(&Registry, Token),
}

struct Entry {
    generation: u32,
    readiness: Arc<Readiness>,
}

/// What a wait or a look found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Events of our sources.
    pub(crate) events: usize,
    /// The unparker or the alarm ended it.
    pub(crate) roused: bool,
    /// The alarm has rung.
    pub(crate) alarm: bool,
}

pub(crate) struct Reactor {
    wait: RefCell<Wait>,
    registry: Arc<Registry>,
    sources: RefCell<Slab<Entry>>,
    next_generation: Cell<u32>,
    /// Whom [`wait`](Self::wait) leaves to be woken, kept for its memory.
    woken: RefCell<Vec<Waiter>>,
    /// While somebody listens: which source found how many who wait, in order.
    traced: RefCell<Vec<(u32, usize)>>,
    alarm: alarm::Alarm,
}

impl Reactor {
    pub(crate) fn new(
        loop_id: u64,
        inbox: &'static Inbox,
        forget: fn(&Registry, Token),
    ) -> io::Result<(Self, Unparker)> {
        let wait = Wait::new()?;
        let unparker = Unparker::new(&wait)?;
        let alarm = alarm::Alarm::new(wait.registry())?;
        let registry = Registry { mio: wait.registry().try_clone()?, loop_id, inbox, forget };
        let reactor = Self {
            wait: RefCell::new(wait),
            registry: Arc::new(registry),
            sources: RefCell::new(Slab::new()),
            next_generation: Cell::new(0),
            woken: RefCell::new(Vec::new()),
            traced: RefCell::new(Vec::new()),
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
        self.sources.borrow().iter().any(|(_, entry)| entry.readiness.is_waited_on())
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
    /// `wake` by its number; that calls no foreign code, and says whether the task was its own. The
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
        for event in events {
            let token = event.token();
            if token == UNPARK || token == ALARM {
                found.roused = true;
                found.alarm |= token == ALARM;
                continue;
            }
            // An event of a source that is gone: its token finds another generation, or nothing.
            let Some(entry) = sources.get(token.0 & 0xffff_ffff) else { continue };
            if entry.generation as usize != token.0 >> 32 {
                continue;
            }
            found.events += 1;
            let first = woken.len();
            entry.readiness.set(Flags::of(event), |waiter| match waiter {
                Waiter::Task(task) if !tracing && wake(task) => {}
                waiter => woken.push(waiter),
            });
            if tracing {
                self.traced.borrow_mut().push((token.0 as u32, woken.len() - first));
            }
        }
        Ok(found)
    }

    /// Has `wake_all` wake whom the last wait left to be woken. That may call foreign code: it runs
    /// with nothing borrowed, and may even get here again.
    #[inline]
    pub(crate) fn wake_found(&self, wake_all: impl Fn(Drain<'_, Waiter>)) {
        if !self.woken.borrow().is_empty() || trace::on() {
            self.wake_left(wake_all);
        }
    }

    #[cold]
    fn wake_left(&self, wake_all: impl Fn(Drain<'_, Waiter>)) {
        let mut woken = self.woken.take();
        if trace::on() {
            self.wake_traced(&mut woken, &wake_all);
        }
        wake_all(woken.drain(..));
        self.woken.replace(woken);
    }

    /// The same, so that each wake is known by its source.
    #[cold]
    fn wake_traced(&self, woken: &mut Vec<Waiter>, wake_all: impl Fn(Drain<'_, Waiter>)) {
        for (source, count) in self.traced.take() {
            let source = u64::from(source);
            trace::report(|| Event::Ready { source });
            let before = trace::set_cause(Cause::Source(source));
            wake_all(woken.drain(..count.min(woken.len())));
            trace::set_cause(before);
        }
    }

    /// Forgets a source. On the loop's own thread.
    pub(crate) fn remove(&self, token: Token) {
        let removed = {
            let mut sources = self.sources.borrow_mut();
            let at = token.0 & 0xffff_ffff;
            let ours = sources.get(at).is_some_and(|e| e.generation as usize == token.0 >> 32);
            ours.then(|| sources.remove(at))
        };
        drop(removed);
    }

    /// The loop goes: hands out all who wait on its sources.
    pub(crate) fn close(&self) -> Vec<Waiter> {
        let entries: Vec<_> = self.sources.borrow_mut().drain().collect();
        let mut woken = Vec::new();
        for entry in &entries {
            entry.readiness.take_waiters(&mut woken);
        }
        woken
    }

    fn insert(&self, readiness: Arc<Readiness>) -> Token {
        let mut sources = self.sources.borrow_mut();
        // 31 bits, so that no token of ours can be one of the two fixed ones.
        let generation = self.next_generation.get();
        self.next_generation.set((generation + 1) & 0x7fff_ffff);
        token(generation, sources.insert(Entry { generation, readiness }))
    }
}

impl AsFd for Reactor {
    /// The descriptor of the poll itself: readable when anything is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.registry.mio.as_fd()
    }
}

impl std::fmt::Debug for Reactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reactor").field("sources", &self.len()).finish_non_exhaustive()
    }
}

/// A socket's half of being watched.
#[derive(Debug)]
pub(crate) struct Registration {
    readiness: Arc<Readiness>,
    /// The identity of the loop it is registered with, or 0; asked before each wait.
    home_id: AtomicU64,
    home: Mutex<Option<Home>>,
}

#[derive(Debug)]
struct Home {
    registry: Arc<Registry>,
    token: Token,
}

impl Registration {
    pub(crate) fn new() -> Self {
        Self {
            readiness: Arc::new(Readiness::new()),
            home_id: AtomicU64::new(0),
            home: Mutex::new(None),
        }
    }

    #[inline]
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Whether the loop of this identity watches the descriptor. None has the identity 0.
    #[inline]
    pub(crate) fn is_at(&self, loop_id: u64) -> bool {
        loop_id != 0 && self.home_id.load(Ordering::Acquire) == loop_id
    }

    /// Takes out all who wait, to be woken: the descriptor goes, or nobody watches it.
    #[must_use]
    pub(crate) fn take_waiters(&self) -> Vec<Waiter> {
        let mut woken = Vec::new();
        self.readiness.take_waiters(&mut woken);
        woken
    }

    /// Has `reactor` watch the descriptor from now on, and the loop before no longer.
    ///
    /// # Errors
    /// What the kernel says to registering it: too many watches; `Unsupported` for a descriptor that
    /// cannot be watched, such as a regular file. Then nobody watches it, and whoever waits is to be
    /// woken: the loop before would have told them.
    #[cold]
    pub(crate) fn attach(&self, reactor: &Reactor, fd: BorrowedFd<'_>) -> io::Result<()> {
        self.move_to(reactor, fd).map_err(|error| {
            self.readiness.refresh();
            say_why(error)
        })
    }

    fn move_to(&self, reactor: &Reactor, fd: BorrowedFd<'_>) -> io::Result<()> {
        let mut home = lock(&self.home);
        if let Some(old) = home.take() {
            self.home_id.store(0, Ordering::Release);
            old.leave(fd);
        }
        // Before the registration, whose first event says how things stand.
        self.readiness.forget();
        let token = reactor.insert(self.readiness.clone());
        let interest = Interest::READABLE | Interest::WRITABLE;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        if let Err(error) =
            reactor.registry.mio.register(&mut SourceFd(&fd.as_raw_fd()), token, interest)
        {
            reactor.remove(token);
            return Err(error);
        }
        *home = Some(Home { registry: reactor.registry.clone(), token });
        self.home_id.store(reactor.registry.loop_id, Ordering::Release);
        Ok(())
    }

    /// Ends being watched. Before the descriptor is closed or given away.
    pub(crate) fn detach(&self, fd: BorrowedFd<'_>) {
        let home = lock(&self.home).take();
        if let Some(home) = home {
            self.home_id.store(0, Ordering::Release);
            home.leave(fd);
        }
    }
}

/// The kernel's refusal in words.
fn say_why(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error;
    }
    let what = "this kind of descriptor cannot be watched (a regular file or a directory, perhaps): \
                it is always ready. Use it in `task::spawn_blocking`";
    io::Error::new(io::ErrorKind::Unsupported, what)
}

impl Home {
    fn leave(self, fd: BorrowedFd<'_>) {
        let Self { registry, token } = self;
        // It fails if the descriptor is not open any more; then the kernel has forgotten it already.
        let _ = registry.mio.deregister(&mut SourceFd(&fd.as_raw_fd()));
        (registry.forget)(&registry, token);
    }
}
