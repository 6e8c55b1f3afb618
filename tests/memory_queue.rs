//! What a queue keeps after a burst: next to nothing, of the items and of those that waited.
//!
//! An allocator that counts what is in use serves the whole process, so this is one test in a binary of its
//! own. It is also the test that no list is searched from end to end: with a quarter of a million waiters
//! that leave from the middle, one after the other, it would not end.
#![allow(unsafe_code)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    pin::Pin,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    task::{Context, Waker},
};

use whirligig::queue::{
    GenericQueue, GetError, LifoQueue, Order, PriorityQueue, Queue, Sharing, local,
};

static IN_USE: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: it is the system's allocator, and counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise is the system's condition.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is the system's condition.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ITEMS: u64 = 1_000_000;
/// Fewer: it is a heap, and takes its time.
const COMPARED_ITEMS: u64 = 100_000;
const WAITERS: usize = 1 << 18;
const LITTLE: usize = 64 << 10;

/// Bytes in use beyond `before`.
fn beyond(before: usize) -> usize {
    IN_USE.load(Relaxed).saturating_sub(before)
}

fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

fn items_come_and_go<S: Sharing, O: Order<u64>>(items: u64, queue: &GenericQueue<u64, S, O>) {
    let before = IN_USE.load(Relaxed);
    for burst in 0..3 {
        for item in 0..items {
            queue.try_put(item).unwrap();
        }
        assert!(beyond(before) >= items as usize * size_of::<u64>(), "the items lie somewhere");
        let first = queue.try_get();
        assert!(
            first == Ok(0) || first == Ok(items - 1),
            "the oldest, the smallest, or the newest"
        );
        for _ in 1..items - 1 {
            assert!(queue.try_get().is_ok());
        }
        let left = beyond(before);
        assert!(left < LITTLE, "{left} bytes kept for one item, after burst {burst}");
        assert!(queue.try_get().is_ok() && queue.is_empty());
    }
}

fn waiters_come_and_go<S: Sharing>(queue: &GenericQueue<u64, S>) {
    let before = IN_USE.load(Relaxed);
    let mut gets: Vec<_> = (0..WAITERS).map(|_| queue.get()).collect();
    assert!(gets.iter_mut().all(is_pending));
    assert_eq!(queue.stats().getters, WAITERS);
    let mut last = gets.pop().unwrap();
    while !gets.is_empty() {
        // Always from the middle.
        drop(gets.swap_remove(gets.len() / 2));
    }
    drop(gets);
    assert_eq!(queue.stats().getters, 1);
    let left = beyond(before);
    assert!(left < LITTLE, "{left} bytes kept for one waiter");

    let mut gets: Vec<_> = (0..WAITERS).map(|_| queue.get()).collect();
    assert!(gets.iter_mut().all(is_pending));
    queue.close();
    assert_eq!(queue.stats().getters, 0, "all are woken at once");
    drop(gets);
    let left = beyond(before);
    assert!(left < LITTLE, "{left} bytes kept for nothing");
    let end = Pin::new(&mut last).poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(end, std::task::Poll::Ready(Err(GetError))));
}

#[test]
fn memory_goes_back_after_a_burst() {
    let (shared, local) = (Queue::unbounded(), local::Queue::unbounded());
    items_come_and_go(ITEMS, &shared);
    items_come_and_go(ITEMS, &local);
    items_come_and_go(ITEMS, &LifoQueue::unbounded());
    items_come_and_go(COMPARED_ITEMS, &PriorityQueue::unbounded());
    waiters_come_and_go(&shared);
    waiters_come_and_go(&local);
}
