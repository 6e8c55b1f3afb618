//! What a burst leaves behind: the memory that is kept when it is over, counted by the allocator.
//!
//! Each case runs by itself, for the count is one for the whole process. What a burst takes is not
//! asserted; what is kept afterwards is, beside what it took.

#![allow(unsafe_code)] // An allocator is unsafe to write.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    future::poll_fn,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicIsize, Ordering::Relaxed},
    },
    task::Poll,
    thread,
    time::Duration,
};

use whirligig::{EventLoop, spawn_local, task::yield_now, time::sleep};

/// The system's allocator, and the bytes that it has given out, and the most there were.
struct Counting;

static BYTES: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

fn count(bytes: isize) {
    let now = BYTES.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(now, Relaxed);
}

// SAFETY: all is done by the system's allocator; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One case at a time, from its first line to its last.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// What `burst` took at most, and what of it is still there when it has ended.
#[derive(Debug)]
struct Taken {
    peak: isize,
    kept: isize,
}

fn taken(burst: impl FnOnce()) -> Taken {
    let before = BYTES.load(Relaxed);
    PEAK.store(before, Relaxed);
    burst();
    Taken { peak: PEAK.load(Relaxed) - before, kept: BYTES.load(Relaxed) - before }
}

/// Runs `burst`. It must take at least so much, or it shows nothing, and leave no more than that.
#[track_caller]
fn a_burst_is_given_back(least: isize, most_kept: isize, burst: impl FnOnce()) {
    let taken = taken(burst);
    assert!(taken.peak >= least, "{taken:?}: no burst");
    assert!(taken.kept <= most_kept, "{taken:?}");
}

const KIB: isize = 1 << 10;
const MIB: isize = 1 << 20;

const TASKS: usize = 200_000;

async fn spawn_and_join(tasks: usize) {
    let handles: Vec<_> = (0..tasks).map(|_| spawn_local(yield_now())).collect();
    for handle in handles {
        handle.await.unwrap();
    }
}

#[test]
fn tasks_that_have_ended_leave_nothing() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    // One that stays, as a server has.
    let _stays = event_loop.spawn_local(std::future::pending::<()>());
    a_burst_is_given_back(30 * MIB, 256 * KIB, || {
        event_loop.block_on(async {
            spawn_and_join(TASKS).await;
            // It parks: there was nothing to do.
            sleep(Duration::from_millis(1)).await;
        });
    });
}

#[test]
fn a_loop_that_is_never_idle_gives_back_as_well() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    a_burst_is_given_back(30 * MIB, 256 * KIB, || {
        event_loop.block_on(async {
            let busy = spawn_local(async {
                loop {
                    yield_now().await;
                }
            });
            spawn_and_join(TASKS).await;
            sleep(Duration::from_millis(50)).await;
            busy.cancel();
        });
    });
}

#[test]
fn a_million_wakes_of_one_task_are_one_message() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    a_burst_is_given_back(0, 64 * KIB, || {
        let taken = taken(|| {
            event_loop.block_on(async {
                let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                let wake = move || (0..1_000_000).for_each(|_| waker.wake_by_ref());
                thread::spawn(wake).join().unwrap();
                yield_now().await;
            });
        });
        assert!(taken.peak <= 64 * KIB, "{taken:?}");
    });
    assert_eq!(event_loop.stats().messages, 1);
}

#[test]
fn messages_that_were_taken_leave_nothing() {
    let _alone = alone();
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    a_burst_is_given_back(2 * MIB, 128 * KIB, || {
        event_loop.block_on(async {
            let send = move || {
                (0..200_000).for_each(|_| _ = handle.call_soon_threadsafe(|| ()).unwrap());
            };
            // All of them during one poll.
            thread::spawn(send).join().unwrap();
            // Both queues of messages have their turn, the loop's and the inbox's.
            for _ in 0..2 {
                whirligig::Handle::current().spawn(async {}).await.unwrap();
                sleep(Duration::from_millis(1)).await;
            }
        });
    });
}
