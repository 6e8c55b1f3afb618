//! The join cell: where a task leaves its outcome and a handle finds it.
//!
//! Two sides share one allocation. The task's side, the [`Completer`], writes the outcome once. The handle's
//! side, the [`Joiner`], waits for it. Behind the cell, in the same allocation, lies the task's future. The joiner
//! never touches it, nor knows its type, and the completer drops it before the outcome is told; so a handle is
//! `Send` whenever the output is, also for a task that never leaves its thread. Both variants of the runtime
//! and the blocking pool use this cell.
//!
//! ```text
//! |<--------------- Whole: what the completer knows ---------------->|
//! |<------- Cell: what the joiner knows -------->|
//! |<--- Head: what is always known --->|
//! +------------------------------------+----------+-------------------+
//! | functions       key       state    | interest | contents          |
//! +------------------------------------+----------+-------------------+
//! ```
//!
//! The *contents* are the future until that is dropped, and then the outcome: a task has one or the other. The
//! joiner knows the output's type, but not where the outcome lies; a scheduler knows no type at all. What they lack
//! they ask of the *functions*, which know the future's type (`spawned.rs`).
//!
//! The word `state` says which side may touch what:
//!
// ANCHOR: states
//! | state    | contents         | interest         | who frees the cell     |
//! | -------- | ---------------- | ---------------- | ---------------------- |
//! | EMPTY    | completer        | joiner           | the last to leave      |
//! | WAITING  | completer        | neither          | the last to leave      |
//! | LOCKED   | completer        | completer        | the last to leave      |
//! | COMPLETE | joiner           | joiner           | joiner                 |
//! | DETACHED | completer        | completer        | completer              |
// END: states
//!
//! ```text
//!     detach            poll              complete
//!   +--------- EMPTY <---------> WAITING ----------> LOCKED
//!   |            |          (it detaches by          |  \
//!   |            | complete   way of EMPTY)          |   \ detach
//!   v            v                                   v    v
//! DETACHED    COMPLETE                          COMPLETE  DETACHED
//! ```
//!
//! A completion with no waiter yet is one compare-and-exchange, after which the completer never
//! looks back; with a waiter it is two steps, and with the handle gone a load. Once `COMPLETE` is seen,
//! the joiner is alone with the cell. LOCKED exists so that the waker can be taken out before the joiner may
//! free the memory in which it lies.
//!
//! Cancelling goes the other way, through a second word: the key of the task's waker, and a bit
//! that asks for cancellation. Both are in one word because the two sides race: the second to come
//! sees what the first left.
//!
//! What must hold: a task's future is dropped, and only then is its handle told, so that what awaits the
//! handle finds the task's guards and sockets gone.
//!
//! **Alternatives:** `Arc<Mutex<State>>`, no unsafe and twice the price of a spawn; and a cell apart from
//! the future, less unsafe and one allocation more (measured for spawn and join: 1,410 instructions
//! with two, 1,000 with one).

use std::{
    any::Any,
    cell::UnsafeCell as UntrackedUnsafeCell,
    future::Future,
    mem::{self, ManuallyDrop, MaybeUninit},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    ptr::NonNull,
    task::{Context, Poll, Waker},
    thread::Result as Caught,
};

use super::{
    outcome::{Failure, Interest, Outcome, Report, Unobserved, discard},
    poll::{OriginFn, PollArgs, PollOutcome},
};
use crate::engine::base::{
    location::Origin,
    primitives::{AtomicU8, AtomicU64, Ordering, UnsafeCell, seeded, thread},
    user_code,
};

const EMPTY: u8 = 0;
const WAITING: u8 = 1;
const LOCKED: u8 = 2;
const COMPLETE: u8 = 3;
const DETACHED: u8 = 4;

/// Set in `key` when cancellation was asked for. A waker's key never has it: slots count to
/// 2^31 only.
const CANCEL: u64 = 1 << 31;

/// What can be read of an allocation without knowing its types.
pub(super) struct Head {
    functions: &'static Functions,
    /// The key of the task's waker (0 while it has none), and [`CANCEL`].
    key: AtomicU64,
    state: AtomicU8,
}

/// What both sides know.
#[repr(C)]
struct Cell<T> {
    // First, so that a pointer to the whole is one to this.
    head: Head,
    interest: UnsafeCell<Interest<T>>,
}

/// The allocation.
#[repr(C)]
pub(super) struct Whole<F: Future> {
    // First, so that a pointer to either is one to both.
    cell: Cell<F::Output>,
    /// Stands for the contents in the models: each access of theirs goes through an access of this. (They are not in
    /// a tracked cell themselves, for that is made by value, and a future may be large.)
    access: UnsafeCell<()>,
    contents: UntrackedUnsafeCell<Contents<F>>,
}

/// The future until it is dropped, and then the outcome.
union Contents<F: Future> {
    future: ManuallyDrop<F>,
    outcome: ManuallyDrop<Outcome<F::Output>>,
}

/// What knows all types of an allocation. `spawned.rs` makes one for each type of future.
pub(super) struct Functions {
    /// Polls the future. By the completer, which is used up unless the answer is `Pending`.
    pub(super) poll: unsafe fn(NonNull<Head>, &mut PollArgs<'_>) -> PollOutcome,
    /// Drops the future, and completes. By the completer, which is used up. In silence, if nothing names the task.
    pub(super) cancel: unsafe fn(NonNull<Head>, Option<&OriginFn<'_>>),
    /// Moves the outcome to where the second pointer points, and frees the allocation. What else is in it
    /// was dropped, or moved out.
    pub(super) take: unsafe fn(NonNull<Head>, NonNull<()>),
}

impl Head {
    #[inline(always)]
    pub(super) fn functions(&self) -> &'static Functions {
        self.functions
    }

    /// Tells by which key to wake the task. Before the handle is shared.
    #[inline]
    pub(super) fn set_key(&self, key: u64) {
        self.key.store(key, Ordering::Relaxed);
    }

    /// The same, when the handle may be at work on another thread.
    #[inline]
    pub(super) fn publish_key(&self, key: u64) {
        self.key.fetch_or(key, Ordering::AcqRel);
    }

    /// Asks for cancellation. The key there is, if this is the first to ask.
    fn cancel(&self) -> Option<u64> {
        let before = self.key.fetch_or(CANCEL, Ordering::AcqRel);
        (before & CANCEL == 0 && before != 0).then_some(before)
    }

    /// Asks for cancellation. The key there is, also if it was asked before.
    fn request_cancel(&self) -> Option<u64> {
        let key = self.key.fetch_or(CANCEL, Ordering::AcqRel) & !CANCEL;
        (key != 0).then_some(key)
    }

    /// Whether cancellation was asked for. One plain load: asked at each poll.
    #[inline]
    fn is_cancelled(&self) -> bool {
        self.key.load(Ordering::Relaxed) & CANCEL != 0
    }
}

/// Makes the two sides of a new cell.
///
/// The memory first, and the future straight into it: each time it is passed on by value a build without
/// optimisation copies it, and it may be as large as a thread's stack bears.
///
/// # Safety
/// The functions are those of this type of future.
#[allow(unsafe_code)]
#[inline(always)]
pub(super) unsafe fn new<F: Future>(
    future: F,
    functions: &'static Functions,
) -> (Completer<F>, Joiner<F::Output>) {
    let memory = Box::<Whole<F>>::new_uninit();
    let whole: NonNull<Whole<F>> = NonNull::from(Box::leak(memory)).cast();
    let head = Head { functions, key: AtomicU64::new(0), state: AtomicU8::new(EMPTY) };
    let interest = UnsafeCell::new(Interest::None(None));
    // SAFETY: the memory is a whole's and ours, and each of the three fields is written.
    unsafe {
        let at = whole.as_ptr();
        (&raw mut (*at).cell).write(Cell { head, interest });
        (&raw mut (*at).access).write(UnsafeCell::new(()));
        let contents = UntrackedUnsafeCell::raw_get(&raw const (*at).contents);
        (&raw mut (*contents).future).cast::<F>().write(future);
    }
    (Completer { whole }, Joiner { cell: whole.cast() })
}

/// A step from one state to another. Else the state there is instead. (Not a method of the head: after this step
/// the other side may free it, and a function that is given `&Head` claims that it stays.)
#[inline(always)]
fn exchange(state: &AtomicU8, from: u8, to: u8, failure: Ordering) -> Result<u8, u8> {
    state.compare_exchange(from, to, Ordering::AcqRel, failure)
}

/// Takes apart and frees the allocation of a cell with an outcome.
///
/// # Safety
/// The caller is alone with the cell, and does not use it after this. The outcome was written.
#[allow(unsafe_code)]
#[inline]
unsafe fn take_apart<T>(cell: NonNull<Cell<T>>) -> (Outcome<T>, Interest<T>) {
    let mut outcome = MaybeUninit::uninit();
    // SAFETY: by the caller's promise; each part is moved out once. The functions' output is of this type,
    // by that of `new`.
    unsafe {
        let interest = cell.as_ref().interest.with_mut(|at| at.read());
        let take = cell.as_ref().head.functions.take;
        take(cell.cast(), NonNull::from(&mut outcome).cast());
        (outcome.assume_init(), interest)
    }
}

/// See [`Functions::take`].
///
/// # Safety
/// As for [`free`], but for the outcome, which is there and goes to where `to` points: to memory for one.
#[allow(unsafe_code)]
pub(super) unsafe fn take<F: Future>(head: NonNull<Head>, to: NonNull<()>) {
    // SAFETY: by the caller's promise.
    unsafe {
        let whole = head.cast::<Whole<F>>();
        let outcome = whole.as_ref().contents(|at| (&raw const (*at).outcome).read());
        to.cast().write(outcome);
        free::<F>(head);
    }
}

/// # Safety
/// `head` is that of a `Whole<F>`, its owner is alone with it, and what is in it was dropped or
/// moved out.
#[allow(unsafe_code)]
unsafe fn free<F: Future>(head: NonNull<Head>) {
    // SAFETY: by the caller's promise; `new` leaked this very box.
    drop(unsafe { Box::from_raw(head.cast::<MaybeUninit<Whole<F>>>().as_ptr()) });
}

impl<F: Future> Whole<F> {
    /// Hands `f` a pointer to the contents, by the side that may touch them.
    #[inline(always)]
    fn contents<R>(&self, f: impl FnOnce(*mut Contents<F>) -> R) -> R {
        self.access.with_mut(|_| f(self.contents.get()))
    }
}

// ---- The task's side ----

/// The task's side of its cell.
pub(crate) struct Completer<F: Future> {
    whole: NonNull<Whole<F>>,
}

/// The task's side, when its future was dropped.
#[must_use = "its handle never resolves unless it is published"]
pub(super) struct Emptied<F: Future> {
    whole: NonNull<Whole<F>>,
}

#[allow(unsafe_code)]
// SAFETY: the outcome, the only thing of the output's type, is written by the completer and read by the
// joiner, or dropped by either; never by both at once. So moving a side moves or drops an output on
// another thread, which is what `Send` allows. The future is the completer's alone.
unsafe impl<F: Future<Output: Send> + Send> Send for Completer<F> {}

// The table above is the argument for each block of this file: which side may touch what in which state.
// `tests/models/join.rs` runs all of it under loom.
#[allow(unsafe_code)]
impl<F: Future> Completer<F> {
    /// A completer as a pointer without its type.
    #[inline(always)]
    pub(super) fn into_head(self) -> NonNull<Head> {
        ManuallyDrop::new(self).whole.cast()
    }

    /// The completer again.
    ///
    /// # Safety
    /// The pointer is that of [`into_head`](Self::into_head) of a completer of this type, and no other is made of
    /// it.
    #[inline(always)]
    pub(super) unsafe fn from_head(head: NonNull<Head>) -> Self {
        Self { whole: head.cast() }
    }

    fn head(&self) -> &Head {
        // SAFETY: the allocation is freed only in `publish`, for which the completer is consumed, or by
        // a joiner that saw COMPLETE, which only `publish` sets.
        unsafe { &self.whole.as_ref().cell.head }
    }

    /// The future. It stays where it is until it is dropped.
    fn future(&mut self) -> Pin<&mut F> {
        // SAFETY: alive as for `head`. The contents are the completer's until the outcome is written, here reached
        // by `&mut`, and are the future until that consumes the completer. It lies in a box that is never
        // moved out of before the future was dropped there: so it is pinned.
        unsafe {
            let whole = self.whole.as_ref();
            Pin::new_unchecked(whole.contents(|at| &mut *(*at).future))
        }
    }

    /// Polls the future, once.
    ///
    /// A future that panics is dropped while its panic unwinds, as everywhere in Rust: what it holds may ask
    /// [`std::thread::panicking`]. If that drop panics in its turn, the second panic is reported and the first is
    /// the outcome. (**Alternative:** to let it end the process, as tokio does; but this drop is a call like any
    /// other, and its panic needs no more than a `catch_unwind` of its own.)
    #[inline(always)]
    pub(super) fn poll(mut self, cx: &mut Context<'_>) -> Polled<F> {
        let whole = self.whole;
        let polled = catch_unwind(AssertUnwindSafe(|| {
            let dropped_if_it_panics = DropsFuture { whole };
            let polled = self.future().poll(cx);
            mem::forget(dropped_if_it_panics);
            polled
        }));
        match polled {
            Ok(Poll::Pending) => Polled::Pending(self),
            Ok(Poll::Ready(output)) => Polled::Ready(self, output),
            Err(payload) => {
                mem::forget(self);
                Polled::Panicked(Emptied { whole }, payload)
            }
        }
    }

    /// Drops the future where it lies, and says whether that panicked. Nothing that unwinds may come
    /// between this and `publish`: the handle would never be told.
    #[inline(always)]
    fn empty(self) -> (Emptied<F>, Caught<()>) {
        let whole = self.into_whole();
        // SAFETY: alive as for `head`; the completer was consumed, so this is the future's last use.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { drop_future(whole) }));
        (Emptied { whole }, dropped)
    }

    #[inline(always)]
    fn into_whole(self) -> NonNull<Whole<F>> {
        ManuallyDrop::new(self).whole
    }
}

/// What came of a poll.
pub(super) enum Polled<F: Future> {
    Pending(Completer<F>),
    Ready(Completer<F>, F::Output),
    /// The future was dropped as its panic unwound.
    Panicked(Emptied<F>, Box<dyn Any + Send>),
}

/// Drops the future if its poll panics.
struct DropsFuture<F: Future> {
    whole: NonNull<Whole<F>>,
}

impl<F: Future> Drop for DropsFuture<F> {
    #[allow(unsafe_code)]
    #[cold]
    fn drop(&mut self) {
        let whole = self.whole;
        // SAFETY: inside `Completer::poll`, which has the completer, and gives it up when this was called.
        user_code::call("a future's drop, after a panic of its poll,", || unsafe {
            drop_future(whole)
        });
    }
}

/// # Safety
/// The caller has the completer and does not use the future after this.
#[allow(unsafe_code)]
#[inline(always)]
unsafe fn drop_future<F: Future>(whole: NonNull<Whole<F>>) {
    // SAFETY: by the caller's promise; alive as for `Completer::head`.
    unsafe { whole.as_ref().contents(|at| ManuallyDrop::drop(&mut (*at).future)) }
}

impl<F: Future> Completer<F> {
    /// Ends the task: for its handle to see, or to be reported if none will. The handle must not
    /// resolve before the future is gone. If its drop panics, that is the outcome.
    // Out of line, so that a poll that does not end its task is the shorter for it.
    #[inline(never)]
    // ANCHOR: end
    pub(crate) fn complete(self, result: Outcome<F::Output>, origin: impl FnOnce() -> Origin) {
        let (emptied, dropped) = self.empty();
        let outcome = match dropped {
            Ok(()) => result,
            Err(payload) => {
                discard(result);
                Err(Failure::Panicked(payload))
            }
        };
        emptied.complete(outcome, origin);
    }
    // END: end

    /// Tells the handle by which key to wake the task. Before the handle is shared.
    #[cfg(all(test, loom))]
    pub(crate) fn set_key(&self, key: u64) {
        self.head().set_key(key);
    }

    /// The same, when the handle may be at work on another thread.
    #[cfg(all(test, loom))]
    pub(crate) fn publish_key(&self, key: u64) {
        self.head().publish_key(key);
    }

    /// Whether cancellation was asked for.
    #[inline]
    pub(crate) fn is_cancelled(&self) -> bool {
        self.head().is_cancelled()
    }
}

impl<F: Future> Drop for Completer<F> {
    /// A task that is dropped without having been run counts as cancelled.
    fn drop(&mut self) {
        let (emptied, dropped) = Self { whole: self.whole }.empty();
        if let Err(payload) = dropped {
            user_code::panicked("a future's drop", payload);
        }
        drop(emptied.publish(Err(Failure::Cancelled)));
    }
}

#[allow(unsafe_code)]
impl<F: Future> Emptied<F> {
    /// Leaves the outcome for the handle to see, or reports it if none will.
    #[inline]
    pub(super) fn complete(self, outcome: Outcome<F::Output>, origin: impl FnOnce() -> Origin) {
        self.publish(outcome).report_or_drop(origin);
    }

    /// Leaves the outcome for the joiner. An outcome that no handle will ever see is handed back, with
    /// the reporter a joiner left behind.
    #[inline(always)]
    fn publish(self, outcome: Outcome<F::Output>) -> Unobserved<F::Output> {
        let pointer = ManuallyDrop::new(self).whole;
        // SAFETY: see `Completer::head`. Not used after the state allows the joiner to free it.
        let whole = unsafe { pointer.as_ref() };
        let cell = &whole.cell;
        // Most tasks that nobody awaits were detached long before their end, and most that are awaited
        // find their joiner waiting.
        let mut state = cell.head.state.load(Ordering::Acquire);
        if state == DETACHED {
            // SAFETY: the joiner left with DETACHED; the cell is ours alone. The future is gone,
            // and the interest is moved out once.
            let interest = unsafe {
                let interest = cell.interest.with_mut(|at| at.read());
                free::<F>(pointer.cast());
                interest
            };
            return Unobserved::Yes(outcome, interest);
        }
        let outcome = ManuallyDrop::new(outcome);
        // SAFETY: until COMPLETE the contents are the completer's, and the future is gone. (Written as what it is: a
        // `Contents` of it would be as large as the future, and on the stack before it is here.)
        whole.contents(|at| unsafe { (&raw mut (*at).outcome).write(outcome) });
        if state == EMPTY {
            let step = if seeded("join_relaxed_complete") {
                let (relaxed, acquire) = (Ordering::Relaxed, Ordering::Acquire);
                cell.head.state.compare_exchange(EMPTY, COMPLETE, relaxed, acquire)
            } else {
                exchange(&cell.head.state, EMPTY, COMPLETE, Ordering::Acquire)
            };
            match step {
                Ok(_) => return Unobserved::No,
                Err(other) => state = other,
            }
        }
        // SAFETY: the outcome is written, and the state is not COMPLETE yet.
        unsafe { complete_late(pointer.cast(), state) }
    }
}

/// Completes a cell whose joiner waits, or has just left. `state` is what was last seen of it: each step
/// finds out whether it still holds.
///
/// # Safety
/// The caller is the completer, wrote the outcome, and has not set COMPLETE. `state` was read with
/// Acquire. The caller does not use the cell after this.
#[allow(unsafe_code)]
unsafe fn complete_late<T>(pointer: NonNull<Cell<T>>, mut state: u8) -> Unobserved<T> {
    // SAFETY: by the caller's promise the joiner cannot have freed it. Not used after the state
    // allows it to.
    let Cell { head: Head { state: at, .. }, interest } = unsafe { pointer.as_ref() };
    let unobserved = || {
        // SAFETY: called after the joiner left with DETACHED; the cell is ours alone, with its outcome.
        let (outcome, interest) = unsafe { take_apart(pointer) };
        Unobserved::Yes(outcome, interest)
    };
    loop {
        state = match state {
            WAITING if seeded("join_takes_the_waker_unlocked") => {
                at.store(COMPLETE, Ordering::Release);
                break;
            }
            WAITING => match exchange(at, WAITING, LOCKED, Ordering::Acquire) {
                Ok(_) => break,
                Err(other) => other,
            },
            EMPTY => match exchange(at, EMPTY, COMPLETE, Ordering::Acquire) {
                Ok(_) => return Unobserved::No,
                Err(other) => other,
            },
            _detached => return unobserved(),
        };
    }
    // SAFETY: in LOCKED the interest is the completer's.
    let interest =
        interest.with_mut(|slot| unsafe { mem::replace(&mut *slot, Interest::None(None)) });
    let unobserved = match at.swap(COMPLETE, Ordering::AcqRel) {
        DETACHED => unobserved(),
        _ => Unobserved::No,
    };
    // The waker is user code: it is called when we are done with the cell.
    if let Interest::Waker(waker) = interest {
        user_code::wake(waker);
    }
    unobserved
}

// ---- The handle's side ----

/// The handle's side of a cell: waits for the outcome, takes it, or detaches. `join.rs` makes the public handle of
/// it.
pub(crate) struct Joiner<T> {
    cell: NonNull<Cell<T>>,
}

#[allow(unsafe_code)]
// SAFETY: the outcome, the only thing of type `T`, is written by the completer and read by the joiner, or
// dropped by either; never by both at once. So moving a side moves or drops a `T` on another thread,
// which is what `T: Send` allows. The joiner frees the future's memory, but the future was dropped
// before that.
unsafe impl<T: Send> Send for Joiner<T> {}
#[allow(unsafe_code)]
// SAFETY: as above. No method of `&Joiner` touches the outcome.
unsafe impl<T: Send> Sync for Joiner<T> {}

#[allow(unsafe_code)]
impl<T> Joiner<T> {
    fn cell(&self) -> &Cell<T> {
        // SAFETY: the cell is freed by the joiner's last step, after which there is no joiner, or by a completer
        // that saw DETACHED, which only such a step sets.
        unsafe { self.cell.as_ref() }
    }

    /// Takes the outcome. Only once COMPLETE was seen, with Acquire.
    #[inline]
    fn into_outcome(self) -> Outcome<T> {
        debug_assert!(self.is_complete());
        let pointer = ManuallyDrop::new(self).cell;
        // SAFETY: in COMPLETE the joiner is alone with the cell, and this is its last step.
        let (outcome, _interest) = unsafe { take_apart(pointer) };
        outcome
    }

    /// Puts an interest into the cell, and the old one out.
    fn replace_interest(&mut self, interest: Interest<T>) -> Interest<T> {
        // SAFETY: called only in EMPTY or COMPLETE, where the interest is the joiner's.
        self.cell().interest.with_mut(|slot| unsafe { mem::replace(&mut *slot, interest) })
    }

    /// Leaves the task to itself. An outcome that is there, and that no handle will see now, is handed back.
    fn detach(&mut self, report: Option<Report<T>>) -> Unobserved<T> {
        let mut report = report;
        loop {
            let state = self.head().state.load(Ordering::Acquire);
            match state {
                COMPLETE => {
                    // SAFETY: in COMPLETE the joiner is alone with the cell, and this is its
                    // last step.
                    let (outcome, interest) = unsafe { take_apart(self.cell) };
                    let interest = match report {
                        Some(report) => Interest::None(Some(report)),
                        None => interest,
                    };
                    return Unobserved::Yes(outcome, interest);
                }
                WAITING => {
                    // The waker goes now, not when the task ends.
                    if self.to_empty() {
                        self.replace_interest(Interest::None(None)).discard();
                    }
                }
                EMPTY => {
                    if let Some(report) = report.take() {
                        self.replace_interest(Interest::None(Some(report))).discard();
                    }
                    if self.exchange(EMPTY, DETACHED) {
                        return Unobserved::No;
                    }
                }
                _locked => {
                    // The completer is taking the waker and will find us gone. (A reporter
                    // cannot be left any more; that a failure goes unreported in this one
                    // instant is avoided by waiting it out.)
                    if report.is_some() {
                        thread::yield_now();
                    } else if self.exchange(LOCKED, DETACHED) {
                        return Unobserved::No;
                    }
                }
            }
        }
    }
}

impl<T> Joiner<T> {
    fn head(&self) -> &Head {
        &self.cell().head
    }

    /// WAITING to EMPTY: takes the interest back. `false` if the completer was faster.
    fn to_empty(&self) -> bool {
        self.exchange(WAITING, EMPTY)
    }

    fn exchange(&self, from: u8, to: u8) -> bool {
        exchange(&self.head().state, from, to, Ordering::Relaxed).is_ok()
    }

    /// Tells by which key to wake the task. Before the task is in a run queue.
    pub(crate) fn set_key(&self, key: u64) {
        self.head().set_key(key);
    }

    /// Has `waker` woken when the outcome is there. Before the task is shared with anybody, so without a race.
    #[inline]
    pub(crate) fn watch_new(&mut self, waker: Waker) {
        self.replace_interest(Interest::Waker(waker)).discard();
        self.head().state.store(WAITING, Ordering::Relaxed);
    }

    /// Asks for cancellation. Gives the key to wake the task by, unless it was asked before, or the
    /// task has no key yet: then its first poll will see the bit.
    pub(crate) fn cancel(&self) -> Option<u64> {
        self.head().cancel()
    }

    /// Asks for cancellation, and gives the key to reach the task by; `None` if it has none yet.
    pub(super) fn request_cancel(&self) -> Option<u64> {
        self.head().request_cancel()
    }

    /// Whether the outcome is there.
    pub(crate) fn is_complete(&self) -> bool {
        // Acquire: what reads COMPLETE relies on the task being gone.
        let acquire =
            if seeded("join_looks_relaxed") { Ordering::Relaxed } else { Ordering::Acquire };
        self.head().state.load(acquire) == COMPLETE
    }

    /// The outcome; until there is one, the joiner again, and the waker of `cx` is woken when there is.
    #[inline]
    pub(crate) fn poll_outcome(mut self, cx: &mut Context<'_>) -> Result<Outcome<T>, Self> {
        let mut state = self.head().state.load(Ordering::Acquire);
        if state == WAITING && !self.to_empty() {
            state = self.head().state.load(Ordering::Acquire);
        }
        if state == LOCKED {
            // The completer is between taking the old waker and being done. It will not see a new
            // one, so come back.
            cx.waker().wake_by_ref();
            return Err(self);
        }
        if state != COMPLETE {
            // Cloning and dropping wakers is user code; nothing is held here but the interest.
            let (old, waits) = self.wait_with(cx.waker().clone());
            old.discard();
            if waits {
                return Err(self);
            }
        }
        Ok(self.into_outcome())
    }

    /// Has `waker` woken when the outcome is there, and gives the waker that waited before.
    ///
    /// # Errors
    /// The outcome is there. A waker that waited before and was not woken is to be woken by the caller.
    pub(super) fn watch(&mut self, waker: Waker) -> Result<Option<Waker>, Option<Waker>> {
        loop {
            match self.head().state.load(Ordering::Acquire) {
                COMPLETE => return Err(None),
                // The completer is about to be done, and wakes the old waker.
                LOCKED => thread::yield_now(),
                WAITING if !self.to_empty() => {}
                _empty => break,
            }
        }
        let (old, waits) = self.wait_with(waker);
        let old = match old {
            Interest::Waker(old) => Some(old),
            Interest::None(_) => None,
        };
        if waits { Ok(old) } else { Err(old) }
    }

    /// From EMPTY to WAITING, with this waker. Gives the old interest; and `false` if the outcome came meanwhile.
    #[inline]
    fn wait_with(&mut self, waker: Waker) -> (Interest<T>, bool) {
        let old = self.replace_interest(Interest::Waker(waker));
        if self.exchange(EMPTY, WAITING) {
            return (old, true);
        }
        // It completed meanwhile; the Acquire that the exchange lacks on failure:
        let state = self.head().state.load(Ordering::Acquire);
        debug_assert_eq!(state, COMPLETE);
        self.replace_interest(Interest::None(None)).discard();
        (old, false)
    }

    /// Lets the task go on alone. An outcome that is there, or comes, is reported by `report`; without one, only a
    /// panic is.
    #[inline]
    pub(crate) fn leave(self, report: Option<Report<T>>, origin: &Origin) {
        // A handle that is dropped at once, with its task still to run, is the common one.
        if report.is_none() && self.exchange(EMPTY, DETACHED) {
            mem::forget(self);
        } else {
            self.leave_late(report, origin);
        }
    }

    #[cold]
    #[inline(never)]
    fn leave_late(self, report: Option<Report<T>>, origin: &Origin) {
        ManuallyDrop::new(self).detach(report).report_or_drop(|| origin.clone());
    }
}

impl<T> Drop for Joiner<T> {
    /// For a joiner that is not told where its task comes from: it leaves in silence.
    #[cold]
    fn drop(&mut self) {
        drop(self.detach(None));
    }
}
