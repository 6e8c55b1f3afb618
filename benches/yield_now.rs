//! Yielding among 200 tasks; see `common/yield_now.rs`.
//!
//! Run it with `cargo bench --bench yield_now`; `peers micro` and `peers multi` give interleaved
//! ratios.

mod common;
#[path = "common/multi.rs"]
mod multi;
#[path = "common/yield_now.rs"]
mod yield_now;

use criterion::{Criterion, Throughput};
use multi::WORKERS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let event_loop = common::event_loop();
    let runtime = common::tokio_current_thread();
    let mut group = criterion.benchmark_group("yield_now");
    group.throughput(Throughput::Elements(yield_now::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| yield_now::whirligig(&event_loop)));
    group.bench_function("tokio", |bench| {
        bench.iter(|| yield_now::tokio(&runtime, tokio::task::yield_now))
    });
    group.bench_function("tokio_self_waking", |bench| {
        bench.iter(|| yield_now::tokio(&runtime, futures_lite::future::yield_now));
    });
    group.finish();

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    let mut group = criterion.benchmark_group("yield_now_multi");
    group.throughput(Throughput::Elements(yield_now::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| yield_now::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| {
        bench.iter(|| yield_now::tokio(&theirs, tokio::task::yield_now))
    });
    group.bench_function("tokio_self_waking", |bench| {
        bench.iter(|| yield_now::tokio(&theirs, futures_lite::future::yield_now));
    });
    group.finish();

    criterion.final_summary();
}
