//! Groups of tasks beside tokio's `JoinSet`, on one thread and on two workers; see `common/group.rs`.
//!
//! Run it with `cargo bench --bench group`.

mod common;
#[path = "common/group.rs"]
mod group;
#[path = "common/multi.rs"]
mod multi;

use criterion::{Criterion, Throughput};
use group::{OPERATIONS, next, wait, window};
use multi::WORKERS;

/// One of the programs, on each side.
macro_rules! bench {
    ($criterion:ident, $program:ident, $ours:ident, $theirs:ident, $side:ident, $name:literal) => {
        let mut group = $criterion.benchmark_group($name);
        group.throughput(Throughput::Elements(OPERATIONS));
        group.bench_function("whirligig", |bench| bench.iter(|| $program::$side(&$ours)));
        group.bench_function("tokio", |bench| bench.iter(|| $program::tokio(&$theirs)));
        group.finish();
    };
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let ours = common::event_loop();
    let theirs = common::tokio_current_thread();
    bench!(criterion, next, ours, theirs, whirligig, "group_next");
    bench!(criterion, wait, ours, theirs, whirligig, "group_wait");
    bench!(criterion, window, ours, theirs, whirligig, "group_window");

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    bench!(criterion, next, ours, theirs, whirligig_multi, "group_next_multi");
    bench!(criterion, wait, ours, theirs, whirligig_multi, "group_wait_multi");
    bench!(criterion, window, ours, theirs, whirligig_multi, "group_window_multi");

    criterion.final_summary();
}
