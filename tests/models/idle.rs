//! Models of who sleeps in a pool: `idle.rs`, and the parker of a `block_on`.
//!
//! A lost wake is a worker that sleeps for ever, which loom calls a deadlock. The injector is here a
//! count of tasks, published as the real one publishes its length; a worker sleeps on loom's stand-in
//! for the eventfd. The sentry's tick is a timeout, which loom has not: the models ask for nobody's
//! help from it.

use super::{bounded_model, seeded_bug_is_caught};
use crate::engine::{
    base::primitives::{
        Arc, AtomicU32,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
        thread,
    },
    scheduler::pool::{
        idle::{Idle, LastLook, Post},
        parker::Parker,
    },
    wait::Unparker,
};

/// A pool of which nothing is left but who sleeps.
struct Pool {
    idle: Idle,
    unparkers: Vec<Unparker>,
    /// Tasks in the injector.
    injected: AtomicU32,
    closed: AtomicU32,
    searching: AtomicU32,
}

impl Pool {
    /// All workers are awake.
    fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            idle: Idle::new(workers),
            unparkers: (0..workers).map(|_| Unparker::default()).collect(),
            injected: AtomicU32::new(0),
            closed: AtomicU32::new(0),
            searching: AtomicU32::new(0),
        })
    }

    fn unpark(&self, worker: Option<usize>) {
        if let Some(worker) = worker {
            self.unparkers[worker].unpark();
        }
    }

    fn inject(&self) {
        // Relaxed: that it is seen is the doing of `idle`.
        self.injected.fetch_add(1, Relaxed);
        self.unpark(self.idle.pick_for_injected(|| false));
    }

    fn is_there_work(&self) -> bool {
        self.injected.load(Relaxed) > 0 || self.closed.load(Acquire) > 0
    }

    /// A worker without work of its own waits for what is injected. `true`: it has got a task.
    fn work(&self, worker: usize) -> bool {
        loop {
            if self.injected.fetch_update(AcqRel, Acquire, |tasks| tasks.checked_sub(1)).is_ok() {
                return true;
            }
            if self.closed.load(Acquire) > 0 {
                return false;
            }
            let _ = self.idle.lie_down(worker, false);
            self.rest(worker);
        }
    }

    /// From lying down to getting up.
    fn rest(&self, worker: usize) {
        while !self.is_there_work() && self.idle.post(worker) != Post::Picked {
            // Looked at after `post`, which takes the notifications.
            if !self.is_there_work() && self.idle.sleep(worker) {
                self.unparkers[worker].wait_unparked();
                self.idle.slept(worker);
            }
        }
        self.rise(worker);
    }

    /// What a worker does first of all: it lies down, and leaves what there is to the last that does.
    fn rest_from_birth(&self, worker: usize) {
        let _ = self.idle.lie_down(worker, false);
        let is_needed = self.injected.load(Relaxed) > 0 && !self.idle.anybody_awake();
        while !is_needed && self.idle.post(worker) != Post::Picked && self.closed.load(Acquire) == 0
        {
            if self.idle.sleep(worker) {
                self.unparkers[worker].wait_unparked();
                self.idle.slept(worker);
            }
        }
        self.rise(worker);
    }

    fn rise(&self, worker: usize) {
        let risen = self.idle.rise(worker);
        self.unpark(risen.unpark);
        if risen.searching {
            let _ = self.idle.found();
        }
    }

    fn close(&self, workers: std::ops::Range<usize>) {
        self.closed.store(1, Release);
        for worker in workers {
            self.unpark(self.idle.rouse(worker).then_some(worker));
        }
    }
}

/// The least that must hold: a task is injected before the worker looks, or between its look and its
/// sleep, or when it sleeps.
#[test]
fn an_injected_task_gets_a_worker_up() {
    loom::model(|| {
        let pool = Pool::new(1);
        let theirs = pool.clone();
        let worker = thread::spawn(move || theirs.work(0));
        pool.inject();
        assert!(worker.join().unwrap());
    });
}

/// Two workers that begin by `first`, and what is injected meanwhile: it does not stay behind while both
/// sleep. Who has got its task stays awake, as one does that has work.
fn two_workers_and_a_task(first: fn(&Pool, usize)) {
    bounded_model(3, move || {
        let pool = Pool::new(2);
        let workers = [0, 1].map(|worker| {
            let theirs = pool.clone();
            thread::spawn(move || {
                first(&theirs, worker);
                let got = theirs.work(worker);
                // The one with work is done with it, and leaves the rest to the other.
                theirs.close(0..2);
                got
            })
        });
        pool.inject();
        let got = workers.map(|worker| worker.join().unwrap());
        assert!(got[0] || got[1], "a task was left in the injector, and everybody went to sleep");
    });
}

/// As their threads start.
#[test]
fn a_task_injected_at_birth_gets_one_up() {
    two_workers_and_a_task(Pool::rest_from_birth);
}

/// As they are about to sleep, or do.
#[test]
fn two_workers_share_what_is_injected() {
    two_workers_and_a_task(|_, _| {});
}

/// With three awake, no two search at once, whoever gives up meanwhile.
#[test]
fn half_search() {
    loom::model(|| {
        let pool = Pool::new(2);
        let search = |pool: &Pool| {
            if pool.idle.search() {
                assert_eq!(pool.searching.fetch_add(1, AcqRel), 0, "one of two may search");
                pool.searching.fetch_sub(1, AcqRel);
                assert!(pool.idle.found(), "there was no other");
            }
        };
        let theirs = pool.clone();
        let other = thread::spawn(move || search(&theirs));
        search(&pool);
        other.join().unwrap();
    });
}

/// Of two that give up, one is the last, and looks everywhere.
#[test]
fn one_searcher_is_the_last() {
    loom::model(|| {
        let pool = Pool::new(4);
        assert!(pool.idle.search() && pool.idle.search(), "two of four may search");
        let theirs = pool.clone();
        let other = thread::spawn(move || theirs.idle.lie_down(0, true));
        let ours = pool.idle.lie_down(1, true);
        let theirs = other.join().unwrap();
        assert_ne!(ours == LastLook::Everywhere, theirs == LastLook::Everywhere);
    });
}

/// Two lie down while a third works: one of them keeps guard, the other does not.
#[test]
fn one_of_two_sleepers_keeps_guard() {
    loom::model(|| {
        let pool = Pool::new(3);
        let guards = |pool: &Pool, worker| {
            let _ = pool.idle.lie_down(worker, false);
            pool.idle.post(worker) == Post::Sentry
        };
        let theirs = pool.clone();
        let other = thread::spawn(move || guards(&theirs, 1));
        let ours = guards(&pool, 0);
        assert_ne!(ours, other.join().unwrap());
    });
}

/// The sentry stands down because everybody sleeps, just when somebody gets up. He who is up is
/// guarded in the end: the sentry stays, or is appointed anew and knows of it.
#[test]
fn a_sentry_stands_down_while_another_gets_up() {
    loom::model(|| {
        let pool = Pool::new(2);
        let _ = (pool.idle.lie_down(0, false), pool.idle.lie_down(1, false));
        let theirs = pool.clone();
        let riser = thread::spawn(move || {
            let risen = theirs.idle.rise(1);
            theirs.unpark(risen.unpark);
        });
        if pool.idle.stand_down(0) {
            while pool.idle.post(0) != Post::Sentry {
                if pool.idle.sleep(0) {
                    pool.unparkers[0].wait_unparked();
                    pool.idle.slept(0);
                }
            }
        }
        riser.join().unwrap();
        assert_eq!(pool.idle.post(0), Post::Sentry, "worker 1 is awake, and nobody keeps guard");
    });
}

/// Two have work for a neighbour. One of them picks it, and the other relies on it to search.
#[test]
fn a_sleeper_is_picked_once() {
    loom::model(|| {
        let pool = Pool::new(3);
        let _ = (pool.idle.lie_down(0, false), pool.idle.lie_down(1, false));
        let theirs = pool.clone();
        let other = thread::spawn(move || theirs.idle.pick());
        let ours = pool.idle.pick();
        let _ = other.join().unwrap();
        let picked = [0, 1].map(|worker| pool.idle.post(worker) == Post::Picked);
        assert_ne!(picked[0], picked[1]);
        assert_eq!(ours, None, "neither slept in the kernel yet");
    });
}

/// One who lies is picked as it falls asleep, for work that it cannot see itself: a neighbour's queue. Or it
/// is appointed sentry, because another gets up.
fn called_while_it_falls_asleep(post: Post, call: fn(&Pool)) {
    loom::model(move || {
        let pool = Pool::new(2);
        let _ = (pool.idle.lie_down(1, false), pool.idle.lie_down(0, false));
        // Nobody keeps guard, as after a while with everybody parked.
        assert!(pool.idle.stand_down(1));
        let theirs = pool.clone();
        let caller = thread::spawn(move || call(&theirs));
        while pool.idle.post(0) != post {
            if pool.idle.sleep(0) {
                pool.unparkers[0].wait_unparked();
                pool.idle.slept(0);
            }
        }
        caller.join().unwrap();
    });
}

#[test]
fn who_is_picked_while_it_falls_asleep_comes() {
    called_while_it_falls_asleep(Post::Picked, |pool| pool.unpark(pool.idle.pick()));
}

#[test]
fn who_is_appointed_while_it_falls_asleep_keeps_guard() {
    called_while_it_falls_asleep(Post::Sentry, |pool| pool.unpark(pool.idle.rise(1).unpark));
}

/// A wake of a root future comes before its thread sleeps, or while it falls asleep, or after.
#[test]
fn a_root_future_is_woken() {
    loom::model(|| {
        let (parker, datum) = (Arc::new(Parker::new()), Arc::new(AtomicU32::new(0)));
        let (theirs, their_datum) = (parker.clone(), datum.clone());
        let waker = thread::spawn(move || {
            their_datum.store(1, Relaxed);
            theirs.notify();
        });
        while datum.load(Relaxed) == 0 {
            parker.sleep();
        }
        waker.join().unwrap();
    });
}

#[test]
fn a_worker_that_lies_down_without_a_fence_is_caught() {
    seeded_bug_is_caught(
        "models::idle::an_injected_task_gets_a_worker_up",
        "idle_lies_down_without_fence",
    );
}

#[test]
fn an_injection_without_a_fence_is_caught() {
    seeded_bug_is_caught(
        "models::idle::an_injected_task_gets_a_worker_up",
        "idle_injects_without_fence",
    );
}

#[test]
fn counting_searchers_in_two_steps_is_caught() {
    seeded_bug_is_caught("models::idle::half_search", "idle_counts_searchers_in_two_steps");
}

#[test]
fn two_sentries_are_caught() {
    seeded_bug_is_caught(
        "models::idle::one_of_two_sleepers_keeps_guard",
        "idle_every_sleeper_is_a_sentry",
    );
}

#[test]
fn a_sentry_that_goes_by_an_old_look_is_caught() {
    seeded_bug_is_caught(
        "models::idle::a_sentry_stands_down_while_another_gets_up",
        "idle_stands_down_after_an_old_look",
    );
}

#[test]
fn notifying_a_parker_without_its_lock_is_caught() {
    seeded_bug_is_caught(
        "models::idle::a_root_future_is_woken",
        "parker_notifies_without_the_lock",
    );
}

/// The door shut after the look at the list: whoever picked it in between has knocked, and was not heard.
#[test]
fn resetting_the_door_after_the_look_is_caught() {
    for finding in [
        seeded_bug_is_caught(
            "models::idle::who_is_picked_while_it_falls_asleep_comes",
            "idle_resets_after_its_look",
        ),
        seeded_bug_is_caught(
            "models::idle::who_is_appointed_while_it_falls_asleep_keeps_guard",
            "idle_resets_after_its_look",
        ),
    ] {
        assert!(finding.contains("deadlock"), "{finding}");
    }
}
