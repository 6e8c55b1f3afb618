//! Plain functions that the loop calls: soon, later, at a moment, from other threads; and in which order.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use whirligig::{
    EventLoop, Handle, LoopGone, spawn, spawn_local,
    task::{self, ScheduledCall},
    time::{Instant, TestClock, sleep},
};

use super::{on_each_variant, until};

/// Nothing is due sooner.
const LONG: Duration = Duration::from_secs(3600);

fn on_test_clock<T>(future: impl Future<Output = T>) -> T {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    event_loop.block_on(future)
}

#[test]
fn calls_are_made_once_each() {
    on_each_variant(|_| async {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = || {
            let calls = calls.clone();
            move || _ = calls.fetch_add(1, SeqCst)
        };
        let handle = Handle::current();
        let handles = [
            task::call_soon(count()),
            task::call_later(Duration::from_micros(50), count()),
            task::call_at(Instant::now(), count()),
            handle.call_soon_threadsafe(count()).unwrap(),
            thread::spawn({
                let count = count();
                move || handle.call_soon_threadsafe(count).unwrap()
            })
            .join()
            .unwrap(),
        ];
        until(|| calls.load(SeqCst) == handles.len()).await;
        for handle in handles {
            assert!(!handle.cancel(), "{handle:?} has begun");
            assert!(!handle.is_cancelled(), "{handle:?}");
        }
        sleep(Duration::from_micros(100)).await;
        assert_eq!(calls.load(SeqCst), 5);
    });
}

#[test]
fn a_cancelled_call_is_never_made_and_its_closure_is_dropped() {
    on_each_variant(|_| async {
        let kept = Arc::new(());
        let fails = || {
            let kept = kept.clone();
            move || panic!("a cancelled call was made: {kept:?}")
        };
        let later = task::call_later(LONG, fails());
        assert!(later.when().is_some_and(|when| when > Instant::now()));
        let elsewhere = later.clone();
        assert!(thread::spawn(move || elsewhere.cancel()).join().unwrap());
        assert!(!later.cancel() && later.is_cancelled(), "{later:?}");
        let at = task::call_at(Instant::now() + LONG, fails());
        assert!(at.cancel() && !at.cancel() && at.is_cancelled());
        until(|| Arc::strong_count(&kept) == 1).await;
    });
}

#[test]
fn on_an_event_loop_a_call_can_be_cancelled_until_its_turn_comes() {
    on_test_clock(async {
        let kept = Rc::new(Cell::new(0));
        let count = |kept: &Rc<Cell<i32>>| {
            let kept = kept.clone();
            move || kept.set(kept.get() + 1)
        };
        let soon = task::call_soon_local(count(&kept));
        let later = task::call_later_local(Duration::ZERO, count(&kept));
        let at = task::call_at_local(Instant::now() + LONG, count(&kept));
        assert_eq!((soon.when(), later.when()), (None, Some(Instant::now())));
        assert!(soon.cancel() && later.cancel());
        // What has a timer here is dropped with it.
        assert_eq!(Rc::strong_count(&kept), 3);
        // From another thread it is the loop that drops it.
        assert!(thread::spawn(move || at.cancel()).join().unwrap());
        sleep(Duration::from_millis(1)).await;
        assert_eq!((kept.get(), Rc::strong_count(&kept)), (0, 1));
    });
}

#[test]
fn a_call_that_was_made_cannot_be_cancelled_even_by_itself() {
    on_test_clock(async {
        let handle = Rc::new(RefCell::new(None::<ScheduledCall>));
        let seen = Rc::new(Cell::new(None));
        let (own, result) = (handle.clone(), seen.clone());
        let call = task::call_soon_local(move || {
            result.set(own.borrow().as_ref().map(ScheduledCall::cancel));
        });
        *handle.borrow_mut() = Some(call);
        task::yield_now().await;
        assert_eq!(seen.get(), Some(false));
    });
}

#[test]
fn a_call_is_a_task_whose_panic_harms_nothing_else() {
    on_each_variant(|_| async {
        let ids = Arc::new(Mutex::new(Vec::new()));
        let noted = ids.clone();
        task::call_soon(|| panic!("a call panics: this is reported, and nothing else comes of it"));
        task::call_later(Duration::ZERO, || panic!("so does one at its moment"));
        task::call_later(Duration::from_micros(1), move || {
            let inner = noted.clone();
            spawn(async move { inner.lock().unwrap().push(task::id()) });
            noted.lock().unwrap().push(task::id());
        });
        until(|| ids.lock().unwrap().len() == 2).await;
        let ids = ids.lock().unwrap();
        assert!(ids[0] != ids[1] && !ids.contains(&task::id()));
    });
}

#[test]
fn a_blocking_call_may_have_the_loop_call_something() {
    on_each_variant(|_| async {
        let calls = Arc::new(AtomicUsize::new(0));
        let counts = calls.clone();
        let cancelled = task::spawn_blocking(move || {
            let count = || {
                let counts = counts.clone();
                move || _ = counts.fetch_add(1, SeqCst)
            };
            task::call_soon(count());
            task::call_later(Duration::from_micros(10), count());
            let cancelled = task::call_later(LONG, count());
            assert!(cancelled.cancel());
            cancelled
        });
        assert!(cancelled.await.unwrap().is_cancelled());
        until(|| calls.load(SeqCst) == 2).await;
        // The last to go is the message that set the timer of what was cancelled.
        until(|| Arc::strong_count(&calls) == 1).await;
    });
}

#[test]
fn calls_that_were_not_made_when_their_loop_ended_count_as_cancelled() {
    let handles = whirligig::run(async { [task::call_soon(|| ()), task::call_later(LONG, || ())] });
    assert!(handles.iter().all(|handle| handle.is_cancelled() && !handle.cancel()), "{handles:?}");
    let runtime = whirligig::Runtime::builder().worker_threads(2).build().unwrap();
    let handle = runtime.handle();
    let later = runtime.block_on(async { task::call_later(LONG, || ()) });
    let from_a_task =
        runtime.block_on(async { spawn(async { task::call_later(LONG, || ()) }).await.unwrap() });
    assert!(!later.is_cancelled() && !from_a_task.is_cancelled());
    drop(runtime);
    assert!(later.is_cancelled() && from_a_task.is_cancelled());
    let kept = Arc::new(());
    let refused = handle.call_soon_threadsafe({
        let kept = kept.clone();
        move || drop(kept)
    });
    assert_eq!(refused.unwrap_err(), LoopGone);
    assert_eq!(Arc::strong_count(&kept), 1);
}

#[test]
fn a_call_needs_a_runtime_and_says_so() {
    let message = |call: fn()| {
        let payload = catch_unwind(AssertUnwindSafe(call)).unwrap_err();
        *payload.downcast::<String>().expect("a panic with a text")
    };
    let outside = [
        message(|| _ = task::call_soon(|| ())),
        message(|| _ = task::call_later(LONG, || ())),
        message(|| _ = task::call_at_local(Instant::now(), || ())),
    ];
    for (what, message) in ["`call_soon`", "`call_later`", "`call_at_local`"].iter().zip(outside) {
        assert!(message.starts_with(what) && message.contains("whirligig::run"), "{message}");
    }
    let runtime = whirligig::Runtime::builder().worker_threads(1).build().unwrap();
    let on_a_runtime =
        runtime.block_on(async { message(|| _ = task::call_later_local(LONG, || ())) });
    assert!(on_a_runtime.contains("needs an event loop"), "{on_a_runtime}");
}

#[test]
fn on_its_own_thread_a_threadsafe_call_has_its_place_in_the_line() {
    on_test_clock(async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let (first, second) = (log.clone(), log.clone());
        let (tell, told) = mpsc::channel();
        spawn_local(async move { first.borrow_mut().push("task") });
        Handle::current().call_soon_threadsafe(move || tell.send(()).unwrap()).unwrap();
        task::call_soon_local(move || {
            told.try_recv().expect("the call before this one was made");
            second.borrow_mut().push("call");
        });
        task::yield_now().await;
        assert_eq!(*log.borrow(), ["task", "call"]);
    });
}

#[test]
fn equal_deadlines_are_met_in_the_order_of_their_calls() {
    on_test_clock(async {
        let log = Rc::new(RefCell::new(Vec::new()));
        let at = Instant::now() + Duration::from_millis(5);
        for n in 0..100 {
            let log = log.clone();
            task::call_at_local(at, move || log.borrow_mut().push(n));
        }
        sleep(Duration::from_millis(6)).await;
        assert!(log.borrow().iter().copied().eq(0..100));
    });
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Soon(usize),
    Later(u64, usize),
    Task(usize, usize),
    Cancel(usize),
}

/// One of the programs of `calls.py`, as it runs here.
#[derive(Default)]
struct Program {
    nodes: Vec<Vec<Action>>,
    log: RefCell<Vec<String>>,
    handles: RefCell<HashMap<usize, ScheduledCall>>,
}

impl Program {
    fn read(text: &str) -> Self {
        let number = |text: &str| text.parse::<usize>().unwrap();
        let action = |text: &str| {
            let (kind, rest) = text.split_at(1);
            let (first, second) = rest.split_once(':').unwrap_or((rest, "0"));
            match kind {
                "s" => Action::Soon(number(first)),
                "l" => Action::Later(number(first) as u64, number(second)),
                "t" => Action::Task(number(first), number(second)),
                "x" => Action::Cancel(number(first)),
                other => panic!("what is {other:?}?"),
            }
        };
        let node =
            |text: &str| text.split(',').filter(|text| !text.is_empty()).map(action).collect();
        Self { nodes: text.trim().split(';').map(node).collect(), ..Self::default() }
    }

    fn call(self: Rc<Self>, node: usize) {
        self.log.borrow_mut().push(node.to_string());
        self.act(node);
    }

    fn act(self: &Rc<Self>, node: usize) {
        for action in self.nodes[node].clone() {
            let this = self.clone();
            let (node, handle) = match action {
                Action::Soon(node) => (node, task::call_soon_local(move || this.call(node))),
                Action::Later(millis, node) => {
                    let delay = Duration::from_millis(millis);
                    (node, task::call_later_local(delay, move || this.call(node)))
                }
                Action::Task(yields, node) => {
                    spawn_local(this.steps(node, yields));
                    continue;
                }
                Action::Cancel(node) => {
                    if let Some(handle) = self.handles.borrow().get(&node) {
                        handle.cancel();
                    }
                    continue;
                }
            };
            self.handles.borrow_mut().insert(node, handle);
        }
    }

    async fn steps(self: Rc<Self>, node: usize, yields: usize) {
        self.log.borrow_mut().push(format!("{node}.0"));
        self.act(node);
        for step in 1..=yields {
            task::yield_now().await;
            self.log.borrow_mut().push(format!("{node}.{step}"));
        }
    }
}

/// The programs were run by asyncio (Python 3.11), which wrote down what each logged.
#[test]
fn the_order_is_asyncios() {
    let mut programs = 0;
    for line in include_str!("calls.txt").lines() {
        let (text, expected) = line.split_once('|').unwrap();
        let program = Rc::new(Program::read(text));
        let runs = program.clone();
        on_test_clock(async move {
            task::call_soon_local(move || runs.call(0));
            sleep(LONG).await;
        });
        assert_eq!(program.log.borrow().join(" "), expected.trim(), "{text}");
        programs += 1;
    }
    assert_eq!(programs, 400);
}
