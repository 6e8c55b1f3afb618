//! Queues between tasks and plain threads, in all three orders.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
    time::Duration,
};

use futures_util::{StreamExt, stream};
use whirligig::{
    queue::{
        Fifo, GenericQueue, GetError, Lifo, LifoQueue, Order, Priority, PriorityQueue, Queue,
        QueueSink, QueueStream, Shared, TryGetError, TryPutError,
    },
    spawn,
    task::{self, yield_now},
    time::timeout,
};

use crate::{Variant, on_each_variant};

type Any3<O> = GenericQueue<u64, Shared, O>;

/// Items that each producer puts.
const EACH: u64 = 1_000;
/// Producers that are tasks, and as many that are threads; so with the consumers.
const OF_A_KIND: u64 = 2;

/// Tasks and threads put and get on one small queue, and some of them give up now and then.
async fn mixed<O: Order<u64> + 'static>(queue: Any3<O>)
where
    Any3<O>: Send + Sync,
{
    let queue = Arc::new(queue);
    let (mut tasks, mut threads) = (Vec::new(), Vec::new());
    for producer in 0..OF_A_KIND {
        let ours = queue.clone();
        tasks.push(spawn(async move {
            for n in 0..EACH {
                if producer == 0 && n % 3 == 0 {
                    // Given up at once, mostly: the item is dropped, and put again.
                    let mut put = std::pin::pin!(timeout(Duration::ZERO, ours.put(n)));
                    if let Ok(put) = put.as_mut().await {
                        put.unwrap();
                        continue;
                    }
                }
                ours.put(n).await.unwrap();
            }
        }));
        let ours = queue.clone();
        threads.push(task::spawn_blocking(move || {
            for n in 0..EACH {
                if producer == 0 {
                    let mut item = n;
                    while let Err(refused) = ours.put_timeout(item, Duration::from_micros(20)) {
                        item = refused.into_inner();
                    }
                } else {
                    ours.put_blocking(n).unwrap();
                }
            }
        }));
    }
    let (mut consumers, mut blocking) = (Vec::new(), Vec::new());
    for consumer in 0..OF_A_KIND {
        let ours = queue.clone();
        consumers.push(spawn(async move {
            let (mut count, mut sum) = (0, 0);
            loop {
                let got = if consumer == 0 {
                    match timeout(Duration::from_micros(20), ours.get()).await {
                        Ok(got) => got,
                        Err(_) => continue,
                    }
                } else {
                    ours.get().await
                };
                let Ok(n) = got else { return (count, sum) };
                (count, sum) = (count + 1, sum + n);
                ours.task_done();
            }
        }));
        let ours = queue.clone();
        blocking.push(thread::spawn(move || {
            let (mut count, mut sum) = (0, 0);
            loop {
                let got = match consumer {
                    0 => ours.get_timeout(Duration::from_micros(20)),
                    _ => ours.get_blocking().map_err(|GetError| TryGetError::Closed),
                };
                match got {
                    Ok(n) => (count, sum) = (count + 1, sum + n),
                    Err(TryGetError::Empty) => continue,
                    Err(TryGetError::Closed) => return (count, sum),
                }
                ours.task_done();
            }
        }));
    }
    for producer in tasks {
        producer.await.unwrap();
    }
    for producer in threads {
        producer.await.unwrap();
    }
    queue.join().await;
    queue.close();
    let (mut count, mut sum) = (0, 0);
    for consumer in consumers {
        let (its_count, its_sum) = consumer.await.unwrap();
        (count, sum) = (count + its_count, sum + its_sum);
    }
    for consumer in blocking {
        // It ends at once, for the queue is closed and empty.
        let (its_count, its_sum) = consumer.join().unwrap();
        (count, sum) = (count + its_count, sum + its_sum);
    }
    assert_eq!(count, 2 * OF_A_KIND * EACH);
    assert_eq!(sum, 2 * OF_A_KIND * (EACH * (EACH - 1) / 2));
    let stats = queue.stats();
    assert_eq!((stats.len, stats.getters, stats.putters, stats.unfinished), (0, 0, 0, 0));
}

#[test]
fn tasks_and_threads_share_the_work() {
    for capacity in [1, 5] {
        on_each_variant(|_| mixed::<Fifo>(Queue::bounded(capacity)));
        on_each_variant(|_| mixed::<Lifo>(LifoQueue::bounded(capacity)));
        on_each_variant(|_| mixed::<Priority>(PriorityQueue::bounded(capacity)));
    }
}

fn refusal<R>(call: impl FnOnce() -> R) -> String {
    let payload: Box<dyn Any + Send> =
        catch_unwind(AssertUnwindSafe(call)).err().expect("a blocking call in a task is refused");
    payload.downcast_ref::<String>().expect("it says why").clone()
}

/// What would block a loop or a worker is refused, harms nothing, and is not when it need not wait.
async fn refused<O: Order<u64> + 'static>(variant: Variant, queue: Any3<O>)
where
    Any3<O>: Send + Sync,
{
    const LONG: Duration = Duration::from_secs(3_600);
    let queue = Arc::new(queue);
    for said in [refusal(|| queue.get_blocking()), refusal(|| queue.get_timeout(LONG))] {
        assert!(said.contains("await `get`") && said.contains("spawn_blocking"), "{said}");
    }
    assert_eq!(queue.get_timeout(Duration::ZERO), Err(TryGetError::Empty), "it does not wait");
    queue.put_blocking(1).unwrap();
    for said in [refusal(|| queue.put_blocking(2)), refusal(|| queue.put_timeout(2, LONG))] {
        assert!(said.contains("await `put`"), "{said}");
    }
    assert_eq!(queue.put_timeout(2, Duration::ZERO), Err(TryPutError::Full(2)));
    let said = refusal(|| queue.join_blocking());
    assert!(said.contains("await `join`"), "{said}");
    let stats = queue.stats();
    assert_eq!((stats.len, stats.getters, stats.putters), (1, 0, 0), "none of them waits on");
    assert_eq!(queue.get_blocking(), Ok(1), "it need not wait");
    queue.task_done();
    queue.join_blocking();

    // The threads to which the advice sends one may wait.
    let getter = task::spawn_blocking({
        let queue = queue.clone();
        move || queue.get_blocking()
    });
    while queue.stats().getters == 0 {
        yield_now().await;
    }
    queue.put(3).await.unwrap();
    assert_eq!(getter.await.unwrap(), Ok(3));
    if variant != Variant::EventLoop {
        let putter = spawn({
            let queue = queue.clone();
            async move {
                while queue.stats().getters == 0 {
                    yield_now().await;
                }
                queue.put(4).await.unwrap();
            }
        });
        assert_eq!(task::block_in_place(|| queue.get_blocking()), Ok(4));
        putter.await.unwrap();
    }
}

#[test]
fn a_call_that_would_block_a_loop_is_refused_with_advice() {
    on_each_variant(|variant| refused::<Fifo>(variant, Queue::bounded(1)));
    on_each_variant(|variant| refused::<Lifo>(variant, LifoQueue::bounded(1)));
    on_each_variant(|variant| refused::<Priority>(variant, PriorityQueue::bounded(1)));
}

/// Sinks and streams, two of each, that own the queue together.
async fn streamed<O: Order<u64> + 'static>(queue: Any3<O>)
where
    Any3<O>: Send + Sync,
{
    let queue = Arc::new(queue);
    let producers = [(); 2].map(|()| {
        let sink = QueueSink::new(queue.clone());
        spawn(stream::iter(0..EACH).map(Ok).forward(sink))
    });
    let consumers = [(); 2].map(|()| {
        let items = QueueStream::new(queue.clone());
        spawn(items.fold((0, 0), async |(count, sum), n| (count + 1, sum + n)))
    });
    for producer in producers {
        assert_eq!(producer.await.unwrap(), Ok(()));
    }
    queue.close();
    let (mut count, mut sum) = (0, 0);
    for consumer in consumers {
        let (its_count, its_sum) = consumer.await.unwrap();
        (count, sum) = (count + its_count, sum + its_sum);
    }
    assert_eq!((count, sum), (2 * EACH, EACH * (EACH - 1)));
}

#[test]
fn sinks_and_streams_share_the_work() {
    for capacity in [1, 5] {
        on_each_variant(|_| streamed::<Fifo>(Queue::bounded(capacity)));
        on_each_variant(|_| streamed::<Lifo>(LifoQueue::bounded(capacity)));
        on_each_variant(|_| streamed::<Priority>(PriorityQueue::bounded(capacity)));
    }
}
