//! Spawning: batches of 10,000 joined, and a chain 1,000 deep; see `common/spawn.rs`.
//!
//! Run it with `cargo bench --bench spawn`; `peers micro` gives the interleaved ratio.

mod common;
#[path = "common/spawn.rs"]
mod spawn;

use criterion::{Criterion, Throughput};
use spawn::{batch, chain};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let event_loop = common::event_loop();
    let runtime = common::tokio_current_thread();

    let mut group = criterion.benchmark_group("spawn_and_join");
    group.throughput(Throughput::Elements(batch::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| batch::whirligig(&event_loop)));
    group.bench_function("tokio", |bench| bench.iter(|| batch::tokio(&runtime)));
    group.finish();

    let mut group = criterion.benchmark_group("chained_spawn");
    group.throughput(Throughput::Elements(chain::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| chain::whirligig(&event_loop)));
    group.bench_function("tokio", |bench| bench.iter(|| chain::tokio(&runtime)));
    group.finish();

    criterion.final_summary();
}
