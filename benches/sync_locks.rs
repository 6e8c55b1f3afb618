//! Mutex and semaphore beside tokio's and async-lock's; see `common/locks.rs`.
//!
//! Run it with `cargo bench --bench sync_locks`.

mod common;
#[path = "common/locks.rs"]
mod locks;
#[path = "common/multi.rs"]
mod multi;

use criterion::{Criterion, Throughput};
use multi::WORKERS;

/// One group: the program of this name with each library's locks, on `$ours` and on `$theirs`.
macro_rules! group {
    ($criterion:ident, $name:literal, $program:ident, $operations:expr, $ours:ident, $theirs:ident) => {
        let mut group = $criterion.benchmark_group($name);
        group.throughput(Throughput::Elements($operations));
        group.bench_function("whirligig", |bench| {
            bench.iter(|| $ours.block_on(locks::ours::$program()));
        });
        group.bench_function("tokio", |bench| {
            bench.iter(|| $theirs.block_on(locks::tokio::$program()));
        });
        group.bench_function("tokio_on_whirligig", |bench| {
            bench.iter(|| $ours.block_on(locks::tokio_on_ours::$program()));
        });
        group.bench_function("async_lock_on_whirligig", |bench| {
            bench.iter(|| $ours.block_on(locks::async_lock_on_ours::$program()));
        });
        group.finish();
    };
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let (alone, together) = (locks::ALONE, locks::TOGETHER);

    let ours = common::event_loop();
    let theirs = common::tokio_current_thread();
    group!(criterion, "mutex_uncontended", uncontended_mutex, alone, ours, theirs);
    group!(criterion, "mutex_contended", contended_mutex, together, ours, theirs);
    group!(criterion, "semaphore_uncontended", uncontended_semaphore, alone, ours, theirs);
    group!(criterion, "semaphore_contended", contended_semaphore, together, ours, theirs);

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    group!(criterion, "mutex_uncontended_multi", uncontended_mutex, alone, ours, theirs);
    group!(criterion, "mutex_contended_multi", contended_mutex, together, ours, theirs);
    group!(criterion, "mutex_short_multi", short_mutex, together, ours, theirs);
    group!(criterion, "semaphore_uncontended_multi", uncontended_semaphore, alone, ours, theirs);
    group!(criterion, "semaphore_contended_multi", contended_semaphore, together, ours, theirs);

    criterion.final_summary();
}
