//! Adaptive spinning: whether to look at the reactor for a while before parking.
//!
//! To park and be unparked costs more than a small request takes. A loop that looks at its reactor for
//! some microseconds before it parks can answer a lone client three times as fast. When the client runs
//! on the same processor, or nothing is coming, the same looks are waste: beside other processes they
//! cost a tenth of the processor time and more. So it is off unless the builder switches it on, and then
//! it has two bounds:
//!
//! - It spins if the last parks were short, or if it spun last time and something came. One spin in vain,
//!   and there must be short parks again.
//! - It has a *budget*: of the time that passes, no more than a fortieth may be spun in vain.
//!
//! It is plain arithmetic on moments in nanoseconds, so the tests need no clock.
//!
//! **Alternative:** a fixed spin, as most mutexes have: a guess about a machine one has not seen.

use std::thread::available_parallelism;

/// How long a spin takes at most, in nanoseconds: about twice what it costs to park and be unparked.
pub(crate) const WINDOW: u64 = 50_000;
/// Of the time that passes, one part in this many may be spun in vain.
const SHARE: u64 = 40;
/// The most the budget holds.
const MOST: u64 = 2_000_000;
/// Parks in a row that were shorter than the window, before a spin.
const SHORT_PARKS: u32 = 8;

/// Whether there is another processor to be waited for. On one alone each look keeps it from working.
pub(crate) fn several_processors() -> bool {
    available_parallelism().is_ok_and(|processors| processors.get() > 1)
}

#[derive(Debug, Clone)]
pub(crate) struct Spin {
    budget: u64,
    refilled_at: u64,
    /// Parks in a row, or spins, that something ended within the window.
    short: u32,
}

impl Spin {
    pub(crate) fn new(now: u64) -> Self {
        Self { budget: 0, refilled_at: now, short: 0 }
    }

    /// Whether to spin before parking this time.
    pub(crate) fn is_worth_it(&mut self, now: u64) -> bool {
        let earned = now.saturating_sub(self.refilled_at) / SHARE;
        if earned > 0 {
            self.budget = (self.budget + earned).min(MOST);
            self.refilled_at = now;
        }
        self.short == SHORT_PARKS && self.budget >= WINDOW
    }

    /// It spun for so long in vain.
    pub(crate) fn in_vain(&mut self, spent: u64) {
        self.budget = self.budget.saturating_sub(spent);
        self.short = 0;
    }

    /// The loop parked for so long; `by_event`: what ended it is what it would have looked for.
    pub(crate) fn parked(&mut self, took: u64, by_event: bool) {
        let is_short = by_event && took < WINDOW;
        self.short = if is_short { (self.short + 1).min(SHORT_PARKS) } else { 0 };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A loop whose client answers `answer` nanoseconds after each request; while the loop spins only if
    /// the client has a processor of its own. The part of the time spun in vain, and the other spins.
    fn play(answer: u64, own_processor: bool, rounds: u64) -> (f64, u64) {
        let (mut now, mut in_vain, mut served) = (0, 0, 0);
        let mut spin = Spin::new(now);
        for _ in 0..rounds {
            if spin.is_worth_it(now) {
                if own_processor && answer < WINDOW {
                    now += answer;
                    served += 1;
                    continue;
                }
                now += WINDOW;
                in_vain += WINDOW;
                spin.in_vain(WINDOW);
            }
            now += answer;
            spin.parked(answer, true);
        }
        (in_vain as f64 / now as f64, served)
    }

    #[test]
    fn a_client_on_its_own_processor_is_looked_for() {
        let (in_vain, served) = play(7_000, true, 100_000);
        assert_eq!(in_vain, 0.0);
        // All but the parks that taught it, and those that filled the budget.
        assert!(served > 99_000, "{served} spins");
    }

    #[test]
    fn a_client_on_the_same_processor_costs_a_fortieth_of_the_time() {
        let (in_vain, served) = play(7_000, false, 100_000);
        assert_eq!(served, 0);
        assert!(in_vain > 0.0 && in_vain < 1.1 / SHARE as f64, "{in_vain} of the time");
    }

    #[test]
    fn an_answer_just_after_the_window_costs_nothing() {
        assert_eq!(play(WINDOW + 1, true, 100_000), (0.0, 0));
    }
}
