//! The life of a task that threads share: one word, and what it guards.
//!
//! The word is a lock around the task's future, and the record of whether it is to be polled.
//! Both are one word because they race: a wake that comes while the task is being polled must end up
//! as another poll, and a wake that comes while it is not polled must put the task into a run queue, once.
//! Each method is one atomic step, and *returns what the caller must now do*.
//!
//! ```text
// ANCHOR: life
//!                wake                       start
//!   +------+ -----------> +-----------+ -----------> +---------+  complete  +----------+
//!   | IDLE |              | SCHEDULED |              | RUNNING | ---------> | COMPLETE |
//!   +------+              +-----------+ <----------- +---------+            +----------+
//!       ^                             pause: it gave    |
//!       |                             way, or was woken |
//!       +-----------------------------------------------+
//!                         pause
// END: life
//! ```
//!
//! (Not drawn: `claim_idle` goes from IDLE to RUNNING, and `shut_down` from IDLE or SCHEDULED. A wake that
//! finds the task SCHEDULED or COMPLETE does nothing; one that finds it RUNNING leaves a mark, for
//! `pause` to find.)
//!
//! What moves the word to RUNNING has the [`Claim`], and nothing else touches what the word guards
//! until the claim is given up: a worker that polls, a reader (`claim_idle`), or a thread that shuts the runtime
//! down. A shutdown that finds the task claimed leaves a mark, and the holder of the claim finds it
//! in `pause`.
//!
//! **Alternative:** a mutex around the future and a flag beside it: two words, so a wake between the
//! flag's reset and the unlocking needs a rule of its own, and twice the atomic steps.

use super::spawned::TaskStage;
use crate::engine::base::primitives::{AtomicU8, Ordering, UnsafeCell, seeded};

/// A wake came, and no poll began since.
const WOKEN: u8 = 1;
/// The claim is taken.
const CLAIMED: u8 = 2;
/// The holder of the claim must end the task with it.
const SHUT: u8 = 4;
/// What the word guards is used up. The other bits mean nothing any more.
const COMPLETE: u8 = 8;

const IDLE: u8 = 0;
/// In a run queue, or about to be put there by the one that set the bit.
const SCHEDULED: u8 = WOKEN;
const RUNNING: u8 = CLAIMED;

/// The word, and the body that it guards.
pub(crate) struct Life<T> {
    word: AtomicU8,
    body: UnsafeCell<T>,
}

/// What a wake leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "a task that is scheduled and stands in no run queue never runs"]
pub(crate) enum Wake {
    /// Put the task into a run queue: nothing else will.
    Schedule,
    /// It is due already, or it has ended.
    Nothing,
}

/// What the end of a claim leaves to do.
#[must_use = "a task that is scheduled and stands in no run queue never runs"]
pub(crate) enum AfterClaim<'a, T> {
    /// The next wake schedules it.
    Idle,
    /// Put the task into a run queue: it gave way, or was woken meanwhile.
    Schedule,
    /// The runtime shuts down. The claim stays: end the task.
    ShutDown(Claim<'a, T>),
}

/// What a shutdown finds.
#[must_use = "a claim that is not used leaves its task alive"]
pub(crate) enum ShutDown<'a, T> {
    /// The task is not being polled: end it.
    Claimed(Claim<'a, T>),
    /// The holder of the claim will end the task.
    Running,
    /// It has ended.
    Complete,
}

impl<T> Life<T> {
    /// A task begins scheduled: it is put into a run queue as it is made.
    pub(crate) fn new(body: T) -> Self {
        Self { word: AtomicU8::new(SCHEDULED), body: UnsafeCell::new(body) }
    }

    /// The task is to be polled.
    #[inline]
    // ANCHOR: wake
    pub(crate) fn wake(&self) -> Wake {
        if seeded("task_wake_only_looks") && self.word.load(Ordering::Acquire) & WOKEN != 0 {
            return Wake::Nothing;
        }
        // Also if the bit is set already: what was written before this wake must be visible to the
        // poll that the earlier one led to, so that poll must find our step in the word.
        let release =
            if seeded("task_wake_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        match self.word.fetch_or(WOKEN, release) {
            IDLE => Wake::Schedule,
            _ => Wake::Nothing,
        }
    }
    // END: wake

    /// The task was popped from a run queue. `None`: a shutdown was faster.
    ///
    /// A wake from here on leads to another poll.
    #[inline]
    pub(crate) fn start(&self) -> Option<Claim<'_, T>> {
        self.claim_from(SCHEDULED)
    }

    /// Claims an idle task to read what is in it. The claim ends with `pause`, like a poll's.
    pub(crate) fn claim_idle(&self) -> Option<Claim<'_, T>> {
        self.claim_from(IDLE)
    }

    #[inline]
    fn claim_from(&self, from: u8) -> Option<Claim<'_, T>> {
        let claimed =
            self.word.compare_exchange(from, RUNNING, Ordering::Acquire, Ordering::Relaxed);
        claimed.is_ok().then_some(Claim { life: self })
    }

    /// The runtime shuts down, and the task is to be ended, once, by the holder of the claim.
    pub(crate) fn shut_down(&self) -> ShutDown<'_, T> {
        let before = self.word.fetch_or(CLAIMED | SHUT, Ordering::Acquire);
        if before & COMPLETE != 0 {
            ShutDown::Complete
        } else if before & CLAIMED != 0 && !seeded("task_shut_down_while_running") {
            ShutDown::Running
        } else {
            ShutDown::Claimed(Claim { life: self })
        }
    }

    /// Where the task is in its life; `None` if it has ended. True when it was asked, and maybe not
    /// any more.
    pub(crate) fn stage(&self) -> Option<TaskStage> {
        match self.word.load(Ordering::Acquire) {
            word if word & COMPLETE != 0 => None,
            word if word & CLAIMED != 0 => Some(TaskStage::Running),
            SCHEDULED => Some(TaskStage::Scheduled),
            _ => Some(TaskStage::Idle),
        }
    }
}

/// The right to touch a task's body. There is one at a time.
///
/// Dropped without `pause` or `complete`, it leaves the task claimed for ever, and it never runs.
pub(crate) struct Claim<'a, T> {
    life: &'a Life<T>,
}

impl<'a, T> Claim<'a, T> {
    /// Gives the body back. If it is to run `again`, or was woken meanwhile, the task is scheduled.
    #[inline]
    pub(crate) fn pause(self, again: bool) -> AfterClaim<'a, T> {
        let word = &self.life.word;
        if seeded("task_pause_forgets_wakes") {
            word.store(IDLE, Ordering::Release);
            return AfterClaim::Idle;
        }
        let again = if again { WOKEN } else { 0 };
        let next = |word| (word & SHUT == 0).then_some((word & WOKEN) | again);
        let release =
            if seeded("task_pause_relaxed") { Ordering::Relaxed } else { Ordering::Release };
        match word.fetch_update(release, Ordering::Relaxed, next) {
            Ok(before) if (before & WOKEN) | again == 0 => AfterClaim::Idle,
            Ok(_) => AfterClaim::Schedule,
            Err(_shut) => AfterClaim::ShutDown(self),
        }
    }

    /// The body is used up. It is never claimed again, and wakes do nothing.
    #[inline]
    pub(crate) fn complete(self) {
        // A plain store may wipe out bits that were set meanwhile: they ask for nothing any more.
        self.life.word.store(COMPLETE, Ordering::Release);
    }
}

// A claim is made by the step that sets CLAIMED where it was not set, and CLAIMED goes only when the
// claim does. `tests/models/task.rs` runs all of it under loom, which checks each access of the body.
#[allow(unsafe_code)]
mod guarded {
    use super::{Claim, Life};

    // SAFETY: a shared `Life` gives access to the body to one thread at a time, the one with the
    // claim, as a mutex does. Each claim is made with Acquire and given up with Release.
    unsafe impl<T: Send> Sync for Life<T> {}

    impl<T> Claim<'_, T> {
        /// Hands `f` the body. For short steps: a claim is held longer than `f` runs.
        #[inline(always)]
        pub(crate) fn with<R>(&mut self, f: impl FnOnce(&mut T) -> R) -> R {
            // SAFETY: there is one claim at a time, and it is borrowed mutably.
            self.life.body.with_mut(|body| f(unsafe { &mut *body }))
        }
    }
}
