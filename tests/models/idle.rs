//! Models of which workers are parked: `idle.rs` and `parker.rs`, and a worker's own `park` around them.
//!
//! A lost wake is a worker that waits for ever, which loom calls a deadlock. Pool and workers are the real
//! ones, and so is all that a worker does from its announcement to its wait; only the system call is a stub
//! (`wait.rs`), and it hears of nothing but its unparker. In a model there is no time: no wait has a timeout,
//! and the guard never looks. So nothing here is rescued by it.

use std::{panic::Location, sync::Arc as StdArc, task::Waker};

use super::{bounded_model, seeded_bug_is_caught};
use crate::engine::{
    base::primitives::{
        Arc, AtomicU32,
        Ordering::{AcqRel, Relaxed},
        thread,
    },
    reactor::woken::Woken,
    run_queue::stealing::Owner,
    scheduler::pool::{
        Pool, Settings,
        idle::{Duty, Idle, LastLook},
        parker::{Notified, Parker},
        threads::ThreadSettings,
        worker::Worker,
    },
    task::spawned::NewTask,
};

/// A pool and its workers, all awake, whose threads are the model's.
pub(super) fn pool(workers: usize) -> (StdArc<Pool>, Vec<Worker>) {
    let settings = Settings { workers, ..Settings::usual() };
    let (pool, queues) = Pool::without_threads(settings, ThreadSettings::usual(), |_, _| {})
        .expect("the kernel gives an epoll for each model's pool");
    let worker = |(index, queue): (usize, Owner<_>)| Worker::new(pool.clone(), index, queue);
    let workers = queues.into_iter().enumerate().map(worker).collect();
    (pool, workers)
}

fn inject(pool: &Pool) {
    drop(pool.spawn(NewTask::new(async {}, None, Location::caller())));
}

/// A worker without work of its own waits for what is injected. `true`: it has run a task.
fn work(worker: &Worker) -> bool {
    loop {
        if let Some(task) = worker.take_injected() {
            worker.run_task(task);
            return true;
        }
        if worker.pool.is_closed() {
            return false;
        }
        worker.park().expect("a stub waits");
    }
}

/// The least that must hold: a task is injected before the worker looks, or between its look and its
/// wait, or while it waits.
#[test]
fn an_injected_task_unparks_a_worker() {
    bounded_model(3, || {
        let (pool, mut workers) = pool(1);
        let worker = workers.pop().expect("one worker");
        let works = thread::spawn(move || work(&worker));
        inject(&pool);
        assert!(works.join().unwrap());
    });
}

/// Two workers that are about to wait, or do, and what is injected meanwhile: it does not stay behind while
/// both wait.
#[test]
fn two_workers_share_what_is_injected() {
    bounded_model(2, move || {
        let (pool, workers) = pool(2);
        let workers: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                thread::spawn(move || {
                    let got = work(&worker);
                    // The one with work is done with it, and ends the other's wait.
                    worker.pool.close();
                    got
                })
            })
            .collect();
        inject(&pool);
        let got: Vec<_> = workers.into_iter().map(|worker| worker.join().unwrap()).collect();
        assert!(got.contains(&true), "a task was left in the injector, and all workers waited");
    });
}

/// A timer is inserted from outside while the worker that has the wheel parks. If it waits, the alarm ends
/// that in time. There were two timers before: that of an earlier deadline was cancelled.
#[test]
fn a_timer_inserted_while_its_worker_parks_sets_the_alarm() {
    bounded_model(3, || {
        let (pool, mut workers) = pool(1);
        let worker = workers.pop().expect("one worker");
        let deadline = (1 << 40) + 1_000_000_000;
        let insert =
            |deadline| worker.insert_timer(deadline, Waker::noop().clone()).expect("it is open");
        let _later = insert(deadline + 1);
        let (timers, earlier) = insert(deadline - 1);
        drop(timers.cancel(earlier));
        let parks = thread::spawn(move || worker.park().expect("a stub waits"));
        let _timer = pool.insert_timer(deadline, Waker::noop().clone());
        // Ends the wait, if it waits.
        inject(&pool);
        parks.join().unwrap();
        let waited = pool.stats()[0].parks > 0;
        assert!(
            !waited || pool.reactor().alarm_at() <= deadline,
            "it would wait past its deadline"
        );
    });
}

/// Readiness, as the stub has it: whoever waits in the reactor hears of it, or looks there.
fn is_heard_of(first: fn(&Worker)) {
    bounded_model(2, move || {
        let (pool, workers) = pool(2);
        let workers: Vec<_> = workers
            .into_iter()
            .enumerate()
            .map(|(index, worker)| {
                thread::spawn(move || {
                    if index == 0 {
                        first(&worker);
                    }
                    while !worker.pool.is_closed() {
                        worker.park().expect("a stub waits");
                    }
                })
            })
            .collect();
        pool.reactor().unpark();
        pool.reactor().wait_heard();
        pool.close();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

/// One looks at the reactor just when the other parks, and so finds it in use.
#[test]
fn readiness_is_heard_of_though_one_looked_as_the_other_parked() {
    is_heard_of(|worker| {
        let _ = worker.pool.reactor().try_look(16, &mut Woken::default());
    });
}

/// One leaves the reactor for work, and both park again: one of them is in the reactor.
#[test]
fn the_reactor_passes_from_one_worker_to_the_next() {
    bounded_model(2, || {
        let (pool, mut workers) = pool(2);
        let (other, first) = (workers.pop().unwrap(), workers.pop().unwrap());
        let parks = |worker: Worker| {
            thread::spawn(move || {
                while !worker.pool.is_closed() {
                    worker.park().expect("a stub waits");
                    while let Some(task) = worker.take_injected() {
                        worker.run_task(task);
                    }
                }
            })
        };
        let first = parks(first);
        inject(&pool);
        let other = parks(other);
        pool.reactor().unpark();
        pool.reactor().wait_heard();
        pool.close();
        first.join().unwrap();
        other.join().unwrap();
    });
}

/// All wait, in the reactor and outside, as the pool is closed.
#[test]
fn closing_ends_every_wait() {
    bounded_model(2, || {
        let (pool, workers) = pool(2);
        let threads: Vec<_> = workers
            .into_iter()
            .map(|worker| {
                thread::spawn(move || {
                    while !worker.pool.is_closed() {
                        worker.park().expect("a stub waits");
                    }
                })
            })
            .collect();
        pool.close();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

/// With three awake, no two search at once, whoever gives up meanwhile.
#[test]
fn half_search() {
    loom::model(|| {
        let (idle, searching) = (Arc::new(Idle::new(2)), Arc::new(AtomicU32::new(0)));
        let search = |idle: &Idle, searching: &AtomicU32| {
            if idle.search() {
                assert_eq!(searching.fetch_add(1, AcqRel), 0, "one of two may search");
                searching.fetch_sub(1, AcqRel);
                assert!(idle.found(), "there was no other");
            }
        };
        let theirs = (idle.clone(), searching.clone());
        let other = thread::spawn(move || search(&theirs.0, &theirs.1));
        search(&idle, &searching);
        other.join().unwrap();
    });
}

/// Of two that give up, one is the last, and looks everywhere.
#[test]
fn one_searcher_is_the_last() {
    loom::model(|| {
        let idle = Arc::new(Idle::new(4));
        assert!(idle.search() && idle.search(), "two of four may search");
        let theirs = idle.clone();
        let other = thread::spawn(move || theirs.park(0, true));
        let ours = idle.park(1, true);
        let theirs = other.join().unwrap();
        assert_ne!(ours == LastLook::Everywhere, theirs == LastLook::Everywhere);
    });
}

/// Two park while a third works: one of them has the guard duty, the other has not.
#[test]
fn one_of_two_parked_workers_is_the_guard() {
    loom::model(|| {
        let idle = Arc::new(Idle::new(3));
        let guards = |idle: &Idle, worker| {
            let _ = idle.park(worker, false);
            idle.duty(worker) == Duty::Guard
        };
        let theirs = idle.clone();
        let other = thread::spawn(move || guards(&theirs, 1));
        let ours = guards(&idle, 0);
        assert_ne!(ours, other.join().unwrap());
    });
}

/// The duty lapses because all are parked, just when one gets up. The one that is awake is looked after in
/// the end: the duty stays, or is assigned anew, and its worker knows.
#[test]
fn the_duty_lapses_while_another_gets_up() {
    loom::model(|| {
        let idle = Arc::new(Idle::new(2));
        let _ = (idle.park(0, false), idle.park(1, false));
        let theirs = idle.clone();
        let other = thread::spawn(move || {
            let _ = theirs.unparked(1, false);
        });
        if idle.end_guard(0) {
            while idle.duty(0) != Duty::Guard {
                idle.parker(0).park(None);
            }
        }
        other.join().unwrap();
        assert_eq!(idle.duty(0), Duty::Guard, "worker 1 is awake, and there is no guard");
    });
}

/// Two have work for another worker. One of them unparks it, and the other relies on it to search.
#[test]
fn one_is_unparked_for_two() {
    loom::model(|| {
        let idle = Arc::new(Idle::new(3));
        let _ = (idle.park(0, false), idle.park(1, false));
        let theirs = idle.clone();
        let other = thread::spawn(move || theirs.unpark_one().is_some());
        let ours = idle.unpark_one().is_some();
        assert_ne!(ours, other.join().unwrap());
        let unparked = [0, 1].map(|worker| idle.duty(worker) == Duty::Work);
        assert_ne!(unparked[0], unparked[1]);
    });
}

/// A parked worker is unparked as it begins to wait, for work that it cannot see itself: another worker's
/// queue. Or it is assigned the guard duty, because another gets up.
fn notified_as_it_begins_to_wait(duty: Duty, notify: fn(&Idle)) {
    loom::model(move || {
        let idle = Arc::new(Idle::new(2));
        let _ = (idle.park(1, false), idle.park(0, false));
        // There is no guard, as after a while with all of them parked.
        assert!(idle.end_guard(1));
        let theirs = idle.clone();
        let notifies = thread::spawn(move || notify(&theirs));
        while idle.duty(0) != duty {
            idle.parker(0).park(None);
        }
        notifies.join().unwrap();
    });
}

#[test]
fn a_worker_that_is_unparked_as_it_begins_to_wait_comes() {
    notified_as_it_begins_to_wait(Duty::Work, |idle| {
        assert_eq!(idle.unpark_one(), Some(Notified::Done));
    });
}

#[test]
fn a_worker_that_is_assigned_the_duty_as_it_begins_to_wait_guards() {
    notified_as_it_begins_to_wait(Duty::Guard, |idle| {
        let _ = idle.unparked(1, false);
    });
}

/// A wake of a root future comes before its thread waits, or while it begins to, or after.
#[test]
fn a_root_future_is_woken() {
    loom::model(|| {
        let (parker, datum) = (Arc::new(Parker::new()), Arc::new(AtomicU32::new(0)));
        let (theirs, their_datum) = (parker.clone(), datum.clone());
        let waker = thread::spawn(move || {
            their_datum.store(1, Relaxed);
            assert_eq!(theirs.notify(), Notified::Done);
        });
        while datum.load(Relaxed) == 0 {
            parker.park(None);
        }
        waker.join().unwrap();
    });
}

#[test]
fn parking_without_a_fence_is_caught() {
    seeded_bug_is_caught(
        "models::idle::an_injected_task_unparks_a_worker",
        "idle_parks_without_fence",
    );
}

#[test]
fn an_injection_without_a_fence_is_caught() {
    seeded_bug_is_caught(
        "models::idle::an_injected_task_unparks_a_worker",
        "idle_injects_without_fence",
    );
}

/// A worker that does not look at the injector once it has announced that it parks.
#[test]
fn parking_without_a_look_at_the_injector_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::idle::an_injected_task_unparks_a_worker",
        "parking_ignores_the_injector",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

#[test]
fn timers_read_before_the_announcement_are_caught() {
    seeded_bug_is_caught(
        "models::idle::a_timer_inserted_while_its_worker_parks_sets_the_alarm",
        "parking_reads_its_timers_early",
    );
}

#[test]
fn a_deadline_that_a_cancelled_timer_left_behind_is_caught() {
    seeded_bug_is_caught(
        "models::idle::a_timer_inserted_while_its_worker_parks_sets_the_alarm",
        "timers_keep_an_old_deadline",
    );
}

#[test]
fn a_wait_that_a_notification_does_not_prevent_is_caught() {
    let finding =
        seeded_bug_is_caught("models::idle::closing_ends_every_wait", "parker_waits_unasked");
    assert!(finding.contains("deadlock"), "{finding}");
}

/// The next to park finds the reactor in use by one that has left it.
#[test]
fn a_reactor_that_is_not_let_go_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::idle::the_reactor_passes_from_one_worker_to_the_next",
        "parking_keeps_the_reactor",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

#[test]
fn counting_searchers_in_two_steps_is_caught() {
    seeded_bug_is_caught("models::idle::half_search", "idle_counts_searchers_in_two_steps");
}

#[test]
fn two_guards_are_caught() {
    seeded_bug_is_caught(
        "models::idle::one_of_two_parked_workers_is_the_guard",
        "idle_makes_each_a_guard",
    );
}

#[test]
fn a_duty_that_ends_by_an_old_look_is_caught() {
    seeded_bug_is_caught(
        "models::idle::the_duty_lapses_while_another_gets_up",
        "idle_ends_the_guard_after_an_old_look",
    );
}

#[test]
fn notifying_a_parker_without_its_lock_is_caught() {
    seeded_bug_is_caught(
        "models::idle::a_root_future_is_woken",
        "parker_notifies_without_the_lock",
    );
}

/// The parker reset after the look at the list: what was notified in between is forgotten.
#[test]
fn resetting_the_parker_after_the_look_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::idle::a_worker_that_is_unparked_as_it_begins_to_wait_comes",
        "idle_resets_after_its_look",
    );
    assert!(finding.contains("deadlock"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::idle::a_worker_that_is_assigned_the_duty_as_it_begins_to_wait_guards",
        "idle_resets_after_its_look",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}
