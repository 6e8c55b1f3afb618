//! Which of many came: the numbers of a task's children that ended, or woke, in the order in which they did.
//!
//! What awaits many things at once must not ask all of them at each wake. So each is given a number and a waker of
//! its own, which puts that number into the list of arrivals, and wakes the one task that waits for the list. That
//! task takes the numbers out, many at a time, and looks at those children only. A group of tasks
//! (`task/group.rs`), a scope and a borrowing scope wait so.
//!
//! The task says how many arrivals it waits for. One that needs all of ten thousand children is woken once, by the
//! last of them.
//!
//! What must hold: a number that arrives while the task is about to wait is not overlooked. So the waiter is put
//! into the list by the same visit that finds too little in it. The waiter itself is user code: it is cloned, woken
//! and dropped between two visits.
//!
//! **Alternative:** to link the wakers themselves into a list without a lock, as `FuturesUnordered` does. It
//! saves the lock of an arrival, which is almost never contended, and needs `unsafe` for each link.

use std::{
    collections::VecDeque,
    mem,
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

use crate::engine::{
    base::primitives::{Mutex, lock, seeded},
    task::local::{is_waiter_of, waiter_of, wake_waiter},
    waiting::{wait_list::discard, waiter::Waiter},
};

/// The list. It is shared by std's `Arc` also under loom: wakers are made of it.
pub(crate) struct Arrivals {
    list: Mutex<List>,
}

struct List {
    arrived: VecDeque<u32>,
    /// How many there must be for the waiter to be woken.
    enough: usize,
    waiter: Option<Waiter>,
}

impl Arrivals {
    pub(crate) fn new() -> Arc<Self> {
        let list = List { arrived: VecDeque::new(), enough: 1, waiter: None };
        Arc::new(Self { list: Mutex::new(list) })
    }

    /// The waker of a child that arrives once.
    pub(crate) fn waker(self: &Arc<Self>, number: u32) -> Waker {
        Waker::from(Arc::new(Arrival { arrivals: self.clone(), number }))
    }

    /// A child has come. From any thread.
    pub(crate) fn arrive(&self, number: u32) {
        if let Some(waiter) = self.push(number) {
            wake_waiter(waiter);
        }
    }

    /// The same, but for the wake, which the caller does when it has let go of its own lock.
    pub(crate) fn push(&self, number: u32) -> Option<Waiter> {
        let mut list = lock(&self.list);
        list.arrived.push_back(number);
        if list.arrived.len() >= list.enough { list.waiter.take() } else { None }
    }

    /// Moves those that have come to the end of `taken`.
    pub(crate) fn take(&self, taken: &mut VecDeque<u32>) {
        lock(&self.list).give(taken);
    }

    /// As [`take`](Self::take), once `enough` have come, or more. Until then the task of `cx` is woken when they
    /// have: that of the last call, if there are several.
    pub(crate) fn poll_take(
        &self,
        cx: &Context<'_>,
        enough: usize,
        taken: &mut VecDeque<u32>,
    ) -> Poll<()> {
        let mut made = None;
        loop {
            let mut list = lock(&self.list);
            if list.arrived.len() >= enough && !(made.is_some() && seeded("arrivals_look_once")) {
                list.give(taken);
                let left = list.waiter.take();
                drop(list);
                discard(left.into_iter().chain(made));
                return Poll::Ready(());
            }
            list.enough = enough;
            if list.waiter.as_ref().is_some_and(|waiter| is_waiter_of(waiter, cx.waker())) {
                drop(list);
                discard(made);
                return Poll::Pending;
            }
            if let Some(made) = made {
                let before = list.waiter.replace(made);
                drop(list);
                discard(before);
                return Poll::Pending;
            }
            drop(list);
            made = Some(waiter_of(cx.waker()));
        }
    }
}

impl List {
    fn give(&mut self, taken: &mut VecDeque<u32>) {
        if taken.is_empty() {
            // Each keeps the memory of the other.
            mem::swap(&mut self.arrived, taken);
        } else {
            taken.append(&mut self.arrived);
        }
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        let waiter = lock(&self.list).waiter.take();
        discard(waiter);
    }
}

/// See [`Arrivals::waker`].
struct Arrival {
    arrivals: Arc<Arrivals>,
    number: u32,
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.arrivals.arrive(self.number);
    }
}
