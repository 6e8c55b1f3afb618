//! The end of an event loop or a runtime: how long it waits for what has begun, and what is named.
//!
//! Tasks are dropped, and so are the calls on the blocking pool that have not begun. A call that has begun
//! cannot be ended from outside, and may be in the middle of a file. So the end waits for it: for
//! [`GRACE`] where nobody said how long, and then names its line on standard error.
//!
//! **Alternative:** to wait for ever. A call that reads from a terminal would keep the program alive, and
//! nothing would say why.

use std::{fmt, panic::Location, time::Duration};

use crate::{
    dump::TaskDump,
    engine::{
        base::{clock, user_code},
        blocking::BlockingPool,
    },
};

/// How long `run`, and the drop of an event loop or a runtime, wait for calls that have begun.
pub(crate) const GRACE: Duration = Duration::from_secs(10);

/// What had not ended when a `shutdown_timeout` was over. `Display` prints a line each, with the task's
/// name and the line that spawned it or made the call.
///
/// It is an [`Error`](std::error::Error), to be passed on or printed. What it names goes on: a thread
/// that does not come back cannot be ended from outside.
#[derive(Debug)]
#[non_exhaustive]
pub struct StillRunning {
    /// The tasks whose present poll has not come to an end. None on an event loop.
    pub tasks: Vec<TaskDump>,
    /// The lines that made the calls on the blocking pool that have not ended.
    pub blocking_calls: Vec<&'static Location<'static>>,
}

impl StillRunning {
    /// An error, if there is anything in it.
    pub(crate) fn check(
        tasks: Vec<TaskDump>,
        blocking_calls: Vec<&'static Location<'static>>,
    ) -> Result<(), Self> {
        if tasks.is_empty() && blocking_calls.is_empty() {
            return Ok(());
        }
        Err(Self { tasks, blocking_calls })
    }
}

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime was shut down, but")?;
        for task in &self.tasks {
            write!(f, "\n{task}")?;
        }
        for location in &self.blocking_calls {
            write!(f, "\na blocking call made at {location} is running")?;
        }
        Ok(())
    }
}

impl std::error::Error for StillRunning {}

/// What is left of this time, whenever it is asked.
pub(crate) fn countdown(time: Duration) -> impl Fn() -> Duration {
    let end = clock::real_now().saturating_add(clock::nanos(time));
    move || Duration::from_nanos(end.saturating_sub(clock::real_now()))
}

/// Waits for the calls of a closed pool, for no longer than this.
///
/// # Errors
/// The calls that go on.
pub(crate) fn wait_for_calls(pool: &BlockingPool, timeout: Duration) -> Result<(), StillRunning> {
    // A call that drops its own runtime would wait for itself.
    if pool.owns_this_thread() {
        return Ok(());
    }
    pool.wait_ended(countdown(timeout));
    StillRunning::check(Vec::new(), pool.running())
}

/// The same at a drop, where nobody takes an error.
pub(crate) fn wait_for_calls_or_say(pool: &BlockingPool) {
    if let Err(left) = wait_for_calls(pool, GRACE) {
        user_code::say(format_args!("{left}"));
    }
}
