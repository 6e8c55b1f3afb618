//! hyper's executors and its timer.
//!
//! hyper calls them for what it spawns beside a connection (each stream of HTTP/2, the tasks of a pooled
//! client) and for its time limits. What must hold: what an executor spawns goes on when the handle of it is dropped,
//! as a [`JoinHandle`](crate::task::JoinHandle) that is dropped lets it.
//!
//! **Alternative:** one executor that finds out which variant it is on. Then futures that are not `Send` would be
//! refused when the program runs, not when it is compiled.

use std::{future::Future, marker::PhantomData, pin::Pin, time::Duration};

use ::hyper::rt;

use crate::{
    task::{spawn, spawn_local},
    time::{Instant, Sleep, sleep, sleep_until},
};

/// Spawns `Send` futures, on an event loop or a runtime. `hyper_util`'s `TokioExecutor`.
///
/// # Panics
/// [`execute`](rt::Executor::execute) panics if no runtime runs this thread.
///
/// ```
/// use hyper::rt::Executor as _;
/// use whirligig::{adapters::hyper::Executor, sync::oneshot};
///
/// whirligig::run(async {
///     let (sender, receiver) = oneshot::channel();
///     Executor.execute(async { drop(sender.send(7)) });
///     assert_eq!(receiver.await, Ok(7));
/// });
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[doc(alias = "TokioExecutor")]
pub struct Executor;

impl<F> rt::Executor<F> for Executor
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(spawn(future));
    }
}

/// Spawns futures that need not be `Send`, on an event loop. It stays on its thread itself.
///
/// # Panics
/// [`execute`](rt::Executor::execute) panics if no event loop runs this thread.
///
/// ```
/// use std::{cell::Cell, rc::Rc};
/// use hyper::rt::Executor as _;
/// use whirligig::{adapters::hyper::LocalExecutor, task};
///
/// whirligig::run(async {
///     let seen = Rc::new(Cell::new(0));
///     let sees = seen.clone();
///     LocalExecutor::new().execute(async move { sees.set(7) });
///     task::yield_now().await;
///     assert_eq!(seen.get(), 7);
/// });
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalExecutor {
    stays: PhantomData<*const ()>,
}

impl LocalExecutor {
    /// There is nothing to set.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<F> rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    #[track_caller]
    fn execute(&self, future: F) {
        drop(spawn_local(future));
    }
}

/// The clock and the sleeps of the loop or runtime that runs this thread; also a
/// [`TestClock`](crate::time::TestClock). `hyper_util`'s `TokioTimer`.
///
/// hyper wants one for each of its time limits: `http1::Builder::timer`, `Client::builder(..).pool_timer(..)`.
///
/// ```
/// use std::time::Duration;
/// use hyper::rt::Timer as _;
/// use whirligig::adapters::hyper::Timer;
///
/// whirligig::run(async {
///     let begun = Timer.now();
///     let mut sleep = Timer.sleep(Duration::MAX);
///     Timer.reset(&mut sleep, begun + Duration::from_millis(1));
///     sleep.await;
///     assert!(Timer.now() >= begun + Duration::from_millis(1));
/// });
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[doc(alias = "TokioTimer")]
pub struct Timer;

impl rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(sleep(duration))
    }

    fn sleep_until(&self, deadline: std::time::Instant) -> Pin<Box<dyn rt::Sleep>> {
        Box::pin(sleep_until(Instant::from_std(deadline)))
    }

    /// By the loop's clock, so that a limit that hyper counts from here ends by the same.
    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }

    /// Moves the deadline. On an event loop the timer in its wheel moves, and nothing is allocated.
    fn reset(&self, sleep: &mut Pin<Box<dyn rt::Sleep>>, deadline: std::time::Instant) {
        // ANCHOR: reset
        match sleep.as_mut().downcast_mut_pin::<Sleep>() {
            Some(ours) => ours.get_mut().reset(Instant::from_std(deadline)),
            // Made by another timer.
            None => *sleep = self.sleep_until(deadline),
        }
        // END: reset
    }
}

/// With feature `hyper`.
impl rt::Sleep for Sleep {}
