//! The loop program, plain and with a clock read per item; see `common/loop_program.rs`.
//!
//! Run it with `cargo bench --bench loop_program`. For figures to quote use `peers`, which gives
//! every run a fresh process and interleaves the runtimes: the queue grows to a quarter of a million
//! items, and whose memory is already mapped then matters.

mod common;
#[path = "common/loop_program.rs"]
mod program;

use criterion::{Criterion, SamplingMode, Throughput};
use program::{Tally, Work};

const ACTIONS: u64 = 500_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    compare(&mut criterion, "loop_program", false);
    compare(&mut criterion, "loop_program_clock", true);
    criterion.final_summary();
}

fn compare(criterion: &mut Criterion, name: &str, clock: bool) {
    let work = Work { actions: ACTIONS, clock };
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ACTIONS));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let event_loop = common::event_loop();
    group.bench_function("whirligig", |bench| {
        bench.iter(|| check(work, program::whirligig(&event_loop, work)));
    });
    let runtime = common::tokio_current_thread();
    group.bench_function("tokio", |bench| {
        bench.iter(|| check(work, program::tokio(&runtime, work, tokio::task::yield_now)));
    });
    group.bench_function("tokio_self_waking", |bench| {
        let yield_now = futures_lite::future::yield_now;
        bench.iter(|| check(work, program::tokio(&runtime, work, yield_now)));
    });
    group.finish();
}

fn check(work: Work, tally: Tally) {
    assert_eq!(tally, work.expected());
}
