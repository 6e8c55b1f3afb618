//! Locks, semaphores and queues: what was granted or promised to a wait that is given up goes on.

use std::sync::Arc;

use whirligig::{
    queue::{LifoQueue, PriorityQueue, Queue},
    spawn,
    sync::{Mutex, RwLock, Semaphore},
    task::{JoinHandle, yield_now},
};

use crate::{pause, sweep};

#[test]
fn a_mutex() {
    sweep(|cut| async move {
        let lock = Arc::new(Mutex::new(0));
        let partners = [1, 2].map(|_| {
            let lock = lock.clone();
            spawn(async move {
                for _ in 0..3 {
                    let mut count = lock.lock().await;
                    yield_now().await;
                    *count += 1;
                }
            })
        });
        yield_now().await;
        let ended = cut.run(async {
            for _ in 0..2 {
                let mut guard = lock.lock().await;
                yield_now().await;
                *guard += 0;
                drop(guard);
                drop(lock.clone().lock_owned().await);
            }
        });
        let ended = ended.await.is_some();
        for partner in partners {
            partner.await.unwrap();
        }
        assert_eq!(lock.waiters(), 0);
        assert_eq!(*lock.try_lock().expect("nobody has it"), 6);
        ended
    });
}

#[test]
fn a_lock_for_readers_and_writers() {
    sweep(|cut| async move {
        let lock = Arc::new(RwLock::new(0));
        let partners = [true, false, true].map(|writes| {
            let lock = lock.clone();
            spawn(async move {
                for _ in 0..2 {
                    if writes {
                        let mut count = lock.write().await;
                        yield_now().await;
                        *count += 1;
                    } else {
                        let _count = lock.read().await;
                        yield_now().await;
                    }
                }
            })
        });
        yield_now().await;
        let ended = cut.run(async {
            drop(lock.read().await);
            let guard = lock.write().await;
            yield_now().await;
            drop(guard);
            drop(lock.clone().write_owned().await);
            drop(lock.clone().read_owned().await);
        });
        let ended = ended.await.is_some();
        for partner in partners {
            partner.await.unwrap();
        }
        assert_eq!(*lock.try_write().expect("nobody has it"), 4);
        ended
    });
}

#[test]
fn a_semaphore_of_which_some_ask_for_more() {
    sweep(|cut| async move {
        let semaphore = Arc::new(Semaphore::new(3));
        let partners = [1, 3, 2].map(|count| {
            let semaphore = semaphore.clone();
            spawn(async move {
                for _ in 0..2 {
                    let _permits = semaphore.acquire_many(count).await.unwrap();
                    yield_now().await;
                }
            })
        });
        yield_now().await;
        let ended = cut.run(async {
            for count in [3, 1, 2] {
                let _permits = semaphore.acquire_many(count).await.unwrap();
                yield_now().await;
            }
            drop(semaphore.clone().acquire_many_owned(3).await.unwrap());
        });
        let ended = ended.await.is_some();
        for partner in partners {
            partner.await.unwrap();
        }
        assert_eq!((semaphore.available_permits(), semaphore.waiters()), (3, 0));
        ended
    });
}

/// A queue loses no item and doubles none, whatever its order.
macro_rules! queue {
    ($name:ident, $queue:ident) => {
        mod $name {
            use super::*;

            /// Takes what is there until there will be no more.
            fn drain(queue: &Arc<$queue<i32>>) -> JoinHandle<Vec<i32>> {
                let queue = queue.clone();
                spawn(async move {
                    let mut got = Vec::new();
                    while let Ok(item) = queue.get().await {
                        got.push(item);
                        yield_now().await;
                        queue.task_done();
                    }
                    got
                })
            }

            fn produce(queue: &Arc<$queue<i32>>) -> JoinHandle<()> {
                let queue = queue.clone();
                spawn(async move {
                    for n in 0..4 {
                        queue.put(n).await.unwrap();
                    }
                })
            }

            #[test]
            fn gets() {
                sweep(|cut| async move {
                    let queue = Arc::new($queue::bounded(1));
                    let producer = produce(&queue);
                    // What it got counts, cancelled or not.
                    let mut got = Vec::new();
                    let ended = cut.run(async {
                        for _ in 0..3 {
                            got.push(queue.get().await.unwrap());
                            queue.task_done();
                        }
                    });
                    let ended = ended.await.is_some();
                    let rest = drain(&queue);
                    producer.await.unwrap();
                    queue.close();
                    got.extend(rest.await.unwrap());
                    got.sort_unstable();
                    assert_eq!(got, [0, 1, 2, 3]);
                    assert_eq!(queue.stats().getters, 0);
                    ended
                });
            }

            #[test]
            fn puts() {
                sweep(|cut| async move {
                    let queue = Arc::new($queue::bounded(1));
                    let (producer, consumer) = (produce(&queue), drain(&queue));
                    let mut put = Vec::new();
                    let ended = cut.run(async {
                        for n in [100, 101] {
                            queue.put(n).await.unwrap();
                            put.push(n);
                        }
                    });
                    let ended = ended.await.is_some();
                    producer.await.unwrap();
                    queue.close();
                    let mut got = consumer.await.unwrap();
                    got.sort_unstable();
                    assert_eq!(got[..4], [0, 1, 2, 3]);
                    assert_eq!(got[4..], put, "a put that was given up has put nothing");
                    queue.join().await;
                    let stats = queue.stats();
                    assert_eq!((stats.putters, stats.unfinished), (0, 0));
                    ended
                });
            }
        }
    };
}

queue!(queue, Queue);
queue!(lifo_queue, LifoQueue);
queue!(priority_queue, PriorityQueue);

#[test]
fn the_end_of_all_work() {
    sweep(|cut| async move {
        let queue = Arc::new(Queue::unbounded());
        queue.try_put(1).unwrap();
        let worker = spawn({
            let queue = queue.clone();
            async move {
                let item = queue.get().await.unwrap();
                pause().await;
                queue.task_done();
                item
            }
        });
        let ended = cut.run(queue.join()).await.is_some();
        assert_eq!(worker.await.unwrap(), 1);
        queue.join().await;
        ended
    });
}
