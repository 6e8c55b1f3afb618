//! Where a descriptor is watched.
//!
//! A socket holds a [`Registration`]: the shared [`Readiness`], and with which reactors it is registered.
//! Nearly always that is one: of the loop that first had to wait for it. Waited for on another loop, it moves
//! there. But if somebody still waits at the old one, it is watched by both, for that loop may be the only one
//! of the two that gets round to it: its neighbour may compute for a second, or have been left by its
//! `block_on`. Each of them then hears of each event, and the readiness is the same. Dropped, on any thread, a
//! source deregisters everywhere: in the kernel at once, in an event loop's slab through the inbox.
//!
//! What must hold: whoever waits is watched for. So a wait asks whether its own loop watches, before it
//! leaves a waiter and after; and a loop that goes says so first, then wakes who waits ([`Registry::close`]).
//!
//! The rival is to move always, and have whoever waits elsewhere woken, to come and take it back: two loops
//! that share a listener would take it from each other for each connection.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use mio::{Interest, Token, unix::SourceFd};

use super::{source::Readiness, sources::Sources};
use crate::engine::{
    base::primitives::{Arc, AtomicBool, Mutex, Ordering, lock, seeded},
    inbox::{Address, Inbox},
    waiting::waiter::Waiter,
};

/// What a source needs of a reactor, from any thread.
#[derive(Debug)]
pub(crate) struct Registry {
    mio: mio::Registry,
    /// The identity of the loop, or of the runtime, all of whose workers have one.
    loop_id: u64,
    sources: Where,
    is_closed: AtomicBool,
}

/// Where the sources of a reactor are, for another thread.
#[derive(Debug)]
pub(super) enum Where {
    /// On the loop's thread. The function has the loop of this address forget a token: at once on its
    /// own thread.
    Loop(&'static Inbox, fn(Address, Token)),
    Worker(Arc<Mutex<Sources>>),
}

impl Registry {
    pub(super) fn new(mio: &mio::Registry, loop_id: u64, sources: Where) -> io::Result<Self> {
        let mio = mio.try_clone()?;
        Ok(Self { mio, loop_id, sources, is_closed: AtomicBool::new(false) })
    }

    /// Its reactor goes, with these sources: hands out all who wait on them.
    #[must_use]
    pub(super) fn close(&self, sources: &[Arc<Readiness>]) -> Vec<Waiter> {
        self.is_closed.store(true, Ordering::Release);
        let mut woken = Vec::new();
        for readiness in sources {
            // First this: woken, they look for who watches it now, and a guest of this runtime would find
            // that it still does.
            let says_so_late = seeded("reactor_says_late_that_it_closes");
            if says_so_late {
                readiness.take_waiters(&mut woken);
            }
            readiness.leave_home(self.loop_id);
            if !says_so_late {
                readiness.take_waiters(&mut woken);
            }
        }
        woken
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Registers a descriptor with the reactor, which is this one's.
    fn register(
        &self,
        reactor: &impl Watch,
        readiness: &Arc<Readiness>,
        fd: BorrowedFd<'_>,
    ) -> io::Result<Token> {
        let token = reactor.insert(readiness.clone())?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let interest = interest | Interest::PRIORITY;
        if let Err(error) = self.mio.register(&mut SourceFd(&fd.as_raw_fd()), token, interest) {
            self.forget(token);
            return Err(error);
        }
        Ok(token)
    }

    /// Forgets a source, from whichever thread.
    fn forget(&self, token: Token) {
        match &self.sources {
            Where::Loop(inbox, forget) => forget(Address { loop_id: self.loop_id, inbox }, token),
            Where::Worker(sources) => {
                let removed = lock(sources).remove(token);
                drop(removed);
            }
        }
    }
}

impl AsFd for Registry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mio.as_fd()
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
    homes: Mutex<Homes>,
}

/// Where it is registered.
#[derive(Debug)]
struct Homes {
    /// Where it came last. Its loop's identity is in the readiness too, to be asked before each wait.
    last: Option<Home>,
    /// Where others waited then. Seldom there, and so apart: most sources have one home.
    beside: Option<Box<Beside>>,
}

#[derive(Debug, Default)]
struct Beside {
    others: Vec<Home>,
    /// Which loop asked last whether it watches, and how often in a row.
    asked_by: u64,
    asks: u32,
}

/// So often one loop of several asks in a row, before the others are taken for gone.
const ASKS: u32 = 64;

#[derive(Debug)]
struct Home {
    registry: Arc<Registry>,
    token: Token,
}

impl Registration {
    pub(crate) fn new() -> Self {
        Self {
            readiness: Arc::new(Readiness::new()),
            homes: Mutex::new(Homes { last: None, beside: None }),
        }
    }

    #[inline]
    pub(crate) fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Whether the loop of this identity watches the descriptor, or a worker of that runtime. None has
    /// the identity 0.
    #[inline]
    pub(crate) fn is_at(&self, loop_id: u64) -> bool {
        self.readiness.is_at(loop_id) || self.is_also_at(loop_id)
    }

    /// [`is_at`](Self::is_at), where there may be several homes. `false` as well if they are too many: to be
    /// attached anew ends the others.
    #[cold]
    fn is_also_at(&self, loop_id: u64) -> bool {
        if loop_id == 0 {
            return false;
        }
        let mut homes = lock(&self.homes);
        homes.note_ask(loop_id);
        match &homes.beside {
            Some(_) => homes.watch_for(loop_id) && !self.are_too_many(&homes),
            // The one that came last has gone, and this one was there before.
            None => homes.watch_for(loop_id) && self.settle_alone(&homes, loop_id),
        }
    }

    /// Notes that this loop watches and no other. `false`: it closed in the same moment, and may have said so
    /// before.
    fn settle_alone(&self, homes: &Homes, loop_id: u64) -> bool {
        self.readiness.settle(loop_id);
        let watches = homes.watch_for(loop_id);
        if !watches {
            self.readiness.leave_home(loop_id);
        }
        watches
    }

    /// Whether the others are there for nobody: none of their loops has asked for long, and nobody waits. (Two
    /// that share a listener are both woken for each connection, and neither waits for a moment.)
    fn are_too_many(&self, homes: &Homes) -> bool {
        homes.beside.as_ref().is_some_and(|beside| beside.asks > ASKS)
            && !self.readiness.is_waited_on()
    }

    /// Takes out all who wait, to be woken: the descriptor goes.
    #[must_use]
    pub(crate) fn take_waiters(&self) -> Vec<Waiter> {
        let mut woken = Vec::new();
        self.readiness.take_waiters(&mut woken);
        woken
    }

    /// Has `reactor` watch the descriptor from now on; and no other, unless somebody waits. Those put into
    /// `woken` are to be woken in any case: they may count on a loop that does not watch any more.
    ///
    /// # Errors
    /// What the kernel says to registering it: too many watches; `Unsupported` for a descriptor that
    /// cannot be watched, such as a regular file. Then perhaps nobody watches it, and whoever waits is to be
    /// woken: the loop before would have told them.
    #[cold]
    pub(crate) fn attach(
        &self,
        reactor: &impl Watch,
        fd: BorrowedFd<'_>,
        woken: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        self.attach_to(reactor, fd, woken).map_err(|error| {
            self.readiness.refresh();
            self.readiness.take_waiters(woken);
            say_why(error)
        })
    }

    fn attach_to(
        &self,
        reactor: &impl Watch,
        fd: BorrowedFd<'_>,
        woken: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        let registry = reactor.registry()?;
        let mut homes = lock(&self.homes);
        if homes.watch_for(registry.loop_id) {
            // A neighbour was faster; or it is here beside others, for whom nobody waits any more. Whoever comes
            // to wait there finds it gone, for that too is asked with the lock held.
            if self.are_too_many(&homes) {
                homes.leave(&self.readiness, fd, |home| home.registry.loop_id != registry.loop_id);
                self.settle_alone(&homes, registry.loop_id);
            }
            return Ok(());
        }
        // Who waits may be ourselves, polled elsewhere before. Then this is one watch too many, for a while: a
        // wake-up for nothing, and never one too few.
        woken.extend(self.readiness.vacate(|| homes.leave(&self.readiness, fd, |_| true)));
        homes.leave(&self.readiness, fd, |home| home.registry.is_closed());
        // Before the reactor knows of it: if that closes right then, it is the one to have the last word.
        self.readiness.settle(registry.loop_id);
        let registered = registry.register(reactor, &self.readiness, fd);
        let token = registered.inspect_err(|_| self.readiness.leave_home(registry.loop_id))?;
        let loop_id = registry.loop_id;
        if let Some(before) = homes.last.replace(Home { registry, token }) {
            homes.beside.get_or_insert_default().others.push(before);
        }
        if homes.beside.is_some() {
            self.readiness.settle_beside_others(loop_id);
        }
        Ok(())
    }

    /// Ends being watched. Before the descriptor is closed or given away.
    pub(crate) fn detach(&self, fd: BorrowedFd<'_>) {
        lock(&self.homes).leave(&self.readiness, fd, |_| true);
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

impl Homes {
    fn note_ask(&mut self, loop_id: u64) {
        if let Some(Beside { asked_by, asks, .. }) = self.beside.as_deref_mut() {
            *asks = if *asked_by == loop_id { asks.saturating_add(1) } else { 0 };
            *asked_by = loop_id;
        }
    }

    fn watch_for(&self, loop_id: u64) -> bool {
        let others = self.beside.iter().flat_map(|beside| &beside.others);
        let mut homes = self.last.iter().chain(others);
        homes.any(|Home { registry, .. }| registry.loop_id == loop_id && !registry.is_closed())
    }

    /// Leaves those of `which`.
    fn leave(&mut self, readiness: &Readiness, fd: BorrowedFd<'_>, which: impl Fn(&Home) -> bool) {
        let end = |home: Home| {
            readiness.leave_home(home.registry.loop_id);
            home.leave(fd);
        };
        self.last.take_if(|home| which(home)).into_iter().for_each(end);
        if let Some(mut beside) = self.beside.take() {
            beside.others.extract_if(.., |home| which(home)).for_each(end);
            self.last = self.last.take().or_else(|| beside.others.pop());
            self.beside = (!beside.others.is_empty()).then_some(beside);
        }
    }
}

impl Home {
    fn leave(self, fd: BorrowedFd<'_>) {
        let Self { registry, token } = self;
        // It fails if the descriptor is not open any more; then the kernel has forgotten it already.
        let _ = registry.mio.deregister(&mut SourceFd(&fd.as_raw_fd()));
        registry.forget(token);
    }
}
