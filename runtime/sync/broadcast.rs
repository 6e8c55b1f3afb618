//! A channel of which each receiver gets every value.
//!
//! The values are in a ring behind a lock, in the order in which they were sent. Each is behind a counted pointer, beside
//! the number of receivers that have not had it. A receiver is a position: it clones the pointer out of the ring, and
//! the value itself with the lock released; the last one takes the value instead. The ring holds a given number of
//! values and no more: a value that comes when it is full drives the oldest out, and the receivers that have not had
//! that one *lag*, which they are told.
//!
//! ```text
//!              first                                  first + ring.len()
//!                v                                            v
//!   driven out | value, left 1 | value, left 2 | value, left 3 |   to come
//!                ^               ^               ^
//!              A's next        B's next        C's next
//! ```
//!
//! What must hold: `left` of a value is the number of receivers whose next is at or before it; who finds no value, with the
//! lock, is in the list before the next comes; values and wakers, which are user code, are cloned, woken and dropped
//! with the lock released.
//!
//! **Alternative:** the crate `async-broadcast`, which is well kept and runs on any runtime: there a full ring can make
//! senders wait instead. But its waits are seen in no dump and take no part in the budget, and it clones values with its
//! lock held.

use std::{
    collections::VecDeque,
    error::Error,
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll, ready},
};

use futures_core::Stream;

use crate::engine::{
    base::{
        error::debug_error,
        id::draw_object_id,
        location::{WaitsFor, WaitsOn},
        primitives::{Arc, Mutex, lock, seeded},
        this_poll, user_code,
    },
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
        thread::wait_on_thread,
        wait_list::{WaitList, discard},
    },
};

/// Makes a channel whose ring holds the last `capacity` values, and the two ends to begin with. More of either come by
/// [`Sender::clone`] and [`Sender::subscribe`].
///
/// # Panics
/// If `capacity` is 0.
///
/// ```
/// use whirligig::{spawn, sync::broadcast};
///
/// whirligig::run(async {
///     let (sender, mut first) = broadcast::channel(8);
///     let mut second = sender.subscribe();
///     let task = spawn(async move { (first.recv().await, first.recv().await) });
///     sender.send("news").unwrap();
///     drop(sender);
///     assert_eq!(second.recv().await, Ok("news"));
///     assert_eq!(task.await.unwrap(), (Ok("news"), Err(broadcast::RecvError::Closed)));
/// });
/// ```
#[doc(alias("broadcast", "PubSub"))]
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!(capacity != 0, "a ring of 0 values would lose each: ask for 1 or more");
    let state = State {
        ring: VecDeque::new(),
        first: 0,
        capacity,
        senders: 1,
        receivers: 1,
        waiting: WaitList::new(),
    };
    let channel = Arc::new(Channel { id: draw_object_id(), state: Mutex::new(state) });
    let receiver = Receiver {
        channel: channel.clone(),
        next: 0,
        stage: Stage::New,
        location: Location::caller(),
    };
    (Sender { channel }, receiver)
}

struct Channel<T> {
    id: u64,
    state: Mutex<State<T>>,
}

struct State<T> {
    ring: VecDeque<Slot<T>>,
    /// The position of the first value in the ring. Positions are never used again.
    first: u64,
    capacity: usize,
    senders: usize,
    receivers: usize,
    /// Receivers.
    waiting: WaitList,
}

struct Slot<T> {
    /// Until the last receiver took it.
    value: Option<StdArc<T>>,
    /// How many receivers have not had it.
    left: usize,
}

/// What a receiver finds.
enum Found<T> {
    Value(StdArc<T>),
    Lagged(u64),
    Closed,
}

impl<T> State<T> {
    /// The position of the next value to come.
    fn end(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// What is there for the receiver of this position, which goes on.
    fn find(&mut self, next: &mut u64) -> Option<Found<T>> {
        if *next < self.first {
            let lost = self.first - *next;
            *next = self.first;
            return Some(Found::Lagged(lost));
        }
        let Some(slot) = self.ring.get_mut((*next - self.first) as usize) else {
            return (self.senders == 0).then_some(Found::Closed);
        };
        *next += 1;
        let value = slot.take().expect("a value stays until all have had it");
        self.drop_front();
        Some(Found::Value(value))
    }

    /// Takes the slots out at the front that all have had. They are empty.
    fn drop_front(&mut self) {
        while self.ring.pop_front_if(|slot| slot.left == 0).is_some() {
            self.first += 1;
        }
    }
}

impl<T> Slot<T> {
    /// The value for one more receiver, the value itself for the last.
    fn take(&mut self) -> Option<StdArc<T>> {
        self.left -= 1;
        if self.left == 0 { self.value.take() } else { self.value.clone() }
    }
}

/// Drops a value that not all have had. With the lock released.
fn discard_value<T>(value: Option<StdArc<T>>) {
    user_code::discard_value("a value of a broadcast channel", value);
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
    /// Sends `value` to all receivers there are, and says how many. Never waits: in a full ring it drives the oldest
    /// value out.
    ///
    /// # Errors
    /// [`SendError`] with the value, if there is no receiver.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::broadcast::channel(8);
    /// assert_eq!(sender.send(1), Ok(1));
    /// drop(receiver);
    /// assert_eq!(sender.send(2).unwrap_err().0, 2);
    /// ```
    #[doc(alias("publish", "notify_all"))]
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let mut state = lock(&self.channel.state);
        let receivers = state.receivers;
        if receivers == 0 {
            return Err(SendError(value));
        }
        let mut driven_out = None;
        if state.ring.len() == state.capacity {
            driven_out = state.ring.pop_front().and_then(|slot| slot.value);
            state.first += 1;
        }
        state.ring.push_back(Slot { value: Some(StdArc::new(value)), left: receivers });
        let in_silence = seeded("broadcast_sends_in_silence");
        let wakes = if in_silence { Wakes::Nothing } else { Wakes::all([&mut state.waiting]) };
        drop(state);
        wakes.wake();
        discard_value(driven_out);
        Ok(receivers)
    }

    /// Another receiver. It gets what is sent from now on.
    ///
    /// ```
    /// let (sender, _) = whirligig::sync::broadcast::channel(8);
    /// let mut receiver = sender.subscribe();
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    #[track_caller]
    pub fn subscribe(&self) -> Receiver<T> {
        Channel::subscribe(&self.channel, Location::caller())
    }

    /// How many receivers there are.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::broadcast::channel::<u8>(8);
    /// assert_eq!(sender.receiver_count(), 1);
    /// ```
    pub fn receiver_count(&self) -> usize {
        lock(&self.channel.state).receivers
    }

    /// How many values are in the ring that some receiver has not had.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::broadcast::channel(8);
    /// sender.send(1).unwrap();
    /// assert_eq!(sender.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        lock(&self.channel.state).ring.len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::broadcast::channel::<u8>(8);
    /// assert!(sender.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Channel<T> {
    // A method of loom's `Arc` it cannot be.
    fn subscribe(channel: &Arc<Self>, location: &'static Location<'static>) -> Receiver<T> {
        let mut state = lock(&channel.state);
        state.receivers += 1;
        let next = state.end();
        drop(state);
        Receiver { channel: channel.clone(), next, stage: Stage::New, location }
    }

    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        let (len, capacity, waiting) = (state.ring.len(), state.capacity, state.waiting.len());
        let (senders, receivers) = (state.senders, state.receivers);
        drop(state);
        f.debug_struct(name)
            .field("id", &self.id)
            .field("len", &len)
            .field("capacity", &capacity)
            .field("senders", &senders)
            .field("receivers", &receivers)
            .field("waiting", &waiting)
            .finish()
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
        let wakes = Wakes::all([&mut state.waiting]);
        drop(state);
        wakes.wake();
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.debug("Sender", f)
    }
}

/// A receiving end: it gets every value sent since it came. See [`channel`].
///
/// It is a `Stream` too, of the values, with [`Lagged`] in the place of those that it was too slow for.
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// The position of the value that it gets next.
    next: u64,
    /// How far the present wait has come: that of a `recv`, or of the stream.
    stage: Stage,
    /// Where it was made.
    location: &'static Location<'static>,
}

impl<T> Receiver<T> {
    /// Another receiver. It gets what is sent from now on.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::broadcast::channel(8);
    /// sender.send(1).unwrap();
    /// let mut other = receiver.resubscribe();
    /// assert!(other.try_recv().is_err(), "the 1 was before it");
    /// ```
    #[track_caller]
    pub fn resubscribe(&self) -> Self {
        Channel::subscribe(&self.channel, Location::caller())
    }

    /// How many values are there for this receiver, those that were driven out included.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::broadcast::channel(1);
    /// sender.send(1).unwrap();
    /// sender.send(2).unwrap();
    /// assert_eq!(receiver.len(), 2);
    /// ```
    pub fn len(&self) -> usize {
        (lock(&self.channel.state).end() - self.next) as usize
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(whirligig::sync::broadcast::channel::<u8>(8).1.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Receiver<T> {
    /// The next value.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has received nothing.
    ///
    /// # Errors
    /// [`RecvError::Lagged`] with a number of values that were driven out before this receiver had them: what comes next
    /// is the oldest that is left. [`RecvError::Closed`] if all was received and the senders are gone.
    ///
    /// # Panics
    /// The future panics if polled after it was ready. If `T::clone` panics, so does it, and the value counts as received.
    ///
    /// ```
    /// use whirligig::sync::broadcast::{self, RecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(2);
    /// for n in 1..=3 {
    ///     sender.send(n).unwrap();
    /// }
    /// whirligig::run(async {
    ///     assert_eq!(receiver.recv().await, Err(RecvError::Lagged(1)));
    ///     assert_eq!(receiver.recv().await, Ok(2));
    /// });
    /// ```
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self, done: false, location: Location::caller() }
    }

    /// The next value, if it is there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it is not; otherwise as [`recv`](Self::recv).
    ///
    /// ```
    /// use whirligig::sync::broadcast::{self, TryRecvError};
    ///
    /// let (sender, mut receiver) = broadcast::channel(8);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// sender.send(1).unwrap();
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let found = lock(&self.channel.state).find(&mut self.next);
        found.ok_or(TryRecvError::Empty)?.into_result().map_err(|error| match error {
            RecvError::Closed => TryRecvError::Closed,
            RecvError::Lagged(lost) => TryRecvError::Lagged(lost),
        })
    }

    /// [`recv`](Self::recv) for a thread that runs no tasks: it blocks the thread.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    ///
    /// # Panics
    /// Where tasks wait for this thread, if there is no value.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::broadcast::channel(8);
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// sender.send(1).unwrap();
    /// assert_eq!(thread.join().unwrap(), Ok(1));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        let advice = "`broadcast::Receiver::blocking_recv` would stop the tasks of this thread: await `recv`, or call \
                      it inside `task::block_in_place` or `task::spawn_blocking`";
        wait_on_thread(advice, self.recv())
    }

    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<Result<T, RecvError>> {
        ready!(this_poll::poll_budget(cx, location));
        let Self { channel, next, stage, .. } = self;
        let found = ready!(poll_wait(
            cx,
            location,
            || this_poll::note_on(WaitsFor::Value, WaitsOn::Channel(channel.id), location),
            |offer| lock(&channel.state).step(next, stage, offer),
        ));
        Poll::Ready(found.into_result())
    }
}

impl<T> State<T> {
    fn step(&mut self, next: &mut u64, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<Found<T>> {
        if let Stage::Waiting(key) = *stage {
            if !self.waiting.is_woken(key) {
                return wait(&mut self.waiting, stage, offer);
            }
            // What it was woken for may have been received by `try_recv` since.
            *stage = Stage::New;
        }
        match self.find(next) {
            Some(found) => Step::Ready(found, Wakes::Nothing),
            None => wait(&mut self.waiting, stage, offer),
        }
    }
}

impl<T: Clone> Found<T> {
    /// With the lock released.
    fn into_result(self) -> Result<T, RecvError> {
        match self {
            // The last to have it takes it, unless another is just cloning it.
            Self::Value(value) => Ok(StdArc::unwrap_or_clone(value)),
            Self::Lagged(lost) => Err(RecvError::Lagged(lost)),
            Self::Closed => Err(RecvError::Closed),
        }
    }
}

impl<T> Receiver<T> {
    /// Ends the present wait, if there is one.
    fn leave_list(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.stage = Stage::New;
            let waiter = lock(&self.channel.state).waiting.remove(key);
            discard(waiter);
        }
    }
}

/// The values that only it has not had are dropped.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave_list();
        let mut state = lock(&self.channel.state);
        state.receivers -= 1;
        let from = self.next.saturating_sub(state.first) as usize;
        let rest = state.ring.iter_mut().skip(from);
        let had = if seeded("broadcast_leaves_values_behind") {
            Vec::new()
        } else {
            rest.map(Slot::take).collect()
        };
        state.drop_front();
        drop(state);
        had.into_iter().for_each(discard_value);
    }
}

impl<T: Clone> Stream for Receiver<T> {
    type Item = Result<T, Lagged>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let location = this.location;
        this.poll_recv(cx, location).map(|received| match received {
            Ok(value) => Some(Ok(value)),
            Err(RecvError::Lagged(lost)) => Some(Err(Lagged(lost))),
            Err(RecvError::Closed) => None,
        })
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.debug("Receiver", f)
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
    done: bool,
    location: &'static Location<'static>,
}

impl<T: Clone> Future for Recv<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { receiver, done, location } = self.get_mut();
        assert!(!*done, "the future made at {location} was polled after it was ready");
        let received = ready!(receiver.poll_recv(cx, location));
        *done = true;
        Poll::Ready(received)
    }
}

impl<T> Drop for Recv<'_, T> {
    fn drop(&mut self) {
        self.receiver.leave_list();
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("location", self.location).finish_non_exhaustive()
    }
}

/// There is no receiver, and here is the value back. The error of [`Sender::send`].
///
/// ```
/// use whirligig::sync::broadcast::{self, SendError};
///
/// let (sender, receiver) = broadcast::channel(8);
/// drop(receiver);
/// assert_eq!(sender.send("news"), Err(SendError("news")));
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

/// So many values were driven out before the receiver had them: it was too slow. An item of the `Stream` of a
/// [`Receiver`].
///
/// ```
/// use futures_util::StreamExt;
/// use whirligig::sync::broadcast::{self, Lagged};
///
/// let (sender, receiver) = broadcast::channel(1);
/// sender.send(1).unwrap();
/// sender.send(2).unwrap();
/// drop(sender);
/// let items = whirligig::run(receiver.collect::<Vec<_>>());
/// assert_eq!(items, [Err(Lagged(1)), Ok(2)]);
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Lagged(pub u64);

impl fmt::Debug for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("Lagged", self, f)
    }
}

impl fmt::Display for Lagged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the receiver was too slow and missed {} values", self.0)
    }
}

impl Error for Lagged {}

/// Why [`Receiver::recv`] has no value.
///
/// ```
/// use whirligig::sync::broadcast::{self, RecvError};
///
/// let (sender, mut receiver) = broadcast::channel::<u8>(8);
/// drop(sender);
/// whirligig::run(async { assert_eq!(receiver.recv().await, Err(RecvError::Closed)) });
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RecvError {
    /// All was received, and the senders are gone.
    Closed,
    /// So many values were driven out before the receiver had them. What comes next is the oldest that is left.
    Lagged(u64),
}

impl fmt::Debug for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Closed => "Closed",
            Self::Lagged(_) => "Lagged",
        };
        debug_error(variant, self, f)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("all was received, and the channel has no sender any more"),
            Self::Lagged(lost) => Lagged(*lost).fmt(f),
        }
    }
}

impl Error for RecvError {}

/// Why [`Receiver::try_recv`] has no value.
///
/// ```
/// use whirligig::sync::broadcast::{self, TryRecvError};
///
/// let (_sender, mut receiver) = broadcast::channel::<u8>(8);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is none now.
    Empty,
    /// All was received, and the senders are gone.
    Closed,
    /// So many values were driven out before the receiver had them. What comes next is the oldest that is left.
    Lagged(u64),
}

impl fmt::Debug for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Empty => "Empty",
            Self::Closed => "Closed",
            Self::Lagged(_) => "Lagged",
        };
        debug_error(variant, self, f)
    }
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("there is no value now"),
            Self::Closed => RecvError::Closed.fmt(f),
            Self::Lagged(lost) => Lagged(*lost).fmt(f),
        }
    }
}

impl Error for TryRecvError {}
