//! How a future of the async queue waits: the steps between its task and the core.
//!
//! `Put`, `Get` and `Join`, in both shells, first look whether the queue is ready, as `try_put` and
//! `try_get` do, and mostly that is all. Else [`poll_in_line`] goes on in steps. One step is one
//! visit to the core. What the step needs of the world outside, and what it leaves to be done there,
//! crosses as plain values: an [`Offer`] goes in, a [`Step`] with its [`Wakes`] comes out. So wakers,
//! which are other people's code and may call the same queue in any of their functions, are cloned
//! before a step and woken and dropped after one, never during it.
//!
//! The waker is cloned between two visits, and much may happen in between; so the step that could
//! join the line looks once more before it does. The rival, to clone first and look once, is shorter
//! and makes every ready `get` pay for a clone.

use std::{
    panic::Location,
    task::{Context, Poll, Waker},
};

use crate::engine::{
    base::{foreign, place::WaitsFor, this_poll},
    waiting::wait_list::{WaitKey, WaitList},
};

/// How far a future has come. The core moves it on.
#[derive(Debug)]
pub(super) enum Stage {
    /// Not yet in a line.
    New,
    /// In a line, or woken out of it.
    Waiting(WaitKey),
    /// Has had its answer.
    Done,
}

/// What a poll brings to a step: the task's waker, and perhaps a clone of it to keep. After the step
/// the clone's place holds whatever waker was not kept.
pub(super) struct Offer<'a> {
    waker: &'a Waker,
    clone: Option<Waker>,
}

impl<'a> Offer<'a> {
    /// The offer of a poll that found the queue not `ready`, or ready in a way that concerns others too. In
    /// the first case a future that is new must join the line and needs a clone; one in line needs none,
    /// unless its task has changed.
    #[inline]
    pub(super) fn new(cx: &'a Context<'_>, stage: &Stage, ready: bool) -> Self {
        let clone = (matches!(stage, Stage::New) && !ready).then(|| cx.waker().clone());
        Self { waker: cx.waker(), clone }
    }
}

/// What a step comes to.
pub(super) enum Step<R> {
    /// The answer, and who must be woken now.
    Ready(R, Wakes),
    /// In line.
    Wait,
    /// Must wait, and the offer holds no clone to keep. Clone, and step again.
    Clone,
    /// The future was polled after its answer.
    Spent,
}

/// Who is to be woken, by the shell, once it has let go of the core.
#[must_use]
pub(super) enum Wakes {
    Nobody,
    One(Waker),
    All(Vec<Waker>),
}

impl Wakes {
    /// Takes everybody out of these lines. Allocates if anybody is in one.
    #[inline]
    pub(super) fn all<const N: usize>(lines: [&mut WaitList; N]) -> Self {
        let mut wakers = Vec::new();
        for line in lines {
            line.pop_all(&mut wakers);
        }
        Self::All(wakers)
    }

    /// Only with the core let go.
    #[inline]
    pub(super) fn wake(self) {
        match self {
            Self::Nobody => {}
            Self::One(waker) => foreign::wake(waker),
            Self::All(wakers) => foreign::wake_all(wakers.into_iter()),
        }
    }
}

/// Joins `line`; or stays in it, and sees to it that the present task is the one to be woken.
pub(super) fn wait<R>(line: &mut WaitList, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<R> {
    match *stage {
        Stage::Waiting(key) if line.will_wake(key, offer.waker) => return Step::Wait,
        Stage::Done => return Step::Spent,
        _ => {}
    }
    let Some(waker) = offer.clone.take() else { return Step::Clone };
    match *stage {
        Stage::Waiting(key) => offer.clone = Some(line.replace(key, waker)),
        _ => *stage = Stage::Waiting(line.push(waker)),
    }
    Step::Wait
}

/// The rest of a poll that did not find the queue ready at once: one step, or two if the waker must
/// be cloned.
///
/// # Panics
///
/// If the future has had its answer.
#[inline]
pub(super) fn poll_in_line<R>(
    mut offer: Offer<'_>,
    what: WaitsFor,
    place: &'static Location<'static>,
    mut step: impl FnMut(&mut Offer<'_>) -> Step<R>,
) -> Poll<R> {
    // ANCHOR: steps
    loop {
        match step(&mut offer) {
            Step::Ready(answer, wakes) => {
                this_poll::charge();
                wakes.wake();
                return Poll::Ready(answer);
            }
            Step::Wait => {
                this_poll::note(what, place);
                return Poll::Pending;
            }
            Step::Clone => offer.clone = Some(offer.waker.clone()),
            Step::Spent => {
                panic!("the queue's future made at {place} was polled after it was ready")
            }
        }
    }
    // END: steps
}
