//! Models of the blocking pool: the real one, with its threads.
//!
//! A job that nobody comes for is a deadlock: each model waits for its jobs, then closes the pool, and
//! loom waits for its threads. The sentry's tick is a timeout, which loom has not: here nothing may
//! rest on it but what runs anyway.

use std::panic::Location;

use loom::model::Builder;

use super::seeded_bug_is_caught;
use crate::engine::{
    base::{
        id::TaskId,
        primitives::{Arc, Condvar, Mutex, lock},
    },
    blocking::{Job, Pool},
    task::spawned::NewTask,
};

/// Jobs are short, or as long as one must assume.
const SHORT: u64 = 0;
const LONG: u64 = 1_000_000_000;

/// Jobs that have ended.
struct Ended {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Ended {
    fn new() -> Arc<Self> {
        Arc::new(Self { count: Mutex::new(0), changed: Condvar::new() })
    }

    fn wait_for(&self, count: usize) {
        let mut ended = lock(&self.count);
        while *ended < count {
            ended = self.changed.wait(ended).unwrap();
        }
    }

    fn add_one(&self) {
        *lock(&self.count) += 1;
        self.changed.notify_all();
    }
}

fn pool(threads: usize, job_cost: u64) -> Pool {
    // Time stands still: no job takes any.
    Pool::with(threads, 8, job_cost, || 0)
}

/// Submits a job that waits for so many others, then counts as ended.
fn submit(pool: &Pool, ended: &Arc<Ended>, after: usize) {
    let ended = ended.clone();
    let job = async move {
        ended.wait_for(after);
        ended.add_one();
    };
    let new = NewTask::new(job, None, Location::caller());
    let (task, origin, _handle) = new.identify(TaskId::draw(), |_| {});
    let submitted = pool.submit(Job::new(task, origin), 0, || None);
    assert!(submitted.is_ok(), "there is room");
}

fn check(body: impl Fn() + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

/// The thread is on its way, runs, parks or is parked when the second job comes.
#[test]
fn one_thread_and_two_jobs() {
    check(|| {
        let (pool, ended) = (pool(1, LONG), Ended::new());
        submit(&pool, &ended, 0);
        submit(&pool, &ended, 0);
        ended.wait_for(2);
        pool.close();
    });
}

/// The first job waits for the second: it needs a thread of its own, which whoever takes the first
/// has to call.
#[test]
fn a_job_that_waits_for_another() {
    check(|| {
        let (pool, ended) = (pool(2, LONG), Ended::new());
        submit(&pool, &ended, 1);
        submit(&pool, &ended, 0);
        ended.wait_for(2);
        pool.close();
    });
}

/// One runs them and the other keeps guard, or comes too late for all.
#[test]
fn short_jobs() {
    check(|| {
        let (pool, ended) = (pool(2, SHORT), Ended::new());
        for _ in 0..3 {
            submit(&pool, &ended, 0);
        }
        ended.wait_for(3);
        pool.close();
    });
}

/// Closed while a thread parks, is called, or starts: it ends, and a job that did not begin is dropped.
#[test]
fn close_beside_a_job() {
    check(|| {
        let (pool, ended) = (pool(1, LONG), Ended::new());
        submit(&pool, &ended, 0);
        pool.close();
    });
}

#[test]
fn who_came_is_not_on_its_way_any_more() {
    seeded_bug_is_caught("models::blocking::one_thread_and_two_jobs", "blocking_forgets_who_came");
}

#[test]
fn who_leaves_jobs_behind_calls() {
    seeded_bug_is_caught(
        "models::blocking::a_job_that_waits_for_another",
        "blocking_leaves_jobs_uncalled",
    );
}

#[test]
fn a_closed_pool_gets_everybody_up() {
    seeded_bug_is_caught("models::blocking::short_jobs", "blocking_closes_past_the_sentry");
}
