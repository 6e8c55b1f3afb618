//! The multi-threaded runtimes of both sides, with as many workers.
//!
//! Called by the benches that have rows for them, and by the `peers` package. Two workers, because two
//! is where sharing begins, and because more than the machine has cores would measure the kernel's
//! scheduler. `block_on` polls on the calling thread on both sides: it is no worker. So a workload that
//! is about spawning says whether a task spawns or the thread outside.

/// Workers of each runtime, where a comparison does not say otherwise.
pub(crate) const WORKERS: usize = 2;

pub(crate) fn runtime(workers: usize) -> whirligig::Runtime {
    let builder = whirligig::Runtime::builder().worker_threads(workers);
    builder.build().expect("a runtime can be built")
}

/// Tokio's, with its drivers: ours has its reactors and timers too.
pub(crate) fn tokio(workers: usize) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all().build().expect("a tokio runtime can be built")
}
