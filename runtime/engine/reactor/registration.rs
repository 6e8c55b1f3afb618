//! Which loop watches a descriptor. To a source a runtime is one loop: all of its workers share one reactor.
//!
//! A socket holds a [`Registration`]: the shared [`Readiness`], and the reactors it is registered with. Nearly
//! always that is one: of the loop that first had to wait for it. The rule is this:
//!
//! - A wait registers the descriptor with the loop that waits, unless that watches already.
//! - If nothing waits at that moment, all other registrations end: the source *moves*.
//! - If something does, they stay. A waiter at another loop is told of the event by its own loop, which may be
//!   the only one of them that turns: the new one may compute for a second, or have returned from its
//!   `block_on`. Each loop is told of each event, and the readiness is the same.
//!
//! So two loops that share a listener pay for it: both are woken for each connection, and after it the first
//! to wait again is alone until the second comes (two `epoll_ctl` a connection). A program that wants several
//! loops to accept gives each a listener of its own, a `try_clone`, or one bound with `SO_REUSEPORT`.
//!
//! Dropped, on any thread, a source deregisters everywhere: in the kernel at once, in an event loop's slab
//! through the inbox.
//!
//! What must hold: a waiter is watched for by a loop that is open, or it is woken. So a wait asks whether its own
//! loop watches, before it leaves a waiter and after; a loop that watches from now on says so before its reactor
//! can close with the source in it; and a loop that ends says so first, then wakes what waits
//! ([`Registry::close`]). `tests/models/registration.rs` runs all of this.
//!
//! **Alternative:** to move always, and wake the waiters elsewhere, to come and take the source back. Two
//! loops that wait at once would take it from each other without end.
//!
//! **Alternative:** to remember for each registration which loop asked for it last, and end those that none asked for
//! in a while. It spares a shared listener its two `epoll_ctl`, and a `try_clone` spares all of it.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use mio::Token;

use super::{
    flags::Direction,
    selector::Selector,
    source::{Caller, Readiness, Waited},
    sources::Sources,
};
use crate::engine::{
    base::primitives::{Arc, AtomicBool, Mutex, Ordering, lock, seeded},
    inbox::{Address, Inbox},
    waiting::waiter::Waiter,
};

/// What a source needs of a reactor, from any thread.
#[derive(Debug)]
pub(crate) struct Registry {
    selector: Selector,
    /// The identity of the loop, or of the runtime.
    loop_id: u64,
    sources: Where,
    is_closed: AtomicBool,
}

/// Where the sources of a reactor are, for another thread.
#[derive(Debug)]
pub(crate) enum Where {
    /// On the loop's thread. The function has the loop of this address forget a token: at once on its
    /// own thread.
    Loop(&'static Inbox, fn(Address, Token)),
    /// Behind the lock of a runtime's one reactor.
    Runtime(Arc<Mutex<Sources>>),
}

impl Registry {
    pub(crate) fn new(mio: &mio::Registry, loop_id: u64, sources: Where) -> io::Result<Self> {
        let selector = Selector::new(mio)?;
        Ok(Self { selector, loop_id, sources, is_closed: AtomicBool::new(false) })
    }

    /// Its reactor ends, with these sources: hands out all who wait on them.
    #[must_use]
    pub(crate) fn close(&self, sources: &[Arc<Readiness>]) -> Vec<Waiter> {
        self.is_closed.store(true, Ordering::Release);
        let mut woken = Vec::new();
        for readiness in sources {
            // First this: a task that is woken asks who watches, and would find that this one still does.
            let says_so_late = seeded("reactor_says_late_that_it_closes");
            if says_so_late {
                readiness.take_waiters(&mut woken);
            }
            readiness.unwatch(self.loop_id);
            if !says_so_late {
                readiness.take_waiters(&mut woken);
            }
        }
        woken
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// The kernel's half.
    #[cfg(test)]
    #[allow(dead_code, reason = "only models look")]
    pub(crate) fn selector(&self) -> &Selector {
        &self.selector
    }

    /// Registers a descriptor with the reactor, which is this one's.
    fn register(
        &self,
        reactor: &impl Watch,
        readiness: &Arc<Readiness>,
        fd: BorrowedFd<'_>,
    ) -> io::Result<Token> {
        let token = reactor.insert(readiness.clone())?;
        self.selector.register(fd, token).inspect_err(|_| self.forget(token))?;
        Ok(token)
    }

    /// Forgets a source, from any thread.
    fn forget(&self, token: Token) {
        match &self.sources {
            Where::Loop(inbox, forget) => forget(Address { loop_id: self.loop_id, inbox }, token),
            Where::Runtime(sources) => {
                let removed = lock(sources).remove(token);
                drop(removed);
            }
        }
    }
}

impl AsFd for Registry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.selector.as_fd()
    }
}

/// A reactor that a descriptor can be registered with.
pub(crate) trait Watch {
    /// # Errors
    /// If it is closed.
    fn registry(&self) -> io::Result<Arc<Registry>>;

    /// Takes a source in.
    ///
    /// # Errors
    /// If it is closed.
    fn insert(&self, readiness: Arc<Readiness>) -> io::Result<Token>;
}

/// A socket's half of being watched.
#[derive(Debug)]
pub(crate) struct Registration {
    readiness: Arc<Readiness>,
    reactors: Mutex<Reactors>,
}

/// The reactors that watch it. If there is one and no other, its loop's identity is in the readiness too.
#[derive(Debug)]
struct Reactors {
    /// The one that was added last.
    latest: Option<Registered>,
    /// Seldom any.
    others: Vec<Registered>,
}

/// One reactor that watches it, and what it calls it.
#[derive(Debug)]
struct Registered {
    registry: Arc<Registry>,
    token: Token,
}

impl Registration {
    pub(crate) fn new() -> Self {
        Self {
            readiness: Arc::new(Readiness::new()),
            reactors: Mutex::new(Reactors { latest: None, others: Vec::new() }),
        }
    }

    #[inline]
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Whether the loop of this identity watches the descriptor, or a worker of that runtime. No loop has
    /// the identity 0.
    #[inline]
    pub(crate) fn is_watched_by(&self, loop_id: u64) -> bool {
        self.readiness.is_watched_by(loop_id) || self.is_watched_by_several(loop_id)
    }

    /// [`is_watched_by`](Self::is_watched_by), where several may. `false` as well if nothing waits: to attach it
    /// anew ends the others' watches.
    #[cold]
    fn is_watched_by_several(&self, loop_id: u64) -> bool {
        if loop_id == 0 {
            return false;
        }
        let reactors = lock(&self.reactors);
        !reactors.others.is_empty() && reactors.have(loop_id) && self.readiness.is_waited_on()
    }

    /// Keeps a waiter of the loop of this identity until the direction is ready. `false`: it is ready. `attach`
    /// has that loop watch.
    ///
    /// # Errors
    /// Those of `attach`.
    #[inline(always)]
    pub(crate) fn wait(
        &self,
        loop_id: u64,
        direction: Direction,
        caller: &mut Caller<'_>,
        waiter: impl Fn() -> Waiter,
        attach: impl Fn() -> io::Result<()>,
    ) -> io::Result<bool> {
        loop {
            if !self.is_watched_by(loop_id) {
                attach()?;
                continue;
            }
            match self.readiness.wait(direction, caller, waiter()) {
                Waited::Ready(_waiter) => return Ok(false),
                Waited::Kept(replaced) => drop(replaced),
            }
            // Meanwhile another loop may have taken the source over, and closed before the waiter was there to
            // be woken. One that takes it over from here on finds it.
            if self.is_watched_by(loop_id) || seeded("registration_asks_once") {
                return Ok(true);
            }
        }
    }

    /// Takes out all who wait, to be woken: the descriptor goes.
    #[must_use]
    pub(crate) fn take_waiters(&self) -> Vec<Waiter> {
        let mut woken = Vec::new();
        self.readiness.take_waiters(&mut woken);
        woken
    }

    /// Has `reactor` watch the descriptor from now on; and no other, unless a task waits. Those put into
    /// `woken` are to be woken in any case: they may count on a loop that does not watch any more.
    ///
    /// # Errors
    /// What the kernel says to registering it: too many watches; `Unsupported` for a descriptor that
    /// cannot be watched, such as a regular file; `AlreadyExists` if another source has it watched. Then perhaps
    /// no loop watches it.
    #[cold]
    pub(crate) fn attach(
        &self,
        reactor: &impl Watch,
        fd: BorrowedFd<'_>,
        woken: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        self.attach_to(reactor, fd, woken).map_err(|error| {
            self.readiness.refresh();
            if !seeded("registration_keeps_waiters_when_refused") {
                self.readiness.take_waiters(woken);
            }
            explain(error, fd)
        })
    }

    fn attach_to(
        &self,
        reactor: &impl Watch,
        fd: BorrowedFd<'_>,
        woken: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        let registry = reactor.registry()?;
        let loop_id = registry.loop_id;
        let mut reactors = lock(&self.reactors);
        let is_new = !reactors.have(loop_id);
        // What waits may be the caller, polled elsewhere before. Then this is one watch too many, until the
        // next event: a wake-up for nothing, and never one too few.
        let end_others = || {
            reactors.end(&self.readiness, fd, |other| {
                other.registry.loop_id != loop_id || other.registry.is_closed()
            });
        };
        woken.extend(self.readiness.unless_waited_on(is_new, end_others));
        reactors.end(&self.readiness, fd, |other| other.registry.is_closed());
        let is_alone = reactors.are_none_but(loop_id);
        if !is_new {
            // It was one of several, or the last to come has closed.
            if is_alone {
                self.is_alone_from_here_on(loop_id, &reactors, woken);
            }
            return Ok(());
        }
        // Before the reactor has the source: if it closes right then, it is to have the last word.
        let says = || self.readiness.set_watched_by(if is_alone { loop_id } else { 0 });
        let says_late = seeded("registration_says_late_who_watches");
        if !says_late {
            says();
        }
        let registered = registry.register(reactor, &self.readiness, fd);
        let token = registered.inspect_err(|_| {
            if !seeded("registration_says_that_it_watches_when_refused") {
                self.readiness.unwatch(loop_id);
            }
        })?;
        if says_late {
            says();
        }
        reactors.add(Registered { registry, token });
        Ok(())
    }

    /// Notes that this loop, which watches, is the only one.
    fn is_alone_from_here_on(&self, loop_id: u64, reactors: &Reactors, woken: &mut Vec<Waiter>) {
        self.readiness.set_watched_by(loop_id);
        if !reactors.have(loop_id) && !seeded("registration_trusts_a_reactor_that_closes") {
            // It closes: it may have said so before, and woken who waited by then.
            self.readiness.unwatch(loop_id);
            self.readiness.take_waiters(woken);
        }
    }

    /// Ends being watched. Before the descriptor is closed or given away.
    pub(crate) fn detach(&self, fd: BorrowedFd<'_>) {
        lock(&self.reactors).end(&self.readiness, fd, |_| true);
    }
}

impl Reactors {
    /// Whether one of this loop or runtime is among them, and open.
    fn have(&self, loop_id: u64) -> bool {
        let mut all = self.latest.iter().chain(&self.others);
        all.any(|Registered { registry, .. }| registry.loop_id == loop_id && !registry.is_closed())
    }

    fn are_none_but(&self, loop_id: u64) -> bool {
        let mut all = self.latest.iter().chain(&self.others);
        all.all(|Registered { registry, .. }| registry.loop_id == loop_id)
    }

    fn add(&mut self, new: Registered) {
        self.others.extend(self.latest.replace(new));
    }

    /// Ends the watches of those of `which`.
    fn end(
        &mut self,
        readiness: &Readiness,
        fd: BorrowedFd<'_>,
        which: impl Fn(&Registered) -> bool,
    ) {
        let ended = self.latest.take_if(|latest| which(latest));
        for Registered { registry, token } in
            ended.into_iter().chain(self.others.extract_if(.., |other| which(other)))
        {
            readiness.unwatch(registry.loop_id);
            registry.selector.deregister(fd, token);
            registry.forget(token);
        }
        self.latest = self.latest.take().or_else(|| self.others.pop());
    }
}

/// The kernel's refusal in words.
fn explain(error: io::Error, fd: BorrowedFd<'_>) -> io::Error {
    let fd = fd.as_raw_fd();
    let (kind, what) = match error.kind() {
        io::ErrorKind::PermissionDenied => (
            io::ErrorKind::Unsupported,
            format!(
                "descriptor {fd} is of a kind that cannot be watched (a regular file or a directory, \
                 perhaps): it is always ready. Use it in `task::spawn_blocking`"
            ),
        ),
        kind @ io::ErrorKind::AlreadyExists => (
            kind,
            format!(
                "descriptor {fd} is watched already, by another `Source` of this loop or runtime: share \
                 that one (several tasks may wait for it), or make this one of a descriptor of its own, \
                 by `try_clone`"
            ),
        ),
        kind @ io::ErrorKind::StorageFull => (
            kind,
            format!(
                "the kernel watches as many descriptors for this user as it is allowed to, and descriptor \
                 {fd} would be one more (fs.epoll.max_user_watches): {error}"
            ),
        ),
        _ => return error,
    };
    io::Error::new(kind, what)
}
