//! How a leaf future waits: the steps between its task and what it waits for.
//!
//! A leaf keeps a [`Stage`]. Its poll first looks whether it is ready, and mostly that is all. Else
//! [`poll_wait`] goes on in steps. One step is one visit to the *core*, the plain data behind a
//! `Shell`. What the step needs of the world outside, and what it leaves to be done there, crosses as
//! plain values: an [`Offer`] goes in, a [`Step`] with its [`Wakes`] comes out. So wakers, which are
//! user code and may call the same object in any of their functions, are cloned before a step, and
//! woken and dropped after one, never during it. Each is called by itself: one that panics is reported,
//! and costs neither another its wake nor the future its answer.
//!
//! The waker is cloned between two visits, and much may happen in between; so the step that could join
//! the list looks once more before it does. (A task of an event loop has a number for a waker: that is no
//! user code, and is there for the first step.)
//!
//! **Alternative:** clone first and look once. It is shorter, and makes every ready future pay for a
//! clone.

use std::{
    panic::Location,
    task::{Context, Poll, Waker},
};

use crate::engine::{
    base::{primitives::seeded, this_poll},
    task::local::{is_waiter_of, number_of, waiter_of, wake_waiter},
    waiting::{
        wait_list::{WaitKey, WaitList, discard},
        waiter::Waiter,
    },
};

/// How far a future has come. The core moves it on.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Not yet in a list.
    New,
    /// In a list, or woken out of it.
    Waiting(WaitKey),
    /// Has had its answer.
    Done,
}

/// What a poll brings to a step: the task's waker; and a waiter made of it, from the second step on at the latest. The
/// step may keep that, and leave here the one it kept before.
pub(crate) struct Offer<'a> {
    waker: &'a Waker,
    waiter: Option<Waiter>,
}

impl Offer<'_> {
    /// Whether it holds a waiter that could be kept.
    pub(crate) fn has_waiter(&self) -> bool {
        self.waiter.is_some()
    }
}

impl Drop for Offer<'_> {
    #[inline]
    fn drop(&mut self) {
        discard(self.waiter.take());
    }
}

/// What a step comes to.
pub(crate) enum Step<R> {
    /// The answer, and what must be woken now.
    Ready(R, Wakes),
    /// In the list.
    Wait,
    /// Must wait, and the offer holds no waiter to keep. Make one, and step again.
    NeedsWaiter,
    /// The future was polled after its answer.
    Spent,
}

/// What is to be woken once the core is let go.
#[must_use]
pub(crate) enum Wakes {
    Nothing,
    One(Waiter),
    All(Vec<Waiter>),
}

impl Wakes {
    /// Takes all out of these lists. Allocates if there are several.
    pub(crate) fn all<const N: usize>(mut lists: [&mut WaitList; N]) -> Self {
        match lists.iter().map(|list| list.len()).sum() {
            0 => Self::Nothing,
            1 => {
                lists.iter_mut().find_map(|list| list.pop_front()).map_or(Self::Nothing, Self::One)
            }
            _several => Self::All(lists.into_iter().flat_map(WaitList::take_all).collect()),
        }
    }

    /// One more, after those there are.
    pub(crate) fn and(self, waiter: Waiter) -> Self {
        match self {
            Self::Nothing => Self::One(waiter),
            Self::One(first) => Self::All(vec![first, waiter]),
            Self::All(mut waiters) => {
                waiters.push(waiter);
                Self::All(waiters)
            }
        }
    }

    /// Only with the core let go.
    #[inline]
    pub(crate) fn wake(self) {
        match self {
            Self::Nothing => {}
            Self::One(waiter) => wake_waiter(waiter),
            Self::All(waiters) => waiters.into_iter().for_each(wake_waiter),
        }
    }
}

/// Joins `list`; or stays in it, and sees to it that the present task is the one to be woken.
pub(crate) fn wait<R>(list: &mut WaitList, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<R> {
    wait_asking(list, (), stage, offer)
}

/// [`wait`], in a list that keeps what each waiter asks for.
pub(crate) fn wait_asking<R, A>(
    list: &mut WaitList<A>,
    asks: A,
    stage: &mut Stage,
    offer: &mut Offer<'_>,
) -> Step<R> {
    match *stage {
        Stage::Done => return Step::Spent,
        Stage::New => {
            let Some(waiter) = offer.waiter.take() else { return Step::NeedsWaiter };
            *stage = Stage::Waiting(list.push(waiter, asks));
        }
        Stage::Waiting(key) => {
            let kept = list.get_mut(key).expect("a waiter that was woken does not wait");
            if !is_waiter_of(kept, offer.waker) {
                let Some(waiter) = offer.waiter.take() else { return Step::NeedsWaiter };
                offer.waiter = Some(std::mem::replace(kept, waiter));
            }
        }
    }
    Step::Wait
}

/// Waits in `slot`, which one future alone waits in; or stays in it, and sees to it that the present task is the
/// one to be woken.
pub(crate) fn wait_alone<R>(slot: &mut Option<Waiter>, offer: &mut Offer<'_>) -> Step<R> {
    let stays = |kept| is_waiter_of(kept, offer.waker) || seeded("wait_alone_keeps_the_first");
    if !slot.as_ref().is_some_and(stays) {
        let Some(waiter) = offer.waiter.take() else { return Step::NeedsWaiter };
        offer.waiter = slot.replace(waiter);
    }
    Step::Wait
}

/// The rest of a poll that did not find its object ready at once: one step, or two if a waiter must be made.
/// `location` is the line that made the future; `note` notes what it waits for.
///
/// # Panics
///
/// If the future has had its answer.
#[inline]
pub(crate) fn poll_wait<R>(
    cx: &Context<'_>,
    location: &'static Location<'static>,
    note: impl FnOnce(),
    mut step: impl FnMut(&mut Offer<'_>) -> Step<R>,
) -> Poll<R> {
    // ANCHOR: steps
    let mut offer = Offer { waker: cx.waker(), waiter: number_of(cx.waker()) };
    loop {
        match step(&mut offer) {
            Step::Ready(answer, wakes) => {
                this_poll::charge();
                wakes.wake();
                return Poll::Ready(answer);
            }
            Step::Wait => {
                note();
                return Poll::Pending;
            }
            Step::NeedsWaiter => offer.waiter = Some(waiter_of(offer.waker)),
            Step::Spent => panic!("the future made at {location} was polled after it was ready"),
        }
    }
    // END: steps
}
