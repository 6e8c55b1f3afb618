//! Borrowing scopes: children that their parent polls, and that may borrow from its stack.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{pending, poll_fn, ready},
    panic::AssertUnwindSafe,
    pin::pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use proptest::prelude::*;
use whirligig::{
    queue::Queue,
    spawn,
    task::{self, ErrorGroup, Failure, yield_now},
    time,
};

use crate::on_each_variant;

type Errors = ErrorGroup<&'static str>;

/// Notes that it was dropped.
struct Notes<'a>(&'a Mutex<Vec<u32>>, u32);

impl Drop for Notes<'_> {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

#[test]
fn children_borrow_from_the_stack_of_their_parent() {
    on_each_variant(|_| async {
        let words = &["a".to_owned(), "bc".to_owned(), "def".to_owned()];
        let mut lengths = [0; 3];
        let total = AtomicUsize::new(0);
        let sum = task::borrowing_scope(async |scope| {
            for (word, length) in words.iter().zip(&mut lengths) {
                let total = &total;
                scope.spawn(async move {
                    yield_now().await;
                    *length = word.len();
                    total.fetch_add(word.len(), SeqCst);
                });
            }
            let first = scope.spawn(async { Ok(words[0].len()) });
            let siblings = scope.clone();
            let second = scope.spawn(async move {
                let inner = siblings.spawn(async { Ok(words[1].len()) });
                Ok(inner.await)
            });
            Ok::<_, Infallible>(first.await + second.await)
        })
        .await;
        assert_eq!(sum.unwrap(), 3);
        assert_eq!(lengths, [1, 2, 3]);
        assert_eq!(total.into_inner(), 6);
    });
}

#[test]
fn children_wait_for_each_other_and_for_tasks() {
    on_each_variant(|_| async {
        let queue = Queue::bounded(1);
        let sum = Mutex::new(0);
        let outside = spawn(async {
            time::sleep(Duration::from_millis(1)).await;
            100
        });
        task::borrowing_scope(async |scope| {
            scope.spawn(async {
                for n in 1..=300 {
                    queue.put(n).await.unwrap();
                }
                queue.close();
            });
            scope.spawn(async {
                while let Ok(n) = queue.get().await {
                    *sum.lock().unwrap() += n;
                }
            });
            *sum.lock().unwrap() += outside.await.unwrap();
        })
        .await
        .unwrap();
        assert_eq!(sum.into_inner().unwrap(), 45_150 + 100);
    });
}

#[test]
fn a_failure_drops_all_and_all_failures_are_told() {
    on_each_variant(|_| async {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("in a drop");
            }
        }
        let dropped = Mutex::new(Vec::new());
        let result: Result<(), Errors> = task::borrowing_scope(async |scope| {
            let _body = Notes(&dropped, 0);
            for n in 1..=3 {
                let notes = Notes(&dropped, n);
                scope.spawn(async move {
                    let _notes = notes;
                    pending::<()>().await;
                });
            }
            let panics = Panics;
            scope.spawn(async move {
                let _panics = panics;
                pending::<()>().await;
            });
            scope.spawn(async { Err::<(), _>("no") });
            pending::<Result<(), _>>().await
        })
        .await;
        assert_eq!(*dropped.lock().unwrap(), [0, 1, 2, 3], "the body, then the children");
        let failures: Vec<_> = result.unwrap_err().into_iter().collect();
        assert!(matches!(failures[0], Failure::Error("no")));
        assert!(matches!(&failures[1], Failure::Panic(e) if e.to_string().contains("in a drop")));
        assert_eq!(failures.len(), 2);
    });
}

#[test]
fn a_panic_of_a_child_is_a_failure_and_one_of_the_body_goes_on() {
    on_each_variant(|_| async {
        let dropped = Mutex::new(Vec::new());
        let result = task::borrowing_scope(async |scope| {
            let notes = Notes(&dropped, 1);
            scope.spawn(async move {
                let _notes = notes;
                pending::<()>().await;
            });
            scope.spawn(async { panic!("no") });
            pending::<()>().await;
        })
        .await;
        let text = result.unwrap_err().to_string();
        assert!(text.contains("panicked: no") && text.contains("borrowing.rs"), "{text}");

        let mut scope = pin!(task::borrowing_scope(async |scope| {
            let notes = Notes(&dropped, 2);
            scope.spawn(async move {
                let _notes = notes;
                pending::<()>().await;
            });
            yield_now().await;
            panic!("the body");
        }));
        let payload = poll_fn(|cx| {
            let poll = AssertUnwindSafe(|| scope.as_mut().poll(cx));
            match std::panic::catch_unwind(poll) {
                Ok(Poll::Pending) => Poll::Pending,
                Ok(Poll::Ready(_)) => panic!("it panics"),
                Err(payload) => Poll::Ready(payload),
            }
        })
        .await;
        assert_eq!(payload.downcast_ref(), Some(&"the body"));
        assert_eq!(*dropped.lock().unwrap(), [1, 2]);
    });
}

#[test]
fn it_is_cancelled_as_a_whole_or_one_child_alone() {
    on_each_variant(|_| async {
        let dropped = Mutex::new(Vec::new());
        let result: Result<(), Errors> = task::borrowing_scope(async |scope| {
            let notes = Notes(&dropped, 1);
            let stuck = scope.spawn(async move {
                let _notes = notes;
                pending::<()>().await;
            });
            let notes = Notes(&dropped, 2);
            scope.spawn(async move {
                let _notes = notes;
                pending::<()>().await;
            });
            yield_now().await;
            stuck.cancel();
            yield_now().await;
            assert_eq!(*dropped.lock().unwrap(), [1]);
            let all = scope.clone();
            scope.spawn(async move { all.cancel() });
            pending::<Result<(), _>>().await
        })
        .await;
        assert!(result.unwrap_err().is_cancelled());
        assert_eq!(*dropped.lock().unwrap(), [1, 2]);
        // As its last act the body may cancel what never ends.
        let value = task::borrowing_scope(async |scope| {
            scope.spawn(async {
                loop {
                    yield_now().await;
                }
            });
            scope.cancel();
            Ok::<_, Infallible>(7)
        });
        assert_eq!(value.await.unwrap(), 7);
    });
}

#[test]
fn dropped_it_drops_its_children_also_those_that_hold_the_scope() {
    on_each_variant(|_| async {
        let dropped = Mutex::new(Vec::new());
        let scope = task::borrowing_scope(async |scope| {
            for n in 1..=2 {
                let (notes, siblings) = (Notes(&dropped, n), scope.clone());
                scope.spawn(async move {
                    let (_notes, _siblings) = (notes, siblings);
                    pending::<()>().await;
                });
            }
            pending::<()>().await;
        });
        assert!(time::timeout(Duration::from_millis(1), scope).await.is_err());
        assert_eq!(*dropped.lock().unwrap(), [1, 2]);
    });
}

#[test]
fn only_woken_children_are_polled() {
    on_each_variant(|_| async {
        const CHILDREN: usize = 100;
        let polls: Vec<_> = (0..CHILDREN).map(|_| AtomicUsize::new(0)).collect();
        let gates: Vec<_> = (0..CHILDREN).map(|_| Queue::<()>::unbounded()).collect();
        task::borrowing_scope(async |scope| {
            for (polls, gate) in polls.iter().zip(&gates) {
                scope.spawn(async move {
                    let mut get = pin!(gate.get());
                    let got = poll_fn(|cx| {
                        polls.fetch_add(1, SeqCst);
                        get.as_mut().poll(cx)
                    });
                    got.await.unwrap();
                });
            }
            yield_now().await;
            for gate in &gates {
                gate.try_put(()).unwrap();
                yield_now().await;
            }
        })
        .await
        .unwrap();
        assert!(polls.iter().all(|polls| polls.load(SeqCst) == 2), "{polls:?}");
    });
}

#[test]
fn children_that_never_wait_let_others_run() {
    on_each_variant(|_| async {
        let over = Arc::new(AtomicBool::new(false));
        let other = spawn({
            let over = over.clone();
            async move {
                yield_now().await;
                over.store(true, SeqCst);
            }
        });
        task::borrowing_scope(async |scope| {
            for _ in 0..3 {
                scope.spawn(async {
                    while !over.load(SeqCst) {
                        yield_now().await;
                    }
                });
            }
        })
        .await
        .unwrap();
        other.await.unwrap();
    });
}

#[test]
fn the_local_form_takes_what_is_not_send() {
    let log = Rc::new(RefCell::new(Vec::new()));
    whirligig::run(async {
        let count = Cell::new(0);
        let result: Result<(), ErrorGroup<Rc<str>>> = task::borrowing_scope_local(async |scope| {
            for n in 1..=3 {
                let log = &log;
                let count = &count;
                scope.spawn(async move {
                    yield_now().await;
                    count.set(count.get() + n);
                    log.borrow_mut().push(n);
                });
            }
            let value = scope.spawn(async { Ok(log.clone()) });
            assert!(Rc::ptr_eq(&value.await, &log));
            while count.get() < 6 {
                yield_now().await;
            }
            Err(Rc::from("done"))
        })
        .await;
        assert_eq!(&**result.unwrap_err().errors().next().unwrap(), "done");
    });
    assert_eq!(*log.borrow(), [1, 2, 3]);
}

/// What a child of the property test does in one of its polls.
#[derive(Debug, Clone)]
enum Step {
    /// Wakes itself, and waits.
    WakeSelf,
    /// Wakes the child of this number.
    Wake(usize),
    /// Spawns a child that ends at once.
    Spawn,
    /// Waits to be woken by another.
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        Just(Step::WakeSelf),
        (0_usize..8).prop_map(Step::Wake),
        Just(Step::Spawn),
        Just(Step::Wait),
    ];
    prop::collection::vec(step, 0..6)
}

proptest! {
    /// Each child has as many polls as its steps need and wakes allow; none that was woken is forgotten.
    #[test]
    fn a_woken_child_is_polled(programs in prop::collection::vec(steps(), 1..8)) {
        let wakers: Vec<Mutex<Option<Waker>>> = programs.iter().map(|_| Mutex::new(None)).collect();
        let woken: Vec<AtomicBool> = programs.iter().map(|_| AtomicBool::new(true)).collect();
        let done = AtomicUsize::new(0);
        let spawned = AtomicUsize::new(0);
        let wake = |number: usize| {
            if let Some(waker) = wakers.get(number).and_then(|waker| waker.lock().unwrap().clone()) {
                woken[number].store(true, SeqCst);
                waker.wake();
            }
        };
        let mut scope = pin!(task::borrowing_scope(async |scope| {
            for (number, program) in programs.iter().enumerate() {
                let (mut left, siblings) = (program.iter(), scope.clone());
                let (wakers, woken, wake, done, spawned) =
                    (&wakers, &woken, &wake, &done, &spawned);
                scope.spawn(poll_fn(move |cx| {
                    woken[number].store(false, SeqCst);
                    *wakers[number].lock().unwrap() = Some(cx.waker().clone());
                    for step in left.by_ref() {
                        match step {
                            Step::WakeSelf => {
                                wake(number);
                                return Poll::Pending;
                            }
                            Step::Wake(other) => wake(*other),
                            Step::Spawn => {
                                siblings.spawn(async {
                                    ready(()).await;
                                    spawned.fetch_add(1, SeqCst);
                                });
                            }
                            Step::Wait => return Poll::Pending,
                        }
                    }
                    *wakers[number].lock().unwrap() = None;
                    woken[number].store(false, SeqCst);
                    done.fetch_add(1, SeqCst);
                    Poll::Ready(())
                }));
            }
        }));
        // The parent's waker counts: a scope that is not woken is not polled.
        struct Counts(AtomicUsize);
        impl std::task::Wake for Counts {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, SeqCst);
            }
        }
        let counts = Arc::new(Counts(AtomicUsize::new(1)));
        let waker = Waker::from(counts.clone());
        let mut ended = false;
        for _ in 0..10_000 {
            if counts.0.swap(0, SeqCst) == 0 {
                // At rest: what is left waits for a wake that nobody made. Make them.
                let at_rest = woken.iter().all(|woken| !woken.load(SeqCst));
                prop_assert!(at_rest, "a child that was woken was forgotten");
                (0..programs.len()).for_each(wake);
                if counts.0.load(SeqCst) == 0 {
                    break;
                }
                continue;
            }
            if scope.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
                ended = true;
                break;
            }
        }
        prop_assert!(ended);
        prop_assert_eq!(done.load(SeqCst), programs.len());
        let spawns = programs.iter().flatten().filter(|step| matches!(step, Step::Spawn)).count();
        prop_assert_eq!(spawned.load(SeqCst), spawns);
    }
}
