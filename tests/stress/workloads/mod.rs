//! What runs at the same time: each file is one workload with one law.
//!
//! `round.rs` starts all of them on the round's runtime. A workload goes on until it is told to stop, and has come to
//! its end when its task has; or it is cut off wherever it is, with everything it has begun. Its law must hold
//! either way.

use std::sync::Arc;

use fastrand::Rng;
use whirligig::task::JoinHandle;

use crate::{round::Round, variant::Variant};

mod blocking;
mod cancels;
mod local_queues;
mod panics;
mod queues;
mod sockets;
mod stalls;
mod timers;
mod trees;
mod wakes;

/// One thing that goes on in a round.
pub(crate) trait Workload: Send + Sync {
    fn name(&self) -> &'static str;

    /// Starts it on the runtime that runs this thread. The task ends soon after the round was told to stop.
    fn start(self: Arc<Self>, round: &Arc<Round>, rng: Rng) -> JoinHandle<()>;

    /// The runtime is gone: lets go of what plain threads may wait for.
    fn release(&self) {}

    /// Its own law, once nothing of the round is left.
    fn check(&self, _round: &Round) {}
}

/// Those that the variant has a use for.
pub(crate) fn all(variant: Variant) -> Vec<Arc<dyn Workload>> {
    let mut all: Vec<Arc<dyn Workload>> = vec![
        Arc::new(trees::Trees),
        Arc::new(queues::Queues::default()),
        Arc::new(timers::Timers),
        Arc::new(sockets::Sockets),
        Arc::new(blocking::Blocking::default()),
        Arc::new(wakes::Wakes::default()),
        Arc::new(stalls::LongPolls),
        Arc::new(panics::Panics::default()),
        Arc::new(cancels::Cancels),
    ];
    match variant.workers {
        None => all.push(Arc::new(local_queues::LocalQueues::default())),
        Some(_) => all.push(Arc::new(stalls::BlocksInPlace)),
    }
    all
}
