//! The event loop's own queue, between tasks that are not `Send`.
//!
//! The law is that of the shared queue (`queues.rs`), but what is left goes with the queue: the items are counted
//! by the census.

use std::{
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use fastrand::Rng;
use whirligig::{
    queue::local::Queue,
    task::{JoinHandle, yield_now},
};

use super::Workload;
use crate::{
    census::{Kind, Member, Sum},
    round::{Round, briefly, demand, pause},
};

#[derive(Default)]
pub(crate) struct LocalQueues {
    put: Sum,
    got: Sum,
    /// In queues that were closed and emptied.
    left: AtomicU64,
}

type Items = Rc<Queue<(u64, Member)>>;

impl Workload for LocalQueues {
    fn name(&self) -> &'static str {
        "local queues"
    }

    fn start(self: Arc<Self>, round: &Arc<Round>, mut rng: Rng) -> JoinHandle<()> {
        let here = round.clone();
        round.spawn_local(Kind::Lane, async move {
            while here.goes_on() {
                let queue: Items = Rc::new(match rng.u8(0..3) {
                    0 => Queue::unbounded(),
                    _ => Queue::bounded(rng.usize(1..10)),
                });
                let produce = |_| {
                    let (this, queue, round) = (self.clone(), queue.clone(), here.clone());
                    here.spawn_local(Kind::Lane, this.produce(queue, round, rng.fork()))
                };
                let producers: Vec<_> = (0..4).map(produce).collect();
                let consume = |_| {
                    let (this, queue) = (self.clone(), queue.clone());
                    here.spawn_local(Kind::Lane, this.consume(queue, rng.fork()))
                };
                let consumers: Vec<_> = (0..3).map(consume).collect();
                for producer in producers {
                    here.expect(producer.await, ());
                }
                queue.close();
                for consumer in consumers {
                    here.expect(consumer.await, ());
                }
                self.left.fetch_add(queue.len() as u64, Relaxed);
            }
        })
    }

    fn check(&self, round: &Round) {
        let ((put, in_sum), (got, out_sum)) = (self.put.get(), self.got.get());
        let left = self.left.load(Relaxed);
        demand!(round, left == 0, "{left} items are left in closed queues that were emptied");
        let exact = put == got && in_sum == out_sum;
        demand!(round, exact || round.is_cut() && put > got, "put {put}, got {got}");
    }
}

impl LocalQueues {
    async fn produce(self: Arc<Self>, queue: Items, round: Arc<Round>, mut rng: Rng) {
        for _ in 0..rng.u16(0..500) {
            let value = rng.u64(..);
            let item = (value, round.enrol(Kind::LocalItem));
            let put = match rng.u8(0..6) {
                0 => queue.try_put(item).is_ok(),
                1 => briefly(&mut rng, queue.put(item)).await.is_some_and(|put| put.is_ok()),
                _ => queue.put(item).await.is_ok(),
            };
            if put {
                self.put.add(value);
            }
            if rng.u8(0..16) == 0 {
                pause(&mut rng).await;
            }
        }
    }

    async fn consume(self: Arc<Self>, queue: Items, mut rng: Rng) {
        loop {
            let got = match rng.u8(0..6) {
                0 => {
                    yield_now().await;
                    match briefly(&mut rng, queue.get()).await {
                        None => continue,
                        Some(got) => got,
                    }
                }
                _ => queue.get().await,
            };
            let Ok((value, member)) = got else { break };
            self.got.add(value);
            member.complete();
        }
    }
}
