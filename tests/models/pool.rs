//! Models of a whole pool, `scheduler/pool/`: what the guard takes over from a worker that is stuck, or
//! is coming back just then; a worker that passes from one thread to another; and the end, against spawns,
//! wakes and polls.
//!
//! Pool, workers and tasks are the real ones. A worker here is a thread that runs what it has and never parks:
//! parking has models of its own (`idle.rs`), as have the timers and the sources (`timers.rs`, `source.rs`).
//!
//! loom's threads share the thread-locals, so one worker at most is entered, and nobody else wakes a task
//! meanwhile. And loom notes the last access of each object only: a thread that loads and then stores is
//! not seen to race with a load that came before both. So the worker, which stores, is the thread that loom
//! runs first, and the guard's loads come after; the other way round loom tries one order and is content.

use std::{
    future::{Future, pending, poll_fn},
    mem,
    panic::Location,
    rc::Rc,
    task::{Poll, Waker},
};

use super::{bounded_model, idle::pool, seeded_bug_is_caught};
use crate::engine::{
    base::primitives::{
        Arc, AtomicU32, Mutex,
        Ordering::{AcqRel, Acquire},
        counter::{AtomicU64, Relaxed},
        lock, thread,
    },
    scheduler::pool::{Pool, worker::Worker},
    task::{join::JoinHandle, spawned::NewTask},
};

fn spawn(worker: &Worker, future: impl Future<Output = ()> + Send + 'static) {
    drop(worker.spawn(NewTask::new(future, None, Location::caller())));
}

fn spawn_outside(pool: &Pool, future: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    pool.spawn(NewTask::new(future, None, Location::caller()))
}

/// Runs what a worker has.
fn run(worker: &Worker) {
    while let Some(task) = worker.next() {
        worker.run_task(task);
    }
}

/// The same with what is injected.
fn run_injected(worker: &Worker) {
    if let Some(task) = worker.take_injected() {
        worker.run_task(task);
    }
    run(worker);
}

/// The guard's look, a second after the one before.
fn guard(guard: &Worker) {
    static SECONDS: AtomicU64 = AtomicU64::new(1);
    let now = (SECONDS.fetch_add(1, Relaxed) + (1 << 20)) * 1_000_000_000;
    let _ = guard.guard(now);
}

/// A task that waits for one wake, and how often it was polled to its end.
struct Sleeper {
    waker: Mutex<Option<Waker>>,
    ended: AtomicU32,
}

impl Sleeper {
    fn new() -> Arc<Self> {
        Arc::new(Self { waker: Mutex::new(None), ended: AtomicU32::new(0) })
    }

    fn wake(&self) {
        let waker = lock(&self.waker).take();
        waker.expect("the task waits").wake();
    }

    fn ended(&self) -> u32 {
        self.ended.load(Acquire)
    }
}

/// The future of such a task. At its end it does `then`.
fn sleep<F>(sleeper: &Arc<Sleeper>, then: F) -> impl Future<Output = ()> + Send + use<F>
where
    F: FnOnce() + Send + 'static,
{
    let (sleeper, mut then, mut waits) = (sleeper.clone(), Some(then), true);
    poll_fn(move |cx| {
        if mem::take(&mut waits) {
            *lock(&sleeper.waker) = Some(cx.waker().clone());
            return Poll::Pending;
        }
        sleeper.ended.fetch_add(1, AcqRel);
        if let Some(then) = then.take() {
            then();
        }
        Poll::Ready(())
    })
}

/// A worker fills its slot and its ring in a poll that never ends, while the guard looks. From then on
/// two looks bring out everything.
#[test]
fn two_looks_empty_a_stuck_worker() {
    bounded_model(3, || {
        let (pool, mut workers) = pool(2);
        let guarding = workers.pop().expect("two workers");
        let stuck = Rc::new(workers.pop().expect("two workers"));
        let (woken, spawned) = (Sleeper::new(), Sleeper::new());
        let entered = stuck.enter();
        spawn(&stuck, sleep(&woken, || {}));
        spawn(&stuck, sleep(&spawned, || {}));
        run(&stuck);
        let wakes = [woken.clone(), spawned.clone()];
        spawn(&stuck, async move {
            // The second takes the slot, the first is bumped into the ring.
            wakes.iter().for_each(|sleeper| sleeper.wake());
        });
        guard(&guarding);
        let looks = thread::spawn(move || {
            guard(&guarding);
            guarding
        });
        if let Some(task) = stuck.next() {
            stuck.run_task(task);
            let guarding = looks.join().unwrap();
            drop(entered);
            guard(&guarding);
            guard(&guarding);
            assert!(stuck.next().is_none(), "something is left behind the long poll");
            run(&guarding);
            assert_eq!([woken.ended(), spawned.ended()], [1, 1]);
        } else {
            // The guard was faster, and has that task too.
            let guarding = looks.join().unwrap();
            run(&guarding);
            run(&stuck);
            drop(entered);
            assert_eq!([woken.ended(), spawned.ended()], [1, 1]);
        }
        drop(pool);
    });
}

/// A worker is back from its poll just when the guard takes over. Each task is run once, by the one or the
/// other.
#[test]
fn a_worker_comes_back_while_it_is_taken_over() {
    bounded_model(3, || {
        let (pool, mut workers) = pool(2);
        let guarding = workers.pop().expect("two workers");
        let back = Rc::new(workers.pop().expect("two workers"));
        let (aged, fresh) = (Sleeper::new(), Sleeper::new());
        let entered = back.enter();
        let next = fresh.clone();
        spawn(&back, sleep(&aged, move || next.wake()));
        spawn(&back, sleep(&fresh, || {}));
        run(&back);
        let wakes = aged.clone();
        spawn(&back, async move { wakes.wake() });
        let task = back.next().expect("it was spawned");
        back.run_task(task);
        guard(&guarding);
        let looks = thread::spawn(move || {
            guard(&guarding);
            guarding
        });
        run(&back);
        let guarding = looks.join().unwrap();
        // What the guard has, it runs; that may wake the other onto the worker that is entered.
        run(&guarding);
        run(&back);
        assert!(guarding.next().is_none() && back.next().is_none());
        drop(entered);
        assert_eq!([aged.ended(), fresh.ended()], [1, 1]);
        drop(pool);
    });
}

/// A worker was declared vacant: the thread that did takes it back, or a spare thread takes it.
#[test]
fn a_vacant_worker_is_taken_once() {
    loom::model(|| {
        let (pool, workers) = pool(1);
        assert!(pool.threads.declare_vacant(0), "there is no spare thread");
        let theirs = pool.clone();
        let spare = thread::spawn(move || theirs.threads.take());
        let back = pool.threads.take_back(0);
        pool.threads.close();
        let taken = spare.join().unwrap();
        assert!(!(back && taken.is_some()), "two threads run one worker");
        drop(workers);
    });
}

/// Something to be dropped once: loom says if it never is.
struct Guard(Arc<AtomicU32>);

impl Drop for Guard {
    fn drop(&mut self) {
        assert_eq!(self.0.fetch_add(1, AcqRel), 0, "dropped twice");
    }
}

/// A task comes from outside while the runtime is shut down. No worker runs: it is dropped by whoever
/// shuts down or by whoever spawned it, and its handle is told.
#[test]
fn a_spawn_beside_a_shutdown() {
    loom::model(|| {
        let (pool, workers) = pool(1);
        let theirs = pool.clone();
        let dropped = Arc::new(AtomicU32::new(0));
        let guard = Guard(dropped.clone());
        let spawner = thread::spawn(move || {
            let future = async move {
                let _guard = guard;
                pending::<()>().await;
            };
            spawn_outside(&theirs, future)
        });
        pool.close();
        let handle = spawner.join().unwrap();
        assert!(handle.is_finished(), "the handle was not told");
        assert_eq!(dropped.load(Acquire), 1);
        assert_eq!(pool.tasks().count(), 0);
        drop(workers);
    });
}

/// A task is woken from outside, polled by a worker, and shut down, all at once. It ends once, by the
/// poll or by the shutdown, and stays in no queue.
#[test]
fn a_wake_and_a_poll_beside_a_shutdown() {
    loom::model(|| {
        let (pool, mut workers) = pool(1);
        let worker = workers.pop().expect("one worker");
        let sleeper = Sleeper::new();
        let dropped = Arc::new(AtomicU32::new(0));
        let guard = Guard(dropped.clone());
        let sleep = sleep(&sleeper, || {});
        let handle = spawn_outside(&pool, async move {
            let _guard = guard;
            sleep.await;
        });
        run_injected(&worker);
        let wakes = sleeper.clone();
        let waker = thread::spawn(move || wakes.wake());
        let works = thread::spawn(move || {
            run_injected(&worker);
            worker
        });
        pool.close();
        waker.join().unwrap();
        let worker = works.join().unwrap();
        assert!(handle.is_finished(), "the handle was not told");
        assert_eq!(dropped.load(Acquire), 1);
        assert!(sleeper.ended() <= 1);
        assert!(worker.take_injected().is_none(), "a closed injector holds a task");
        assert_eq!(pool.tasks().count(), 0);
    });
}

/// What a stuck poll has woken last stands in the lifo slot.
#[test]
fn a_guard_that_leaves_the_lifo_slot_is_caught() {
    seeded_bug_is_caught(
        "models::pool::two_looks_empty_a_stuck_worker",
        "guard_leaves_the_lifo_slot",
    );
}

#[test]
fn a_worker_taken_back_and_left_vacant_is_caught() {
    seeded_bug_is_caught(
        "models::pool::a_vacant_worker_is_taken_once",
        "threads_leave_vacant_what_is_taken_back",
    );
}

/// A task that comes between the walk along the list and its closing is in nobody's hands.
#[test]
fn closing_a_list_in_two_steps_is_caught() {
    seeded_bug_is_caught("models::pool::a_spawn_beside_a_shutdown", "owned_closes_in_two_steps");
}

/// A task that is woken while its runtime shuts down would stand in an injector that nobody reads.
#[test]
fn an_injector_left_open_is_caught() {
    seeded_bug_is_caught(
        "models::pool::a_wake_and_a_poll_beside_a_shutdown",
        "pool_leaves_its_injector_open",
    );
}
