//! Files read and written beside the loop; see `common/fs.rs`.
//!
//! Run it with `cargo bench --bench fs`; `peers fs` gives the interleaved ratios. On both sides a call goes to a thread of
//! the blocking pool and its outcome comes back: that, the copy between two buffers, and the kernel's own work is what
//! one sees.

mod common;
#[path = "common/fs.rs"]
mod files;
#[path = "common/multi.rs"]
mod multi;

use criterion::{Criterion, SamplingMode, Throughput};
use files::{Files, Work};
use multi::WORKERS;

const WORKS: [(&str, Work); 5] = [
    ("read_large", Work::ReadLarge),
    ("read_small", Work::ReadSmall),
    ("read_small_at_once", Work::ReadSmallAtOnce),
    ("write_large", Work::WriteLarge),
    ("write_small", Work::WriteSmall),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let files = Files::new();
    let ours = common::event_loop();
    let theirs = common::tokio_current_thread();
    for (name, work) in WORKS {
        let mut group = criterion.benchmark_group(format!("fs/{name}"));
        group.throughput(Throughput::Elements(work.operations()));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.bench_function("whirligig", |bench| {
            bench.iter(|| ours.block_on(files::whirligig(work, files.clone())));
        });
        group.bench_function("tokio", |bench| {
            bench.iter(|| theirs.block_on(files::tokio(work, files.clone())));
        });
        group.finish();
    }

    let ours = multi::runtime(WORKERS);
    let theirs = multi::tokio(WORKERS);
    for (name, work) in WORKS {
        let mut group = criterion.benchmark_group(format!("fs_multi/{name}"));
        group.throughput(Throughput::Elements(work.operations()));
        group.sample_size(10).sampling_mode(SamplingMode::Flat);
        group.bench_function("whirligig", |bench| {
            let run = || async { whirligig::spawn(files::whirligig(work, files.clone())).await };
            bench.iter(|| ours.block_on(run()).unwrap());
        });
        group.bench_function("tokio", |bench| {
            let run = || async { tokio::spawn(files::tokio(work, files.clone())).await };
            bench.iter(|| theirs.block_on(run()).unwrap());
        });
        group.finish();
    }
    criterion.final_summary();
}
