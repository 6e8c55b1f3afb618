//! The variants of the runtime, and a behaviour run on each: what `tests/together` and its neighbours stand on.
//!
//! Included with `#[path]`, beside `watchdog.rs`.

#![allow(dead_code, reason = "each test program uses a part")]

use std::{future::Future, io, time::Duration};

use whirligig::{EventLoop, Runtime, task};

use crate::watchdog::Watchdog;

/// The runtime that a behaviour runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    EventLoop,
    Workers(usize),
}

pub(crate) const VARIANTS: [Variant; 3] =
    [Variant::EventLoop, Variant::Workers(1), Variant::Workers(4)];

impl Variant {
    /// Runs `behaviour` as a task, on a new loop or runtime; panics if it does, or if it leaves tasks behind.
    #[track_caller]
    pub(crate) fn run<F>(self, behaviour: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (outcome, left) = match self {
            Self::EventLoop => {
                let event_loop = EventLoop::new().expect("a loop can be made");
                let outcome = event_loop.block_on(async { whirligig::spawn(behaviour).await });
                (outcome, event_loop.block_on(tasks_left()))
            }
            Self::Workers(workers) => {
                let runtime = runtime(workers).expect("a runtime can be made");
                let outcome = runtime.block_on(async { whirligig::spawn(behaviour).await });
                (outcome, runtime.block_on(tasks_left()))
            }
        };
        if let Err(error) = outcome {
            panic!("on {self:?}: {error}");
        }
        assert_eq!(left, "", "on {self:?}: tasks are left");
    }
}

fn runtime(workers: usize) -> io::Result<Runtime> {
    Runtime::builder().worker_threads(workers).build()
}

/// The tasks of this runtime but for the one that asks, once those that are about to end have had the time to.
async fn tasks_left() -> String {
    for _ in 0..200 {
        let others = whirligig::dump()
            .tasks
            .iter()
            .filter(|other| Some(other.id) != task::try_id())
            .map(|other| format!("{other}\n"))
            .collect::<String>();
        if others.is_empty() {
            return others;
        }
        whirligig::time::sleep(Duration::from_millis(5)).await;
    }
    whirligig::dump().to_string()
}

/// Runs a behaviour as a task on the event loop, on the runtime with one worker, and on that with four, each time on a
/// new one. `make` makes it anew for each.
#[track_caller]
pub(crate) fn on_each_variant<F>(make: impl Fn(Variant) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    for variant in VARIANTS {
        let _watchdog = Watchdog::new("a behaviour on each variant");
        variant.run(make(variant));
    }
}
