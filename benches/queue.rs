//! The bounded queue with four producers; see `common/queue.rs`.
//!
//! Run it with `cargo bench --bench queue`; `peers micro` and `peers multi` give interleaved ratios.

mod common;
#[path = "common/multi.rs"]
mod multi;
#[path = "common/queue.rs"]
mod queue;

use criterion::{Criterion, Throughput};
use multi::WORKERS;
use whirligig::queue::{Lifo, Priority};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let event_loop = common::event_loop();
    let runtime = common::tokio_current_thread();
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(queue::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| queue::whirligig(&event_loop)));
    // tokio has neither.
    group.bench_function("whirligig_lifo", |bench| {
        bench.iter(|| queue::in_order::<Lifo>(&event_loop));
    });
    group.bench_function("whirligig_priority", |bench| {
        bench.iter(|| queue::in_order::<Priority>(&event_loop));
    });
    group.bench_function("tokio", |bench| bench.iter(|| queue::tokio(&runtime)));
    group.finish();

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    let mut group = criterion.benchmark_group("queue_multi");
    group.throughput(Throughput::Elements(queue::OPERATIONS));
    group.bench_function("whirligig", |bench| bench.iter(|| queue::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| queue::tokio(&theirs)));
    group.finish();

    criterion.final_summary();
}
