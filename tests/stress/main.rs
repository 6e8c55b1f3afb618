//! Stress runs: everything that the library does, at the same time, on one runtime, and all totals checked.
//!
//! A *variant* is the event loop, or a runtime with 1, 2, 4 or 8 workers; each also pinned to one processor, where
//! threads meet each other in the middle of everything. A *round* makes one of the variant's runtimes, starts all
//! the *workloads* on it (`workloads/`: trees of tasks, queues, timers, sockets, blocking calls, and so on) and ends it
//! after a while: either in order, when every workload has come to its end, or in the middle of all of it. Then
//! every workload's totals must add up, and nothing may be left: no task, no thread, no descriptor. The laws are in
//! `census.rs` (what began has ended, once) and in each workload's own file.
//!
//! Nothing here is timed. What never comes makes its round hang; the watchdog (`watchdog.rs`) then prints what the
//! tasks wait for and ends the program.
//!
//! `cargo test` runs two short rounds for each variant. Minutes of it, with a progress bar and a table of what was
//! done at the end:
//!
//! ```text
//! WHIRLIGIG_STRESS_SECONDS=120 cargo test --release --test stress -- --nocapture
//! ```
//!
//! The seconds are for each variant; `cargo test .. --test stress two_workers` runs those of two workers. A round's
//! choices come from a seed, which a failure prints, and with which `WHIRLIGIG_STRESS_SEED` begins. It does not
//! repeat how the threads took turns: let it run for some seconds.

#![cfg(target_os = "linux")] // Threads, descriptors and processors are counted Linux's way.

use std::{
    env,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::{report::Report, round::Round, variant::Variant};

mod census;
mod report;
mod resources;
mod round;
mod variant;
mod watchdog;
mod workloads;

/// Runs rounds on one variant: two short ones, or as many as the environment gives time for.
fn stress(variant: Variant) {
    // Threads and descriptors are the whole process's: one variant at a time.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    watchdog::count_panics();
    let _pinned = variant.pinned.then(Pinned::to_one_processor);

    let seconds: Option<u64> = setting("WHIRLIGIG_STRESS_SECONDS");
    let seed = setting("WHIRLIGIG_STRESS_SEED").unwrap_or_else(|| fastrand::u64(..));
    let mut report = Report::new(variant, seconds);
    let began = Instant::now();
    let end = Duration::from_secs(seconds.unwrap_or(0));
    for number in 0.. {
        if number >= 2 && began.elapsed() >= end {
            break;
        }
        // The next seed ends its round the other way.
        let seed = seed.wrapping_add(number);
        let length = match seconds {
            Some(_) => Duration::from_millis(fastrand::Rng::with_seed(seed).u64(20..2_000)),
            None => Duration::from_millis(60),
        };
        report.add(&Round::run(variant, seed, length));
    }
    report.end();
}

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}

/// This thread, and those it starts, on the first of its processors for as long as this lives.
struct Pinned(CpuSet);

impl Pinned {
    fn to_one_processor() -> Self {
        let before = sched_getaffinity(None).expect("a thread may ask where it may run");
        let first = (0..CpuSet::MAX_CPU).find(|&cpu| before.is_set(cpu));
        let mut one = CpuSet::new();
        one.set(first.expect("it runs somewhere"));
        sched_setaffinity(None, &one).expect("a thread may give up processors");
        Self(before)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        sched_setaffinity(None, &self.0).expect("these were its processors");
    }
}

#[test]
fn event_loop() {
    stress(Variant::event_loop());
}

#[test]
fn event_loop_pinned() {
    stress(Variant::event_loop().pinned());
}

#[test]
fn one_worker() {
    stress(Variant::workers(1));
}

#[test]
fn one_worker_pinned() {
    stress(Variant::workers(1).pinned());
}

#[test]
fn two_workers() {
    stress(Variant::workers(2));
}

#[test]
fn two_workers_pinned() {
    stress(Variant::workers(2).pinned());
}

#[test]
fn four_workers() {
    stress(Variant::workers(4));
}

#[test]
fn four_workers_pinned() {
    stress(Variant::workers(4).pinned());
}

#[test]
fn eight_workers() {
    stress(Variant::workers(8));
}

#[test]
fn eight_workers_pinned() {
    stress(Variant::workers(8).pinned());
}
