//! A task's memory, in the hands of one thread: whatever its types, however it ends, and whichever side leaves last,
//! each thing in it is dropped once. What two threads do to it at once is told in `tests/models/join.rs`.
//!
//! Memcheck runs these too: it sees memory read before it is written, and memory that is lost.

use std::{
    panic::{Location, resume_unwind},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, Wake, Waker},
};

use super::*;
use crate::engine::{base::id::TaskId, task::outcome::Outcome};

/// What the task does when it is polled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum WhenPolled {
    Ready,
    Pending,
    Panics,
}

/// How its end comes, after that poll if there is one.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ending {
    Polled(WhenPolled),
    CancelledWhenPolled,
    Cancelled,
    Dropped,
    CompleterDropped,
}

/// What its handle does.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Handle {
    DroppedFirst,
    ReportsFirst,
    WaitsAndIsDropped,
    WaitsAndReports,
    WaitsAndTakes,
    DroppedLast,
    ReportsLast,
    Takes,
}

const ENDINGS: [Ending; 7] = [
    Ending::Polled(WhenPolled::Ready),
    Ending::Polled(WhenPolled::Pending),
    Ending::Polled(WhenPolled::Panics),
    Ending::CancelledWhenPolled,
    Ending::Cancelled,
    Ending::Dropped,
    Ending::CompleterDropped,
];

const HANDLES: [Handle; 8] = [
    Handle::DroppedFirst,
    Handle::ReportsFirst,
    Handle::WaitsAndIsDropped,
    Handle::WaitsAndReports,
    Handle::WaitsAndTakes,
    Handle::DroppedLast,
    Handle::ReportsLast,
    Handle::Takes,
];

/// Counted as long as it is there.
type Held = Arc<()>;

/// A future with room `P` that ends with room `Q`.
struct Task<P, Q> {
    _room: P,
    _held: Held,
    output: Option<(Q, Held)>,
    when_polled: WhenPolled,
    drop_panics: bool,
    polled_at: Arc<AtomicUsize>,
}

impl<P: Unpin, Q: Unpin> Future for Task<P, Q> {
    type Output = (Q, Held);

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        let at: *const Self = &raw const *self;
        assert!(at.is_aligned());
        self.polled_at.store(at.addr(), Relaxed);
        match self.when_polled {
            WhenPolled::Ready => Poll::Ready(self.output.take().expect("polled once")),
            WhenPolled::Pending => Poll::Pending,
            WhenPolled::Panics => resume_unwind(Box::new("poll")),
        }
    }
}

impl<P, Q> Drop for Task<P, Q> {
    fn drop(&mut self) {
        let (at, here) = (self.polled_at.load(Relaxed), (&raw const *self).addr());
        assert!(at == 0 || at == here, "it was pinned at {at:x}, and dropped at {here:x}");
        if self.drop_panics {
            resume_unwind(Box::new("drop"));
        }
    }
}

struct CountsWakes {
    wakes: AtomicUsize,
    _held: Held,
}

impl Wake for CountsWakes {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Relaxed);
    }
}

/// How often an outcome was reported.
static REPORTS: AtomicUsize = AtomicUsize::new(0);
/// One at a time counts.
static COUNTING: Mutex<()> = Mutex::new(());

fn plays<P, Q>(ending: Ending, handle: Handle, drop_panics: bool)
where
    P: Default + Unpin + 'static,
    Q: Default + Unpin + 'static,
{
    let told = format!("{ending:?}, {handle:?}, drop panics: {drop_panics}");
    let held = Held::default();
    let polled_at = Arc::<AtomicUsize>::default();
    let when_polled = match ending {
        Ending::Polled(when_polled) => when_polled,
        _ => WhenPolled::Panics,
    };
    let task = Task {
        _room: P::default(),
        _held: held.clone(),
        output: Some((Q::default(), held.clone())),
        when_polled,
        drop_panics,
        polled_at,
    };
    let counts = Arc::new(CountsWakes { wakes: AtomicUsize::new(0), _held: held.clone() });
    let waker = Waker::from(counts.clone());
    let origin =
        Origin { id: TaskId::draw(), name: None, location: Location::caller(), parent: None };
    let report: fn(&Outcome<(Q, Held)>, &Origin) = |_, _| _ = REPORTS.fetch_add(1, Relaxed);
    let reports_before = REPORTS.load(Relaxed);

    let (completer, joiner) = super::new(task);
    if ending == Ending::CancelledWhenPolled {
        assert_eq!(joiner.cancel(), None, "it has no key yet");
    }
    let mut joiner = Some(joiner);
    let waits = |joiner: &mut Option<Joiner<_>>| {
        let polled = joiner.take().unwrap().poll_outcome(&mut Context::from_waker(&waker));
        *joiner = Some(polled.err().expect("it has not ended"));
    };
    match handle {
        Handle::DroppedFirst => drop(joiner.take()),
        Handle::ReportsFirst => joiner.take().unwrap().leave(Some(report), &origin),
        Handle::WaitsAndIsDropped => {
            waits(&mut joiner);
            drop(joiner.take());
        }
        Handle::WaitsAndReports => {
            waits(&mut joiner);
            joiner.take().unwrap().leave(Some(report), &origin);
        }
        Handle::WaitsAndTakes => waits(&mut joiner),
        Handle::DroppedLast | Handle::ReportsLast | Handle::Takes => {}
    }

    let told_origin: OriginFn<'_> = &|| origin.clone();
    match ending {
        Ending::CompleterDropped => drop(completer),
        Ending::Dropped => drop(Spawned::new(completer)),
        Ending::Cancelled => Spawned::new(completer).cancel(&told_origin),
        Ending::CancelledWhenPolled | Ending::Polled(_) => {
            let cx = Context::from_waker(Waker::noop());
            let end = match Spawned::new(completer).poll(&mut PollArgs { cx, origin: &told_origin })
            {
                AfterPoll::Alive(pending) => {
                    pending.cancel(&told_origin);
                    PollOutcome::Pending
                }
                AfterPoll::Ended(end) => end,
            };
            let expected = match ending {
                Ending::Polled(WhenPolled::Ready) => PollOutcome::Completed,
                Ending::Polled(WhenPolled::Pending) => PollOutcome::Pending,
                Ending::Polled(WhenPolled::Panics) => PollOutcome::Panicked,
                _ => PollOutcome::Cancelled,
            };
            assert_eq!(end, expected, "{told}");
        }
    }

    let wakes = usize::from(handle == Handle::WaitsAndTakes);
    assert_eq!(counts.wakes.load(Relaxed), wakes, "{told}");
    let is_ready = ending == Ending::Polled(WhenPolled::Ready) && !drop_panics;
    match handle {
        Handle::DroppedLast => drop(joiner.take()),
        Handle::ReportsLast => joiner.take().unwrap().leave(Some(report), &origin),
        Handle::WaitsAndTakes | Handle::Takes => {
            let polled = joiner.take().unwrap().poll_outcome(&mut Context::from_waker(&waker));
            let outcome = polled.ok().expect("it has ended");
            let expected = match ending {
                // Nobody is given a panic of a drop that nobody asked for.
                Ending::CompleterDropped | Ending::Dropped => "cancelled",
                // The first panic, though the drop panics as it unwinds.
                Ending::Polled(WhenPolled::Panics) => "poll",
                _ if drop_panics => "drop",
                Ending::Polled(WhenPolled::Ready) => "ready",
                _ => "cancelled",
            };
            let found = match &outcome {
                Ok((output, _)) => {
                    assert!((&raw const *output).is_aligned());
                    "ready"
                }
                Err(Failure::Cancelled) => "cancelled",
                Err(Failure::Panicked(payload)) => payload.downcast_ref::<&str>().unwrap(),
            };
            assert_eq!(found, expected, "{told}");
        }
        _ => {}
    }
    let reports =
        matches!(handle, Handle::ReportsFirst | Handle::WaitsAndReports | Handle::ReportsLast);
    let reported = REPORTS.load(Relaxed) - reports_before;
    assert_eq!(reported, usize::from(reports && is_ready), "{told}");
    drop((waker, counts));
    assert_eq!(Arc::strong_count(&held), 1, "something of the task is left: {told}");
}

fn plays_all<P, Q>()
where
    P: Default + Unpin + 'static,
    Q: Default + Unpin + 'static,
{
    let _alone = COUNTING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for ending in ENDINGS {
        for handle in HANDLES {
            plays::<P, Q>(ending, handle, false);
            plays::<P, Q>(ending, handle, true);
        }
    }
}

#[derive(Default)]
#[repr(align(128))]
struct Nothing;

#[derive(Default)]
#[repr(align(64))]
struct Line(#[expect(dead_code, reason = "it takes room")] u8);

#[test]
fn each_thing_is_dropped_once_however_a_task_ends() {
    plays_all::<(), ()>();
}

#[test]
fn a_future_may_be_larger_than_its_output_and_the_reverse() {
    plays_all::<[[u64; 32]; 4], u8>();
    plays_all::<u8, [[u64; 32]; 4]>();
}

#[test]
fn a_future_and_its_output_are_aligned_as_they_wish() {
    plays_all::<Line, Nothing>();
    plays_all::<Nothing, Line>();
    plays_all::<u128, Line>();
}
