//! Channels beside tokio's, on one thread and on two workers; see `common/channels.rs`.
//!
//! Run it with `cargo bench --bench sync_channels`. Criterion measures one side to the end and then the other. For ratios,
//! on a machine that has other work too, `cargo bench --bench sync_channels -- interleaved` has the sides take turns, and
//! prints the median of each and their ratio.

#[path = "common/channels.rs"]
mod channels;
mod common;
#[path = "common/multi.rs"]
mod multi;

use std::time::{Duration, Instant};

use channels::{
    operations::{BROADCAST, MPSC, ONESHOT, REQUEST, WATCH},
    ours, theirs,
};
use criterion::{Criterion, Throughput};
use multi::WORKERS;

/// Turns of each side in an interleaved comparison.
const TURNS: usize = 101;

/// How the rows are measured.
enum Bench {
    Criterion(Box<Criterion>),
    Interleaved,
}

impl Bench {
    fn row(&mut self, name: &str, operations: u64, ours: impl Fn(), theirs: impl Fn()) {
        match self {
            Self::Criterion(criterion) => {
                let mut group = criterion.benchmark_group(name);
                group.throughput(Throughput::Elements(operations));
                group.bench_function("whirligig", |bench| bench.iter(&ours));
                group.bench_function("tokio", |bench| bench.iter(&theirs));
                group.finish();
            }
            Self::Interleaved => {
                let turn = |side: &dyn Fn()| {
                    let begin = Instant::now();
                    side();
                    begin.elapsed()
                };
                let mut turns = Vec::new();
                for _ in 0..TURNS {
                    turns.push((turn(&ours), turn(&theirs)));
                }
                let median = |mut times: Vec<Duration>| {
                    times.sort();
                    times[times.len() / 2].as_nanos() as f64 / operations as f64
                };
                let (ours, theirs) = turns.into_iter().unzip();
                let (ours, theirs) = (median(ours), median(theirs));
                println!("{name:28} {ours:8.1} ns  tokio {theirs:8.1} ns  {:5.2}", theirs / ours);
            }
        }
    }
}

/// All programs, on what runs ours and what runs theirs.
macro_rules! rows {
    ($bench:ident, $our_runtime:ident, $their_runtime:ident, $suffix:literal) => {
        rows!($bench, $our_runtime, $their_runtime, $suffix:
            "oneshot", ONESHOT, oneshot();
            "request", REQUEST, request();
            "mpsc_1_bounded", MPSC, mpsc(1);
            "mpsc_4_bounded", MPSC, mpsc(4);
            "mpsc_1_unbounded", MPSC, mpsc_unbounded(1);
            "mpsc_4_unbounded", MPSC, mpsc_unbounded(4);
            "broadcast_1_to_4", BROADCAST, broadcast();
            "watch_round_trip", WATCH, watch();
        );
    };
    ($bench:ident, $our_runtime:ident, $their_runtime:ident, $suffix:literal:
     $($name:literal, $operations:ident, $program:ident($($argument:literal)?);)+) => {
        $($bench.row(
            concat!($name, $suffix),
            $operations,
            || $our_runtime.block_on(async {
                whirligig::spawn(ours::$program($($argument)?)).await.expect("no panic")
            }),
            || $their_runtime.block_on(async {
                tokio::spawn(theirs::$program($($argument)?)).await.expect("no panic")
            }),
        );)+
    };
}

fn main() {
    let mut bench = match std::env::args().any(|argument| argument == "interleaved") {
        true => Bench::Interleaved,
        false => Bench::Criterion(Box::new(Criterion::default().configure_from_args())),
    };

    let event_loop = common::event_loop();
    let current_thread = common::tokio_current_thread();
    rows!(bench, event_loop, current_thread, "");

    let workers = multi::runtime(WORKERS);
    let multi_thread = multi::tokio(WORKERS);
    rows!(bench, workers, multi_thread, "_multi");

    if let Bench::Criterion(criterion) = bench {
        criterion.final_summary();
    }
}
