//! Running a future to its end on a thread that is no worker and turns no loop.
//!
//! The future's tasks go to the handle's event loop or runtime. A runtime's sockets and timers may be awaited
//! on any thread, so there the thread polls, and parks in between. Those of an event loop belong to the loop's
//! own thread. So the calling thread turns a small event loop of its own meanwhile, which serves the sockets
//! and timers that the future itself awaits.
//!
//! **Alternative:** to send the future to the event loop and wait here. It would have to be `Send` and
//! `'static`; `handle.spawn(future).wait()` does just that.

use std::{
    future::Future,
    panic::Location,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    engine::{
        base::this_poll,
        current::{self, Current, Scheduler},
        scheduler::{
            event_loop::Settings,
            pool::{Pool, parker::Parker},
        },
    },
    event_loop::EventLoop,
    handle::Handle,
};

impl Handle {
    /// Runs `future` to its end on this thread, and gives its output. What it spawns goes to the event loop
    /// or the runtime, which must be at work elsewhere meanwhile if the future waits for it.
    ///
    /// For plain threads, and inside the calls of [`spawn_blocking`](crate::task::spawn_blocking).
    ///
    /// ```
    /// use std::time::Duration;
    /// use whirligig::{Handle, spawn, task, time};
    ///
    /// whirligig::run(async {
    ///     let call = task::spawn_blocking(|| {
    ///         Handle::current().block_on(async {
    ///             time::sleep(Duration::from_millis(1)).await; // here
    ///             spawn(async { 6 * 7 }).await.unwrap() // on the loop
    ///         })
    ///     });
    ///     assert_eq!(call.await.unwrap(), 42);
    /// });
    /// ```
    ///
    /// # Panics
    /// - If the future panics.
    /// - On an event loop's own thread, which could not turn meanwhile: await the future instead, or, outside
    ///   the loop's tasks, call [`EventLoop::block_on`](crate::EventLoop::block_on).
    /// - Inside a task of the same runtime, whose worker it would stop.
    /// - If the system has no descriptors for the loop that serves the future's timers and sockets.
    #[track_caller]
    #[doc(alias = "run_until_complete")]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        match &self.scheduler {
            Scheduler::EventLoop(remote) => {
                assert!(
                    !remote.is_here(),
                    "`Handle::block_on` on the event loop's own thread would keep the loop from turning: \
                     await the future instead, or spawn it; outside the loop's tasks, call \
                     `EventLoop::block_on`"
                );
                let clock = remote.clock.clone();
                let settings = Settings { clock, ..Settings::usual() };
                match EventLoop::with_settings(settings) {
                    Ok(own) => own.block_on_for(remote.clone(), future, Location::caller()),
                    Err(error) => panic!("no event loop for `Handle::block_on`: {error}"),
                }
            }
            Scheduler::Pool(pool) => {
                assert!(
                    !(is_worker_of(pool) && this_poll::is_polling()),
                    "`block_on` inside a task of the same runtime would stop the worker that it may be \
                     waiting for: await the future instead, or spawn it"
                );
                // Inside a task of another runtime, whose worker would stand still otherwise.
                let _left = current::hand_off_worker();
                let _guard = current::enter_pool(pool.clone());
                this_poll::blocked(|| run_root(future))
            }
        }
    }
}

fn is_worker_of(pool: &Arc<Pool>) -> bool {
    matches!(current::get(), Some(Current::Worker(worker)) if Arc::ptr_eq(&worker.pool, pool))
}

/// Polls a root future until it has ended.
fn run_root<F: Future>(future: F) -> F::Output {
    let parker = Arc::new(Parker::new());
    let waker = Waker::from(parker.clone());
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        this_poll::begin(&waker, None, 0);
        let polled = future.as_mut().poll(&mut cx);
        let again = this_poll::gave_way_at().is_some();
        this_poll::end();
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending if again => {}
            Poll::Pending => _ = parker.park(None),
        }
    }
}
