//! The bounded queue: four producers of 1,000 items each, one consumer, room for 100.
//!
//! The queue is full most of the time, so producers wait for room and the consumer's every `get`
//! may free one of them: the fair hand-over among waiters is what is measured. Called by
//! `benches/queue.rs`, `peers micro` and `peers multi`. Each side uses its own runtime's queue;
//! no task yields by hand.

use std::{rc::Rc, sync::Arc};

use tokio::{runtime::Runtime, sync::mpsc};
use whirligig::{
    EventLoop,
    queue::{Fifo, GenericQueue, Local, Order, Queue},
    spawn, spawn_local,
};

const CAPACITY: usize = 100;
const PRODUCERS: u64 = 4;
const EACH: u64 = 1_000;

/// Items through the queue in one run.
pub(crate) const OPERATIONS: u64 = PRODUCERS * EACH;
const SUM: u64 = PRODUCERS * (EACH * (EACH - 1) / 2);

pub(crate) fn whirligig(event_loop: &EventLoop) {
    in_order::<Fifo>(event_loop);
}

/// With the items in any order.
pub(crate) fn in_order<O: Order<u64> + 'static>(event_loop: &EventLoop) {
    let sum = event_loop.block_on(async {
        let queue = Rc::new(GenericQueue::<u64, Local, O>::bounded(CAPACITY));
        for _ in 0..PRODUCERS {
            let queue = Rc::clone(&queue);
            drop(spawn_local(async move {
                for item in 0..EACH {
                    queue.put(item).await.expect("the queue stays open");
                }
            }));
        }
        let consumer = spawn_local(async move {
            let mut sum = 0;
            for _ in 0..OPERATIONS {
                sum += queue.get().await.expect("the queue stays open");
            }
            sum
        });
        consumer.await.expect("the consumer ends well")
    });
    assert_eq!(sum, SUM);
}

pub(crate) fn whirligig_multi(runtime: &whirligig::Runtime) {
    let sum = runtime.block_on(async {
        let queue = Arc::new(Queue::bounded(CAPACITY));
        for _ in 0..PRODUCERS {
            let queue = Arc::clone(&queue);
            drop(spawn(async move {
                for item in 0..EACH {
                    queue.put(item).await.expect("the queue stays open");
                }
            }));
        }
        let consumer = spawn(async move {
            let mut sum = 0;
            for _ in 0..OPERATIONS {
                sum += queue.get().await.expect("the queue stays open");
            }
            sum
        });
        consumer.await.expect("the consumer ends well")
    });
    assert_eq!(sum, SUM);
}

pub(crate) fn tokio(runtime: &Runtime) {
    let sum = runtime.block_on(async {
        let (sender, mut receiver) = mpsc::channel(CAPACITY);
        for _ in 0..PRODUCERS {
            let sender = sender.clone();
            drop(tokio::spawn(async move {
                for item in 0..EACH {
                    sender.send(item).await.expect("the receiver is alive");
                }
            }));
        }
        drop(sender);
        let consumer = tokio::spawn(async move {
            let mut sum = 0;
            for _ in 0..OPERATIONS {
                sum += receiver.recv().await.expect("a sender is alive or items are left");
            }
            sum
        });
        consumer.await.expect("the consumer ends well")
    });
    assert_eq!(sum, SUM);
}
