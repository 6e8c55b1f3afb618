//! Many futures in one task: `gather` beside `join_all` and `FuturesUnordered` of futures-util, on one event loop.
//!
//! A hundred futures that are ready at once; a hundred that each give way ten times, so that each wake
//! is one future's; and the handles of a hundred tasks. Each checks the outputs.
//!
//! Run it with `cargo bench --bench many`.

use std::future::Future;

use criterion::{Criterion, Throughput};
use futures_lite::future::yield_now;
use futures_util::{
    StreamExt,
    future::join_all,
    stream::{FuturesOrdered, FuturesUnordered},
};
use whirligig::{EventLoop, spawn, task};

const FUTURES: u64 = 100;
const YIELDS: u64 = 10;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let event_loop = EventLoop::new().expect("an event loop can be built");
    compare(&mut criterion, &event_loop, "ready", || async |n| n);
    compare(&mut criterion, &event_loop, "yields", || {
        async |n| {
            for _ in 0..YIELDS {
                yield_now().await;
            }
            n
        }
    });
    compare(&mut criterion, &event_loop, "handles", || {
        |n| {
            let task = spawn(async move { n });
            async { task.await.unwrap() }
        }
    });
    criterion.final_summary();
}

/// The same futures, awaited in each of the ways.
fn compare<M, F>(
    criterion: &mut Criterion,
    event_loop: &EventLoop,
    name: &str,
    make: impl Fn() -> M,
) where
    M: FnMut(u64) -> F,
    F: Future<Output = u64>,
{
    let futures = || (0..FUTURES).map(make());
    let mut group = criterion.benchmark_group(format!("many_{name}"));
    group.throughput(Throughput::Elements(FUTURES));
    group.bench_function("gather", |bench| {
        bench.iter(|| check(event_loop.block_on(async { task::gather(futures()).await })));
    });
    group.bench_function("join_all", |bench| {
        bench.iter(|| check(event_loop.block_on(async { join_all(futures()).await })));
    });
    group.bench_function("futures_ordered", |bench| {
        bench.iter(|| {
            let ordered = async { futures().collect::<FuturesOrdered<_>>().collect().await };
            check(event_loop.block_on(ordered));
        });
    });
    group.bench_function("as_completed", |bench| {
        bench.iter(|| {
            check(event_loop.block_on(async { task::as_completed(futures()).collect().await }));
        });
    });
    group.bench_function("futures_unordered", |bench| {
        bench.iter(|| {
            let unordered = async { futures().collect::<FuturesUnordered<_>>().collect().await };
            check(event_loop.block_on(unordered));
        });
    });
    group.finish();
}

fn check(outputs: Vec<u64>) {
    assert_eq!(outputs.iter().sum::<u64>(), FUTURES * (FUTURES - 1) / 2);
}
