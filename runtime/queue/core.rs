//! The rules of the async queue: items, what waits, and what is promised to which waiter.
//!
//! Plain data behind `&mut`. `generic.rs` puts it into a shell, and adds nothing to the rules. Nothing here
//! clones, wakes or drops a waker, or drops an item: what must be woken or dropped is returned, and the
//! caller does it with the core let go. (The one exception: the heap of a priority queue compares items.)
//!
//! The rules rest on **promises**. When an item comes and getters wait, the first of them leaves the
//! list, is woken, and the item is promised to it: it stays in the queue, and nothing else may count
//! on it, until that getter is polled and takes it, or is dropped and the promise passes to the next.
//! Room for putters is promised in the same way. So nothing that comes later, `try_get` and `try_put`
//! included, overtakes what waited; and a cancelled future loses nothing. Promised is one of the items, not a certain
//! one: which, the order (`order.rs`) says when it is taken.
//!
//! What holds between any two calls:
//! - the getters woken for an item are as many as `promised_items`, at most `items.len()`;
//! - while a getter waits, every item is promised: a free item and a waiting getter are never side by side;
//! - the putters woken for room, and the sinks that have reserved it, are as many as `promised_room`, and `items.len() + promised_room` is
//!   at most `capacity`; while a putter waits it is equal;
//! - once closed, no putter waits and no room is promised; once closed and empty (*drained*, which it
//!   stays for ever), no getter waits;
//! - while a joiner waits, `unfinished` is not 0.
//!
//! **Alternative:** asyncio's, to wake the first waiter, promise nothing, and let it look again. There a
//! newcomer may take the item first, and the waiter goes to the end of the list whose head it was. Or
//! to hand the item itself to the waiter: then an item lives in a future that may be dropped at any
//! time, and must find its way back to the front of the queue.

use std::mem;

use super::{
    error::{GetError, PutError, TryGetError, TryPutError},
    order::Order,
};
use crate::engine::{
    base::primitives::seeded,
    waiting::{
        leaf::{Offer, Stage, Step, Wakes, wait},
        wait_list::{WaitKey, WaitList},
        waiter::Waiter,
    },
};

/// What `task_done` panics with.
pub(super) const TOO_OFTEN: &str = "`task_done` was called more often than items were put: call it \
                                    once for each item that was got";

/// No bound: more than any queue can hold.
const UNBOUNDED: usize = usize::MAX;

/// A queue's numbers at one moment.
///
/// ```
/// let queue = whirligig::queue::Queue::bounded(8);
/// queue.try_put('a').unwrap();
/// let stats = queue.stats();
/// assert_eq!((stats.len, stats.capacity, stats.unfinished), (1, Some(8), 1));
/// assert_eq!((stats.getters, stats.putters), (0, 0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Items in the queue, those promised to a woken `get` included.
    pub len: usize,
    /// The most items it holds; `None` if unbounded.
    pub capacity: Option<usize>,
    /// `get`s that wait. One that has been woken no longer does.
    pub getters: usize,
    /// `put`s that wait. One that has been woken no longer does.
    pub putters: usize,
    /// Items put for which `task_done` has not been called.
    pub unfinished: usize,
    /// Whether the queue is closed.
    pub closed: bool,
}

/// The queue without its shell.
pub(super) struct QueueCore<T, O: Order<T>> {
    items: O::Items,
    capacity: usize,
    /// How many items it takes in: the capacity, or 0 once it is closed.
    limit: usize,
    getters: WaitList,
    putters: WaitList,
    joiners: WaitList,
    promised_items: usize,
    promised_room: usize,
    unfinished: usize,
    closed: bool,
}

impl<T, O: Order<T>> QueueCore<T, O> {
    pub(super) fn unbounded() -> Self {
        Self {
            items: O::new(),
            capacity: UNBOUNDED,
            limit: UNBOUNDED,
            getters: WaitList::new(),
            putters: WaitList::new(),
            joiners: WaitList::new(),
            promised_items: 0,
            promised_room: 0,
            unfinished: 0,
            closed: false,
        }
    }

    #[track_caller]
    pub(super) fn bounded(capacity: usize) -> Self {
        assert!(
            capacity != 0,
            "a queue with a capacity of 0 could never take an item: use `bounded(1)` for the \
             tightest hand-over, or `unbounded()` for no limit (asyncio's `maxsize=0`)"
        );
        Self { capacity, limit: capacity, ..Self::unbounded() }
    }

    /// A step of a `put` that found no room at once. `item` is taken with the answer.
    #[inline]
    pub(super) fn put(
        &mut self,
        stage: &mut Stage,
        item: &mut Option<T>,
        offer: &mut Offer<'_>,
    ) -> Step<Result<(), PutError<T>>> {
        if !self.may_put(stage) {
            return wait(&mut self.putters, stage, offer);
        }
        if let Stage::Waiting(_) = mem::replace(stage, Stage::Done)
            && !self.closed
        {
            self.promised_room -= 1;
        }
        match item.take() {
            Some(item) if self.closed => Step::Ready(Err(PutError(item)), Wakes::Nothing),
            Some(item) => Step::Ready(Ok(()), self.push(item)),
            None => Step::Spent,
        }
    }

    /// A step of a sink that wants room: a `put` whose item is still to come. The room stays promised to it.
    pub(super) fn reserve(
        &mut self,
        stage: &mut Stage,
        offer: &mut Offer<'_>,
    ) -> Step<Result<(), PutError<()>>> {
        if !self.may_put(stage) {
            return wait(&mut self.putters, stage, offer);
        }
        let waited = mem::replace(stage, Stage::New);
        if self.closed {
            return Step::Ready(Err(PutError(())), Wakes::Nothing);
        }
        if let Stage::New = waited {
            self.promised_room += 1;
        }
        Step::Ready(Ok(()), Wakes::Nothing)
    }

    /// Takes in an item for which room was reserved.
    pub(super) fn put_reserved(&mut self, item: T) -> Result<Wakes, PutError<T>> {
        if self.closed {
            return Err(PutError(item));
        }
        self.promised_room -= 1;
        Ok(self.push(item))
    }

    /// Gives up room that was reserved: it is promised to the next that waits.
    pub(super) fn release_room(&mut self) -> Wakes {
        if self.closed {
            return Wakes::Nothing;
        }
        self.promised_room -= 1;
        if seeded("queue_dropped_sink_keeps_room") {
            return Wakes::Nothing;
        }
        self.promise_room()
    }

    /// Whether a `put` that has come so far need not wait.
    #[inline]
    fn may_put(&self, stage: &Stage) -> bool {
        match *stage {
            Stage::New => (self.has_room() || self.closed) && !seeded("queue_no_second_look"),
            Stage::Waiting(key) => self.putters.is_woken(key),
            Stage::Done => false,
        }
    }

    /// A step of a `get` that found no item at once.
    #[inline]
    pub(super) fn get(
        &mut self,
        stage: &mut Stage,
        offer: &mut Offer<'_>,
    ) -> Step<Result<T, GetError>> {
        // ANCHOR: get
        let may_go = match *stage {
            Stage::New => {
                (self.has_free_item() || self.is_drained()) && !seeded("queue_no_second_look")
            }
            Stage::Waiting(key) => self.getters.is_woken(key),
            Stage::Done => false,
        };
        if !may_go {
            return wait(&mut self.getters, stage, offer);
        }
        if let Stage::Waiting(_) = mem::replace(stage, Stage::Done)
            && !self.is_drained()
        {
            self.promised_items -= 1;
        }
        // END: get
        match self.take() {
            Some((item, wakes)) => Step::Ready(Ok(item), wakes),
            None => Step::Ready(Err(GetError), Wakes::Nothing),
        }
    }

    /// A step of a `join` that found items unfinished.
    #[inline]
    pub(super) fn join(&mut self, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<()> {
        let may_go = match *stage {
            Stage::New => self.unfinished == 0 && !seeded("queue_no_second_look"),
            Stage::Waiting(key) => self.joiners.is_woken(key),
            Stage::Done => false,
        };
        if !may_go {
            return wait(&mut self.joiners, stage, offer);
        }
        *stage = Stage::Done;
        Step::Ready((), Wakes::Nothing)
    }

    /// Whether there is room that is promised to no putter.
    #[inline]
    fn has_room(&self) -> bool {
        self.len() + self.promised_room < self.limit
    }

    /// Whether there is an item that is promised to no getter.
    #[inline]
    fn has_free_item(&self) -> bool {
        self.len() > self.promised_items
    }

    #[inline]
    pub(super) fn try_put(&mut self, item: T) -> Result<Wakes, TryPutError<T>> {
        if self.has_room() {
            Ok(self.push(item))
        } else if self.closed {
            Err(TryPutError::Closed(item))
        } else {
            Err(TryPutError::Full(item))
        }
    }

    #[inline]
    pub(super) fn try_get(&mut self) -> Result<(T, Wakes), TryGetError> {
        if self.has_free_item() || seeded("queue_try_get_overtakes") {
            self.take().ok_or(TryGetError::Empty)
        } else if self.is_drained() {
            Err(TryGetError::Closed)
        } else {
            Err(TryGetError::Empty)
        }
    }

    /// Ends a `put` that is dropped. If it was not woken yet, its waiter comes back to be discarded;
    /// else the room promised to it is promised to the next.
    pub(super) fn cancel_put(&mut self, key: WaitKey) -> (Option<Waiter>, Wakes) {
        let waiter = self.putters.remove(key);
        if waiter.is_some() || self.closed {
            return (waiter, Wakes::Nothing);
        }
        self.promised_room -= 1;
        if seeded("queue_cancelled_put_keeps_room") {
            return (None, Wakes::Nothing);
        }
        (None, self.promise_room())
    }

    /// Ends a `get` that is dropped. If it was not woken yet, its waiter comes back to be discarded;
    /// else the item promised to it is promised to the next.
    pub(super) fn cancel_get(&mut self, key: WaitKey) -> (Option<Waiter>, Wakes) {
        let waiter = self.getters.remove(key);
        if waiter.is_some() || self.is_drained() {
            return (waiter, Wakes::Nothing);
        }
        self.promised_items -= 1;
        if seeded("queue_cancelled_get_keeps_item") {
            return (None, Wakes::Nothing);
        }
        (None, self.promise_item())
    }

    /// Ends a `join` that is dropped. Nothing was promised to it.
    pub(super) fn cancel_join(&mut self, key: WaitKey) -> Option<Waiter> {
        self.joiners.remove(key)
    }

    /// `None` if every item put is finished already.
    pub(super) fn task_done(&mut self) -> Option<Wakes> {
        self.unfinished = self.unfinished.checked_sub(1)?;
        if self.unfinished != 0 {
            return Some(Wakes::Nothing);
        }
        Some(Wakes::all([&mut self.joiners]))
    }

    pub(super) fn close(&mut self) -> Wakes {
        self.closed = true;
        self.limit = 0;
        self.promised_room = 0;
        if self.is_drained() {
            Wakes::all([&mut self.putters, &mut self.getters])
        } else {
            Wakes::all([&mut self.putters])
        }
    }

    /// Closes, and gives up what is in the queue. Items not yet got count as finished.
    pub(super) fn close_now(&mut self) -> (O::Items, Wakes) {
        self.closed = true;
        self.limit = 0;
        self.promised_room = 0;
        self.promised_items = 0;
        let items = mem::replace(&mut self.items, O::new());
        // Less were left than are dropped if `task_done` was called ahead of `get`.
        self.unfinished = self.unfinished.saturating_sub(O::len(&items));
        let wakes = if self.unfinished == 0 {
            Wakes::all([&mut self.putters, &mut self.getters, &mut self.joiners])
        } else {
            Wakes::all([&mut self.putters, &mut self.getters])
        };
        (items, wakes)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        O::len(&self.items)
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.len() >= self.capacity
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        (self.capacity != UNBOUNDED).then_some(self.capacity)
    }

    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            len: self.len(),
            capacity: self.capacity(),
            getters: self.getters.len(),
            putters: self.putters.len(),
            unfinished: self.unfinished,
            closed: self.closed,
        }
    }

    /// Closed, and nothing left: there will never be an item again.
    #[inline]
    pub(super) fn is_drained(&self) -> bool {
        self.closed && self.len() == 0
    }

    /// Takes the item in. The caller has made sure of room.
    #[inline]
    fn push(&mut self, item: T) -> Wakes {
        self.push_quietly(item);
        self.promise_item()
    }

    /// Takes the item in. The caller has made sure of room, and that no getter waits.
    #[inline]
    pub(super) fn push_quietly(&mut self, item: T) {
        O::push(&mut self.items, item);
        self.unfinished += 1;
    }

    /// Gives the first item out. The caller has made sure that it is free, or its own, and sees to what is
    /// to be woken.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        O::pop(&mut self.items)
    }

    /// Whether an item may be pushed at once, and that wakes nothing.
    #[inline]
    pub(super) fn may_push_quietly(&self) -> bool {
        self.has_room() && self.getters.is_empty()
    }

    /// Whether an item may be taken at once, and that wakes nothing: no putter waits, and a getter never
    /// does beside a free item.
    #[inline]
    pub(super) fn may_pop_quietly(&self) -> bool {
        self.has_free_item() && self.putters.is_empty()
    }

    #[inline]
    fn take(&mut self) -> Option<(T, Wakes)> {
        let item = self.pop()?;
        // With the last item of a closed queue there will never be one again.
        let wakes =
            if self.is_drained() { Wakes::all([&mut self.getters]) } else { self.promise_room() };
        Some((item, wakes))
    }

    /// Promises a free item to the first getter that waits, if one does.
    #[inline]
    // ANCHOR: promise
    fn promise_item(&mut self) -> Wakes {
        let Some(first) = self.getters.pop_front() else { return Wakes::Nothing };
        self.promised_items += 1;
        Wakes::One(first)
    }
    // END: promise

    /// Promises free room to the first putter that waits, if one does.
    #[inline]
    fn promise_room(&mut self) -> Wakes {
        let Some(first) = self.putters.pop_front() else { return Wakes::Nothing };
        self.promised_room += 1;
        Wakes::One(first)
    }
}
