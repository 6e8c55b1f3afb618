//! Plain threads at the queue, with no runtime near.

use std::{
    sync::{Arc, mpsc},
    task::Poll,
    thread,
    time::Duration,
};

use whirligig::queue::{GetError, PutError, TryGetError, TryPutError};

use crate::{
    shells::{Shared, SharedLifo, SharedPriority, Task},
    watchdog::Watchdog,
};

const SHORT: Duration = Duration::from_millis(1);

/// Until `condition` holds. That it never does ends the test by its watchdog.
fn until(condition: impl Fn() -> bool) {
    while !condition() {
        thread::yield_now();
    }
}

macro_rules! in_each_order {
    ($($test:ident: $queue:ident => $body:block)*) => {
        $(mod $test {
            use super::*;

            #[test]
            fn fifo() {
                use Shared as $queue;
                let _watchdog = Watchdog::new(stringify!($test));
                $body
            }
            #[test]
            fn lifo() {
                use SharedLifo as $queue;
                let _watchdog = Watchdog::new(stringify!($test));
                $body
            }
            #[test]
            fn priority() {
                use SharedPriority as $queue;
                let _watchdog = Watchdog::new(stringify!($test));
                $body
            }
        })*
    };
}

in_each_order! {
    threads_and_tasks_wait_in_one_line: Queue => {
        let queue = Arc::new(Queue::unbounded());
        let (task, mut get) = (Task::new(), queue.get());
        let (got, gets) = mpsc::channel();
        let mut threads = Vec::new();
        for waiting in [1, 3] {
            threads.push(thread::spawn({
                let (queue, got) = (queue.clone(), got.clone());
                move || got.send((waiting, queue.get_blocking())).unwrap()
            }));
            until(|| queue.stats().getters == waiting);
            if waiting == 1 {
                assert!(task.poll(&mut get).is_pending());
            }
        }
        queue.put_blocking(10).unwrap();
        assert_eq!(gets.recv(), Ok((1, Ok(10))), "the thread that waited before the task");
        assert_eq!(task.wakes(), 0);
        queue.put_blocking(20).unwrap();
        assert_eq!((task.wakes(), task.poll(&mut get)), (1, Poll::Ready(Ok(20))));
        queue.put_blocking(30).unwrap();
        assert_eq!(gets.recv(), Ok((3, Ok(30))));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    }

    a_put_waits_for_room_and_join_for_the_last_task_done: Queue => {
        let queue = Queue::bounded(1);
        queue.put_blocking(1).unwrap();
        thread::scope(|scope| {
            let putter = scope.spawn(|| queue.put_blocking(2));
            let joiner = scope.spawn(|| queue.join_blocking());
            until(|| queue.stats().putters == 1);
            assert_eq!(queue.get_blocking(), Ok(1));
            assert_eq!(putter.join().unwrap(), Ok(()));
            assert_eq!(queue.get_blocking(), Ok(2));
            queue.task_done();
            assert!(!joiner.is_finished());
            queue.task_done();
            joiner.join().unwrap();
        });
        queue.join_blocking();
    }

    close_ends_what_blocks: Queue => {
        let (empty, full) = (Queue::<u32>::unbounded(), Queue::bounded(1));
        full.put_blocking(1).unwrap();
        thread::scope(|scope| {
            let getters = [
                scope.spawn(|| empty.get_blocking().map_err(|GetError| TryGetError::Closed)),
                scope.spawn(|| empty.get_timeout(Duration::MAX)),
            ];
            let putters = [
                scope.spawn(|| full.put_blocking(2).map_err(|PutError(item)| TryPutError::Closed(item))),
                scope.spawn(|| full.put_timeout(2, Duration::MAX)),
            ];
            until(|| empty.stats().getters == 2 && full.stats().putters == 2);
            empty.close();
            full.close();
            for getter in getters {
                assert_eq!(getter.join().unwrap(), Err(TryGetError::Closed));
            }
            for putter in putters {
                assert_eq!(putter.join().unwrap(), Err(TryPutError::Closed(2)));
            }
        });
        assert_eq!(empty.get_blocking(), Err(GetError));
        assert_eq!(empty.get_timeout(SHORT), Err(TryGetError::Closed));
        assert_eq!(full.put_blocking(3), Err(PutError(3)));
        assert_eq!(full.put_timeout(3, SHORT), Err(TryPutError::Closed(3)));
        assert_eq!(full.get_timeout(SHORT), Ok(1), "what was in it can still be got");
    }

    a_timeout_gives_up_and_leaves_nothing_behind: Queue => {
        let queue = Queue::bounded(1);
        assert_eq!(queue.get_timeout(SHORT), Err(TryGetError::Empty));
        assert_eq!(queue.get_timeout(Duration::ZERO), Err(TryGetError::Empty));
        assert_eq!(queue.put_timeout(1, SHORT), Ok(()));
        assert_eq!(queue.put_timeout(2, SHORT), Err(TryPutError::Full(2)));
        assert_eq!(queue.put_timeout(2, Duration::ZERO), Err(TryPutError::Full(2)));
        assert_eq!((queue.stats().getters, queue.stats().putters), (0, 0));
        assert_eq!(queue.get_timeout(SHORT), Ok(1));
        assert_eq!(queue.try_put(3), Ok(()), "no room is promised");
        assert_eq!(queue.try_get(), Ok(3), "no item is");
    }

    // Items put while getters give up, and room made while putters do.
    timeouts_that_race_with_what_they_wait_for_lose_nothing: Queue => {
        const ROUNDS: u32 = 300;
        let queue = Queue::bounded(1);
        let (put, got) = thread::scope(|scope| {
            let putters: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        (0..ROUNDS).filter(|&n| queue.put_timeout(n, SHORT / 20).is_ok()).map(u64::from).sum::<u64>()
                    })
                })
                .collect();
            let getters: Vec<_> = (0..2)
                .map(|_| {
                    scope.spawn(|| {
                        (0..ROUNDS).filter_map(|_| queue.get_timeout(SHORT / 20).ok()).map(u64::from).sum::<u64>()
                    })
                })
                .collect();
            let sum = |threads: Vec<thread::ScopedJoinHandle<'_, u64>>| {
                threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
            };
            (sum(putters), sum(getters))
        });
        let left = queue.try_get().map_or(0, u64::from);
        assert_eq!(put, got + left);
        assert_eq!((queue.stats().getters, queue.stats().putters), (0, 0));
        assert_eq!(queue.try_put(1), Ok(()), "no room is promised to one that gave up");
    }
}
