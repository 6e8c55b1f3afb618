//! Tokens that say that it is time to end, and work that goes on in spite of it.

use std::{
    collections::HashMap,
    future::{pending, ready},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use futures_lite::future::poll_once;
use proptest::prelude::*;
use whirligig::{
    EventLoop,
    queue::Queue,
    spawn,
    sync::Event,
    task::{self, CancelToken},
    time::{Instant, TestClock, sleep, timeout},
};

use super::{on_each_variant, until};

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn cancelling_a_token_ends_the_waits_for_it_and_its_children() {
    on_each_variant(|_| async {
        let token = CancelToken::new();
        let child = token.child_token();
        let grandchild = child.child_token();
        let stranger = CancelToken::default();
        let waits = [token.clone(), token.clone(), child.clone(), grandchild.clone()];
        let waits = waits.map(|token| spawn(async move { token.cancelled().await }));
        let owned = spawn(grandchild.clone().cancelled_owned());
        task::yield_now().await;
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        assert!(thread::spawn(move || token.cancel() && !token.cancel()).join().unwrap());
        for wait in waits {
            wait.await.unwrap();
        }
        owned.await.unwrap();
        assert!(child.is_cancelled() && grandchild.is_cancelled() && !stranger.is_cancelled());
        let late = child.child_token();
        assert!(late.is_cancelled() && !late.cancel(), "born cancelled");
        late.cancelled().await;
        assert!(!grandchild.cancel(), "its parent was faster");
    });
}

#[test]
fn a_child_is_cancelled_alone() {
    on_each_variant(|_| async {
        let parent = CancelToken::new();
        let (one, other) = (parent.child_token(), parent.child_token());
        assert!(one.cancel());
        assert!(one.is_cancelled() && !parent.is_cancelled() && !other.is_cancelled());
        assert!(poll_once(pin!(other.cancelled())).await.is_none());
    });
}

#[test]
fn children_that_came_and_went_leave_nothing_in_their_parent() {
    on_each_variant(|_| async {
        let token = CancelToken::new();
        let children: Vec<_> = (0..100_000).map(|_| token.child_token()).collect();
        assert!(format!("{token:?}").contains("children: 100000"), "{token:?}");
        drop(children);
        assert!(format!("{token:?}").contains("children: 0"), "{token:?}");
        // A wait that was dropped leaves no waiter.
        assert!(poll_once(pin!(token.cancelled())).await.is_none());
        assert!(format!("{token:?}").contains("waiters: 0"), "{token:?}");
        // A child is there as long as a child of its own is.
        let grandchild = token.child_token().child_token();
        assert!(format!("{token:?}").contains("children: 1"), "{token:?}");
        token.cancel();
        assert!(grandchild.is_cancelled());
    });
}

#[test]
fn a_long_line_of_tokens_is_cancelled_and_dropped_without_recursion() {
    const GENERATIONS: usize = 100_000;
    // A stack that would not bear it.
    let small = thread::Builder::new().stack_size(128 << 10);
    let line = move |cancels: bool| {
        let first = CancelToken::new();
        let mut last = first.clone();
        for _ in 0..GENERATIONS {
            last = last.child_token();
        }
        if cancels {
            first.cancel();
        }
        assert_eq!(last.is_cancelled(), cancels);
        drop(last);
        assert!(format!("{first:?}").contains("children: 0"));
    };
    let thread = small.spawn(move || [true, false].map(line)).unwrap();
    thread.join().unwrap();
}

#[test]
fn what_runs_until_the_token_is_cancelled_is_dropped_then() {
    on_each_variant(|_| async {
        let token = CancelToken::new();
        assert_eq!(token.run_until_cancelled(ready(7)).await, Some(7));
        let queue = Arc::new(Queue::<u8>::unbounded());
        let work = spawn({
            let (queue, token) = (queue.clone(), token.clone());
            async move { token.run_until_cancelled(queue.get()).await.is_none() }
        });
        until(|| queue.stats().getters == 1).await;
        token.cancel();
        assert!(work.await.unwrap());
        assert_eq!(queue.stats().getters, 0);
        assert_eq!(token.run_until_cancelled(ready(8)).await, Some(8), "what is ready wins");
        assert_eq!(token.run_until_cancelled(pending::<u8>()).await, None);
    });
}

#[test]
fn work_that_uses_up_its_budget_is_cancelled_all_the_same() {
    on_each_variant(|_| async {
        let token = CancelToken::new();
        token.cancel();
        let queue = Queue::unbounded();
        (0..10_000).for_each(|n| queue.try_put(n).unwrap());
        let drains = async { while queue.get().await.is_ok() {} };
        assert!(token.run_until_cancelled(drains).await.is_none());
        assert!(!queue.is_empty(), "it ended when it gave way first");
    });
}

#[test]
fn a_guard_cancels_when_it_is_dropped_unless_it_was_disarmed() {
    on_each_variant(|_| async {
        let token = CancelToken::new();
        let kept = token.clone().drop_guard().disarm();
        assert!(!kept.is_cancelled());
        let guard = token.clone().drop_guard();
        let work = spawn(async move {
            let _guard = guard;
            panic!("the guard goes with it");
        });
        token.cancelled().await;
        assert!(work.await.unwrap_err().is_panic());
    });
}

#[test]
fn a_token_is_cancelled_at_its_deadline_and_not_before() {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    event_loop.block_on(async {
        let start = Instant::now();
        let token = CancelToken::new();
        token.cancel_after(Duration::from_secs(5));
        let child = token.child_token();
        child.cancelled().await;
        assert_eq!(start.elapsed(), Duration::from_secs(5));
        // The last that was set counts.
        let token = CancelToken::new();
        token.cancel_after(Duration::from_secs(1));
        token.cancel_at(Instant::now() + Duration::from_secs(3));
        token.cancelled().await;
        assert_eq!(start.elapsed(), Duration::from_secs(8));
        let token = CancelToken::new();
        token.cancel_after(Duration::from_secs(1));
        token.cancel_at(Instant::NEVER);
        assert!(timeout(LONG, token.cancelled()).await.is_err(), "taken back");
        // What is cancelled, or gone, has no timer any more.
        token.cancel_after(LONG);
        token.cancel();
        token.cancel_after(LONG);
        let gone = CancelToken::new();
        gone.cancel_after(LONG);
        drop(gone);
    });
    let fired = event_loop.stats().timers_fired;
    event_loop.block_on(sleep(2 * LONG));
    assert_eq!(event_loop.stats().timers_fired, fired + 1, "that of the sleep alone");
}

#[test]
fn deadlines_work_on_each_variant_and_from_blocking_calls() {
    on_each_variant(|_| async {
        let token = CancelToken::new();
        token.cancel_after(Duration::from_micros(100));
        token.cancelled().await;
        let token = CancelToken::new();
        let clone = token.clone();
        let call = task::spawn_blocking(move || clone.cancel_after(Duration::from_micros(100)));
        call.await.unwrap();
        token.cancelled().await;
        // Cancelled before: the timer goes.
        let token = CancelToken::new();
        token.cancel_after(LONG);
        assert!(token.cancel());
    });
}

#[test]
fn a_shielded_future_goes_on_when_the_wait_for_it_ends() {
    on_each_variant(|_| async {
        assert_eq!(task::shield(async { 7 }).await, 7);
        let (begun, go, done) =
            (Arc::new(Event::new()), Arc::new(Event::new()), Arc::new(Event::new()));
        let outer = spawn({
            let (begun, go, done) = (begun.clone(), go.clone(), done.clone());
            async move {
                let step = task::shield(async move {
                    begun.set();
                    go.wait().await;
                    done.set();
                });
                step.await;
            }
        });
        begun.wait().await;
        outer.cancel();
        assert!(outer.await.unwrap_err().is_cancelled());
        assert!(!done.is_set());
        go.set();
        done.wait().await;
    });
}

#[test]
fn the_panic_of_a_shielded_future_comes_through() {
    on_each_variant(|_| async {
        let outer = spawn(async { task::shield(async { std::panic::panic_any(7) }).await });
        let payload = outer.await.unwrap_err().try_into_panic().unwrap();
        assert_eq!(payload.downcast_ref::<i32>(), Some(&7));
    });
}

/// Says in which order things happen.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<&'static str>>>);

impl Log {
    fn say(&self, what: &'static str) {
        self.0.lock().unwrap().push(what);
    }

    fn has(&self, what: &'static str) -> bool {
        self.0.lock().unwrap().contains(&what)
    }

    fn is(&self, expected: &[&str]) {
        assert_eq!(*self.0.lock().unwrap(), expected);
    }

    fn on_drop(&self, what: &'static str) -> impl Drop + Send + use<> {
        struct SaysOnDrop(Log, &'static str);
        impl Drop for SaysOnDrop {
            fn drop(&mut self) {
                self.0.say(self.1);
            }
        }
        SaysOnDrop(self.clone(), what)
    }
}

#[test]
fn a_clean_up_is_awaited_in_place_when_the_work_ends() {
    on_each_variant(|_| async {
        let log = Log::default();
        let (work, clean) = (log.clone(), log.clone());
        let held = log.on_drop("work dropped");
        let output = task::with_cleanup(
            async move {
                let _held = held;
                work.say("work");
                7
            },
            async move {
                task::yield_now().await;
                clean.say("clean-up");
            },
        );
        assert_eq!(output.await, 7);
        log.is(&["work", "work dropped", "clean-up"]);
    });
}

#[test]
fn a_clean_up_is_done_by_a_task_when_the_work_is_cancelled_or_panics() {
    on_each_variant(|_| async {
        for panics in [false, true] {
            let log = Log::default();
            let (clean, held) = (log.clone(), log.on_drop("work dropped"));
            let begun = Arc::new(Event::new());
            let begins = begun.clone();
            let work = spawn(task::with_cleanup(
                async move {
                    let _held = held;
                    begins.set();
                    assert!(!panics, "the work panics");
                    pending::<()>().await;
                },
                async move {
                    task::yield_now().await;
                    clean.say("clean-up");
                },
            ));
            begun.wait().await;
            work.cancel();
            assert_eq!(work.await.unwrap_err().is_panic(), panics);
            until(|| log.has("clean-up")).await;
            log.is(&["work dropped", "clean-up"]);
        }
    });
}

#[test]
fn a_clean_up_that_is_cancelled_in_the_middle_is_ended_by_a_task() {
    on_each_variant(|_| async {
        let log = Log::default();
        let (clean, go) = (log.clone(), Arc::new(Event::new()));
        let goes = go.clone();
        let work = spawn(task::with_cleanup(ready(()), async move {
            clean.say("begun");
            goes.wait().await;
            clean.say("ended");
        }));
        until(|| log.has("begun")).await;
        work.cancel();
        assert!(work.await.unwrap_err().is_cancelled());
        go.set();
        until(|| log.has("ended")).await;
        log.is(&["begun", "ended"]);
        // It is also done if the work was never begun.
        let never = log.clone();
        drop(task::with_cleanup(pending::<()>(), async move { never.say("alone") }));
        until(|| log.has("alone")).await;
    });
}

#[test]
fn a_clean_up_whose_runtime_has_ended_is_dropped() {
    let dropped = Arc::new(AtomicBool::new(false));
    let kept = whirligig::run(async {
        let log = Log::default();
        let flag = log.on_drop("dropped");
        let kept = task::with_cleanup(pending::<()>(), async move {
            let _flag = flag;
            unreachable!("there is no runtime to do it");
        });
        (Box::pin(kept), log)
    });
    drop(kept.0);
    kept.1.is(&["dropped"]);
    assert!(!dropped.load(SeqCst));
}

#[test]
fn many_threads_cancel_a_tree_while_it_grows() {
    on_each_variant(|_| async {
        let root = CancelToken::new();
        let heard = Arc::new(AtomicUsize::new(0));
        let grows = (0..4).map(|_| {
            let (root, heard) = (root.clone(), heard.clone());
            thread::spawn(move || {
                let mut tokens = vec![root];
                for n in 0..500 {
                    tokens.push(tokens[n / 2].child_token());
                    if n == 250 {
                        tokens[0].cancel();
                    }
                }
                heard.fetch_add(tokens.iter().filter(|token| token.is_cancelled()).count(), SeqCst);
            })
        });
        let grows: Vec<_> = grows.collect();
        root.cancelled().await;
        grows.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(heard.load(SeqCst), 4 * 501);
    });
}

#[derive(Debug, Clone)]
enum Act {
    Child(usize),
    Cancel(usize),
    Drop(usize),
    Wait(usize),
    DropWait(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => any::<usize>().prop_map(Act::Child),
        1 => any::<usize>().prop_map(Act::Cancel),
        2 => any::<usize>().prop_map(Act::Drop),
        3 => any::<usize>().prop_map(Act::Wait),
        1 => any::<usize>().prop_map(Act::DropWait),
    ]
}

proptest! {
    /// Against a list of parents and a set of the cancelled.
    #[test]
    fn a_tree_of_tokens_behaves_like_its_list_of_parents(acts in prop::collection::vec(act(), 0..80)) {
        whirligig::run(async {
            let mut tokens = vec![Some(CancelToken::new())];
            let mut parents = vec![None];
            let mut cancelled = vec![false];
            let mut waits = HashMap::new();
            for act in acts {
                match act {
                    Act::Child(at) => {
                        let at = at % tokens.len();
                        if let Some(parent) = &tokens[at] {
                            let child = parent.child_token();
                            tokens.push(Some(child));
                            parents.push(Some(at));
                            cancelled.push(cancelled[at]);
                        }
                    }
                    Act::Cancel(at) => {
                        let at = at % tokens.len();
                        if let Some(token) = &tokens[at] {
                            assert_eq!(token.cancel(), !cancelled[at]);
                            cancelled[at] = true;
                            // A child comes after its parent.
                            for child in at + 1..tokens.len() {
                                cancelled[child] |= parents[child].is_some_and(|at| cancelled[at]);
                            }
                        }
                    }
                    Act::Drop(at) => {
                        let at = at % tokens.len();
                        tokens[at] = None;
                    }
                    Act::Wait(at) => {
                        let at = at % tokens.len();
                        if let Some(token) = &tokens[at] {
                            waits.entry(at).or_insert_with(|| spawn(token.clone().cancelled_owned()));
                        }
                    }
                    Act::DropWait(at) => {
                        if let Some(wait) = waits.remove(&(at % tokens.len())) {
                            wait.cancel();
                        }
                    }
                }
                for (token, cancelled) in tokens.iter().zip(&cancelled) {
                    assert!(token.as_ref().is_none_or(|token| token.is_cancelled() == *cancelled));
                }
                task::yield_now().await;
                task::yield_now().await;
                for (at, wait) in &waits {
                    assert_eq!(wait.is_finished(), cancelled[*at], "a wait for token {at}");
                }
            }
        });
    }
}
