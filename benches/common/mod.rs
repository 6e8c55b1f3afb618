//! What every comparison stands on: the two runtimes, built the way a program would build them.
//!
//! Called by each criterion bench and by the `peers` package, which also share the workloads beside
//! this file. A workload holds one program per runtime, does the same operations in the same order
//! on each side, and checks its own result, so that a faster side cannot be one that did less.
//! **Alternative:** one program generic over a runtime trait; it would measure the trait, and no reader
//! writes such code.

use tokio::runtime::{Builder, Runtime};
use whirligig::EventLoop;

/// An event loop as `whirligig::run` makes it.
pub(crate) fn event_loop() -> EventLoop {
    EventLoop::new().expect("an event loop can be built")
}

/// Tokio's current-thread runtime with its drivers, as `#[tokio::main(flavor = "current_thread")]`
/// makes it. Ours has its reactor and timers too.
pub(crate) fn tokio_current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a tokio runtime can be built")
}
