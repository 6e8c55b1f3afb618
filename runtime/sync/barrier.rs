//! The barrier: tasks wait until so many of them have come, and go on together. The `Barrier` of asyncio and of
//! Python's `threading`.
//!
//! Those that have come are the line itself. The one that makes it full takes all of them out, and writes down for each
//! the index with which it arrived: its *answer*, until it is polled. So the next round may begin, and end, while some
//! of the last have not yet been polled, and nobody can be answered twice.
//!
//! **Alternative:** asyncio's, where a barrier that has opened lets nobody in until all have gone out; a task that is
//! slow to go on holds up the next round. Or a count for each round, which is drawn by those that go on: one that is
//! cancelled in between leaves a gap, and its round must be told from the next.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        error::debug_error,
        id::draw_object_id,
        location::{WaitsFor, WaitsOn},
        primitives::{Mutex, lock, seeded},
        this_poll,
    },
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
        thread::wait_on_thread,
        wait_list::{WaitKey, WaitList, discard},
    },
};

/// What keeps a plain thread from waiting where it must not.
const ADVICE: &str = "a `blocking_` call would stop the thread that runs tasks, and maybe those for \
                      which it waits: await the barrier instead, or call it in `spawn_blocking`";

/// A point at which tasks wait for each other: when as many have come as it has parties, all go on.
///
/// It may be used again at once, for the next round. Share it by reference, or in an [`Arc`](std::sync::Arc).
///
/// **A wait that is cancelled** leaves as if it had not come: the others go on waiting, for one more. (Python's
/// `threading.Barrier` breaks when a wait times out; asyncio's does as this one.) If nobody will come in its stead,
/// [`abort`](Self::abort) ends the wait of the others with an error.
///
/// ```
/// use std::sync::Arc;
/// use whirligig::{spawn, sync::Barrier};
///
/// whirligig::run(async {
///     let barrier = Arc::new(Barrier::new(3));
///     let tasks: Vec<_> = (0..3)
///         .map(|_| {
///             let barrier = barrier.clone();
///             spawn(async move { barrier.wait().await.unwrap().is_leader() })
///         })
///         .collect();
///     let mut leaders = 0;
///     for task in tasks {
///         leaders += usize::from(task.await.unwrap());
///     }
///     assert_eq!(leaders, 1);
/// });
/// ```
#[doc(alias("asyncio.Barrier", "CyclicBarrier"))]
pub struct Barrier {
    id: u64,
    parties: usize,
    core: Mutex<Core>,
}

struct Core {
    waiting: WaitList,
    /// The indices of those that may go on and have not yet been polled, by the numbers of their keys.
    answers: BTreeMap<u64, usize>,
    is_broken: bool,
}

// No user code runs while the core is locked, so a panic never finds it half changed.
impl UnwindSafe for Barrier {}
impl RefUnwindSafe for Barrier {}

impl Barrier {
    /// A barrier for as many tasks.
    ///
    /// # Panics
    /// If `parties` is 0.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Barrier::new(3).parties(), 3);
    /// ```
    #[track_caller]
    pub fn new(parties: usize) -> Self {
        assert!(parties != 0, "a barrier without parties would never open: it has at least 1");
        let core = Core { waiting: WaitList::new(), answers: BTreeMap::new(), is_broken: false };
        Self { id: draw_object_id(), parties, core: Mutex::new(core) }
    }

    /// Waits until as many have come as the barrier has parties, this one included. The last goes on at once.
    ///
    /// # Errors
    /// [`BrokenBarrierError`] if the barrier is broken, or is aborted or reset while this waits.
    ///
    /// *Cancel safety*: dropped while it waits, the future leaves as if it had not come. Dropped when the barrier has
    /// opened for it, it changes nothing for the others.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// let barrier = whirligig::sync::Barrier::new(1);
    /// whirligig::run(async { assert_eq!(barrier.wait().await.unwrap().index(), 0) });
    /// ```
    #[track_caller]
    pub fn wait(&self) -> BarrierWait<'_> {
        BarrierWait { barrier: self, stage: Stage::New, location: Location::caller() }
    }

    /// Waits on a thread that runs no tasks. Tasks and threads may be parties of one barrier.
    ///
    /// # Errors
    /// As of [`wait`](Self::wait).
    ///
    /// # Panics
    /// If it would have to wait where tasks run: inside a task, or in anything else that an event loop or a worker
    /// calls.
    ///
    /// ```
    /// let barrier = whirligig::sync::Barrier::new(2);
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| barrier.blocking_wait().unwrap());
    ///     whirligig::run(async { barrier.wait().await.unwrap() });
    /// });
    /// ```
    #[track_caller]
    pub fn blocking_wait(&self) -> Result<BarrierWaitResult, BrokenBarrierError> {
        wait_on_thread(ADVICE, self.wait())
    }

    /// Breaks the barrier: those that wait get an error, and so does each that comes, until it is
    /// [reset](Self::reset).
    ///
    /// ```
    /// let barrier = whirligig::sync::Barrier::new(2);
    /// barrier.abort();
    /// assert!(barrier.blocking_wait().is_err());
    /// ```
    pub fn abort(&self) {
        self.end_round(true);
    }

    /// Makes it whole and empty again: those that wait get an error, those that come are the first.
    ///
    /// ```
    /// let barrier = whirligig::sync::Barrier::new(1);
    /// barrier.abort();
    /// barrier.reset();
    /// assert!(barrier.blocking_wait().is_ok());
    /// ```
    pub fn reset(&self) {
        self.end_round(false);
    }

    fn end_round(&self, is_broken: bool) {
        let mut core = lock(&self.core);
        core.is_broken = is_broken;
        let wakes = Wakes::all([&mut core.waiting]);
        drop(core);
        wakes.wake();
    }

    /// How many must come.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Barrier::new(3).parties(), 3);
    /// ```
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// How many have come in this round, and wait.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Barrier::new(3).waiters(), 0);
    /// ```
    #[doc(alias = "n_waiting")]
    pub fn waiters(&self) -> usize {
        lock(&self.core).waiting.len()
    }

    /// Whether it was [aborted](Self::abort), and not reset since.
    ///
    /// ```
    /// assert!(!whirligig::sync::Barrier::new(3).is_broken());
    /// ```
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        lock(&self.core).is_broken
    }

    /// A step of a wait.
    fn step(
        &self,
        stage: &mut Stage,
        offer: &mut Offer<'_>,
    ) -> Step<Result<BarrierWaitResult, BrokenBarrierError>> {
        let mut core = lock(&self.core);
        let looks = !(seeded("barrier_no_second_look") && offer.has_waiter());
        match *stage {
            Stage::New if core.is_broken => {
                *stage = Stage::Done;
                Step::Ready(Err(BrokenBarrierError(())), Wakes::Nothing)
            }
            Stage::New if core.waiting.len() + 1 == self.parties && looks => {
                *stage = Stage::Done;
                Step::Ready(Ok(self.result(self.parties - 1)), core.open())
            }
            Stage::Waiting(key) if core.waiting.is_woken(key) => {
                *stage = Stage::Done;
                let answer = core.answers.remove(&key.number());
                let result = answer.map(|index| self.result(index));
                Step::Ready(result.ok_or(BrokenBarrierError(())), Wakes::Nothing)
            }
            _ => wait(&mut core.waiting, stage, offer),
        }
    }

    fn result(&self, index: usize) -> BarrierWaitResult {
        BarrierWaitResult { index, is_leader: index + 1 == self.parties }
    }

    fn cancel(&self, key: WaitKey) {
        let mut core = lock(&self.core);
        let waiter = core.waiting.remove(key);
        core.answers.remove(&key.number());
        drop(core);
        discard(waiter);
    }
}

impl Core {
    /// Lets all go that wait, and keeps their answers for them.
    fn open(&mut self) -> Wakes {
        let mut wakes = Wakes::Nothing;
        let mut index = 0;
        while let Some((key, ())) = self.waiting.first() {
            self.answers.insert(key.number(), index);
            wakes = wakes.and(self.waiting.pop_front().expect("it is the first"));
            index += 1;
        }
        wakes
    }
}

/// Shows its identity and its numbers.
impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("id", &self.id)
            .field("parties", &self.parties)
            .field("waiters", &self.waiters())
            .field("is_broken", &self.is_broken())
            .finish()
    }
}

/// The future of [`Barrier::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct BarrierWait<'a> {
    barrier: &'a Barrier,
    stage: Stage,
    location: &'static Location<'static>,
}

impl Future for BarrierWait<'_> {
    type Output = Result<BarrierWaitResult, BrokenBarrierError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { barrier, stage, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        poll_wait(
            cx,
            location,
            || this_poll::note_on(WaitsFor::Signal, WaitsOn::Barrier(barrier.id), location),
            |offer| barrier.step(stage, offer),
        )
    }
}

impl Drop for BarrierWait<'_> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.barrier.cancel(key);
        }
    }
}

impl fmt::Debug for BarrierWait<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BarrierWait").field("location", self.location).finish_non_exhaustive()
    }
}

/// What [`Barrier::wait`] says to each that goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: usize,
    is_leader: bool,
}

impl BarrierWaitResult {
    /// The order of arrival in this round, from 0 to one less than there are parties: to each its own.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether it is the one of its round that may do what is to be done once: the last to come.
    pub fn is_leader(&self) -> bool {
        self.is_leader
    }
}

/// The barrier is broken, or was reset while this waited. The error of [`Barrier::wait`].
///
/// ```
/// let barrier = whirligig::sync::Barrier::new(2);
/// barrier.abort();
/// let error = barrier.blocking_wait().unwrap_err();
/// assert_eq!(error.to_string(), "the barrier was aborted or reset: `reset` makes it whole again");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct BrokenBarrierError(());

impl fmt::Debug for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("BrokenBarrierError", self, f)
    }
}

impl fmt::Display for BrokenBarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the barrier was aborted or reset: `reset` makes it whole again")
    }
}

impl Error for BrokenBarrierError {}
