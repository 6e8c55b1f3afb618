//! The loop program: two producers, one consumer, one unbounded queue, a yield after every step.
//!
//! It is the program the project is measured by. Nothing ever waits long and nothing does any work,
//! so what remains is the price of waking and polling a task. Each side uses the unbounded queue its
//! runtime offers, for one thread or for many, and never skips a yield. Where tokio is quoted there
//! are two rows: its own `yield_now` lets the drivers look first, which is an `epoll_wait` per turn,
//! and a future that wakes itself does not.
//!
//! Called by `benches/loop_program.rs` and by `peers`. The closed formula for the sum, and not the
//! other side's answer, is what a run is checked against.

use std::{array, hint::black_box, rc::Rc, sync::Arc, time::Instant};

use tokio::{runtime::Runtime, sync::mpsc};
use whirligig::{
    EventLoop,
    queue::{Queue, local},
    spawn, spawn_local, task,
};

/// What travels through the queue: the square of a number, and when it was put.
pub(crate) type Item = (u64, Instant);

/// How large a run is, and whether each item carries a fresh timestamp.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Work {
    /// Items taken by the consumer: an even number, half from each producer.
    pub(crate) actions: u64,
    /// Reads the clock for each item; otherwise all carry the same timestamp.
    pub(crate) clock: bool,
}

/// What the consumer saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) sum: u64,
}

impl Work {
    /// Items from each producer.
    pub(crate) fn each(self) -> u64 {
        self.actions / 2
    }

    /// The sum of squares below `each`, twice, as a wrapping 64-bit number.
    pub(crate) fn expected(self) -> Tally {
        let m = u128::from(self.each());
        let squares = m * m.saturating_sub(1) * (2 * m).saturating_sub(1) / 6;
        Tally { count: self.actions, sum: (2 * squares) as u64 }
    }

    /// Where the items' timestamps come from.
    pub(crate) fn stamp(self) -> Stamp {
        Stamp((!self.clock).then(Instant::now))
    }
}

/// A timestamp for every item: one for all, or a fresh one each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp(Option<Instant>);

impl Stamp {
    pub(crate) fn item(self, index: u64) -> Item {
        (index.wrapping_mul(index), self.0.unwrap_or_else(Instant::now))
    }
}

impl Tally {
    pub(crate) const EMPTY: Self = Self { count: 0, sum: 0 };

    pub(crate) fn add(&mut self, (square, when): Item) {
        black_box(when);
        self.count += 1;
        self.sum = self.sum.wrapping_add(square);
    }
}

/// The program on an event loop of ours, with the queue made for one thread.
pub(crate) fn whirligig(event_loop: &EventLoop, work: Work) -> Tally {
    event_loop.block_on(async move {
        let queue = Rc::new(local::Queue::unbounded());
        let stamp = work.stamp();
        let producers: [_; 2] = array::from_fn(|_| {
            let queue = Rc::clone(&queue);
            spawn_local(async move {
                for index in 0..work.each() {
                    queue.put(stamp.item(index)).await.expect("nobody closes the queue");
                    task::yield_now().await;
                }
            })
        });
        let consumer = spawn_local(async move {
            let mut tally = Tally::EMPTY;
            for _ in 0..work.actions {
                tally.add(queue.get().await.expect("nobody closes the queue"));
                task::yield_now().await;
            }
            tally
        });
        for producer in producers {
            producer.await.expect("a producer ends well");
        }
        consumer.await.expect("the consumer ends well")
    })
}

/// The program on our multi-threaded runtime, with the queue that threads share.
pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime, work: Work) -> Tally {
    runtime.block_on(async move {
        let queue = Arc::new(Queue::unbounded());
        let stamp = work.stamp();
        let producers: [_; 2] = array::from_fn(|_| {
            let queue = Arc::clone(&queue);
            spawn(async move {
                for index in 0..work.each() {
                    queue.put(stamp.item(index)).await.expect("nobody closes the queue");
                    task::yield_now().await;
                }
            })
        });
        let consumer = spawn(async move {
            let mut tally = Tally::EMPTY;
            for _ in 0..work.actions {
                tally.add(queue.get().await.expect("nobody closes the queue"));
                task::yield_now().await;
            }
            tally
        });
        for producer in producers {
            producer.await.expect("a producer ends well");
        }
        consumer.await.expect("the consumer ends well")
    })
}

/// The program on either of tokio's runtimes, with its unbounded channel and the yield it is given.
pub(crate) fn tokio<Y>(runtime: &Runtime, work: Work, yield_now: impl YieldNow<Y>) -> Tally
where
    Y: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async move {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let stamp = work.stamp();
        let producers: [_; 2] = array::from_fn(|_| {
            let sender = sender.clone();
            tokio::spawn(async move {
                for index in 0..work.each() {
                    sender.send(stamp.item(index)).expect("the receiver is alive");
                    yield_now().await;
                }
            })
        });
        drop(sender);
        let consumer = tokio::spawn(async move {
            let mut tally = Tally::EMPTY;
            for _ in 0..work.actions {
                tally.add(receiver.recv().await.expect("a sender is alive or items are left"));
                yield_now().await;
            }
            tally
        });
        for producer in producers {
            producer.await.expect("a producer ends well");
        }
        consumer.await.expect("the consumer ends well")
    })
}

/// A function that makes the future to yield with, for every task of the program.
pub(crate) trait YieldNow<Y>: Fn() -> Y + Copy + Send + 'static {}
impl<Y, F: Fn() -> Y + Copy + Send + 'static> YieldNow<Y> for F {}
