//! 200,000 calls on the blocking pool, 512 at a time; see `common/blocking.rs`.
//!
//! Run it with `cargo bench --bench blocking`; `peers multi --only blocking` gives the interleaved
//! ratio. With `--test` there are fewer calls: that they all come back is seen by a few thousand too.

#[path = "common/blocking.rs"]
mod blocking;
#[path = "common/multi.rs"]
mod multi;

use criterion::{Criterion, SamplingMode, Throughput};
use multi::WORKERS;

const TRIED: u64 = 4_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let is_a_test = std::env::args().any(|argument| argument == "--test");
    let calls = if is_a_test { TRIED } else { blocking::OPERATIONS };
    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    let mut group = criterion.benchmark_group("blocking_multi");
    group.throughput(Throughput::Elements(calls));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.bench_function("whirligig", |bench| {
        bench.iter(|| blocking::whirligig_multi(&ours, calls));
    });
    group.bench_function("tokio", |bench| bench.iter(|| blocking::tokio(&theirs, calls)));
    group.finish();
    criterion.final_summary();
}
