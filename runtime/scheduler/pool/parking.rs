//! What a worker does when nothing is ready, and how it keeps guard meanwhile.
//!
//! It says that it lies down, looks once more, and sleeps in its own reactor: so its own sockets and
//! timers get it up with no hand-over, and others rouse it by its unparker. `idle.rs` has the rules.
//!
//! One of those who sleep is the *sentry*. A worker that is stuck in one poll runs nothing, looks at
//! no socket and fires no timer, and its tasks cannot know. So while anybody is awake, the sentry
//! gets up each [`TICK`] and compares: a worker that has begun no poll since the last tick is asleep,
//! and then there is nothing to take from it, or it is stuck. The sentry takes over what waits there,
//! for one look: the tasks in its queue, what the kernel has for it, and the timers that are due. All
//! that ends up in the sentry's own queue, and is run there. While the poll goes on, so does this.
//!
//! So what becomes ready while any worker is parked runs within two ticks, whoever is stuck. The
//! price is a hundred wake-ups a second of one thread, while others work.
//!
//! The rivals: a thread of its own for that, which Go has, to do what an idle worker can; and to unpark
//! a neighbour for each task that becomes ready, so that none is ever bound to a busy worker, at a
//! system call each.

use std::{io, time::Duration};

use super::{
    Pool, Shared,
    idle::{LastLook, Post, worth_a_tick, worth_stealing},
    worker::{Seen, Worker},
};
use crate::{
    clock,
    reactor::Found,
    trace::{self, Event},
    waiter::Waiter,
};

/// How long the sentry sleeps at most.
const TICK: Duration = Duration::from_millis(10);
/// After so many ticks with nobody awake it stands down.
const QUIET_TICKS: u32 = 10;

impl Worker {
    // ANCHOR: park
    /// Nothing is ready anywhere: sleeps until something comes.
    pub(super) fn park(&self) -> io::Result<()> {
        let Pool { idle, .. } = &*self.pool;
        let last_look = idle.lie_down(self.number(), self.searching.take());
        let mut woken = self.woken.take();
        let before = clock::real_now();
        let slept =
            if self.sees_work(last_look) { Ok(Found::default()) } else { self.sleep(&mut woken) };
        let risen = idle.rise(self.number());
        self.searching.set(risen.searching);
        self.pool.unpark(risen.unpark);
        self.cadence.woke();
        let found = slept.as_ref().is_ok_and(|found| found.events > 0);
        self.got_up(before, risen.searching || found);
        self.wake(slept?, woken);
        Ok(())
    }
    // END: park

    /// The look between lying down and sleep.
    fn sees_work(&self, look: LastLook) -> bool {
        let worth_it = |of: &Shared| worth_stealing(of.thief.len(), of.counters.poll_cost.get());
        !self.pool.injector.is_empty()
            || (look == LastLook::Everywhere && self.pool.workers.iter().any(worth_it))
    }

    /// Sleeps in the kernel, again and again, until there is a reason to get up. Who is to be woken
    /// then is put into `woken`.
    fn sleep(&self, woken: &mut Vec<Waiter>) -> io::Result<Found> {
        let Pool { idle, .. } = &*self.pool;
        let counters = self.counters();
        let mut quiet = 0;
        loop {
            let post = idle.post(self.number());
            if post == Post::Picked || self.pool.is_closed() {
                return Ok(Found::default());
            }
            // Looked at after `post`: whoever changes it rouses us.
            let until = self.timers().wake_up_at();
            let now = clock::real_now();
            if until <= now {
                return Ok(Found::default());
            }
            if !idle.sleep(self.number()) {
                continue;
            }
            trace::report(|| Event::Parked);
            counters.parks.add(1);
            let tick = (post == Post::Sentry).then_some(TICK);
            let waited = self.reactor().wait(now, until, tick, woken);
            if idle.slept(self.number()) {
                counters.unparks.add(1);
            }
            trace::report(|| Event::Unparked);
            let (found, arms) = waited?;
            counters.timer_arms.add(arms);
            if found.events > 0 {
                return Ok(found);
            }
            if tick.is_some() && !found.roused && self.guard(&mut quiet, woken) {
                return Ok(found);
            }
        }
    }

    /// The sentry's tick. `true`: it took something over, and has to get up for it.
    fn guard(&self, quiet: &mut u32, woken: &mut Vec<Waiter>) -> bool {
        let Pool { idle, injector, workers, .. } = &*self.pool;
        if !idle.anybody_awake() {
            *quiet += 1;
            if *quiet >= QUIET_TICKS && idle.stand_down(self.number()) {
                *quiet = 0;
            }
            return false;
        }
        *quiet = 0;
        let mut took = !injector.is_empty();
        let mut watched = self.watched.take();
        for (number, seen) in watched.iter_mut().enumerate().filter(|(n, _)| *n != self.number()) {
            let neighbour = &workers[number];
            let polls = neighbour.counters.polls.get();
            if polls == seen.polls {
                took |= self.take_over(neighbour, seen, woken);
            } else if worth_a_tick(neighbour.thief.len(), neighbour.counters.poll_cost.get()) {
                took |= self.steal_from(&neighbour.thief);
            }
            *seen = Seen { polls, lifo: neighbour.thief.sight_lifo() };
        }
        self.watched.replace(watched);
        took
    }

    // ANCHOR: take_over
    /// Takes what waits at a neighbour that is stuck. If it only sleeps, there is nothing.
    fn take_over(&self, neighbour: &Shared, seen: &Seen, woken: &mut Vec<Waiter>) -> bool {
        // Only the occupant that was there a tick ago.
        let aged = seen.lifo.and_then(|sighting| neighbour.thief.steal_lifo(sighting));
        let mut took = aged.is_some();
        if let Some(task) = aged {
            self.push(task);
        }
        took |= self.steal_from(&neighbour.thief);
        // If somebody has its reactor, it is the neighbour itself, asleep there.
        if let Some(Ok(found)) = neighbour.reactor.try_look(woken) {
            took |= found.events > 0;
        }
        took |= self.fire(&neighbour.timers, clock::real_now()) > 0;
        self.counters().takeovers.add(took.into());
        took
    }
    // END: take_over
}
