//! Spawning: batches of 10,000, joined or not, and a chain 1,000 deep; see `common/spawn.rs`.
//!
//! Run it with `cargo bench --bench spawn`; `peers micro` and `peers multi` give interleaved ratios.

mod common;
#[path = "common/countdown.rs"]
mod countdown;
#[path = "common/multi.rs"]
mod multi;
#[path = "common/spawn.rs"]
mod spawn;

use criterion::{Criterion, Throughput};
use multi::WORKERS;
use spawn::{batch, chain, many, outside};

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

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    let mut group = criterion.benchmark_group("spawn_and_join_multi");
    group.throughput(Throughput::Elements(batch::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| batch::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| batch::tokio(&theirs)));
    group.finish();

    let mut group = criterion.benchmark_group("chained_spawn_multi");
    group.throughput(Throughput::Elements(chain::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| chain::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| chain::tokio(&theirs)));
    group.finish();

    let mut group = criterion.benchmark_group("spawn_many_multi");
    group.throughput(Throughput::Elements(many::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| many::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| many::tokio(&theirs)));
    group.finish();

    let mut group = criterion.benchmark_group("spawn_outside_multi");
    group.throughput(Throughput::Elements(outside::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| outside::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| outside::tokio(&theirs)));
    group.finish();

    criterion.final_summary();
}
