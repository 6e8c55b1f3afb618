//! What a round runs on: which runtime, how it is driven, and how it is ended in the middle.
//!
//! Called by `round.rs`. Each of the ways that the library offers for it is taken at random.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use fastrand::Rng;
use whirligig::{EventLoop, Handle, Runtime, task};

use crate::{census::Kind, round::Round};

/// A runtime to be made, and where its threads may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    /// `None` is the event loop.
    pub(crate) workers: Option<usize>,
    pub(crate) pinned: bool,
}

impl Variant {
    pub(crate) fn event_loop() -> Self {
        Self { workers: None, pinned: false }
    }

    pub(crate) fn workers(workers: usize) -> Self {
        Self { workers: Some(workers), pinned: false }
    }

    pub(crate) fn pinned(self) -> Self {
        Self { pinned: true, ..self }
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.workers {
            None => f.write_str("event loop")?,
            Some(1) => f.write_str("1 worker")?,
            Some(workers) => write!(f, "{workers} workers")?,
        }
        f.write_str(if self.pinned { ", pinned" } else { "" })
    }
}

/// One that runs.
pub(crate) enum Host {
    EventLoop(EventLoop),
    Runtime(Runtime),
}

impl Host {
    /// With so small a blocking pool, at times, that its callers have to wait for room.
    pub(crate) fn new(variant: Variant, rng: &mut Rng) -> Self {
        let (threads, queue) = (rng.usize(1..=8), rng.usize(0..=16));
        match variant.workers {
            None => {
                let builder = EventLoop::builder().blocking_threads(threads).blocking_queue(queue);
                Self::EventLoop(builder.build().expect("an event loop"))
            }
            Some(workers) => {
                let builder = Runtime::builder().worker_threads(workers);
                let builder = builder.blocking_threads(threads).blocking_queue(queue);
                Self::Runtime(builder.build().expect("a runtime"))
            }
        }
    }

    pub(crate) fn handle(&self) -> Handle {
        match self {
            Self::EventLoop(event_loop) => event_loop.handle(),
            Self::Runtime(runtime) => runtime.handle(),
        }
    }

    /// Runs `root` to its end.
    pub(crate) fn drive(&self, root: impl Future<Output = ()> + Send + 'static, rng: &mut Rng) {
        match self {
            Self::EventLoop(event_loop) => match rng.u8(0..3) {
                0 => event_loop.block_on(root),
                1 => {
                    let handle = event_loop.handle();
                    let root = event_loop.spawn_local(async move {
                        root.await;
                        handle.stop();
                    });
                    event_loop.run_forever();
                    event_loop.block_on(root).expect("the root ends");
                }
                _ => {
                    let root = event_loop.spawn_local(root);
                    while !root.is_finished() {
                        event_loop.turn(Some(Duration::from_millis(1))).expect("a turn");
                    }
                    event_loop.block_on(root).expect("the root ends");
                }
            },
            Self::Runtime(runtime) => match rng.u8(0..3) {
                0 => runtime.block_on(root),
                1 => runtime.spawn(root).wait().expect("the root ends"),
                _ => {
                    let _entered = runtime.enter();
                    futures_lite::future::block_on(pin!(root));
                }
            },
        }
    }

    /// Tasks that have not ended.
    pub(crate) fn tasks(&self) -> usize {
        match self {
            Self::EventLoop(event_loop) => event_loop.dump().tasks.len(),
            Self::Runtime(runtime) => runtime.dump().tasks.len(),
        }
    }

    /// Polls and parks so far.
    pub(crate) fn stats(&self) -> (u64, u64) {
        match self {
            Self::EventLoop(event_loop) => (event_loop.stats().polls, event_loop.stats().parks),
            Self::Runtime(runtime) => {
                runtime.stats().iter().fold((0, 0), |(polls, parks), worker| {
                    (polls + worker.polls, parks + worker.parks)
                })
            }
        }
    }

    /// Ends it with all its tasks. Says whether they are all gone by the time this returns, as its docs promise, and
    /// the blocking calls as well.
    pub(crate) fn shut_down(self, round: &Arc<Round>, rng: &mut Rng) -> Gone {
        let runtime = match self {
            Self::EventLoop(event_loop) => {
                drop(event_loop);
                return Gone { tasks: true, calls: false };
            }
            Self::Runtime(runtime) => runtime,
        };
        let handle = runtime.handle();
        match rng.u8(0..6) {
            0 | 1 => {
                round.enter_phase("drops the runtime");
                drop(runtime);
                Gone { tasks: true, calls: false }
            }
            2 | 3 => {
                round.enter_phase("calls `shutdown_timeout`");
                // No sound run comes near it, and the watchdog is sooner.
                if let Err(left) = runtime.shutdown_timeout(Duration::from_secs(3600)) {
                    round.fail(format!("an hour was not enough: {left}"));
                }
                Gone { tasks: true, calls: true }
            }
            4 => {
                round.enter_phase("calls `shutdown_background`");
                runtime.shutdown_background();
                Gone { tasks: false, calls: false }
            }
            _ => {
                let in_place = rng.bool();
                round.enter_phase("drops the runtime in a task of its own");
                let member = round.enrol(Kind::Lane);
                let last = handle.spawn(async move {
                    if in_place {
                        task::block_in_place(|| drop(runtime));
                    } else {
                        drop(runtime);
                    }
                    member.complete();
                });
                if let Err(error) = last.wait() {
                    round
                        .fail(format!("a task that drops its runtime goes on to its end: {error}"));
                }
                Gone { tasks: false, calls: false }
            }
        }
    }
}

/// What a shutdown has waited for.
pub(crate) struct Gone {
    pub(crate) tasks: bool,
    pub(crate) calls: bool,
}
