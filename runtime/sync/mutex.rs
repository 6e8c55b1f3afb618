//! The lock that may be held across an await: asyncio's `Lock`.
//!
//! A [`Mutex`] is a permit (`permits.rs`) and a value (`guarded.rs`), and adds no rule of its own.
//!
//! **Alternative:** `std::sync::Mutex`, wherever no await stands between locking and unlocking: it is smaller, and a
//! task that finds it locked loses less time than it would by giving way. Held across an await, it stops the whole
//! thread of what else wants it; and it may be unlocked by the task that this thread would have run next.

use std::{
    error::Error,
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    guarded::{Alone, Exclusive, HasValue, Mapped, Value},
    permits::{Acquiring, Closed, HasPermits, Held, Permits},
};
use crate::engine::{
    base::{error::debug_error, id::TaskId, location::WaitsFor, primitives::const_but_in_models},
    waiting::thread::wait_on_thread,
};

/// What keeps a plain thread from waiting where it must not.
const ADVICE: &str = "a `blocking_` call would stop the thread that runs tasks, and maybe the one \
                      that holds the lock: await the lock instead, or call it in `spawn_blocking`";

/// A value that one task at a time may use, also across an await.
///
/// Share it by reference, or in an [`Arc`]. It may be made in a `static`.
///
/// **Order.** First come, first served, by the time of the first poll: while something waits, neither
/// [`try_lock`](Self::try_lock) nor a new [`lock`](Self::lock) overtakes it. An unlock hands the lock to the first that
/// waits, so a task that unlocks and locks at once waits behind it.
///
/// **No poisoning.** A task that panics, or is cancelled, while it holds the guard unlocks as it is unwound or
/// dropped, and the next finds the value as it was left, maybe half changed. What must be all or nothing is prepared
/// beside it, and moved in with no await between.
///
/// **Not reentrant.** A task that locks what it holds waits for itself, for ever. So does one whose branches share a
/// lock when the branch that has it is polled no more, as after `select!` or [`timeout`](crate::time::timeout) by
/// reference.
///
/// **Deadlocks.** While checks are on (in builds with debug assertions, or with `WHIRLIGIG_DEBUG=1`), the lock knows
/// which task [holds](Self::holder) it, and [`dump`](crate::dump()) says of each task that waits for one who holds
/// it. Two tasks that lock two mutexes in opposite order are cured by one order for all, for instance that of an
/// account's number.
///
/// Where no await stands between locking and unlocking, `std::sync::Mutex` is the better one.
///
/// ```
/// use std::sync::Arc;
/// use whirligig::{spawn, sync::Mutex, task::yield_now};
///
/// whirligig::run(async {
///     let counter = Arc::new(Mutex::new(0));
///     let tasks: Vec<_> = (0..5)
///         .map(|_| {
///             let counter = counter.clone();
///             spawn(async move {
///                 for _ in 0..100 {
///                     let mut count = counter.lock().await;
///                     let seen = *count;
///                     yield_now().await; // other tasks run here, and wait
///                     *count = seen + 1;
///                 }
///             })
///         })
///         .collect();
///     for task in tasks {
///         task.await.unwrap();
///     }
///     assert_eq!(*counter.lock().await, 500);
/// });
/// ```
#[doc(alias("Lock", "StrictFIFOLock", "asyncio.Lock"))]
pub struct Mutex<T: ?Sized> {
    permits: Permits,
    value: Alone<T>,
}

impl<T: ?Sized> HasPermits for Mutex<T> {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T: ?Sized> HasValue for Mutex<T> {
    type Value = T;
    const ALL: u32 = 1;

    #[inline(always)]
    fn value(&self) -> &Value<T> {
        self.value.value()
    }
}

impl<T> Mutex<T> {
    const_but_in_models! {
        /// A mutex around `value`, unlocked.
        ///
        /// ```
        /// use whirligig::sync::Mutex;
        ///
        /// static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
        /// whirligig::run(async { LOG.lock().await.push("started".into()) });
        /// ```
        #[doc(alias = "const_new")]
        pub fn new(value: T) -> Self {
            Self { permits: Permits::new(1), value: Alone::new(value) }
        }
    }

    /// Takes the mutex apart.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Mutex::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Locks it, as soon as those that came before have had it. The guard unlocks when it is dropped.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has locked nothing, and what waits behind it moves up.
    /// Called anew, it waits at the end of the line.
    ///
    /// # Panics
    /// The future panics if polled after it was ready; so does every future of a lock.
    ///
    /// ```
    /// let mutex = whirligig::sync::Mutex::new(1);
    /// whirligig::run(async { *mutex.lock().await += 1 });
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    #[doc(alias = "acquire")]
    #[inline]
    #[track_caller]
    pub fn lock(&self) -> Lock<'_, T> {
        Lock(Acquiring::new(self, 1, WaitsFor::Lock, Location::caller()))
    }

    /// Locks it if it is unlocked, and nobody waits for it.
    ///
    /// # Errors
    /// [`TryLockError`] otherwise.
    ///
    /// ```
    /// let mutex = whirligig::sync::Mutex::new(());
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.try_lock().is_err());
    /// drop(guard);
    /// assert!(mutex.try_lock().is_ok());
    /// ```
    #[doc(alias = "acquire_nowait")]
    #[inline]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        let held = Held::try_acquire(self, 1).map_err(|_| TryLockError(()))?;
        Ok(MutexGuard(Exclusive::new(held)))
    }

    /// Locks it on a thread that runs no tasks, which waits in line as tasks do.
    ///
    /// # Panics
    /// If it would have to wait where tasks run: inside a task, or in anything else that an event loop or a worker
    /// calls.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use whirligig::sync::Mutex;
    ///
    /// let mutex = Arc::new(Mutex::new(0));
    /// let shared = mutex.clone();
    /// let thread = std::thread::spawn(move || *shared.blocking_lock() += 1);
    /// whirligig::run(async { *mutex.lock().await += 1 });
    /// thread.join().unwrap();
    /// assert_eq!(*mutex.blocking_lock(), 2);
    /// ```
    #[doc(alias = "lock_blocking")]
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        wait_on_thread(ADVICE, self.lock())
    }

    /// [`lock`](Self::lock), with a guard that borrows nothing: it keeps the [`Arc`].
    ///
    /// *Cancel safety*: as of [`lock`](Self::lock).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use whirligig::sync::Mutex;
    ///
    /// whirligig::run(async {
    ///     let mutex = Arc::new(Mutex::new(1));
    ///     let mut guard = mutex.clone().lock_owned().await;
    ///     whirligig::spawn(async move { *guard += 1 }).await.unwrap();
    ///     assert_eq!(*mutex.lock().await, 2);
    /// });
    /// ```
    #[doc(alias = "lock_arc")]
    #[inline]
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> LockOwned<T> {
        LockOwned(Acquiring::new(self, 1, WaitsFor::Lock, Location::caller()))
    }

    /// [`try_lock`](Self::try_lock), with a guard that keeps the [`Arc`].
    ///
    /// # Errors
    /// [`TryLockError`] if it is locked, or somebody waits for it.
    ///
    /// ```
    /// let mutex = std::sync::Arc::new(whirligig::sync::Mutex::new(1));
    /// let guard = mutex.clone().try_lock_owned().unwrap();
    /// assert!(mutex.try_lock_owned().is_err());
    /// assert_eq!(*guard, 1);
    /// ```
    #[doc(alias = "try_lock_arc")]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        let held = Held::try_acquire(self, 1).map_err(|_| TryLockError(()))?;
        Ok(OwnedMutexGuard(Exclusive::new(held)))
    }

    /// [`blocking_lock`](Self::blocking_lock), with a guard that keeps the [`Arc`].
    ///
    /// # Panics
    /// As [`blocking_lock`](Self::blocking_lock).
    ///
    /// ```
    /// let mutex = std::sync::Arc::new(whirligig::sync::Mutex::new(1));
    /// assert_eq!(*mutex.blocking_lock_owned(), 1);
    /// ```
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        wait_on_thread(ADVICE, self.lock_owned())
    }

    /// The value, of a mutex that is borrowed by nobody else.
    ///
    /// ```
    /// let mut mutex = whirligig::sync::Mutex::new(1);
    /// *mutex.get_mut() += 1;
    /// assert_eq!(mutex.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Whether it is locked now, or about to be handed to the first that waits.
    ///
    /// ```
    /// let mutex = whirligig::sync::Mutex::new(());
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(mutex.is_locked());
    /// drop(guard);
    /// assert!(!mutex.is_locked());
    /// ```
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.permits.free() == 0
    }

    /// The task that holds it, while checks are on (in builds with debug assertions, or with `WHIRLIGIG_DEBUG=1`).
    /// `None` if checks are off, or none does: it is unlocked, or held outside of any task.
    ///
    /// It is the task that locked, also if it has handed the guard on.
    ///
    /// ```
    /// use whirligig::{sync::Mutex, task};
    ///
    /// whirligig::run(async {
    ///     let mutex = Mutex::new(());
    ///     assert_eq!(mutex.holder(), None);
    ///     let _guard = mutex.lock().await;
    ///     if cfg!(debug_assertions) {
    ///         assert_eq!(mutex.holder(), Some(task::id()));
    ///     }
    /// });
    /// ```
    #[doc(alias = "owner")]
    pub fn holder(&self) -> Option<TaskId> {
        self.permits.holders().into_iter().flatten().next()
    }

    /// How many wait for it.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Mutex::new(()).waiters(), 0);
    /// ```
    #[doc(alias = "tasks_waiting")]
    pub fn waiters(&self) -> usize {
        self.permits.waiters()
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Shows the value if the mutex is unlocked, and otherwise what is known of its holder.
impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The guard is held while the value prints itself, as it must be.
        let guard = self.try_lock();
        let mut shown = f.debug_struct("Mutex");
        match &guard {
            Ok(guard) => shown.field("value", &&**guard),
            Err(_) => shown.field("value", &format_args!("<locked>")),
        };
        if guard.is_err() {
            shown.field("holder", &self.holder()).field("waiters", &self.waiters());
        }
        shown.finish()
    }
}

/// The future of [`Mutex::lock`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Lock<'a, T: ?Sized>(Acquiring<&'a Mutex<T>>);

impl<'a, T: ?Sized> Future for Lock<'a, T> {
    type Output = MutexGuard<'a, T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll(cx).map(|held| MutexGuard(Exclusive::new(never_closed(held))))
    }
}

/// The future of [`Mutex::lock_owned`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct LockOwned<T: ?Sized>(Acquiring<Arc<Mutex<T>>>);

impl<T: ?Sized> Future for LockOwned<T> {
    type Output = OwnedMutexGuard<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.get_mut().0.poll(cx).map(|held| OwnedMutexGuard(Exclusive::new(never_closed(held))))
    }
}

impl<T: ?Sized> fmt::Debug for Lock<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Lock", f)
    }
}

impl<T: ?Sized> fmt::Debug for LockOwned<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("LockOwned", f)
    }
}

/// What a lock's permits answer.
#[inline]
pub(super) fn never_closed<H>(held: Result<H, Closed>) -> H {
    held.unwrap_or_else(|Closed| unreachable!("a lock is never closed"))
}

/// The right to use the value of a [`Mutex`]. Dropped, it unlocks.
///
/// It may be held across an await, and handed to another task or thread.
#[must_use = "if it is not kept, the mutex is unlocked at once"]
pub struct MutexGuard<'a, T: ?Sized>(pub(super) Exclusive<&'a Mutex<T>>);

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// The mutex that this is of.
    pub fn mutex(guard: &Self) -> &'a Mutex<T> {
        guard.0.lock()
    }

    /// A guard of one part of the value, which keeps all of it locked.
    ///
    /// ```
    /// use whirligig::sync::{Mutex, MutexGuard};
    ///
    /// let pair = Mutex::new((1, "one"));
    /// let mut number = MutexGuard::map(pair.try_lock().unwrap(), |pair| &mut pair.0);
    /// *number += 1;
    /// assert!(pair.is_locked());
    /// drop(number);
    /// assert_eq!(pair.into_inner(), (2, "one"));
    /// ```
    pub fn map<U: ?Sized>(
        guard: Self,
        map: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U> {
        MappedMutexGuard(Mapped::new(guard.0, map))
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.get()
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// The right to use the value of a [`Mutex`] that it shares: the guard of [`Mutex::lock_owned`].
#[must_use = "if it is not kept, the mutex is unlocked at once"]
pub struct OwnedMutexGuard<T: ?Sized>(pub(super) Exclusive<Arc<Mutex<T>>>);

impl<T: ?Sized> OwnedMutexGuard<T> {
    /// The mutex that this is of.
    pub fn mutex(guard: &Self) -> &Arc<Mutex<T>> {
        guard.0.lock()
    }
}

impl<T: ?Sized> Deref for OwnedMutexGuard<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        self.0.get()
    }
}

impl<T: ?Sized> DerefMut for OwnedMutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// The right to use one part of the value of a [`Mutex`]: what [`MutexGuard::map`] gives.
#[must_use = "if it is not kept, the mutex is unlocked at once"]
pub struct MappedMutexGuard<'a, U: ?Sized>(Mapped<'a, U>);

impl<'a, U: ?Sized> MappedMutexGuard<'a, U> {
    /// A guard of a part of this part.
    pub fn map<V: ?Sized>(
        guard: Self,
        map: impl FnOnce(&mut U) -> &mut V,
    ) -> MappedMutexGuard<'a, V> {
        MappedMutexGuard(guard.0.map(map))
    }
}

impl<U: ?Sized> Deref for MappedMutexGuard<'_, U> {
    type Target = U;

    #[inline]
    fn deref(&self) -> &U {
        self.0.get()
    }
}

impl<U: ?Sized> DerefMut for MappedMutexGuard<'_, U> {
    #[inline]
    fn deref_mut(&mut self) -> &mut U {
        self.0.get_mut()
    }
}

/// A guard shows itself as the value.
macro_rules! shown_as_the_value {
    ($($guard:ty),+) => {
        $(
            impl<T: ?Sized + fmt::Debug> fmt::Debug for $guard {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    (**self).fmt(f)
                }
            }

            impl<T: ?Sized + fmt::Display> fmt::Display for $guard {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    (**self).fmt(f)
                }
            }
        )+
    };
}
pub(super) use shown_as_the_value;

shown_as_the_value!(MutexGuard<'_, T>, OwnedMutexGuard<T>, MappedMutexGuard<'_, T>);

/// The lock is held, or others wait for it. The error of `try_lock`, `try_read` and `try_write`.
///
/// ```
/// use whirligig::sync::Mutex;
///
/// let mutex = Mutex::new(());
/// let _guard = mutex.try_lock().unwrap();
/// let error = mutex.try_lock().unwrap_err();
/// assert_eq!(error.to_string(), "the lock is held, or others wait for it: await it, or try later");
/// ```
#[doc(alias = "WouldBlock")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TryLockError(pub(super) ());

impl fmt::Debug for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("TryLockError", self, f)
    }
}

impl fmt::Display for TryLockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lock is held, or others wait for it: await it, or try later")
    }
}

impl Error for TryLockError {}
