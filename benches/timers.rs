//! Sleeps inserted and cancelled; see `common/timers.rs`.
//!
//! Run it with `cargo bench --bench timers`; `peers micro` gives the interleaved ratio.

mod common;
#[path = "common/timers.rs"]
mod timers;

use criterion::{Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let event_loop = common::event_loop();
    let runtime = common::tokio_current_thread();
    let mut group = criterion.benchmark_group("timers");
    group.throughput(Throughput::Elements(timers::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| timers::whirligig(&event_loop)));
    group.bench_function("tokio", |bench| bench.iter(|| timers::tokio(&runtime)));
    group.finish();
    criterion.final_summary();
}
