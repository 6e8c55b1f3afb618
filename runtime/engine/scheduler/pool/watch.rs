//! What the guard has seen of the workers, and when it has to look again.
//!
//! The guard duty passes from worker to worker. So what was seen, and when the next look is due, belongs to
//! the pool: if each guard began a pause of its own, one that a timer unparks every few microseconds would
//! never compare anything. Plain data, behind a lock that is held for one step.

/// The shortest and the longest pause between two looks, in nanoseconds.
pub(super) const SHORTEST_PAUSE: u64 = 100_000;
pub(super) const LONGEST_PAUSE: u64 = 1_000_000;
/// After so many looks in a row that found no worker awake the duty lapses.
pub(super) const QUIET_LOOKS: u32 = 3;

/// What the guard knows of the workers.
pub(crate) struct GuardState {
    /// When the next look is due.
    pub(super) due: u64,
    /// When the last look began.
    began: u64,
    /// Between the last look and the next.
    pause: u64,
    /// How many polls each worker had begun.
    polls: Vec<u64>,
    /// Looks in a row that found no worker awake.
    pub(super) quiet: u32,
    /// The duty lapsed: what was seen is of no use to the next guard.
    pub(super) lapsed: bool,
}

impl GuardState {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            due: 0,
            began: 0,
            pause: SHORTEST_PAUSE,
            polls: vec![0; workers],
            quiet: 0,
            lapsed: true,
        }
    }

    /// Whether a look is due at `now`. `polls_of` says how many polls a worker has begun.
    pub(super) fn is_due(&mut self, now: u64, polls_of: impl Fn(usize) -> u64) -> bool {
        // The worker that is awake now was unparked a moment ago, and is not stuck yet.
        if std::mem::take(&mut self.lapsed) {
            self.begin(now, polls_of);
        }
        self.due <= now
    }

    /// Begins to watch, at `now`.
    fn begin(&mut self, now: u64, polls_of: impl Fn(usize) -> u64) {
        for (worker, polls) in self.polls.iter_mut().enumerate() {
            *polls = polls_of(worker);
        }
        (self.pause, self.quiet) = (SHORTEST_PAUSE, 0);
        self.due = now.saturating_add(self.pause);
    }

    /// A look begins at `now`. Until it ends, or has taken very long, no other guard begins one.
    pub(super) fn begin_look(&mut self, now: u64) {
        self.began = now;
        self.due = now.saturating_add(LONGEST_PAUSE);
    }

    /// Whether a worker that is awake, and has begun so many polls, is stuck. Notes that for the next look.
    pub(super) fn is_stuck(&mut self, worker: usize, polls: u64) -> bool {
        std::mem::replace(&mut self.polls[worker], polls) == polls
    }

    /// Ends the look that began at `now`. Soon there is another if something was taken over, for more is
    /// likely to come while that poll goes on; else each pause is twice the one before.
    pub(super) fn end(&mut self, now: u64, took_over: bool) {
        // It has taken so long that another guard has begun one.
        if now < self.began {
            return;
        }
        self.pause = if took_over { SHORTEST_PAUSE } else { LONGEST_PAUSE.min(2 * self.pause) };
        self.due = now.saturating_add(self.pause);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const PAUSE: u64 = SHORTEST_PAUSE;

    /// Looks as soon as one is due, and gives the pause after it.
    fn look(watch: &mut GuardState, now: &mut u64, took_over: bool) -> u64 {
        *now = watch.due.max(*now);
        assert!(watch.is_due(*now, |_| 0));
        watch.end(*now, took_over);
        watch.due - *now
    }

    #[test]
    fn pauses_double_up_to_a_millisecond_and_are_short_again_after_a_takeover() {
        let (mut watch, mut now) = (GuardState::new(2), 50 * LONGEST_PAUSE);
        assert!(!watch.is_due(now, |_| 0), "it begins to watch");
        let quiet = [(); 5].map(|()| look(&mut watch, &mut now, false));
        assert_eq!(quiet, [2 * PAUSE, 4 * PAUSE, 8 * PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]);
        assert_eq!(look(&mut watch, &mut now, true), PAUSE);
    }

    #[test]
    fn a_worker_is_stuck_if_it_has_begun_no_poll_since_the_look_before() {
        let mut watch = GuardState::new(1);
        watch.begin(0, |_| 7);
        assert!(watch.is_stuck(0, 7) && !watch.is_stuck(0, 8) && watch.is_stuck(0, 8));
    }

    #[test]
    fn a_guard_that_is_late_looks_all_the_same() {
        let mut watch = GuardState::new(1);
        watch.begin(0, |_| 7);
        watch.lapsed = false;
        assert!(watch.is_due(10 * LONGEST_PAUSE, |_| 7), "on a busy machine it is never in time");
    }

    #[test]
    fn a_watch_that_lapsed_begins_anew() {
        let mut watch = GuardState::new(1);
        let long_after = 10 * LONGEST_PAUSE;
        assert!(!watch.is_due(long_after, |_| 7), "what is awake now may just have been unparked");
        assert_eq!(watch.due, long_after + PAUSE);
        assert!(watch.is_stuck(0, 7), "compared with what was seen then");
    }

    #[test]
    fn the_next_look_stays_due_when_the_duty_passes_on() {
        let mut watch = GuardState::new(1);
        watch.begin(0, |_| 0);
        watch.lapsed = false;
        let due = (1..=PAUSE).find(|&now| watch.is_due(now, |_| 0));
        assert_eq!(due, Some(PAUSE), "asked by one worker after the other");
    }
}
