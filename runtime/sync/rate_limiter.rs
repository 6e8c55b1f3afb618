//! So many starts an interval: a token bucket on the clock of the loop.
//!
//! The bucket holds `n` tokens, and a start takes one. A token comes back one interval after it was taken, which is
//! what makes the promise exact: in every window of one interval, wherever it begins, there are at most `n` starts.
//! So the limiter keeps the moments of the last `n` starts. A *burst* smaller than `n` spreads them: then starts
//! beyond the burst are at least `interval / n` apart.
//!
//! Who waits stands in one line. Only the first sleeps, until its token is due; when it starts, or is dropped, the next
//! becomes the first. So one timer is armed for any number of waiters, a cancelled one costs nobody a token, and
//! those behind it move up.
//!
//! What must hold: while somebody waits, somebody is first; tokens are taken in the order in which their takers came.
//!
//! **Alternative:** the common token bucket, a number that grows with time up to a maximum. It is two words, and lets
//! through twice as many starts in some windows: a full bucket at once, and a refilled one at the window's end.
//! Or a reservation, each waiter its own moment and its own timer: a cancelled one then leaves a hole, or all
//! behind it must be told. (The crate `governor` has both of these, on clocks and timers of its own.)

use std::{
    collections::VecDeque,
    fmt,
    future::Future,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use crate::{
    engine::{
        base::{
            clock::nanos,
            location::WaitsFor,
            primitives::{Mutex, lock},
            this_poll,
        },
        waiting::{
            leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
            wait_list::{WaitList, discard},
        },
    },
    time::{Instant, Sleep, sleep_until},
};

/// Lets at most so many start in any interval.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{EventLoop, sync::RateLimiter, time::{Instant, TestClock}};
///
/// let event_loop = EventLoop::builder().test_clock(&TestClock::new()).build()?;
/// event_loop.block_on(async {
///     let limiter = RateLimiter::new(2, Duration::from_secs(1));
///     let begin = Instant::now();
///     for _ in 0..5 {
///         limiter.acquire().await;
///         // one request
///     }
///     assert_eq!(begin.elapsed(), Duration::from_secs(2));
/// });
/// # std::io::Result::Ok(())
/// ```
///
/// Share it by reference, or in an [`Arc`](std::sync::Arc), between the tasks of loops and runtimes that go by one
/// clock. First come, first served. It limits how many start; how many are at work at once is limited by a semaphore.
#[doc(alias("AsyncLimiter", "CapacityLimiter", "governor", "token_bucket"))]
pub struct RateLimiter {
    tokens: usize,
    interval: u64,
    burst: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The moments of the last starts, the oldest first: at most as many as there are tokens.
    starts: VecDeque<u64>,
    /// When the burst is whole again: each start puts it off by one spacing.
    whole_at: u64,
    /// Somebody is first in line, and sleeps until its token is due.
    has_first: bool,
    /// Those behind.
    waiting: WaitList,
}

// No user code runs while the state is locked, so a panic never finds it half changed.
impl UnwindSafe for RateLimiter {}
impl RefUnwindSafe for RateLimiter {}

impl RateLimiter {
    /// At most `tokens` starts in any `interval`, and as many at once if none were lately.
    ///
    /// It keeps the moments of the last `tokens` starts, in eight bytes each. An interval of zero limits nothing.
    ///
    /// # Panics
    /// If `tokens` is 0.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limiter = whirligig::sync::RateLimiter::new(100, Duration::from_secs(1));
    /// assert!(limiter.try_acquire());
    /// ```
    #[track_caller]
    pub fn new(tokens: usize, interval: Duration) -> Self {
        Self::with_burst(tokens, interval, tokens)
    }

    /// At most `tokens` starts in any `interval`, of which at most `burst` at once: starts beyond it are
    /// `interval / tokens` apart. With a burst of 1 all are.
    ///
    /// # Panics
    /// If `tokens` or `burst` is 0, or `burst` is larger than `tokens`.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limiter = whirligig::sync::RateLimiter::with_burst(100, Duration::from_secs(1), 1);
    /// assert!(limiter.try_acquire());
    /// assert!(!limiter.try_acquire(), "the next in ten milliseconds");
    /// ```
    #[track_caller]
    pub fn with_burst(tokens: usize, interval: Duration, burst: usize) -> Self {
        assert!(
            tokens != 0,
            "a limiter of 0 starts would let nothing through, ever: ask for 1 or more"
        );
        assert!(
            (1..=tokens).contains(&burst),
            "a burst of {burst} with {tokens} starts an interval: ask for 1 to {tokens}"
        );
        let state = State {
            starts: VecDeque::new(),
            whole_at: 0,
            has_first: false,
            waiting: WaitList::new(),
        };
        Self { tokens, interval: nanos(interval), burst, state: Mutex::new(state) }
    }

    /// Waits for a token, and takes it: go on and start.
    ///
    /// *Cancel safety*: dropped before it is ready, the future has taken no token, and its turn in line goes to the
    /// next.
    ///
    /// # Panics
    /// The future panics if polled after it was ready; and, as [`sleep`](fn@crate::time::sleep), where it would have to wait
    /// on a thread that no loop runs.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limiter = whirligig::sync::RateLimiter::new(1, Duration::from_millis(1));
    /// whirligig::run(async { limiter.acquire().await });
    /// ```
    #[track_caller]
    pub fn acquire(&self) -> AcquireToken<'_> {
        let location = Location::caller();
        AcquireToken { limiter: self, stage: Stage::New, sleep: None, location }
    }

    /// Takes a token if there is one now that nobody waits for.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// let limiter = whirligig::sync::RateLimiter::new(1, Duration::from_secs(60));
    /// assert!(limiter.try_acquire());
    /// assert!(!limiter.try_acquire());
    /// ```
    #[must_use = "`false` says that no token was taken"]
    pub fn try_acquire(&self) -> bool {
        let mut state = lock(&self.state);
        !state.has_first && self.start(&mut state, Instant::now().0).is_ok()
    }

    /// Takes a token.
    ///
    /// # Errors
    /// The moment from which on there is one.
    fn start(&self, state: &mut State, now: u64) -> Result<(), u64> {
        let due = self.due(state);
        if due > now {
            return Err(due);
        }
        if state.starts.len() == self.tokens {
            state.starts.pop_front();
        }
        state.starts.push_back(now);
        state.whole_at = state.whole_at.max(now).saturating_add(self.spacing());
        Ok(())
    }

    /// When the next may start.
    fn due(&self, state: &State) -> u64 {
        let window = match state.starts.front() {
            Some(oldest) if state.starts.len() == self.tokens => {
                oldest.saturating_add(self.interval)
            }
            _ => 0,
        };
        let in_hand = self.spacing().saturating_mul(self.burst as u64 - 1);
        window.max(state.whole_at.saturating_sub(in_hand))
    }

    /// How far apart starts are when all tokens are used and none at once with another.
    fn spacing(&self) -> u64 {
        self.interval / self.tokens as u64
    }

    /// A step of one that is not the first yet. It takes a token, or is the first from now on: then the answer is
    /// when its token is due.
    fn step(&self, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<Result<(), u64>> {
        let now = Instant::now().0;
        let mut state = lock(&self.state);
        let may_go = match *stage {
            Stage::New => !state.has_first,
            Stage::Waiting(key) => state.waiting.is_woken(key),
            Stage::Done => false,
        };
        if !may_go {
            return wait(&mut state.waiting, stage, offer);
        }
        *stage = Stage::Done;
        match self.start(&mut state, now) {
            Ok(()) => Step::Ready(Ok(()), state.pass_on()),
            Err(due) => {
                state.has_first = true;
                Step::Ready(Err(due), Wakes::Nothing)
            }
        }
    }

    /// The first has slept until its token was due, and takes it.
    ///
    /// # Errors
    /// When it is due now.
    fn start_first(&self) -> Result<(), u64> {
        let now = Instant::now().0;
        let mut state = lock(&self.state);
        self.start(&mut state, now)?;
        let wakes = state.pass_on();
        drop(state);
        wakes.wake();
        Ok(())
    }

    /// The first goes without a token.
    fn leave_first(&self) {
        let wakes = lock(&self.state).pass_on();
        wakes.wake();
    }
}

impl State {
    /// The next that waits is the first, if one does.
    fn pass_on(&mut self) -> Wakes {
        let next = self.waiting.pop_front();
        self.has_first = next.is_some();
        next.map_or(Wakes::Nothing, Wakes::One)
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        let waiting = state.waiting.len() + usize::from(state.has_first);
        drop(state);
        f.debug_struct("RateLimiter")
            .field("tokens", &self.tokens)
            .field("interval", &Duration::from_nanos(self.interval))
            .field("burst", &self.burst)
            .field("waiting", &waiting)
            .finish()
    }
}

/// The future of [`RateLimiter::acquire`].
#[must_use = "a future does nothing unless it is awaited"]
pub struct AcquireToken<'a> {
    limiter: &'a RateLimiter,
    /// Until it is the first, or has its token.
    stage: Stage,
    /// Of the first in line: until its token is due.
    sleep: Option<Sleep>,
    location: &'static Location<'static>,
}

impl Future for AcquireToken<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { limiter, stage, sleep, location } = self.get_mut();
        if sleep.is_none() {
            ready!(this_poll::poll_budget(cx, location));
            let token = ready!(poll_wait(
                cx,
                location,
                || this_poll::note(WaitsFor::Permit, location),
                |offer| limiter.step(stage, offer),
            ));
            let Err(due) = token else { return Poll::Ready(()) };
            let mut until = sleep_until(Instant(due));
            until.set_location(location);
            *sleep = Some(until);
        }
        while let Some(until) = sleep {
            ready!(Pin::new(&mut *until).poll(cx));
            match limiter.start_first() {
                Ok(()) => *sleep = None,
                Err(due) => until.reset(Instant(due)),
            }
        }
        Poll::Ready(())
    }
}

impl Drop for AcquireToken<'_> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            let waiter = lock(&self.limiter.state).waiting.remove(key);
            // Woken, it was the first.
            if waiter.is_none() {
                self.limiter.leave_first();
            }
            discard(waiter);
        }
        if self.sleep.is_some() {
            self.limiter.leave_first();
        }
    }
}

impl fmt::Debug for AcquireToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireToken").field("location", self.location).finish_non_exhaustive()
    }
}
