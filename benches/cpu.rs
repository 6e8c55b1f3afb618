//! 64 tasks that compute for about a millisecond each; see `common/cpu.rs`.
//!
//! Run it with `cargo bench --bench cpu`; `peers multi --only cpu` gives the interleaved ratio. The
//! row `threads` is the floor.

#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/multi.rs"]
mod multi;

use criterion::{Criterion, SamplingMode, Throughput};
use multi::WORKERS;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    let mut group = criterion.benchmark_group("cpu_multi");
    group.throughput(Throughput::Elements(cpu::OPERATIONS));
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.bench_function("whirligig", |bench| bench.iter(|| cpu::whirligig_multi(&ours)));
    group.bench_function("tokio", |bench| bench.iter(|| cpu::tokio(&theirs)));
    group.bench_function("threads", |bench| bench.iter(|| cpu::threads(WORKERS)));
    group.finish();
    criterion.final_summary();
}
