//! The loop program, plain and with a clock read per item; see `common/loop_program.rs`.
//!
//! Run it with `cargo bench --bench loop_program`. For figures to quote use `peers`, which gives
//! every run a fresh process and interleaves the runtimes: the queue grows to a quarter of a million
//! items, and whose memory is already mapped then matters.

mod common;
#[path = "common/multi.rs"]
mod multi;
#[path = "common/loop_program.rs"]
mod program;

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};
use multi::WORKERS;
use program::{Tally, Work};

const ACTIONS: u64 = 500_000;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for (clock, suffix) in [(false, ""), (true, "_clock")] {
        let work = Work { actions: ACTIONS, clock };

        let mut group = group_of(&mut criterion, &format!("loop_program{suffix}"));
        let event_loop = common::event_loop();
        row(&mut group, "whirligig", work, || program::whirligig(&event_loop, work));
        tokio_rows(&mut group, work, &common::tokio_current_thread());
        group.finish();

        let mut group = group_of(&mut criterion, &format!("loop_program_multi{suffix}"));
        let runtime = multi::runtime(WORKERS);
        row(&mut group, "whirligig", work, || program::whirligig_multi(&runtime, work));
        tokio_rows(&mut group, work, &multi::tokio(WORKERS));
        group.finish();
    }
    criterion.final_summary();
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn group_of<'a>(criterion: &'a mut Criterion, name: &str) -> Group<'a> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(ACTIONS));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group
}

fn tokio_rows(group: &mut Group<'_>, work: Work, runtime: &tokio::runtime::Runtime) {
    row(group, "tokio", work, || program::tokio(runtime, work, tokio::task::yield_now));
    let yield_now = futures_lite::future::yield_now;
    row(group, "tokio_self_waking", work, || program::tokio(runtime, work, yield_now));
}

fn row(group: &mut Group<'_>, name: &str, work: Work, run: impl Fn() -> Tally) {
    group.bench_function(name, |bench| bench.iter(|| assert_eq!(run(), work.expected())));
}
