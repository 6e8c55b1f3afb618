//! Groups of tasks.

use std::{
    collections::VecDeque,
    future::{pending, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_lite::{FutureExt, Stream, StreamExt};
use proptest::prelude::*;
use whirligig::{
    queue::Queue,
    task::{JoinError, TaskGroup, TaskId, yield_now},
    time,
};

use crate::{Variant, on_each_variant};

/// Counts its drop.
struct Dropped(Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn outcomes_come_in_the_order_in_which_children_end() {
    on_each_variant(|_| async {
        let mut group = TaskGroup::new();
        let gates: Vec<_> = (0..5).map(|_| Arc::new(Queue::<()>::unbounded())).collect();
        for (number, gate) in gates.iter().cloned().enumerate() {
            group.spawn(async move {
                gate.get().await.unwrap();
                number
            });
        }
        assert_eq!(group.len(), 5);
        for number in [3, 0, 4, 1, 2] {
            gates[number].try_put(()).unwrap();
            assert_eq!(group.next().await.unwrap().unwrap(), number);
        }
        assert!(group.is_empty());
        assert!(group.next().await.is_none(), "there are no children");
    });
}

#[test]
fn an_outcome_is_given_after_the_future_was_dropped() {
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut group = TaskGroup::new();
        for _ in 0..100 {
            let guard = Dropped(dropped.clone());
            group.spawn(async move {
                yield_now().await;
                let _guard = &guard;
            });
        }
        let mut seen = 0;
        while let Some(outcome) = group.next().await {
            outcome.unwrap();
            seen += 1;
            assert!(dropped.load(SeqCst) >= seen);
        }
        assert_eq!(seen, 100);
    });
}

#[test]
fn each_child_is_given_once() {
    on_each_variant(|_| async {
        const CHILDREN: usize = 2_000;
        let mut group = TaskGroup::new();
        let mut seen = vec![0; CHILDREN];
        for number in 0..CHILDREN {
            group.spawn(async move {
                if number % 3 == 0 {
                    yield_now().await;
                }
                number
            });
            if number % 7 == 0 {
                seen[group.next().await.unwrap().unwrap()] += 1;
            }
            while let Some(outcome) = group.try_next() {
                seen[outcome.unwrap()] += 1;
            }
        }
        for outcome in group.wait().await {
            seen[outcome.unwrap()] += 1;
        }
        assert_eq!(seen, vec![1; CHILDREN]);
        assert!(group.is_empty());
    });
}

#[test]
fn a_panic_and_a_cancellation_are_outcomes() {
    on_each_variant(|_| async {
        let mut group = TaskGroup::new();
        group.builder().name("careless").spawn(async { panic!("no") });
        let stuck = group.spawn(pending());
        let cancel = group.cancel_handle(stuck).expect("it is there");
        let error: JoinError = group.next().await.unwrap().unwrap_err();
        assert!(error.is_panic() && error.to_string().contains("'careless'"), "{error}");
        assert!(cancel.cancel());
        let error = group.next().await.unwrap().unwrap_err();
        assert!(error.is_cancelled());
        assert_eq!(error.id(), stuck);
        assert!(group.cancel_handle(stuck).is_none(), "its outcome was given");
    });
}

#[test]
fn cancel_and_wait_leave_nothing() {
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let mut group = TaskGroup::new();
        for _ in 0..50 {
            let guard = Dropped(dropped.clone());
            group.spawn(async move {
                let _guard = guard;
                pending::<()>().await;
            });
        }
        yield_now().await;
        group.cancel();
        let outcomes = group.wait().await;
        assert_eq!(dropped.load(SeqCst), 50, "all are gone");
        assert_eq!(outcomes.len(), 50);
        assert!(outcomes.into_iter().all(|outcome| outcome.unwrap_err().is_cancelled()));
    });
}

#[test]
fn a_dropped_group_cancels_its_children() {
    on_each_variant(|_| async {
        let gone = Arc::new(Queue::unbounded());
        struct Tells(Arc<Queue<u32>>, u32);
        impl Drop for Tells {
            fn drop(&mut self) {
                self.0.try_put(self.1).unwrap();
            }
        }
        let mut group = TaskGroup::new();
        for number in 0..10 {
            let tells = Tells(gone.clone(), number);
            group.spawn(async move {
                let _tells = tells;
                pending::<()>().await;
            });
        }
        drop(group);
        let mut seen = Vec::new();
        for _ in 0..10 {
            seen.push(gone.get().await.unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
    });
}

#[test]
fn detached_children_go_on() {
    on_each_variant(|_| async {
        let gate = Arc::new(Queue::<()>::unbounded());
        let done = Arc::new(Queue::unbounded());
        let mut group = TaskGroup::new();
        let (through, report) = (gate.clone(), done.clone());
        group.spawn(async move {
            through.get().await.unwrap();
            report.try_put("done").unwrap();
        });
        group.detach();
        assert!(group.is_empty());
        drop(group);
        gate.try_put(()).unwrap();
        assert_eq!(done.get().await, Ok("done"));
    });
}

#[test]
fn a_cancelled_next_and_wait_lose_nothing() {
    on_each_variant(|_| async {
        let gate = Arc::new(Queue::<()>::unbounded());
        let mut group = TaskGroup::new();
        for number in 0..20 {
            let gate = gate.clone();
            group.spawn(async move {
                gate.get().await.unwrap();
                number
            });
        }
        let mut seen = Vec::new();
        for _ in 0..20 {
            // Each is polled while it waits, and dropped when it may have been woken.
            assert!(poll_once(group.next()).await.is_none());
            assert!(poll_once(group.wait()).await.is_none_or(|all| all.is_empty()));
            gate.try_put(()).unwrap();
            seen.push(group.next().await.unwrap().unwrap());
        }
        seen.sort_unstable();
        assert_eq!(seen, (0..20).collect::<Vec<_>>());
    });
}

async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

#[test]
fn wait_is_woken_by_the_last() {
    on_each_variant(|_| async {
        let gate = Arc::new(Queue::<()>::unbounded());
        let mut group = TaskGroup::new();
        for _ in 0..100 {
            let gate = gate.clone();
            group.spawn(async move { gate.get().await.unwrap() });
        }
        let polls = Arc::new(AtomicUsize::new(0));
        let counted = {
            let polls = polls.clone();
            whirligig::spawn(async move {
                let mut wait = pin!(group.wait());
                let outcomes = poll_fn(|cx| {
                    polls.fetch_add(1, SeqCst);
                    wait.as_mut().poll(cx)
                });
                outcomes.await.len()
            })
        };
        while polls.load(SeqCst) == 0 {
            yield_now().await;
        }
        (0..100).for_each(|_| gate.try_put(()).unwrap());
        assert_eq!(counted.await.unwrap(), 100);
        assert_eq!(polls.load(SeqCst), 2, "once to begin, and once when all have ended");
    });
}

#[test]
fn a_group_is_a_stream() {
    on_each_variant(|_| async {
        let mut group = TaskGroup::new();
        for number in 0..10 {
            group.spawn(async move { number });
        }
        assert_eq!(group.size_hint(), (10, Some(10)));
        let mut all: Vec<i32> = (&mut group).map(|outcome| outcome.unwrap()).collect().await;
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<_>>());
        group.spawn(async { 10 });
        assert_eq!(group.next().await.unwrap().unwrap(), 10, "it goes on");
    });
}

#[test]
fn next_in_a_race_with_a_deadline_is_taken_up_again() {
    on_each_variant(|_| async {
        let gate = Arc::new(Queue::<()>::unbounded());
        let mut group = TaskGroup::new();
        let through = gate.clone();
        group.spawn(async move { through.get().await.unwrap() });
        let late = async {
            time::sleep(Duration::from_millis(1)).await;
            None
        };
        assert!(group.next().or(late).await.is_none());
        gate.try_put(()).unwrap();
        assert!(group.next().await.unwrap().is_ok());
    });
}

#[test]
fn children_of_a_runtime_that_has_shut_down_are_cancelled() {
    on_each_variant(|variant| async move {
        let Variant::Workers(workers) = variant else { return };
        let other = whirligig::Runtime::builder().worker_threads(workers).build().unwrap();
        let handle = other.handle();
        let mut group = TaskGroup::new();
        group.builder().spawn_on(&handle, pending::<()>());
        whirligig::task::spawn_blocking(move || drop(other)).await.unwrap();
        group.builder().spawn_on(&handle, async {});
        assert_eq!(group.len(), 2);
        for outcome in group.wait().await {
            assert!(outcome.unwrap_err().is_cancelled());
        }
    });
}

#[test]
fn a_child_that_is_not_send_runs_on_the_event_loop() {
    use std::{cell::Cell, rc::Rc};

    whirligig::run(async {
        let sum = Rc::new(Cell::new(0));
        let mut group = TaskGroup::new();
        for n in 1..=3 {
            let sum = sum.clone();
            group.spawn_local(async move {
                yield_now().await;
                sum.set(sum.get() + n);
                sum
            });
        }
        assert_eq!(group.wait().await.len(), 3);
        assert_eq!(sum.get(), 6);
        assert_eq!(Rc::strong_count(&sum), 1, "nothing of the children is left");
    });
}

#[test]
fn a_group_without_children_needs_no_runtime_and_does_not_wait() {
    let mut group = TaskGroup::<()>::new();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(pin!(group.next()).poll(&mut cx), Poll::Ready(None)));
    assert!(matches!(pin!(group.wait()).poll(&mut cx), Poll::Ready(all) if all.is_empty()));
    assert!(group.try_next().is_none());
    let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| group.spawn(async {})));
    assert!(refused.is_err(), "no runtime runs this thread");
    assert!(group.is_empty());
    let outcomes = whirligig::run(async move {
        group.spawn(async {});
        group.wait().await
    });
    assert_eq!(outcomes.len(), 1, "the refused one is not among them");
}

#[test]
fn an_output_that_panics_in_its_drop_harms_nothing() {
    struct Bad(Arc<Mutex<u32>>);
    impl Drop for Bad {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
            panic!("in a drop");
        }
    }
    on_each_variant(|_| async {
        let drops = Arc::new(Mutex::new(0));
        let mut group = TaskGroup::new();
        for _ in 0..3 {
            let bad = drops.clone();
            let id = group.spawn(async move { Bad(bad) });
            let cancel = group.cancel_handle(id).unwrap();
            while !cancel.is_finished() {
                yield_now().await;
            }
        }
        drop(group);
        assert_eq!(drops.lock().map_or_else(|e| *e.into_inner(), |n| *n), 3);
    });
}

/// What the property test does.
#[derive(Debug, Clone)]
enum Act {
    Spawn,
    /// Lets one of those that run end.
    End(usize),
    Cancel(usize),
    CancelAll,
    /// Each of these is polled once, and dropped if it is not ready.
    Next,
    Wait,
    TryNext,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Spawn),
        4 => any::<usize>().prop_map(Act::End),
        2 => any::<usize>().prop_map(Act::Cancel),
        1 => Just(Act::CancelAll),
        4 => Just(Act::Next),
        1 => Just(Act::Wait),
        2 => Just(Act::TryNext),
    ]
}

proptest! {
    /// Against a list of those that run and a queue of those that have ended.
    #[test]
    fn behaves_like_a_queue_of_outcomes(acts in prop::collection::vec(act(), 0..60)) {
        whirligig::run(async {
            // The number of a child, and whether it ended by itself.
            type Ended = (usize, bool);
            let mut group = TaskGroup::new();
            let mut running: Vec<(usize, TaskId, Arc<Queue<()>>)> = Vec::new();
            let mut ended: VecDeque<(Ended, TaskId)> = VecDeque::new();
            let given = |outcome: Result<usize, JoinError>| match outcome {
                Ok(number) => Ok(number),
                Err(error) => Err(error.id()),
            };
            let expected = |((number, by_itself), id): (Ended, TaskId)| {
                if by_itself { Ok(number) } else { Err(id) }
            };
            for (number, act) in acts.into_iter().enumerate() {
                match act {
                    Act::Spawn => {
                        let gate = Arc::new(Queue::unbounded());
                        let through = gate.clone();
                        let id = group.spawn(async move {
                            through.get().await.unwrap();
                            number
                        });
                        running.push((number, id, gate));
                    }
                    Act::End(at) if !running.is_empty() => {
                        let (number, id, gate) = running.remove(at % running.len());
                        gate.try_put(()).unwrap();
                        ended.push_back(((number, true), id));
                    }
                    Act::Cancel(at) if !running.is_empty() => {
                        let (number, id, _) = running.remove(at % running.len());
                        group.cancel_handle(id).unwrap().cancel();
                        ended.push_back(((number, false), id));
                    }
                    Act::CancelAll => {
                        group.cancel();
                        let all = running.drain(..).map(|(number, id, _)| ((number, false), id));
                        // In the order in which they were spawned only if no slot of the group is used again.
                        let mut all: Vec<_> = all.collect();
                        settle().await;
                        while let Some(outcome) = group.try_next() {
                            let outcome = given(outcome);
                            let next = match ended.pop_front() {
                                Some(next) => next,
                                None => {
                                    let at = all.iter().position(|(_, id)| outcome == Err(*id));
                                    all.swap_remove(at.expect("it was cancelled just now"))
                                }
                            };
                            assert_eq!(outcome, expected(next));
                        }
                        assert!(all.is_empty() && ended.is_empty());
                    }
                    Act::Next => {
                        let next = poll_once(group.next()).await;
                        let expected = match ended.pop_front() {
                            Some(next) => Some(Some(expected(next))),
                            None if running.is_empty() => Some(None),
                            None => None,
                        };
                        assert_eq!(next.map(|next| next.map(given)), expected);
                    }
                    Act::TryNext => {
                        let next = group.try_next().map(given);
                        assert_eq!(next, ended.pop_front().map(expected));
                    }
                    Act::Wait => {
                        let all = poll_once(group.wait()).await;
                        let ready = running.is_empty();
                        assert_eq!(all.is_some(), ready);
                        if let Some(all) = all {
                            let all: Vec<_> = all.into_iter().map(given).collect();
                            assert_eq!(all, ended.drain(..).map(expected).collect::<Vec<_>>());
                        }
                    }
                    Act::End(_) | Act::Cancel(_) => {}
                }
                settle().await;
                assert_eq!(group.len(), running.len() + ended.len());
            }
        });
    }
}

/// Lets what was woken or cancelled end.
async fn settle() {
    for _ in 0..3 {
        yield_now().await;
    }
}
