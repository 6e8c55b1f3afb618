//! What a worker does when nothing is ready: it parks.
//!
//! It announces that, looks once more, and waits (`idle.rs` has the rules). Of all workers that are
//! parked, one waits in the reactor, which has the sockets of all: so readiness is noticed at once,
//! whatever the other workers are busy with. The others wait on their parkers. A worker that comes out of the
//! reactor leaves it to the next that parks, or to the guard at its next look: *leader and followers*,
//! with no message between them.
//!
//! The one in the reactor also keeps the time for all that are parked, by the reactor's one alarm. A
//! worker that parks with an earlier timer sets the alarm, which ends that wait in time.
//!
//! **Alternative:** a reactor for each worker, so that each has only its own sockets. Then a socket's
//! readiness waits as long as its worker is busy, unless the others look there now and then.

use std::{io, time::Duration};

use super::{
    Pool,
    guard::Guarded,
    idle::{Duty, LastLook},
    worker::Worker,
};
use crate::engine::{
    base::{
        clock::{self, NEVER},
        primitives::seeded,
        trace::{self, EventKind},
    },
    reactor::{Found, woken::Woken},
};

impl Worker {
    // ANCHOR: park
    /// Nothing is ready anywhere: waits until something comes.
    pub(crate) fn park(&self) -> io::Result<()> {
        trace::report(|| EventKind::Parked);
        // A listener may have spawned or woken something.
        if !self.queue.is_empty() {
            return Ok(());
        }
        let early = seeded("parking_reads_its_timers_early").then(|| self.timers().wake_up_at());
        // What is injected is not left to a worker that is parked.
        self.shared().poll_cost.forget();
        let last_look = self.pool.idle.park(self.index(), self.searching.take());
        let mut woken = self.woken.take();
        let found = match self.sees_work(last_look) {
            true => Ok(Found::default()),
            false => self.wait(early, &mut woken),
        };
        // What it runs now may take long, if polls have taken long of late.
        let leaves_reactor = found.as_ref().is_ok_and(|found| found != &Found::default());
        self.unparked(leaves_reactor && self.pool.has_long_polls());
        trace::report(|| EventKind::Unparked);
        self.wake(found?, woken);
        Ok(())
    }
    // END: park

    /// It is awake again, and says so.
    fn unparked(&self, leaves_reactor: bool) {
        let unparked = self.pool.idle.unparked(self.index(), leaves_reactor);
        self.searching.set(unparked.searching);
        if let Some(notified) = unparked.assigned {
            self.pool.carry_out(notified);
        }
        self.interval.unparked();
        self.read_clock();
    }

    /// The look between the announcement and the wait.
    fn sees_work(&self, look: LastLook) -> bool {
        let pool = &*self.pool;
        let now = self.interval.last_reading();
        let everywhere = look == LastLook::Everywhere;
        !pool.injector.is_empty() && !seeded("parking_ignores_the_injector")
            || everywhere && pool.workers.iter().any(|worker| worker.is_worth_sharing(now))
    }

    /// Waits, again and again, until there is a reason to be awake. What is to be woken then is put into
    /// `woken`. (`early` is a mistake that a model makes.)
    fn wait(&self, early: Option<u64>, woken: &mut Woken) -> io::Result<Found> {
        let Pool { idle, reactor, .. } = &*self.pool;
        loop {
            let duty = idle.duty(self.index());
            if duty == Duty::Work || self.pool.is_closed() {
                return Ok(Found::default());
            }
            let now = clock::real_now();
            let mut guard_due = NEVER;
            if duty == Duty::Guard {
                match self.guard(now) {
                    Guarded::Took => return Ok(Found::default()),
                    Guarded::Until(due) => guard_due = due,
                }
            }
            // After the announcement: a thread that inserts an earlier timer sees us parked.
            let next = early.unwrap_or_else(|| self.timers().wake_up_at());
            if next <= now {
                return Ok(Found::default());
            }
            let Some(mut leading) = reactor.lead() else {
                self.follow(next, guard_due, now)?;
                continue;
            };
            // One that parked before us may have an earlier timer, and one that is stuck.
            let next = next.min(self.earliest_of_others());
            if next <= now {
                drop(leading);
                if self.fire_all(now) > 0 {
                    return Ok(Found::default());
                }
                continue;
            }
            if !idle.parker(self.index()).enter_reactor() {
                continue;
            }
            self.counters().parks.add(1);
            let (found, arms) = leading.wait(now, next.min(guard_due), woken);
            if idle.parker(self.index()).leave_reactor() {
                self.counters().unparks.add(1);
            }
            if seeded("parking_keeps_the_reactor") {
                std::mem::forget(leading);
            } else {
                drop(leading);
            }
            self.counters().timer_arms.add(arms);
            let found = found?;
            let fired = found.alarm && self.fire_all(clock::real_now()) > 0;
            if found.events > 0 || fired {
                return Ok(found);
            }
        }
    }

    /// Waits outside the reactor, where another one is, until it is notified or `guard_due` is there.
    fn follow(&self, next: u64, guard_due: u64, now: u64) -> io::Result<()> {
        if next != NEVER && self.pool.reactor.alarm_no_later_than(next, now)? {
            self.counters().timer_arms.add(1);
        }
        self.counters().parks.add(1);
        let timeout =
            (guard_due != NEVER).then(|| Duration::from_nanos(guard_due.saturating_sub(now)));
        if self.pool.idle.parker(self.index()).park(timeout) {
            self.counters().unparks.add(1);
        }
        Ok(())
    }

    /// When the next timer is due of those workers that do not look for themselves.
    fn earliest_of_others(&self) -> u64 {
        let workers = &self.pool.workers;
        let of_parked = self.pool.idle.least_of_parked(|worker| match worker == self.index() {
            true => NEVER,
            false => workers[worker].timers.earliest(),
        });
        let stuck = workers.iter().filter(|worker| worker.is_stuck());
        stuck.map(|worker| worker.timers.earliest()).min().unwrap_or(NEVER).min(of_parked)
    }
}
