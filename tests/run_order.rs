//! Where a task stands in the run queue, and how often: woken, giving way, or woken while it runs.
//!
//! A wake has its place in the queue from the moment it is made. A task that gives way goes behind all that were
//! woken meanwhile. None stands there twice, whatever it does in its poll; and a loop that is dropped drops
//! each task in its queue once.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use whirligig::{
    EventLoop, Runtime, WaitsFor, dump, spawn_local,
    task::{self, yield_now},
    time::{TestClock, sleep},
    trace::{self, EventKind, Recorder},
};

/// What a poll does about its own task and one other.
#[derive(Clone, Copy)]
enum Act {
    WakeOneself,
    WakeTheOther,
    GiveWay,
}

impl Act {
    fn perform(self, cx: &mut Context<'_>, other: &Waker) {
        match self {
            Self::WakeOneself => cx.waker().wake_by_ref(),
            Self::WakeTheOther => other.wake_by_ref(),
            Self::GiveWay => assert!(pin!(yield_now()).poll(cx).is_pending()),
        }
    }
}

/// Which are polled after task A, or the root future as A, did `acts` in one poll. The other is b.
fn polled_after(acts: &'static [Act], is_root: bool) -> String {
    let polled = Rc::new(RefCell::new(String::new()));
    let other: Rc<RefCell<Option<Waker>>> = Rc::default();
    let b = {
        let (polled, waker) = (polled.clone(), other.clone());
        poll_fn(move |cx| {
            polled.borrow_mut().push('b');
            *waker.borrow_mut() = Some(cx.waker().clone());
            Poll::<()>::Pending
        })
    };
    let a = {
        let (polled, mut polls) = (polled.clone(), 0);
        poll_fn(move |cx| {
            polls += 1;
            polled.borrow_mut().push('A');
            match polls {
                // The other has a turn, so that there is another to wake.
                1 => cx.waker().wake_by_ref(),
                2 => {
                    polled.borrow_mut().clear();
                    let other = other.borrow().clone().expect("b was polled");
                    acts.iter().for_each(|act| act.perform(cx, &other));
                }
                _ => {}
            }
            Poll::<()>::Pending
        })
    };
    // A test clock goes on when there is nothing to do any more.
    let event_loop = EventLoop::builder().test_clock(&TestClock::new()).build().unwrap();
    if is_root {
        event_loop.block_on(async {
            spawn_local(b);
            let mut a = pin!(a);
            let mut over = pin!(sleep(Duration::from_millis(1)));
            poll_fn(|cx| {
                let over = over.as_mut().poll(cx);
                if over.is_pending() {
                    assert!(a.as_mut().poll(cx).is_pending());
                }
                over
            })
            .await;
        });
    } else {
        event_loop.spawn_local(a);
        event_loop.spawn_local(b);
        while event_loop.turn(Some(Duration::ZERO)).unwrap().ready {}
    }
    polled.take()
}

#[test]
fn what_is_woken_first_runs_first_also_a_task_that_wakes_itself() {
    use Act::{GiveWay, WakeOneself, WakeTheOther};
    for (acts, expected) in [
        (&[WakeOneself, WakeTheOther][..], "Ab"),
        (&[WakeTheOther, WakeOneself], "bA"),
        // To give way is to go behind all who were woken meanwhile.
        (&[GiveWay, WakeTheOther], "bA"),
        (&[WakeTheOther, GiveWay], "bA"),
        // Once, and where the wake put it.
        (&[WakeOneself, WakeTheOther, GiveWay], "Ab"),
        (&[GiveWay, WakeOneself, WakeTheOther], "Ab"),
        (&[WakeOneself, WakeOneself, GiveWay, GiveWay], "A"),
        (&[GiveWay, GiveWay, WakeOneself, WakeOneself], "A"),
        (&[], ""),
    ] {
        assert_eq!(polled_after(acts, false), expected, "of a task");
        assert_eq!(polled_after(acts, true), expected, "of a root future");
    }
}

/// Wakes all tasks when it is dropped, and counts.
struct Bell {
    rung: Rc<Cell<usize>>,
    wakers: Rc<RefCell<Vec<Waker>>>,
}

impl Drop for Bell {
    fn drop(&mut self) {
        self.rung.set(self.rung.get() + 1);
        self.wakers.borrow().iter().for_each(Waker::wake_by_ref);
    }
}

#[test]
fn a_loop_drops_each_task_in_its_queue_once_whichever_way_it_came() {
    let (rung, wakers) = (Rc::new(Cell::new(0)), Rc::default());
    let event_loop = EventLoop::new().unwrap();
    let spawn = |act: Option<Act>| {
        let bell = Bell { rung: Rc::clone(&rung), wakers: Rc::clone(&wakers) };
        event_loop.spawn_local(poll_fn(move |cx| {
            let before = bell.wakers.borrow().last().cloned();
            bell.wakers.borrow_mut().push(cx.waker().clone());
            if let Some(act) = act {
                act.perform(cx, &before.expect("another was polled before"));
            }
            Poll::<()>::Pending
        }));
    };
    let acts = [Act::WakeTheOther, Act::WakeOneself, Act::GiveWay].map(Some);
    [None, None].into_iter().chain(acts).for_each(spawn);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    spawn(None);
    let scheduled: Vec<_> = event_loop.dump().tasks.iter().map(|task| task.scheduled).collect();
    assert_eq!(scheduled, [false, true, false, true, true, true]);
    let recorder = Recorder::start();
    drop(event_loop);
    let lines = recorder.lines();
    let cancelled = lines.iter().filter(|line| line.ends_with(" cancelled")).count();
    assert_eq!(cancelled, 6, "{lines:#?}");
    assert!(!lines.iter().any(|line| line.ends_with(" scheduled")), "{lines:#?}");
    assert_eq!((rung.get(), Rc::strong_count(&wakers)), (6, 1));
}

#[test]
fn the_slot_of_a_task_that_wakes_itself_and_ends_is_not_polled_for_another() {
    let event_loop = EventLoop::new().unwrap();
    let polls = Rc::new(Cell::new(0));
    let spawn_counted = {
        let polls = polls.clone();
        move || {
            let polls = polls.clone();
            drop(spawn_local(poll_fn(move |_| {
                polls.set(polls.get() + 1);
                Poll::<()>::Pending
            })));
        }
    };
    event_loop.block_on(async {
        let mut last = spawn_local(async {});
        for way in [Act::WakeOneself, Act::GiveWay] {
            let spawn_counted = spawn_counted.clone();
            last = spawn_local(poll_fn(move |cx| {
                way.perform(cx, Waker::noop());
                // While the slot of the one that ends here may or may not be free.
                spawn_counted();
                Poll::Ready(())
            }));
        }
        last.await.unwrap();
        for _ in 0..5 {
            spawn_counted();
            yield_now().await;
            yield_now().await;
        }
    });
    assert_eq!(polls.get(), 7, "one poll each");
}

#[test]
fn a_root_that_returned_while_it_was_scheduled_does_not_have_the_next_run_twice_a_turn() {
    let event_loop = EventLoop::new().unwrap();
    for act in [Act::WakeOneself, Act::GiveWay] {
        let ends = poll_fn(|cx| {
            act.perform(cx, Waker::noop());
            Poll::Ready(())
        });
        event_loop.block_on(ends);
        let order = Rc::new(RefCell::new(String::new()));
        let log = order.clone();
        event_loop.block_on(async {
            let other = spawn_local(async move {
                for _ in 0..3 {
                    log.borrow_mut().push('b');
                    yield_now().await;
                }
            });
            while !other.is_finished() {
                order.borrow_mut().push('A');
                yield_now().await;
            }
        });
        assert_eq!(order.take(), "AbAbAbA", "each has one poll in a turn");
    }
}

#[test]
fn a_listener_that_hears_of_a_poll_may_wake_the_task() {
    let event_loop = EventLoop::new().unwrap();
    let (polls, waker) = (Rc::new(Cell::new(0)), Rc::new(RefCell::new(None::<Waker>)));
    for gives_way in [false, true] {
        let (counted, kept) = (polls.clone(), waker.clone());
        event_loop.spawn_local(poll_fn(move |cx| {
            counted.set(counted.get() + 1);
            *kept.borrow_mut() = Some(cx.waker().clone());
            if gives_way {
                Act::GiveWay.perform(cx, Waker::noop());
            }
            if counted.get() < 5 { Poll::Pending } else { Poll::Ready(()) }
        }));
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let heard = waker.clone();
        let listening = trace::listen(move |event| {
            if let EventKind::Polled { .. } | EventKind::Waits { .. } = event.kind
                && let Some(waker) = &*heard.borrow()
            {
                waker.wake_by_ref();
            }
        });
        waker.borrow().as_ref().expect("it was polled").wake_by_ref();
        for before in 1..5 {
            assert_eq!(polls.get(), before, "gives way: {gives_way}");
            event_loop.turn(Some(Duration::ZERO)).unwrap();
        }
        drop(listening);
        drop(waker.take());
        // Each entry of the queue that is popped counts as a poll.
        assert_eq!(event_loop.stats().polls, if gives_way { 10 } else { 5 });
        assert_eq!(polls.replace(0), 5);
    }
}

/// The waker of the task that asks.
async fn own_waker() -> Waker {
    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await
}

fn one_worker() -> Runtime {
    Runtime::builder().worker_threads(1).build().unwrap()
}

#[test]
fn a_task_woken_while_it_blocks_on_a_runtime_stands_in_the_queue_once() {
    let event_loop = EventLoop::new().unwrap();
    let task = event_loop.spawn_local(async {
        let runtime = one_worker();
        let own = own_waker().await;
        runtime.block_on(async { own.wake_by_ref() });
        yield_now().await;
        yield_now().await;
    });
    while event_loop.turn(Some(Duration::ZERO)).unwrap().ready {}
    assert!(task.is_finished());
    // Each entry of the queue that is popped counts as a poll.
    assert_eq!(event_loop.stats().polls, 3);
}

#[test]
fn a_wake_of_an_outer_task_is_nothing_to_the_future_it_blocks_on() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let runtime = one_worker();
        let own = own_waker().await;
        // It gives way, and then wakes the other: it must run again all the same.
        let polls = runtime.block_on(async {
            let mut polls = 0;
            let mut gives_way = pin!(yield_now());
            poll_fn(|cx| {
                polls += 1;
                let polled = gives_way.as_mut().poll(cx);
                own.wake_by_ref();
                polled.map(|()| polls)
            })
            .await
        });
        assert_eq!(polls, 2);
        // And what may block there may do so afterwards.
        let ten = runtime.block_on(async {
            task::block_in_place(|| {
                own.wake_by_ref();
                runtime.spawn(async { 10 }).wait().unwrap()
            })
        });
        assert_eq!(ten, 10);
    });
}

#[test]
fn a_task_that_gives_way_and_is_woken_waits_for_its_turn() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.spawn_local(poll_fn(|cx| {
        [Act::GiveWay, Act::WakeOneself].iter().for_each(|act| act.perform(cx, Waker::noop()));
        Poll::<()>::Pending
    }));
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let found = &event_loop.dump().tasks[0];
    assert_eq!(found.waits.map(|(what, _)| what), Some(WaitsFor::Turn));
    assert!(found.scheduled);
}

#[test]
fn a_loop_that_closes_says_of_no_task_that_it_is_scheduled() {
    struct Dumps(Rc<RefCell<Vec<bool>>>);
    impl Drop for Dumps {
        fn drop(&mut self) {
            let dump = dump();
            self.0.borrow_mut().extend(dump.tasks.iter().map(|task| task.scheduled));
        }
    }

    let scheduled = Rc::default();
    let event_loop = EventLoop::new().unwrap();
    let dumps = Dumps(Rc::clone(&scheduled));
    event_loop.spawn_local(async move {
        let _dumps = dumps;
        pending::<()>().await;
    });
    event_loop.spawn_local(pending::<()>());
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    event_loop.spawn_local(pending::<()>());
    drop(event_loop);
    assert_eq!(*scheduled.borrow(), [false; 3]);
}
