//! One descriptor's readiness, and who waits for it.
//!
//! A [`Readiness`] is what the reactor and a socket share: a word that says in which directions the
//! kernel last called the descriptor ready, and the wakers to call when that changes. The reactor
//! sets bits; an operation that met `WouldBlock` clears them. Between the two stands a *tick*: the
//! reactor advances it with each event, and a clear counts only if the tick is still the one read
//! before the system call. Else an event that arrived between the call and the clear would be lost,
//! and with edge-triggered registration it never comes again.
//!
//! ```text
// ANCHOR: word
//!    31                    8 7        0
//!   +-----------------------+----------+
//!   |         tick          |  flags   |
//!   +-----------------------+----------+
// END: word
//! ```
//!
//! Per direction there is one waker slot, for the `poll_*` traits, whose caller is one task at a time
//! by their `&mut`, and a list of keyed waiters, for the `&self` futures: two tasks may well wait in
//! `accept` on one listener, and a single slot would lose one of them. Readiness wakes all.
//!
//! A fresh descriptor counts as ready: its first operation goes straight to the kernel.

use std::{mem, task::Waker};

use crate::primitives::{AtomicU32, Mutex, Ordering, lock, seeded};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Read,
    Write,
}

/// What the kernel said of a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    pub(crate) const READABLE: Self = Self(1);
    pub(crate) const WRITABLE: Self = Self(2);
    pub(crate) const READ_CLOSED: Self = Self(4);
    pub(crate) const WRITE_CLOSED: Self = Self(8);
    pub(crate) const ERROR: Self = Self(16);
    /// Urgent data lies ahead: a read stops before it, and more may lie behind.
    pub(crate) const PRIORITY: Self = Self(32);

    const FRESH: u32 = Self::READABLE.0 | Self::WRITABLE.0;

    pub(crate) fn of(event: &mio::event::Event) -> Self {
        let mut flags = 0;
        let mut add = |on: bool, flag: Self| flags |= if on { flag.0 } else { 0 };
        add(event.is_readable(), Self::READABLE);
        add(event.is_writable(), Self::WRITABLE);
        add(event.is_read_closed(), Self::READ_CLOSED);
        add(event.is_write_closed(), Self::WRITE_CLOSED);
        add(event.is_error(), Self::ERROR);
        add(event.is_priority(), Self::PRIORITY);
        Self(flags)
    }
}

impl Direction {
    /// The flags that make an operation in this direction worth trying. An error or a hang-up does:
    /// the operation is how one learns of it.
    const fn mask(self) -> u32 {
        match self {
            Self::Read => {
                Flags::READABLE.0 | Flags::READ_CLOSED.0 | Flags::ERROR.0 | Flags::PRIORITY.0
            }
            Self::Write => Flags::WRITABLE.0 | Flags::WRITE_CLOSED.0 | Flags::ERROR.0,
        }
    }

    /// The flags under which a short count does not mean empty or full.
    const fn no_short_cut(self) -> u32 {
        match self {
            Self::Read => Flags::READ_CLOSED.0 | Flags::ERROR.0 | Flags::PRIORITY.0,
            Self::Write => Flags::WRITE_CLOSED.0 | Flags::ERROR.0,
        }
    }
}

const TICK: u32 = 1 << 8;

/// The word as it stood before an operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen(u32);

/// A keyed waiter's key. 0 is none yet.
pub(crate) type WaiterKey = u32;

#[derive(Debug)]
pub(crate) struct Readiness {
    word: AtomicU32,
    /// How many keyed waiters there are.
    keyed: AtomicU32,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    slots: [Option<Waker>; 2],
    keyed: Vec<Waiter>,
    last_key: WaiterKey,
}

#[derive(Debug)]
struct Waiter {
    key: WaiterKey,
    direction: Direction,
    waker: Waker,
}

/// Where a waker is to be kept.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// The direction's one slot.
    Slot,
    /// The list, under this key; a key of 0 is replaced by a new one.
    Keyed(&'a mut WaiterKey),
}

impl Readiness {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(Flags::FRESH),
            keyed: AtomicU32::new(0),
            waiters: Mutex::new(Waiters::default()),
        }
    }

    /// The word, if an operation in this direction is worth trying.
    #[inline]
    pub(crate) fn ready(&self, direction: Direction) -> Option<Seen> {
        let word = self.word.load(Ordering::Acquire);
        (word & direction.mask() != 0).then_some(Seen(word))
    }

    /// The operation met `WouldBlock`: the direction is not ready, unless an event came meanwhile.
    pub(crate) fn clear(&self, direction: Direction, seen: Seen) {
        self.clear_flags(direction.mask(), seen);
    }

    /// A stream gave or took less than it was asked for, so the next operation would meet
    /// `WouldBlock`, unless the stream is at its end or has urgent data ahead: measured, a read stops
    /// before an urgent byte, and no event follows for what lies behind it.
    #[inline]
    pub(crate) fn clear_after_short_count(&self, direction: Direction, seen: Seen) {
        if seen.0 & direction.no_short_cut() == 0 {
            self.clear_flags(direction.mask(), seen);
        }
    }

    // ANCHOR: clear
    fn clear_flags(&self, flags: u32, seen: Seen) {
        if seeded("source_clear_ignores_tick") {
            self.word.fetch_and(!flags, Ordering::AcqRel);
            return;
        }
        // On failure the word moved on. Either an event came, and the readiness stands; or the other
        // direction was cleared, and this one still can be.
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word & !0xff == seen.0 & !0xff).then_some(word & !flags)
        });
    }
    // END: clear

    /// An event: sets flags, advances the tick, and moves the wakers to call into `wakers`.
    pub(crate) fn set(&self, flags: Flags, wakers: &mut Vec<Waker>) {
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some((word | flags.0).wrapping_add(TICK))
        });
        let mut waiters = lock(&self.waiters);
        for (slot, direction) in [(0, Direction::Read), (1, Direction::Write)] {
            if flags.0 & direction.mask() != 0
                && let Some(waker) = waiters.slots[slot].take()
            {
                wakers.push(waker);
            }
        }
        let mut at = 0;
        while let Some(waiter) = waiters.keyed.get(at) {
            if flags.0 & waiter.direction.mask() == 0 {
                at += 1;
                continue;
            }
            wakers.push(waiters.keyed.remove(at).waker);
            if seeded("source_wakes_one_waiter") {
                break;
            }
        }
        self.count_keyed(&waiters);
    }

    /// Tells those who leave whether there is anything to leave. With the lock held.
    #[inline]
    fn count_keyed(&self, waiters: &Waiters) {
        self.keyed.store(waiters.keyed.len() as u32, Ordering::Relaxed);
    }

    /// The descriptor is registered anew: what was known of it is void. The registration's first
    /// event says how things stand.
    pub(crate) fn forget(&self) {
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some((word & !0xff).wrapping_add(TICK))
        });
    }

    /// Nobody watches the descriptor: as if fresh, the next operation asks the kernel.
    pub(crate) fn refresh(&self) {
        let _ = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            Some(((word & !0xff) | Flags::FRESH).wrapping_add(TICK))
        });
    }

    /// Keeps `waker` until the direction is ready. `false`: it is ready already, and nothing is kept.
    ///
    /// Wakers are foreign: the caller cloned this one in the open, and drops what comes back there.
    #[must_use]
    pub(crate) fn wait(
        &self,
        direction: Direction,
        place: Place<'_>,
        waker: Waker,
    ) -> (bool, Option<Waker>) {
        let mut waiters = lock(&self.waiters);
        // Under the lock: an event sets the word before it takes the lock to look for waiters, so
        // either we see its flags here or it sees our waker there.
        if self.ready(direction).is_some() && !seeded("source_wait_without_second_look") {
            return (false, Some(waker));
        }
        match place {
            Place::Slot => (true, waiters.slots[direction as usize].replace(waker)),
            Place::Keyed(key) => {
                if let Some(waiter) = waiters.keyed.iter_mut().find(|waiter| waiter.key == *key) {
                    return (true, Some(mem::replace(&mut waiter.waker, waker)));
                }
                waiters.last_key = waiters.last_key.wrapping_add(1).max(1);
                *key = waiters.last_key;
                let key = *key;
                waiters.keyed.push(Waiter { key, direction, waker });
                self.count_keyed(&waiters);
                (true, None)
            }
        }
    }

    /// Removes a keyed waiter whose future is dropped. Its waker is dropped by the caller.
    #[must_use]
    #[inline]
    pub(crate) fn leave(&self, key: WaiterKey) -> Option<Waker> {
        // Mostly an event has taken the waiter out. Whoever put it in reads here no older a count
        // than that of the moment when it went in, so 0 means that it is out.
        if self.keyed.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let mut waiters = lock(&self.waiters);
        let at = waiters.keyed.iter().position(|waiter| waiter.key == key)?;
        let left = waiters.keyed.swap_remove(at).waker;
        self.count_keyed(&waiters);
        Some(left)
    }

    /// Moves all wakers into `wakers`: the loop that would have woken them is going.
    pub(crate) fn take_waiters(&self, wakers: &mut Vec<Waker>) {
        let mut waiters = lock(&self.waiters);
        wakers.extend(waiters.slots.iter_mut().filter_map(Option::take));
        wakers.extend(waiters.keyed.drain(..).map(|waiter| waiter.waker));
        self.count_keyed(&waiters);
    }

    /// Whether anybody waits.
    pub(crate) fn is_waited_on(&self) -> bool {
        let waiters = lock(&self.waiters);
        waiters.slots.iter().any(Option::is_some) || !waiters.keyed.is_empty()
    }
}
