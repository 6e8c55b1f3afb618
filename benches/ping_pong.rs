//! Ping-pong over one-shot channels, 1,000 pairs; see `common/ping_pong.rs`.
//!
//! Run it with `cargo bench --bench ping_pong`; `peers micro` and `peers multi` give interleaved
//! ratios.

mod common;
#[path = "common/countdown.rs"]
mod countdown;
#[path = "common/multi.rs"]
mod multi;
#[path = "common/ping_pong.rs"]
mod ping_pong;

use criterion::{Criterion, Throughput};
use multi::WORKERS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let event_loop = common::event_loop();
    let runtime = common::tokio_current_thread();
    let mut group = criterion.benchmark_group("ping_pong");
    group.throughput(Throughput::Elements(ping_pong::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| ping_pong::whirligig(&event_loop)));
    group.bench_function("tokio", |bench| bench.iter(|| ping_pong::tokio(&runtime)));
    group.finish();

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    let mut group = criterion.benchmark_group("ping_pong_multi");
    group.throughput(Throughput::Elements(ping_pong::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| ping_pong::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| ping_pong::tokio(&theirs)));
    group.finish();

    criterion.final_summary();
}
