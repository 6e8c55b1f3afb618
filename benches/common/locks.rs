//! Mutex and semaphore, uncontended and contended: the same programs with each library's locks.
//!
//! - *uncontended*: one task locks and unlocks, `ALONE` times. What is measured is two atomic steps and what stands
//!   around them.
//! - *contended*: `TASKS` tasks lock `EACH` times, and give way once while they hold the lock. So nearly every
//!   acquisition waits in line and is handed over, and so do those of the semaphore, which has half as many permits as
//!   there are tasks.
//! - *short*, for several workers: nothing is awaited while the lock is held, and tasks of two threads meet at it.
//!
//! A lock needs no runtime of its own library. So beside each library's locks on its own runtime, tokio's and
//! async-lock's are measured on ours: there the lock alone differs. Called by `benches/sync_locks.rs`.

use std::sync::Arc;

/// Acquisitions of one task alone, in one run.
pub(crate) const ALONE: u64 = 1_000;
/// Tasks that contend.
pub(crate) const TASKS: usize = 8;
/// Acquisitions of each.
const EACH: u64 = 250;
/// Acquisitions of all of them, in one run.
pub(crate) const TOGETHER: u64 = TASKS as u64 * EACH;

/// The programs, with these locks, on the runtime that this `spawn` is of.
macro_rules! programs {
    ($module:ident, $locks:ident, $runtime:ident, |$semaphore:ident| $acquire:expr) => {
        pub(crate) mod $module {
            use super::{ALONE, Arc, EACH, TASKS, TOGETHER, $locks as locks, $runtime as runtime};

            pub(crate) async fn uncontended_mutex() {
                let task = runtime::spawn(async {
                    let count = locks::Mutex::new(0);
                    for _ in 0..ALONE {
                        *count.lock().await += 1;
                    }
                    count.into_inner()
                });
                assert_eq!(task.await.expect("the task ends well"), ALONE);
            }

            pub(crate) async fn uncontended_semaphore() {
                let task = runtime::spawn(async {
                    let $semaphore = locks::Semaphore::new(1);
                    let mut count = 0;
                    for _ in 0..ALONE {
                        let _permit = $acquire;
                        count += 1;
                    }
                    count
                });
                assert_eq!(task.await.expect("the task ends well"), ALONE);
            }

            pub(crate) async fn contended_mutex() {
                let count = Arc::new(locks::Mutex::new(0));
                let tasks = [(); TASKS].map(|()| {
                    let count = count.clone();
                    runtime::spawn(async move {
                        for _ in 0..EACH {
                            let mut count = count.lock().await;
                            runtime::yield_now().await;
                            *count += 1;
                        }
                    })
                });
                for task in tasks {
                    task.await.expect("the task ends well");
                }
                assert_eq!(*count.lock().await, TOGETHER);
            }

            pub(crate) async fn short_mutex() {
                let count = Arc::new(locks::Mutex::new(0));
                let tasks = [(); TASKS].map(|()| {
                    let count = count.clone();
                    runtime::spawn(async move {
                        for _ in 0..EACH {
                            *count.lock().await += 1;
                        }
                    })
                });
                for task in tasks {
                    task.await.expect("the task ends well");
                }
                assert_eq!(*count.lock().await, TOGETHER);
            }

            pub(crate) async fn contended_semaphore() {
                let $semaphore = Arc::new(locks::Semaphore::new(TASKS / 2));
                let tasks = [(); TASKS].map(|()| {
                    let $semaphore = $semaphore.clone();
                    runtime::spawn(async move {
                        let mut count = 0;
                        for _ in 0..EACH {
                            let _permit = $acquire;
                            runtime::yield_now().await;
                            count += 1;
                        }
                        count
                    })
                });
                let mut count = 0;
                for task in tasks {
                    count += task.await.expect("the task ends well");
                }
                assert_eq!(count, TOGETHER);
            }
        }
    };
}

mod our_locks {
    pub(crate) use whirligig::sync::{Mutex, Semaphore};
}

mod our_runtime {
    pub(crate) use whirligig::{spawn, task::yield_now};
}

mod tokio_locks {
    pub(crate) use tokio::sync::{Mutex, Semaphore};
}

mod async_locks {
    pub(crate) use async_lock::{Mutex, Semaphore};
}

mod tokio_runtime {
    pub(crate) use tokio::{spawn, task::yield_now};
}

programs!(ours, our_locks, our_runtime, |it| it.acquire().await.expect("it stays open"));
programs!(tokio, tokio_locks, tokio_runtime, |it| it.acquire().await.expect("it stays open"));
programs!(tokio_on_ours, tokio_locks, our_runtime, |it| it.acquire().await.expect("it stays open"));
programs!(async_lock_on_ours, async_locks, our_runtime, |it| it.acquire().await);
