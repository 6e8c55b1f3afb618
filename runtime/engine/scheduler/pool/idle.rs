//! Which workers are parked, how many of the others search, and which one is unparked next.
//!
//! The workers of a pool share one word, how many are awake and how many of those search the
//! others' queues for work, and one short list of those that are parked. Everything here is a
//! decision; the system calls are made by the callers (`parking.rs`, `mod.rs`), so that loom can run all
//! of it.
//!
//! ```text
//!            search            found
//!   AWAKE ------------> SEARCHING ----> AWAKE
//!     |                     |   ^
//!     | park                |   | unpark_one
//!     +--------> PARKED <---+   |  (by another)
//!                 |   |         |
//!        unparked |   +---------+
//!   AWAKE <-------+
//! ```
//!
//! What must hold:
//! - *No lost wake.* A worker announces that it parks, then looks at the injector and at its timers once
//!   more, then waits. A thread that injects publishes the task, then reads the word. One of the two sees the
//!   other. (A worker's own queue needs no such care: its owner is awake.)
//! - *Work-conserving.* A thread that makes work visible while a worker is parked and none searches
//!   unparks one, which searches; a worker that has found work and leaves more behind unparks the next.
//!   (`sharing.rs` says when that is known not to be worth it.)
//! - *Searching is bounded.* No more than half of the awake workers, rounded up, search at once: thieves
//!   that find nothing only slow down those that work. The last one to give up looks everywhere once
//!   more, for others may have relied on it.
//! - *One guard.* While any worker is awake, one that is parked has the guard duty (`guard.rs`): it waits
//!   for no more than a millisecond. With all of them parked there is nothing to guard, and after some looks the
//!   duty lapses. The next worker that is unparked assigns it anew.
//!
//! **Alternative:** a condition variable for all workers. It needs no list, wakes any of them, and cannot
//! say that one of them searches already.

use super::parker::{Notified, Parker};
use crate::engine::base::primitives::{AtomicU32, Mutex, Ordering, fence, lock, seeded};

/// One awake worker, in the word.
const AWAKE: u32 = 1;
/// One searching worker, in the word.
const SEARCHING: u32 = 1 << 16;

fn awake(word: u32) -> u32 {
    word % SEARCHING
}

fn searching(word: u32) -> u32 {
    word / SEARCHING
}

pub(crate) struct Idle {
    /// How many are awake, and how many of those search.
    word: AtomicU32,
    workers: u32,
    parked: Mutex<Parked>,
    parkers: Box<[Parker]>,
}

struct Parked {
    /// The last to park is the first to be unparked: its caches are warm.
    workers: Vec<usize>,
    guard: Option<usize>,
}

/// What a worker that parks has to look at before it waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLook {
    /// The injector.
    Injector,
    /// The other workers' queues as well: it was the last to search.
    Everywhere,
}

/// How a worker came to be awake again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unparked {
    /// Another one unparked it for work, and it counts as searching.
    pub(crate) searching: bool,
    /// A parked worker was assigned the guard duty or is to come to the reactor, and was notified of that.
    pub(crate) assigned: Option<Notified>,
}

/// What a parked worker is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// To wait until something comes.
    None,
    /// To wait until the guard's next look at most, and look after the others.
    Guard,
    /// Another worker or thread unparked it: it is awake.
    Work,
}

impl Idle {
    /// All workers are awake.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            word: AtomicU32::new(workers as u32 * AWAKE),
            workers: workers as u32,
            parked: Mutex::new(Parked { workers: Vec::with_capacity(workers), guard: None }),
            parkers: (0..workers).map(|_| Parker::new()).collect(),
        }
    }

    pub(crate) fn parker(&self, worker: usize) -> &Parker {
        &self.parkers[worker]
    }

    /// A worker has nothing to do. `true`: it may search, and must say how that ended, by
    /// [`found`](Self::found) or [`park`](Self::park).
    #[must_use]
    pub(crate) fn search(&self) -> bool {
        let one_more = |word| (2 * searching(word) < awake(word)).then_some(word + SEARCHING);
        if seeded("idle_counts_searchers_in_two_steps") {
            let word = self.word.load(Ordering::Relaxed);
            return one_more(word)
                .map(|_| self.word.fetch_add(SEARCHING, Ordering::AcqRel))
                .is_some();
        }
        self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_more).is_ok()
    }

    /// A worker that searched has found work. `true`: none searches now, so if there is more it has to
    /// unpark the next.
    #[must_use]
    pub(crate) fn found(&self) -> bool {
        searching(self.word.fetch_sub(SEARCHING, Ordering::AcqRel)) == 1
    }

    /// A worker announces that it parks. From here on others may unpark it. It has to look once more, as
    /// the answer says, then wait as its [`duty`](Self::duty) says, and call
    /// [`unparked`](Self::unparked) at the end.
    #[must_use]
    // ANCHOR: park
    pub(crate) fn park(&self, worker: usize, was_searching: bool) -> LastLook {
        // Reset before anybody can unpark us: a notification from here on is meant for this wait.
        self.parkers[worker].reset();
        let mut parked = lock(&self.parked);
        let leaves = AWAKE + if was_searching { SEARCHING } else { 0 };
        let before = self.word.fetch_sub(leaves, Ordering::AcqRel);
        // The one in the reactor leaves it for each event: the duty is better with another.
        let guarded = parked.guard.is_some_and(|guard| !self.parkers[guard].is_in_reactor());
        if awake(before) > 1 && !guarded {
            parked.guard = Some(worker);
        }
        parked.workers.push(worker);
        drop(parked);
        // Announced. What is looked at from here on was either there before, or the thread that puts
        // it there sees us parked.
        if !seeded("idle_parks_without_fence") {
            fence(Ordering::SeqCst);
        }
        if was_searching && searching(before) == 1 {
            LastLook::Everywhere
        } else {
            LastLook::Injector
        }
    }
    // END: park

    /// What a parked worker is to do, asked before each time it waits. A thread that changes the answer
    /// notifies it.
    #[must_use]
    pub(crate) fn duty(&self, worker: usize) -> Duty {
        // First the reset, then the look: a thread that changes the answer after it finds the parker reset.
        let late = seeded("idle_resets_after_its_look");
        if !late {
            self.parkers[worker].reset();
        }
        let parked = lock(&self.parked);
        let duty = if !parked.workers.contains(&worker) {
            Duty::Work
        } else if parked.guard == Some(worker) || seeded("idle_makes_each_a_guard") {
            Duty::Guard
        } else {
            Duty::None
        };
        drop(parked);
        if late {
            self.parkers[worker].reset();
        }
        duty
    }

    /// A worker stops being parked, if another did not unpark it already. `leaves_reactor`: it has waited in
    /// the reactor, and may be away from it for long: the guard is to come there now, and not at its next
    /// look.
    #[must_use]
    pub(crate) fn unparked(&self, worker: usize, leaves_reactor: bool) -> Unparked {
        let mut parked = lock(&self.parked);
        let index = parked.workers.iter().position(|&parked| parked == worker);
        if let Some(index) = index {
            parked.workers.remove(index);
            self.word.fetch_add(AWAKE, Ordering::AcqRel);
        }
        if parked.guard == Some(worker) {
            parked.guard = None;
        }
        let assigned = self.assign_guard(&mut parked);
        let assigned = assigned.or_else(|| if leaves_reactor { parked.guard } else { None });
        drop(parked);
        let assigned = assigned.map(|worker| self.parkers[worker].notify());
        Unparked { searching: index.is_none(), assigned }
    }

    /// Assigns the guard duty, if no worker has it and one is parked. That one is to be notified.
    fn assign_guard(&self, parked: &mut Parked) -> Option<usize> {
        if parked.guard.is_some() {
            return None;
        }
        let outside = |worker: &&usize| !self.parkers[**worker].is_in_reactor();
        let workers = &parked.workers;
        // Of those outside the reactor, the one that is unparked last.
        parked.guard = workers.iter().find(outside).or_else(|| workers.first()).copied();
        parked.guard
    }

    /// The guard has found no worker awake for long: the duty lapses. `false`: there is one after all.
    #[must_use]
    pub(crate) fn end_guard(&self, worker: usize) -> bool {
        if seeded("idle_ends_the_guard_after_an_old_look") {
            let rests = !self.is_any_awake();
            lock(&self.parked).guard.take_if(|guard| rests && *guard == worker);
            return rests;
        }
        let mut parked = lock(&self.parked);
        let rests = awake(self.word.load(Ordering::Acquire)) == 0;
        if rests && parked.guard == Some(worker) {
            parked.guard = None;
        }
        rests
    }

    /// Whether any worker is awake.
    pub(crate) fn is_any_awake(&self) -> bool {
        awake(self.word.load(Ordering::Acquire)) > 0
    }

    /// Whether this worker is parked.
    pub(crate) fn is_parked(&self, worker: usize) -> bool {
        lock(&self.parked).workers.contains(&worker)
    }

    /// The least of what `of` says of each parked worker; `u64::MAX` if none is parked.
    pub(crate) fn least_of_parked(&self, of: impl Fn(usize) -> u64) -> u64 {
        lock(&self.parked).workers.iter().map(|&worker| of(worker)).min().unwrap_or(u64::MAX)
    }

    /// Called after a task was published that no awake worker has. `knows`: whether a worker that is
    /// awake is known to come for it soon. Else one is unparked, if any is parked and none searches.
    pub(crate) fn unpark_for_injected(&self, knows: impl FnOnce() -> bool) -> Option<Notified> {
        // The task first, then the word: see `park`.
        if !seeded("idle_injects_without_fence") {
            fence(Ordering::SeqCst);
        }
        if !self.can_unpark() || (self.is_any_awake() && knows()) {
            return None;
        }
        self.unpark_one()
    }

    /// Whether a worker is parked, and none searches that would come by itself. One load.
    #[inline]
    pub(crate) fn can_unpark(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        awake(word) < self.workers && searching(word) == 0
    }

    /// Unparks a worker, to come and search. The caller carries out what is left to do.
    pub(crate) fn unpark_one(&self) -> Option<Notified> {
        let worker = {
            let mut parked = lock(&self.parked);
            let index = self.next_to_unpark(&parked)?;
            // Decided under the lock, where none can park or stop being parked meanwhile. One that
            // searches will come by: it looks everywhere before it parks.
            let one_up = |word| (searching(word) == 0).then_some(word + AWAKE + SEARCHING);
            self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_up).ok()?;
            parked.workers.remove(index)
        };
        Some(self.parkers[worker].notify())
    }

    /// The last to park; but the one with the guard duty only if there is no other outside the reactor,
    /// and the one in the reactor only if there is no other at all.
    fn next_to_unpark(&self, parked: &Parked) -> Option<usize> {
        let rank =
            |worker: usize| (!self.parkers[worker].is_in_reactor(), parked.guard != Some(worker));
        let workers = parked.workers.iter().enumerate();
        workers.max_by_key(|&(index, &worker)| (rank(worker), index)).map(|(index, _)| index)
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        let guard = lock(&self.parked).guard;
        f.debug_struct("Idle")
            .field("awake", &awake(word))
            .field("searching", &searching(word))
            .field("guard", &guard)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// So many workers, parked in order.
    fn all_parked(workers: usize) -> Idle {
        let idle = Idle::new(workers);
        for worker in 0..workers {
            let _ = idle.park(worker, false);
        }
        idle
    }

    #[test]
    fn half_of_the_awake_search_and_the_last_looks_everywhere() {
        let idle = Idle::new(3);
        assert!(idle.search() && idle.search() && !idle.search(), "two of three");
        assert_eq!(idle.park(0, true), LastLook::Injector);
        assert_eq!(idle.park(1, true), LastLook::Everywhere);
        assert_eq!(idle.park(2, false), LastLook::Injector);
    }

    #[test]
    fn the_last_to_park_is_unparked_first_and_the_guard_last() {
        let idle = Idle::new(4);
        for worker in 0..3 {
            let _ = idle.park(worker, false);
        }
        assert_eq!(
            [0, 1, 2].map(|worker| idle.duty(worker)),
            [Duty::Guard, Duty::None, Duty::None]
        );
        for worker in [2, 1, 0] {
            assert!(idle.can_unpark());
            assert_eq!(idle.unpark_one(), Some(Notified::Done));
            assert_eq!(idle.duty(worker), Duty::Work);
            assert!(!idle.can_unpark(), "one searches");
            assert_eq!(idle.unpark_one(), None, "one searches");
            let _ = idle.unparked(worker, false);
            assert!(idle.found());
        }
        assert!(!idle.can_unpark(), "all are awake");
        assert_eq!(idle.unpark_one(), None, "all are awake");
    }

    #[test]
    fn the_one_in_the_reactor_is_unparked_last_and_passes_the_duty_on() {
        let idle = Idle::new(3);
        let _ = idle.park(0, false);
        assert!(idle.parker(0).enter_reactor());
        let _ = idle.park(1, false);
        assert_eq!(idle.duty(1), Duty::Guard, "0 leaves the reactor for each event");
        assert_eq!(idle.unpark_one(), Some(Notified::Done));
        let unparked = idle.unparked(1, false);
        let expected = Unparked { searching: true, assigned: Some(Notified::InReactor) };
        assert_eq!(unparked, expected, "0 is alone, and must be told to guard");
        assert_eq!(idle.duty(0), Duty::Guard);
    }

    #[test]
    fn the_duty_goes_to_one_outside_the_reactor() {
        let idle = Idle::new(4);
        let _ = idle.park(0, false);
        assert!(idle.parker(0).enter_reactor());
        let _ = (idle.park(1, false), idle.park(2, false));
        assert_eq!(idle.duty(1), Duty::Guard);
        assert_eq!(idle.unparked(1, false).assigned, Some(Notified::Done));
        assert_eq!(idle.duty(2), Duty::Guard);
    }

    #[test]
    fn one_that_leaves_the_reactor_for_long_calls_the_guard_there() {
        let idle = Idle::new(3);
        let _ = idle.park(0, false);
        assert!(idle.parker(0).enter_reactor());
        let _ = idle.park(1, false);
        assert_eq!(idle.unparked(0, true).assigned, Some(Notified::Done));
        assert!(idle.parker(1).park(None), "the guard was notified");
    }

    #[test]
    fn with_all_parked_the_duty_lapses_and_the_next_to_get_up_assigns_it() {
        let idle = all_parked(2);
        assert_eq!(idle.duty(0), Duty::Guard);
        assert!(idle.end_guard(0));
        assert_eq!(idle.duty(0), Duty::None);
        let expected = Unparked { searching: false, assigned: Some(Notified::Done) };
        assert_eq!(idle.unparked(1, false), expected);
        assert_eq!(idle.duty(0), Duty::Guard);
        assert!(!idle.end_guard(0), "worker 1 is awake");
        assert_eq!(idle.duty(0), Duty::Guard, "so it goes on");
        let _ = idle.park(1, false);
        assert!(idle.end_guard(1));
        assert_eq!(idle.duty(0), Duty::Guard, "nobody ends another's duty");
    }

    #[test]
    fn injected_work_unparks_one_unless_an_awake_worker_is_known_to_come() {
        let idle = all_parked(2);
        assert!(idle.unpark_for_injected(|| true).is_some(), "none is awake");
        assert!(idle.unpark_for_injected(|| false).is_none(), "one searches");
        let _ = idle.unparked(1, false);
        assert!(idle.found());
        assert!(idle.unpark_for_injected(|| true).is_none());
        assert!(idle.unpark_for_injected(|| false).is_some());
    }
}
