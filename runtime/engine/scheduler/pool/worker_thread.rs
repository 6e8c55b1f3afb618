//! A thread that runs workers: one after the other, as they come to be vacant.
//!
//! Mostly it is one worker for all of the thread's life. `threads.rs` says when it is not.
//!
//! Two functions of `runtime.rs` are handed in, because the files of this folder may not import `current.rs`,
//! which says what runs a thread, and imports them. The chain of calls:
//!
//! 1. `pool/mod.rs`, `start_thread`: starts the thread, which calls the pool's [`RunThread`](super::RunThread).
//! 2. `runtime.rs`, `run_thread`: calls [`run`] here with its `enter_worker`.
//! 3. [`run`]: makes the [`Worker`], and gives it to `enter_worker` with a closure.
//! 4. `runtime.rs`, `enter_worker`: makes the worker the thread's current one (`current.rs`), and calls the closure.
//! 5. That closure, in [`run`]: calls the hooks and [`Worker::run`], which turns until the worker ends.

use std::sync::Arc;

use super::{
    FirstWorker, Pool,
    threads::{Hook, Threads},
    worker::Worker,
};
use crate::engine::{
    base::{primitives::lock, user_code},
    run_queue::stealing::Owner,
};

/// Makes a worker this thread's, and calls the closure with it: `enter_worker` of `runtime.rs`.
pub(crate) type Enter = fn(Worker, &mut dyn FnMut(&Worker));

/// The thread's end. After a panic, of a worker that cannot wait, it is the runtime's as well: what waits is
/// cancelled, and told so.
struct Ends<'a>(&'a Pool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let Self(pool) = self;
        if std::thread::panicking() {
            pool.close();
        }
        pool.threads.end(|| pool.close_reactor());
    }
}

/// The thread's life.
pub(crate) fn run(pool: &Arc<Pool>, mut next: Option<FirstWorker>, enter: Enter) {
    let _ends = Ends(pool);
    let Threads { settings, .. } = &pool.threads;
    let mut first = None;
    while let Some((index, queue)) = next.take().or_else(|| take_vacant(pool)) {
        let is_first = first.is_none();
        let number = *first.get_or_insert(index);
        enter(Worker::new(pool.clone(), index, queue), &mut |worker| {
            if is_first {
                call_hook("an `on_thread_start` hook", &settings.on_start, number);
            }
            worker.run();
            // While the runtime is still this thread's.
            if pool.is_closed() && first.take().is_some() {
                call_hook("an `on_thread_stop` hook", &settings.on_stop, number);
            }
        });
    }
    if let Some(number) = first {
        call_hook("an `on_thread_stop` hook", &settings.on_stop, number);
    }
}

/// A vacant worker, with a new queue.
fn take_vacant(pool: &Pool) -> Option<FirstWorker> {
    let index = pool.threads.take()?;
    let queue = Owner::new();
    *lock(&pool.workers[index].thief) = queue.thief();
    Some((index, queue))
}

/// Hooks are user code: one that panics is reported, and the thread goes on.
fn call_hook(what: &str, hook: &Option<Hook>, worker: usize) {
    if let Some(hook) = hook {
        user_code::call(what, || hook(worker));
    }
}
