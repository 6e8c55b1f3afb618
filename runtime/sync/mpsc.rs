//! A channel: many ends that send, one that receives.
//!
//! It is a [`Queue`] with its two sides taken apart, and all that waits does so in the queue's lines.
//! What is added is who may do what, by type, and the end: when the last sender is gone the queue is closed, and
//! what is in it can still be received; when the receiver is gone, what is in it is dropped, and sends fail.
//!
//! What must hold: of a count of senders that comes to nothing the queue is told once; a receiver has one turn in the
//! queue's line, whether a `recv` or the stream waits, so that no item is promised to a wait that was given up.
//!
//! **Alternative:** a list of blocks without a lock, as tokio has it. It is the faster where several threads send at
//! once, and is a second queue with a second set of rules to check. Or a crate, as `async-channel`, `flume` or `kanal`: their
//! waits are seen in no dump and take no part in the budget.

use std::{
    error::Error,
    fmt,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;

use crate::{
    engine::{
        base::{
            error::debug_error,
            primitives::{Arc, AtomicUsize, Ordering, seeded},
        },
        waiting::{leaf::Stage, thread::wait_on_thread},
    },
    queue::{self, PutError, Queue, QueueSink, TryGetError, TryPutError},
    sync::event::{Event, EventWait},
};

/// Makes a channel that holds at most `capacity` items: a [`send`](Sender::send) waits while it is full.
///
/// # Panics
/// If `capacity` is 0. (trio's `open_memory_channel(0)`, a hand-over, is a channel of 1 and a `oneshot` for the answer.)
///
/// ```
/// use whirligig::{spawn, sync::mpsc};
///
/// whirligig::run(async {
///     let (sender, mut receiver) = mpsc::channel(2);
///     for n in 1..=2 {
///         let sender = sender.clone();
///         drop(spawn(async move { sender.send(n).await.unwrap() }));
///     }
///     drop(sender);
///     let mut sum = 0;
///     while let Some(n) = receiver.recv().await {
///         sum += n;
///     }
///     assert_eq!(sum, 3);
/// });
/// ```
#[doc(alias("open_memory_channel", "MemoryObjectStream"))]
#[track_caller]
pub fn channel<T>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    ends(Queue::bounded(capacity), Location::caller())
}

/// Makes a channel that always has room: a [`send`](Sender::send) is ready at once, and [`try_send`](Sender::try_send) never
/// finds it full.
///
/// ```
/// let (sender, mut receiver) = whirligig::sync::mpsc::unbounded();
/// sender.try_send(1).unwrap();
/// assert_eq!(receiver.try_recv(), Ok(1));
/// ```
#[doc(alias("unbounded_channel", "UnboundedSender", "UnboundedReceiver"))]
#[track_caller]
pub fn unbounded<T>() -> (Sender<T>, Receiver<T>) {
    ends(Queue::unbounded(), Location::caller())
}

fn ends<T>(queue: Queue<T>, location: &'static Location<'static>) -> (Sender<T>, Receiver<T>) {
    let channel = Channel { queue, senders: AtomicUsize::new(1), closed: Event::new() };
    let channel = Arc::new(channel);
    (Sender { channel: channel.clone() }, Receiver { channel, stage: Stage::New, location })
}

struct Channel<T> {
    queue: Queue<T>,
    senders: AtomicUsize,
    /// The receiver takes nothing in any more.
    closed: Event,
}

impl<T> Channel<T> {
    fn debug(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("queue", &self.queue)
            .field("senders", &self.senders.load(Ordering::Relaxed))
            .finish()
    }
}

// The queue is whole at each step, and so is a count.
impl<T> UnwindSafe for Sender<T> {}
impl<T> RefUnwindSafe for Sender<T> {}
impl<T> UnwindSafe for Receiver<T> {}
impl<T> RefUnwindSafe for Receiver<T> {}

/// A sending end. Clone it for each task that sends; when the last is dropped, the channel ends. See [`channel`].
#[doc(alias = "MemorySendChannel")]
pub struct Sender<T> {
    channel: Arc<Channel<T>>,
}

impl<T> Sender<T> {
    /// Sends `item`, as soon as there is room. First come, first served.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has sent nothing, and drops `item` with it. Where the item
    /// must survive, [`reserve`](Self::reserve) room first.
    ///
    /// # Errors
    /// [`SendError`] with the item, if the receiver is gone or closes.
    ///
    /// # Panics
    /// The future panics if polled after it was ready; so do those of the other methods.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::channel(1);
    /// whirligig::run(async { sender.send("letter").await.unwrap() });
    /// assert_eq!(receiver.try_recv(), Ok("letter"));
    /// ```
    #[doc(alias = "put")]
    #[inline]
    #[track_caller]
    pub fn send(&self, item: T) -> Send<'_, T> {
        Send { put: self.channel.queue.put(item) }
    }

    /// Sends `item`, if there is room now.
    ///
    /// # Errors
    /// [`TrySendError`] with the item: the channel is full, or the receiver is gone or has closed.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::mpsc::channel(1);
    /// assert!(sender.try_send(1).is_ok());
    /// assert_eq!(sender.try_send(2).unwrap_err().into_inner(), 2);
    /// ```
    #[doc(alias("send_nowait", "put_nowait"))]
    #[inline]
    pub fn try_send(&self, item: T) -> Result<(), TrySendError<T>> {
        self.channel.queue.try_put(item).map_err(|error| match error {
            TryPutError::Full(item) => TrySendError::Full(item),
            TryPutError::Closed(item) => TrySendError::Closed(item),
        })
    }

    /// [`send`](Self::send) for a thread that runs no tasks: it blocks the thread.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    ///
    /// # Panics
    /// Where tasks wait for this thread, if there is no room.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::channel(1);
    /// let thread = std::thread::spawn(move || (1..=3).for_each(|n| sender.blocking_send(n).unwrap()));
    /// let sum = whirligig::run(async {
    ///     let mut sum = 0;
    ///     while let Some(n) = receiver.recv().await {
    ///         sum += n;
    ///     }
    ///     sum
    /// });
    /// assert_eq!(sum, 6);
    /// # thread.join().unwrap();
    /// ```
    #[track_caller]
    pub fn blocking_send(&self, item: T) -> Result<(), SendError<T>> {
        let advice = "`mpsc::Sender::blocking_send` would stop the tasks of this thread: await `send`, or call it \
                      inside `task::block_in_place` or `task::spawn_blocking`";
        match self.try_send(item) {
            Ok(()) => Ok(()),
            Err(TrySendError::Closed(item)) => Err(SendError(item)),
            Err(TrySendError::Full(item)) => wait_on_thread(advice, self.send(item)),
        }
    }

    /// Waits for room before there is an item for it, and keeps it.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has reserved nothing.
    ///
    /// # Errors
    /// [`SendError`], if the receiver is gone or closes.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::channel(1);
    /// whirligig::run(async {
    ///     let permit = sender.reserve().await.unwrap();
    ///     assert!(sender.try_send("another").is_err(), "the room is taken");
    ///     permit.send("letter").unwrap();
    /// });
    /// assert_eq!(receiver.try_recv(), Ok("letter"));
    /// ```
    #[track_caller]
    pub fn reserve(&self) -> Reserve<'_, T> {
        Reserve { sink: Some(self.channel.queue.sink()), location: Location::caller() }
    }

    /// Whether nothing is received any more: the receiver is gone, or has closed.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::mpsc::channel::<u8>(1);
    /// drop(receiver);
    /// assert!(sender.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.channel.queue.is_closed()
    }

    /// Waits until nothing is received any more: the receiver is gone, or has closed. To stop making items that nobody
    /// takes.
    ///
    /// *Cancel safety*: nothing is lost by dropping it.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::mpsc::channel::<u8>(1);
    /// drop(receiver);
    /// whirligig::run(async { sender.closed().await });
    /// ```
    #[track_caller]
    pub fn closed(&self) -> EventWait<'_> {
        self.channel.closed.wait()
    }

    /// The most items the channel holds; `None` if it is unbounded.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::mpsc::channel::<u8>(8);
    /// assert_eq!(sender.max_capacity(), Some(8));
    /// ```
    pub fn max_capacity(&self) -> Option<usize> {
        self.channel.queue.capacity()
    }

    /// Whether the other sends to the same receiver.
    ///
    /// ```
    /// let (sender, _receiver) = whirligig::sync::mpsc::channel::<u8>(1);
    /// assert!(sender.same_channel(&sender.clone()));
    /// ```
    pub fn same_channel(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.channel, &other.channel)
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.channel.senders.fetch_add(1, Ordering::Relaxed);
        Self { channel: self.channel.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        // What the others sent comes before the end.
        if self.channel.senders.fetch_sub(1, Ordering::AcqRel) == 1 && !seeded("mpsc_never_ends") {
            self.channel.queue.close();
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.debug("Sender", f)
    }
}

/// The receiving end. See [`channel`].
///
/// It is a `Stream` too, which ends with the channel.
#[doc(alias = "MemoryReceiveChannel")]
pub struct Receiver<T> {
    channel: Arc<Channel<T>>,
    /// How far the present wait has come: that of a `recv`, or of the stream.
    stage: Stage,
    /// Where it was made.
    location: &'static Location<'static>,
}

impl<T> Receiver<T> {
    /// The next item; `None` if there is none and none will come: all senders are gone, or this receiver has closed.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has received nothing.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::channel(1);
    /// sender.try_send(1).unwrap();
    /// drop(sender);
    /// whirligig::run(async {
    ///     assert_eq!(receiver.recv().await, Some(1));
    ///     assert_eq!(receiver.recv().await, None);
    /// });
    /// ```
    #[doc(alias("receive", "get"))]
    #[inline]
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_, T> {
        Recv { receiver: self, done: false, location: Location::caller() }
    }

    /// The next item, if it is there.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if it may still come, [`TryRecvError::Closed`] if none will.
    ///
    /// ```
    /// use whirligig::sync::mpsc::{self, TryRecvError};
    ///
    /// let (sender, mut receiver) = mpsc::channel::<u8>(1);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
    /// drop(sender);
    /// assert_eq!(receiver.try_recv(), Err(TryRecvError::Closed));
    /// ```
    #[doc(alias("receive_nowait", "get_nowait"))]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        // What was promised to a wait of the stream is this receiver's too.
        self.leave_line();
        self.channel.queue.try_get().map_err(|error| match error {
            TryGetError::Empty => TryRecvError::Empty,
            TryGetError::Closed => TryRecvError::Closed,
        })
    }

    /// Waits for an item, and appends it to `buffer` with those that are there behind it, up to `limit`. Gives how many:
    /// 0 if none will come, or `limit` is 0.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has received nothing.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::unbounded();
    /// (1..=5).for_each(|n| sender.try_send(n).unwrap());
    /// let mut batch = Vec::new();
    /// whirligig::run(async { assert_eq!(receiver.recv_many(&mut batch, 3).await, 3) });
    /// assert_eq!(batch, [1, 2, 3]);
    /// ```
    #[track_caller]
    pub fn recv_many<'a>(&'a mut self, buffer: &'a mut Vec<T>, limit: usize) -> RecvMany<'a, T> {
        RecvMany { recv: self.recv(), buffer, limit }
    }

    /// [`recv`](Self::recv) for a thread that runs no tasks: it blocks the thread.
    ///
    /// # Panics
    /// Where tasks wait for this thread, if there is no item.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::channel(1);
    /// let thread = std::thread::spawn(move || receiver.blocking_recv());
    /// whirligig::run(async { sender.send(1).await.unwrap() });
    /// assert_eq!(thread.join().unwrap(), Some(1));
    /// ```
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Option<T> {
        let advice = "`mpsc::Receiver::blocking_recv` would stop the tasks of this thread: await `recv`, or call it \
                      inside `task::block_in_place` or `task::spawn_blocking`";
        match self.try_recv() {
            Ok(item) => Some(item),
            Err(TryRecvError::Closed) => None,
            Err(TryRecvError::Empty) => wait_on_thread(advice, self.recv()),
        }
    }

    /// Takes nothing in from now on: every send fails, those that wait and rooms that are reserved included. What
    /// was sent can still be received.
    ///
    /// ```
    /// let (sender, mut receiver) = whirligig::sync::mpsc::channel(1);
    /// sender.try_send(1).unwrap();
    /// receiver.close();
    /// assert!(sender.try_send(2).is_err());
    /// assert_eq!(receiver.try_recv(), Ok(1));
    /// ```
    #[doc(alias = "aclose")]
    pub fn close(&mut self) {
        self.channel.queue.close();
        self.channel.closed.set();
    }

    /// Whether nothing comes in any more: all senders are gone, or this receiver has closed. Items may be left.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::mpsc::channel::<u8>(1);
    /// drop(sender);
    /// assert!(receiver.is_closed());
    /// ```
    pub fn is_closed(&self) -> bool {
        self.channel.queue.is_closed()
    }

    /// How many items are there.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::mpsc::channel(1);
    /// sender.try_send(1).unwrap();
    /// assert_eq!(receiver.len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.channel.queue.len()
    }

    /// Whether [`len`](Self::len) is 0.
    ///
    /// ```
    /// assert!(whirligig::sync::mpsc::channel::<u8>(1).1.is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.channel.queue.is_empty()
    }

    #[inline]
    fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<Option<T>> {
        let got = ready!(self.channel.queue.poll_get(&mut self.stage, location, cx));
        self.stage = Stage::New;
        Poll::Ready(got.ok())
    }

    /// Ends the present wait, if there is one.
    fn leave_line(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.stage = Stage::New;
            self.channel.queue.cancel_get(key);
        }
    }
}

/// What was not received is dropped, each item by itself.
impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.leave_line();
        self.channel.queue.close_now();
        self.channel.closed.set();
    }
}

impl<T> Stream for Receiver<T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let location = this.location;
        this.poll_recv(cx, location)
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.channel.debug("Receiver", f)
    }
}

/// The future of [`Sender::send`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Send<'a, T> {
    put: queue::Put<'a, T>,
}

impl<T> Future for Send<'_, T> {
    type Output = Result<(), SendError<T>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let put = Pin::new(&mut self.get_mut().put);
        put.poll(cx).map_err(|PutError(item)| SendError(item))
    }
}

impl<T> fmt::Debug for Send<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Send").field(&self.put).finish()
    }
}

/// The future of [`Sender::reserve`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Reserve<'a, T> {
    /// Until it is ready.
    sink: Option<QueueSink<&'a Queue<T>>>,
    location: &'static Location<'static>,
}

impl<'a, T> Future for Reserve<'a, T> {
    type Output = Result<Permit<'a, T>, SendError<()>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { sink, location } = self.get_mut();
        let Some(waiting) = sink else {
            panic!("the future made at {location} was polled after it was ready")
        };
        let ready = ready!(Pin::new(waiting).poll_ready(cx));
        let sink = sink.take().expect("it was there just now");
        Poll::Ready(ready.map(|()| Permit { sink }).map_err(|_| SendError(())))
    }
}

impl<T> fmt::Debug for Reserve<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reserve").field("location", self.location).finish_non_exhaustive()
    }
}

/// Room in a channel for one item: see [`Sender::reserve`]. Dropped, it leaves the room to the next that waits.
#[must_use = "the room is kept until the permit is used or dropped"]
pub struct Permit<'a, T> {
    sink: QueueSink<&'a Queue<T>>,
}

impl<T> Permit<'_, T> {
    /// Sends `item`. Never waits.
    ///
    /// # Errors
    /// [`SendError`] with the item, if the receiver is gone or has closed since.
    ///
    /// ```
    /// let (sender, receiver) = whirligig::sync::mpsc::channel(1);
    /// whirligig::run(async {
    ///     let permit = sender.reserve().await.unwrap();
    ///     drop(receiver);
    ///     assert_eq!(permit.send("letter").unwrap_err().0, "letter");
    /// });
    /// ```
    pub fn send(mut self, item: T) -> Result<(), SendError<T>> {
        Pin::new(&mut self.sink).start_send(item).map_err(|PutError(item)| {
            SendError(item.expect("a sink that had room gives the item back"))
        })
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.sink).finish()
    }
}

/// The future of [`Receiver::recv`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct Recv<'a, T> {
    receiver: &'a mut Receiver<T>,
    done: bool,
    location: &'static Location<'static>,
}

impl<T> Future for Recv<'_, T> {
    type Output = Option<T>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let Self { receiver, done, location } = self.get_mut();
        assert!(!*done, "the future made at {location} was polled after it was ready");
        let received = ready!(receiver.poll_recv(cx, location));
        *done = true;
        Poll::Ready(received)
    }
}

impl<T> Drop for Recv<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.receiver.leave_line();
    }
}

impl<T> fmt::Debug for Recv<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`Receiver::recv_many`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct RecvMany<'a, T> {
    recv: Recv<'a, T>,
    buffer: &'a mut Vec<T>,
    limit: usize,
}

impl<T> Future for RecvMany<'_, T> {
    type Output = usize;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<usize> {
        let Self { recv, buffer, limit } = self.get_mut();
        if *limit == 0 {
            return Poll::Ready(0);
        }
        let Some(first) = ready!(Pin::new(&mut *recv).poll(cx)) else { return Poll::Ready(0) };
        let before = buffer.len();
        buffer.push(first);
        while buffer.len() - before < *limit
            && let Ok(next) = recv.receiver.try_recv()
        {
            buffer.push(next);
        }
        Poll::Ready(buffer.len() - before)
    }
}

impl<T> fmt::Debug for RecvMany<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMany").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// The receiver is gone or has closed, and here is the item back. The error of [`Sender::send`].
///
/// ```
/// use whirligig::sync::mpsc::{self, SendError};
///
/// let (sender, receiver) = mpsc::channel(1);
/// drop(receiver);
/// whirligig::run(async { assert_eq!(sender.send("letter").await, Err(SendError("letter"))) });
/// ```
#[doc(alias("BrokenResourceError", "ClosedResourceError"))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SendError<T>(pub T);

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("SendError", self, f)
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the channel's receiver is gone or has closed")
    }
}

impl<T> Error for SendError<T> {}

/// Why [`Sender::try_send`] did not take the item, which is inside.
///
/// ```
/// use whirligig::sync::mpsc::{self, TrySendError};
///
/// let (sender, _receiver) = mpsc::channel(1);
/// sender.try_send(1).unwrap();
/// assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
/// ```
#[doc(alias = "WouldBlock")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// There is no room, or what room there is has been promised to a `send` that waited for it.
    Full(T),
    /// The receiver is gone or has closed.
    Closed(T),
}

impl<T> TrySendError<T> {
    /// The item that was not taken.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variant = match self {
            Self::Full(_) => "Full",
            Self::Closed(_) => "Closed",
        };
        debug_error(variant, self, f)
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the channel is full",
            Self::Closed(_) => "the channel's receiver is gone or has closed",
        })
    }
}

impl<T> Error for TrySendError<T> {}

/// Why [`Receiver::try_recv`] has no item.
///
/// ```
/// use whirligig::sync::mpsc::{self, TryRecvError};
///
/// let (_sender, mut receiver) = mpsc::channel::<u8>(1);
/// assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
/// ```
#[doc(alias("EndOfChannel", "WouldBlock", "Disconnected"))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryRecvError {
    /// There is no item now.
    Empty,
    /// There is none, and none will come.
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
            Self::Empty => "the channel is empty",
            Self::Closed => "the channel is empty, and nothing will come",
        })
    }
}

impl Error for TryRecvError {}
