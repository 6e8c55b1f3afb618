//! The lock that several may hold for reading, or one for writing.
//!
//! An [`RwLock`] is as many permits (`permits.rs`) as there may be readers, and a value (`guarded.rs`). A reader
//! acquires one of them, a writer all. That they wait in one line, first come, first served, is what keeps readers that
//! come and go from starving a writer: the permits of those that go are kept for it.
//!
//! **Alternative:** to let readers in while others read, although a writer waits. More of them read at once, and where
//! there is always one, the writer never writes.

use std::{
    fmt,
    ops::{Deref, DerefMut},
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{
    guarded::{Exclusive, HasValue, Shared, Value},
    mutex::{TryLockError, never_closed, shown_as_the_value},
    permits::{Acquiring, HasPermits, Held, Permits},
};
use crate::engine::{
    base::{id::TaskId, location::WaitsFor, primitives::const_but_in_models},
    waiting::thread::wait_on_thread,
};

/// What keeps a plain thread from waiting where it must not.
const ADVICE: &str = "a `blocking_` call would stop the thread that runs tasks, and maybe the one \
                      that holds the lock: await the lock instead, or call it in `spawn_blocking`";

/// A value that several tasks at a time may read, or one write, also across an await.
///
/// Share it by reference, or in an [`Arc`]. It may be made in a `static`.
///
/// **Order.** First come, first served, by the time of the first poll. A reader that comes while a writer waits waits
/// behind it, so writers are not starved, and readers that come together read together. `try_read` and `try_write`
/// overtake nothing that waits.
///
/// **Not reentrant.** A task that holds the lock for writing and asks for it again waits for itself, for ever. So does
/// one that holds it for reading and reads once more, if a writer has come in between.
///
/// **No poisoning**, as of [`Mutex`](super::Mutex); and **deadlocks** are reported as there.
///
/// To turn what was written into what is read, with no writer in between: [`RwLockWriteGuard::downgrade`].
///
/// ```
/// use std::sync::Arc;
/// use whirligig::{spawn, sync::RwLock};
///
/// whirligig::run(async {
///     let table = Arc::new(RwLock::new(vec!["a"]));
///     let shared = table.clone();
///     let writer = spawn(async move { shared.write().await.push("b") });
///     let one = table.read().await;
///     assert_eq!(one[0], "a");
///     drop(one);
///     writer.await.unwrap();
///     assert_eq!(table.read().await.len(), 2);
/// });
/// ```
#[doc(alias = "aiorwlock")]
pub struct RwLock<T: ?Sized> {
    permits: Permits,
    value: Value<T>,
}

/// The permits of a lock: the most that may read at a time. Any more wait.
const ALL: u32 = u32::MAX >> 3;

impl<T: ?Sized> HasPermits for RwLock<T> {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl<T: ?Sized> HasValue for RwLock<T> {
    type Value = T;
    const ALL: u32 = ALL;

    #[inline(always)]
    fn value(&self) -> &Value<T> {
        &self.value
    }
}

impl<T> RwLock<T> {
    const_but_in_models! {
        /// A lock around `value`, held by nobody.
        ///
        /// ```
        /// use whirligig::sync::RwLock;
        ///
        /// static SETTINGS: RwLock<Option<String>> = RwLock::new(None);
        /// assert_eq!(*SETTINGS.blocking_read(), None);
        /// ```
        #[doc(alias = "const_new")]
        pub fn new(value: T) -> Self {
            Self { permits: Permits::new(ALL as usize), value: Value::new(value) }
        }
    }

    /// Takes the lock apart.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::RwLock::new(7).into_inner(), 7);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Locks it for reading, as soon as no writer has it and those that came before have had it.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has locked nothing, and what waits behind it moves up.
    /// Called anew, it waits at the end of the line.
    ///
    /// # Panics
    /// The future panics if polled after it was ready; so does every future of a lock.
    ///
    /// ```
    /// let lock = whirligig::sync::RwLock::new(1);
    /// whirligig::run(async {
    ///     let (one, other) = (lock.read().await, lock.read().await);
    ///     assert_eq!(*one + *other, 2);
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn read(&self) -> Read<'_, T> {
        Read(Acquiring::new(self, 1, WaitsFor::Lock, Location::caller()))
    }

    /// Locks it for writing, as soon as nobody has it and those that came before have had it.
    ///
    /// *Cancel safety*: as of [`read`](Self::read).
    ///
    /// ```
    /// let lock = whirligig::sync::RwLock::new(1);
    /// whirligig::run(async { *lock.write().await += 1 });
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    #[inline]
    #[track_caller]
    pub fn write(&self) -> Write<'_, T> {
        Write(Acquiring::new(self, ALL, WaitsFor::Lock, Location::caller()))
    }

    /// Locks it for reading if no writer has it, and nobody waits.
    ///
    /// # Errors
    /// [`TryLockError`] otherwise.
    ///
    /// ```
    /// let lock = whirligig::sync::RwLock::new(1);
    /// let one = lock.try_read().unwrap();
    /// assert!(lock.try_read().is_ok() && lock.try_write().is_err());
    /// drop(one);
    /// ```
    #[inline]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        let held = Held::try_acquire(self, 1).map_err(|_| TryLockError(()))?;
        Ok(RwLockReadGuard(Shared::new(held)))
    }

    /// Locks it for writing if nobody has it, and nobody waits.
    ///
    /// # Errors
    /// [`TryLockError`] otherwise.
    ///
    /// ```
    /// let lock = whirligig::sync::RwLock::new(1);
    /// let mut one = lock.try_write().unwrap();
    /// assert!(lock.try_read().is_err() && lock.try_write().is_err());
    /// *one += 1;
    /// ```
    #[inline]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        let held = Held::try_acquire(self, ALL).map_err(|_| TryLockError(()))?;
        Ok(RwLockWriteGuard(Exclusive::new(held)))
    }

    /// Locks it for reading on a thread that runs no tasks, which waits in line as tasks do.
    ///
    /// # Panics
    /// If it would have to wait where tasks run: inside a task, or in anything else that an event loop or a worker
    /// calls.
    ///
    /// ```
    /// let lock = whirligig::sync::RwLock::new(1);
    /// let sum = std::thread::scope(|threads| {
    ///     let readers = [(); 2].map(|()| threads.spawn(|| *lock.blocking_read()));
    ///     readers.map(|reader| reader.join().unwrap()).iter().sum::<i32>()
    /// });
    /// assert_eq!(sum, 2);
    /// ```
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        wait_on_thread(ADVICE, self.read())
    }

    /// Locks it for writing on a thread that runs no tasks, which waits in line as tasks do.
    ///
    /// # Panics
    /// As [`blocking_read`](Self::blocking_read).
    ///
    /// ```
    /// let lock = whirligig::sync::RwLock::new(1);
    /// *lock.blocking_write() += 1;
    /// assert_eq!(*lock.blocking_read(), 2);
    /// ```
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        wait_on_thread(ADVICE, self.write())
    }

    /// [`read`](Self::read), with a guard that borrows nothing: it keeps the [`Arc`].
    ///
    /// *Cancel safety*: as of [`read`](Self::read).
    ///
    /// ```
    /// let lock = std::sync::Arc::new(whirligig::sync::RwLock::new(1));
    /// whirligig::run(async {
    ///     let guard = lock.read_owned().await;
    ///     assert_eq!(whirligig::spawn(async move { *guard }).await.unwrap(), 1);
    /// });
    /// ```
    #[doc(alias = "read_arc")]
    #[inline]
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> ReadOwned<T> {
        ReadOwned(Acquiring::new(self, 1, WaitsFor::Lock, Location::caller()))
    }

    /// [`write`](Self::write), with a guard that borrows nothing: it keeps the [`Arc`].
    ///
    /// *Cancel safety*: as of [`read`](Self::read).
    ///
    /// ```
    /// let lock = std::sync::Arc::new(whirligig::sync::RwLock::new(1));
    /// whirligig::run(async {
    ///     let mut guard = lock.clone().write_owned().await;
    ///     whirligig::spawn(async move { *guard += 1 }).await.unwrap();
    ///     assert_eq!(*lock.read().await, 2);
    /// });
    /// ```
    #[doc(alias = "write_arc")]
    #[inline]
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> WriteOwned<T> {
        WriteOwned(Acquiring::new(self, ALL, WaitsFor::Lock, Location::caller()))
    }

    /// [`try_read`](Self::try_read), with a guard that keeps the [`Arc`].
    ///
    /// # Errors
    /// As of [`try_read`](Self::try_read).
    ///
    /// ```
    /// let lock = std::sync::Arc::new(whirligig::sync::RwLock::new(1));
    /// assert_eq!(*lock.try_read_owned().unwrap(), 1);
    /// ```
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        let held = Held::try_acquire(self, 1).map_err(|_| TryLockError(()))?;
        Ok(OwnedRwLockReadGuard(Shared::new(held)))
    }

    /// [`try_write`](Self::try_write), with a guard that keeps the [`Arc`].
    ///
    /// # Errors
    /// As of [`try_write`](Self::try_write).
    ///
    /// ```
    /// let lock = std::sync::Arc::new(whirligig::sync::RwLock::new(1));
    /// *lock.clone().try_write_owned().unwrap() += 1;
    /// assert_eq!(*lock.try_read().unwrap(), 2);
    /// ```
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        let held = Held::try_acquire(self, ALL).map_err(|_| TryLockError(()))?;
        Ok(OwnedRwLockWriteGuard(Exclusive::new(held)))
    }

    /// The value, of a lock that is borrowed by nobody else.
    ///
    /// ```
    /// let mut lock = whirligig::sync::RwLock::new(1);
    /// *lock.get_mut() += 1;
    /// assert_eq!(lock.into_inner(), 2);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// The tasks that hold it, for reading or writing, the earliest first; while checks are on (in builds with debug
    /// assertions, or with `WHIRLIGIG_DEBUG=1`). Empty if they are off. What holds it outside of any task is not told.
    ///
    /// ```
    /// use whirligig::{sync::RwLock, task};
    ///
    /// whirligig::run(async {
    ///     let lock = RwLock::new(());
    ///     let _guard = lock.read().await;
    ///     if cfg!(debug_assertions) {
    ///         assert_eq!(lock.holders(), [task::id()]);
    ///     }
    /// });
    /// ```
    pub fn holders(&self) -> Vec<TaskId> {
        self.permits.holders().into_iter().flatten().collect()
    }

    /// How many wait for it.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::RwLock::new(()).waiters(), 0);
    /// ```
    pub fn waiters(&self) -> usize {
        self.permits.waiters()
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Shows the value if it can be read now, and what is known of the lock's holders.
impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (holders, waiters) = (self.holders(), self.waiters());
        let mut shown = f.debug_struct("RwLock");
        match &self.try_read() {
            Ok(guard) => shown.field("value", &&**guard),
            Err(_) => shown.field("value", &format_args!("<locked>")),
        };
        shown.field("holders", &holders).field("waiters", &waiters).finish()
    }
}

/// The futures, each with the lock it has, the guard it gives, and what that is made of.
macro_rules! futures {
    ($(#[$doc:meta] $future:ident<$($a:lifetime)?> of $lock:ty => $guard:ident<$($b:lifetime)?> $right:ident;)+) => {
        $(
            #[$doc]
            #[must_use = "a future does nothing unless it is awaited"]
            pub struct $future<$($a,)? T: ?Sized>(Acquiring<$lock>);

            impl<$($a,)? T: ?Sized> Future for $future<$($a,)? T> {
                type Output = $guard<$($b,)? T>;

                #[inline]
                fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                    let polled = self.get_mut().0.poll(cx);
                    polled.map(|held| $guard($right::new(never_closed(held))))
                }
            }

            impl<$($a,)? T: ?Sized> fmt::Debug for $future<$($a,)? T> {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.debug(stringify!($future), f)
                }
            }
        )+
    };
}

futures! {
    /// The future of [`RwLock::read`].
    Read<'a> of &'a RwLock<T> => RwLockReadGuard<'a> Shared;
    /// The future of [`RwLock::write`].
    Write<'a> of &'a RwLock<T> => RwLockWriteGuard<'a> Exclusive;
    /// The future of [`RwLock::read_owned`].
    ReadOwned<> of Arc<RwLock<T>> => OwnedRwLockReadGuard<> Shared;
    /// The future of [`RwLock::write_owned`].
    WriteOwned<> of Arc<RwLock<T>> => OwnedRwLockWriteGuard<> Exclusive;
}

/// The right to read the value of an [`RwLock`]. Dropped, it unlocks.
#[must_use = "if it is not kept, the lock is unlocked at once"]
pub struct RwLockReadGuard<'a, T: ?Sized>(Shared<&'a RwLock<T>>);

/// The right to write the value of an [`RwLock`]. Dropped, it unlocks.
#[must_use = "if it is not kept, the lock is unlocked at once"]
pub struct RwLockWriteGuard<'a, T: ?Sized>(Exclusive<&'a RwLock<T>>);

/// The right to read the value of an [`RwLock`] that it shares: the guard of [`RwLock::read_owned`].
#[must_use = "if it is not kept, the lock is unlocked at once"]
pub struct OwnedRwLockReadGuard<T: ?Sized>(Shared<Arc<RwLock<T>>>);

/// The right to write the value of an [`RwLock`] that it shares: the guard of [`RwLock::write_owned`].
#[must_use = "if it is not kept, the lock is unlocked at once"]
pub struct OwnedRwLockWriteGuard<T: ?Sized>(Exclusive<Arc<RwLock<T>>>);

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Goes on reading what was written: no writer comes in between, and readers that wait at the head of the line
    /// come in.
    ///
    /// ```
    /// use whirligig::sync::{RwLock, RwLockWriteGuard};
    ///
    /// let lock = RwLock::new(1);
    /// let mut writing = lock.try_write().unwrap();
    /// *writing += 1;
    /// let reading = RwLockWriteGuard::downgrade(writing);
    /// assert_eq!((*reading, *lock.try_read().unwrap()), (2, 2));
    /// assert!(lock.try_write().is_err());
    /// ```
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard(guard.0.downgrade())
    }

    /// The lock that this is of.
    pub fn rwlock(guard: &Self) -> &'a RwLock<T> {
        guard.0.lock()
    }
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// The lock that this is of.
    pub fn rwlock(guard: &Self) -> &'a RwLock<T> {
        guard.0.lock()
    }
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// Goes on reading what was written. See [`RwLockWriteGuard::downgrade`].
    pub fn downgrade(guard: Self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard(guard.0.downgrade())
    }

    /// The lock that this is of.
    pub fn rwlock(guard: &Self) -> &Arc<RwLock<T>> {
        guard.0.lock()
    }
}

impl<T: ?Sized> OwnedRwLockReadGuard<T> {
    /// The lock that this is of.
    pub fn rwlock(guard: &Self) -> &Arc<RwLock<T>> {
        guard.0.lock()
    }
}

/// Guards lead to the value.
macro_rules! lead_to_the_value {
    ($($guard:ty),+) => {
        $(
            impl<T: ?Sized> Deref for $guard {
                type Target = T;

                #[inline]
                fn deref(&self) -> &T {
                    self.0.get()
                }
            }
        )+
    };
}

lead_to_the_value!(
    RwLockReadGuard<'_, T>,
    RwLockWriteGuard<'_, T>,
    OwnedRwLockReadGuard<T>,
    OwnedRwLockWriteGuard<T>
);

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

impl<T: ?Sized> DerefMut for OwnedRwLockWriteGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

shown_as_the_value!(
    RwLockReadGuard<'_, T>,
    RwLockWriteGuard<'_, T>,
    OwnedRwLockReadGuard<T>,
    OwnedRwLockWriteGuard<T>
);
