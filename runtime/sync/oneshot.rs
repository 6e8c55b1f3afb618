//! A channel for one value: what one task promises another. asyncio's `Future`.
//!
//! Two ends share one allocation, and in it plain data behind a lock. Each end visits it once or twice in its life, so
//! nobody waits for the lock but in the one moment where both ends meet. An end that has done its part lets go of the
//! allocation at once and does not look back.
//!
//! What must hold: once the receiver has closed, no value goes in, and the sender has its value back; a value that
//! is in is received, or dropped with the receiver. Wakers and values are user code, and are cloned, woken and
//! dropped with the lock released.
//!
//! An end that is alone takes what is left apart without the lock: so does a receiver that was woken.
//!
//! **Alternative:** the value in a cell that a word of atomic states guards, as tokio has it. That is `unsafe` and a
//! table of states, and saves one atomic operation of seven: measured side by side it is a few per cent slower on one
//! thread, and as much faster on two workers (`benches/sync_channels.rs`). Or the crate `oneshot`, which is well kept and runs
//! on any runtime: its waits would be seen in no dump and take no part in the budget, and its sender cannot
//! await that nobody wants the value any more.

use std::{
    error::Error,
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::PoisonError,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        error::debug_error,
        location::WaitsFor,
        primitives::{Arc, Mutex, lock, seeded},
        this_poll,
    },
    task::local::wake_waiter,
    waiting::{
        leaf::{Offer, Step, Wakes, poll_wait, wait_alone},
        thread::wait_on_thread,
        wait_list::discard,
        waiter::Waiter,
    },
};

/// Makes the two ends of a channel for one value.
///
/// asyncio's `loop.create_future()`: the [`Sender`] has its `set_result`, and the [`Receiver`] is what is awaited.
///
/// ```
/// use whirligig::{spawn, sync::oneshot};
///
/// whirligig::run(async {
///     let (sender, receiver) = oneshot::channel();
///     let task = spawn(async move { sender.send("letter") });
///     assert_eq!(receiver.await, Ok("letter"));
///     assert_eq!(task.await.unwrap(), Ok(()));
/// });
/// ```
#[doc(alias("create_future", "oneshot"))]
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let core = Core { value: None, sent: false, closed: false, receiver: None, sender: None };
    let shared = Arc::new(Mutex::new(core));
    let receiver = Receiver { shared: Some(shared.clone()), location: Location::caller() };
    (Sender { shared: Some(shared) }, receiver)
}

/// What the two ends share.
struct Core<T> {
    value: Option<T>,
    /// The sender has sent, or is gone.
    sent: bool,
    /// The receiver takes no value any more, or is gone.
    closed: bool,
    /// The task that awaits the value.
    receiver: Option<Waiter>,
    /// The task that awaits `closed`.
    sender: Option<Waiter>,
}

type Shared<T> = Arc<Mutex<Core<T>>>;

// No user code runs while the core is locked, so a panic never finds it half changed.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

/// The sending end. See [`channel`].
#[doc(alias = "Future")]
pub struct Sender<T> {
    /// Until it has sent.
    shared: Option<Shared<T>>,
}

impl<T> Sender<T> {
    /// Sends the value. Never waits.
    ///
    /// # Errors
    /// The value, if the receiver is gone or has closed.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::oneshot::channel();
    /// drop(receiver);
    /// assert_eq!(sender.send("letter"), Err("letter"));
    /// ```
    #[doc(alias("set_result", "set_exception"))]
    pub fn send(mut self, value: T) -> Result<(), T> {
        self.leave(Some(value)).map_or(Ok(()), Err)
    }

    /// Leaves the channel with this value, or none. Gives back one that nobody takes.
    fn leave(&mut self, value: Option<T>) -> Option<T> {
        let shared = self.shared.take()?;
        let mut core = lock(&shared);
        core.sent = true;
        if core.closed && !seeded("oneshot_sends_to_a_closed") {
            return value;
        }
        core.value = value;
        let receiver = core.receiver.take();
        drop(core);
        // The receiver, once woken, is to free what it has alone.
        drop(shared);
        if let Some(waiter) = receiver {
            wake_waiter(waiter);
        }
        None
    }

    /// Whether no value will be received any more: the receiver is gone, or has closed.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::oneshot::channel::<u8>();
    /// assert!(!sender.is_closed());
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    #[doc(alias = "cancelled")]
    pub fn is_closed(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| lock(shared).closed)
    }

    /// Waits until no value will be received any more: the receiver is gone, or has closed. To stop work whose
    /// result nobody awaits.
    ///
    /// *Cancel safety*: nothing is lost by dropping it.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// let (mut sender, receiver) = whirligig::sync::oneshot::channel::<u8>();
    /// drop(receiver);
    /// whirligig::run(async { sender.closed().await });
    /// ```
    #[track_caller]
    pub fn closed(&mut self) -> Closed<'_, T> {
        Closed { sender: self, done: false, location: Location::caller() }
    }

    /// A step of `closed`.
    fn closed_step(&self, done: &mut bool, offer: &mut Offer<'_>) -> Step<()> {
        if *done {
            return Step::Spent;
        }
        if let Some(shared) = &self.shared {
            let mut core = lock(shared);
            if !core.closed || seeded("oneshot_closed_no_second_look") {
                return wait_alone(&mut core.sender, offer);
            }
        }
        *done = true;
        Step::Ready((), Wakes::Nothing)
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.leave(None);
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("is_closed", &self.is_closed()).finish()
    }
}

/// The receiving end, which is a future: of the value, or of [`RecvError`] if the sender is dropped without having
/// sent. See [`channel`].
///
/// *Cancel safety*: await `&mut receiver` where the wait may be given up, and nothing is lost. Dropped, a receiver
/// drops a value that was sent; and [`Sender::send`] gives one back that comes later.
///
/// # Panics
/// If it is polled after it was ready.
#[doc(alias = "Future")]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Receiver<T> {
    /// Until it has its answer.
    shared: Option<Shared<T>>,
    location: &'static Location<'static>,
}

impl<T> Receiver<T> {
    /// The value, if it was sent already.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it may still come, [`TryRecvError::Closed`] if it was received, or never will be.
    ///
    /// ```
    /// use whirligig::sync::oneshot::{self, TryRecvError};
    ///
    /// let (sender, mut receiver) = oneshot::channel();
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    #[doc(alias = "result")]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let shared = self.shared.as_ref().ok_or(TryRecvError::Closed)?;
        let value = lock(shared).receive().ok_or(TryRecvError::Empty)?;
        self.leave();
        value.ok_or(TryRecvError::Closed)
    }

    /// Whether awaiting this will not wait: the value was sent, or never will be.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::oneshot::channel();
    /// assert!(!receiver.is_finished());
    /// sender.send(1).unwrap();
    /// assert!(receiver.is_finished());
    /// ```
    #[doc(alias = "done")]
    pub fn is_finished(&self) -> bool {
        self.shared.as_ref().is_none_or(|shared| {
            let core = lock(shared);
            core.sent || core.closed
        })
    }

    /// Takes no value from now on, but for one that was sent already: every later [`Sender::send`] gives its value
    /// back.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::oneshot::channel();
    /// receiver.close();
    /// assert_eq!(sender.send(1), Err(1));
    /// ```
    #[doc(alias = "cancel")]
    pub fn close(&mut self) {
        if let Some(shared) = &self.shared {
            let mut core = lock(shared);
            let (sender, receiver) = (core.close(), core.receiver.take());
            drop(core);
            if let Some(waiter) = sender {
                wake_waiter(waiter);
            }
            discard(receiver);
        }
    }

    /// Waits for the value on a thread that runs no tasks: it blocks the thread.
    ///
    /// # Errors
    /// [`RecvError`] if the sender is dropped without having sent.
    ///
    /// # Panics
    /// Where tasks wait for this thread, if the value was not sent yet.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::oneshot::channel();
    /// let thread = std::thread::spawn(move || sender.send("letter"));
    /// assert_eq!(receiver.blocking_recv(), Ok("letter"));
    /// # thread.join().unwrap().unwrap();
    /// ```
    #[doc(alias = "result")]
    #[track_caller]
    pub fn blocking_recv(self) -> Result<T, RecvError> {
        let advice = "`oneshot::Receiver::blocking_recv` would stop the tasks of this thread: await the receiver, or \
                      call it inside `task::block_in_place` or `task::spawn_blocking`";
        wait_on_thread(advice, self)
    }

    /// Lets go of the channel. What it left of a value or a waker is dropped.
    fn leave(&mut self) {
        let Some(shared) = self.shared.take() else { return };
        let mut core = lock(&shared);
        let sender = core.close();
        let (value, receiver) = (core.value.take(), core.receiver.take());
        drop(core);
        drop(shared);
        if let Some(waiter) = sender {
            wake_waiter(waiter);
        }
        discard(receiver);
        drop(value);
    }
}

impl<T> Core<T> {
    /// The receiver's answer, if it is certain.
    fn receive(&mut self) -> Option<Option<T>> {
        (self.sent || self.closed).then(|| self.value.take())
    }

    /// Takes no value any more. What waits for that is to be woken.
    fn close(&mut self) -> Option<Waiter> {
        self.closed = true;
        self.sender.take()
    }

    /// A step of the receiver.
    fn step(&mut self, offer: &mut Offer<'_>) -> Step<Option<T>> {
        match self.receive() {
            Some(value) => Step::Ready(value, Wakes::Nothing),
            None => wait_alone(&mut self.receiver, offer),
        }
    }
}

/// The receiver's answer, if the sender has left the channel: then nobody else is there, and what is left is taken
/// apart without the lock. That is the common way of a value that was waited for.
fn take_alone<T>(shared: &mut Option<Shared<T>>) -> Option<Option<T>> {
    if Arc::strong_count(shared.as_ref()?) != 1 {
        return None;
    }
    let alone = Arc::try_unwrap(shared.take()?).map_err(|not_alone| *shared = Some(not_alone));
    let core = alone.ok()?.into_inner().unwrap_or_else(PoisonError::into_inner);
    Some(core.value)
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { shared, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        if let Some(value) = take_alone(shared) {
            this_poll::charge();
            return Poll::Ready(value.ok_or(RecvError));
        }
        let value = ready!(poll_wait(
            cx,
            location,
            || this_poll::note(WaitsFor::Value, location),
            |offer| shared.as_ref().map_or(Step::Spent, |shared| lock(shared).step(offer)),
        ));
        *shared = None;
        Poll::Ready(value.ok_or(RecvError))
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed<'a, T> {
    sender: &'a mut Sender<T>,
    done: bool,
    location: &'static Location<'static>,
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { sender, done, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        poll_wait(
            cx,
            location,
            || this_poll::note(WaitsFor::Signal, location),
            |offer| sender.closed_step(done, offer),
        )
    }
}

impl<T> Drop for Closed<'_, T> {
    fn drop(&mut self) {
        if let Some(shared) = &self.sender.shared {
            let waiter = lock(shared).sender.take();
            discard(waiter);
        }
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").field("location", self.location).finish_non_exhaustive()
    }
}

/// The sender was dropped without having sent. The error of the [`Receiver`].
///
/// ```
/// use whirligig::sync::oneshot::{self, RecvError};
///
/// let (sender, receiver) = oneshot::channel::<u8>();
/// drop(sender);
/// whirligig::run(async { assert_eq!(receiver.await, Err(RecvError)) });
/// ```
#[doc(alias("CancelledError", "BrokenPromise"))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Debug for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("RecvError", self, f)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no value will come: the sender was dropped, or the receiver closed")
    }
}

impl Error for RecvError {}

/// Why [`Receiver::try_recv`] has no value.
///
/// ```
/// use whirligig::sync::oneshot::{self, TryRecvError};
///
/// let (sender, mut receiver) = oneshot::channel::<u8>();
/// drop(sender);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
/// ```
#[doc(alias = "InvalidStateError")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// The value was not sent yet.
    Empty,
    /// The value was received already, or none will come.
    Closed,
}

impl fmt::Debug for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Empty => "Empty",
            Self::Closed => "Closed",
        };
        debug_error(variant, self, f)
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "no value was sent yet",
            Self::Closed => "the value was received already, or none will come",
        })
    }
}

impl Error for TryRecvError {}
