//! What a worker does when nothing is ready, and how it keeps guard meanwhile.
//!
//! It says that it lies down, looks once more, and sleeps in its own reactor: so its timers, and the
//! sockets that stand there, get it up with no hand-over, and others rouse it by its unparker. `idle.rs`
//! has the rules.
//!
//! One of those who sleep is the *sentry*. A worker that is stuck in one poll runs nothing, looks at
//! no socket and fires no timer, and its tasks cannot know. So while anybody is awake, the sentry
//! wakes up once a tick, at least, and compares (`watch.rs`): a worker that has begun no poll for half
//! a tick is asleep, and then there is nothing to take from it, or it is stuck. The sentry takes over
//! what waits there, for one look: the tasks in its queue, what the kernel has for it, and the timers
//! that are due. All that ends up in the sentry's own queue, and is run there. While the poll goes on,
//! so does this.
//!
//! So what becomes ready while any worker is parked runs within two ticks, whoever is stuck, and sooner
//! once the sentry knows. The price, with the usual tick of 10 ms, is a hundred wake-ups a second of one
//! thread while others work, and more while one of them is stuck.
//!
//! The rivals: a thread of its own for that, which Go has, to do what an idle worker can; and to unpark
//! a neighbour for each task that becomes ready, so that none is ever bound to a busy worker, at a
//! system call each.

use std::{io, time::Duration};

use super::{
    Pool, Shared,
    idle::{LastLook, Post, worth_getting_up, worth_stealing},
    watch::Seen,
    worker::Worker,
};
use crate::engine::{
    base::{
        clock::{self, nanos},
        primitives::{lock, seeded},
        trace::{self, Event},
    },
    reactor::{Found, woken::Woken},
    run_queue::stealing::CAPACITY,
};

/// After so many looks in a row that found nobody awake it stands down.
const QUIET_LOOKS: u32 = 10;

/// How one that lies sleeps.
#[derive(Debug, Clone, Copy)]
enum Sleep {
    /// It has seen something to do.
    Not,
    Now,
    /// It was never up. As a sentry it has missed nothing yet.
    FromBirth,
}

impl Worker {
    // ANCHOR: park
    /// Nothing is ready anywhere: sleeps until something comes.
    pub(super) fn park(&self) -> io::Result<()> {
        let last_look = self.pool.idle.lie_down(self.number(), self.searching.take());
        let sees_work = self.sees_work(last_look);
        self.rest(if sees_work { Sleep::Not } else { Sleep::Now })
    }

    /// It lies: sleeps, unless it need not, and gets up.
    fn rest(&self, sleep: Sleep) -> io::Result<()> {
        let mut woken = self.woken.take();
        let before = clock::real_now();
        let slept = match sleep {
            Sleep::Not => Ok(Found::default()),
            Sleep::Now => self.sleep(false, &mut woken),
            Sleep::FromBirth => self.sleep(true, &mut woken),
        };
        self.rise();
        self.interval.unparked();
        let found = slept.as_ref().is_ok_and(|found| found.events > 0);
        self.got_up(before, self.searching.get() || found);
        self.wake(slept?, woken);
        Ok(())
    }
    // END: park

    /// What a worker does first of all: it lies down, to be picked when it is needed. What was injected
    /// while the threads started is for the last of them that does; if each looked around first, chance
    /// would decide how many begin.
    pub(super) fn rest_from_birth(&self) -> io::Result<()> {
        let Pool { idle, injector, .. } = &*self.pool;
        let _ = idle.lie_down(self.number(), false);
        let is_needed = !injector.is_empty() && !idle.anybody_awake();
        // The hook that its thread starts with may have spawned.
        let gets_up = is_needed || !self.queue.is_empty();
        self.rest(if gets_up { Sleep::Not } else { Sleep::FromBirth })
    }

    /// It gets up, and says so.
    pub(crate) fn rise(&self) {
        let risen = self.pool.idle.rise(self.number());
        self.searching.set(risen.searching);
        self.pool.unpark(risen.unpark);
    }

    /// The look between lying down and sleep.
    fn sees_work(&self, look: LastLook) -> bool {
        let worth_it = |of: &Shared| {
            let waiting = of.thief.len();
            worth_stealing(waiting, of.poll_cost(waiting))
        };
        !self.pool.injector.is_empty()
            || (look == LastLook::Everywhere && self.pool.workers.iter().any(worth_it))
    }

    /// Sleeps in the kernel, again and again, until there is a reason to get up. Who is to be woken
    /// then is put into `woken`.
    fn sleep(&self, mut was_asleep: bool, woken: &mut Woken) -> io::Result<Found> {
        let Pool { idle, watch, .. } = &*self.pool;
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
            let mut limit = None;
            if post == Post::Sentry {
                let due = lock(watch).due(now, was_asleep);
                if due > now {
                    limit = Some(Duration::from_nanos(due - now));
                } else if self.guard(now, &mut quiet, woken) {
                    return Ok(Found::default());
                } else {
                    continue;
                }
            }
            was_asleep = post == Post::Asleep;
            if !idle.sleep(self.number()) {
                continue;
            }
            trace::report(|| Event::Parked);
            counters.parks.add(1);
            let waited = self.reactor().wait(now, until, limit, woken);
            if idle.slept(self.number()) {
                counters.unparks.add(1);
            }
            trace::report(|| Event::Unparked);
            let (found, arms) = waited?;
            counters.timer_arms.add(arms);
            if found.events > 0 {
                return Ok(found);
            }
        }
    }

    /// The sentry's look. `true`: it took something over, or found something injected, and has to get
    /// up for it.
    pub(crate) fn guard(&self, now: u64, quiet: &mut u32, woken: &mut Woken) -> bool {
        let Pool { idle, injector, watch, .. } = &*self.pool;
        let mut seen = lock(watch).begin(now);
        let (mut took, mut took_over) = (false, false);
        if idle.anybody_awake() {
            *quiet = 0;
            took = !injector.is_empty();
            for (number, seen) in seen.iter_mut().enumerate().filter(|(n, _)| *n != self.number()) {
                took |= self.look_after(number, seen, now, woken);
                took_over |= seen.taken_over;
            }
        } else {
            *quiet += 1;
            if *quiet >= QUIET_LOOKS && idle.stand_down(self.number()) {
                *quiet = 0;
            }
        }
        lock(watch).end(now, seen, took_over);
        took
    }

    /// Compares one neighbour with what was seen of it, and takes over if it is stuck. From one that
    /// works it steals, if that is worth getting up for.
    fn look_after(&self, number: usize, seen: &mut Seen, now: u64, woken: &mut Woken) -> bool {
        let neighbour = &self.pool.workers[number];
        let polls = neighbour.counters.polls.get();
        let is_stuck = seen.is_stuck(polls, now, nanos(self.pool.settings.sentry_tick));
        let took = is_stuck && self.take_over(number, seen, woken);
        let waiting = neighbour.thief.len();
        let has_much = worth_getting_up(waiting, neighbour.poll_cost(waiting));
        let stole = !is_stuck && has_much && self.steal_from(number);
        let since = if polls == seen.polls { seen.since } else { now };
        // Also of one that is stuck: it may have filled its slot since.
        let mut lifo = neighbour.thief.sight_lifo();
        if is_stuck && seeded("takeover_keeps_an_old_sighting") {
            lifo = seen.lifo;
        }
        *seen = Seen { polls, lifo, since, taken_over: took };
        if took {
            self.counters().takeovers.add(1);
            trace::report(|| Event::TookOver { worker: number });
        }
        took || stole
    }

    // ANCHOR: take_over
    /// Takes what waits at a neighbour that is stuck. If it only sleeps, there is nothing.
    fn take_over(&self, number: usize, seen: &Seen, woken: &mut Woken) -> bool {
        let neighbour = &self.pool.workers[number];
        // Only the occupant that was there at the last look.
        let fresh = seeded("takeover_steals_a_fresh_occupant");
        let aged = if fresh { neighbour.thief.sight_lifo() } else { seen.lifo };
        let aged = aged.and_then(|sighting| neighbour.thief.steal_lifo(sighting));
        let mut took = aged.is_some();
        if let Some(task) = aged {
            self.push(task);
        }
        // All of it, half by half: its owner has no use for it meanwhile. But what that one spawns on
        // and on is not waited for.
        for _ in 0..=CAPACITY.ilog2() {
            took |= self.steal_from(number);
        }
        // If somebody has its reactor, it is the neighbour itself, asleep there.
        if let Some(Ok(found)) = neighbour.reactor.try_look(woken) {
            took |= found.events > 0;
        }
        took |= self.fire(&neighbour.timers, clock::real_now()) > 0;
        took
    }
    // END: take_over
}
