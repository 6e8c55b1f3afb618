//! Scopes: no child outlives its scope, in whichever way that is left.
//!
//! The children of these tests are of every kind (`Children::spawn`): one that waits, one that stands in a run queue,
//! one in a long poll, one with a scope of its own, one that spawns siblings. Each holds a guard, and the line after the
//! scope counts the guards that are left.

use std::{
    convert::Infallible,
    error::Error,
    future::{Future, pending, poll_fn},
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    thread,
    time::Duration,
};

use futures_lite::FutureExt;
use whirligig::{
    EventLoop, Runtime,
    queue::Queue,
    spawn,
    task::{self, ErrorGroup, Failure, Scope, block_in_place, yield_now},
    time,
};

use crate::on_each_variant;

/// Counts the children whose futures are there.
#[derive(Debug, Clone, Default)]
struct Children {
    alive: Arc<AtomicUsize>,
    begun: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// A poll of this length is in nobody's interest.
const LONG: Duration = Duration::from_millis(20);

impl Children {
    fn guard(&self) -> Guard {
        self.alive.fetch_add(1, SeqCst);
        Guard(self.alive.clone())
    }

    #[track_caller]
    fn assert_gone(&self) {
        assert_eq!(self.alive.load(SeqCst), 0, "children are alive");
    }

    fn begin(&self) {
        self.begun.fetch_add(1, SeqCst);
    }

    /// Spawns children of every kind that do not end by themselves, and gives back when all have begun. One of them is
    /// in a long poll then, if there is another worker for it.
    async fn spawn<E: Send + 'static>(&self, scope: &Scope<E>) {
        let (this, guard) = (self.clone(), self.guard());
        scope.spawn(async move {
            let _guard = guard;
            this.begin();
            pending::<()>().await;
        });
        let (this, guard) = (self.clone(), self.guard());
        scope.spawn(async move {
            let _guard = guard;
            this.begin();
            loop {
                yield_now().await;
            }
        });
        let (this, guard) = (self.clone(), self.guard());
        scope.spawn(async move {
            let _guard = guard;
            let nested = task::scope(async |scope| {
                for _ in 0..2 {
                    let (this, guard) = (this.clone(), this.guard());
                    scope.spawn(async move {
                        let _guard = guard;
                        this.begin();
                        pending::<()>().await;
                    });
                }
                pending::<()>().await;
            });
            nested.await.unwrap();
        });
        let (this, guard, siblings) = (self.clone(), self.guard(), scope.clone());
        scope.spawn(async move {
            let _guard = guard;
            this.begin();
            loop {
                let guard = this.guard();
                siblings.spawn(async move {
                    let _guard = guard;
                    yield_now().await;
                });
                yield_now().await;
            }
        });
        let others = 5;
        while self.begun.load(SeqCst) < others {
            yield_now().await;
        }
        let (this, guard) = (self.clone(), self.guard());
        scope.spawn(async move {
            let _guard = guard;
            poll_fn(|_| {
                this.begin();
                thread::sleep(LONG);
                Poll::<()>::Pending
            })
            .await;
        });
        while self.begun.load(SeqCst) <= others {
            yield_now().await;
        }
    }
}

type Errors = ErrorGroup<&'static str>;

#[test]
fn at_the_normal_end_all_children_have_ended() {
    on_each_variant(|_| async {
        let children = Children::default();
        let sum = Arc::new(AtomicUsize::new(0));
        let value = task::scope(async |scope| {
            for n in 1..=10 {
                let (guard, sum, siblings) = (children.guard(), sum.clone(), scope.clone());
                scope.spawn(async move {
                    let _guard = guard;
                    yield_now().await;
                    siblings.spawn(async move {
                        yield_now().await;
                        sum.fetch_add(n, SeqCst);
                    });
                });
            }
            "done first".parse::<String>()
        });
        assert_eq!(value.await.unwrap(), "done first");
        children.assert_gone();
        assert_eq!(sum.load(SeqCst), 55, "those spawned by children too");
    });
}

#[test]
fn an_error_of_the_body_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let result: Result<(), Errors> = task::scope(async |scope| {
            children.spawn(&scope).await;
            Err("no")
        })
        .await;
        children.assert_gone();
        assert!(matches!(result.unwrap_err().into_first(), Failure::Error("no")));
    });
}

#[test]
fn an_error_of_a_child_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let body = children.guard();
        let result: Result<(), Errors> = task::scope(async |scope| {
            let _body = body;
            children.spawn(&scope).await;
            scope.spawn(async { Err::<(), _>("no") });
            pending::<Result<(), _>>().await
        })
        .await;
        children.assert_gone();
        let errors = result.unwrap_err();
        assert_eq!(errors.errors().collect::<Vec<_>>(), [&"no"]);
        assert_eq!(errors.len(), 1, "a cancelled sibling is no error: {errors:?}");
    });
}

#[test]
fn a_panic_of_a_child_ends_all_and_is_told_as_such() {
    on_each_variant(|_| async {
        let children = Children::default();
        let result = task::scope(async |scope| {
            children.spawn(&scope).await;
            let careless = scope.builder().name("careless").spawn(async {
                panic!("no");
                #[allow(unreachable_code)]
                Ok(7)
            });
            let never: i32 = careless.await;
            Err(format!("there is no {never}"))?;
            Ok::<(), String>(())
        })
        .await;
        children.assert_gone();
        let errors = result.unwrap_err();
        let text = errors.to_string();
        assert!(text.contains("'careless'") && text.contains("panicked: no"), "{text}");
        assert_eq!(errors.source().unwrap().to_string(), text, "the first is the source");
        let Failure::Panic(error) = errors.into_first() else { panic!("it is a panic") };
        assert_eq!(error.try_into_panic().unwrap().downcast_ref(), Some(&"no"));
    });
}

#[test]
fn a_panic_of_the_body_ends_all_and_goes_on() {
    on_each_variant(|_| async {
        let children = Children::default();
        let scope = task::scope(async |scope| {
            children.spawn(&scope).await;
            panic!("no");
        });
        let mut scope = pin!(scope);
        let result = poll_fn(|cx| {
            let poll = AssertUnwindSafe(|| scope.as_mut().poll(cx));
            match std::panic::catch_unwind(poll) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(result)) => Poll::Ready(Ok(result)),
                Err(payload) => Poll::Ready(Err(payload)),
            }
        })
        .await;
        children.assert_gone();
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&"no"));
    });
}

#[test]
fn cancel_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let result: Result<(), Errors> = task::scope(async |scope| {
            children.spawn(&scope).await;
            let cancels = scope.clone();
            scope.spawn(async move { cancels.cancel() });
            pending::<Result<(), _>>().await
        })
        .await;
        children.assert_gone();
        assert!(result.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_body_that_cancels_as_its_last_act_keeps_its_value() {
    on_each_variant(|_| async {
        let children = Children::default();
        let value = task::scope(async |scope| {
            children.spawn(&scope).await;
            scope.cancel();
            Ok::<_, Infallible>(42)
        })
        .await;
        children.assert_gone();
        assert_eq!(value.unwrap(), 42);
    });
}

#[test]
fn a_deadline_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let body = async |scope: Scope<&'static str>| -> Result<(), _> {
            children.spawn(&scope).await;
            pending().await
        };
        let moved_on = task::scope(body).move_on_after(Duration::from_millis(30)).await;
        children.assert_gone();
        assert!(moved_on.unwrap().is_none());
        let failed = task::scope(body).fail_after(Duration::from_millis(30)).await;
        children.assert_gone();
        assert!(failed.unwrap_err().is_timed_out());
        // By now all have begun that ever do, and the deadline may pass before any does.
        let failed = task::scope(body).fail_at(time::Instant::now()).await;
        children.assert_gone();
        assert!(failed.unwrap_err().is_timed_out());
    });
}

#[test]
fn a_deadline_that_does_not_pass_changes_nothing() {
    on_each_variant(|_| async {
        let long = Duration::from_secs(1_000);
        let value = task::scope(async |scope| {
            let child = scope.spawn(async { Ok(7) });
            Ok::<_, Infallible>(child.await)
        });
        assert_eq!(value.move_on_after(long).await.unwrap(), Some(7));
        let errors: Result<Option<()>, Errors> =
            task::scope(async |_| Err("no")).move_on_after(long).await;
        assert!(matches!(errors.unwrap_err().first(), Failure::Error("no")));
    });
}

#[test]
fn of_two_deadlines_the_earlier_counts() {
    on_each_variant(|_| async {
        let long = Duration::from_secs(1_000);
        let never = async |_: Scope<Infallible>| pending::<()>().await;
        let short = Duration::from_millis(1);
        assert!(task::scope(never).fail_after(long).fail_after(short).await.is_err());
        assert!(task::scope(never).fail_after(short).fail_after(long).await.is_err());
    });
}

#[test]
fn a_timeout_around_it_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let scope = task::scope(async |scope: Scope<&'static str>| {
            children.spawn(&scope).await;
            pending::<Result<(), _>>().await
        });
        let result = time::timeout(Duration::from_millis(30), scope).await;
        children.assert_gone();
        assert!(result.is_err());
    });
}

#[test]
fn dropped_in_a_race_it_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let begun = Arc::new(Queue::unbounded());
        let scope = task::scope(async |scope: Scope<&'static str>| {
            children.spawn(&scope).await;
            begun.try_put(()).unwrap();
            pending::<Result<(), _>>().await
        });
        let first = async {
            begun.get().await.unwrap();
            Ok(())
        };
        scope.or(first).await.unwrap();
        children.assert_gone();
    });
}

#[test]
fn cancelled_with_its_task_it_ends_all() {
    on_each_variant(|_| async {
        let children = Children::default();
        let begun = Arc::new(Queue::unbounded());
        let parent = spawn({
            let (children, begun) = (children.clone(), begun.clone());
            async move {
                let scope = task::scope(async |scope: Scope<&'static str>| {
                    children.spawn(&scope).await;
                    begun.try_put(()).unwrap();
                    pending::<Result<(), _>>().await
                });
                scope.await.unwrap();
            }
        });
        begun.get().await.unwrap();
        parent.cancel();
        assert!(parent.await.unwrap_err().is_cancelled());
        children.assert_gone();
    });
}

#[test]
fn an_outer_scope_ends_the_inner_ones_body_and_children() {
    on_each_variant(|_| async {
        let children = Children::default();
        let result: Result<(), Errors> = task::scope(async |outer| {
            let failing = outer.clone();
            task::scope(async |inner: Scope<&'static str>| {
                children.spawn(&inner).await;
                failing.spawn(async { Err::<(), _>("no") });
                pending::<Result<(), _>>().await
            })
            .await
            .map_err(|errors| errors.into_first().into_error().unwrap_or("another"))
        })
        .await;
        children.assert_gone();
        assert_eq!(result.unwrap_err().errors().collect::<Vec<_>>(), [&"no"]);
    });
}

#[test]
fn an_inner_deadline_leaves_the_outer_scope_alone() {
    on_each_variant(|_| async {
        let children = Children::default();
        let value = task::scope(async |outer| {
            let answer = outer.spawn(async {
                time::sleep(Duration::from_millis(40)).await;
                Ok(42)
            });
            let inner = task::scope(async |inner: Scope<Infallible>| {
                children.spawn(&inner).await;
                pending::<()>().await;
            });
            assert!(inner.move_on_after(Duration::from_millis(30)).await.unwrap().is_none());
            children.assert_gone();
            Ok::<_, Infallible>(answer.await)
        })
        .await;
        assert_eq!(value.unwrap(), 42);
    });
}

#[test]
fn a_shutdown_ends_all() {
    let _watchdog = crate::watchdog::Watchdog::new("a shutdown with scopes");
    let program = |children: Children, begun: Arc<Queue<()>>| async move {
        task::scope(async |scope: Scope<Infallible>| {
            children.spawn(&scope).await;
            begun.try_put(()).unwrap();
            pending::<()>().await;
        })
        .await
        .unwrap();
    };
    for workers in [0, 1, 4] {
        for _ in 0..5 {
            let children = Children::default();
            let begun = Arc::new(Queue::unbounded());
            let parent = program(children.clone(), begun.clone());
            if workers == 0 {
                let event_loop = EventLoop::new().unwrap();
                let _parent = event_loop.handle().spawn(parent);
                event_loop.block_on(begun.get()).unwrap();
                drop(event_loop);
            } else {
                let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
                let _parent = runtime.spawn(parent);
                runtime.block_on(begun.get()).unwrap();
                drop(runtime);
            }
            children.assert_gone();
        }
    }
}

#[test]
fn the_future_of_block_on_may_have_a_scope() {
    let _watchdog = crate::watchdog::Watchdog::new("a scope in a root future");
    let children = Children::default();
    let program = async || {
        let scope = task::scope(async |scope: Scope<Infallible>| {
            children.spawn(&scope).await;
            pending::<()>().await;
        });
        assert!(time::timeout(Duration::from_millis(30), scope).await.is_err());
        children.assert_gone();
    };
    EventLoop::new().unwrap().block_on(program());
    for workers in [1, 4] {
        children.begun.store(0, SeqCst);
        let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
        runtime.block_on(program());
    }
}

#[test]
fn all_errors_are_told_in_the_order_in_which_they_came() {
    on_each_variant(|_| async {
        /// Fails when it is cancelled.
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("in a drop");
            }
        }
        let result: Result<(), Errors> = task::scope(async |scope| {
            let panics = Panics;
            scope.spawn(async move {
                let _panics = panics;
                pending::<()>().await;
            });
            yield_now().await;
            Err("first")
        })
        .await;
        let errors = result.unwrap_err();
        assert_eq!(errors.len(), 2, "{errors:?}");
        let mut errors = errors.into_iter();
        assert!(matches!(errors.next(), Some(Failure::Error("first"))));
        let Some(Failure::Panic(error)) = errors.next() else { panic!("it is a panic") };
        assert!(error.to_string().contains("in a drop"));
    });
}

#[test]
fn values_come_from_handles_also_between_siblings() {
    on_each_variant(|_| async {
        let sum = task::scope(async |scope| {
            let one = scope.spawn(async {
                yield_now().await;
                Ok(1)
            });
            let two = scope.spawn(async move { Ok(one.await + 1) });
            let text = scope.spawn(async { "40".parse::<i32>() });
            Ok(two.await + text.await)
        });
        assert_eq!(sum.await.unwrap(), 42);
    });
}

#[test]
fn one_child_is_cancelled_alone() {
    on_each_variant(|_| async {
        let children = Children::default();
        let value = task::scope(async |scope| {
            let guard = children.guard();
            let stuck = scope.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            let goes_on = scope.spawn(async {
                time::sleep(Duration::from_millis(2)).await;
                Ok(7)
            });
            yield_now().await;
            stuck.cancel();
            let ended = scope.spawn(async {});
            while !ended.is_finished() {
                yield_now().await;
            }
            // The number of this one served another before.
            ended.cancel();
            let fresh = scope.spawn(async { Ok(1) });
            while children.alive.load(SeqCst) > 0 {
                yield_now().await;
            }
            Ok::<_, Infallible>(goes_on.await + fresh.await)
        });
        assert_eq!(value.await.unwrap(), 8);
    });
}

#[test]
fn a_value_is_there_after_the_scope_too() {
    on_each_variant(|_| async {
        let child = task::scope(async |scope| Ok::<_, Infallible>(scope.spawn(async { Ok(7) })));
        assert_eq!(child.await.unwrap().await, 7);
    });
}

#[test]
fn a_child_awaited_from_outside_tells_that_it_has_no_value() {
    on_each_variant(|_| async {
        let handles = Arc::new(Queue::unbounded());
        let outside = spawn({
            let handles = handles.clone();
            async move {
                let child: task::Child<()> = handles.get().await.unwrap();
                child.await
            }
        });
        let result: Result<(), Errors> = task::scope(async |scope| {
            handles.try_put(scope.spawn(pending::<()>())).unwrap();
            time::sleep(Duration::from_millis(1)).await;
            Err("no")
        })
        .await;
        assert!(result.is_err());
        let error = outside.await.unwrap_err();
        assert!(error.to_string().contains("outside of its scope"), "{error}");
    });
}

#[test]
fn a_scope_that_is_cancelled_begins_no_child_and_one_that_was_left_refuses() {
    on_each_variant(|_| async {
        let kept = Arc::new(Mutex::new(None));
        let begun = Arc::new(AtomicUsize::new(0));
        let result: Result<(), Errors> = task::scope(async |scope| {
            let (late, count) = (scope.clone(), begun.clone());
            struct SpawnsInItsDrop(Scope<&'static str>, Arc<AtomicUsize>);
            impl Drop for SpawnsInItsDrop {
                fn drop(&mut self) {
                    let begun = self.1.clone();
                    self.0.spawn(async move {
                        begun.fetch_add(1, SeqCst);
                    });
                }
            }
            let spawns = SpawnsInItsDrop(late, count);
            scope.spawn(async move {
                let _spawns = spawns;
                pending::<()>().await;
            });
            *kept.lock().unwrap() = Some(scope.clone());
            yield_now().await;
            Err("no")
        })
        .await;
        assert!(result.is_err());
        assert_eq!(begun.load(SeqCst), 0, "it was cancelled");
        let scope = kept.lock().unwrap().take().unwrap();
        let refused = std::panic::catch_unwind(|| drop(scope.spawn(async {})));
        let payload = refused.unwrap_err();
        assert!(payload.downcast_ref::<&str>().unwrap().contains("after it was left"));
    });
}

#[test]
fn a_boxed_error_and_a_question_mark() {
    type Boxed = Box<dyn Error + Send + Sync>;
    on_each_variant(|_| async {
        async fn program() -> Result<i32, Boxed> {
            let sum = task::scope(async |scope| {
                let one = scope.spawn(async { Ok("1".parse::<i32>()?) });
                let two = scope.spawn(async { Ok("two".parse::<i32>()?) });
                Ok::<_, Boxed>(one.await + two.await)
            })
            .await?;
            Ok(sum)
        }
        let error = program().await.unwrap_err();
        assert!(error.to_string().contains("invalid digit"), "{error}");
        assert!(error.downcast_ref::<ErrorGroup<Boxed>>().is_some());
    });
}

#[test]
fn a_scope_that_is_never_polled_leaves_nothing() {
    on_each_variant(|_| async {
        let children = Children::default();
        let scope = task::scope(|scope: Scope<Infallible>| {
            let guard = children.guard();
            scope.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
            pending::<()>()
        });
        drop(scope);
        children.assert_gone();
    });
}

#[test]
fn a_scope_gives_way_to_others() {
    on_each_variant(|_| async {
        let ended = Arc::new(AtomicUsize::new(0));
        let other = spawn({
            let ended = ended.clone();
            async move {
                ended.store(1, SeqCst);
            }
        });
        while ended.load(SeqCst) == 0 {
            task::scope(async |_| {}).await.unwrap();
        }
        other.await.unwrap();
    });
}

/// A child that another worker polls while the scope is dropped spawns a sibling: that one is ended too.
#[test]
fn a_sibling_spawned_while_the_scope_is_dropped_is_ended() {
    let _watchdog = crate::watchdog::Watchdog::new("a spawn in a scope that is being dropped");
    let runtime = Runtime::builder().worker_threads(4).build().unwrap();
    runtime.block_on(async {
        for _ in 0..20 {
            let children = Children::default();
            let parent = spawn({
                let children = children.clone();
                async move {
                    let (tell, told) = std::sync::mpsc::channel();
                    let scope = task::scope(|scope: Scope<Infallible>| {
                        let (siblings, this) = (scope.clone(), children.clone());
                        let guard = children.guard();
                        scope.spawn(async move {
                            let _guard = guard;
                            tell.send(()).unwrap();
                            for _ in 0..100 {
                                thread::sleep(Duration::from_micros(50));
                                let guard = this.guard();
                                siblings.spawn(async move {
                                    let _guard = guard;
                                    pending::<()>().await;
                                });
                            }
                        });
                        pending::<()>()
                    });
                    block_in_place(|| told.recv().unwrap());
                    drop(scope);
                    children.assert_gone();
                }
            });
            parent.await.unwrap();
        }
    });
}

#[test]
fn on_the_event_loop_values_and_errors_need_not_be_send() {
    use std::rc::Rc;

    whirligig::run(async {
        let value = task::scope(async |scope| {
            let child = scope.spawn_local(async { Ok(Rc::new(7)) });
            scope.builder().name("local").spawn_local(async {
                yield_now().await;
                Err::<(), _>(Rc::new("no"))
            });
            assert_eq!(*child.await, 7);
            pending::<Result<(), Rc<&str>>>().await
        });
        assert_eq!(**value.await.unwrap_err().errors().next().unwrap(), "no");
    });
}

#[test]
fn a_scope_may_be_dropped_outside_of_its_loop() {
    let _watchdog = crate::watchdog::Watchdog::new("a scope that is dropped outside of its loop");
    let children = Children::default();
    let event_loop = EventLoop::new().unwrap();
    let mut scope = Box::pin(task::scope(async |scope: Scope<Infallible>| {
        children.spawn(&scope).await;
        pending::<()>().await;
    }));
    event_loop.block_on(async {
        for _ in 0..100 {
            assert!(futures_lite::future::poll_once(&mut scope).await.is_none());
            yield_now().await;
        }
    });
    drop(scope);
    children.assert_gone();
}
