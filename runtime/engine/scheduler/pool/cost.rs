//! What polls cost, and when a backlog is worth a second worker.
//!
//! To unpark a worker costs a system call, its way out of the kernel, and all the memory that the other
//! processor has to fetch. For tasks of some nanoseconds that is a loss on both sides: they are done sooner
//! alone. So a worker measures what its polls cost, and a backlog is not worth a second worker while it is
//! *known* to take less time than that ([`UNPARK_TAKES`], the one number here to argue about). What is not
//! known counts as long: the first poll of a task, and whatever was measured more than [`KNOWN_FOR`] ago, as
//! behind a poll that takes long.
//!
//! **Alternative:** to unpark whenever a task is ready and a worker is parked, as tokio and Go do. Tasks
//! that take less time than the way to another processor's cache are then spread over all of them, and
//! are the slower for it.

use crate::engine::base::stats::Counter;

/// What it takes until a parked worker is up and at work, in nanoseconds. A backlog that is done sooner
/// is better done alone.
const UNPARK_TAKES: u64 = 20_000;
/// What a poll costs at the least, in nanoseconds. Less was measured of tasks that did nothing yet.
const LEAST_POLL: u64 = 50;
/// How long what was measured is taken to hold, in nanoseconds. A worker that gets on measures every 20
/// microseconds.
const KNOWN_FOR: u64 = 50_000;
/// The cost of polls that were not measured.
const UNKNOWN: u64 = u64::MAX;

// ANCHOR: worth_sharing
/// Whether `waiting` runnables are worth a second worker, at this cost of a poll.
pub(super) fn worth_sharing(waiting: usize, poll_cost: Option<u64>) -> bool {
    let backlog = |cost: u64| (waiting as u64).saturating_mul(cost.max(LEAST_POLL));
    waiting > 0 && poll_cost.is_none_or(|cost| backlog(cost) > UNPARK_TAKES)
}
// END: worth_sharing

/// What a poll of one worker costs, in nanoseconds. Written by the worker alone, read by all.
#[derive(Debug)]
pub(super) struct PollCost {
    nanos: Counter,
    measured_at: Counter,
}

impl PollCost {
    pub(super) fn unknown() -> Self {
        let cost = Self { nanos: Counter::default(), measured_at: Counter::default() };
        cost.forget();
        cost
    }

    /// What it is, as far as that is known.
    pub(super) fn known(&self, now: u64) -> Option<u64> {
        let nanos = self.nanos.get();
        let is_known = nanos != UNKNOWN && now.saturating_sub(self.measured_at.get()) <= KNOWN_FOR;
        is_known.then_some(nanos)
    }

    /// It was measured. `true`: polls take long.
    pub(super) fn measured(&self, nanos: u64, now: u64) -> bool {
        self.nanos.set(nanos);
        self.measured_at.set(now);
        worth_sharing(1, Some(nanos))
    }

    /// What comes is unlike what was measured.
    pub(super) fn forget(&self) {
        self.nanos.set(UNKNOWN);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_counts_as_long() {
        assert!(worth_sharing(1, None));
        assert!(!worth_sharing(0, None), "nothing waits");
    }

    #[test]
    fn a_backlog_is_worth_a_second_worker_if_it_takes_longer_than_to_unpark_one() {
        assert!(!worth_sharing(1, Some(UNPARK_TAKES)));
        assert!(worth_sharing(1, Some(UNPARK_TAKES + 1)));
        assert!(!worth_sharing(200, Some(12)), "two hundred tasks that only yield");
        assert!(worth_sharing(1_000, Some(0)), "no poll costs nothing");
        assert!(worth_sharing(2, Some(u64::MAX)), "it does not overflow");
    }

    #[test]
    fn what_was_measured_holds_for_a_while() {
        let cost = PollCost::unknown();
        assert_eq!(cost.known(0), None);
        assert!(!cost.measured(70, 1_000));
        assert_eq!(cost.known(1_000 + KNOWN_FOR), Some(70));
        assert_eq!(cost.known(1_001 + KNOWN_FOR), None);
        assert!(cost.measured(2 * UNPARK_TAKES, 1_000), "that is long");
        cost.forget();
        assert_eq!(cost.known(1_000), None);
    }
}
