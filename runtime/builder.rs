//! How a loop and a runtime are made to order.
//!
//! A builder takes whatever it is given. What cannot work is refused by `build`, by name, so that one
//! place says what a setting may be.

use std::{fmt, io, num::NonZeroU32, sync::Arc, time::Duration};

use crate::{
    engine::{
        base::clock::{self, Clock, TestClock},
        scheduler::{event_loop::Settings, pool},
    },
    event_loop::EventLoop,
    runtime::{Runtime, Threads},
};

/// Makes an [`EventLoop`] with other settings than the usual. From `EventLoop::builder`.
///
/// ```
/// let event_loop = whirligig::EventLoop::builder()
///     .spin_before_park(true)
///     .blocking_threads(4)
///     .build()?;
/// # drop(event_loop);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    settings: Settings,
}

impl EventLoop {
    /// Other settings than the usual.
    pub fn builder() -> Builder {
        Builder { settings: Settings::usual() }
    }
}

impl Builder {
    /// Gives the loop a clock for tests instead of the real one. See [`TestClock`].
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.settings.clock = Clock::Test(clock.clone());
        self
    }

    /// Whether the loop, with nothing to do, may look at its sockets for some 50 microseconds before
    /// it parks, when that has paid off lately (adaptive spinning). The default is no.
    ///
    /// It answers a lone client that has a processor of its own several times as fast, and keeps the
    /// loop's processor busy meanwhile: 2.5 % of the time at most is spun in vain, but what runs beside the
    /// loop pays more. Where there is one processor it is not done, and under a test clock it is an error.
    #[doc(alias = "look_before_parking")]
    pub fn spin_before_park(mut self, spin: bool) -> Self {
        self.settings.spin_before_park = spin;
        self
    }

    /// Has the loop, while tasks are ready, look at its sockets after each `polls` polls, instead of
    /// 50 microseconds and 32 polls after the last look, or 500 microseconds.
    ///
    /// For measuring: under a tool that counts instructions or traces system calls each poll takes a
    /// hundred times as long, and looks that go by the clock would be counted far too often.
    #[doc(alias = "event_interval")]
    pub fn look_interval(mut self, polls: NonZeroU32) -> Self {
        self.settings.look_interval = polls.get();
        self
    }

    /// How many threads the loop's blocking pool has at most. The default is 64.
    #[doc(alias = "max_blocking_threads")]
    #[doc(alias = "max_workers")]
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// How many jobs may wait for one of those threads before `spawn_blocking` itself has to wait.
    /// The default is 1,024; 0 means that a job must find an idle thread.
    pub fn blocking_queue(mut self, most: usize) -> Self {
        self.settings.blocking_queue = most;
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    /// What the system says when it cannot give the loop its three descriptors; and
    /// `InvalidInput` for settings that cannot work, by name.
    pub fn build(self) -> io::Result<EventLoop> {
        let Self { mut settings } = self;
        check_blocking(settings.blocking_threads)?;
        if settings.spin_before_park && matches!(settings.clock, Clock::Test(_)) {
            return invalid("spin_before_park goes by the real clock: not with a test clock");
        }
        // A queue of none still needs room for the job that starts a thread.
        settings.blocking_queue = settings.blocking_queue.max(1);
        EventLoop::with_settings(settings)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings { clock, spin_before_park, look_interval, .. } = &self.settings;
        let Settings { blocking_threads, blocking_queue, .. } = &self.settings;
        f.debug_struct("Builder")
            .field("clock", clock)
            .field("spin_before_park", spin_before_park)
            .field("look_interval", look_interval)
            .field("blocking_threads", blocking_threads)
            .field("blocking_queue", blocking_queue)
            .finish()
    }
}

/// An error for a setting that cannot work.
fn invalid<T>(what: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, what))
}

fn check_blocking(threads: usize) -> io::Result<()> {
    match threads {
        0 => invalid("blocking_threads is 0: `spawn_blocking` would wait for ever"),
        _ => Ok(()),
    }
}

/// Makes a [`Runtime`] with other settings than the usual. From [`Runtime::builder`].
///
/// ```
/// let runtime = whirligig::Runtime::builder()
///     .worker_threads(2)
///     .thread_name("web")
///     .on_thread_start(|worker| println!("worker {worker} starts"))
///     .build()?;
/// # drop(runtime);
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RuntimeBuilder {
    settings: pool::Settings,
    threads: Threads,
}

/// A number of workers beyond which something must be wrong.
const MOST_WORKERS: usize = 1_024;
/// On less than this the first socket would overflow the stack.
const LEAST_STACK: u64 = 64 << 10;
/// What no machine has. Far above it the system's own arithmetic overflows.
const MOST_STACK: u64 = 64 << 30;
/// The kernel's wait counts milliseconds.
const LEAST_TICK: Duration = Duration::from_millis(1);
/// With a longer one there might as well be no sentry.
const MOST_TICK: Duration = Duration::from_secs(60);

impl Runtime {
    /// Other settings than the usual.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder { settings: pool::Settings::usual(), threads: Threads::usual() }
    }
}

impl RuntimeBuilder {
    /// How many workers there are, each on a thread of its own. The default is one for each processor.
    pub fn worker_threads(mut self, workers: usize) -> Self {
        self.settings.workers = workers;
        self
    }

    /// What the workers' threads are called, each with its number: `web-0`, `web-1`. The default is
    /// `whirligig`. Linux shows the first fifteen bytes.
    pub fn thread_name(mut self, name: impl Into<String>) -> Self {
        self.threads.name = name.into();
        self
    }

    /// How many bytes of stack each worker's thread has, 64 KiB at least. The default is that of
    /// `std::thread`: 2 MiB.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.threads.stack_size = Some(bytes);
        self
    }

    /// Calls `hook` with each worker's number (from 0) on the worker's own thread, before it runs any
    /// task. For what belongs to a thread: its priority and processor, a listener to its
    /// [`trace`](crate::trace). A hook that panics is reported, and the worker goes on.
    pub fn on_thread_start(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.threads.on_start = Some(Arc::new(hook));
        self
    }

    /// The same when the worker has run its last task. The runtime is closed by then: what is spawned
    /// here is dropped. Whoever waits for the runtime's end waits for this as well.
    pub fn on_thread_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.threads.on_stop = Some(Arc::new(hook));
        self
    }

    /// The longest that the sentry sleeps between two looks for a worker that is stuck in one poll, from
    /// a millisecond to a minute. The default is 10 ms.
    ///
    /// While any worker is parked, what becomes ready at a stuck one waits no longer than two of these.
    /// The price is one thread that wakes up so often while others work, and oftener for a while when
    /// one of them is stuck.
    pub fn sentry_tick(mut self, tick: Duration) -> Self {
        self.settings.sentry_tick = tick;
        self
    }

    /// How often in a row a task that was just woken may run before those that wait in the queue. The
    /// default is 16; 0 has each wait behind the others.
    pub fn lifo_uses(mut self, most: u32) -> Self {
        self.settings.lifo_uses = most;
        self
    }

    /// Has a worker, while tasks are ready, look at its sockets and at what was spawned elsewhere after
    /// each `polls` polls, instead of by the clock.
    ///
    /// For measuring, as on [an event loop](Builder::look_interval).
    #[doc(alias = "event_interval")]
    #[doc(alias = "global_queue_interval")]
    pub fn look_interval(mut self, polls: NonZeroU32) -> Self {
        self.settings.look_interval = polls.get();
        self
    }

    /// Whether a worker, with nothing to do, may look around for some 50 microseconds before it parks,
    /// when that has paid off lately. See [an event loop's](Builder::spin_before_park); one worker of a
    /// runtime does so at a time.
    ///
    /// The default is yes where there is more than one processor.
    pub fn look_before_parking(mut self, look: bool) -> Self {
        self.settings.look_before_parking = look;
        self
    }

    /// What it takes until a neighbour that is unparked is at work. The default is 50 microseconds.
    ///
    /// A worker gets a neighbour up when what waits in its queue would take longer than this. More keeps
    /// the work on fewer processors, until a worker has been busy for a millisecond; less spreads it
    /// sooner, and with none, whatever waits is worth a neighbour.
    pub fn unpark_cost(mut self, cost: Duration) -> Self {
        self.settings.help_takes = clock::nanos(cost);
        self
    }

    /// How many threads the runtime's blocking pool has at most. The default is 512.
    #[doc(alias = "max_blocking_threads")]
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// How many jobs may wait for one of those threads before `spawn_blocking` itself has to wait.
    /// The default is 1,024; 0 means that a job must find an idle thread.
    pub fn blocking_queue(mut self, most: usize) -> Self {
        self.settings.blocking_queue = most;
        self
    }

    /// Makes the runtime and starts its workers.
    ///
    /// # Errors
    /// What the system says when it cannot give each worker its descriptors and its thread; and
    /// `InvalidInput` for settings that cannot work, by name.
    pub fn build(self) -> io::Result<Runtime> {
        let Self { mut settings, threads } = self;
        match settings.workers {
            0 => return invalid("worker_threads is 0: nobody would run the tasks"),
            1..=MOST_WORKERS => {}
            _ => return invalid("worker_threads is more than 1,024"),
        }
        if threads.name.contains('\0') {
            return invalid("thread_name has a zero byte in it, which ends a name");
        }
        match threads.stack_size.map(|bytes| bytes as u64) {
            Some(0..LEAST_STACK) => return invalid("stack_size is less than 64 KiB"),
            None | Some(..=MOST_STACK) => {}
            Some(_) => return invalid("stack_size is more than 64 GiB"),
        }
        if !(LEAST_TICK..=MOST_TICK).contains(&settings.sentry_tick) {
            return invalid("sentry_tick is not from a millisecond to a minute");
        }
        check_blocking(settings.blocking_threads)?;
        // A queue of none still needs room for the job that starts a thread.
        settings.blocking_queue = settings.blocking_queue.max(1);
        Runtime::with_settings(settings, &threads)
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, threads } = self;
        f.debug_struct("RuntimeBuilder")
            .field("worker_threads", &settings.workers)
            .field("thread_name", &threads.name)
            .field("stack_size", &threads.stack_size)
            .field("sentry_tick", &settings.sentry_tick)
            .field("lifo_uses", &settings.lifo_uses)
            .field("look_interval", &settings.look_interval)
            .field("look_before_parking", &settings.look_before_parking)
            .field("unpark_cost", &Duration::from_nanos(settings.help_takes))
            .field("blocking_threads", &settings.blocking_threads)
            .field("blocking_queue", &settings.blocking_queue)
            .finish_non_exhaustive()
    }
}
