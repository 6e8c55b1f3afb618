//! Permits that tasks acquire and give back: asyncio's `Semaphore`, trio's `CapacityLimiter`.
//!
//! A [`Semaphore`] is the core of the locks (`permits.rs`), to which it adds that it can be closed and that permits can
//! be added and taken away.
//!
//! **Alternative:** permits without a guard, released by a call, as in Python. A release too many is then a mistake
//! that shows late, and one forgotten at an early return, or at a cancellation, shows never.

use std::{
    error::Error,
    fmt,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::permits::{self, Acquiring, HasPermits, Held, Permits, Refusal};
use crate::engine::{
    base::{
        error::debug_error,
        id::TaskId,
        location::WaitsFor,
        primitives::{
            const_but_in_models,
            counter::{AtomicUsize, Relaxed},
        },
    },
    waiting::thread::wait_on_thread,
};

/// What keeps a plain thread from waiting where it must not.
const ADVICE: &str = "a `blocking_` call would stop the thread that runs tasks, and maybe the one \
                      that holds the permits: await the permit instead, or call it in `spawn_blocking`";

/// A number of permits, of which tasks acquire some and give them back.
///
/// It bounds how many do something at a time: downloads, open files, requests to one host. Share it by reference, or
/// in an [`Arc`]. It may be made in a `static`.
///
/// **Order.** First come, first served, by the time of the first poll. One that asks for many permits is not passed
/// over by others that ask for less: permits are kept for it until they are enough. [`try_acquire`](Self::try_acquire)
/// fails while something waits, even if permits are free.
///
/// **Nothing lost.** A permit that is dropped is given back, also by a task that panics or is cancelled. A future that
/// is dropped while it waits leaves the line, and what it was granted passes to the next.
///
/// **No release too many.** asyncio's `BoundedSemaphore`, which checks that no more is released than was acquired, has
/// no counterpart because it needs none: only a permit releases, and once. [`add_permits`](Self::add_permits) is
/// for raising the number on purpose.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use whirligig::{spawn, sync::Semaphore, time::sleep};
///
/// whirligig::run(async {
///     let at_once = Arc::new(Semaphore::new(3));
///     let downloads: Vec<_> = (0..10)
///         .map(|_| {
///             let at_once = at_once.clone();
///             spawn(async move {
///                 let _permit = at_once.acquire().await.unwrap();
///                 sleep(Duration::from_millis(1)).await; // at most three are here
///             })
///         })
///         .collect();
///     for download in downloads {
///         download.await.unwrap();
///     }
///     assert_eq!(at_once.available_permits(), 3);
/// });
/// ```
#[doc(alias("BoundedSemaphore", "CapacityLimiter", "asyncio.Semaphore"))]
pub struct Semaphore {
    permits: Permits,
    /// Permits that there are, free and acquired: never more than [`Semaphore::MAX_PERMITS`]. So no release can
    /// make them more.
    total: AtomicUsize,
}

impl HasPermits for Semaphore {
    #[inline(always)]
    fn permits(&self) -> &Permits {
        &self.permits
    }
}

impl Semaphore {
    /// The most permits that a semaphore can have.
    pub const MAX_PERMITS: usize = permits::MAX_PERMITS;

    const_but_in_models! {
        /// A semaphore with this many permits, all free.
        ///
        /// # Panics
        /// If they are more than [`MAX_PERMITS`](Self::MAX_PERMITS).
        ///
        /// ```
        /// use whirligig::sync::Semaphore;
        ///
        /// static OPEN_FILES: Semaphore = Semaphore::new(100);
        /// assert_eq!(OPEN_FILES.available_permits(), 100);
        /// ```
        #[doc(alias = "const_new")]
        #[track_caller]
        pub fn new(permits: usize) -> Self {
            assert!(permits <= Self::MAX_PERMITS, "a semaphore has at most `Semaphore::MAX_PERMITS` permits");
            Self { permits: Permits::new(permits), total: AtomicUsize::new(permits) }
        }
    }

    /// Acquires a permit, as soon as one is free and those that came before have had theirs.
    ///
    /// # Errors
    /// [`AcquireError`] if the semaphore is closed, or is closed while this waits.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has acquired nothing, and what waits behind it moves up.
    /// Called anew, it waits at the end of the line.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(1);
    /// whirligig::run(async {
    ///     let permit = semaphore.acquire().await.unwrap();
    ///     assert_eq!(semaphore.available_permits(), 0);
    ///     drop(permit);
    ///     assert_eq!(semaphore.available_permits(), 1);
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire(&self) -> Acquire<'_> {
        self.acquire_many(1)
    }

    /// Acquires so many permits together. Asked for more than there are, it waits until as many are
    /// [added](Self::add_permits), and so does all that comes after it.
    ///
    /// # Errors
    /// As of [`acquire`](Self::acquire).
    ///
    /// *Cancel safety*: as of [`acquire`](Self::acquire).
    ///
    /// ```
    /// let megabytes = whirligig::sync::Semaphore::new(512);
    /// whirligig::run(async {
    ///     let permit = megabytes.acquire_many(200).await.unwrap();
    ///     assert_eq!((permit.count(), megabytes.available_permits()), (200, 312));
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_many(&self, count: u32) -> Acquire<'_> {
        Acquire(Acquiring::new(self, count, WaitsFor::Permit, Location::caller()))
    }

    /// Acquires a permit if one is free, and nobody waits.
    ///
    /// # Errors
    /// [`TryAcquireError`] otherwise, or if the semaphore is closed.
    ///
    /// ```
    /// use whirligig::sync::{Semaphore, TryAcquireError};
    ///
    /// let semaphore = Semaphore::new(1);
    /// let _permit = semaphore.try_acquire().unwrap();
    /// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
    /// ```
    #[doc(alias = "acquire_nowait")]
    #[inline]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// Acquires so many permits together if they are free, and nobody waits.
    ///
    /// # Errors
    /// [`TryAcquireError`] otherwise, or if the semaphore is closed.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(2);
    /// assert!(semaphore.try_acquire_many(3).is_err());
    /// assert_eq!(semaphore.try_acquire_many(2).unwrap().count(), 2);
    /// ```
    pub fn try_acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let held = Held::try_acquire(self, count).map_err(TryAcquireError::of)?;
        Ok(SemaphorePermit(held))
    }

    /// [`acquire`](Self::acquire), with a permit that borrows nothing: it keeps the [`Arc`].
    ///
    /// # Errors
    /// As of [`acquire`](Self::acquire).
    ///
    /// *Cancel safety*: as of [`acquire`](Self::acquire).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use whirligig::{spawn, sync::Semaphore};
    ///
    /// whirligig::run(async {
    ///     let semaphore = Arc::new(Semaphore::new(1));
    ///     let permit = semaphore.clone().acquire_owned().await.unwrap();
    ///     spawn(async move { drop(permit) }).await.unwrap();
    ///     assert_eq!(semaphore.available_permits(), 1);
    /// });
    /// ```
    #[doc(alias = "acquire_arc")]
    #[inline]
    #[track_caller]
    pub fn acquire_owned(self: Arc<Self>) -> AcquireOwned {
        self.acquire_many_owned(1)
    }

    /// [`acquire_many`](Self::acquire_many), with a permit that keeps the [`Arc`].
    ///
    /// # Errors
    /// As of [`acquire`](Self::acquire).
    ///
    /// *Cancel safety*: as of [`acquire`](Self::acquire).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use whirligig::sync::Semaphore;
    ///
    /// whirligig::run(async {
    ///     let permit = Arc::new(Semaphore::new(2)).acquire_many_owned(2).await.unwrap();
    ///     assert_eq!(permit.count(), 2);
    /// });
    /// ```
    #[inline]
    #[track_caller]
    pub fn acquire_many_owned(self: Arc<Self>, count: u32) -> AcquireOwned {
        AcquireOwned(Acquiring::new(self, count, WaitsFor::Permit, Location::caller()))
    }

    /// [`try_acquire`](Self::try_acquire), with a permit that keeps the [`Arc`].
    ///
    /// # Errors
    /// As of [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use whirligig::sync::Semaphore;
    ///
    /// let semaphore = Arc::new(Semaphore::new(1));
    /// let permit = semaphore.clone().try_acquire_owned().unwrap();
    /// assert!(semaphore.try_acquire_owned().is_err());
    /// drop(permit);
    /// ```
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// [`try_acquire_many`](Self::try_acquire_many), with a permit that keeps the [`Arc`].
    ///
    /// # Errors
    /// As of [`try_acquire`](Self::try_acquire).
    ///
    /// ```
    /// let semaphore = std::sync::Arc::new(whirligig::sync::Semaphore::new(2));
    /// assert_eq!(semaphore.try_acquire_many_owned(2).unwrap().count(), 2);
    /// ```
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        count: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let held = Held::try_acquire(self, count).map_err(TryAcquireError::of)?;
        Ok(OwnedSemaphorePermit(held))
    }

    /// Acquires a permit on a thread that runs no tasks, which waits in line as tasks do.
    ///
    /// # Errors
    /// As of [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// If it would have to wait where tasks run: inside a task, or in anything else that an event loop or a worker
    /// calls.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(1);
    /// std::thread::scope(|threads| {
    ///     threads.spawn(|| drop(semaphore.blocking_acquire().unwrap()));
    ///     threads.spawn(|| drop(semaphore.blocking_acquire().unwrap()));
    /// });
    /// assert_eq!(semaphore.available_permits(), 1);
    /// ```
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.blocking_acquire_many(1)
    }

    /// Acquires so many permits together, on a thread that runs no tasks.
    ///
    /// # Errors
    /// As of [`acquire`](Self::acquire).
    ///
    /// # Panics
    /// As [`blocking_acquire`](Self::blocking_acquire).
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(2);
    /// assert_eq!(semaphore.blocking_acquire_many(2).unwrap().count(), 2);
    /// ```
    #[track_caller]
    pub fn blocking_acquire_many(&self, count: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        wait_on_thread(ADVICE, self.acquire_many(count))
    }

    /// Adds permits to those that there are.
    ///
    /// # Panics
    /// If they would be more than [`MAX_PERMITS`](Self::MAX_PERMITS), the acquired ones included.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(0);
    /// semaphore.add_permits(2);
    /// assert_eq!(semaphore.available_permits(), 2);
    /// ```
    #[doc(alias("release", "total_tokens"))]
    #[track_caller]
    pub fn add_permits(&self, count: usize) {
        let within =
            |total: usize| total.checked_add(count).filter(|total| *total <= Self::MAX_PERMITS);
        let added = self.total.fetch_update(Relaxed, Relaxed, within);
        assert!(added.is_ok(), "a semaphore has at most `Semaphore::MAX_PERMITS` permits");
        self.permits.release(count);
    }

    /// Takes away at most so many of the permits that are free, and says how many. Those that are acquired stay; to
    /// take one of them away, [`forget`](SemaphorePermit::forget) it.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(3);
    /// assert_eq!(semaphore.forget_permits(2), 2);
    /// assert_eq!(semaphore.forget_permits(2), 1);
    /// ```
    pub fn forget_permits(&self, count: usize) -> usize {
        let taken = self.permits.take_up_to(count);
        self.total.fetch_sub(taken, Relaxed);
        taken
    }

    /// Permits that are free. While something waits, they are kept for it.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Semaphore::new(3).available_permits(), 3);
    /// ```
    #[doc(alias("locked", "available_tokens", "value"))]
    pub fn available_permits(&self) -> usize {
        self.permits.free()
    }

    /// Permits that there are, free and acquired.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(3);
    /// let _permit = semaphore.try_acquire().unwrap();
    /// assert_eq!((semaphore.available_permits(), semaphore.total_permits()), (2, 3));
    /// ```
    #[doc(alias = "total_tokens")]
    pub fn total_permits(&self) -> usize {
        self.total.load(Relaxed)
    }

    /// How many wait for permits.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Semaphore::new(3).waiters(), 0);
    /// ```
    #[doc(alias = "tasks_waiting")]
    pub fn waiters(&self) -> usize {
        self.permits.waiters()
    }

    /// The tasks that hold permits, the earliest first, each once for every acquisition; while checks are on (in builds
    /// with debug assertions, or with `WHIRLIGIG_DEBUG=1`). Empty if they are off. What holds some outside of any task
    /// is not told.
    ///
    /// ```
    /// use whirligig::{sync::Semaphore, task};
    ///
    /// whirligig::run(async {
    ///     let semaphore = Semaphore::new(3);
    ///     let _permit = semaphore.acquire().await.unwrap();
    ///     if cfg!(debug_assertions) {
    ///         assert_eq!(semaphore.holders(), [task::id()]);
    ///     }
    /// });
    /// ```
    #[doc(alias = "borrowers")]
    pub fn holders(&self) -> Vec<TaskId> {
        self.permits.holders().into_iter().flatten().collect()
    }

    /// Closes it: every acquisition fails from now on, those that wait included, and those that were granted their
    /// permits but not yet polled since. Permits that are held stay valid.
    ///
    /// ```
    /// let semaphore = whirligig::sync::Semaphore::new(3);
    /// semaphore.close();
    /// whirligig::run(async { assert!(semaphore.acquire().await.is_err()) });
    /// ```
    pub fn close(&self) {
        self.permits.close();
    }

    /// Whether it was closed.
    ///
    /// ```
    /// assert!(!whirligig::sync::Semaphore::new(3).is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.permits.is_closed()
    }
}

/// Shows its numbers.
impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore")
            .field("available", &self.available_permits())
            .field("total", &self.total_permits())
            .field("waiters", &self.waiters())
            .field("closed", &self.is_closed())
            .field("holders", &self.holders())
            .finish()
    }
}

/// The future of [`Semaphore::acquire`] and [`Semaphore::acquire_many`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Acquire<'a>(Acquiring<&'a Semaphore>);

impl<'a> Future for Acquire<'a> {
    type Output = Result<SemaphorePermit<'a>, AcquireError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.get_mut().0.poll(cx);
        polled.map(|held| held.map(SemaphorePermit).map_err(|permits::Closed| AcquireError(())))
    }
}

/// The future of [`Semaphore::acquire_owned`] and [`Semaphore::acquire_many_owned`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct AcquireOwned(Acquiring<Arc<Semaphore>>);

impl Future for AcquireOwned {
    type Output = Result<OwnedSemaphorePermit, AcquireError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let polled = self.get_mut().0.poll(cx);
        polled
            .map(|held| held.map(OwnedSemaphorePermit).map_err(|permits::Closed| AcquireError(())))
    }
}

impl fmt::Debug for Acquire<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("Acquire", f)
    }
}

impl fmt::Debug for AcquireOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.debug("AcquireOwned", f)
    }
}

/// Acquired permits of a [`Semaphore`]. Dropped, they are given back.
///
/// ```
/// let semaphore = whirligig::sync::Semaphore::new(5);
/// let mut permit = semaphore.try_acquire_many(4).unwrap();
/// let part = permit.split(1).unwrap();
/// drop(part);
/// assert_eq!((permit.count(), semaphore.available_permits()), (3, 2));
/// permit.merge(semaphore.try_acquire().unwrap());
/// assert_eq!(permit.count(), 4);
/// ```
#[must_use = "if it is not kept, the permits are given back at once"]
pub struct SemaphorePermit<'a>(Held<&'a Semaphore>);

/// Acquired permits of a [`Semaphore`] that it shares: those of [`Semaphore::acquire_owned`]. Dropped, they are given
/// back.
///
/// ```
/// use std::sync::Arc;
/// use whirligig::sync::Semaphore;
///
/// let semaphore = Arc::new(Semaphore::new(5));
/// let mut permit = semaphore.clone().try_acquire_many_owned(4).unwrap();
/// let part = permit.split(1).unwrap();
/// std::thread::spawn(move || drop(part)).join().unwrap();
/// assert_eq!((permit.count(), semaphore.available_permits()), (3, 2));
/// ```
#[must_use = "if it is not kept, the permits are given back at once"]
pub struct OwnedSemaphorePermit(Held<Arc<Semaphore>>);

/// The methods that both permits have.
macro_rules! permit {
    ($permit:ty, $name:literal, $semaphore:ty) => {
        impl $permit {
            /// How many permits it is.
            #[doc(alias = "num_permits")]
            pub fn count(&self) -> u32 {
                self.0.count()
            }

            /// The semaphore that it is of.
            pub fn semaphore(&self) -> &$semaphore {
                self.0.lock()
            }

            /// Gives nothing back, and takes the permits away from the semaphore for good.
            pub fn forget(self) {
                let semaphore = self.0.lock();
                semaphore.total.fetch_sub(self.0.count() as usize, Relaxed);
                self.0.forget();
            }

            /// Splits `count` permits off; `None` if there are not as many.
            pub fn split(&mut self, count: u32) -> Option<Self> {
                self.0.split(count).map(Self)
            }

            /// Adds the permits of `other`.
            ///
            /// # Panics
            /// If they are of another semaphore, to which they are then given back.
            #[track_caller]
            pub fn merge(&mut self, other: Self) {
                let merged = self.0.merge(other.0);
                assert!(merged.is_ok(), "only permits of the same semaphore can be merged");
            }
        }

        impl fmt::Debug for $permit {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple($name).field(&self.count()).finish()
            }
        }
    };
}

permit!(SemaphorePermit<'_>, "SemaphorePermit", Semaphore);
permit!(OwnedSemaphorePermit, "OwnedSemaphorePermit", Arc<Semaphore>);

/// The semaphore is closed. The error of [`Semaphore::acquire`].
///
/// ```
/// let semaphore = whirligig::sync::Semaphore::new(1);
/// semaphore.close();
/// let error = semaphore.blocking_acquire().unwrap_err();
/// assert_eq!(error.to_string(), "the semaphore is closed");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AcquireError(());

impl fmt::Debug for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("AcquireError", self, f)
    }
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore is closed")
    }
}

impl Error for AcquireError {}

/// Why [`Semaphore::try_acquire`] has no permit.
///
/// ```
/// use whirligig::sync::{Semaphore, TryAcquireError};
///
/// let semaphore = Semaphore::new(0);
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::NoPermits);
/// semaphore.close();
/// assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
/// ```
#[doc(alias = "WouldBlock")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryAcquireError {
    /// Too few are free, or others wait for those that are.
    NoPermits,
    /// The semaphore is closed.
    Closed,
}

impl TryAcquireError {
    fn of<L>((_, refusal): (L, Refusal)) -> Self {
        match refusal {
            Refusal::TooFew => Self::NoPermits,
            Refusal::Closed => Self::Closed,
        }
    }
}

impl fmt::Debug for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::NoPermits => "NoPermits",
            Self::Closed => "Closed",
        };
        debug_error(variant, self, f)
    }
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPermits => "too few permits are free, or others wait for them",
            Self::Closed => "the semaphore is closed",
        })
    }
}

impl Error for TryAcquireError {}
