//! A worker's reactor: the same sources and the same wait, behind locks.
//!
//! The worker sleeps here, with the lock of the *wait* held. A neighbour that finds this lock free has
//! found a worker that does not sleep, and may look at what the kernel has for it: the sentry does so
//! for one that is stuck in a poll, and so does a busy neighbour whose tasks' sockets stand here. So it
//! only ever tries the lock.
//!
//! The *sources* have a lock of their own, since a socket comes and goes on any thread while the worker
//! sleeps. Of all the locks of a reactor, a thread holds two at once only here: the wait, then the
//! sources, and then a source's own.
//!
//! The rival is one reactor for all workers, tokio's: whoever is idle sleeps in it, and gets up for each
//! event, while a busy worker would have come for it in a moment. Here sockets may stand together as
//! well (`scheduler/pool/mod.rs`), with one worker that sleeps there and no other.

use std::{io, time::Duration};

use mio::Token;

use super::{
    ALARM, Found,
    alarm::Alarm,
    flags::Flags,
    registration::{Registry, Watch, Where},
    source::Readiness,
    sources::Sources,
    woken::Woken,
};
use crate::engine::{
    base::{
        clock::NEVER,
        primitives::{Arc, AtomicUsize, Mutex, Ordering, lock, try_lock},
    },
    wait::{UNPARK, Unparker, Wait},
    waiting::waiter::Waiter,
};

pub(crate) struct SharedReactor {
    /// The descriptors. `None`: closed.
    kernel: Mutex<Option<Kernel>>,
    registry: Mutex<Option<Arc<Registry>>>,
    unparker: Mutex<Option<Arc<Unparker>>>,
    sources: Arc<Mutex<Sources>>,
    /// How many sources there are, or were a moment ago.
    len: AtomicUsize,
}

struct Kernel {
    wait: Wait,
    alarm: Alarm,
    /// The moment the alarm is set for; [`NEVER`] if none is.
    alarm_at: u64,
}

impl SharedReactor {
    /// One that takes up to `room` events from the kernel in one call.
    pub(crate) fn new(pool_id: u64, room: usize) -> io::Result<Self> {
        let wait = Wait::new(room)?;
        let unparker = Unparker::new(&wait)?;
        let alarm = Alarm::new(wait.registry())?;
        let sources = Arc::new(Mutex::new(Sources::new()));
        let registry = Registry::new(wait.registry(), pool_id, Where::Worker(sources.clone()))?;
        Ok(Self {
            kernel: Mutex::new(Some(Kernel { wait, alarm, alarm_at: NEVER })),
            registry: Mutex::new(Some(Arc::new(registry))),
            unparker: Mutex::new(Some(Arc::new(unparker))),
            sources,
            len: AtomicUsize::new(0),
        })
    }

    /// How many sources there are, or were at the last wait or registration.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// How many there are now.
    pub(crate) fn count(&self) -> usize {
        lock(&self.sources).len()
    }

    /// Ends the present or the next wait.
    pub(crate) fn unpark(&self) {
        let unparker = lock(&self.unparker).clone();
        if let Some(unparker) = unparker {
            unparker.unpark();
        }
    }

    /// Asks the kernel without waiting. Who is to be woken is put into `woken`.
    pub(crate) fn look(&self, woken: &mut Woken) -> io::Result<Found> {
        match &mut *lock(&self.kernel) {
            Some(kernel) => self.ask(&mut kernel.wait, Some(Duration::ZERO), woken),
            None => Ok(Found::default()),
        }
    }

    /// The same for a neighbour. `None`: somebody waits here.
    ///
    /// Unparker and alarm are edges, and the worker may be about to sleep: it has said so, and not taken
    /// the lock yet. So what the look finds of them is given back, or it would sleep through.
    pub(crate) fn try_look(&self, woken: &mut Woken) -> Option<io::Result<Found>> {
        let mut kernel = try_lock(&self.kernel)?;
        let Kernel { wait, alarm_at, .. } = kernel.as_mut()?;
        let found = self.ask(wait, Some(Duration::ZERO), woken);
        if let Ok(Found { roused: true, alarm, .. }) = found {
            if alarm {
                // Whoever sleeps next sets it again.
                *alarm_at = NEVER;
            }
            drop(kernel);
            self.unpark();
        }
        Some(found)
    }

    /// Sleeps until something comes, `until` is reached, or `limit` is over. Also tells how often the
    /// alarm had to be set for that: once at the most, since most timers are cancelled before they
    /// are due, and an alarm too early is one spurious wake-up.
    pub(crate) fn wait(
        &self,
        now: u64,
        until: u64,
        limit: Option<Duration>,
        woken: &mut Woken,
    ) -> io::Result<(Found, u64)> {
        let mut kernel = lock(&self.kernel);
        let Some(Kernel { wait, alarm, alarm_at }) = &mut *kernel else {
            return Ok((Found::default(), 0));
        };
        let mut timeout = limit;
        let mut arms = 0;
        if until != NEVER {
            let after = until.saturating_sub(now);
            if !Alarm::ENDS_WAITS || after == 0 {
                let after = Duration::from_nanos(after);
                timeout = Some(limit.map_or(after, |limit| limit.min(after)));
            } else if until < *alarm_at || *alarm_at <= now {
                alarm.set(after)?;
                *alarm_at = until;
                arms = 1;
            }
        }
        Ok((self.ask(wait, timeout, woken)?, arms))
    }

    fn ask(
        &self,
        wait: &mut Wait,
        timeout: Option<Duration>,
        woken: &mut Woken,
    ) -> io::Result<Found> {
        let mut found = Found::default();
        let events = wait.wait(timeout)?;
        if events.is_empty() {
            return Ok(found);
        }
        let sources = lock(&self.sources);
        self.len.store(sources.len(), Ordering::Relaxed);
        for event in sources.in_turn(events) {
            let token = event.token();
            if token == UNPARK || token == ALARM {
                found.roused = true;
                found.alarm |= token == ALARM;
            } else if let Some(readiness) = sources.get(token) {
                found.events += 1;
                woken.note(token, |waiters| {
                    readiness.set(Flags::of(event), |waiter| waiters.push(waiter));
                });
            }
        }
        Ok(found)
    }

    /// Closes the descriptors, and hands out all who wait on its sources. Nobody may
    /// sleep here.
    #[must_use]
    pub(crate) fn close(&self) -> Vec<Waiter> {
        drop(lock(&self.unparker).take());
        let registry = lock(&self.registry).take();
        drop(lock(&self.kernel).take());
        let sources = lock(&self.sources).close();
        registry.map_or_else(Vec::new, |registry| registry.close(&sources))
    }
}

impl Watch for SharedReactor {
    fn registry(&self) -> io::Result<Arc<Registry>> {
        lock(&self.registry).clone().ok_or_else(gone)
    }

    fn insert(&self, readiness: Arc<Readiness>) -> io::Result<Token> {
        let mut sources = lock(&self.sources);
        if sources.is_closed() {
            return Err(gone());
        }
        let token = sources.insert(readiness);
        self.len.store(sources.len(), Ordering::Relaxed);
        Ok(token)
    }
}

fn gone() -> io::Error {
    io::Error::other("the runtime has shut down")
}

impl std::fmt::Debug for SharedReactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SharedReactor").field("sources", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::engine::base::clock;

    /// Waits at `reactor` until `until`, but not really: how often the alarm was set, and what came.
    fn glance(reactor: &SharedReactor, until: u64) -> (Found, u64) {
        let now = clock::real_now();
        reactor.wait(now, until, Some(Duration::ZERO), &mut Woken::default()).unwrap()
    }

    fn neighbours_look(reactor: &SharedReactor) -> Found {
        reactor.try_look(&mut Woken::default()).expect("nobody waits here").unwrap()
    }

    #[test]
    fn a_neighbours_look_leaves_an_unpark_to_the_worker() {
        let reactor = SharedReactor::new(1, 16).unwrap();
        reactor.unpark();
        assert!(neighbours_look(&reactor).roused && neighbours_look(&reactor).roused);
        assert!(glance(&reactor, NEVER).0.roused, "the worker would sleep for ever");
        assert!(!glance(&reactor, NEVER).0.roused, "once is enough");
    }

    #[test]
    fn a_neighbours_look_leaves_the_alarm_to_the_worker() {
        let reactor = SharedReactor::new(1, 16).unwrap();
        let until = clock::real_now() + 1_000_000;
        assert_eq!(glance(&reactor, until).1, 1);
        while !neighbours_look(&reactor).alarm {}
        // It read the clock before the alarm rang, and means to sleep until the same moment.
        let waited = reactor.wait(until - 1, until, None, &mut Woken::default()).unwrap();
        assert!(waited.0.roused, "the worker would sleep past its deadline");
    }
}
