//! The join cell: where a task leaves its output and a handle finds it.
//!
//! Two parties share one allocation. The task's side, the completer (`spawned.rs`), writes the outcome
//! once. The handle's side, the joiner (`joiner.rs`), waits for it. Behind the cell, in the same allocation, lies
//! the task's future. The joiner never touches it, nor knows its type, and the completer drops it before
//! the outcome is told; so a handle is `Send` whenever the output is, also for a task that never leaves its
//! thread. Both variants of the runtime and the blocking pool use this cell.
//!
//! ```text
//! |<--------------- Whole: what the completer knows ---------------->|
//! |<------- Cell: what the joiner knows -------->|
//! |<--- Head: what is always known --->|
//! +------------------------------------+----------+-------------------+
//! | functions     address     state    | interest | place             |
//! +------------------------------------+----------+-------------------+
//! ```
//!
//! The *place* holds the future until that is dropped, and then the outcome: a task has one or the other. The
//! joiner knows the output's type, but not where it lies; a scheduler knows no type at all. What they lack they
//! ask of the *functions*, which know the future's type.
//!
//! The word `state` says who may touch what:
//!
// ANCHOR: states
//! | state    | the place        | interest slot    | who frees the cell     |
//! | -------- | ---------------- | ---------------- | ---------------------- |
//! | EMPTY    | completer        | joiner           | whoever leaves last    |
//! | WAITING  | completer        | nobody           | whoever leaves last    |
//! | LOCKED   | completer        | completer        | whoever leaves last    |
//! | COMPLETE | joiner           | joiner           | joiner                 |
//! | DETACHED | completer        | completer        | completer              |
// END: states
//!
//! ```text
//!      leave            poll              complete
//!   +--------- EMPTY <---------> WAITING ----------> LOCKED
//!   |            |           (it leaves by            |  \
//!   |            | complete   way of EMPTY)           |   \ leave
//!   v            v                                    v    v
//! DETACHED    COMPLETE                           COMPLETE  DETACHED
//! ```
//!
//! A completion with nobody waiting yet is one compare-and-exchange, after which the completer never
//! looks back; with somebody waiting it is two steps, and with the handle gone a load. Seen
//! `COMPLETE`, the joiner is alone with the cell. LOCKED exists so that the waker can be taken out
//! before the joiner may free what it lies in.
//!
//! Cancelling goes the other way, through a second word: the address of the task's waker, and a bit
//! that asks for cancellation. Both live in one word because the two sides race: whichever comes
//! second sees the other.
//!
//! The rivals are `Arc<Mutex<State>>`, no unsafe and twice the price of a spawn; and a cell apart from
//! the future, less unsafe and one allocation more (measured for spawn and join: 1,410 instructions
//! with two, 1,000 with one).

use std::{mem::MaybeUninit, ptr::NonNull};

use super::{
    outcome::{Interest, Outcome},
    visit::{End, Naming, Visit},
};
use crate::engine::base::primitives::{AtomicU8, AtomicU64, Ordering, UnsafeCell};

pub(super) const EMPTY: u8 = 0;
pub(super) const WAITING: u8 = 1;
pub(super) const LOCKED: u8 = 2;
pub(super) const COMPLETE: u8 = 3;
pub(super) const DETACHED: u8 = 4;

/// Set in `address` when somebody asked for cancellation. A waker's key never has it: slots count to
/// 2^31 only.
const CANCEL: u64 = 1 << 31;

/// What can be read of an allocation without knowing its types.
pub(super) struct Head {
    pub(super) functions: &'static Functions,
    /// The key of the task's waker (0 while it has none), and [`CANCEL`].
    address: AtomicU64,
    pub(super) state: AtomicU8,
}

/// What both sides know.
#[repr(C)]
pub(super) struct Cell<T> {
    // First, so that a pointer to the whole is one to this.
    pub(super) head: Head,
    pub(super) interest: UnsafeCell<Interest<T>>,
}

/// What knows all types of an allocation. `spawned.rs` makes one for each type of future.
pub(super) struct Functions {
    /// Polls the future. By the completer, which is used up unless the answer is `Pending`.
    pub(super) poll: unsafe fn(NonNull<Head>, &mut Visit<'_>) -> End,
    /// Drops the future, and completes. By the completer, which is used up. In silence, if nothing names the task.
    pub(super) cancel: unsafe fn(NonNull<Head>, Option<&Naming<'_>>),
    /// Moves the outcome to where the second pointer points, and frees the allocation. What else is in it
    /// was dropped, or moved out.
    pub(super) take: unsafe fn(NonNull<Head>, NonNull<()>),
    /// Bytes of the allocation.
    pub(super) size: usize,
}

impl Head {
    #[inline(always)]
    pub(super) fn new(functions: &'static Functions) -> Self {
        Self { functions, address: AtomicU64::new(0), state: AtomicU8::new(EMPTY) }
    }

    /// Tells by which key to wake the task. Before the handle is shared.
    #[inline]
    pub(super) fn set_address(&self, key: u64) {
        self.address.store(key, Ordering::Relaxed);
    }

    /// The same, when the handle may be at work on another thread.
    #[inline]
    pub(super) fn publish_address(&self, key: u64) {
        self.address.fetch_or(key, Ordering::AcqRel);
    }

    /// Asks for cancellation. The key there is, if this is the first to ask.
    pub(super) fn cancel(&self) -> Option<u64> {
        let before = self.address.fetch_or(CANCEL, Ordering::AcqRel);
        (before & CANCEL == 0 && before != 0).then_some(before)
    }

    /// Whether somebody asked for cancellation. One plain load: asked at each poll.
    #[inline]
    pub(super) fn is_cancelled(&self) -> bool {
        self.address.load(Ordering::Relaxed) & CANCEL != 0
    }
}

/// A step from one state to another. Else the state there is instead. (Not a method of the head: after this step
/// the other side may free it, and a function that is given `&Head` claims that it stays.)
#[inline(always)]
pub(super) fn exchange(state: &AtomicU8, from: u8, to: u8, failure: Ordering) -> Result<u8, u8> {
    state.compare_exchange(from, to, Ordering::AcqRel, failure)
}

/// Takes apart and frees the allocation of a cell with an outcome.
///
/// # Safety
/// The caller is alone with the cell, and does not use it after this. The outcome was written.
#[inline]
#[allow(unsafe_code)]
pub(super) unsafe fn take_apart<T>(cell: NonNull<Cell<T>>) -> (Outcome<T>, Interest<T>) {
    let mut outcome = MaybeUninit::uninit();
    // SAFETY: by the caller's promise; each part is moved out once. The functions' output is of this type,
    // for `spawned.rs` made them and the cell for the same future.
    unsafe {
        let interest = cell.as_ref().interest.with_mut(|at| at.read());
        let take = cell.as_ref().head.functions.take;
        take(cell.cast(), NonNull::from(&mut outcome).cast());
        (outcome.assume_init(), interest)
    }
}
