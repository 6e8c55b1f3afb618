//! A cell that is filled once, by work that may wait.
//!
//! The value is in std's `OnceLock`, which is read without a lock. Beside it is the *turn*: the right to fill the
//! cell, which one task has at a time, with a list of those that wait for the value or for the turn. Who has the turn
//! runs its initialiser. If that ends well, all who wait have the value. If it fails, panics or is dropped, the turn
//! passes to the first that waits, which runs its own.
//!
//! What must hold: while somebody waits, somebody has the turn; a turn that was passed to a future which is dropped
//! before it is polled goes on to the next; a value is put in by the one that has the turn, and while nobody
//! else can have it.
//!
//! **Alternative:** the crate `async-once-cell` or `async-lock`'s `OnceCell`, which are well kept: their waits are
//! seen in no dump, and whom a failed initialiser lets try is not the one that waited longest.

use std::{
    error::Error,
    fmt,
    future::Future,
    mem::ManuallyDrop,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{error::debug_error, location::WaitsFor, this_poll},
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
        wait_list::{WaitList, discard},
    },
};

/// A cell that is filled once, and by one at a time: of all the tasks that ask for the value while it is not there,
/// one makes it, and the others wait.
///
/// It can be a `static`:
///
/// ```
/// use whirligig::sync::OnceCell;
///
/// static NAME: OnceCell<String> = OnceCell::new();
///
/// async fn name() -> &'static str {
///     NAME.get_or_init(|| async {
///         whirligig::task::yield_now().await; // ask a server, say
///         "Alice".to_owned()
///     })
///     .await
/// }
///
/// whirligig::run(async { assert_eq!((name().await, name().await), ("Alice", "Alice")) });
/// ```
#[doc(alias("cached_property", "lru_cache"))]
pub struct OnceCell<T> {
    value: OnceLock<T>,
    // std's, and not that of the models: a `static` is made at compile time.
    turn: Mutex<Turn>,
}

/// Who may fill the cell.
struct Turn {
    /// Somebody has the turn, or is to be polled with it.
    taken: bool,
    waiting: WaitList,
}

// What is behind the lock is whole at each step, and the value is put in whole.
impl<T: UnwindSafe> UnwindSafe for OnceCell<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceCell<T> {}

impl<T> OnceCell<T> {
    /// An empty cell.
    ///
    /// ```
    /// let cell = whirligig::sync::OnceCell::<u8>::new();
    /// assert_eq!(cell.get(), None);
    /// ```
    #[doc(alias = "const_new")]
    pub const fn new() -> Self {
        Self {
            value: OnceLock::new(),
            turn: Mutex::new(Turn { taken: false, waiting: WaitList::new() }),
        }
    }

    /// The value, if it is there.
    ///
    /// ```
    /// let cell = whirligig::sync::OnceCell::from(1);
    /// assert_eq!(cell.get(), Some(&1));
    /// ```
    #[inline]
    pub fn get(&self) -> Option<&T> {
        self.value.get()
    }

    /// The value, if it is there, to be changed in place.
    ///
    /// ```
    /// let mut cell = whirligig::sync::OnceCell::from(1);
    /// *cell.get_mut().unwrap() += 1;
    /// assert_eq!(cell.get(), Some(&2));
    /// ```
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Whether the value is there.
    ///
    /// ```
    /// assert!(whirligig::sync::OnceCell::from(1).is_initialized());
    /// ```
    #[doc(alias("initialized", "done"))]
    pub fn is_initialized(&self) -> bool {
        self.get().is_some()
    }

    /// Fills the cell. Never waits.
    ///
    /// # Errors
    /// [`SetError`] with the value, if the cell is filled, or a task is filling it.
    ///
    /// ```
    /// let cell = whirligig::sync::OnceCell::new();
    /// assert_eq!(cell.set(1), Ok(()));
    /// assert_eq!(cell.set(2).unwrap_err().into_inner(), 2);
    /// ```
    pub fn set(&self, value: T) -> Result<(), SetError<T>> {
        let mut turn = self.turn();
        if self.value.get().is_some() {
            return Err(SetError::Initialized(value));
        }
        if turn.taken {
            return Err(SetError::Initializing(value));
        }
        turn.taken = true;
        drop(turn);
        HeldTurn { cell: self }.fill(value);
        Ok(())
    }

    /// The value. If it is not there, `init` makes it; or, if another task is about to, this waits for that one, and
    /// calls `init` only if it does not succeed.
    ///
    /// *Cancel safety*: dropped while `init` runs, that is dropped, and the next that waits runs its own. Dropped
    /// while it waits, it has done nothing.
    ///
    /// An initialiser that asks for the same cell waits for itself.
    ///
    /// ```
    /// let cell = whirligig::sync::OnceCell::new();
    /// whirligig::run(async { assert_eq!(cell.get_or_init(async || 7).await, &7) });
    /// ```
    #[track_caller]
    pub fn get_or_init<F, Fut>(&self, init: F) -> impl Future<Output = &T>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = T>,
    {
        let value_or_turn = self.value_or_turn(Location::caller());
        async move {
            match value_or_turn.await {
                Ok(value) => value,
                Err(turn) => turn.fill(init().await),
            }
        }
    }

    /// [`get_or_init`](Self::get_or_init) with an initialiser that may fail: then the next that waits runs its own.
    ///
    /// *Cancel safety*: as [`get_or_init`](Self::get_or_init).
    ///
    /// # Errors
    /// That of `init`. Those of other tasks' initialisers are theirs.
    ///
    /// ```
    /// let cell = whirligig::sync::OnceCell::new();
    /// whirligig::run(async {
    ///     assert!(cell.get_or_try_init(async || "x".parse::<u8>()).await.is_err());
    ///     assert_eq!(cell.get_or_try_init(async || "7".parse::<u8>()).await, Ok(&7));
    /// });
    /// ```
    #[track_caller]
    pub fn get_or_try_init<E, F, Fut>(&self, init: F) -> impl Future<Output = Result<&T, E>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        let value_or_turn = self.value_or_turn(Location::caller());
        async move {
            match value_or_turn.await {
                Ok(value) => Ok(value),
                Err(turn) => Ok(turn.fill(init().await?)),
            }
        }
    }

    /// Takes the value out.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::OnceCell::from(1).into_inner(), Some(1));
    /// ```
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }
}

impl<T> OnceCell<T> {
    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn value_or_turn(&self, location: &'static Location<'static>) -> ValueOrTurn<'_, T> {
        ValueOrTurn { cell: self, stage: Stage::New, location }
    }

    /// A step of one that found no value.
    fn step<'a>(
        &'a self,
        stage: &mut Stage,
        offer: &mut Offer<'_>,
    ) -> Step<Result<&'a T, HeldTurn<'a, T>>> {
        let mut turn = self.turn();
        let value = self.value.get();
        let may_go = match *stage {
            Stage::New => value.is_some() || !turn.taken,
            Stage::Waiting(key) => turn.waiting.is_woken(key),
            Stage::Done => false,
        };
        if !may_go {
            return wait(&mut turn.waiting, stage, offer);
        }
        *stage = Stage::Done;
        // Of one that was woken without a value the turn is taken already: it was passed on.
        turn.taken |= value.is_none();
        Step::Ready(value.ok_or_else(|| HeldTurn { cell: self }), Wakes::Nothing)
    }

    /// Passes the turn to the first that waits.
    fn pass_on(&self) {
        let mut turn = self.turn();
        let next = turn.waiting.pop_front();
        turn.taken = next.is_some();
        drop(turn);
        next.map_or(Wakes::Nothing, Wakes::One).wake();
    }
}

impl<T> Default for OnceCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceCell<T> {
    fn from(value: T) -> Self {
        Self { value: OnceLock::from(value), ..Self::new() }
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceCell<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.turn().waiting.len();
        f.debug_struct("OnceCell").field("value", &self.get()).field("waiting", &waiting).finish()
    }
}

/// The turn of an empty cell. Dropped, it goes to the next.
struct HeldTurn<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> HeldTurn<'a, T> {
    /// Fills the cell, and wakes all that wait.
    fn fill(self, value: T) -> &'a T {
        let Self { cell } = *ManuallyDrop::new(self);
        // Nobody else puts a value in meanwhile: the turn is ours.
        let value = cell.value.get_or_init(|| value);
        let mut turn = cell.turn();
        turn.taken = false;
        let wakes = Wakes::all([&mut turn.waiting]);
        drop(turn);
        wakes.wake();
        value
    }
}

impl<T> Drop for HeldTurn<'_, T> {
    fn drop(&mut self) {
        self.cell.pass_on();
    }
}

/// Waits for the value, or for the turn.
struct ValueOrTurn<'a, T> {
    cell: &'a OnceCell<T>,
    stage: Stage,
    location: &'static Location<'static>,
}

impl<'a, T> Future for ValueOrTurn<'a, T> {
    type Output = Result<&'a T, HeldTurn<'a, T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { cell, stage, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        if let Stage::New = stage
            && let Some(value) = cell.value.get()
        {
            *stage = Stage::Done;
            this_poll::charge();
            return Poll::Ready(Ok(value));
        }
        poll_wait(
            cx,
            location,
            || this_poll::note(WaitsFor::Value, location),
            |offer| cell.step(stage, offer),
        )
    }
}

impl<T> Drop for ValueOrTurn<'_, T> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = self.cell.turn().waiting.remove(key);
            // Woken before there was a value, it had the turn.
            if waiter.is_none() && self.cell.value.get().is_none() {
                self.cell.pass_on();
            }
            discard(waiter);
        }
    }
}

/// Why [`OnceCell::set`] did not take the value, which is inside.
///
/// ```
/// use whirligig::sync::{OnceCell, SetError};
///
/// assert_eq!(OnceCell::from(1).set(2), Err(SetError::Initialized(2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SetError<T> {
    /// The cell is filled.
    Initialized(T),
    /// A task is filling it.
    Initializing(T),
}

impl<T> SetError<T> {
    /// The value that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            Self::Initialized(value) | Self::Initializing(value) => value,
        }
    }
}

impl<T> fmt::Debug for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Initialized(_) => "Initialized",
            Self::Initializing(_) => "Initializing",
        };
        debug_error(variant, self, f)
    }
}

impl<T> fmt::Display for SetError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Initialized(_) => "the cell is filled already",
            Self::Initializing(_) => "a task is filling the cell: await `get_or_init` instead",
        })
    }
}

impl<T> Error for SetError<T> {}
