//! Wakers at their worst: stale, late, foreign, and many.
//!
//! A waker of this library is a number, so any of its uses must be safe for ever, and a stale one
//! must do nothing but, at the worst, cause a spurious poll. Polls are counted by the futures here.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    rc::Rc,
    sync::{
        Arc, Barrier, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

use whirligig::{EventLoop, spawn_local, task::yield_now};

/// A future that counts its polls, keeps its last waker, and ends when told to.
#[derive(Default, Clone)]
struct Watched(Rc<Inner>);

#[derive(Default)]
struct Inner {
    polls: Cell<usize>,
    waker: RefCell<Option<Waker>>,
    ends: Cell<bool>,
}

impl Watched {
    fn future(&self) -> impl Future<Output = ()> + 'static {
        let inner = self.0.clone();
        poll_fn(move |cx| {
            inner.polls.set(inner.polls.get() + 1);
            *inner.waker.borrow_mut() = Some(cx.waker().clone());
            if inner.ends.get() { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn polls(&self) -> usize {
        self.0.polls.get()
    }

    fn waker(&self) -> Waker {
        self.0.waker.borrow().clone().expect("it was polled")
    }
}

/// Everything that is ready, and what that makes ready.
fn settle(event_loop: &EventLoop) {
    while event_loop.turn(Some(Duration::ZERO)).unwrap().ready {}
}

#[test]
fn a_wake_is_one_poll_and_several_before_it_are_one_too() {
    let event_loop = EventLoop::new().unwrap();
    let watched = Watched::default();
    event_loop.spawn_local(watched.future());
    settle(&event_loop);
    assert_eq!(watched.polls(), 1);
    for _ in 0..3 {
        watched.waker().wake_by_ref();
    }
    watched.waker().wake();
    settle(&event_loop);
    assert_eq!(watched.polls(), 2);
}

#[test]
fn a_task_that_wakes_itself_in_its_poll_runs_again_in_the_next_turn() {
    let event_loop = EventLoop::new().unwrap();
    let polls = Rc::new(Cell::new(0));
    let counted = polls.clone();
    event_loop.spawn_local(poll_fn::<(), _>(move |cx| {
        counted.set(counted.get() + 1);
        cx.waker().wake_by_ref();
        let clone = cx.waker().clone();
        clone.wake();
        Poll::Pending
    }));
    for turn in 1..=5 {
        assert!(event_loop.turn(Some(Duration::ZERO)).unwrap().ready);
        assert_eq!(polls.get(), turn);
    }
}

#[test]
fn the_waker_of_a_task_that_ended_does_not_reach_the_next_in_its_slot() {
    let event_loop = EventLoop::new().unwrap();
    let old = Watched::default();
    old.0.ends.set(true);
    event_loop.spawn_local(old.future());
    settle(&event_loop);
    old.waker().wake();
    settle(&event_loop);
    assert_eq!(old.polls(), 1);

    // The only free slot: a new task moves into it.
    let new = Watched::default();
    event_loop.spawn_local(new.future());
    settle(&event_loop);
    for _ in 0..10 {
        old.waker().wake();
        let stale = old.waker();
        thread::spawn(move || stale.wake()).join().unwrap();
        settle(&event_loop);
    }
    assert_eq!((old.polls(), new.polls()), (1, 1));
    assert!(!old.waker().will_wake(&new.waker()));
}

#[test]
fn a_slot_whose_number_is_in_the_run_queue_is_not_given_away() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        // It wakes itself and ends: its number stands in the run queue without a task.
        spawn_local(poll_fn(|cx| {
            cx.waker().wake_by_ref();
            Poll::Ready(())
        }));
        let first = Watched::default();
        let spawns = first.clone();
        spawn_local(async move { drop(spawn_local(spawns.future())) });
        yield_now().await;
        // The task that was spawned behind the tombstone is polled for its spawning, and only for it.
        for _ in 0..3 {
            yield_now().await;
        }
        assert_eq!(first.polls(), 1);
    });
}

#[test]
fn a_generation_that_has_wrapped_costs_one_spurious_poll_at_most() {
    let event_loop = EventLoop::new().unwrap();
    let old = Watched::default();
    old.0.ends.set(true);
    event_loop.spawn_local(old.future());
    settle(&event_loop);
    let mut fitted = 0;
    for _ in 0..(1 << 16) + 10 {
        let new = Watched::default();
        let handle = event_loop.spawn_local(new.future());
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        if new.waker().will_wake(&old.waker()) {
            old.waker().wake();
            settle(&event_loop);
            assert_eq!(new.polls(), 2);
            fitted += 1;
        }
        new.0.ends.set(true);
        new.waker().wake();
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        assert!(handle.is_finished());
    }
    assert_eq!(fitted, 1, "of 65,535 generations one is the old one");
}

#[test]
fn the_waker_of_a_root_future_is_stale_when_block_on_returns() {
    let event_loop = EventLoop::new().unwrap();
    let waker = event_loop.block_on(poll_fn(|cx| Poll::Ready(cx.waker().clone())));
    let watched = Watched::default();
    let (root, tell) = (watched.clone(), watched.clone());
    event_loop.block_on(async move {
        spawn_local(async move {
            for _ in 0..3 {
                waker.wake_by_ref();
                yield_now().await;
            }
            tell.0.ends.set(true);
            tell.waker().wake();
        });
        root.future().await;
    });
    assert_eq!(watched.polls(), 2);
}

#[test]
fn the_waker_of_a_loop_that_is_gone_does_nothing_to_later_loops() {
    let mut stale = Vec::new();
    // Loop numbers are recycled, so many of these share one.
    for _ in 0..500 {
        let event_loop = EventLoop::new().unwrap();
        let watched = Watched::default();
        event_loop.spawn_local(watched.future());
        settle(&event_loop);
        stale.iter().for_each(Waker::wake_by_ref);
        settle(&event_loop);
        assert_eq!(watched.polls(), 1);
        stale.push(watched.waker());
        watched.waker().wake();
        drop(event_loop);
        watched.waker().wake();
        assert_eq!(watched.polls(), 1);
    }
    thread::spawn(move || stale.into_iter().for_each(Waker::wake)).join().unwrap();
}

#[test]
fn wakes_of_a_thread_that_is_being_destroyed_arrive() {
    /// Wakes as it is dropped, or has its own thread's last word.
    struct WakesAtTheEnd(Option<Waker>);
    impl Drop for WakesAtTheEnd {
        fn drop(&mut self) {
            let waker = self.0.take().unwrap();
            drop(waker.clone());
            waker.wake_by_ref();
            waker.wake();
        }
    }
    thread_local! {
        static AT_EXIT: RefCell<Option<WakesAtTheEnd>> = const { RefCell::new(None) };
    }
    let wake_at_exit = |waker: Waker, run_loop: bool| {
        let body = move || {
            AT_EXIT.set(Some(WakesAtTheEnd(Some(waker))));
            if run_loop {
                // Used after ours, the library's own locals are destroyed before it.
                whirligig::run(async {});
            }
        };
        thread::spawn(body).join().unwrap();
    };
    let event_loop = EventLoop::new().unwrap();
    let watched = Watched::default();
    event_loop.spawn_local(watched.future());
    settle(&event_loop);
    for run_loop in [false, true] {
        wake_at_exit(watched.waker(), run_loop);
    }
    settle(&event_loop);
    assert_eq!(watched.polls(), 2, "they came before the loop turned: one poll");
    let waker = watched.waker();
    drop(event_loop);
    wake_at_exit(waker, true);
}

#[test]
fn equal_wakers_wake_the_same_task_and_others_do_not() {
    let (first, second) = (Watched::default(), Watched::default());
    let event_loop = EventLoop::new().unwrap();
    event_loop.spawn_local(first.future());
    event_loop.spawn_local(second.future());
    settle(&event_loop);
    let before = first.waker();
    before.wake_by_ref();
    settle(&event_loop);
    assert_eq!(first.polls(), 2);
    assert!(first.waker().will_wake(&before), "the same task, polled again");
    assert!(before.clone().will_wake(&before));
    assert!(!first.waker().will_wake(&second.waker()));
    assert!(!first.waker().will_wake(Waker::noop()));

    let other = EventLoop::new().unwrap();
    let third = Watched::default();
    other.spawn_local(third.future());
    settle(&other);
    assert!(!first.waker().will_wake(&third.waker()), "the first task of another loop");
}

const THREADS: usize = 4;
const WAKES: usize = 100_000;

#[test]
fn of_100_000_wakes_from_four_threads_none_is_lost() {
    let sent = Arc::new(AtomicUsize::new(0));
    let shared: Arc<OnceLock<Waker>> = Arc::default();
    let begin = Arc::new(Barrier::new(THREADS));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let (sent, shared, begin) = (sent.clone(), shared.clone(), begin.clone());
            thread::spawn(move || {
                let waker = shared.wait();
                begin.wait();
                for _ in 0..WAKES / THREADS {
                    sent.fetch_add(1, SeqCst);
                    waker.wake_by_ref();
                }
            })
        })
        .collect();
    // Were the last of them lost, this would never end.
    let mut counted = 0;
    whirligig::run(poll_fn(|cx| {
        shared.get_or_init(|| cx.waker().clone());
        counted += sent.swap(0, SeqCst);
        if counted == WAKES { Poll::Ready(()) } else { Poll::Pending }
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(sent.load(SeqCst), 0);
}

#[test]
fn each_wake_of_four_threads_that_wait_for_its_effect_has_one() {
    const EACH: usize = 2_500;
    struct Post {
        waker: OnceLock<Waker>,
        letters: [AtomicBool; THREADS],
    }
    let post = Arc::new(Post { waker: OnceLock::new(), letters: Default::default() });
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let post = post.clone();
            thread::spawn(move || {
                let waker = post.waker.wait();
                for _ in 0..EACH {
                    post.letters[n].store(true, SeqCst);
                    waker.wake_by_ref();
                    // The next wake is sent only when this one was answered: none may hide another.
                    while post.letters[n].load(SeqCst) {
                        thread::park();
                    }
                }
            })
        })
        .collect();
    let mut answered = 0;
    whirligig::run(poll_fn(|cx| {
        post.waker.get_or_init(|| cx.waker().clone());
        for (letter, thread) in post.letters.iter().zip(&threads) {
            if letter.swap(false, SeqCst) {
                answered += 1;
                thread.thread().unpark();
            }
        }
        if answered == THREADS * EACH { Poll::Ready(()) } else { Poll::Pending }
    }));
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn ten_thousand_tasks_each_woken_once_from_elsewhere_all_end() {
    const TASKS: usize = 10_000;
    type Woken = (Waker, Arc<AtomicBool>);
    let wakers: Arc<Mutex<Vec<Woken>>> = Arc::default();
    let event_loop = EventLoop::new().unwrap();
    let handles: Vec<_> = (0..TASKS)
        .map(|_| {
            let (wakers, woken) = (wakers.clone(), Arc::new(AtomicBool::new(false)));
            event_loop.spawn_local(poll_fn(move |cx| {
                if woken.load(SeqCst) {
                    return Poll::Ready(());
                }
                wakers.lock().unwrap().push((cx.waker().clone(), woken.clone()));
                Poll::Pending
            }))
        })
        .collect();
    settle(&event_loop);
    let polls_before = event_loop.stats().polls;
    let mut wakers = std::mem::take(&mut *wakers.lock().unwrap());
    let threads: Vec<_> = (0..THREADS)
        .map(|n| {
            let share = wakers.split_off(wakers.len() - wakers.len() / (THREADS - n));
            thread::spawn(move || {
                for (waker, woken) in share {
                    woken.store(true, SeqCst);
                    waker.wake();
                }
            })
        })
        .collect();
    event_loop.block_on(async {
        for handle in handles {
            handle.await.unwrap();
        }
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let polls = event_loop.stats().polls - polls_before;
    assert!(polls >= TASKS as u64, "each was polled for its wake");
}

#[test]
fn a_waker_may_be_kept_beyond_everything() {
    static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());
    let body = || {
        whirligig::run(async {
            for _ in 0..10 {
                spawn_local(poll_fn(|cx| {
                    KEPT.lock().unwrap().push(cx.waker().clone());
                    Poll::<()>::Pending
                }));
            }
            yield_now().await;
        });
    };
    thread::spawn(body).join().unwrap();
    // Task, loop and thread are gone. Other loops may have their numbers now.
    let watched = Watched::default();
    let event_loop = EventLoop::new().unwrap();
    event_loop.spawn_local(watched.future());
    settle(&event_loop);
    let kept = KEPT.lock().unwrap().clone();
    assert_eq!(kept.len(), 10);
    kept.iter().for_each(Waker::wake_by_ref);
    settle(&event_loop);
    assert_eq!(watched.polls(), 1);
}
