//! The loop program on smol and on monoio, each with two queues.
//!
//! One row has the queue the runtime's users take (`async-channel`, `local-sync`), the other a bare
//! `Rc` queue for one producer side and one consumer, the least a queue can be: with it, what is
//! left is the runtime. Neither runtime's yield looks at the drivers first, so each has one; monoio
//! has none of its own and gets the future that wakes itself.

use std::{
    array,
    cell::RefCell,
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use anyhow::{Context, Result};
use futures_lite::future::yield_now;
use local_sync::mpsc::unbounded;
use monoio::{LegacyDriver, Runtime, RuntimeBuilder};

use crate::program::{Item, Tally, Work};

pub(crate) fn smol(work: Work) -> Tally {
    let executor = smol::LocalExecutor::new();
    let (sender, receiver) = smol::channel::unbounded();
    let stamp = work.stamp();
    let producers: [_; 2] = array::from_fn(|_| {
        let sender = sender.clone();
        executor.spawn(async move {
            for index in 0..work.each() {
                sender.send(stamp.item(index)).await.expect("the receiver is alive");
                yield_now().await;
            }
        })
    });
    let consumer = executor.spawn(async move {
        let mut tally = Tally::EMPTY;
        for _ in 0..work.actions {
            tally.add(receiver.recv().await.expect("a sender is alive or items are left"));
            yield_now().await;
        }
        tally
    });
    smol::block_on(executor.run(async {
        for producer in producers {
            producer.await;
        }
        consumer.await
    }))
}

pub(crate) fn smol_rc(work: Work) -> Tally {
    let executor = smol::LocalExecutor::new();
    let queue = RcQueue::default();
    let producers: [_; 2] = array::from_fn(|_| executor.spawn(produce(queue.clone(), work)));
    let consumer = executor.spawn(consume(queue, work));
    smol::block_on(executor.run(async {
        for producer in producers {
            producer.await;
        }
        consumer.await
    }))
}

/// Monoio on epoll: the io_uring driver is not to be had everywhere, and nothing here does I/O.
pub(crate) fn monoio_runtime() -> Result<Runtime<LegacyDriver>> {
    RuntimeBuilder::<LegacyDriver>::new().build().context("monoio cannot start")
}

pub(crate) fn monoio(runtime: &mut Runtime<LegacyDriver>, work: Work) -> Tally {
    runtime.block_on(async move {
        let (sender, mut receiver) = unbounded::channel();
        let stamp = work.stamp();
        let producers: [_; 2] = array::from_fn(|_| {
            let sender = sender.clone();
            monoio::spawn(async move {
                for index in 0..work.each() {
                    assert!(sender.send(stamp.item(index)).is_ok(), "the receiver is alive");
                    yield_now().await;
                }
            })
        });
        drop(sender);
        let consumer = monoio::spawn(async move {
            let mut tally = Tally::EMPTY;
            for _ in 0..work.actions {
                tally.add(receiver.recv().await.expect("a sender is alive or items are left"));
                yield_now().await;
            }
            tally
        });
        for producer in producers {
            producer.await;
        }
        consumer.await
    })
}

pub(crate) fn monoio_rc(runtime: &mut Runtime<LegacyDriver>, work: Work) -> Tally {
    runtime.block_on(async move {
        let queue = RcQueue::default();
        let producers: [_; 2] = array::from_fn(|_| monoio::spawn(produce(queue.clone(), work)));
        let consumer = monoio::spawn(consume(queue, work));
        for producer in producers {
            producer.await;
        }
        consumer.await
    })
}

async fn produce(queue: RcQueue<Item>, work: Work) {
    let stamp = work.stamp();
    for index in 0..work.each() {
        queue.put(stamp.item(index));
        yield_now().await;
    }
}

async fn consume(queue: RcQueue<Item>, work: Work) -> Tally {
    let mut tally = Tally::EMPTY;
    for _ in 0..work.actions {
        tally.add(queue.get().await);
        yield_now().await;
    }
    tally
}

/// A queue for one thread and one consumer: items, and who waits for one.
struct RcQueue<T>(Rc<RefCell<(VecDeque<T>, Option<Waker>)>>);

impl<T> RcQueue<T> {
    fn put(&self, item: T) {
        let waiting = {
            let (items, waiting) = &mut *self.0.borrow_mut();
            items.push_back(item);
            waiting.take()
        };
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    async fn get(&self) -> T {
        poll_fn(|cx| {
            let (items, waiting) = &mut *self.0.borrow_mut();
            match items.pop_front() {
                Some(item) => Poll::Ready(item),
                None => {
                    *waiting = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl<T> Clone for RcQueue<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Default for RcQueue<T> {
    fn default() -> Self {
        Self(Rc::default())
    }
}
