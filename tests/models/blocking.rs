//! Models of the blocking pool: the real one, with its threads.
//!
//! A job that no thread comes for is a deadlock: each model waits for its jobs, then closes the pool, and
//! loom waits for its threads. That a parked thread ends after a while is a timeout, which loom has not.

use std::panic::Location;

use loom::model::Builder;

use super::seeded_bug_is_caught;
use crate::engine::{
    base::{
        id::TaskId,
        primitives::{Arc, Condvar, Mutex, lock, thread},
    },
    blocking::{BlockingPool, Job, JobNumber, Kind},
    task::{join::JoinHandle, reach::Reach, spawned::NewTask},
};

/// Jobs that have ended.
struct Ended {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Ended {
    fn new() -> Arc<Self> {
        Arc::new(Self { count: Mutex::new(0), changed: Condvar::new() })
    }

    fn count(&self) -> usize {
        *lock(&self.count)
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

/// Submits a job that waits for so many others, then counts as ended.
fn submit(pool: &BlockingPool, ended: &Arc<Ended>, after: usize) -> (JobNumber, JoinHandle<()>) {
    let ended = ended.clone();
    let job = async move {
        ended.wait_for(after);
        ended.add_one();
    };
    let new = NewTask::new(job, None, Location::caller());
    let (task, origin, handle) = new.identify(TaskId::draw(), Reach::NONE);
    let submitted = pool.submit(Job::new(task, origin, Kind::Call, None));
    (submitted.ok().expect("it is open"), handle)
}

fn check(body: impl Fn() + Send + Sync + 'static) {
    let mut model = Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

/// The thread is on its way, runs, parks or is parked when the next job comes.
#[test]
fn one_thread_and_three_jobs() {
    check(|| {
        let (pool, ended) = (BlockingPool::new(1, 8), Ended::new());
        for _ in 0..3 {
            drop(submit(&pool, &ended, 0));
        }
        ended.wait_for(3);
        pool.close();
    });
}

/// The first job waits for the second: it needs a thread of its own, which the thread that takes the
/// first has to unpark or start.
#[test]
fn a_job_that_waits_for_another() {
    check(|| {
        let (pool, ended) = (BlockingPool::new(2, 8), Ended::new());
        drop(submit(&pool, &ended, 1));
        drop(submit(&pool, &ended, 0));
        ended.wait_for(2);
        pool.close();
    });
}

/// Closed while a thread parks, is unparked, or starts: it ends, and a job that did not begin is dropped.
#[test]
fn close_beside_a_job() {
    check(|| {
        let (pool, ended) = (BlockingPool::new(1, 8), Ended::new());
        drop(submit(&pool, &ended, 0));
        pool.close();
    });
}

/// A job is cancelled while a thread comes for it: it runs, or it is cancelled, and not both.
#[test]
fn a_cancel_beside_the_beginning() {
    check(|| {
        let pool = Arc::new(BlockingPool::new(1, 8));
        let ended = Ended::new();
        let (number, handle) = submit(&pool, &ended, 0);
        let canceller = pool.clone();
        let cancels = thread::spawn(move || canceller.cancel(number));
        let came_in_time = cancels.join().unwrap();
        assert!(!came_in_time || handle.is_finished(), "its handle knows at once");
        if !came_in_time {
            ended.wait_for(1);
        }
        pool.close();
        assert_eq!(ended.count(), usize::from(!came_in_time));
    });
}

/// A pool is closed, and what has begun is waited for.
#[test]
fn the_end_of_what_has_begun() {
    check(|| {
        let (pool, ended) = (BlockingPool::new(1, 8), Ended::new());
        let (_, handle) = submit(&pool, &ended, 0);
        pool.close();
        pool.wait_ended(|| std::time::Duration::MAX);
        assert!(handle.is_finished(), "it has ended, or never began");
    });
}

/// A pool is finished: what it has taken in is run, also a job that has not begun and needs a thread of its own.
#[test]
fn the_end_of_all_that_was_taken_in() {
    check(|| {
        let (pool, ended) = (BlockingPool::new(2, 8), Ended::new());
        drop(submit(&pool, &ended, 1));
        drop(submit(&pool, &ended, 0));
        pool.finish();
        pool.wait_ended(|| std::time::Duration::MAX);
        assert_eq!(ended.count(), 2);
    });
}

#[test]
fn a_thread_that_has_started_is_not_on_its_way() {
    seeded_bug_is_caught(
        "models::blocking::a_job_that_waits_for_another",
        "blocking_starts_for_ever",
    );
}

#[test]
fn a_thread_that_came_is_not_on_its_way() {
    seeded_bug_is_caught(
        "models::blocking::one_thread_and_three_jobs",
        "blocking_forgets_who_came",
    );
}

#[test]
fn a_thread_that_leaves_jobs_behind_unparks_another() {
    seeded_bug_is_caught(
        "models::blocking::a_job_that_waits_for_another",
        "blocking_leaves_jobs_uncalled",
    );
}

#[test]
fn a_closed_pool_unparks_its_idle_threads() {
    seeded_bug_is_caught(
        "models::blocking::one_thread_and_three_jobs",
        "blocking_closes_past_the_idle",
    );
}

#[test]
fn a_finished_pool_runs_what_is_left() {
    seeded_bug_is_caught(
        "models::blocking::the_end_of_all_that_was_taken_in",
        "blocking_finishes_without_a_thread",
    );
}

#[test]
fn the_last_call_of_a_closed_pool_says_that_it_ended() {
    seeded_bug_is_caught(
        "models::blocking::the_end_of_what_has_begun",
        "blocking_ends_without_a_word",
    );
}
