//! How a loop is made to order.

use std::{io, num::NonZeroU32};

use crate::{
    clock::{Clock, TestClock},
    event_loop::EventLoop,
    scheduler::event_loop::Settings,
};

/// Makes an [`EventLoop`] with other settings than the usual. From `EventLoop::builder`.
///
/// ```
/// let event_loop = whirligig::EventLoop::builder()
///     .look_before_parking(false)
///     .blocking_threads(4)
///     .build()?;
/// # drop(event_loop);
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    settings: Settings,
    /// Asked for; otherwise as is usual for the clock.
    look_before_parking: Option<bool>,
}

impl EventLoop {
    /// Other settings than the usual.
    pub fn builder() -> Builder {
        Builder { settings: Settings::usual(), look_before_parking: None }
    }
}

impl Builder {
    /// Gives the loop a clock for tests instead of the real one. See [`TestClock`].
    pub fn test_clock(mut self, clock: &TestClock) -> Self {
        self.settings.clock = Clock::Test(clock.clone());
        self
    }

    /// Whether the loop, with nothing to do, may look at its sockets for some 50 microseconds before
    /// it parks, when that has paid off lately. It answers a lone client several times as fast, and
    /// keeps the processor busy meanwhile. Looks that found nothing take 2.5 % of the time at most.
    ///
    /// The default is yes where there is more than one processor, and no under a test clock, where
    /// asking for it is an error.
    pub fn look_before_parking(mut self, look: bool) -> Self {
        self.look_before_parking = Some(look);
        self
    }

    /// Has the loop, while tasks are ready, look at its sockets after each `polls` polls, instead of
    /// some tens of microseconds after the last look.
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
        let Self { mut settings, look_before_parking } = self;
        let invalid = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        if settings.blocking_threads == 0 {
            return invalid("blocking_threads is 0: `spawn_blocking` would wait for ever");
        }
        let is_test = matches!(settings.clock, Clock::Test(_));
        if is_test && look_before_parking == Some(true) {
            return invalid("look_before_parking goes by the real clock: not with a test clock");
        }
        settings.look_before_parking =
            look_before_parking.unwrap_or(settings.look_before_parking && !is_test);
        // A queue of none still needs room for the job that starts a thread.
        settings.blocking_queue = settings.blocking_queue.max(1);
        EventLoop::with_settings(settings)
    }
}
