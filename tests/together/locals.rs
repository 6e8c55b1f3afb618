//! Values that go with a task; and what a task knows of itself.

use std::{
    future::{Future, pending, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_lite::future::poll_once;
use proptest::prelude::*;
use whirligig::{
    EventLoop, Runtime, spawn, spawn_local,
    task::{self, Locals, TaskLocal},
    time::sleep,
};

use super::on_each_variant;

static USER: TaskLocal<String> = TaskLocal::new("user");
static DEPTH: TaskLocal<u32> = TaskLocal::new("depth");

fn user() -> Option<String> {
    USER.get()
}

fn ann() -> String {
    "Ann".to_owned()
}

#[test]
fn a_value_is_there_in_its_scope_at_each_poll_and_nowhere_else() {
    on_each_variant(|_| async {
        assert_eq!((user(), DEPTH.get()), (None, None));
        let inside = USER.scope(ann(), async {
            for _ in 0..10 {
                assert_eq!(user().as_deref(), Some("Ann"));
                task::yield_now().await;
            }
            DEPTH
                .scope(2, async {
                    assert_eq!((user(), DEPTH.get()), (Some(ann()), Some(2)));
                    USER.scope("Bob".to_owned(), async {
                        sleep(Duration::from_micros(10)).await;
                        assert_eq!((user().as_deref(), DEPTH.get()), (Some("Bob"), Some(2)));
                    })
                    .await;
                })
                .await;
            assert_eq!((user().as_deref(), DEPTH.get()), (Some("Ann"), None));
            USER.with(String::len)
        });
        let others = (0..20).map(|_| {
            spawn(async {
                for _ in 0..10 {
                    assert_eq!(user(), None, "another task sees nothing of it");
                    task::yield_now().await;
                }
            })
        });
        let others: Vec<_> = others.collect();
        assert_eq!(inside.await, Some(3));
        assert_eq!(user(), None);
        for other in others {
            other.await.unwrap();
        }
    });
}

#[test]
fn a_value_is_inherited_where_it_is_asked_for() {
    on_each_variant(|_| {
        USER.scope(ann(), async {
            assert_eq!(spawn(async { user() }).await.unwrap(), None);
            let inherits = || task::Builder::new().name("heir").inherit();
            assert_eq!(inherits().spawn(async { user() }).await.unwrap(), Some(ann()));
            let handle = whirligig::Handle::current();
            assert_eq!(inherits().spawn_on(&handle, async { user() }).await.unwrap(), Some(ann()));
            // As it was when it was asked to: and from there on to its own children, if they are.
            let grandchild = inherits().spawn(DEPTH.scope(1, async move {
                inherits().spawn(async { (user(), DEPTH.get()) }).await.unwrap()
            }));
            assert_eq!(grandchild.await.unwrap(), (Some(ann()), Some(1)));

            let locals = Locals::current();
            let call = task::spawn_blocking(move || (user(), locals.run(user), user()));
            assert_eq!(call.await.unwrap(), (None, Some(ann()), None));
            let locals = Locals::current();
            let thread = thread::spawn(move || locals.run(|| USER.with(String::len)));
            assert_eq!(thread.join().unwrap(), Some(3));
            let none = Locals::default();
            assert_eq!(none.scope(async { user() }).await, None, "these values and no others");
            assert_eq!(user(), Some(ann()));
        })
    });
}

#[test]
fn on_an_event_loop_local_tasks_inherit_too() {
    whirligig::run(USER.scope(ann(), async {
        let child = task::Builder::new().inherit().spawn_local(async { user() });
        assert_eq!(child.await.unwrap(), Some(ann()));
        assert_eq!(spawn_local(async { user() }).await.unwrap(), None);
    }));
}

#[test]
fn a_nested_loop_shows_its_tasks_nothing_and_the_future_that_waits_everything() {
    on_each_variant(|_| {
        USER.scope(ann(), async {
            let event_loop = EventLoop::new().unwrap();
            let task = event_loop.spawn_local(async { user() });
            let root = async {
                assert_eq!(task.await.unwrap(), None);
                task::yield_now().await;
                user()
            };
            assert_eq!(event_loop.block_on(root), Some(ann()));
            let turned = event_loop.spawn_local(async { user() });
            while event_loop.turn(Some(Duration::ZERO)).unwrap().ready {}
            assert_eq!(event_loop.block_on(turned).unwrap(), None);
            // What a loop drops at its end is not this task's either.
            let seen = Arc::new(Mutex::new(Vec::new()));
            let notes = NotesUser(seen.clone());
            event_loop.spawn_local(async move {
                let _notes = notes;
                pending::<()>().await;
            });
            while event_loop.turn(Some(Duration::ZERO)).unwrap().ready {}
            drop(event_loop);
            assert_eq!(*seen.lock().unwrap(), [None]);
            assert_eq!(user(), Some(ann()));
            let runtime = Runtime::builder().worker_threads(1).build().unwrap();
            let both = runtime.block_on(async { (user(), spawn(async { user() }).await.unwrap()) });
            assert_eq!(both, (Some(ann()), None));
            drop(runtime);
            assert_eq!(user(), Some(ann()));
        })
    });
}

/// Notes in its drop which user it sees.
struct NotesUser(Arc<Mutex<Vec<Option<String>>>>);

impl Drop for NotesUser {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(user());
    }
}

#[test]
fn a_future_sees_its_values_while_it_is_dropped() {
    on_each_variant(|_| async {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let never = || {
            let notes = NotesUser(seen.clone());
            async move {
                let _notes = notes;
                pending::<()>().await;
            }
        };
        assert!(poll_once(pin!(USER.scope(ann(), never()))).await.is_none());
        drop(USER.scope(ann(), never()));
        let task = spawn(USER.scope(ann(), never()));
        task.cancel();
        assert!(task.await.is_err());
        assert_eq!(*seen.lock().unwrap(), [Some(ann()), Some(ann()), Some(ann())]);
        assert_eq!(user(), None);
    });
}

#[test]
fn a_panic_leaves_no_value_behind() {
    on_each_variant(|_| async {
        let panics = spawn(USER.scope(ann(), async { panic!("in its scope") }));
        assert!(panics.await.unwrap_err().is_panic());
        for _ in 0..20 {
            assert_eq!(spawn(async { user() }).await.unwrap(), None);
        }
        let caught = std::panic::catch_unwind(|| USER.sync_scope(ann(), || panic!("in its scope")));
        assert!(caught.is_err() && user().is_none());
    });
}

#[test]
fn a_scope_sees_what_is_around_it_now_and_not_what_was_when_it_was_made() {
    let noop = &mut Context::from_waker(Waker::noop());
    let mut future = pin!(DEPTH.scope(
        7,
        poll_fn(|_| -> Poll<(Option<String>, Option<u32>)> {
            SEEN.lock().unwrap().push((user(), DEPTH.get()));
            Poll::Pending
        })
    ));
    static SEEN: Mutex<Vec<(Option<String>, Option<u32>)>> = Mutex::new(Vec::new());
    let mut poll = || assert!(future.as_mut().poll(noop).is_pending());
    poll();
    USER.sync_scope(ann(), &mut poll);
    USER.sync_scope("Bob".to_owned(), &mut poll);
    poll();
    let users = SEEN
        .lock()
        .unwrap()
        .iter()
        .map(|(user, depth)| {
            assert_eq!(*depth, Some(7));
            user.clone()
        })
        .collect::<Vec<_>>();
    assert_eq!(users, [None, Some(ann()), Some("Bob".to_owned()), None]);
}

#[test]
fn values_are_shared_and_dropped_with_the_last_that_has_them() {
    struct Counted(Arc<AtomicUsize>);
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }
    static COUNTED: TaskLocal<Counted> = TaskLocal::new("counted");
    on_each_variant(|_| async {
        let dropped = Arc::new(AtomicUsize::new(0));
        let locals = COUNTED
            .scope(Counted(dropped.clone()), async {
                // A line of tasks, each of which adds to what it inherited, keeps one value a key.
                let mut locals = Locals::current();
                for depth in 0..1000 {
                    locals = locals.run(|| DEPTH.sync_scope(depth, Locals::current));
                }
                assert!(format!("{locals:?}").contains("values: 2"), "{locals:?}");
                locals
            })
            .await;
        assert_eq!(dropped.load(SeqCst), 0);
        assert_eq!(locals.run(|| DEPTH.get()), Some(999));
        drop(locals);
        assert_eq!(dropped.load(SeqCst), 1);
    });
}

#[test]
fn a_task_knows_itself() {
    on_each_variant(|_| async {
        let this = task::current();
        assert_eq!((this.id(), this.name()), (task::id(), None));
        let parent = this.id();
        let line = line!() + 1;
        let named = task::Builder::new().name("reader").spawn(async move {
            let before = task::current();
            task::yield_now().await;
            let this = task::current();
            assert_eq!(this.to_string(), before.to_string());
            assert_eq!((this.id(), this.parent()), (task::id(), Some(parent)));
            assert_eq!(this.name(), Some("reader"));
            this
        });
        let id = named.id();
        let known = named.await.unwrap();
        assert_eq!((known.id(), known.spawned_at().line()), (id, line));
        assert_eq!(known.spawned_at().file(), file!());
        let text = known.to_string();
        assert!(text.contains("'reader'") && text.contains("locals.rs"), "{text}");
        // Many at once, so that slots and lists are used again.
        let tasks = (0..200).map(|n| {
            task::Builder::new().name(format!("task {n}")).spawn(async move {
                for _ in 0..n % 7 {
                    task::yield_now().await;
                    assert_eq!(task::current().name(), Some(&*format!("task {n}")));
                }
            })
        });
        for task in task::gather(tasks).await {
            task.unwrap();
        }
    });
}

#[test]
fn a_task_knows_itself_while_it_is_dropped_or_turns_another_loop() {
    struct NotesName(Arc<Mutex<Vec<String>>>);
    impl Drop for NotesName {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(task::current().name().unwrap_or("nobody").to_owned());
        }
    }
    on_each_variant(|_| async {
        let names = Arc::new(Mutex::new(Vec::new()));
        let notes = NotesName(names.clone());
        let task = task::Builder::new().name("cancelled").spawn(async move {
            let _notes = notes;
            pending::<()>().await;
        });
        task::yield_now().await;
        task.cancel();
        assert!(task.await.is_err());
        assert_eq!(*names.lock().unwrap(), ["cancelled"]);

        let outer = task::Builder::new().name("outer").spawn(async {
            let event_loop = EventLoop::new().unwrap();
            let inner = event_loop.block_on(async {
                let task = task::Builder::new().name("inner").spawn(async { task::current() });
                assert_eq!(task::current().name(), None, "the future of the loop's `block_on`");
                task.await.unwrap()
            });
            assert_eq!(inner.name(), Some("inner"));
            let runtime = Runtime::builder().worker_threads(1).build().unwrap();
            let _entered = runtime.handle().enter();
            task::current().name().map(str::to_owned)
        });
        assert_eq!(outer.await.unwrap().as_deref(), Some("outer"));
    });
}

#[test]
fn outside_a_task_there_is_none() {
    assert!(task::try_current().is_none());
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    runtime.block_on(async { assert!(task::try_current().is_none()) });
    let payload = std::panic::catch_unwind(task::current).unwrap_err();
    let message = payload.downcast_ref::<&str>().unwrap();
    assert!(message.contains("outside a task"), "{message}");
}

#[derive(Debug, Clone)]
enum Act {
    Scope(u8, u32),
    Leave,
    Yield,
    Inherit,
}

static ONE: TaskLocal<u32> = TaskLocal::new("one");
static TWO: TaskLocal<u32> = TaskLocal::new("two");
static THREE: TaskLocal<u32> = TaskLocal::new("three");

/// Does the acts of one scope, and gives those behind it back.
fn run(mut acts: std::vec::IntoIter<Act>, model: [Option<u32>; 3]) -> Running {
    Box::pin(async move {
        let check = |model| assert_eq!([ONE.get(), TWO.get(), THREE.get()], model);
        check(model);
        while let Some(act) = acts.next() {
            match act {
                Act::Scope(key, value) => {
                    let mut inner = model;
                    inner[usize::from(key)] = Some(value);
                    let key = [&ONE, &TWO, &THREE][usize::from(key)];
                    acts = key.scope(value, run(acts, inner)).await;
                }
                Act::Leave => break,
                Act::Yield => task::yield_now().await,
                Act::Inherit => {
                    let child = task::Builder::new().inherit().spawn(run(acts, model));
                    acts = child.await.unwrap();
                }
            }
            check(model);
        }
        acts
    })
}

type Running = Pin<Box<dyn Future<Output = std::vec::IntoIter<Act>> + Send>>;

proptest! {
    /// Scopes and tasks in each other, against an array of values passed down.
    #[test]
    fn what_is_seen_is_what_was_passed_down(
        acts in prop::collection::vec(
            prop_oneof![
                3 => (0..3u8, any::<u32>()).prop_map(|(key, value)| Act::Scope(key, value)),
                2 => Just(Act::Leave),
                2 => Just(Act::Yield),
                1 => Just(Act::Inherit),
            ],
            0..60,
        ),
    ) {
        whirligig::run(async move {
            let mut rest = acts.into_iter();
            while rest.len() > 0 {
                rest = run(rest, [None; 3]).await;
            }
        });
    }
}
