//! The queue between tasks that may run at the same time.

use std::sync::Arc;

use whirligig::{queue::Queue, spawn};

use crate::api::ours;

/// Each producer's items come out in the order in which it put them in, each once.
async fn in_order(capacity: usize) {
    const PRODUCERS: usize = 4;
    const ITEMS: usize = 500;
    let queue = Arc::new(Queue::bounded(capacity));
    let producers: Vec<_> = (0..PRODUCERS)
        .map(|producer| {
            let queue = queue.clone();
            spawn(async move {
                for n in 0..ITEMS {
                    queue.put((producer, n)).await.unwrap();
                }
            })
        })
        .collect();
    let consumer = {
        let queue = queue.clone();
        spawn(async move {
            let mut next = [0; PRODUCERS];
            while let Ok((producer, n)) = queue.get().await {
                assert_eq!(n, next[producer], "items of one producer changed places");
                next[producer] += 1;
                queue.task_done();
            }
            next
        })
    };
    for producer in producers {
        producer.await.unwrap();
    }
    queue.join().await;
    queue.close();
    assert_eq!(consumer.await.unwrap(), [ITEMS; PRODUCERS]);
}

#[test]
fn items_keep_their_order() {
    for capacity in [1, 3, 64] {
        ours(|| in_order(capacity));
    }
}

/// Many consumers share what one producer puts in; none of it is lost, and closing wakes all.
async fn shared() {
    let queue = Arc::new(Queue::bounded(2));
    let consumers: Vec<_> = (0..8)
        .map(|_| {
            let queue = queue.clone();
            spawn(async move {
                let mut sum = 0;
                while let Ok(n) = queue.get().await {
                    sum += n;
                }
                sum
            })
        })
        .collect();
    for n in 0..1_000_u64 {
        queue.put(n).await.unwrap();
    }
    queue.close();
    let mut sum = 0;
    for consumer in consumers {
        sum += consumer.await.unwrap();
    }
    assert_eq!(sum, 999 * 1_000 / 2);
}

#[test]
fn consumers_share_the_items() {
    ours(shared);
}
