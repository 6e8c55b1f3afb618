//! Models of the task that threads share, `task/shared.rs`, and of the list it stands in,
//! `task/owned.rs`.
//!
//! A worker here is a thread that runs what is in a queue until the queue is empty. It never sleeps:
//! when all threads are done, the queue is run once more, and then all that was wished for must have
//! come true. So a lost wake is a task that has not ended, and not a deadlock. loom finds by itself a
//! future that two threads touch at once, or one after the other without an order, and whatever is
//! never dropped: each future and each output here holds a loom `Arc`.
//!
//! loom's threads share the thread-locals, so no future here gives way through `this_poll`: that side is
//! modelled on the word alone, in `state.rs`.
//!
//! **Alternative:** a model with two whole workers, minutes long: most of its steps would be those of the
//! run queue and of parking, which have models of their own.

use std::{
    cell::RefCell,
    future::Future,
    mem,
    panic::Location,
    pin::Pin,
    sync,
    task::{Context, Poll, Wake, Waker},
};

use futures_task::{ArcWake, waker};

use super::{bounded_model, seeded_bug_is_caught};
use crate::engine::{
    base::{
        id::TaskId,
        primitives::{Arc, AtomicBool, AtomicU32, Mutex, Ordering::Relaxed, lock, thread},
    },
    task::{
        join::{JoinError, JoinHandle},
        owned::Owned,
        poll::PollOutcome,
        reach::{Ending, Reach},
        shared::{Ran, Runnable, Schedule, Shut, Task},
        spawned::{NewTask, TaskStage},
    },
};

/// A scheduler of one queue. One task at most is expected in it.
struct Stub {
    queue: Mutex<Vec<Runnable<Arc<Stub>>>>,
    owned: Owned<Arc<Stub>>,
    ends: AtomicU32,
}

thread_local! {
    /// The one of this run: a thread that cancels a task has nothing but its key. loom's threads share it.
    static STUB: RefCell<Option<Arc<Stub>>> = const { RefCell::new(None) };
}

/// Added to a task's index in the list to make its key, for no key is 0.
const KEY: u64 = 1 << 32;

fn find(key: u64) -> Option<Runnable<Arc<Stub>>> {
    let stub = STUB.with_borrow(|stub| stub.clone());
    stub?.owned.get((key - KEY) as u32)
}

static REACH: Reach = Reach {
    wake: |key| {
        if let Some(task) = find(key) {
            ArcWake::wake(task);
        }
    },
    end: |key, _| match find(key).map(|task| task.shut_down()) {
        None | Some(Shut::Dropped | Shut::Ended) => Ending::Gone,
        Some(Shut::Running) => Ending::Elsewhere,
    },
};

impl Schedule for Arc<Stub> {
    fn schedule(task: Runnable<Self>) {
        let stub = task.scheduler().clone();
        stub.push(task);
    }

    fn key(_: &Task<Self>) -> u64 {
        0
    }

    fn ended(task: &Runnable<Self>, _: PollOutcome) {
        task.scheduler().owned.remove(task);
        task.scheduler().ends.fetch_add(1, Relaxed);
    }
}

impl Stub {
    fn new() -> Arc<Self> {
        let queue = Mutex::new(Vec::new());
        Arc::new(Self { queue, owned: Owned::new(), ends: AtomicU32::new(0) })
    }

    fn push(&self, task: Runnable<Arc<Self>>) {
        let mut queue = lock(&self.queue);
        assert!(queue.is_empty(), "the task stands in the queue twice");
        queue.push(task);
    }

    fn pop(&self) -> Option<Runnable<Arc<Self>>> {
        lock(&self.queue).pop()
    }

    /// What a worker does until it would park.
    fn work(&self) {
        while let Some(task) = self.pop() {
            if let Ran::Again(task) = task.run() {
                self.push(task);
            }
        }
    }

    /// A worker on a thread of its own.
    fn worker(stub: &Arc<Self>) -> thread::JoinHandle<()> {
        let stub = stub.clone();
        thread::spawn(move || stub.work())
    }
}

/// What the threads of a model and the future in it have in common.
#[derive(Default)]
struct Seen {
    /// One bit for each datum that is there.
    data: AtomicU32,
    polls: AtomicU32,
    drops: AtomicU32,
}

impl Seen {
    /// Leaves a datum, then wakes.
    fn send(&self, bit: u32, waker: Waker) {
        self.data.fetch_or(bit, Relaxed);
        waker.wake();
    }
}

/// A future that waits for data. Nothing but the wake orders a datum before the poll: the loads here
/// are relaxed.
struct WaitsFor {
    data: u32,
    seen: Arc<Seen>,
}

/// No datum has this bit.
const NEVER: u32 = 1 << 31;

impl Future for WaitsFor {
    type Output = Arc<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Arc<()>> {
        assert_eq!(self.seen.drops.load(Relaxed), 0, "polled after it was dropped");
        self.seen.polls.fetch_add(1, Relaxed);
        if self.seen.data.load(Relaxed) & self.data == self.data {
            return Poll::Ready(Arc::default());
        }
        Poll::Pending
    }
}

impl Drop for WaitsFor {
    fn drop(&mut self) {
        self.seen.drops.fetch_add(1, Relaxed);
    }
}

/// A task and all that a model wants of it.
struct Spawned {
    stub: Arc<Stub>,
    seen: Arc<Seen>,
    task: Runnable<Arc<Stub>>,
    handle: JoinHandle<Arc<()>>,
}

/// A task that ends when all of `data` is there. It stands in the queue.
fn spawn(data: u32) -> Spawned {
    let (stub, seen) = (Stub::new(), Arc::new(Seen::default()));
    let new = NewTask::new(WaitsFor { data, seen: seen.clone() }, None, Location::caller());
    let (task, handle) = Task::new(new, TaskId::draw(), stub.clone(), &REACH);
    stub.push(task.clone());
    Spawned { stub, seen, task, handle }
}

/// The same, polled once: the task is idle.
fn spawn_idle(data: u32) -> Spawned {
    let spawned = spawn(data);
    spawned.stub.work();
    assert_eq!(spawned.task.stage(), Some(TaskStage::Idle));
    spawned
}

impl Spawned {
    fn waker(&self) -> Waker {
        waker(self.task.clone())
    }

    /// Has the list take the task in, and tells the handle its key. The list is then the thread's.
    fn own(&mut self) {
        let index = self.stub.owned.insert(&self.task).expect("the list is open");
        self.handle.set_key(KEY + u64::from(index));
        STUB.set(Some(self.stub.clone()));
    }

    /// A thread that leaves a datum and wakes the task.
    fn sender(&self, bit: u32) -> thread::JoinHandle<()> {
        let (seen, waker) = (self.seen.clone(), self.waker());
        thread::spawn(move || seen.send(bit, waker))
    }

    /// All threads are done. Runs what is left; then the task must have ended, once, after at most
    /// that many polls.
    fn end(self, most_polls: u32) -> Result<(), JoinError> {
        self.stub.work();
        STUB.take();
        let ends = self.stub.ends.load(Relaxed);
        assert_ne!(ends, 0, "the task has not ended");
        assert_eq!(ends, 1, "a task ends once");
        assert_eq!(self.seen.drops.load(Relaxed), 1, "a future is dropped once");
        let polls = self.seen.polls.load(Relaxed);
        assert!(polls <= most_polls, "{polls} polls, for {most_polls} reasons to poll");
        let mut handle = self.handle;
        match Pin::new(&mut handle).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(result) => result.map(drop),
            Poll::Pending => panic!("the handle was not told"),
        }
    }
}

/// The wake comes before the poll begins, during it, or after it.
#[test]
fn a_wake_meets_a_poll() {
    loom::model(|| {
        let spawned = spawn(1);
        let worker = Stub::worker(&spawned.stub);
        spawned.seen.send(1, spawned.waker());
        worker.join().unwrap();
        assert!(spawned.end(2).is_ok());
    });
}

/// One worker polls the task, and another takes it over: what the first one's poll left in it, the
/// second must see.
#[test]
fn a_task_moves_to_another_worker() {
    loom::model(|| {
        let spawned = spawn(1);
        let worker = Stub::worker(&spawned.stub);
        spawned.seen.send(1, spawned.waker());
        spawned.stub.work();
        worker.join().unwrap();
        assert!(spawned.end(2).is_ok());
    });
}

/// One wake puts the task into the queue, the other finds it there; the one poll sees both data.
#[test]
fn two_wakes_lead_to_one_poll() {
    loom::model(|| {
        let spawned = spawn_idle(3);
        let sender = spawned.sender(1);
        spawned.seen.send(2, spawned.waker());
        sender.join().unwrap();
        assert!(spawned.end(2).is_ok());
    });
}

/// Two wakes and the polls they lead to, all at once.
#[test]
fn two_wakes_meet_a_poll() {
    // Without a bound this takes half a minute. A mistake needs few switches at the wrong moment.
    bounded_model(5, || {
        let spawned = spawn_idle(3);
        let sender = spawned.sender(1);
        let (stub, seen, waker) = (spawned.stub.clone(), spawned.seen.clone(), spawned.waker());
        let sender_that_works = thread::spawn(move || {
            seen.send(2, waker);
            stub.work();
        });
        spawned.stub.work();
        sender.join().unwrap();
        sender_that_works.join().unwrap();
        assert!(spawned.end(3).is_ok());
    });
}

/// A task that waits for what never comes is cancelled. The cancelling may come before, during or
/// after its poll, and must not be slept through.
#[test]
fn a_cancel_meets_a_poll() {
    loom::model(|| {
        let mut spawned = spawn(NEVER);
        spawned.own();
        let worker = Stub::worker(&spawned.stub);
        spawned.handle.cancel();
        worker.join().unwrap();
        assert!(spawned.end(1).unwrap_err().is_cancelled());
    });
}

/// A task is ended by its handle while a worker may have it in hand. If that is so, the worker drops it; if not, it
/// is gone when the call returns. Its runnable stays in the queue then, and does no harm.
#[test]
fn an_end_meets_a_poll() {
    loom::model(|| {
        let mut spawned = spawn(NEVER);
        spawned.own();
        let worker = Stub::worker(&spawned.stub);
        match spawned.handle.end() {
            Ending::Gone => {
                assert_eq!(spawned.seen.drops.load(Relaxed), 1, "it is gone");
                assert!(spawned.handle.is_finished());
            }
            ending => assert_eq!(ending, Ending::Elsewhere),
        }
        worker.join().unwrap();
        assert!(spawned.end(1).unwrap_err().is_cancelled());
    });
}

/// The same beside a wake, which may put the task into a queue when it is gone.
#[test]
fn an_end_meets_a_wake() {
    loom::model(|| {
        let mut spawned = spawn_idle(1);
        spawned.own();
        let sender = spawned.sender(1);
        assert_eq!(spawned.handle.end(), Ending::Gone, "no thread polls it");
        assert_eq!(spawned.seen.drops.load(Relaxed), 1);
        sender.join().unwrap();
        assert!(spawned.end(1).unwrap_err().is_cancelled());
    });
}

/// A task that could end by itself is cancelled and awaited while it runs: it has an output or it was
/// cancelled, and a thread that asks early finds that out later.
#[test]
fn a_cancel_and_a_join_meet_the_end() {
    loom::model(|| {
        let mut spawned = spawn_idle(1);
        spawned.own();
        let sender = spawned.sender(1);
        let worker = Stub::worker(&spawned.stub);
        spawned.handle.cancel();
        let early = Pin::new(&mut spawned.handle).poll(&mut Context::from_waker(Waker::noop()));
        sender.join().unwrap();
        worker.join().unwrap();
        match early {
            Poll::Ready(_) => {
                STUB.take();
                assert!(spawned.handle.is_finished());
            }
            Poll::Pending => drop(spawned.end(2)),
        }
    });
}

/// The handle counts the task as its wakers do. The last of them frees it, and the output.
#[test]
fn a_handle_is_dropped_as_the_task_ends() {
    loom::model(|| {
        let Spawned { stub, seen, task, handle } = spawn(1);
        seen.data.store(1, Relaxed);
        drop(task);
        let worker = Stub::worker(&stub);
        drop(handle);
        worker.join().unwrap();
        assert_eq!(stub.ends.load(Relaxed), 1);
        assert_eq!(seen.drops.load(Relaxed), 1);
    });
}

/// The same beside a cancel handle, which stays: it keeps neither the future nor the output, which loom would call
/// leaked at the end of the run.
#[test]
fn a_handle_is_dropped_as_the_task_ends_beside_its_cancel_handle() {
    loom::model(|| {
        let Spawned { stub, seen, task, handle } = spawn(1);
        seen.data.store(1, Relaxed);
        drop(task);
        let cancel = handle.share().expect("it has not ended");
        let worker = Stub::worker(&stub);
        drop(handle);
        worker.join().unwrap();
        assert!(cancel.is_finished() && !cancel.cancel());
        assert_eq!(stub.ends.load(Relaxed), 1);
        assert_eq!(seen.drops.load(Relaxed), 1);
        // loom looks for what was never dropped when the run is over: this is not.
        mem::forget(cancel);
    });
}

/// A detached task is cancelled through its cancel handle, before, during or after its poll.
#[test]
fn a_detached_task_is_cancelled_as_it_is_polled() {
    loom::model(|| {
        let mut spawned = spawn(NEVER);
        spawned.own();
        let Spawned { stub, seen, task, handle } = spawned;
        let cancel = handle.share().expect("it has not ended");
        drop((task, handle));
        let worker = Stub::worker(&stub);
        assert!(cancel.cancel(), "nothing else ends it");
        worker.join().unwrap();
        stub.work();
        STUB.take();
        assert!(cancel.is_finished(), "the task has not ended");
        assert_eq!(seen.drops.load(Relaxed), 1);
    });
}

/// A task awaits the handle as a cancel handle is made and as the end comes. It is woken.
#[test]
fn a_cancel_handle_is_made_as_the_task_ends() {
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: sync::Arc<Self>) {
            self.0.store(true, Relaxed);
        }
    }
    loom::model(|| {
        let mut spawned = spawn(1);
        spawned.seen.data.store(1, Relaxed);
        let woken = sync::Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let polled = Pin::new(&mut spawned.handle).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
        let worker = Stub::worker(&spawned.stub);
        drop(spawned.handle.share());
        worker.join().unwrap();
        assert!(woken.0.load(Relaxed), "the one that awaits was not woken");
        assert!(spawned.end(1).is_ok());
    });
}

/// A task in the queue is shut down before it is popped, before it runs, during its poll, or after it.
/// Its future goes once, and not while it is polled.
#[test]
fn a_shutdown_meets_a_poll() {
    loom::model(|| {
        let spawned = spawn(NEVER);
        let worker = Stub::worker(&spawned.stub);
        let shut = spawned.task.shut_down();
        assert_ne!(shut, Shut::Ended, "nothing else ends it");
        worker.join().unwrap();
        assert!(spawned.end(1).unwrap_err().is_cancelled());
    });
}

/// The same for a task that ends in that poll.
#[test]
fn a_shutdown_meets_the_end() {
    loom::model(|| {
        let spawned = spawn(1);
        spawned.seen.data.store(1, Relaxed);
        let worker = Stub::worker(&spawned.stub);
        let shut = spawned.task.shut_down();
        worker.join().unwrap();
        let cancelled = spawned.end(1).is_err();
        assert!(shut == Shut::Running || cancelled == (shut == Shut::Dropped));
    });
}

/// An idle task is shut down twice, and woken meanwhile: one shutdown drops it, and the wake's
/// runnable is stale.
#[test]
fn two_shutdowns_and_a_wake() {
    loom::model(|| {
        let spawned = spawn_idle(NEVER);
        let sender = spawned.sender(1);
        let task = spawned.task.clone();
        let other = thread::spawn(move || task.shut_down());
        let shuts = [spawned.task.shut_down(), other.join().unwrap()];
        assert_eq!(shuts.iter().filter(|&&shut| shut == Shut::Dropped).count(), 1, "{shuts:?}");
        sender.join().unwrap();
        assert!(spawned.end(1).unwrap_err().is_cancelled());
    });
}

/// A dump claims the task for a moment. A wake that comes then must not be lost with the claim.
#[test]
fn a_look_meets_a_wake() {
    loom::model(|| {
        let spawned = spawn_idle(1);
        let sender = spawned.sender(1);
        assert!(spawned.task.waits().is_none(), "no leaf of ours noted a wait");
        sender.join().unwrap();
        assert!(spawned.end(2).is_ok());
    });
}

/// Nor a shutdown.
#[test]
fn a_look_meets_a_shutdown() {
    loom::model(|| {
        let spawned = spawn_idle(NEVER);
        let task = spawned.task.clone();
        let reader = thread::spawn(move || assert!(task.waits().is_none()));
        let shut = spawned.task.shut_down();
        assert_ne!(shut, Shut::Ended, "nothing else ends it");
        reader.join().unwrap();
        assert!(spawned.end(1).unwrap_err().is_cancelled());
    });
}

/// A task ends while its worker's list is closed and walked.
#[test]
fn a_task_ends_as_its_list_is_closed() {
    loom::model(|| {
        let spawned = spawn(1);
        spawned.stub.owned.insert(&spawned.task).expect("the list is open");
        spawned.seen.data.store(1, Relaxed);
        let worker = Stub::worker(&spawned.stub);
        for task in spawned.stub.owned.close() {
            let _ = task.shut_down();
        }
        worker.join().unwrap();
        assert_eq!(spawned.stub.owned.len(), 0, "a task that has ended is still owned");
        let _ = spawned.end(1);
    });
}

/// A task is spawned while the list is closed: it is taken in and shut down with the others, or
/// refused. Nothing comes back for it.
#[test]
fn a_task_comes_as_its_list_is_closed() {
    loom::model(|| {
        let spawned = spawn(NEVER);
        let (stub, task) = (spawned.stub.clone(), spawned.task.clone());
        let spawner = thread::spawn(move || {
            if stub.owned.insert(&task).is_err() {
                let _ = task.shut_down();
            }
        });
        for task in spawned.stub.owned.close() {
            let _ = task.shut_down();
        }
        spawner.join().unwrap();
        assert_eq!(spawned.stub.owned.len(), 0, "a task was taken in after the close");
        assert!(spawned.end(0).unwrap_err().is_cancelled());
    });
}

/// A wake that finds the task scheduled and leaves it at that: the poll that comes does not see what
/// was written before the wake.
#[test]
fn a_wake_that_only_looks_is_caught() {
    let finding = seeded_bug_is_caught("models::task::a_wake_meets_a_poll", "task_wake_only_looks");
    assert!(finding.contains("the task has not ended"), "{finding}");
}

/// A wake that publishes nothing.
#[test]
fn a_relaxed_wake_is_caught() {
    let finding = seeded_bug_is_caught("models::task::a_wake_meets_a_poll", "task_wake_relaxed");
    assert!(finding.contains("the task has not ended"), "{finding}");
}

/// A poll that ends without asking whether the task was woken meanwhile.
#[test]
fn a_pause_that_forgets_wakes_is_caught() {
    let finding =
        seeded_bug_is_caught("models::task::a_wake_meets_a_poll", "task_pause_forgets_wakes");
    assert!(finding.contains("the task has not ended"), "{finding}");
    let finding =
        seeded_bug_is_caught("models::task::a_look_meets_a_wake", "task_pause_forgets_wakes");
    assert!(finding.contains("the task has not ended"), "{finding}");
}

/// A worker that gives the task back without showing what it did to it.
#[test]
fn a_relaxed_pause_is_caught() {
    let finding =
        seeded_bug_is_caught("models::task::a_task_moves_to_another_worker", "task_pause_relaxed");
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// A shutdown that takes the future away under its poller.
#[test]
fn a_shutdown_of_a_running_task_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::task::a_shutdown_meets_a_poll",
        "task_shut_down_while_running",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// A list that takes a task when it was walked already.
#[test]
fn a_late_task_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::task::a_task_comes_as_its_list_is_closed",
        "owned_takes_a_late_task",
    );
    assert!(finding.contains("a task was taken in after the close"), "{finding}");
}

/// A handle that leaves its side behind without asking whether the task has just ended: no one takes the outcome out.
#[test]
fn a_handle_that_leaves_without_a_look_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::task::a_handle_is_dropped_as_the_task_ends_beside_its_cancel_handle",
        "shared_joiner_leaves_without_a_look",
    );
    assert!(finding.contains("leaked"), "{finding}");
}

/// A cancel handle that is made as the task ends, in place of the waker that the end did not find.
#[test]
fn a_forgotten_waiter_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::task::a_cancel_handle_is_made_as_the_task_ends",
        "shared_joiner_forgets_a_waiter",
    );
    assert!(finding.contains("was not woken"), "{finding}");
}
