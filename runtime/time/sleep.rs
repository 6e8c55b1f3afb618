//! The sleep: a deadline, and a timer in the wheel of the loop that polled it last.
//!
//! A [`Sleep`] shares no state with its event loop. It holds numbers: its deadline, the loop's
//! identity and the timer's key. It is ready when the loop's clock has passed the deadline, not when a
//! flag was set, so a timer that fired, was cancelled or belongs to a loop that is gone cannot mislead
//! it. This is what makes it `Send + Sync` on a loop whose wheel is not. (A worker's wheel is behind a
//! lock, and the sleep holds a reference to it: its task moves, its timer stays.)
//!
//! Which clock: a poll goes by the time of the turn, which costs nothing to ask. Polled again before
//! that has changed, it reads the clock itself, so that a loop within one poll, or another crate's
//! `block_on`, sees time pass.
//!
//! Due at its first poll, a sleep goes by the budget as any other future does: `sleep_until` the past
//! can be ready for ever. One that has answered `Pending` is ready when it is due, whatever else its
//! task did in that poll; so the budget refuses a sleep once at most.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    thread,
    time::Duration,
};

use super::instant::Instant;
use crate::engine::{
    armed_timer::{ArmedTimer, turn_time},
    base::{clock::NEVER, location::WaitsFor, this_poll},
    current::{self, Current},
};

/// Waits for `duration`, from now. `asyncio.sleep`.
///
/// Never early. A duration of zero ends at once or in the loop's next turn (to give way to others,
/// use [`yield_now`](crate::task::yield_now)); `Duration::MAX` never ends.
///
/// *Cancel safety*: dropped, it leaves nothing behind.
///
/// Another crate's `block_on` inside a task blocks the thread whose loop would fire the timer. On an
/// [`EventLoop`](crate::EventLoop) such a sleep never ends: await it, or run it on a thread of its own.
///
/// ```
/// use std::time::Duration;
///
/// whirligig::run(async {
///     whirligig::time::sleep(Duration::from_micros(50)).await;
/// });
/// ```
///
/// # Panics
/// When polled on a thread that no loop runs, or that entered a runtime which has shut down.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`; a moment that has passed ends at once.
///
/// *Cancel safety*: dropped, it leaves nothing behind.
///
/// ```
/// use std::time::Duration;
/// use whirligig::time::{Instant, sleep_until};
///
/// whirligig::run(async {
///     let deadline = Instant::now() + Duration::from_micros(50);
///     sleep_until(deadline).await;
///     assert!(Instant::now() >= deadline);
/// });
/// ```
///
/// # Panics
/// As [`sleep`].
#[track_caller]
#[doc(alias = "call_at")]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline: deadline.0, timer: None, location: Location::caller() }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It may be polled on another loop than before: it moves there.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: u64,
    /// From the first `Pending` on.
    timer: Option<ArmedTimer>,
    /// Where it was made, or is awaited.
    location: &'static Location<'static>,
}

impl Sleep {
    /// When it ends.
    pub fn deadline(&self) -> Instant {
        Instant(self.deadline)
    }

    /// Whether the deadline has passed.
    pub fn is_elapsed(&self) -> bool {
        self.deadline != NEVER && current::now() >= self.deadline
    }

    /// Moves the deadline. A timer in the wheel of this thread's event loop moves at once; otherwise
    /// the next poll moves it, so poll it after a reset.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline.0;
        if self.timer.as_ref().is_some_and(|timer| !timer.re_arm(deadline.0)) {
            self.disarm();
        }
    }

    /// Says where it is awaited, if that is not where it was made.
    pub(crate) fn set_location(&mut self, location: &'static Location<'static>) {
        self.location = location;
    }

    // ANCHOR: poll
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let current = current::expect_at("the sleep made", self.location);
        let turn = turn_time(&current);
        let due = self.is_due(turn);
        if due && (self.timer.is_some() || self.poll_budget(cx).is_ready()) {
            self.disarm();
            return Poll::Ready(());
        }
        match &self.timer {
            Some(timer) if timer.set_waker(cx.waker()) => {}
            // It fired, and the clock is back before the deadline: reset since; or it is elsewhere.
            _ => {
                self.disarm();
                // Refused by the budget, which has the task polled again, it needs no timer to fire. One that
                // never does is put into the wheel as a flag: it says at the next poll that the sleep has waited.
                let deadline = if due { NEVER } else { self.deadline };
                self.timer = ArmedTimer::new(&current, turn, deadline, cx.waker().clone());
                if self.timer.is_none() {
                    self.refused(&current);
                }
            }
        }
        if !due {
            this_poll::note(WaitsFor::Timer, self.location);
        }
        Poll::Pending
    }

    /// Whether the deadline has passed, by the turn's time or, polled again in that, by the clock.
    #[inline]
    fn is_due(&mut self, turn: u64) -> bool {
        if self.deadline == NEVER {
            return false;
        }
        let again = self.timer.as_mut().is_some_and(|timer| timer.polled_again(turn));
        turn >= self.deadline || (again && current::now() >= self.deadline)
    }
    // END: poll

    fn poll_budget(&self, cx: &mut Context<'_>) -> Poll<()> {
        this_poll::poll_budget(cx, self.location)
    }

    /// The runtime has shut down. One of its tasks is about to be dropped; in any other future the wait
    /// would never end.
    #[cold]
    fn refused(&self, by: &Current) {
        // Not in a destructor that an unwinding panic runs: that would end the process.
        if thread::panicking() {
            return;
        }
        match by {
            // A task whose worker was handed off in this poll, and has ended since.
            Current::EnteredPool(_) if this_poll::is_own_poll() => {}
            Current::EnteredPool(_) => {
                panic!(
                    "the sleep made at {} would never end: its runtime has shut down",
                    self.location
                )
            }
            Current::Outside(_) => panic!(
                "the sleep made at {} needs a loop on this thread, which has only entered one that another \
                 thread turns: await it inside `Handle::block_on`",
                self.location
            ),
            Current::EventLoop(_) | Current::Worker(_) => {}
        }
    }

    /// Takes the timer out of its wheel.
    fn disarm(&mut self) {
        if let Some(timer) = self.timer.take() {
            timer.cancel();
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_deadline(cx));
        this_poll::charge();
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline())
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
