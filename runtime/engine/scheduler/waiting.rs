//! What the loop does when nothing is ready.
//!
//! Step 3 of a turn comes here with an empty run queue. In order: what is due by now is not waited
//! for; a loop that was built to spin may look for a while; then the loop parks, in the kernel, until an
//! event, its alarm or the inbox's unparker. Under a test clock time jumps instead, once nothing else can
//! happen.
//!
//! What must hold:
//! - The loop parks only after the inbox agreed ([`Inbox::park`](crate::engine::inbox::Inbox::park)).
//! - A listener that is told of a look or a park may spawn, wake and set timers. So those are reported
//!   *before* it is decided whether to wait, and for how long.

use std::{io, time::Duration};

use super::{
    event_loop::{Core, Limit},
    spin::WINDOW,
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
        if (limit == Limit::UntilStopped && self.stopping.get()) || self.inbox.is_notified() {
            return Ok(());
        }
        self.give_back();
        if let Clock::Test(clock) = &self.clock {
            return self.wait_under_test_clock(clock, limit);
        }
        let next = self.timers.wake_up_at();
        if next != NEVER && next <= self.now() {
            return self.look().map(drop);
        }
        let limit = limit.nanos();
        if limit != Some(0) && self.spin_before_park(next)? {
            return Ok(());
        }
        self.park(limit)
    }

    /// Looks for a while, if that has paid off lately. `true`: something came.
    fn spin_before_park(&self, next: u64) -> io::Result<bool> {
        let Some(spin) = &self.spin else { return Ok(false) };
        if self.reactor.len() == 0 || !spin.borrow_mut().is_worth_it(self.interval.last_reading()) {
            return Ok(false);
        }
        let began = self.read_clock();
        let end = next.min(began + WINDOW);
        let mut now = began;
        while now < end {
            self.counters.spins.add(1);
            let found = self.ask_reactor(Some(Duration::ZERO))?;
            now = self.read_clock();
            if found.events > 0 || self.inbox.is_notified() {
                self.counters.events.add(found.events as u64);
                // What came only after the window came because the kernel gave the processor away in
                // between: no spinning made it come.
                if now >= end {
                    self.spun_in_vain(now - began);
                }
                self.interval.looked();
                trace::report(|| EventKind::Looked { found: found.events });
                self.wake_found();
                return Ok(true);
            }
        }
        self.spun_in_vain(now - began);
        Ok(now >= next)
    }

    fn spun_in_vain(&self, took: u64) {
        self.counters.spins_in_vain.add(1);
        if let Some(spin) = &self.spin {
            spin.borrow_mut().in_vain(took);
        }
    }

    /// Parks: waits in the kernel, if no message came.
    #[inline]
    fn park(&self, limit: Option<u64>) -> io::Result<()> {
        trace::report(|| EventKind::Parked);
        let found = self.wait_in_kernel(limit);
        trace::report(|| EventKind::Unparked);
        if found?.is_some() {
            self.wake_found();
        }
        Ok(())
    }

    /// The wait itself. `None`: there is something to do already. An alarm that is set needs no reading of
    /// the clock: it rings, and if it has rung by now the wait ends at once.
    #[inline]
    fn wait_in_kernel(&self, limit: Option<u64>) -> io::Result<Option<Found>> {
        if self.table.is_ready() {
            return Ok(None);
        }
        let mut timeout = limit.map(Duration::from_nanos);
        let mut next = self.timers.wake_up_at();
        // The wait's own timeout counts milliseconds.
        if self.reactor.alarm_ends_waits()
            && let Some(limit @ 1..) = limit
        {
            next = next.min(self.read_clock().saturating_add(limit));
            timeout = None;
        }
        // ANCHOR: alarm
        let is_alarm_set = self.reactor.alarm_ends_waits() && self.alarm_at.get() <= next;
        if next != NEVER && !is_alarm_set {
            let now = self.read_clock();
            if next <= now {
                return Ok(None);
            }
            if self.reactor.alarm_ends_waits() {
                self.set_alarm(now, next)?;
            } else {
                let until_next = Duration::from_nanos(next - now);
                timeout = Some(timeout.map_or(until_next, |limit| limit.min(until_next)));
            }
        }
        // END: alarm
        let Some(found) = self.ask_reactor_parked(timeout)? else { return Ok(None) };
        self.interval.unparked();
        if let Some(spin) = &self.spin {
            // Since the last reading it did not only wait: a short time is sure to have been short.
            let before = self.interval.last_reading();
            let since = self.read_clock().saturating_sub(before);
            spin.borrow_mut().parked(since, found.events > 0);
        }
        Ok(Some(found))
    }

    /// Waits for the reactor, in the protocol of parking. `None`: a message came first.
    #[inline(always)]
    fn ask_reactor_parked(&self, timeout: Option<Duration>) -> io::Result<Option<Found>> {
        let wait = || self.ask_reactor(timeout);
        let Some((found, notified)) = self.inbox.park(wait) else { return Ok(None) };
        self.counters.parks.add(1);
        if notified {
            self.counters.unparks.add(1);
        }
        let found = found?;
        self.counters.events.add(found.events as u64);
        Ok(Some(found))
    }

    /// Sets the alarm. Only if it would come too late, or has rung: most timers are cancelled before
    /// they are due, and an alarm too early is one spurious return.
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
        if self.look()? > 0 || self.table.is_ready() {
            return Ok(());
        }
        let next = self.timers.next_deadline();
        let may_jump = next != NEVER && clock.may_advance();
        let waits = match may_jump {
            true => self.reactor.is_waited_on(),
            false => limit.nanos() != Some(0),
        };
        if waits {
            trace::report(|| EventKind::Parked);
            let waited = self.wait_in_real_time(clock, limit);
            trace::report(|| EventKind::Unparked);
            self.wake_found();
            if waited? || self.table.is_ready() {
                return Ok(());
            }
        }
        // A thread that held the clock may have sent a message first: so the inbox is asked last.
        let next = self.timers.next_deadline();
        if next == NEVER || !clock.may_advance() {
            return Ok(());
        }
        let now = self.clock.now();
        if next > now && !self.inbox.is_notified() {
            clock.advance_to(next);
            trace::report(|| EventKind::Advanced { by: next - now });
        }
        Ok(())
    }

    /// Waits for what the clock must not jump over. `true`: it came.
    fn wait_in_real_time(&self, clock: &TestClock, limit: Limit) -> io::Result<bool> {
        let next = self.timers.next_deadline();
        // A thread moved the clock: what is due is fired, not waited for.
        if self.table.is_ready() || next <= self.clock.now() {
            return Ok(true);
        }
        let wait = match limit.nanos() {
            _ if next != NEVER && clock.may_advance() => Some(clock.real_wait()),
            limit => limit.map(Duration::from_nanos),
        };
        let found = self.ask_reactor_parked(wait)?;
        Ok(found.is_none_or(|found| found != Found::default()))
    }
}
