//! Models of the join cell, `task/cell.rs`: its two sides meet, or miss each
//! other, in every order.
//!
//! loom checks three things by itself. Each touch of a slot must come after the other side's last one,
//! in the memory model's sense: a cell taken apart too early is a data race. A sleep that nothing ends
//! is a deadlock. And a loom `Arc` must be dropped by the end: so each output, each future and each
//! waker here holds one, and what is lost with a cell is a leak that fails.
//!
//! **Alternative:** to run these under Miri or a thread sanitizer: they judge the orders that happen to
//! come up, and here a handful of steps decides.

use std::{
    future::{Future, pending},
    panic::Location,
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
};

use super::{both_ways, seeded_bug_is_caught};
use crate::engine::{
    base::{
        id::TaskId,
        location::Origin,
        primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    },
    task::{
        cell::{Completer, Joiner},
        outcome::{Failure, Outcome},
        spawned::new,
    },
    wait::Unparker,
};

/// A thread that waits as a task does: it polls, and then sleeps until its waker was woken.
#[derive(Default)]
pub(super) struct Sleeper {
    unparker: Unparker,
    /// Makes loom find a waker that is never dropped.
    _held: Arc<()>,
}

impl Wake for Sleeper {
    fn wake(self: StdArc<Self>) {
        self.unparker.unpark();
    }
}

impl Sleeper {
    /// The thread's side, and its waker.
    pub(super) fn new() -> (StdArc<Self>, Waker) {
        let sleeper = StdArc::new(Self::default());
        (sleeper.clone(), Waker::from(sleeper))
    }

    pub(super) fn sleep(&self) {
        self.unparker.wait_unparked();
        // A thread that is told to come back at once, because another is in the middle of a step, must let
        // that other take it.
        thread::yield_now();
    }
}

/// What the tasks here leave behind.
type Output = Arc<()>;

fn origin() -> Origin {
    Origin { id: TaskId::draw(), name: None, location: Location::caller(), parent: None }
}

/// Polls as a task would that awaits the handle.
fn outcome_of<T>(mut joiner: Joiner<T>) -> Outcome<T> {
    let (sleeper, waker) = Sleeper::new();
    loop {
        match joiner.poll_outcome(&mut Context::from_waker(&waker)) {
            Ok(outcome) => return outcome,
            Err(pending) => joiner = pending,
        }
        sleeper.sleep();
    }
}

/// Polls once, and leaves a waker if it is too early.
fn poll_once<T>(joiner: Joiner<T>) -> Result<Outcome<T>, Joiner<T>> {
    let (_sleeper, waker) = Sleeper::new();
    joiner.poll_outcome(&mut Context::from_waker(&waker))
}

/// A task of its own thread that ends with `output`.
fn end_elsewhere<F: Future<Output: Send> + Send + 'static>(
    completer: Completer<F>,
    output: F::Output,
) -> thread::JoinHandle<()> {
    thread::spawn(move || completer.complete(Ok(output), origin))
}

/// What the handle's side does while a task ends.
fn as_the_task_ends(handle: impl Fn(Joiner<Output>) + Copy + Sync + Send + 'static) {
    both_ways(move |sides| {
        let (completer, joiner) = new(pending::<Output>());
        sides.at_once(
            move || handle(joiner),
            move || completer.complete(Ok(Arc::default()), origin),
        );
    });
}

/// A future whose drop can be seen.
#[derive(Default)]
struct Seen(Arc<AtomicU32>);

impl Future for Seen {
    type Output = Output;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Output> {
        unreachable!("its completer is told how it ends")
    }
}

impl Drop for Seen {
    fn drop(&mut self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// The common case, the three ways round: complete before the first poll, during it, and after.
#[test]
fn a_handle_is_told_of_the_output() {
    as_the_task_ends(|joiner| assert!(outcome_of(joiner).is_ok()));
}

/// `is_finished` promises that awaiting will not wait, and that the task is gone: the thread that relies on it
/// has slept on nothing that would order the two.
#[test]
fn what_is_finished_can_be_taken() {
    both_ways(|sides| {
        let drops = Arc::new(AtomicU32::new(0));
        let (completer, joiner) = new(Seen(drops.clone()));
        let handle = move || {
            if joiner.is_complete() {
                assert_eq!(drops.load(Relaxed), 1, "told of the end before it");
                let mut cx = Context::from_waker(Waker::noop());
                assert!(matches!(joiner.poll_outcome(&mut cx), Ok(Ok(_))));
            }
        };
        sides.at_once(handle, move || completer.complete(Ok(Arc::default()), origin));
    });
}

/// A join of several handles polls all when one is woken, and each time with what waker it likes.
/// The second poll may meet the completer in the middle of taking the first waker.
#[test]
fn a_handle_is_polled_again_by_another_waker() {
    as_the_task_ends(|joiner| {
        let outcome = match poll_once(joiner) {
            Ok(outcome) => outcome,
            Err(pending) => outcome_of(pending),
        };
        assert!(outcome.is_ok());
    });
}

/// A handle that waited is handed to a third thread, and awaited there.
#[test]
fn a_handle_moves_to_another_thread() {
    loom::model(|| {
        let (completer, joiner) = new(pending::<Output>());
        let task = end_elsewhere(completer, Arc::default());
        if let Err(pending) = poll_once(joiner) {
            let other = thread::spawn(move || outcome_of(pending).is_ok());
            assert!(other.join().unwrap());
        }
        task.join().unwrap();
    });
}

/// A handle dropped before it was polled, against the end of its task: the output is dropped once, by
/// the last side to leave.
#[test]
fn a_handle_is_dropped_as_the_task_ends() {
    as_the_task_ends(drop);
}

/// A handle dropped while it waits, which is what a timeout does: the waker and the output both have
/// to go, and the completer may be busy with the waker.
#[test]
fn a_waiting_handle_is_dropped_as_the_task_ends() {
    as_the_task_ends(|joiner| drop(poll_once(joiner)));
}

/// A loop that is dropped drops its tasks: each handle, waiting or leaving, finds it cancelled.
#[test]
fn a_task_is_dropped_unfinished() {
    loom::model(|| {
        let (completer, joiner) = new(Seen::default());
        let task = thread::spawn(move || drop(completer));
        assert!(matches!(outcome_of(joiner), Err(Failure::Cancelled)));
        task.join().unwrap();
    });
}

/// Both sides go at once, and neither ever looked.
#[test]
fn both_sides_are_dropped() {
    loom::model(|| {
        let (completer, joiner) = new(Seen::default());
        let task = thread::spawn(move || drop(completer));
        drop(joiner);
        task.join().unwrap();
    });
}

/// What awaits a task may rely on its guards and sockets being gone. The future lies in the
/// memory that the handle frees.
#[test]
fn the_future_is_gone_before_the_output_is_told() {
    loom::model(|| {
        let drops = Arc::new(AtomicU32::new(0));
        let (completer, joiner) = new(Seen(drops.clone()));
        let task = end_elsewhere(completer, Arc::default());
        assert!(outcome_of(joiner).is_ok());
        assert_eq!(drops.load(Relaxed), 1, "told of the end before it");
        task.join().unwrap();
        assert_eq!(drops.load(Relaxed), 1);
    });
}

/// An output whose reports are counted.
type Reported = Arc<AtomicU32>;

/// Says that the task's end was reported.
fn count_report(outcome: &Outcome<Reported>, _: &Origin) {
    if let Ok(reports) = outcome {
        reports.fetch_add(1, Relaxed);
    }
}

/// Errors that nobody awaits are reported by the task or by the leaving handle: by one of them.
#[test]
fn a_failure_is_reported_once() {
    loom::model(|| {
        let reports = Reported::default();
        let (completer, joiner) = new(pending::<Reported>());
        let task = end_elsewhere(completer, reports.clone());
        joiner.leave(Some(count_report), &origin());
        task.join().unwrap();
        assert_eq!(reports.load(Relaxed), 1);
    });
}

/// The same for a handle that waited first: it may leave while its waker is being taken, when it
/// cannot leave a reporter.
#[test]
fn a_failure_is_reported_once_though_the_handle_waited() {
    loom::model(|| {
        let reports = Reported::default();
        let (completer, joiner) = new(pending::<Reported>());
        let task = end_elsewhere(completer, reports.clone());
        let awaited = match poll_once(joiner) {
            Ok(_outcome) => 1,
            Err(pending) => {
                pending.leave(Some(count_report), &origin());
                0
            }
        };
        task.join().unwrap();
        assert_eq!(awaited + reports.load(Relaxed), 1);
    });
}

/// A task that was sent to a loop gets its key there, maybe just as it is cancelled. Either the
/// handle learns which task to wake, or the task's first poll sees that it was cancelled.
#[test]
fn a_cancel_meets_the_arrival_of_the_task() {
    const KEY: u64 = 3 << 48 | 5;
    loom::model(|| {
        let (completer, joiner) = new(pending::<Output>());
        let task = thread::spawn(move || {
            completer.publish_key(KEY);
            completer.is_cancelled()
        });
        let key = joiner.cancel();
        let seen = task.join().unwrap();
        assert!(seen || key.is_some(), "the task waits, cancelled, and nobody wakes it");
        assert!(key.is_none_or(|key| key == KEY), "not the task's key: {key:?}");
    });
}

/// A second cancel has nothing left to wake.
#[test]
fn of_two_cancels_one_wakes() {
    const KEY: u64 = 3 << 48 | 5;
    loom::model(|| {
        let (completer, joiner) = new(pending::<Output>());
        completer.set_key(KEY);
        let joiner = Arc::new(joiner);
        let theirs = joiner.clone();
        let other = thread::spawn(move || theirs.cancel());
        let ours = joiner.cancel();
        let theirs = other.join().unwrap();
        assert_eq!([ours, theirs].iter().flatten().collect::<Vec<_>>(), [&KEY]);
        assert!(completer.is_cancelled());
        completer.complete(Err(Failure::Cancelled), origin);
    });
}

/// The cancelled task ends while the one who cancelled it waits: the two words of the cell at once.
#[test]
fn a_cancelled_task_ends_and_says_so() {
    const KEY: u64 = 3 << 48 | 5;
    loom::model(|| {
        let (completer, joiner) = new(pending::<Output>());
        let task = thread::spawn(move || {
            completer.publish_key(KEY);
            let outcome =
                if completer.is_cancelled() { Err(Failure::Cancelled) } else { Ok(Arc::default()) };
            let cancelled = outcome.is_err();
            completer.complete(outcome, origin);
            cancelled
        });
        // A wake for a task that has ended is none of the cell's business.
        let _ = joiner.cancel();
        let outcome = outcome_of(joiner);
        assert_eq!(outcome.is_err(), task.join().unwrap());
    });
}

/// Completed without a release: the handle reads an output that is not there yet for it.
#[test]
fn completing_relaxed_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::join::a_handle_is_told_of_the_output",
        "join_relaxed_complete",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::join::a_handle_is_dropped_as_the_task_ends",
        "join_relaxed_complete",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}

/// A look at the end that orders nothing: the task is not gone yet for the thread that was told that it is.
#[test]
fn looking_relaxed_is_caught() {
    let finding =
        seeded_bug_is_caught("models::join::what_is_finished_can_be_taken", "join_looks_relaxed");
    assert!(finding.contains("told of the end before it"), "{finding}");
}

/// Told before the waker was taken: the handle frees the cell while the waker is being read from it.
#[test]
fn taking_the_waker_unlocked_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::join::a_handle_is_polled_again_by_another_waker",
        "join_takes_the_waker_unlocked",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
    let finding = seeded_bug_is_caught(
        "models::join::a_waiting_handle_is_dropped_as_the_task_ends",
        "join_takes_the_waker_unlocked",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}
