//! The condition: to wait, with a mutex unlocked meanwhile, until another task says that something has changed.
//! asyncio's and trio's `Condition`.
//!
//! A wait has two parts: it waits in the condition's own line to be notified, and then in the mutex's line for the
//! lock. What makes it one is an order: the wait **first joins the line, then unlocks**. So who locks the mutex after
//! that, changes something and notifies, finds it in the line. It has used its notification up when it has the lock
//! again; if it is dropped before, the notification goes to the next in line.
//!
//! **Alternative:** to hand the notified straight over to the mutex's line, which saves a poll for each. It needs the
//! mutex at the notification, and a waiter that is in two lines, one after the other, under one key.

use std::{
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::{
    guarded::Exclusive,
    mutex::{Mutex, MutexGuard, never_closed},
    permits::Acquiring,
};
use crate::engine::{
    base::{
        id::draw_object_id,
        location::{WaitsFor, WaitsOn},
        primitives::{Mutex as Shell, lock, seeded},
        this_poll,
    },
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
        wait_list::{WaitKey, WaitList, discard},
    },
};

/// A line of tasks that wait, with a [`Mutex`] unlocked, to be notified that its value has changed.
///
/// Put it beside the mutex whose value it is about. One mutex may have several.
///
/// **Order.** First come, first served. **Nothing lost**: a wait that is dropped after it was notified passes the
/// notification on to the next in line. A notification that finds nobody in line is not kept: what is waited for is
/// the value, and it is looked at under the lock before the first wait. So wait in a loop that looks, or with
/// [`wait_for`](Self::wait_for), which is that loop; a notification says that there is something to look at, no more.
///
/// ```
/// use std::sync::Arc;
/// use whirligig::{
///     spawn,
///     sync::{Condition, Mutex},
/// };
///
/// #[derive(Default)]
/// struct Account {
///     balance: Mutex<i32>,
///     paid_in: Condition,
/// }
///
/// whirligig::run(async {
///     let account = Arc::new(Account::default());
///     let shared = account.clone();
///     let paying_out = spawn(async move {
///         let balance = shared.balance.lock().await;
///         let mut balance = shared.paid_in.wait_for(balance, |balance| *balance >= 50).await;
///         *balance -= 50;
///     });
///     for _ in 0..3 {
///         *account.balance.lock().await += 20;
///         account.paid_in.notify_all();
///     }
///     paying_out.await.unwrap();
///     assert_eq!(*account.balance.lock().await, 10);
/// });
/// ```
#[doc(alias("Condvar", "asyncio.Condition"))]
pub struct Condition {
    id: u64,
    line: Shell<WaitList>,
}

// No user code runs while the line is locked, so a panic never finds it half changed.
impl UnwindSafe for Condition {}
impl RefUnwindSafe for Condition {}

impl Condition {
    /// A condition for which nobody waits.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Condition::new().waiters(), 0);
    /// ```
    pub fn new() -> Self {
        Self { id: draw_object_id(), line: Shell::new(WaitList::new()) }
    }

    /// Unlocks the mutex of `guard`, waits to be notified, locks the mutex again, and gives the new guard.
    ///
    /// The first poll of the future unlocks; whatever changes the value after that is heard of.
    ///
    /// *Cancel safety*: dropped, the future has no lock, and passes on a notification that it had. The guard that it
    /// was made with is gone: lock again.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// use futures_lite::future::zip;
    /// use whirligig::sync::{Condition, Mutex};
    ///
    /// let (is_open, changed) = (Mutex::new(false), Condition::new());
    /// let goes_in = async {
    ///     let mut open = is_open.lock().await;
    ///     while !*open {
    ///         open = changed.wait(open).await;
    ///     }
    /// };
    /// let opens = async {
    ///     *is_open.lock().await = true;
    ///     changed.notify_one();
    /// };
    /// whirligig::run(async { zip(goes_in, opens).await });
    /// ```
    #[track_caller]
    pub fn wait<'c, 'm, T: ?Sized>(&'c self, guard: MutexGuard<'m, T>) -> ConditionWait<'c, 'm, T> {
        self.wait_at(guard, Location::caller())
    }

    fn wait_at<'c, 'm, T: ?Sized>(
        &'c self,
        guard: MutexGuard<'m, T>,
        location: &'static Location<'static>,
    ) -> ConditionWait<'c, 'm, T> {
        let mutex = MutexGuard::mutex(&guard);
        ConditionWait {
            condition: self,
            mutex,
            guard: Some(guard),
            stage: Stage::New,
            relock: None,
            location,
        }
    }

    /// Waits until `predicate` says yes to the value, which it is shown under the lock: before anything else, and
    /// after each notification. Gives the guard under which it said yes.
    ///
    /// *Cancel safety*: as of [`wait`](Self::wait).
    ///
    /// # Panics
    /// The future panics if `predicate` does, which unlocks the mutex; and if polled after that, or after it was ready.
    ///
    /// ```
    /// use whirligig::sync::{Condition, Mutex};
    ///
    /// whirligig::run(async {
    ///     let (value, changed) = (Mutex::new(7), Condition::new());
    ///     let guard = changed.wait_for(value.lock().await, |value| *value > 5).await;
    ///     assert_eq!(*guard, 7);
    /// });
    /// ```
    #[doc(alias = "wait_while")]
    #[track_caller]
    pub fn wait_for<'c, 'm, T: ?Sized, F: FnMut(&mut T) -> bool>(
        &'c self,
        guard: MutexGuard<'m, T>,
        predicate: F,
    ) -> ConditionWaitFor<'c, 'm, T, F> {
        ConditionWaitFor {
            condition: self,
            guard: Some(guard),
            wait: None,
            predicate,
            location: Location::caller(),
        }
    }

    /// Notifies the first in line, if somebody waits.
    ///
    /// The mutex need not be held for it, as it must be in Python. Change the value under the lock, though, or the
    /// change may come between a look and the wait after it.
    ///
    /// ```
    /// whirligig::sync::Condition::new().notify_one(); // nobody waits
    /// ```
    #[doc(alias = "notify")]
    pub fn notify_one(&self) {
        self.notify_n(1);
    }

    /// Notifies the first `count` in line, or as many as wait.
    ///
    /// ```
    /// whirligig::sync::Condition::new().notify_n(3);
    /// ```
    #[doc(alias = "notify")]
    pub fn notify_n(&self, count: usize) {
        let mut line = lock(&self.line);
        let waiters = (0..count).map_while(|_| line.pop_front());
        let wakes = waiters.fold(Wakes::Nothing, Wakes::and);
        drop(line);
        wakes.wake();
    }

    /// Notifies all that wait now.
    ///
    /// ```
    /// whirligig::sync::Condition::new().notify_all();
    /// ```
    pub fn notify_all(&self) {
        let wakes = Wakes::all([&mut lock(&self.line)]);
        wakes.wake();
    }

    /// How many wait to be notified. One that was notified, and waits for the lock, no longer does.
    ///
    /// ```
    /// assert_eq!(whirligig::sync::Condition::new().waiters(), 0);
    /// ```
    #[doc(alias = "tasks_waiting")]
    pub fn waiters(&self) -> usize {
        lock(&self.line).len()
    }

    /// A step of a wait: joins the line, or finds that it was notified.
    fn step(&self, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<()> {
        let mut line = lock(&self.line);
        match *stage {
            Stage::Waiting(key) if line.is_woken(key) => {
                *stage = Stage::Done;
                Step::Ready((), Wakes::Nothing)
            }
            _ => wait(&mut line, stage, offer),
        }
    }

    /// Ends a wait that is dropped in the line.
    fn cancel(&self, key: WaitKey) {
        let waiter = lock(&self.line).remove(key);
        if waiter.is_none() {
            self.pass_on();
        }
        discard(waiter);
    }

    /// Of a notification that is not used.
    fn pass_on(&self) {
        if !seeded("condition_cancelled_wait_keeps_its_notification") {
            self.notify_one();
        }
    }
}

impl Default for Condition {
    fn default() -> Self {
        Self::new()
    }
}

/// Shows its identity and how many wait.
impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiters = self.waiters();
        f.debug_struct("Condition").field("id", &self.id).field("waiters", &waiters).finish()
    }
}

/// The future of [`Condition::wait`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct ConditionWait<'c, 'm, T: ?Sized> {
    condition: &'c Condition,
    mutex: &'m Mutex<T>,
    /// Until it has joined the line.
    guard: Option<MutexGuard<'m, T>>,
    stage: Stage,
    /// From the notification on, until it has the lock.
    relock: Option<Acquiring<&'m Mutex<T>>>,
    location: &'static Location<'static>,
}

impl<'m, T: ?Sized> Future for ConditionWait<'_, 'm, T> {
    type Output = MutexGuard<'m, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.relock.is_none() {
            ready!(this_poll::poll_budget(cx, this.location));
            if seeded("condition_unlocks_before_it_joins") {
                drop(this.guard.take());
            }
            // ANCHOR: join_then_unlock
            let Self { condition, stage, location, .. } = this;
            let notified = poll_wait(
                cx,
                location,
                || {
                    let condition = WaitsOn::Condition(condition.id);
                    this_poll::note_on(WaitsFor::Signal, condition, location);
                },
                |offer| condition.step(stage, offer),
            );
            drop(this.guard.take());
            ready!(notified);
            // END: join_then_unlock
        }
        let relock = this
            .relock
            .get_or_insert_with(|| Acquiring::new(this.mutex, 1, WaitsFor::Lock, this.location));
        let held = ready!(relock.poll(cx));
        this.relock = None;
        Poll::Ready(MutexGuard(Exclusive::new(never_closed(held))))
    }
}

impl<T: ?Sized> Drop for ConditionWait<'_, '_, T> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.condition.cancel(key);
        } else if self.relock.is_some() {
            self.condition.pass_on();
        }
    }
}

impl<T: ?Sized> fmt::Debug for ConditionWait<'_, '_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionWait").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Condition::wait_for`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct ConditionWaitFor<'c, 'm, T: ?Sized, F> {
    condition: &'c Condition,
    /// While it is to look.
    guard: Option<MutexGuard<'m, T>>,
    /// While it waits.
    wait: Option<ConditionWait<'c, 'm, T>>,
    predicate: F,
    location: &'static Location<'static>,
}

// The predicate is called, never pinned.
impl<T: ?Sized, F> Unpin for ConditionWaitFor<'_, '_, T, F> {}

impl<'m, T: ?Sized, F: FnMut(&mut T) -> bool> Future for ConditionWaitFor<'_, 'm, T, F> {
    type Output = MutexGuard<'m, T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if let Some(mut guard) = this.guard.take() {
                if (this.predicate)(&mut guard) {
                    return Poll::Ready(guard);
                }
                this.wait = Some(this.condition.wait_at(guard, this.location));
            }
            let Some(wait) = &mut this.wait else {
                panic!("the future made at {} was polled after it was ready", this.location)
            };
            this.guard = Some(ready!(Pin::new(wait).poll(cx)));
            this.wait = None;
        }
    }
}

impl<T: ?Sized, F> fmt::Debug for ConditionWaitFor<'_, '_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConditionWaitFor").field("location", self.location).finish_non_exhaustive()
    }
}
