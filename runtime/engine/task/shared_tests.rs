//! The shared task on one thread, with a scheduler of one queue: what a poll makes of the task, and
//! what is told.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn, ready},
    panic::Location,
    pin::pin,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Waker},
};

use super::{super::owned::Owned, *};
use crate::{
    engine::base::{id::TaskId, location::WaitsFor},
    trace::Recorder,
};

/// A scheduler of one queue, and a worker's list of tasks.
struct Stub {
    queue: Mutex<VecDeque<Runnable<Arc<Stub>>>>,
    owned: Owned<Arc<Stub>>,
    ends: Mutex<Vec<PollOutcome>>,
    /// Its number in the upper half of its tasks' keys.
    number: usize,
}

/// All stubs, by number: a handle that cancels a task has nothing but its key.
static STUBS: Mutex<Vec<Weak<Stub>>> = Mutex::new(Vec::new());

fn find(key: u64) -> Option<Runnable<Arc<Stub>>> {
    let stub = STUBS.lock().unwrap()[(key >> 32) as usize].upgrade();
    stub?.owned.get(key as u32)
}

static REACH: Reach = Reach {
    wake: |key| {
        if let Some(task) = find(key) {
            ArcWake::wake(task);
        }
    },
    end: |_, _| unreachable!("no test asks for it"),
};

impl Schedule for Arc<Stub> {
    fn schedule(task: Runnable<Self>) {
        let stub = task.scheduler().clone();
        stub.queue.lock().unwrap().push_back(task);
    }

    fn key(_: &Task<Self>) -> u64 {
        0
    }

    fn ended(task: &Runnable<Self>, end: PollOutcome) {
        task.scheduler().owned.remove(task);
        task.scheduler().ends.lock().unwrap().push(end);
    }
}

impl Stub {
    fn new() -> Arc<Self> {
        let mut stubs = STUBS.lock().unwrap();
        // No key is 0.
        if stubs.is_empty() {
            stubs.push(Weak::new());
        }
        let (queue, ends, number) = (Mutex::default(), Mutex::default(), stubs.len());
        let stub = Arc::new(Self { queue, owned: Owned::new(), ends, number });
        stubs.push(Arc::downgrade(&stub));
        stub
    }

    fn pop(&self) -> Option<Runnable<Arc<Self>>> {
        self.queue.lock().unwrap().pop_front()
    }

    /// Runs one runnable; what runs again goes behind the others.
    fn run_one(&self) -> bool {
        let Some(task) = self.pop() else { return false };
        if let Ran::Again(task) = task.run() {
            self.queue.lock().unwrap().push_back(task);
        }
        true
    }

    fn run_all(&self) {
        while self.run_one() {}
    }

    fn ends(&self) -> Vec<PollOutcome> {
        self.ends.lock().unwrap().clone()
    }
}

#[track_caller]
fn spawn<F>(
    stub: &Arc<Stub>,
    name: Option<&str>,
    future: F,
) -> (Runnable<Arc<Stub>>, JoinHandle<F::Output>)
where
    F: Future<Output: Send> + Send + 'static,
{
    let name = name.map(|name| sync::Arc::new(name.into()));
    let new = NewTask::new(future, name, Location::caller());
    let (task, mut handle) = Task::new(new, TaskId::draw(), stub.clone(), &REACH);
    task.report_spawned();
    let index = stub.owned.insert(&task).expect("the list is open");
    handle.set_key((stub.number as u64) << 32 | u64::from(index));
    Schedule::schedule(task.clone());
    (task, handle)
}

/// The output of a task that has ended.
#[track_caller]
fn output<T>(handle: JoinHandle<T>) -> Result<T, super::super::join::JoinError> {
    assert!(handle.is_finished(), "the task has not ended");
    match pin!(handle).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => panic!("a handle that is finished has an output"),
    }
}

/// Counts its drops.
struct Dropped(sync::Arc<AtomicUsize>);

impl Dropped {
    fn new() -> (sync::Arc<AtomicUsize>, Self) {
        let drops = sync::Arc::new(AtomicUsize::new(0));
        (drops.clone(), Self(drops))
    }
}

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn a_runnable_is_one_pointer() {
    assert_eq!(size_of::<Runnable<Arc<Stub>>>(), 8);
    assert_eq!(size_of::<Option<Runnable<Arc<Stub>>>>(), 8);
}

#[test]
fn a_task_that_gives_way_runs_again_behind_the_others() {
    let stub = Stub::new();
    let order = sync::Arc::new(Mutex::new(Vec::new()));
    let mut handles = Vec::new();
    for name in ["a", "b"] {
        let order = order.clone();
        let (_, handle) = spawn(&stub, None, async move {
            for round in 0..2 {
                order.lock().unwrap().push((name, round));
                crate::task::yield_now().await;
            }
        });
        handles.push(handle);
    }
    stub.run_all();
    assert_eq!(*order.lock().unwrap(), [("a", 0), ("b", 0), ("a", 1), ("b", 1)]);
    assert!(handles.into_iter().all(|handle| output(handle).is_ok()));
    assert_eq!(stub.ends(), [PollOutcome::Completed; 2]);
    assert_eq!(stub.owned.len(), 0);
}

#[test]
fn a_task_that_gave_way_and_was_woken_stands_in_the_queue_once() {
    let stub = Stub::new();
    let (_task, _handle) = spawn(
        &stub,
        None,
        poll_fn(|cx| {
            cx.waker().wake_by_ref();
            this_poll::run_again(cx, Location::caller());
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        }),
    );
    assert!(stub.run_one());
    assert_eq!(stub.queue.lock().unwrap().len(), 1);
    stub.pop().unwrap().shut_down();
}

#[test]
fn a_used_up_budget_ends_the_poll_and_the_next_has_a_new_one() {
    let stub = Stub::new();
    let ready = sync::Arc::new(AtomicU64::new(0));
    let counted = ready.clone();
    let (_task, _handle) = spawn(
        &stub,
        None,
        poll_fn(move |cx| {
            while this_poll::poll_budget(cx, Location::caller()).is_ready() {
                this_poll::charge();
                counted.fetch_add(1, Ordering::Relaxed);
            }
            Poll::<()>::Pending
        }),
    );
    for polls in 1..=3 {
        assert!(stub.run_one(), "it gave way, and runs again");
        assert_eq!(ready.load(Ordering::Relaxed), polls * this_poll::BUDGET as u64);
    }
    assert!(!this_poll::is_polling(), "the poll has ended");
    stub.pop().unwrap().shut_down();
}

#[test]
fn waiting_for_a_handle_inside_a_task_panics() {
    let stub = Stub::new();
    let (_, never) = spawn(&stub, None, pending::<()>());
    let (_, handle) = spawn(&stub, None, async move { never.wait().is_ok() });
    stub.run_all();
    let error = output(handle).unwrap_err();
    assert!(error.to_string().contains("await the handle, or"), "{error}");
    let [task] = &stub.owned.tasks()[..] else { panic!("the other task waits") };
    task.shut_down();
}

#[test]
fn a_dump_says_what_an_idle_task_waits_for() {
    let stub = Stub::new();
    let (waited_for, handle) = spawn(&stub, Some("long"), pending::<()>());
    let line = line!() + 1;
    let (task, _handle) = spawn(&stub, Some("short"), async move { handle.await.is_err() });
    assert_eq!(task.stage(), Some(TaskStage::Scheduled));
    assert!(task.waits().is_none(), "it never ran");
    stub.run_all();
    assert_eq!(task.stage(), Some(TaskStage::Idle));
    let wait = task.waits().expect("it awaits a handle");
    assert_eq!((wait.what(), wait.location.line()), (WaitsFor::Task, line));
    assert!(wait.location.file().ends_with("shared_tests.rs"));
    assert!(task.waits().is_some(), "a look takes nothing away");
    assert!(waited_for.waits().is_none(), "another crate's future notes nothing");
    assert_eq!(task.origin().location.line(), line);
    assert_eq!(task.origin().name.as_ref().map(|name| &***name), Some("short"));
    assert_eq!(waited_for.shut_down(), Shut::Dropped);
    stub.run_all();
    assert_eq!(task.stage(), None);
    assert_eq!(task.shut_down(), Shut::Ended);
}

#[test]
fn the_trace_tells_a_tasks_life() {
    let stub = Stub::new();
    let recorder = Recorder::start();
    let gate = sync::Arc::new(AtomicBool::new(false));
    let waker = sync::Arc::new(Mutex::new(None));
    let (opened, left) = (gate.clone(), waker.clone());
    let wait = poll_fn(move |cx| {
        if opened.load(SeqCst) {
            return Poll::Ready(());
        }
        *left.lock().unwrap() = Some(cx.waker().clone());
        Poll::Pending
    });
    let (_, handle) = spawn(&stub, Some("waiter"), async move {
        crate::task::yield_now().await;
        wait.await;
    });
    stub.run_all();
    let (_, _detached) = spawn(
        &stub,
        Some("opener"),
        poll_fn(move |cx| {
            gate.store(true, SeqCst);
            let waker = waker.lock().unwrap().take();
            if let Some(waker) = waker {
                waker.wake_by_ref();
                waker.wake();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }),
    );
    stub.run_all();
    drop(output(handle));
    let expected = [
        "waiter spawned",
        "waiter scheduled",
        "waiter polled",
        // It gave way: woken by itself.
        "waiter woken by waiter",
        "waiter scheduled",
        "waiter waits for its next turn",
        "waiter polled",
        "waiter waits",
        "opener spawned",
        "opener scheduled",
        "opener polled",
        "waiter woken by opener",
        "waiter scheduled",
        // A second wake is no news.
        "waiter woken by opener",
        // A task that is woken while it runs is scheduled when its poll is over.
        "opener woken by opener",
        "opener waits",
        "opener scheduled",
        "waiter polled",
        "waiter completed",
        "opener polled",
        "opener completed",
    ];
    assert_eq!(recorder.lines(), expected);
}

#[test]
fn a_panic_is_its_handles_and_nobody_elses() {
    let stub = Stub::new();
    let (_, loud) = spawn(&stub, None, async { panic!("on purpose") });
    let (_, quiet) = spawn(&stub, None, ready(7));
    stub.run_all();
    assert!(output::<()>(loud).unwrap_err().is_panic());
    assert_eq!(output(quiet).unwrap(), 7);
    assert_eq!(stub.ends(), [PollOutcome::Panicked, PollOutcome::Completed]);
}

#[test]
fn a_cancelled_task_is_dropped_in_its_own_poll() {
    let stub = Stub::new();
    let (drops, guard) = Dropped::new();
    let (_, handle) = spawn(&stub, None, async move {
        let _guard = guard;
        pending::<()>().await;
    });
    stub.run_all();
    handle.cancel();
    handle.cancel();
    assert_eq!(drops.load(SeqCst), 0, "a cancel only asks");
    stub.run_all();
    assert_eq!(drops.load(SeqCst), 1);
    assert!(output(handle).unwrap_err().is_cancelled());
    assert_eq!(stub.ends(), [PollOutcome::Cancelled]);
}

/// The waker lies in the future, and the future in the task: only the list can end this.
#[test]
fn a_task_that_nobody_else_can_reach_is_found_at_shutdown() {
    let stub = Stub::new();
    let (drops, guard) = Dropped::new();
    let mut wakers = Vec::new();
    let (task, handle) = spawn(
        &stub,
        None,
        poll_fn(move |cx| {
            let _ = &guard;
            wakers.push(cx.waker().clone());
            Poll::<()>::Pending
        }),
    );
    stub.run_all();
    let gone = sync::Arc::downgrade(&task);
    drop((task, handle));
    assert_eq!(drops.load(SeqCst), 0, "the list keeps it");
    for task in stub.owned.close() {
        assert_eq!(task.shut_down(), Shut::Dropped);
    }
    assert_eq!(drops.load(SeqCst), 1);
    assert_eq!(stub.owned.len(), 0);
    assert!(gone.upgrade().is_none(), "the task is freed");
}

#[test]
fn a_task_dropped_at_shutdown_may_do_as_it_likes() {
    struct Hostile(Arc<Stub>, Waker);
    impl Drop for Hostile {
        fn drop(&mut self) {
            self.1.wake_by_ref();
            let new = NewTask::new(ready(()), None, Location::caller());
            let (late, handle) = Task::new(new, TaskId::draw(), self.0.clone(), &REACH);
            assert!(self.0.owned.insert(&late).is_err(), "the list is closed");
            assert_eq!(late.shut_down(), Shut::Dropped);
            assert!(output(handle).unwrap_err().is_cancelled());
            panic!("on purpose");
        }
    }
    let stub = Stub::new();
    let mut hostile = None;
    let theirs = stub.clone();
    let (_, handle) = spawn(
        &stub,
        None,
        poll_fn(move |cx| {
            hostile.get_or_insert_with(|| Hostile(theirs.clone(), cx.waker().clone()));
            Poll::<()>::Pending
        }),
    );
    stub.run_all();
    for task in stub.owned.close() {
        assert_eq!(task.shut_down(), Shut::Dropped);
    }
    assert!(output(handle).unwrap_err().is_panic(), "the drop panicked");
    assert!(stub.pop().is_none(), "a task that is dropped is not scheduled");
    assert_eq!(stub.owned.len(), 0);
}

#[test]
fn a_task_shut_down_in_its_own_poll_ends_after_it() {
    let stub = Stub::new();
    let shuts = sync::Arc::new(Mutex::new(Vec::new()));
    let (theirs, told) = (stub.clone(), shuts.clone());
    let (_, handle) = spawn(
        &stub,
        None,
        poll_fn(move |cx| {
            for task in theirs.owned.close() {
                told.lock().unwrap().push(task.shut_down());
            }
            this_poll::run_again(cx, Location::caller());
            Poll::<()>::Pending
        }),
    );
    stub.run_all();
    assert_eq!(*shuts.lock().unwrap(), [Shut::Running]);
    assert!(output(handle).unwrap_err().is_cancelled());
    assert_eq!(stub.ends(), [PollOutcome::Cancelled]);
}

#[path = "shared_threads_tests.rs"]
mod threads;
