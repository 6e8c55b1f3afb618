//! What time it is. No other file asks the operating system.
//!
//! Inside the crate a moment is a `u64`: nanoseconds of the system's monotonic clock. 64 bits of them
//! last 584 years, and two of them compare in one instruction. `u64::MAX` means never. The public
//! type is `time::Instant`.
//!
//! The real clock is read by `clock_gettime` itself, because a loop reads it for each sleep and most
//! of its waits. std's `Instant` is the same clock in two fields, and costs 65 instructions more a
//! reading to make one number of (measured: 110 against 45). rustix offers the call without `unsafe`,
//! but finds it in a way that does not run under valgrind, which checks this crate's `unsafe`.
//!
//! A loop has one [`Clock`]. The real one reads the system's monotonic clock. The test clock stands
//! still while anything runs, and jumps to the next deadline when nothing can happen before it, so
//! that an hour of sleeps takes no time and every run is alike.

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use super::primitives::IN_MODEL;

/// A deadline that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// In nanoseconds.
const CENTURY: u64 = 100 * 365 * 24 * 3600 * 1_000_000_000;

/// Nanoseconds of `duration`, no more than [`NEVER`].
#[inline]
pub(crate) fn nanos(duration: Duration) -> u64 {
    duration
        .as_secs()
        .checked_mul(1_000_000_000)
        .and_then(|nanos| nanos.checked_add(u64::from(duration.subsec_nanos())))
        .unwrap_or(NEVER)
}

/// The real time. In a model it stands still.
#[inline]
pub(crate) fn real_now() -> u64 {
    if IN_MODEL {
        return 1 << 40;
    }
    let time = monotonic::now();
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[allow(unsafe_code)]
mod monotonic {
    // The clock that std's `Instant` goes by.
    #[cfg(target_vendor = "apple")]
    const CLOCK: libc::clockid_t = libc::CLOCK_UPTIME_RAW;
    #[cfg(not(target_vendor = "apple"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;

    #[inline]
    pub(super) fn now() -> libc::timespec {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one `timespec` where it is told to, and that is a live local of ours.
        // memcheck runs it in CI.
        let failed = unsafe { libc::clock_gettime(CLOCK, &mut time) };
        assert_eq!(failed, 0, "every system that has threads has a monotonic clock");
        time
    }
}

/// A counter that only grows, on one thread and by and large, and is the cheapest there is to read: a few
/// nanoseconds. How long a cycle is, is for the caller to find out.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn cycles() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and it reads a register of its own. Were a system
    // to forbid it, that would end the process, and corrupt nothing. memcheck runs it in CI.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// Elsewhere it is the clock.
#[cfg(not(target_arch = "x86_64"))]
#[inline]
pub(crate) fn cycles() -> u64 {
    real_now()
}

/// One moment in our terms and in std's, which agree but for the time that reading them took.
struct SameMoment {
    before: Instant,
    ours: u64,
    after: Instant,
}

fn same_moment() -> &'static SameMoment {
    static MOMENT: OnceLock<SameMoment> = OnceLock::new();
    MOMENT.get_or_init(|| {
        let before = Instant::now();
        SameMoment { before, ours: real_now(), after: Instant::now() }
    })
}

/// A moment in std's terms, not earlier than it is in ours.
pub(crate) fn into_std(moment: u64) -> Instant {
    let same = same_moment();
    match moment.checked_sub(same.ours) {
        // std cannot name every moment either; a century ahead is as good as never.
        Some(later) => same.after + Duration::from_nanos(later.min(CENTURY)),
        None => {
            let earlier = Duration::from_nanos(same.ours - moment);
            same.after.checked_sub(earlier).unwrap_or(same.after)
        }
    }
}

/// A moment of std's in our terms, not earlier than it is in std's.
pub(crate) fn from_std(moment: Instant) -> u64 {
    let same = same_moment();
    match moment.checked_duration_since(same.before) {
        Some(later) => same.ours.saturating_add(nanos(later)),
        None => same.ours.saturating_sub(nanos(same.before - moment)),
    }
}

/// Where a loop gets its time from.
#[derive(Debug, Clone)]
pub(crate) enum Clock {
    Real,
    Test(TestClock),
}

impl Clock {
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self {
            Self::Real => real_now(),
            Self::Test(clock) => clock.inner.now.load(SeqCst),
        }
    }
}

/// A clock for tests: it stands still, and jumps when nothing else can happen.
///
/// Give it to a loop with `Builder::test_clock`. While a task can run, or an event can be had, time
/// stands still. When nothing is ready, the loop sets the clock to its next deadline and fires it.
/// So a test that sleeps an hour takes no time, and its order of events is the same each run.
///
/// The clock does not jump while something is at work that the loop will hear from: a job of
/// `spawn_blocking`, or a thread that keeps a [`hold`](TestClock::hold). A thread that merely keeps a
/// waker cannot be seen: hold the clock for it. With a socket waited on, the jump comes only after
/// nothing arrived for a [real wait](TestClock::set_real_wait).
///
/// One clock may serve several loops; each jumps for itself, so hold it while another one works.
/// Make sleeps inside the loop's tasks: outside any loop a delay is counted by the real clock.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{EventLoop, time};
///
/// let clock = time::TestClock::new();
/// let event_loop = EventLoop::builder().test_clock(&clock).build()?;
/// let before = clock.elapsed();
/// event_loop.block_on(async { time::sleep(Duration::from_secs(3600)).await });
/// assert_eq!(clock.elapsed() - before, Duration::from_secs(3600));
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
#[doc(alias = "MockClock")]
#[doc(alias = "pause")]
pub struct TestClock {
    inner: Arc<Inner>,
}

/// Unparks a loop: the clock or what holds it has changed.
type Listener = Arc<dyn Fn() + Send + Sync>;

struct Inner {
    start: u64,
    now: AtomicU64,
    auto_advance: AtomicBool,
    holds: AtomicUsize,
    real_wait: AtomicU64,
    listeners: Mutex<Vec<(u64, Listener)>>,
}

impl TestClock {
    /// A clock that stands at the present moment and advances by itself.
    pub fn new() -> Self {
        let start = real_now();
        Self {
            inner: Arc::new(Inner {
                start,
                now: AtomicU64::new(start),
                auto_advance: AtomicBool::new(true),
                holds: AtomicUsize::new(0),
                real_wait: AtomicU64::new(1_000_000),
                listeners: Mutex::default(),
            }),
        }
    }

    /// How far the clock has gone since it was made.
    pub fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.inner.now.load(SeqCst) - self.inner.start)
    }

    /// Moves the clock forward. The loops that use it fire what is due in their next turn; a loop
    /// that is parked is unparked for it.
    ///
    /// The clock has an end, some 584 years after the system's start. A jump of more than a century
    /// stops a century before it, so that there is time for what comes after.
    pub fn advance(&self, by: Duration) {
        let by = nanos(by);
        // With no time left, any further deadline would be never.
        let end = if by > CENTURY { NEVER - CENTURY } else { NEVER - 1 };
        let moved = |now: u64| Some(now.saturating_add(by).min(end).max(now));
        self.inner.now.fetch_update(SeqCst, SeqCst, moved).ok();
        self.unpark_loops();
    }

    /// Whether the clock jumps to the next deadline by itself (it does unless told otherwise).
    pub fn set_auto_advance(&self, auto: bool) {
        self.inner.auto_advance.store(auto, SeqCst);
        self.unpark_loops();
    }

    /// How long a loop with a socket waited on waits, in real time, before the clock jumps. The
    /// default is one millisecond: enough for what is already on its way through the kernel.
    pub fn set_real_wait(&self, wait: Duration) {
        self.inner.real_wait.store(nanos(wait), SeqCst);
    }

    /// Keeps the clock from jumping until the guard is dropped.
    ///
    /// For work that no loop can see: a thread that will wake a task, a child process.
    #[must_use = "the clock is held only as long as the guard lives"]
    pub fn hold(&self) -> Hold {
        self.inner.holds.fetch_add(1, SeqCst);
        Hold { clock: self.clone() }
    }

    /// Whether it may jump now.
    pub(crate) fn may_advance(&self) -> bool {
        self.inner.auto_advance.load(SeqCst) && self.inner.holds.load(SeqCst) == 0
    }

    pub(crate) fn real_wait(&self) -> Duration {
        Duration::from_nanos(self.inner.real_wait.load(SeqCst))
    }

    /// Jumps forward to `moment`, never back.
    pub(crate) fn advance_to(&self, moment: u64) {
        self.inner.now.fetch_max(moment, SeqCst);
    }

    pub(crate) fn listen(&self, loop_id: u64, listener: Listener) {
        self.inner.listeners.lock().unwrap_or_else(|p| p.into_inner()).push((loop_id, listener));
    }

    pub(crate) fn unlisten(&self, loop_id: u64) {
        let mut listeners = self.inner.listeners.lock().unwrap_or_else(|p| p.into_inner());
        listeners.retain(|(id, _)| *id != loop_id);
    }

    fn unpark_loops(&self) {
        let listeners = self.inner.listeners.lock().unwrap_or_else(|p| p.into_inner()).clone();
        for (_, listener) in listeners {
            listener();
        }
    }
}

impl Default for TestClock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for TestClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClock")
            .field("elapsed", &self.elapsed())
            .field("auto_advance", &self.inner.auto_advance)
            .field("holds", &self.inner.holds)
            .finish_non_exhaustive()
    }
}

/// Keeps a [`TestClock`] from jumping while it lives.
#[derive(Debug)]
pub struct Hold {
    clock: TestClock,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.clock.inner.holds.fetch_sub(1, SeqCst) == 1 {
            self.clock.unpark_loops();
        }
    }
}
