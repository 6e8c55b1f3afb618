//! After a burst of timers the memory goes back: bytes, counted by the allocator.
//!
//! One test in a program of its own, for the count is one for the whole process.

#![allow(unsafe_code)] // An allocator is unsafe to write.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    pin::Pin,
    sync::atomic::{AtomicIsize, Ordering::Relaxed},
    task::{Context, Waker},
    time::Duration,
};

use whirligig::{
    EventLoop, Runtime,
    time::{Instant, Sleep, TestClock, sleep, sleep_until},
};

/// The system's allocator, and the bytes that it has given out.
struct Counting;

static BYTES: AtomicIsize = AtomicIsize::new(0);

// SAFETY: all is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        BYTES.fetch_add(size as isize - layout.size() as isize, Relaxed);
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const TIMERS: usize = 200_000;
/// What a loop may keep for the next timers: 1,024 entries of 40 bytes and the like, and the slots.
const KEPT: isize = 256 << 10;

/// Inserts many timers, and hands them to `end`. Only what the wheel keeps may be left.
fn burst(deadline: impl Fn(usize) -> Instant, end: impl FnOnce(Vec<Sleep>)) {
    let mut sleeps: Vec<Sleep> = (0..TIMERS).map(|n| sleep_until(deadline(n))).collect();
    let mut cx = Context::from_waker(Waker::noop());
    let before = BYTES.load(Relaxed);
    for sleep in &mut sleeps {
        assert!(Future::poll(Pin::new(sleep), &mut cx).is_pending());
    }
    let taken = BYTES.load(Relaxed) - before;
    assert!(taken >= TIMERS as isize * 40, "{taken} bytes: no burst");
    end(sleeps);
}

#[track_caller]
fn nothing_is_kept_of(what: &str, burst: impl FnOnce()) {
    let before = BYTES.load(Relaxed);
    burst();
    let kept = BYTES.load(Relaxed) - before;
    assert!(kept < KEPT, "{kept} bytes are kept of {what}");
}

#[test]
fn after_a_burst_of_timers_the_memory_goes_back() {
    let far = |n: usize| Instant::now() + Duration::from_secs(3_600 + n as u64 % 1_000);
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    nothing_is_kept_of("cancelled timers", || {
        event_loop.block_on(async { burst(far, drop) });
    });
    nothing_is_kept_of("timers that fired", || {
        event_loop.block_on(async {
            let mut sleeps = Vec::new();
            burst(far, |all| sleeps = all);
            sleep(Duration::from_secs(3_600 * 2)).await;
        });
        assert_eq!(event_loop.stats().timers_fired, TIMERS as u64 + 1);
    });

    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    nothing_is_kept_of("timers of a worker", || {
        runtime.block_on(async {
            whirligig::spawn(async move { burst(far, drop) }).await.unwrap();
        });
    });
    nothing_is_kept_of("timers of a worker that fired", || {
        runtime.block_on(async {
            let soon = |_| Instant::now() + Duration::from_secs(1);
            let task = whirligig::spawn(async move {
                let mut sleeps = Vec::new();
                burst(soon, |all| sleeps = all);
                for sleep in sleeps {
                    sleep.await;
                }
            });
            task.await.unwrap();
        });
    });
}
