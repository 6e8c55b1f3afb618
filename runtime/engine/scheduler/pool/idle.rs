//! Who sleeps, who searches, who keeps guard, and whom to unpark.
//!
//! The workers of a pool share one word, how many are awake and how many of those search their
//! neighbours' queues for work, and one short list, who is parked. Everything here is a decision;
//! the system calls are made by the callers (`parking.rs`, `mod.rs`), so that loom can run all of it.
//!
//! ```text
//!            search            found
//!   AWAKE ------------> SEARCHING ----> AWAKE
//!     |                     |   ^
//!     | lie_down            |   | pick
//!     +--------> PARKED <---+   |  (by another)
//!                 |   |         |
//!          rise   |   +---------+
//!   AWAKE <-------+
//! ```
//!
//! What must hold:
//! - *No lost wake.* A worker publishes that it lies down, then looks at the injector once more, then
//!   sleeps. Whoever injects publishes the task, then reads the word. One of the two sees the other.
//!   (A worker's own queue needs no such care: its owner is awake.)
//! - *Searching is bounded.* No more than half of the awake workers, rounded up, search at once: thieves
//!   that find nothing only slow down those who work. The last one to give up looks everywhere once more, for
//!   others may have relied on it.
//! - *One sentry.* While any worker is awake, one that is parked keeps guard: it sleeps for no more
//!   than a tick, and sees to it that nobody's work waits behind a poll that takes long. Never two.
//!   With everybody parked there is nothing to guard, and after some looks it stands down. The next
//!   to get up appoints a new one.
//!
//! The rival is to unpark a neighbour with each task that is scheduled, tokio's way: the sentry is
//! not needed then, and a message to a task costs a system call whenever a core is free.

use crate::engine::{
    base::primitives::{AtomicU32, Mutex, Ordering, fence, lock, seeded},
    park::ParkWord,
};

/// What it takes until a neighbour is up and at work, in nanoseconds: the call, its way out of the
/// kernel, and all the memory that it has to fetch. A backlog that is done sooner is better done alone.
pub(crate) const HELP_TAKES: u64 = 50_000;
/// What a poll costs at the least. Estimates of less are of tasks that did nothing yet.
const LEAST_POLL: u64 = 50;
/// Who has been busy for so long, in nanoseconds, is likely to be for longer.
const LONG_BUSY: u64 = 1_000_000;
/// What a backlog must be worth to be shared with one who is awake, in nanoseconds. Tasks that talk to
/// each other are quicker on one processor than on two.
const WORTH_STEALING: u64 = 10_000;
/// The same for the sentry, which comes by seldom.
const WORTH_GETTING_UP: u64 = 1_000;
/// So many are worth sharing whatever they cost: not all of them talk to each other.
const MANY: usize = 64;
/// So many that wait behind a long poll are likely to be as long.
const ALIKE: usize = 8;

/// What a poll is likely to take, with so many waiting behind it, when those since the clock was last read
/// took `latest`, and those before up to `before` (see [`peak`]).
///
/// One slow poll says little of the next: a queue has grown, or the kernel ran something else for a
/// while. Two do; and so does one that took longer than help does, behind which many wait, for it may
/// be the first of many.
pub(crate) fn likely_cost(waiting: usize, latest: u64, before: u64) -> u64 {
    if waiting >= ALIKE && latest > HELP_TAKES { latest } else { latest.min(before) }
}

/// Whether `waiting` runnables are worth unparking a neighbour for, when a poll took `poll_cost`
/// nanoseconds of late, their worker was never idle for `busy` nanoseconds, and help takes so many.
/// The first of them runs here in any case.
pub(crate) fn worth_unparking(waiting: usize, poll_cost: u64, busy: u64, help_takes: u64) -> bool {
    let others = waiting.saturating_sub(1);
    backlog(others, poll_cost.max(LEAST_POLL)) > help_takes
        || (busy > LONG_BUSY && worth_stealing(others, poll_cost))
}

/// Whether `waiting` runnables of a neighbour are worth stealing from, by one who is awake and has
/// nothing else to do. All of them wait behind the poll that goes on there.
pub(crate) fn worth_stealing(waiting: usize, poll_cost: u64) -> bool {
    waiting >= MANY || backlog(waiting, poll_cost) > WORTH_STEALING
}

/// The same for the sentry, which would sleep on.
pub(crate) fn worth_getting_up(waiting: usize, poll_cost: u64) -> bool {
    backlog(waiting, poll_cost) > WORTH_GETTING_UP
}

/// What polls took up to, when the clock was read before: it is forgotten by halves, so that slow polls
/// with quick ones between them are no surprise each time.
pub(crate) fn peak(before: u64, latest: u64) -> u64 {
    latest.max(before / 2)
}

/// How long `waiting` runnables take, in nanoseconds.
fn backlog(waiting: usize, poll_cost: u64) -> u64 {
    (waiting as u64).saturating_mul(poll_cost)
}

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
    /// How each worker is roused.
    doors: Box<[ParkWord]>,
}

struct Parked {
    /// The last to lie down is the first to be picked: its caches are warm.
    workers: Vec<usize>,
    sentry: Option<usize>,
}

/// What a worker that lies down has to look at before it sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastLook {
    /// The injector.
    Injector,
    /// The neighbours' queues as well: it was the last to search.
    Everywhere,
}

/// How a worker came to be up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Risen {
    /// Somebody picked it for work, and it counts as searching.
    pub(crate) searching: bool,
    /// Nobody keeps guard: this one was appointed and must be unparked.
    pub(crate) unpark: Option<usize>,
}

/// Where a parked worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    /// It sleeps until something comes.
    Asleep,
    /// It sleeps for a tick at most.
    Sentry,
    /// It was picked: it is up.
    Picked,
}

impl Idle {
    /// All workers are awake.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            word: AtomicU32::new(workers as u32 * AWAKE),
            workers: workers as u32,
            parked: Mutex::new(Parked { workers: Vec::with_capacity(workers), sentry: None }),
            doors: (0..workers).map(|_| ParkWord::new()).collect(),
        }
    }

    /// A worker has nothing to do. `true`: it may search, and must say how that ended, by
    /// [`found`](Self::found) or [`lie_down`](Self::lie_down).
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

    /// Whether the worker that asks is the only one that searches.
    pub(crate) fn searches_alone(&self) -> bool {
        searching(self.word.load(Ordering::Relaxed)) == 1
    }

    /// A worker that searched has found work. `true`: nobody searches now, so if there is more it has
    /// to unpark the next.
    #[must_use]
    pub(crate) fn found(&self) -> bool {
        searching(self.word.fetch_sub(SEARCHING, Ordering::AcqRel)) == 1
    }

    /// A worker is about to park. From here on others may pick it. It has to look once more, as the
    /// answer says, and then either [`rise`](Self::rise) or [`sleep`](Self::sleep).
    #[must_use]
    // ANCHOR: lie_down
    pub(crate) fn lie_down(&self, worker: usize, was_searching: bool) -> LastLook {
        // Reset before anybody can pick us: a notification from here on is meant for this sleep.
        self.doors[worker].awake();
        let mut parked = lock(&self.parked);
        let leaves = AWAKE + if was_searching { SEARCHING } else { 0 };
        let before = self.word.fetch_sub(leaves, Ordering::AcqRel);
        let vacant = parked.sentry.is_none() || seeded("idle_every_sleeper_is_a_sentry");
        if vacant && awake(before) > 1 {
            parked.sentry = Some(worker);
        }
        parked.workers.push(worker);
        drop(parked);
        // Published. What is looked at from here on was either there before, or whoever puts it
        // there sees us lie.
        if !seeded("idle_lies_down_without_fence") {
            fence(Ordering::SeqCst);
        }
        if was_searching && searching(before) == 1 {
            LastLook::Everywhere
        } else {
            LastLook::Injector
        }
    }
    // END: lie_down

    /// What a parked worker is to do, asked before each time it sleeps. Whoever changes the answer
    /// rouses it.
    #[must_use]
    pub(crate) fn post(&self, worker: usize) -> Post {
        // First the reset, then the look: who changes the answer after it finds the door reset.
        let early = (!seeded("idle_resets_after_its_look")).then(|| self.doors[worker].awake());
        let parked = lock(&self.parked);
        let post = if !parked.workers.contains(&worker) {
            Post::Picked
        } else if parked.sentry == Some(worker) {
            Post::Sentry
        } else {
            Post::Asleep
        };
        drop(parked);
        early.unwrap_or_else(|| self.doors[worker].awake());
        post
    }

    /// The last step before a worker sleeps in the kernel. `false`: it was roused, and must not.
    #[must_use]
    pub(crate) fn sleep(&self, worker: usize) -> bool {
        self.doors[worker].park()
    }

    /// It is back from the kernel. `true`: another thread roused it.
    pub(crate) fn slept(&self, worker: usize) -> bool {
        self.doors[worker].unparked()
    }

    /// A worker gets up, if it was not picked already.
    #[must_use]
    pub(crate) fn rise(&self, worker: usize) -> Risen {
        let mut parked = lock(&self.parked);
        let at = parked.workers.iter().position(|&parked| parked == worker);
        if let Some(at) = at {
            parked.workers.remove(at);
            self.word.fetch_add(AWAKE, Ordering::AcqRel);
        }
        if parked.sentry == Some(worker) {
            parked.sentry = None;
        }
        let appointed = parked.appoint();
        drop(parked);
        let unpark = appointed.filter(|&worker| self.doors[worker].notify());
        Risen { searching: at.is_none(), unpark }
    }

    /// The sentry has had nothing to guard for long. `false`: there is somebody to guard after all.
    #[must_use]
    pub(crate) fn stand_down(&self, worker: usize) -> bool {
        if seeded("idle_stands_down_after_an_old_look") {
            let rests = !self.anybody_awake();
            lock(&self.parked).sentry.take_if(|sentry| rests && *sentry == worker);
            return rests;
        }
        let mut parked = lock(&self.parked);
        let rests = awake(self.word.load(Ordering::Acquire)) == 0;
        if rests && parked.sentry == Some(worker) {
            parked.sentry = None;
        }
        rests
    }

    /// Whether any worker is awake.
    pub(crate) fn anybody_awake(&self) -> bool {
        awake(self.word.load(Ordering::Acquire)) > 0
    }

    /// Called after work was published that no awake worker owns: whether somebody must come for it.
    /// One who is awake will get to it, and gets help if it is much; `late` is asked whether that may
    /// take too long.
    #[must_use]
    pub(crate) fn pick_for_injected(&self, late: impl FnOnce() -> bool) -> Option<usize> {
        // The work first, then the word: see `lie_down`.
        if !seeded("idle_injects_without_fence") {
            fence(Ordering::SeqCst);
        }
        if !self.anybody_awake() || (self.has_help() && late()) { self.pick() } else { None }
    }

    /// Whether a worker is parked, and none searches who would come by itself. One load.
    #[inline]
    pub(crate) fn has_help(&self) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        awake(word) < self.workers && searching(word) == 0
    }

    /// Picks a parked worker to come and search. The caller must unpark the one that is returned.
    #[must_use]
    pub(crate) fn pick(&self) -> Option<usize> {
        let picked = {
            let mut parked = lock(&self.parked);
            let last = *parked.workers.last()?;
            // Decided under the lock, where nobody can get up or lie down meanwhile. One who searches
            // will come by: it looks everywhere before it parks.
            let one_up = |word| (searching(word) == 0).then_some(word + AWAKE + SEARCHING);
            self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, one_up).ok()?;
            // The sentry is the last to be called off.
            let guards = parked.sentry == Some(last) && parked.workers.len() > 1;
            let at = parked.workers.len() - if guards { 2 } else { 1 };
            let picked = parked.workers.remove(at);
            if parked.sentry == Some(picked) {
                parked.sentry = None;
            }
            picked
        };
        self.doors[picked].notify().then_some(picked)
    }

    /// Rouses a worker wherever it is, without picking it: its earliest deadline changed, or the pool
    /// shuts down. `true`: it must be unparked.
    #[must_use]
    pub(crate) fn rouse(&self, worker: usize) -> bool {
        self.doors[worker].notify()
    }
}

impl Parked {
    /// Appoints a sentry, if there is none and somebody to do it. It must be roused.
    fn appoint(&mut self) -> Option<usize> {
        if self.sentry.is_some() {
            return None;
        }
        // The one who has slept longest is the last to be picked.
        self.sentry = self.workers.first().copied();
        self.sentry
    }
}

impl std::fmt::Debug for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = self.word.load(Ordering::Relaxed);
        let sentry = lock(&self.parked).sentry;
        f.debug_struct("Idle")
            .field("awake", &awake(word))
            .field("searching", &searching(word))
            .field("sentry", &sentry)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn unparks(waiting: usize, poll_cost: u64, busy: u64) -> bool {
        worth_unparking(waiting, poll_cost, busy, HELP_TAKES)
    }

    #[test]
    fn what_help_takes_can_be_set() {
        assert!(worth_unparking(2, 0, 0, 0), "one waits for another's poll");
        assert!(!worth_unparking(1, u64::MAX, 0, 0), "it runs here");
        assert!(!worth_unparking(1_000, 1_000_000, 0, u64::MAX));
    }

    #[test]
    fn a_lone_runnable_is_worth_nobody_however_slow() {
        assert!(!unparks(0, u64::MAX, u64::MAX));
        assert!(!unparks(1, u64::MAX, u64::MAX), "it runs here");
    }

    #[test]
    fn slow_polls_make_a_short_queue_worth_it() {
        assert!(unparks(2, 1_000_000, 0), "the second would wait a millisecond");
        assert!(!unparks(2, HELP_TAKES, 0), "help would come too late");
        assert!(unparks(6, HELP_TAKES / 4, 0), "five of them take longer than help");
    }

    #[test]
    fn quick_polls_are_worth_it_when_there_are_very_many() {
        let many = (HELP_TAKES / LEAST_POLL) as usize;
        assert!(!unparks(many, 10, 0));
        assert!(unparks(many + 2, 0, 0), "whatever the estimate says");
        assert!(unparks(usize::MAX, u64::MAX, 0));
    }

    #[test]
    fn who_is_busy_for_long_gets_help_with_less() {
        assert!(unparks(4, WORTH_STEALING / 2, 2 * LONG_BUSY));
        assert!(!unparks(4, WORTH_STEALING / 2, LONG_BUSY / 2), "it may be over soon");
        assert!(!unparks(4, WORTH_STEALING / 4, 2 * LONG_BUSY), "they talk to each other");
        assert!(unparks(MANY + 1, 10, 2 * LONG_BUSY), "not all of so many");
        assert!(worth_getting_up(4, WORTH_STEALING / 4), "or not: the sentry tries, now and then");
    }

    /// All of `workers` lie down, in order.
    fn all_parked(workers: usize) -> Idle {
        let idle = Idle::new(workers);
        for worker in 0..workers {
            let _ = idle.lie_down(worker, false);
        }
        idle
    }

    #[test]
    fn one_slow_poll_is_no_slow_poll_unless_many_wait_behind_it() {
        let slow = 10 * HELP_TAKES;
        assert_eq!(likely_cost(2, slow, 10), 10, "a queue has grown");
        assert_eq!(likely_cost(2, slow, slow), slow, "and again");
        assert_eq!(likely_cost(2, 10, slow), 10);
        assert_eq!(likely_cost(ALIKE, slow, 0), slow, "the first of many");
        assert_eq!(likely_cost(ALIKE, HELP_TAKES / 2, 0), 0, "help comes too late for it anyway");
    }

    #[test]
    fn slow_polls_with_quick_ones_between_them_are_slow() {
        let (mut before, mut latest) = (0, 0);
        let readings = [100, 2_500_000, 100, 2_500_000];
        let likely = readings.map(|reading| {
            before = peak(before, latest);
            latest = reading;
            likely_cost(5, latest, before)
        });
        assert_eq!(likely, [0, 100, 100, 1_250_000]);
    }

    #[test]
    fn half_of_the_awake_search_rounded_up() {
        for (workers, may) in [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3)] {
            let idle = Idle::new(workers);
            assert_eq!((0..workers).filter(|_| idle.search()).count(), may, "of {workers}");
        }
    }

    #[test]
    fn the_last_searcher_looks_everywhere() {
        let idle = Idle::new(3);
        assert!(idle.search() && idle.search());
        assert_eq!(idle.lie_down(0, true), LastLook::Injector);
        assert_eq!(idle.lie_down(1, true), LastLook::Everywhere);
        assert_eq!(idle.lie_down(2, false), LastLook::Injector);
    }

    #[test]
    fn the_last_to_lie_down_is_picked_first_and_the_sentry_last() {
        let idle = all_parked(3);
        assert_eq!(idle.post(0), Post::Sentry);
        for expected in [2, 1, 0] {
            assert!(idle.sleep(expected));
            assert_eq!(idle.pick(), Some(expected));
            assert_eq!(idle.pick(), None, "the one who was picked searches");
            assert_eq!(idle.post(expected), Post::Picked);
            assert!(idle.rise(expected).searching);
            assert!(idle.found());
        }
    }

    #[test]
    fn a_sentry_that_gets_up_appoints_the_next() {
        let idle = all_parked(3);
        assert!(idle.sleep(1));
        let risen = idle.rise(0);
        assert_eq!(risen, Risen { searching: false, unpark: Some(1) });
        assert!(idle.slept(1), "roused");
        assert_eq!([idle.post(1), idle.post(2)], [Post::Sentry, Post::Asleep]);
    }

    #[test]
    fn with_everybody_parked_the_sentry_stands_down_and_the_next_to_rise_appoints_one() {
        let idle = all_parked(2);
        assert!(idle.stand_down(0));
        assert_eq!(idle.post(0), Post::Asleep);
        assert!(idle.sleep(0));
        assert_eq!(idle.rise(1), Risen { searching: false, unpark: Some(0) });
        assert!(!idle.stand_down(0), "worker 1 is awake");
    }

    #[test]
    fn injected_work_gets_somebody_up_only_if_nobody_is_or_it_may_come_late() {
        let idle = all_parked(2);
        assert!(idle.sleep(0) && idle.sleep(1));
        assert_eq!(idle.pick_for_injected(|| false), Some(1));
        let _ = idle.rise(1);
        assert_eq!(idle.pick_for_injected(|| true), None, "one searches");
        assert!(idle.found());
        assert_eq!(idle.pick_for_injected(|| false), None);
        assert_eq!(idle.pick_for_injected(|| true), Some(0), "who is awake is in a long poll");
    }
}
