//! Ending tasks here and now: when the call returns, their futures are gone.
//!
//! Structured concurrency rests on this: what leaves a group of tasks behind, also by being dropped, goes on only
//! when none of them is alive. A task that nothing polls is dropped on the calling thread. One that another worker
//! polls ends with that poll, and is waited for, with this thread's worker left to another thread meanwhile.
//!
//! **Alternative:** to ask the tasks to end, and go on. Then a task may still use for a while what its parent has
//! given back already. Or to await the ends: what is being dropped cannot await.

use crate::engine::{
    base::{this_poll, user_code},
    current,
    task::{join::JoinHandle, reach::Ending},
    waiting::thread::park_until,
};

/// Cancels these tasks, and returns when their futures have been dropped. Outcomes that come yet are lost; a panic
/// among them is reported.
///
/// Not waited for is a task that this very thread polls: that is, if this is called inside the task, in which case it
/// ends when its poll does.
pub(crate) fn end_now<T>(tasks: Vec<JoinHandle<T>>) {
    // ANCHOR: end_now
    // All are asked before any is waited for.
    let mut polled = tasks;
    let is_elsewhere = |task: &mut JoinHandle<T>| task.end() == Ending::Elsewhere;
    polled.retain_mut(is_elsewhere);
    if polled.is_empty() {
        return;
    }
    // Their loop may be one of this thread that does not turn now.
    for event_loop in current::loops_of_this_thread() {
        let _entered = current::enter(event_loop);
        polled.retain_mut(is_elsewhere);
    }
    if polled.is_empty() {
        return;
    }
    // END: end_now
    let _left = current::hand_off_worker();
    this_poll::blocked(|| {
        for task in polled {
            if let Err(error) = park_until(task)
                && error.is_panic()
            {
                user_code::say(format_args!("{error}; nobody awaits it"));
            }
        }
    });
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::{
        future::{pending, poll_fn},
        sync::{Arc, Mutex, mpsc},
        task::Poll,
        thread,
        time::Duration,
    };

    use super::*;
    use crate::{
        EventLoop, Runtime, spawn, spawn_local,
        task::{self, yield_now},
    };

    /// Says that it was dropped, and by which task.
    struct Drops(mpsc::Sender<Option<task::TaskId>>);

    impl Drop for Drops {
        fn drop(&mut self) {
            self.0.send(task::try_id()).unwrap();
        }
    }

    fn witness() -> (Drops, mpsc::Receiver<Option<task::TaskId>>) {
        let (tell, told) = mpsc::channel();
        (Drops(tell), told)
    }

    fn on_each(behaviour: fn() -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>>) {
        EventLoop::new().unwrap().block_on(async { spawn(behaviour()).await.unwrap() });
        for workers in [1, 4] {
            let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
            runtime.block_on(async { spawn(behaviour()).await.unwrap() });
        }
    }

    #[test]
    fn a_task_that_waits_is_gone_when_the_call_returns_and_dropped_as_itself() {
        on_each(|| {
            Box::pin(async {
                let (drops, dropped) = witness();
                let (tell, told) = mpsc::channel();
                let child = spawn(async move {
                    let _drops = drops;
                    tell.send(()).unwrap();
                    pending::<()>().await;
                });
                while told.try_recv().is_err() {
                    yield_now().await;
                }
                let id = child.id();
                end_now(vec![child]);
                assert_eq!(dropped.try_recv(), Ok(Some(id)));
            })
        });
    }

    #[test]
    fn a_task_that_stands_in_a_run_queue_is_gone_too_and_its_slot_serves_others() {
        on_each(|| {
            Box::pin(async {
                for _ in 0..100 {
                    let (drops, dropped) = witness();
                    let child = spawn(async move {
                        yield_now().await;
                        drop(drops);
                    });
                    end_now(vec![child]);
                    assert!(dropped.try_recv().is_ok());
                    assert_eq!(spawn(async { 7 }).await.unwrap(), 7);
                }
            })
        });
    }

    #[test]
    fn a_task_in_a_long_poll_on_another_worker_is_waited_for() {
        for workers in [1, 2, 4] {
            let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
            runtime.block_on(async {
                let parent = spawn(async {
                    let (drops, dropped) = witness();
                    let (tell, told) = mpsc::channel();
                    let child = spawn(async move {
                        let _drops = drops;
                        poll_fn(|_| {
                            tell.send(()).unwrap();
                            thread::sleep(Duration::from_millis(30));
                            Poll::<()>::Pending
                        })
                        .await;
                    });
                    task::block_in_place(|| told.recv().unwrap());
                    end_now(vec![child]);
                    assert!(dropped.try_recv().is_ok());
                });
                parent.await.unwrap();
            });
        }
    }

    #[test]
    fn a_task_that_ends_itself_is_not_waited_for() {
        on_each(|| {
            Box::pin(async {
                let (drops, dropped) = witness();
                let own = Arc::new(Mutex::new(None));
                let handle = own.clone();
                let child = spawn(async move {
                    let _drops = drops;
                    while handle.lock().unwrap().is_none() {
                        yield_now().await;
                    }
                    end_now(vec![handle.lock().unwrap().take().unwrap()]);
                    pending::<()>().await;
                });
                let cancel = child.cancel_handle();
                *own.lock().unwrap() = Some(child);
                while !cancel.is_finished() {
                    yield_now().await;
                }
                assert!(dropped.try_recv().is_ok());
            })
        });
    }

    #[test]
    fn what_the_drop_does_is_as_in_any_other_end() {
        struct Nested(Option<task::JoinHandle<()>>);
        impl Drop for Nested {
            fn drop(&mut self) {
                end_now(self.0.take().into_iter().collect());
                drop(spawn_local(async {}));
            }
        }
        crate::run(async {
            let (drops, dropped) = witness();
            let inner = spawn_local(async move {
                let _drops = drops;
                pending::<()>().await
            });
            let nested = Nested(Some(inner));
            let outer = spawn_local(async move {
                let _nested = nested;
                panic_if_polled_again().await;
            });
            yield_now().await;
            assert!(!outer.is_finished(), "it was polled once");
            end_now(vec![outer]);
            assert!(dropped.try_recv().is_ok());
            let stats = crate::Handle::current().stats().expect("of an event loop");
            assert_eq!(stats.ended, 2, "both count");
            yield_now().await;
        });
    }

    /// Stands in the run queue after its first poll, and must not have a second.
    async fn panic_if_polled_again() {
        let mut polled = false;
        poll_fn(|cx| {
            assert!(!polled, "it was ended");
            polled = true;
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        })
        .await;
    }
}
