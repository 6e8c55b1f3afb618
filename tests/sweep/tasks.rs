//! Handles, groups, and many futures at once.

use std::time::Duration;

use whirligig::{
    spawn,
    task::{self, TaskGroup, WaitFor, yield_now},
};

use crate::{pause, sweep};

#[test]
fn a_turn_given_up() {
    sweep(|cut| async move {
        let other = spawn(pause());
        let ended = cut.run(pause()).await.is_some();
        other.await.unwrap();
        ended
    });
}

#[test]
fn a_handle() {
    sweep(|cut| async move {
        let mut task = spawn(async {
            pause().await;
            7
        });
        let ended = cut.run(&mut task).await;
        match ended {
            Some(outcome) => {
                assert_eq!(outcome.unwrap(), 7);
                true
            }
            None => {
                assert_eq!(task.await.unwrap(), 7, "it was not lost");
                false
            }
        }
    });
}

#[test]
fn a_blocking_call() {
    sweep(|cut| async move {
        let (go, gone) = std::sync::mpsc::channel::<()>();
        let mut call = task::spawn_blocking(move || {
            let _ = gone.recv();
            7
        });
        let other = spawn(async move {
            pause().await;
            drop(go);
        });
        let ended = cut.run(&mut call).await;
        other.await.unwrap();
        match ended {
            Some(outcome) => assert_eq!(outcome.unwrap(), 7),
            None => {
                assert_eq!(call.await.unwrap(), 7);
                return false;
            }
        }
        true
    });
}

async fn slow(n: u32) -> u32 {
    for _ in 0..n {
        yield_now().await;
    }
    n
}

#[test]
fn a_group() {
    sweep(|cut| async move {
        let mut group = TaskGroup::new();
        for n in [3, 1, 2] {
            group.spawn(slow(n));
        }
        let mut got = Vec::new();
        let ended = cut.run(async {
            while let Some(outcome) = group.next().await {
                got.push(outcome.unwrap());
            }
        });
        let ended = ended.await.is_some();
        got.extend(group.wait().await.into_iter().map(Result::unwrap));
        got.sort_unstable();
        assert_eq!(got, [1, 2, 3], "each outcome once");
        ended
    });
}

#[test]
fn a_group_that_goes_with_the_program() {
    sweep(|cut| async move {
        let program = async {
            let mut group = TaskGroup::new();
            for _ in 0..3 {
                group.spawn(std::future::pending::<()>());
            }
            pause().await;
        };
        cut.run(program).await.is_some()
    });
}

#[test]
fn many_at_once() {
    sweep(|cut| async move {
        let program = async {
            let spawned = || [3, 1, 2].map(|n| spawn(slow(n)));
            assert_eq!(task::gather([3, 1, 2].map(slow)).await, [3, 1, 2]);
            assert_eq!(task::gather(spawned()).await.len(), 3);
            let mut ended = task::as_completed([3, 1, 2].map(slow));
            while ended.next().await.is_some() {}
            let waited = task::wait(spawned(), WaitFor::FirstCompleted);
            let waited = waited.timeout(Duration::from_secs(1000)).await;
            assert!(!waited.done.is_empty());
            task::gather(waited.pending).await;
            assert_eq!(task::race([3, 1, 2].map(slow)).await, 1);
        };
        cut.run(program).await.is_some()
    });
}

#[test]
fn a_scope_and_what_is_in_it() {
    sweep(|cut| async move {
        let alive = std::sync::Arc::new(());
        let program = async {
            let outcome = task::scope(async |scope| {
                for n in [3, 1, 2] {
                    let alive = alive.clone();
                    scope.spawn(async move {
                        slow(n).await;
                        drop(alive);
                        Ok::<_, ()>(())
                    });
                }
                let inner = task::scope(async |scope| {
                    let alive = alive.clone();
                    scope.spawn(async move {
                        std::future::pending::<()>().await;
                        drop(alive);
                        Ok::<_, ()>(())
                    });
                    pause().await;
                    scope.cancel();
                    Ok::<_, ()>(())
                });
                inner.await.unwrap();
                Ok(())
            });
            outcome.await.unwrap();
        };
        let ended = cut.run(program).await.is_some();
        assert_eq!(std::sync::Arc::strong_count(&alive), 1, "a child is alive after its scope");
        ended
    });
}

#[test]
fn a_borrowing_scope() {
    sweep(|cut| async move {
        let numbers = [3, 1, 2];
        let program = async {
            let outcome = task::borrowing_scope(async |scope| {
                for n in &numbers {
                    scope.spawn(async move {
                        slow(*n).await;
                        Ok::<_, ()>(())
                    });
                }
                Ok(())
            });
            outcome.await.unwrap();
        };
        cut.run(program).await.is_some()
    });
}

#[test]
fn what_is_shielded_or_cleans_up_goes_on() {
    sweep(|cut| async move {
        let (tell, told) = std::sync::mpsc::channel();
        let cleans = tell.clone();
        let program = async {
            task::shield(async move {
                slow(3).await;
                tell.send("shielded").unwrap();
            })
            .await;
            task::with_cleanup(slow(2), async move {
                slow(2).await;
                cleans.send("cleaned up").unwrap();
            })
            .await;
        };
        let ended = cut.run(program).await.is_some();
        let mut said = Vec::new();
        // Both tasks go on alone, and the second may never have begun.
        for _ in 0..50 {
            yield_now().await;
            said.extend(told.try_iter());
        }
        assert!(!ended || said == ["shielded", "cleaned up"], "{said:?}");
        ended
    });
}
