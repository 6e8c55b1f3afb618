//! The reactor of a runtime: the same sources and the same wait, behind locks, for all its workers.
//!
//! One worker at a time is *in* the reactor. A worker with nothing to do waits there: it
//! [leads](SharedReactor::lead). One that is busy looks without waiting, and only if no other is in it: with
//! one waiting there, there is nothing to look for.
//!
//! The *sources* have a lock of their own, since a socket comes and goes on any thread meanwhile. Of all
//! the locks of a reactor, a thread holds two at once only here: the kernel's, then the sources', and
//! then a source's own; or the kernel's, then the alarm's.
//!
//! There is one *alarm*, for the earliest timer of those workers that are parked. Any thread may set it
//! to an earlier moment, which ends the present wait in time.
//!
//! **Alternative:** a reactor for each worker. Each then has its own sockets alone, and is unparked
//! for the few of its own though a busy worker could do them all; and what is ready at one that is
//! stuck waits until another looks there.

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
        primitives::{Arc, AtomicBool, AtomicUsize, Mutex, Ordering, lock},
    },
    wait::{UNPARK, Unparker, Wait},
    waiting::waiter::Waiter,
};

pub(crate) struct SharedReactor {
    /// A worker is in it. (A flag beside the lock, for loom takes a `try_lock` for a `lock`.)
    in_use: AtomicBool,
    /// The wait, for the worker that is in it. `None`: closed.
    kernel: Mutex<Option<Wait>>,
    alarm: Mutex<SetAlarm>,
    registry: Mutex<Option<Arc<Registry>>>,
    unparker: Mutex<Option<Arc<Unparker>>>,
    sources: Arc<Mutex<Sources>>,
    /// How many sources there are, or were a moment ago.
    len: AtomicUsize,
    /// Events that a wait takes from the kernel.
    room: usize,
}

struct SetAlarm {
    /// `None`: closed. (A `Handle` may keep all this for long; it is to keep no descriptor.)
    alarm: Option<Alarm>,
    /// The moment it is set for; [`NEVER`] if none is.
    at: u64,
}

/// The right to ask the kernel, and to wait. One worker at a time has it.
pub(crate) struct Leading<'a> {
    reactor: &'a SharedReactor,
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        // An exchange: loom lets a store be overtaken by the exchange of a worker that found it in use.
        self.reactor.in_use.swap(false, Ordering::Release);
    }
}

impl SharedReactor {
    /// One that takes up to `room` events from the kernel in one call.
    pub(crate) fn new(pool_id: u64, room: usize) -> io::Result<Self> {
        let wait = Wait::new(room)?;
        let unparker = Unparker::new(&wait)?;
        let alarm = Alarm::new(wait.registry())?;
        let sources = Arc::new(Mutex::new(Sources::new()));
        let registry = Registry::new(wait.registry(), pool_id, Where::Runtime(sources.clone()))?;
        Ok(Self {
            in_use: AtomicBool::new(false),
            kernel: Mutex::new(Some(wait)),
            alarm: Mutex::new(SetAlarm { alarm: Some(alarm), at: NEVER }),
            registry: Mutex::new(Some(Arc::new(registry))),
            unparker: Mutex::new(Some(Arc::new(unparker))),
            sources,
            len: AtomicUsize::new(0),
            room,
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

    /// When the alarm is set for.
    #[cfg(all(test, loom))]
    pub(crate) fn alarm_at(&self) -> u64 {
        lock(&self.alarm).at
    }

    /// Waits until what it was unparked for was heard.
    #[cfg(all(test, loom))]
    pub(crate) fn wait_heard(&self) {
        let unparker = lock(&self.unparker).clone();
        unparker.expect("the reactor is open").wait_heard();
    }

    /// Sets the alarm to this moment, unless it goes off earlier anyway. `true`: it took a system call.
    ///
    /// One whose moment is past has gone off, and the worker that finds it looks at the timers of all. Setting
    /// it anew before that would take back what the kernel has not told yet.
    pub(crate) fn alarm_no_later_than(&self, at: u64, now: u64) -> io::Result<bool> {
        let mut set = lock(&self.alarm);
        let is_past = set.at <= now;
        let goes_off_earlier = at >= set.at && !is_past || is_past && Alarm::ENDS_WAITS;
        if goes_off_earlier {
            return Ok(false);
        }
        let Some(alarm) = &set.alarm else { return Ok(false) };
        if Alarm::ENDS_WAITS {
            alarm.set(at.saturating_sub(now))?;
            set.at = at;
        } else {
            // The wait has a timeout of its own, and must begin anew.
            set.at = at;
            drop(set);
            self.unpark();
        }
        Ok(true)
    }

    /// Asks the kernel without waiting, for a worker that is awake and has room for so many events. What
    /// is to be woken is put into `woken`. `None`: another worker is here, and is told of everything.
    ///
    /// Unparker and alarm are edges. What this look finds of the unparker was for a wait that is over: a
    /// worker is told to wait (`Parker::enter_reactor`) only while it leads. The alarm is the
    /// caller's to answer.
    pub(crate) fn try_look(&self, room: usize, woken: &mut Woken) -> Option<io::Result<Found>> {
        let _leading = self.lead()?;
        let mut kernel = lock(&self.kernel);
        let wait = kernel.as_mut()?;
        wait.set_room(room);
        Some(self.ask(wait, Some(Duration::ZERO), woken))
    }

    /// The right to wait here, unless another worker is in the reactor.
    pub(crate) fn lead(&self) -> Option<Leading<'_>> {
        let is_free = !self.in_use.swap(true, Ordering::Acquire);
        is_free.then(|| Leading { reactor: self })
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
                found.interrupted = true;
                found.alarm |= token == ALARM;
            } else if let Some(readiness) = sources.get(token) {
                found.events += 1;
                woken.note(token, |waiters| {
                    readiness.set(Flags::of(event), |waiter| waiters.push(waiter));
                });
            }
        }
        drop(sources);
        if found.alarm {
            lock(&self.alarm).at = NEVER;
        }
        Ok(found)
    }

    /// Closes the descriptors, and hands out all who wait on its sources. No worker may wait here.
    #[must_use]
    pub(crate) fn close(&self) -> Vec<Waiter> {
        drop(lock(&self.unparker).take());
        let registry = lock(&self.registry).take();
        drop(lock(&self.alarm).alarm.take());
        drop(lock(&self.kernel).take());
        let sources = lock(&self.sources).close();
        registry.map_or_else(Vec::new, |registry| registry.close(&sources))
    }
}

impl Leading<'_> {
    /// Waits until something comes or `until` is reached. Also tells how often the alarm had to be set for
    /// that: once at the most, since most timers are cancelled before they are due, and an alarm too early
    /// is one spurious wake-up.
    pub(crate) fn wait(
        &mut self,
        now: u64,
        until: u64,
        woken: &mut Woken,
    ) -> (io::Result<Found>, u64) {
        let mut kernel = lock(&self.reactor.kernel);
        let Some(wait) = &mut *kernel else { return (Ok(Found::default()), 0) };
        wait.set_room(self.reactor.room);
        let mut timeout = None;
        let mut arms = 0;
        if until != NEVER {
            if Alarm::ENDS_WAITS {
                match self.reactor.alarm_no_later_than(until, now) {
                    Ok(armed) => arms = u64::from(armed),
                    Err(error) => return (Err(error), 0),
                }
            } else {
                timeout = Some(Duration::from_nanos(until.saturating_sub(now)));
                lock(&self.reactor.alarm).at = until;
            }
        }
        let found = self.reactor.ask(wait, timeout, woken);
        // An alarm of this moment or an earlier one has done its work.
        let found = found.map(|found| Found {
            alarm: found.alarm || !Alarm::ENDS_WAITS && found == Found::default(),
            ..found
        });
        (found, arms)
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

    fn look(reactor: &SharedReactor) -> Found {
        reactor.try_look(16, &mut Woken::default()).expect("no worker waits here").unwrap()
    }

    #[test]
    fn with_a_worker_waiting_no_other_looks_or_waits() {
        let reactor = SharedReactor::new(1, 16).unwrap();
        let leading = reactor.lead().expect("no worker waits here");
        assert!(reactor.lead().is_none() && reactor.try_look(16, &mut Woken::default()).is_none());
        drop(leading);
        assert_eq!(look(&reactor), Found::default());
    }

    #[test]
    fn an_alarm_is_set_once_for_several_timers_unless_one_is_earlier() {
        let reactor = SharedReactor::new(1, 16).unwrap();
        let now = clock::real_now();
        let second = 1_000_000_000;
        assert!(reactor.alarm_no_later_than(now + 2 * second, now).unwrap());
        assert!(!reactor.alarm_no_later_than(now + 3 * second, now).unwrap(), "it comes sooner");
        assert!(reactor.alarm_no_later_than(now + second, now).unwrap());
    }

    #[test]
    fn an_alarm_that_went_off_is_not_taken_back_before_it_was_found() {
        let reactor = SharedReactor::new(1, 16).unwrap();
        let now = clock::real_now();
        let soon = now + 1_000_000;
        assert!(reactor.alarm_no_later_than(soon, now).unwrap());
        while clock::real_now() < soon + 1_000_000 {
            std::thread::yield_now();
        }
        // A worker parks with a timer that is far off.
        let now = clock::real_now();
        assert!(!reactor.alarm_no_later_than(now + 3_600_000_000_000, now).unwrap());
        assert!(look(&reactor).alarm, "the timer it was set for would be an hour late");
    }

    #[test]
    fn an_alarm_that_a_look_has_heard_is_set_anew() {
        let reactor = SharedReactor::new(1, 16).unwrap();
        let now = clock::real_now();
        let soon = now + 1_000_000;
        assert!(reactor.alarm_no_later_than(soon, now).unwrap());
        while !look(&reactor).alarm {}
        let (found, arms) = reactor.lead().unwrap().wait(soon - 1, soon, &mut Woken::default());
        assert!(found.unwrap().alarm, "the worker would wait past its deadline");
        assert_eq!(arms, 1);
    }
}
