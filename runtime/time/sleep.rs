//! The sleep: a deadline, and a place in the wheel of whichever loop polled it last.
//!
//! A [`Sleep`] shares no state with its loop. It holds numbers: its deadline, the loop's identity and
//! the timer's key. It is ready when the loop's clock has passed the deadline, not when a flag was
//! set, so a timer that fired, was cancelled or belongs to a loop that is gone cannot mislead it. This
//! is what makes it `Send + Sync` on a loop whose wheel is not.

use std::{
    fmt,
    future::Future,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::instant::Instant;
use crate::{
    budget,
    clock::NEVER,
    current,
    inbox::{Address, Urgency},
    place::{self, WaitsFor},
    timer::TimerKey,
};

/// Waits for `duration`, from now. `asyncio.sleep`.
///
/// Never early. A duration of zero ends at once or in the loop's next turn (to give way to others,
/// use [`yield_now`](crate::task::yield_now)); `Duration::MAX` never ends.
///
/// *Cancel safety*: dropped, it leaves nothing behind.
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
/// When polled on a thread that no loop runs.
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`. See [`sleep`].
#[track_caller]
#[doc(alias = "call_at")]
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline: deadline.0, timer: None, place: Location::caller() }
}

/// The future of [`sleep`] and [`sleep_until`].
///
/// It may be polled on another loop than before: it moves there.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep {
    deadline: u64,
    /// Where its timer is, from the first `Pending` on.
    timer: Option<(Address, TimerKey)>,
    place: &'static Location<'static>,
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

    /// Moves the deadline. A timer in the wheel of this thread's loop moves at once; otherwise the
    /// next poll sees to it, so poll it after a reset.
    pub fn reset(&mut self, deadline: Instant) {
        self.deadline = deadline.0;
        let Some((home, key)) = self.timer else { return };
        match current::event_loop() {
            Some(core) if core.id == home.loop_id && core.timers.re_arm(key, deadline.0) => {}
            _ => self.leave(),
        }
    }

    /// Where it is awaited, if that is not where it was made.
    pub(super) fn set_place(&mut self, place: &'static Location<'static>) {
        self.place = place;
    }

    #[track_caller]
    // ANCHOR: poll
    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let core = current::expect_event_loop("`sleep`");
        if self.deadline != NEVER && core.now() >= self.deadline {
            self.leave();
            return Poll::Ready(());
        }
        match self.timer {
            Some((home, key)) if home.loop_id == core.id => {
                match core.timers.will_wake(key, cx.waker()) {
                    Some(true) => {}
                    Some(false) => {
                        let waker = cx.waker().clone();
                        drop(core.timers.replace_waker(key, waker));
                    }
                    // It fired, and the clock is back before the deadline: reset since.
                    None => self.enter(&core, cx),
                }
            }
            _ => {
                self.leave();
                self.enter(&core, cx);
            }
        }
        place::note(WaitsFor::Timer, self.place);
        Poll::Pending
    }
    // END: poll

    fn enter(&mut self, core: &crate::scheduler::event_loop::Core, cx: &mut Context<'_>) {
        let waker = cx.waker().clone();
        let key = core.timers.insert(self.deadline, waker);
        self.timer = Some((core.address(), key));
    }

    /// Takes the timer out of its wheel: at once on its loop, else by a message that need not unpark
    /// that one. At the worst the timer wakes a task for nothing meanwhile.
    fn leave(&mut self) {
        let Some((home, key)) = self.timer.take() else { return };
        match current::event_loop() {
            Some(core) if core.id == home.loop_id => drop(core.timers.cancel(key)),
            _ => {
                let cancel = Box::new(move || {
                    if let Some(core) = current::event_loop() {
                        drop(core.timers.cancel(key));
                    }
                });
                // A loop that is gone has no timers.
                drop(home.call(cancel, Urgency::Whenever));
            }
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        ready!(budget::poll_budget(cx));
        ready!(self.poll_deadline(cx));
        budget::charge();
        Poll::Ready(())
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep")
            .field("deadline", &self.deadline())
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}
