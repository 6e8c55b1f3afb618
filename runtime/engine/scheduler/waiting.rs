//! What the loop does when nothing is ready.
//!
//! Step 3 of a turn comes here with an empty run queue. In order: what is due by now is not waited
//! for; the ledger may bet on a look or two; then the loop parks, in the kernel, until an event, its
//! alarm or the inbox's unparker. Under a test clock time jumps instead, once nothing else can happen.
//!
//! The loop parks only after the inbox agreed, in the protocol of `park.rs`.

use std::{io, time::Duration};

use super::{
    event_loop::{Core, Limit},
    ledger::WINDOW,
};
use crate::engine::{
    base::{
        clock::{Clock, NEVER, TestClock},
        trace::{self, EventKind},
    },
    reactor::Found,
};

impl Core {
    /// Nothing is ready: waits for the reactor, the next deadline or the inbox.
    pub(super) fn wait_for_something(&self, limit: Limit) -> io::Result<()> {
        if limit == Limit::UntilStopped && self.stopping.get() {
            return Ok(());
        }
        if let Clock::Test(clock) = &self.clock {
            return self.wait_under_test_clock(clock, limit);
        }
        let next = self.timers.wake_up_at();
        if next != NEVER && next <= self.now() {
            return self.look().map(drop);
        }
        let limit = match limit {
            Limit::UntilEnded | Limit::Forever | Limit::UntilStopped => None,
            Limit::Nanos(limit) => Some(limit),
        };
        if limit != Some(0) && self.look_before_parking(next)? {
            return Ok(());
        }
        self.park(next, limit)
    }

    /// Bets that something happens shortly, if the ledger says so. `true`: it did.
    fn look_before_parking(&self, next: u64) -> io::Result<bool> {
        let Some(ledger) = &self.ledger else { return Ok(false) };
        if self.reactor.len() == 0 || !ledger.borrow_mut().bets(self.cadence.last_reading()) {
            return Ok(false);
        }
        let began = self.read_clock();
        let end = next.min(began + WINDOW);
        let mut now = began;
        while now < end {
            self.counters.looks_before_parking.add(1);
            let found = self.ask_reactor(Some(Duration::ZERO))?;
            now = self.read_clock();
            if found.events > 0 || self.inbox.has_news() {
                self.counters.events.add(found.events as u64);
                // What came only after the window came because the kernel gave the processor to
                // somebody else in between: no looking made it come.
                if now < end {
                    self.counters.bets_won.add(1);
                    ledger.borrow_mut().won();
                } else {
                    self.counters.bets_lost.add(1);
                    ledger.borrow_mut().lost(now - began);
                }
                self.cadence.looked();
                trace::report(|| EventKind::Looked { found: found.events });
                self.wake_found();
                return Ok(true);
            }
        }
        self.counters.bets_lost.add(1);
        ledger.borrow_mut().lost(now - began);
        Ok(now >= next)
    }

    /// Waits in the kernel, if no message came. An alarm that is set already needs no reading of the
    /// clock: it rings, and if it has rung by now the wait ends at once.
    #[inline]
    fn park(&self, next: u64, limit: Option<u64>) -> io::Result<()> {
        let mut timeout = limit.map(Duration::from_nanos);
        // ANCHOR: alarm
        let is_alarm_set = self.reactor.alarm_ends_waits() && self.alarm_at.get() <= next;
        if next != NEVER && !is_alarm_set {
            let now = self.read_clock();
            if next <= now {
                return Ok(());
            }
            if self.reactor.alarm_ends_waits() {
                self.set_alarm(now, next)?;
            } else {
                let until_next = Duration::from_nanos(next - now);
                timeout = Some(timeout.map_or(until_next, |limit| limit.min(until_next)));
            }
        }
        // END: alarm
        let Some(found) = self.sleep(timeout)? else { return Ok(()) };
        self.cadence.woke();
        if let Some(ledger) = &self.ledger {
            // Since the last reading it did not only sleep: a short time is sure to have been short.
            let before = self.cadence.last_reading();
            let since = self.read_clock().saturating_sub(before);
            ledger.borrow_mut().parked(since, found.events > 0);
        }
        self.wake_found();
        Ok(())
    }

    /// The wait itself, in the protocol of parking. `None`: a message came first.
    #[inline(always)]
    fn sleep(&self, timeout: Option<Duration>) -> io::Result<Option<Found>> {
        if !self.inbox.park() {
            return Ok(None);
        }
        trace::report(|| EventKind::Parked);
        self.counters.parks.add(1);
        let found = self.ask_reactor(timeout);
        if self.inbox.unparked() {
            self.counters.unparks.add(1);
        }
        trace::report(|| EventKind::Unparked);
        let found = found?;
        self.counters.events.add(found.events as u64);
        Ok(Some(found))
    }

    /// Sets the alarm. Only if it would come too late, or has rung: most timers are cancelled before
    /// they are due, and an alarm too early is one spurious wake-up.
    pub(super) fn set_alarm(&self, now: u64, next: u64) -> io::Result<()> {
        debug_assert!(next < self.alarm_at.get());
        self.reactor.set_alarm(next - now)?;
        self.counters.timer_arms.add(1);
        self.alarm_at.set(next);
        Ok(())
    }

    /// Nothing is ready and time stands still: what is on its way through the kernel goes first, then
    /// the clock jumps.
    #[cold]
    fn wait_under_test_clock(&self, clock: &TestClock, limit: Limit) -> io::Result<()> {
        if self.look()? > 0 {
            return Ok(());
        }
        let next = Some(self.timers.next_deadline()).filter(|&next| next != NEVER);
        // Somebody moved the clock: what is due is fired, not waited for.
        if next.is_some_and(|next| next <= self.clock.now()) {
            return Ok(());
        }
        let may_jump = next.is_some() && clock.may_advance();
        let wait = match limit {
            _ if may_jump && !self.reactor.is_waited_on() => Some(Duration::ZERO),
            _ if may_jump => Some(clock.real_wait()),
            Limit::Nanos(limit) => Some(Duration::from_nanos(limit)),
            Limit::UntilEnded | Limit::Forever | Limit::UntilStopped => None,
        };
        if wait != Some(Duration::ZERO) {
            let Some(found) = self.sleep(wait)? else { return Ok(()) };
            self.wake_found();
            if found != Found::default() {
                return Ok(());
            }
        }
        // Whoever held the clock may have left a message in the same breath.
        if let Some(next) = next.filter(|_| may_jump && !self.inbox.has_news()) {
            let now = self.clock.now();
            if next > now {
                clock.advance_to(next);
                trace::report(|| EventKind::Advanced { by: next - now });
            }
        }
        Ok(())
    }
}
