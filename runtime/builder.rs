//! How a loop and a runtime are made to order.
//!
//! A builder takes whatever it is given. What cannot work is refused by `build`, by name, so that one
//! place says what a setting may be.

use std::{fmt, io, num::NonZeroU32, sync::Arc};

use crate::{
    engine::{
        base::clock::{Clock, TestClock},
        scheduler::{
            event_loop::Settings,
            pool::{self, threads::ThreadSettings},
        },
    },
    event_loop::EventLoop,
    runtime::Runtime,
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

    /// Whether the loop, with nothing to do, may spin for some 50 microseconds before it parks: look at its
    /// sockets again and again, if that has paid off lately (adaptive spinning). The default is no.
    ///
    /// It answers a lone client that has a processor of its own several times as fast, and keeps the
    /// loop's processor busy meanwhile. At most 2.5 % of the time is spun in vain, but other processes on
    /// that processor lose more. On a machine with one processor the loop never spins. Under a test clock
    /// it is an error.
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
    #[doc(hidden)]
    pub fn look_interval(mut self, polls: NonZeroU32) -> Self {
        self.settings.look_interval = polls.get();
        self
    }

    /// How many threads the loop's blocking pool has at most. The default is 64. Half of them may look names
    /// up at a time.
    #[doc(alias = "max_blocking_threads")]
    #[doc(alias = "max_workers")]
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// How many calls may wait for a thread of the pool before
    /// [`try_spawn_blocking`](crate::task::try_spawn_blocking) refuses another. The default is 1,024; with 0 a
    /// call must find a thread. (`spawn_blocking` refuses none.)
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
        let Self { settings } = self;
        check_blocking(settings.blocking_threads)?;
        if settings.spin_before_park && matches!(settings.clock, Clock::Test(_)) {
            return invalid("spin_before_park goes by the real clock: not with a test clock");
        }
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
    threads: ThreadSettings,
}

/// A number of workers beyond which something must be wrong.
const MOST_WORKERS: usize = 1_024;
/// On less than this the first socket would overflow the stack.
const LEAST_STACK: u64 = 64 << 10;
/// What no machine has. Far above it the system's own arithmetic overflows.
const MOST_STACK: u64 = 64 << 30;

impl Runtime {
    /// Other settings than the usual.
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder { settings: pool::Settings::usual(), threads: ThreadSettings::usual() }
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
    /// here is dropped. The end of the runtime waits for this hook as well.
    pub fn on_thread_stop(mut self, hook: impl Fn(usize) + Send + Sync + 'static) -> Self {
        self.threads.on_stop = Some(Arc::new(hook));
        self
    }

    /// How often in a row a task that was just woken may run before those that wait in the queue. The
    /// default is 16; 0 has each wait behind the others.
    #[doc(hidden)]
    pub fn lifo_uses(mut self, most: u32) -> Self {
        self.settings.lifo_uses = most;
        self
    }

    /// Has a worker, while tasks are ready, look at its sockets and at what was spawned elsewhere after
    /// each `polls` polls, instead of by the clock.
    ///
    /// For measuring, as on [an event loop](Builder::look_interval).
    #[doc(hidden)]
    pub fn look_interval(mut self, polls: NonZeroU32) -> Self {
        self.settings.look_interval = polls.get();
        self
    }

    /// How many threads the runtime's blocking pool has at most. The default is 512. Half of them may look
    /// names up at a time.
    #[doc(alias = "max_blocking_threads")]
    pub fn blocking_threads(mut self, most: usize) -> Self {
        self.settings.blocking_threads = most;
        self
    }

    /// How many calls may wait for a thread of the pool before
    /// [`try_spawn_blocking`](crate::task::try_spawn_blocking) refuses another. The default is 1,024; with 0 a
    /// call must find a thread. (`spawn_blocking` refuses none.)
    pub fn blocking_queue(mut self, most: usize) -> Self {
        self.settings.blocking_queue = most;
        self
    }

    /// Makes the runtime and starts its workers.
    ///
    /// # Errors
    /// What the system says when it cannot give the runtime its descriptors, or each worker its thread; and
    /// `InvalidInput` for settings that cannot work, by name.
    pub fn build(self) -> io::Result<Runtime> {
        let Self { settings, threads } = self;
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
        check_blocking(settings.blocking_threads)?;
        Runtime::with_settings(settings, threads)
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { settings, threads } = self;
        f.debug_struct("RuntimeBuilder")
            .field("worker_threads", &settings.workers)
            .field("thread_name", &threads.name)
            .field("stack_size", &threads.stack_size)
            .field("lifo_uses", &settings.lifo_uses)
            .field("look_interval", &settings.look_interval)
            .field("blocking_threads", &settings.blocking_threads)
            .field("blocking_queue", &settings.blocking_queue)
            .finish_non_exhaustive()
    }
}
