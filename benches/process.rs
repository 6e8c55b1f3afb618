//! `true`, started and waited for: one after the other, and eight at a time.
//!
//! Run it with `cargo bench --bench process`. Most of it is the kernel's and the program's own: the fork, the loading, the
//! end. Both sides start their children by std and watch them by a pidfd. What differs is what stands around that, and
//! who is woken how.

mod common;
#[path = "common/multi.rs"]
mod multi;

use criterion::{Criterion, SamplingMode, Throughput};
use multi::WORKERS;

/// Children in one run.
const CHILDREN: usize = 64;
/// Of those, so many at a time.
const AT_A_TIME: usize = 8;
const PROGRAM: &str = "/bin/true";

async fn whirligig_in_turn() {
    for _ in 0..CHILDREN {
        let mut child = whirligig::process::Command::new(PROGRAM).spawn().expect("it starts");
        assert!(child.wait().await.expect("it is waited for").success());
    }
}

async fn tokio_in_turn() {
    for _ in 0..CHILDREN {
        let mut child = tokio::process::Command::new(PROGRAM).spawn().expect("it starts");
        assert!(child.wait().await.expect("it is waited for").success());
    }
}

async fn whirligig_at_once() {
    let start = || whirligig::process::Command::new(PROGRAM).spawn().expect("it starts");
    for _ in 0..CHILDREN / AT_A_TIME {
        let mut children: Vec<_> = (0..AT_A_TIME).map(|_| start()).collect();
        for child in &mut children {
            assert!(child.wait().await.expect("it is waited for").success());
        }
    }
}

async fn tokio_at_once() {
    let start = || tokio::process::Command::new(PROGRAM).spawn().expect("it starts");
    for _ in 0..CHILDREN / AT_A_TIME {
        let mut children: Vec<_> = (0..AT_A_TIME).map(|_| start()).collect();
        for child in &mut children {
            assert!(child.wait().await.expect("it is waited for").success());
        }
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let ours = common::event_loop();
    let theirs = common::tokio_current_thread();
    let our_workers = multi::runtime(WORKERS);
    let their_workers = multi::tokio(WORKERS);

    let mut group = criterion.benchmark_group("process");
    group.throughput(Throughput::Elements(CHILDREN as u64));
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.bench_function("in_turn/whirligig", |bench| {
        bench.iter(|| ours.block_on(whirligig_in_turn()));
    });
    group.bench_function("in_turn/tokio", |bench| {
        bench.iter(|| theirs.block_on(tokio_in_turn()));
    });
    group.bench_function("at_once/whirligig", |bench| {
        bench.iter(|| ours.block_on(whirligig_at_once()));
    });
    group.bench_function("at_once/tokio", |bench| {
        bench.iter(|| theirs.block_on(tokio_at_once()));
    });
    group.finish();

    let mut group = criterion.benchmark_group("process_multi");
    group.throughput(Throughput::Elements(CHILDREN as u64));
    group.sample_size(20).sampling_mode(SamplingMode::Flat);
    group.bench_function("in_turn/whirligig", |bench| {
        bench.iter(|| {
            our_workers.block_on(async { whirligig::spawn(whirligig_in_turn()).await.unwrap() });
        });
    });
    group.bench_function("in_turn/tokio", |bench| {
        bench.iter(|| {
            their_workers.block_on(async { tokio::spawn(tokio_in_turn()).await.unwrap() });
        });
    });
    group.finish();
    criterion.final_summary();
}
