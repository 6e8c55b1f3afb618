//! Whether to look a little longer before parking: a bet, and its books.
//!
//! Parking and being unparked costs more than a small request takes. A loop that looks at the reactor
//! for some microseconds before it parks can answer a lone client three times as fast. When whoever it
//! waits for runs on the same processor, or when nothing is coming, the same looks are waste. Nobody
//! can know beforehand, so the loop bets and keeps books:
//!
//! - It *learns*. A park that an event ended within the window says that a look would have won; a
//!   longer one says that it would have lost. So do the bets themselves, and those count for more: a
//!   client on the same processor answers soon after a park and never during a look. Each loss also
//!   makes the loop sit out twice as many chances as the last one did.
//! - It *pays*. Lost looks are paid from an account that grows by a fortieth of the time that
//!   passes and holds two milliseconds at most. When it is empty there is no bet. So whatever goes
//!   wrong with the learning, at most 2.5 % of the time goes into it, and less than 5 % is lost by it.
//!
//! It is plain arithmetic on moments in nanoseconds, so the tests need no clock. The rival is a fixed
//! spin, as most mutexes have: a guess about a machine one has not seen.

use std::thread::available_parallelism;

/// How long a bet looks, in nanoseconds: about what parking and being unparked costs twice over.
pub(crate) const WINDOW: u64 = 50_000;
/// Of the time that passes, one part in this many may be lost.
const SHARE: u64 = 40;
/// The most the account holds.
const MOST: u64 = 2_000_000;
/// The most chances that are sat out after losing.
const LONGEST_REST: u32 = 1 << 12;
/// Parks in a row that an event ended soon, before a bet.
const CONFIDENCE: u32 = 8;

/// Whether there is a processor for whoever is waited for. On one alone each look keeps it from working.
pub(crate) fn several_processors() -> bool {
    available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    account: u64,
    settled_at: u64,
    /// Parks in a row that a look would have spared.
    short_parks: u32,
    /// Whether the last bet won; then the next chance is taken at once.
    winning: bool,
    /// Chances to sit out.
    resting: u32,
    /// How many the next loss adds.
    rest: u32,
}

impl Ledger {
    pub(crate) fn new(now: u64) -> Self {
        Self { account: 0, settled_at: now, short_parks: 0, winning: false, resting: 0, rest: 1 }
    }

    /// Whether to look before parking this time.
    pub(crate) fn bets(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.settled_at) / SHARE;
        if earned > 0 {
            self.account = (self.account + earned).min(MOST);
            self.settled_at = now;
        }
        if self.account < WINDOW {
            return false;
        }
        if self.winning {
            return true;
        }
        if self.short_parks < CONFIDENCE {
            return false;
        }
        if self.resting > 0 {
            self.resting -= 1;
            return false;
        }
        true
    }

    /// The looks found something.
    pub(crate) fn won(&mut self) {
        self.winning = true;
        self.rest = (self.rest / 2).max(1);
    }

    /// The looks found nothing for `spent` nanoseconds.
    pub(crate) fn lost(&mut self, spent: u64) {
        self.account = self.account.saturating_sub(spent);
        self.winning = false;
        self.resting = self.rest;
        self.rest = (self.rest * 2).min(LONGEST_REST);
    }

    /// The loop parked for `slept` nanoseconds; what a look would have found ended it, or something
    /// else did.
    pub(crate) fn parked(&mut self, slept: u64, by_event: bool) {
        if by_event && slept < WINDOW {
            self.short_parks = (self.short_parks + 1).min(CONFIDENCE);
        } else {
            self.short_parks = 0;
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A loop whose client answers `answer` nanoseconds after each request: during looks only if it
    /// has a processor of its own. Returns the part of the time lost to looks, and the bets won.
    fn play(answer: u64, own_processor: bool, rounds: u64) -> (f64, u64) {
        let (mut now, mut lost, mut won) = (0, 0, 0);
        let mut ledger = Ledger::new(now);
        for _ in 0..rounds {
            if ledger.bets(now) {
                if own_processor && answer < WINDOW {
                    now += answer;
                    won += 1;
                    ledger.won();
                    continue;
                }
                now += WINDOW;
                lost += WINDOW;
                ledger.lost(WINDOW);
            }
            now += answer;
            ledger.parked(answer, true);
        }
        (lost as f64 / now as f64, won)
    }

    #[test]
    fn a_client_on_its_own_processor_is_looked_for() {
        let (lost, won) = play(7_000, true, 100_000);
        assert_eq!(lost, 0.0);
        // All but the parks that taught it, and those that filled the account.
        assert!(won > 99_000, "{won} bets won");
    }

    #[test]
    fn a_client_on_the_same_processor_costs_at_most_a_twentieth() {
        let (lost, won) = play(7_000, false, 100_000);
        assert_eq!(won, 0);
        assert!(lost < 0.05, "{lost} of the time lost");
    }

    #[test]
    fn an_answer_just_after_the_window_costs_nothing() {
        let (lost, won) = play(WINDOW + 1, true, 100_000);
        assert_eq!((lost, won), (0.0, 0));
    }

    #[test]
    fn whatever_it_learns_the_account_bounds_the_loss() {
        // The worst teacher: a win for each loss, so that confidence never fades.
        let (mut now, mut lost) = (0, 0);
        let mut ledger = Ledger::new(now);
        for round in 0..100_000 {
            if ledger.bets(now) {
                if round % 2 == 0 {
                    ledger.won();
                } else {
                    ledger.lost(WINDOW);
                    lost += WINDOW;
                    now += WINDOW;
                }
            }
            now += 1_000;
            ledger.parked(1_000, true);
        }
        assert!(lost > 0, "it must have bet and lost");
        assert!(lost * SHARE <= now + MOST * SHARE, "{lost} of {now}");
    }

    #[test]
    fn a_client_that_moves_to_its_own_processor_is_found_again() {
        let mut ledger = Ledger::new(0);
        let mut now = 0;
        for _ in 0..10_000 {
            now += 10_000;
            if ledger.bets(now) {
                ledger.lost(WINDOW);
            }
            ledger.parked(10_000, true);
        }
        let found = (0..2 * LONGEST_REST).any(|_| {
            now += 10_000;
            ledger.parked(10_000, true);
            ledger.bets(now)
        });
        assert!(found, "it never bets again");
    }
}
