//! Producers and consumers on bounded and unbounded queues, tasks and plain threads, whose `put` and `get` are often
//! given up.
//!
//! The law: what was put was got or is left in the queue, by number and by sum; an item that was not put was dropped
//! with its `put`; and each consumer sees each producer's items in their order.

use std::{
    array,
    sync::{Arc, PoisonError, RwLock},
    thread,
    time::Duration,
};

use fastrand::Rng;
use futures_lite::future::block_on;
use whirligig::{
    queue::{Queue, TryGetError, TryPutError},
    task::{JoinHandle, yield_now},
};

use super::Workload;
use crate::{
    census::{Kind, Member, Sum},
    round::{Round, briefly, demand, pause},
};

const PRODUCERS: usize = 4;
const CONSUMERS: usize = 4;
/// An unbounded queue's producers wait for their consumers from here on.
const ENOUGH: usize = 1_000;

pub(crate) struct Queues([Line; 3]);

/// A queue, and what went in and out.
struct Line {
    queue: Queue<Item>,
    put: Sum,
    got: Sum,
    left: RwLock<(u64, u64)>,
}

struct Item {
    producer: usize,
    number: u64,
    value: u64,
    member: Member,
}

impl Default for Queues {
    fn default() -> Self {
        let queues = [Queue::bounded(1), Queue::bounded(7), Queue::unbounded()];
        Self(queues.map(|queue| Line {
            queue,
            put: Sum::default(),
            got: Sum::default(),
            left: RwLock::default(),
        }))
    }
}

impl Workload for Queues {
    fn name(&self) -> &'static str {
        "queues"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        for (name, line) in [("put", 1), ("get", 2)] {
            let (this, rng) = (self.clone(), rng.fork());
            round.thread(name, move |round| match name {
                "put" => this.0[line].put_from_thread(round, rng),
                _ => this.0[line].get_from_thread(round, rng),
            });
        }
        let here = round.clone();
        round.spawn(Kind::Lane, async move {
            let mut producers = Vec::new();
            let mut consumers = Vec::new();
            for line in 0..self.0.len() {
                for producer in 0..PRODUCERS {
                    let (this, round, rng) = (self.clone(), here.clone(), rng.fork());
                    producers.push(here.spawn(Kind::Lane, async move {
                        this.0[line].produce(round, rng, producer).await;
                    }));
                }
                for _ in 0..CONSUMERS {
                    let (this, round, rng) = (self.clone(), here.clone(), rng.fork());
                    consumers.push(here.spawn(Kind::Lane, async move {
                        this.0[line].consume(round, rng).await;
                    }));
                }
            }
            let closes_early = rng.bool();
            while here.goes_on() {
                whirligig::time::sleep(Duration::from_millis(1)).await;
            }
            if closes_early {
                self.close();
            }
            for producer in producers {
                here.expect(producer.await, ());
            }
            self.close();
            for consumer in consumers {
                here.expect(consumer.await, ());
            }
        })
    }

    /// The threads' `put` and `get` end, and what nobody got is counted.
    fn release(&self) {
        for line in &self.0 {
            line.queue.close();
            let left = Sum::default();
            while let Ok(item) = line.queue.try_get() {
                left.add(item.value);
                line.queue.task_done();
            }
            let mut counted = line.left.write().unwrap_or_else(PoisonError::into_inner);
            *counted = left.get();
        }
    }

    fn check(&self, round: &Round) {
        for line in &self.0 {
            let (put, got) = (line.put.get(), line.got.get());
            let left = *line.left.read().unwrap_or_else(PoisonError::into_inner);
            let out = (got.0 + left.0, got.1.wrapping_add(left.1));
            demand!(round, put == out, "{:?}: put {put:?}, got {got:?}, left {left:?}", line.queue);
            let unfinished = line.queue.unfinished();
            demand!(round, unfinished == 0, "{:?}: {unfinished} unfinished", line.queue);
        }
    }
}

impl Queues {
    fn close(&self) {
        self.0.iter().for_each(|line| line.queue.close());
    }
}

impl Line {
    async fn produce(&self, round: Arc<Round>, mut rng: Rng, producer: usize) {
        for number in 1.. {
            if !round.goes_on() || self.queue.is_closed() {
                break;
            }
            let item = Item::new(&round, producer, number, rng.u64(..));
            let value = item.value;
            let put = match rng.u8(0..6) {
                0 => self.queue.try_put(item).is_ok(),
                1 => briefly(&mut rng, self.queue.put(item)).await.is_some_and(|put| put.is_ok()),
                _ => self.queue.put(item).await.is_ok(),
            };
            if put {
                self.put.add(value);
            }
            if rng.u8(0..16) == 0 {
                pause(&mut rng).await;
            }
            while self.queue.len() > ENOUGH {
                yield_now().await;
            }
        }
    }

    async fn consume(&self, round: Arc<Round>, mut rng: Rng) {
        let mut seen = Seen::default();
        loop {
            let got = match rng.u8(0..6) {
                0 => match self.queue.try_get() {
                    Err(TryGetError::Empty) => {
                        yield_now().await;
                        continue;
                    }
                    got => got.ok(),
                },
                1 => match briefly(&mut rng, self.queue.get()).await {
                    None => continue,
                    Some(got) => got.ok(),
                },
                _ => self.queue.get().await.ok(),
            };
            let Some(item) = got else { break };
            self.take(&round, item, &mut seen);
            if rng.u8(0..16) == 0 {
                pause(&mut rng).await;
            }
        }
    }

    fn put_from_thread(&self, round: &Arc<Round>, mut rng: Rng) {
        let mut number = 0;
        while round.goes_on() && !self.queue.is_closed() {
            number += 1;
            let item = Item::new(round, PRODUCERS, number, rng.u64(..));
            let value = item.value;
            let put = if rng.bool() {
                match self.queue.try_put(item) {
                    Err(TryPutError::Full(item)) => block_on(self.queue.put(item)).is_ok(),
                    put => put.is_ok(),
                }
            } else {
                block_on(self.queue.put(item)).is_ok()
            };
            if put {
                self.put.add(value);
            }
            thread::sleep(Duration::from_micros(rng.u64(0..300)));
        }
    }

    fn get_from_thread(&self, round: &Arc<Round>, mut rng: Rng) {
        let mut seen = Seen::default();
        while let Ok(item) = block_on(self.queue.get()) {
            self.take(round, item, &mut seen);
            if rng.u8(0..8) == 0 {
                thread::sleep(Duration::from_micros(rng.u64(0..300)));
            }
        }
    }

    fn take(&self, round: &Round, item: Item, seen: &mut Seen) {
        self.got.add(item.value);
        let last = &mut seen.0[item.producer];
        demand!(
            round,
            *last < item.number,
            "producer {}'s item {} after its item {last}",
            item.producer,
            item.number
        );
        *last = item.number;
        item.member.complete();
        self.queue.task_done();
    }
}

impl Item {
    fn new(round: &Arc<Round>, producer: usize, number: u64, value: u64) -> Self {
        Self { producer, number, value, member: round.enrol(Kind::Item) }
    }
}

/// The last number that a consumer saw of each producer.
struct Seen([u64; PRODUCERS + 1]);

impl Default for Seen {
    fn default() -> Self {
        Self(array::from_fn(|_| 0))
    }
}
