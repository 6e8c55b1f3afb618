//! A channel that holds the latest value: what is configured, how far work has come, whether to stop.
//!
//! The value is behind a counted pointer, and the pointer behind a lock with the lists of those that wait. To look is to
//! clone the pointer; to send is to put another there. So a reader keeps what it looks at for as long as it
//! likes, also across an await, and keeps nobody from sending. Beside the lock stands the version in an atomic
//! word, so that a receiver sees without the lock that nothing is new.
//!
//! What must hold: the version rises with each value, with the lock held; who finds no new version, with the lock, is in
//! the list before the next value comes. Values are user code, and are cloned, changed and dropped with the lock released:
//! `send_modify` changes a copy, and puts it in if no other value came meanwhile.
//!
//! **Alternative:** the value itself behind a lock for readers and writers, and a guard of it for who looks, as tokio has it.
//! It allocates nothing and changes values in place. But a guard that is kept across an await stops the *thread*
//! that sends next, with all its tasks, and a closure that uses the channel it is called by waits for itself.

use std::{
    error::Error,
    fmt, mem,
    ops::Deref,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll, ready},
};

use crate::engine::{
    base::{
        error::debug_error,
        id::draw_object_id,
        location::{WaitsFor, WaitsOn},
        primitives::{Arc, AtomicU64, Mutex, Ordering, lock, seeded},
        this_poll, user_code,
    },
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
        wait_list::{WaitList, discard},
    },
};

/// Makes the two ends of a channel that holds the latest value, `first` to begin with, which the receiver has seen.
///
/// ```
/// use whirligig::{spawn, sync::watch};
///
/// whirligig::run(async {
///     let (sender, mut receiver) = watch::channel("starting");
///     let task = spawn(async move {
///         receiver.wait_for(|state| *state == "ready").await.unwrap();
///         receiver.changed().await
///     });
///     sender.send("ready").unwrap();
///     drop(sender);
///     assert!(task.await.unwrap().is_err(), "no other value will come");
/// });
/// ```
#[doc(alias = "watch")]
pub fn channel<T>(first: T) -> (Sender<T>, Receiver<T>) {
    let state = State {
        value: StdArc::new(first),
        senders: 1,
        receivers: 1,
        receiving: WaitList::new(),
        sending: WaitList::new(),
    };
    let channel =
        Channel { id: draw_object_id(), version: AtomicU64::new(0), state: Mutex::new(state) };
    let channel = Arc::new(channel);
    (Sender { channel: channel.clone() }, Receiver { channel, seen: 0 })
}

/// Set in a version when there is no sender any more.
const CLOSED: u64 = 1;
/// From one version to the next.
const NEXT: u64 = 2;

struct Channel<T> {
    id: u64,
    /// How many values were sent, above [`CLOSED`]. It changes with the lock held.
    version: AtomicU64,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: StdArc<T>,
    senders: usize,
    receivers: usize,
    /// The receivers that wait for a new value.
    receiving: WaitList,
    /// The senders that wait until no receiver is left.
    sending: WaitList,
}

/// A value that was replaced, to be dropped with the lock released.
#[must_use]
enum Old<T> {
    Alone(T),
    Shared(StdArc<T>),
}

impl<T> Old<T> {
    fn discard(self) {
        match self {
            Self::Alone(value) => user_code::discard_value("a value of a watch channel", value),
            Self::Shared(value) => user_code::discard_value("a value of a watch channel", value),
        }
    }
}

impl<T> Channel<T> {
    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// A version that was seen to be new, or the channel's end; `None` if there is neither.
    fn news(&self, seen: u64) -> Option<Result<u64, RecvError>> {
        let version = self.version();
        if version & !CLOSED != seen {
            Some(Ok(version & !CLOSED))
        } else if version & CLOSED != 0 {
            Some(Err(RecvError))
        } else {
            None
        }
    }

    /// Puts a value in. The lock is the caller's.
    fn replace(&self, state: &mut State<T>, value: T) -> (Old<T>, Wakes) {
        let old = match StdArc::get_mut(&mut state.value) {
            // Nobody looks at it: the new one goes where it was.
            Some(place) => Old::Alone(mem::replace(place, value)),
            None => Old::Shared(mem::replace(&mut state.value, StdArc::new(value))),
        };
        (old, self.announce(state))
    }

    fn announce(&self, state: &mut State<T>) -> Wakes {
        let order =
            if seeded("watch_relaxed_version") { Ordering::Relaxed } else { Ordering::AcqRel };
        self.version.fetch_add(NEXT, order);
        Wakes::all([&mut state.receiving])
    }

    /// The value, and its version.
    fn look(&self) -> (StdArc<T>, u64) {
        let state = lock(&self.state);
        (state.value.clone(), self.version() & !CLOSED)
    }

    // A method of loom's `Arc` it cannot be.
    fn subscribe(channel: &Arc<Self>) -> Receiver<T> {
        let mut state = lock(&channel.state);
        state.receivers += 1;
        let seen = channel.version() & !CLOSED;
        drop(state);
        Receiver { channel: channel.clone(), seen }
    }

    /// The poll of one that waits for a version other than `seen`.
    fn poll_news(
        &self,
        cx: &mut Context<'_>,
        seen: &mut u64,
        stage: &mut Stage,
        location: &'static Location<'static>,
    ) -> Poll<Result<(), RecvError>> {
        ready!(this_poll::poll_budget(cx, location));
        let news = match stage {
            Stage::New => self.news(*seen),
            _ => None,
        };
        let news = match news {
            Some(news) => {
                *stage = Stage::Done;
                this_poll::charge();
                news
            }
            None => ready!(poll_wait(
                cx,
                location,
                || this_poll::note_on(WaitsFor::Value, WaitsOn::Channel(self.id), location),
                |offer| self.news_step(*seen, stage, offer),
            )),
        };
        Poll::Ready(news.map(|version| *seen = version))
    }

    fn news_step(
        &self,
        seen: u64,
        stage: &mut Stage,
        offer: &mut Offer<'_>,
    ) -> Step<Result<u64, RecvError>> {
        let mut state = lock(&self.state);
        let news = match *stage {
            Stage::New if seeded("watch_no_second_look") => None,
            Stage::New => self.news(seen),
            // Woken for news, of which there is no end.
            Stage::Waiting(key) if state.receiving.is_woken(key) => self.news(seen),
            Stage::Waiting(_) | Stage::Done => None,
        };
        let Some(news) = news else { return wait(&mut state.receiving, stage, offer) };
        *stage = Stage::Done;
        Step::Ready(news, Wakes::Nothing)
    }
}

// No user code runs while the state is locked, so a panic never finds it half changed.
impl<T: RefUnwindSafe> UnwindSafe for Sender<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Sender<T> {}
impl<T: RefUnwindSafe> UnwindSafe for Receiver<T> {}
impl<T: RefUnwindSafe> RefUnwindSafe for Receiver<T> {}

/// A sending end. See [`channel`].
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Makes `value` the latest. Never waits.
    ///
    /// # Errors
    /// [`SendError`] with the value, if there is no receiver. ([`send_replace`](Self::send_replace) puts it in all the same.)
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow(), 2);
    /// drop(receiver);
    /// assert_eq!(sender.send(3).unwrap_err().0, 3);
    /// ```
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        let mut state = lock(&self.channel.state);
        if state.receivers == 0 {
            return Err(SendError(value));
        }
        let (old, wakes) = self.channel.replace(&mut state, value);
        drop(state);
        wakes.wake();
        old.discard();
        Ok(())
    }

    /// Makes `value` the latest, whether or not there is a receiver, and gives the one before.
    ///
    /// ```
    /// let (sender, _) = whirligig::sync::watch::channel(1);
    /// assert_eq!(*sender.send_replace(2), 1);
    /// ```
    pub fn send_replace(&self, value: T) -> Ref<T> {
        let value = StdArc::new(value);
        let mut state = lock(&self.channel.state);
        let value = mem::replace(&mut state.value, value);
        let wakes = self.channel.announce(&mut state);
        drop(state);
        wakes.wake();
        Ref { value }
    }

    /// Changes the value.
    ///
    /// `change` is called with a clone of the value, which becomes the latest. If another value was sent meanwhile, it is
    /// called again with a clone of that. It may use the channel, and if it panics nothing has changed.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// sender.send_modify(|n| *n += 1);
    /// assert_eq!(*receiver.borrow(), 2);
    /// ```
    #[doc(alias = "update")]
    pub fn send_modify(&self, mut change: impl FnMut(&mut T))
    where
        T: Clone,
    {
        self.send_if_modified(|value| {
            change(value);
            true
        });
    }

    /// [`send_modify`](Self::send_modify), if `change` says `true`: otherwise its copy is dropped. Gives what it said.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// let raise = |to| sender.send_if_modified(|n| *n < to && { *n = to; true });
    /// assert!(raise(2) && !raise(1));
    /// assert_eq!(*receiver.borrow(), 2);
    /// ```
    pub fn send_if_modified(&self, mut change: impl FnMut(&mut T) -> bool) -> bool
    where
        T: Clone,
    {
        loop {
            let (value, version) = self.channel.look();
            let mut copy = T::clone(&value);
            drop(value);
            if !change(&mut copy) {
                return false;
            }
            let mut state = lock(&self.channel.state);
            if self.channel.version() & !CLOSED == version || seeded("watch_loses_an_update") {
                let (old, wakes) = self.channel.replace(&mut state, copy);
                drop(state);
                wakes.wake();
                old.discard();
                return true;
            }
        }
    }

    /// The latest value.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::watch::channel(1);
    /// assert_eq!(*sender.borrow(), 1);
    /// ```
    pub fn borrow(&self) -> Ref<T> {
        Ref { value: self.channel.look().0 }
    }

    /// Another receiver, which has seen the latest value.
    ///
    /// ```
    /// let (sender, _) = whirligig::sync::watch::channel(1);
    /// let receiver = sender.subscribe();
    /// sender.send(2).unwrap();
    /// assert!(receiver.has_changed().unwrap());
    /// ```
    pub fn subscribe(&self) -> Receiver<T> {
        Channel::subscribe(&self.channel)
    }

    /// How many receivers there are.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// let _other = receiver.clone();
    /// assert_eq!(sender.receiver_count(), 2);
    /// ```
    pub fn receiver_count(&self) -> usize {
        lock(&self.channel.state).receivers
    }

    /// Whether there is no receiver. One may come yet, by [`subscribe`](Self::subscribe).
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.receiver_count() == 0
    }

    /// Waits until there is no receiver.
    ///
    /// *Cancel safety*: nothing is lost by dropping it.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// drop(receiver);
    /// whirligig::run(async { sender.closed().await });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> Closed<'_, T> {
        Closed { channel: &self.channel, stage: Stage::New, location: Location::caller() }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        lock(&self.channel.state).senders += 1;
        Self { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel.state);
        state.senders -= 1;
        if state.senders != 0 {
            return;
        }
        self.channel.version.fetch_or(CLOSED, Ordering::AcqRel);
        let wakes = Wakes::all([&mut state.receiving]);
        drop(state);
        wakes.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.debug("Sender", f)
    }
}

/// A receiving end, which remembers which value it has seen. See [`channel`].
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// The version it has seen, without [`CLOSED`].
    seen: u64,
}

impl<T> Receiver<T> {
    /// The latest value. Whether it counts as seen is as it was.
    ///
    /// ```
    /// let (_sender, receiver) = whirligig::sync::watch::channel(1);
    /// assert_eq!(*receiver.borrow(), 1);
    /// ```
    pub fn borrow(&self) -> Ref<T> {
        Ref { value: self.channel.look().0 }
    }

    /// The latest value, which counts as seen from now on.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// assert_eq!(*receiver.borrow_and_update(), 2);
    /// assert!(!receiver.has_changed().unwrap());
    /// ```
    pub fn borrow_and_update(&mut self) -> Ref<T> {
        let (value, version) = self.channel.look();
        self.seen = version;
        Ref { value }
    }

    /// Whether there is a value that was not seen.
    ///
    /// # Errors
    /// [`RecvError`] if there is none, and none will come: the senders are gone.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::watch::channel(1);
    /// assert!(!receiver.has_changed().unwrap());
    /// drop(sender);
    /// assert!(receiver.has_changed().is_err());
    /// ```
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        self.channel.news(self.seen).map_or(Ok(false), |news| news.map(|_| true))
    }

    /// Waits for a value that was not seen; then the latest counts as seen. Of values that follow each other fast only the
    /// last may be noticed.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has seen nothing.
    ///
    /// # Errors
    /// [`RecvError`] if the latest value was seen, and no other will come: the senders are gone.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::watch::channel(1);
    /// sender.send(2).unwrap();
    /// drop(sender);
    /// whirligig::run(async {
    ///     assert!(receiver.changed().await.is_ok());
    ///     assert!(receiver.changed().await.is_err());
    /// });
    /// ```
    #[track_caller]
    pub fn changed(&mut self) -> Changed<'_, T> {
        Changed { receiver: self, stage: Stage::New, location: Location::caller() }
    }

    /// Waits for a value of which `condition` is true, the present one included, and gives it. What it was asked about
    /// counts as seen.
    ///
    /// *Cancel safety*: dropped, the future has seen the values that `condition` was asked about.
    ///
    /// # Errors
    /// [`RecvError`] if it is not true of the latest value, and no other will come: the senders are gone.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::watch::channel(1);
    /// sender.send(8).unwrap();
    /// whirligig::run(async {
    ///     assert_eq!(*receiver.wait_for(|n| *n > 5).await.unwrap(), 8);
    /// });
    /// ```
    #[track_caller]
    pub fn wait_for<F: FnMut(&T) -> bool>(&mut self, condition: F) -> WaitFor<'_, T, F> {
        WaitFor {
            receiver: self,
            condition,
            stage: Stage::New,
            looked: false,
            location: Location::caller(),
        }
    }
}

/// Another receiver, which has seen what this one has.
impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        let mut other = Channel::subscribe(&self.channel);
        other.seen = self.seen;
        other
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let mut state = lock(&self.channel.state);
        state.receivers -= 1;
        if state.receivers != 0 {
            return;
        }
        let wakes = Wakes::all([&mut state.sending]);
        drop(state);
        wakes.wake();
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.debug("Receiver", f)
    }
}

impl<T> Channel<T> {
    /// Asks nothing of the value.
    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        let (senders, receivers) = (state.senders, state.receivers);
        let waiting = state.receiving.len() + state.sending.len();
        drop(state);
        f.debug_struct(name)
            .field("id", &self.id)
            .field("version", &(self.version() / NEXT))
            .field("senders", &senders)
            .field("receivers", &receivers)
            .field("waiting", &waiting)
            .finish()
    }
}

/// A value of a watch channel: the latest when it was asked for.
///
/// It is a counted reference, and no guard: keep it as long as you like, others send meanwhile. The value is
/// dropped with the last reference.
pub struct Ref<T> {
    value: StdArc<T>,
}

impl<T> Deref for Ref<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Clone for Ref<T> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone() }
    }
}

impl<T: fmt::Debug> fmt::Debug for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Ref<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// The future of [`Receiver::changed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed<'a, T> {
    receiver: &'a mut Receiver<T>,
    stage: Stage,
    location: &'static Location<'static>,
}

impl<T> Future for Changed<'_, T> {
    type Output = Result<(), RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver: Receiver { channel, seen }, stage, location } = self.get_mut();
        channel.poll_news(cx, seen, stage, location)
    }
}

impl<T> Drop for Changed<'_, T> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = lock(&self.receiver.channel.state).receiving.remove(key);
            discard(waiter);
        }
    }
}

impl<T> fmt::Debug for Changed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::wait_for`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct WaitFor<'a, T, F> {
    receiver: &'a mut Receiver<T>,
    condition: F,
    stage: Stage,
    /// The condition was asked about the latest value seen.
    looked: bool,
    location: &'static Location<'static>,
}

// The condition is called, never pinned.
impl<T, F> Unpin for WaitFor<'_, T, F> {}

impl<T, F: FnMut(&T) -> bool> Future for WaitFor<'_, T, F> {
    type Output = Result<Ref<T>, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, condition, stage, looked, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        loop {
            if !mem::replace(looked, true) {
                let value = receiver.borrow_and_update();
                if condition(&value) {
                    *stage = Stage::Done;
                    this_poll::charge();
                    return Poll::Ready(Ok(value));
                }
                *stage = Stage::New;
            }
            let Receiver { channel, seen } = &mut **receiver;
            ready!(channel.poll_news(cx, seen, stage, location))?;
            *looked = false;
        }
    }
}

impl<T, F> Drop for WaitFor<'_, T, F> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = lock(&self.receiver.channel.state).receiving.remove(key);
            discard(waiter);
        }
    }
}

impl<T, F> fmt::Debug for WaitFor<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitFor").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Sender::closed`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Closed<'a, T> {
    channel: &'a Channel<T>,
    stage: Stage,
    location: &'static Location<'static>,
}

impl<T> Closed<'_, T> {
    fn step(channel: &Channel<T>, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<()> {
        let mut state = lock(&channel.state);
        let may_go = match *stage {
            Stage::New => state.receivers == 0,
            // Served, though another has subscribed since.
            Stage::Waiting(key) => state.sending.is_woken(key),
            Stage::Done => false,
        };
        if !may_go {
            return wait(&mut state.sending, stage, offer);
        }
        *stage = Stage::Done;
        Step::Ready((), Wakes::Nothing)
    }
}

impl<T> Future for Closed<'_, T> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { channel, stage, location } = self.get_mut();
        ready!(this_poll::poll_budget(cx, location));
        poll_wait(
            cx,
            location,
            || this_poll::note_on(WaitsFor::Signal, WaitsOn::Channel(channel.id), location),
            |offer| Self::step(channel, stage, offer),
        )
    }
}

impl<T> Drop for Closed<'_, T> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = lock(&self.channel.state).sending.remove(key);
            discard(waiter);
        }
    }
}

impl<T> fmt::Debug for Closed<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Closed").field("location", self.location).finish_non_exhaustive()
    }
}

/// There is no receiver, and here is the value back. The error of [`Sender::send`].
///
/// ```
/// use whirligig::sync::watch::{self, SendError};
///
/// let (sender, receiver) = watch::channel(1);
/// drop(receiver);
/// assert_eq!(sender.send(2), Err(SendError(2)));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("SendError", self, f)
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel has no receiver")
    }
}

impl<T> Error for SendError<T> {}

/// The senders are gone, and the latest value was seen. The error of [`Receiver::changed`].
///
/// ```
/// use whirligig::sync::watch::{self, RecvError};
///
/// let (sender, mut receiver) = watch::channel(1);
/// drop(sender);
/// whirligig::run(async { assert_eq!(receiver.changed().await, Err(RecvError)) });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RecvError;

impl fmt::Debug for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("RecvError", self, f)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel has no sender any more, and its last value was seen")
    }
}

impl Error for RecvError {}
