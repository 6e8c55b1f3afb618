//! Many futures in one task, of which only those are polled that were woken.
//!
//! `gather`, `as_completed`, `wait` and `race` are this, and differ in what they do with an output. Each future has
//! a waker of its own, which notes the future's index in [`Woken`] and wakes the task. So the task, polled, asks
//! those only that have something new to say: with a thousand futures a wake costs one poll, not a thousand.
//!
//! What must hold:
//! - The task's waker is put in, and the indices that were noted are taken out, in one step under the lock. So a
//!   wake that comes after it finds the waker, and one that came before was taken: none is lost.
//! - A poll asks each future once at most. One that is woken while that poll goes on waits for the next, for which
//!   the task was woken; so a future that always wakes itself gives way to the task's other work.
//! - Those that were woken are polled in the order of their wakes.
//! - Once the task's budget is used up no more futures are asked: each would refuse. They come first next time.
//!
//! Wakers and futures are user code: none is called, cloned or dropped with the lock held.
//!
//! **Alternative:** to poll all of them each time, as `join!` does. That is the better for two or three, for which
//! there is that macro. Or `FuturesUnordered`, of another crate: a list without a lock, in `unsafe`, that gives way
//! after a number of polls of its own instead of the task's budget.

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    mem,
    ops::ControlFlow,
    panic::Location,
    sync::Arc as StdArc,
    task::{Context, Poll, Wake, Waker},
};

use pin_project_lite::pin_project;

use crate::engine::{
    base::{
        location::WaitsFor,
        pinned::PinnedSlots,
        primitives::{Mutex, lock, seeded},
        this_poll,
    },
    task::local::{waiter_of, wake_waiter},
    waiting::{wait_list::discard, waiter::Waiter},
};

/// See the top of this file.
pub(super) struct Many<F> {
    slots: PinnedSlots<Slot<F>>,
    woken: StdArc<Woken>,
    /// Those to be polled, the first woken first.
    due: VecDeque<usize>,
    /// How many have not ended.
    left: usize,
    /// What it was for is over.
    spent: bool,
    /// Where it is awaited, or was made.
    location: &'static Location<'static>,
}

pin_project! {
    struct Slot<F> {
        // None once it has ended.
        #[pin]
        future: Option<F>,
        // From its first poll on.
        waker: Option<Waker>,
    }
}

/// Which of the futures were woken, and the task that is to hear of it.
struct Woken {
    state: Mutex<State>,
}

struct State {
    /// In the order of their wakes.
    indices: VecDeque<usize>,
    /// For each future, whether its index is among them.
    noted: Box<[bool]>,
    /// Taken out by the first wake.
    task: Option<Waiter>,
}

/// What the waker of one future is made of.
struct WakesOne {
    index: usize,
    woken: StdArc<Woken>,
}

impl Wake for WakesOne {
    fn wake(self: StdArc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &StdArc<Self>) {
        self.woken.wake(self.index);
    }
}

impl Woken {
    fn wake(&self, index: usize) {
        let mut state = lock(&self.state);
        if mem::replace(&mut state.noted[index], true) {
            return;
        }
        state.indices.push_back(index);
        let task = state.task.take();
        drop(state);
        if let Some(task) = task {
            wake_waiter(task);
        }
    }

    /// A poll begins: takes the woken ones out, and has the next wake wake this task.
    // ANCHOR: begin
    fn begin(&self, cx: &Context<'_>, due: &mut VecDeque<usize>) {
        let task = waiter_of(cx.waker());
        let mut state = lock(&self.state);
        while let Some(index) = state.indices.pop_front() {
            state.noted[index] = false;
            due.push_back(index);
        }
        if seeded("many_registers_after_the_look") {
            drop(state);
            state = lock(&self.state);
        }
        let before = state.task.replace(task);
        drop(state);
        discard(before);
    }
    // END: begin

    /// Nobody waits any more.
    fn leave(&self) {
        let task = lock(&self.state).task.take();
        discard(task);
    }
}

impl<F: Future> Many<F> {
    pub(super) fn new(
        futures: impl IntoIterator<Item = F>,
        location: &'static Location<'static>,
    ) -> Self {
        let slots = futures.into_iter().map(|future| Slot { future: Some(future), waker: None });
        let slots = PinnedSlots::new(slots);
        let left = slots.len();
        let state = State {
            indices: VecDeque::new(),
            noted: vec![false; left].into_boxed_slice(),
            task: None,
        };
        let woken = StdArc::new(Woken { state: Mutex::new(state) });
        Self { slots, woken, due: (0..left).collect(), left, spent: false, location }
    }

    /// Has the first poll begin with another future than the first: the order is rotated by so many.
    pub(super) fn begin_at(&mut self, index: usize) {
        self.due.rotate_left(index);
    }

    /// How many have not ended.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Where it is awaited, if that is not where it was made.
    pub(super) fn set_location(&mut self, location: &'static Location<'static>) {
        self.location = location;
    }

    /// The future that is made of these has its output, and must not be polled again.
    ///
    /// # Panics
    /// If it had it before.
    pub(super) fn be_ready_once(&mut self) {
        self.demand_unspent();
        self.spent = true;
    }

    fn demand_unspent(&self) {
        let location = self.location;
        assert!(!self.spent, "the future made at {location} was polled after it was ready");
    }

    /// Polls those that were woken, and hands each output with its index to `ended`, until that breaks off: then the
    /// rest comes with the next poll. `Pending` unless it broke off.
    pub(super) fn poll<R>(
        &mut self,
        cx: &mut Context<'_>,
        mut ended: impl FnMut(usize, F::Output) -> ControlFlow<R>,
    ) -> Poll<R> {
        self.demand_unspent();
        self.woken.begin(cx, &mut self.due);
        for _ in 0..self.due.len() {
            if this_poll::poll_budget(cx, self.location).is_pending() {
                break;
            }
            let Some(index) = self.due.pop_front() else { break };
            if let Some(output) = self.poll_one(index)
                && let ControlFlow::Break(answer) = ended(index, output)
            {
                return Poll::Ready(answer);
            }
        }
        this_poll::note(WaitsFor::Futures, self.location);
        Poll::Pending
    }

    /// Polls one, and drops it if it has ended.
    fn poll_one(&mut self, index: usize) -> Option<F::Output> {
        let mut slot = self.slots.get_mut(index).project();
        // It may have been woken again in the poll in which it ended.
        let future = slot.future.as_mut().as_pin_mut()?;
        let waker = slot.waker.get_or_insert_with(|| {
            Waker::from(StdArc::new(WakesOne { index, woken: self.woken.clone() }))
        });
        match future.poll(&mut Context::from_waker(waker)) {
            Poll::Pending => None,
            Poll::Ready(output) => {
                self.left -= 1;
                slot.future.set(None);
                *slot.waker = None;
                Some(output)
            }
        }
    }

    /// Drops those that have not ended.
    pub(super) fn drop_rest(&mut self) {
        self.left = 0;
        self.due.clear();
        for index in 0..self.slots.len() {
            self.slots.get_mut(index).project().future.set(None);
        }
    }

    /// Those that have not ended, in the order of their indices.
    pub(super) fn take_rest(&mut self) -> Vec<F>
    where
        F: Unpin,
    {
        self.left = 0;
        self.due.clear();
        let slots = mem::replace(&mut self.slots, PinnedSlots::new([]));
        slots.into_vec().into_iter().filter_map(|slot| slot.future).collect()
    }
}

impl<F> Drop for Many<F> {
    fn drop(&mut self) {
        // A waker of a future may outlive it.
        self.woken.leave();
    }
}

impl<F> fmt::Debug for Many<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Many")
            .field("futures", &self.slots.len())
            .field("left", &self.left)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
