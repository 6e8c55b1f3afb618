//! The turn: what runs when, how much in one poll, and when the loop looks at its sockets meanwhile.
//!
//! Fairness shows in the order of polls, and looking in the trace and the statistics; time has no
//! part in it. Where a poll has to be slow it works for a millisecond.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    future::{Future, poll_fn},
    io::{Read, Write, pipe},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    thread,
    time::Duration,
};

use whirligig::{
    EventLoop,
    io::Source,
    queue, spawn_local, task,
    task::{unconstrained, yield_now},
    time::{Instant, TestClock, sleep_until},
    trace::{self, Cause, EventKind},
};

/// Ready operations in one poll.
const BUDGET: usize = 128;

fn under_test_clock() -> EventLoop {
    EventLoop::builder().test_clock(&TestClock::new()).build().unwrap()
}

/// Runs a task that never waits beside one that yields, and returns how many operations the first one
/// did between each two polls of the second.
fn beside_a_greedy_task<F, G>(greedy: F) -> Vec<usize>
where
    F: FnOnce(Rc<Cell<usize>>) -> G,
    G: Future<Output = ()> + 'static,
{
    let operations = Rc::new(Cell::new(0));
    let event_loop = under_test_clock();
    event_loop.spawn_local(greedy(operations.clone()));
    event_loop.block_on(async {
        let mut shares = Vec::new();
        for _ in 0..10 {
            operations.set(0);
            yield_now().await;
            shares.push(operations.get());
        }
        shares
    })
}

#[test]
fn an_always_ready_queue_does_not_starve_another_task() {
    let shares = beside_a_greedy_task(|operations| async move {
        let queue = queue::local::Queue::unbounded();
        loop {
            queue.try_put(()).unwrap();
            queue.get().await.unwrap();
            operations.set(operations.get() + 1);
        }
    });
    assert_eq!(shares, [BUDGET; 10]);

    let shares = beside_a_greedy_task(|operations| async move {
        let queue = queue::Queue::bounded(1);
        loop {
            queue.put(()).await.unwrap();
            operations.set(operations.get() + 1);
            queue.get().await.unwrap();
            operations.set(operations.get() + 1);
        }
    });
    assert_eq!(shares, [BUDGET; 10], "a put counts as much as a get");
}

#[test]
fn an_always_ready_timer_does_not_starve_another_task() {
    let shares = beside_a_greedy_task(|operations| async move {
        loop {
            sleep_until(Instant::now()).await;
            operations.set(operations.get() + 1);
        }
    });
    assert_eq!(shares, [BUDGET; 10]);
}

#[test]
fn an_always_ready_source_does_not_starve_another_task() {
    let shares = beside_a_greedy_task(|operations| async move {
        let zeroes = Source::new(File::open("/dev/zero").unwrap()).unwrap();
        loop {
            zeroes.read_with(|mut file| file.read(&mut [0; 1])).await.unwrap();
            operations.set(operations.get() + 1);
        }
    });
    assert_eq!(shares, [BUDGET; 10]);
}

#[test]
fn tasks_that_have_ended_already_do_not_let_their_awaiter_starve_another() {
    let shares = beside_a_greedy_task(|operations| async move {
        loop {
            let ended: Vec<_> = (0..2 * BUDGET).map(|_| spawn_local(async {})).collect();
            yield_now().await;
            operations.set(0);
            for handle in ended {
                handle.await.unwrap();
                operations.set(operations.get() + 1);
            }
        }
    });
    assert!(shares.iter().all(|&share| share <= BUDGET), "{shares:?}");
    assert!(shares.contains(&BUDGET), "{shares:?}");
}

#[test]
fn a_task_that_yields_for_ever_starves_nobody() {
    let shares = beside_a_greedy_task(|operations| async move {
        loop {
            operations.set(operations.get() + 1);
            yield_now().await;
        }
    });
    assert_eq!(shares, [1; 10]);
}

#[test]
fn the_budget_is_one_for_all_kinds_of_leaves_and_new_in_each_poll() {
    let event_loop = under_test_clock();
    let log = Rc::new(RefCell::new(Vec::new()));
    for name in ["first", "second"] {
        let log = log.clone();
        event_loop.spawn_local(async move {
            let queue = queue::local::Queue::unbounded();
            for n in 0..BUDGET {
                queue.try_put(n).unwrap();
                // Never counted, however many.
                let kept = queue.try_get().unwrap();
                queue.try_put(kept).unwrap();
                if n % 2 == 0 {
                    queue.get().await.unwrap();
                } else {
                    sleep_until(Instant::now()).await;
                }
            }
            log.borrow_mut().push((name, "128 done"));
            sleep_until(Instant::now()).await;
            log.borrow_mut().push((name, "129 done"));
        });
    }
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(*log.borrow(), [("first", "128 done"), ("second", "128 done")]);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(log.borrow()[2..], [("first", "129 done"), ("second", "129 done")]);
}

#[test]
fn unconstrained_lifts_the_budget_for_what_is_inside() {
    let event_loop = under_test_clock();
    let done = Rc::new(Cell::new(0));
    let counted = done.clone();
    event_loop.spawn_local(async move {
        let operations = |n| {
            let counted = &counted;
            async move {
                for _ in 0..n {
                    sleep_until(Instant::now()).await;
                    counted.set(counted.get() + 1);
                }
            }
        };
        operations(BUDGET - 1).await;
        unconstrained(operations(1_000)).await;
        // What was left before is left after.
        operations(2).await;
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(done.get(), BUDGET - 1 + 1_000 + 1);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(done.get(), BUDGET - 1 + 1_000 + 2);
}

#[test]
fn a_nested_loop_has_a_budget_of_its_own() {
    let event_loop = under_test_clock();
    let done = Rc::new(Cell::new(0));
    let counted = done.clone();
    event_loop.spawn_local(async move {
        for _ in 0..BUDGET {
            sleep_until(Instant::now()).await;
            if counted.get() == 100 {
                under_test_clock().block_on(async {
                    for _ in 0..BUDGET * 3 {
                        sleep_until(Instant::now()).await;
                    }
                });
            }
            counted.set(counted.get() + 1);
        }
        sleep_until(Instant::now()).await;
        unreachable!("that is one more than a poll may do");
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(done.get(), BUDGET);
}

#[test]
fn what_a_turn_wakes_runs_in_the_next() {
    let event_loop = under_test_clock();
    let log = Rc::new(RefCell::new(Vec::new()));
    for n in 0..3 {
        let log = log.clone();
        event_loop.spawn_local(async move {
            log.borrow_mut().push((n, "first"));
            let logged = log.clone();
            spawn_local(async move { logged.borrow_mut().push((n, "child")) });
            yield_now().await;
            log.borrow_mut().push((n, "second"));
        });
    }
    for turn in 1..=2 {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let expected = [
            (0, "first"),
            (1, "first"),
            (2, "first"),
            // Behind the turn's end, in the order in which they became ready.
            (0, "child"),
            (0, "second"),
            (1, "child"),
            (1, "second"),
            (2, "child"),
            (2, "second"),
        ];
        assert_eq!(*log.borrow(), expected[..if turn == 1 { 3 } else { 9 }]);
    }
    assert_eq!(event_loop.stats().turns, 2);
}

/// Turns that pass, one after the other, while a task yields `times` times beside another that does.
fn turns_of(event_loop: &EventLoop, times: usize) -> u64 {
    let before = event_loop.stats();
    event_loop.block_on(async {
        let beside = spawn_local(async move {
            for _ in 0..times {
                yield_now().await;
            }
        });
        for _ in 0..times {
            yield_now().await;
        }
        beside.await.unwrap();
    });
    let after = event_loop.stats();
    // Two tasks, each polled once more than it yields; and nobody twice in a turn.
    assert!(after.polls - before.polls >= 2 * (times as u64 + 1));
    after.turns - before.turns
}

#[test]
fn turns_that_have_only_their_batch_to_do_are_counted() {
    // Nothing to do but the batch.
    let event_loop = EventLoop::new().unwrap();
    let alone = turns_of(&event_loop, 1_000);
    assert!((1_001..=1_004).contains(&alone), "{alone}");
    // With a timer in the wheel each turn asks whether it is due.
    let event_loop = under_test_clock();
    event_loop.spawn_local(sleep_until(Instant::now() + Duration::from_secs(3600)));
    assert_eq!(turns_of(&event_loop, 1_000), alone);
}

#[test]
fn a_host_gets_the_one_turn_it_asked_for_however_long_it_would_wait() {
    let event_loop = EventLoop::new().unwrap();
    let yields = event_loop.spawn_local(async {
        for _ in 0..3 {
            yield_now().await;
        }
    });
    for turn in 1..=3 {
        let turned = event_loop.turn(None).unwrap();
        assert_eq!((event_loop.stats().turns, turned.ready), (turn, true), "with more ready");
    }
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert!(yields.is_finished());
}

#[test]
fn a_turn_that_has_done_something_does_not_wait() {
    let event_loop = EventLoop::new().unwrap();
    // A task that ends, and leaves nothing to wait for.
    let task = event_loop.spawn_local(async {});
    assert!(!event_loop.turn(None).unwrap().ready);
    assert!(task.is_finished());
    // A closure from elsewhere, with no task at all.
    let called = Arc::new(AtomicBool::new(false));
    let calls = called.clone();
    let handle = event_loop.handle();
    handle.call_soon_threadsafe(move || calls.store(true, Ordering::Relaxed)).unwrap();
    event_loop.turn(None).unwrap();
    assert!(called.load(Ordering::Relaxed));
}

#[test]
fn messages_are_taken_in_the_next_turn_however_busy_the_loop_is() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    event_loop.block_on(async move {
        for _ in 0..10 {
            yield_now().await;
        }
        let came = Arc::new(AtomicBool::new(false));
        let comes = came.clone();
        handle.call_soon_threadsafe(move || comes.store(true, Ordering::Relaxed)).unwrap();
        assert!(!came.load(Ordering::Relaxed), "not at once");
        yield_now().await;
        assert!(came.load(Ordering::Relaxed), "in step 1 of the next turn");
    });
}

/// A pipe whose reader is a task, woken by a write in the midst of a batch; and what was heard of it.
#[derive(Default)]
struct Heard {
    polls: Cell<usize>,
    /// Polls when the source was found ready, and when its task was woken by it.
    ready_at: Cell<usize>,
    woken_at: Cell<usize>,
}

fn listen(heard: &Rc<Heard>) -> trace::Listening {
    let heard = heard.clone();
    trace::listen(move |event| match event.kind {
        EventKind::Polled { .. } => heard.polls.set(heard.polls.get() + 1),
        EventKind::Ready { .. } => heard.ready_at.set(heard.polls.get()),
        EventKind::Woken { by: Cause::Source(_), .. } => heard.woken_at.set(heard.polls.get()),
        _ => {}
    })
}

/// Fills a loop with `tasks` that work and then yield, the first of which makes a pipe readable.
/// Returns the loop's record, and how many of them had run twice when the reader ran.
fn batch_with_a_reader(event_loop: &EventLoop, tasks: usize, work: fn()) -> (Rc<Heard>, usize) {
    let (reader, mut writer) = pipe().unwrap();
    let reader = Source::new(reader).unwrap();
    let twice = Rc::new(Cell::new(0));
    let seen = twice.clone();
    let reading = event_loop.spawn_local(async move {
        reader.read_with(|mut pipe| pipe.read_exact(&mut [0])).await.unwrap();
        seen.get()
    });
    // The reader waits from here on.
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let heard = Rc::<Heard>::default();
    let listening = listen(&heard);
    event_loop.block_on(async {
        for n in 0..tasks {
            if n == 0 {
                writer.write_all(b"x").unwrap();
            }
            let twice = twice.clone();
            spawn_local(async move {
                work();
                yield_now().await;
                twice.set(twice.get() + 1);
            });
        }
        let seen = reading.await.unwrap();
        drop(listening);
        (heard, seen)
    })
}

#[test]
fn a_batch_of_100_000_tasks_does_not_blind_the_loop_to_its_sockets() {
    const TASKS: usize = 100_000;
    let event_loop = under_test_clock();
    let (heard, seen) = batch_with_a_reader(&event_loop, TASKS, || ());
    // Where time stands still a look is due each 64 polls.
    assert!(heard.ready_at.get() <= 2 * 64, "found after {} polls", heard.ready_at.get());
    assert_eq!(heard.woken_at, heard.ready_at);
    // The reader runs in its turn: before all that became ready after it.
    assert!(seen <= 2 * 64, "{seen} tasks that were ready later ran before it");
    let stats = event_loop.stats();
    // As long as there is a source, which goes with its reader.
    let looks = TASKS as u64 / 64;
    assert!((looks - 2..=looks + 4).contains(&stats.looks), "{stats:?}");
    assert_eq!(stats.parks, 0);
}

#[test]
fn a_quick_batch_on_the_real_clock_is_looked_out_of_too() {
    let event_loop = EventLoop::new().unwrap();
    let (heard, seen) = batch_with_a_reader(&event_loop, 100_000, || ());
    assert!(heard.ready_at.get() < 100_000, "found before the batch was over");
    assert!(seen < 100_000);
    assert!(event_loop.stats().looks > 0);
}

fn a_millisecond_of_work() {
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
}

#[test]
fn polls_of_a_millisecond_each_do_not_blind_the_loop_to_its_sockets() {
    const TASKS: usize = 30;
    let event_loop = EventLoop::new().unwrap();
    let (heard, _) = batch_with_a_reader(&event_loop, TASKS, a_millisecond_of_work);
    // The root, the first that worked, and the one that ran when the look was due.
    assert!(heard.ready_at.get() <= 4, "found after {} polls", heard.ready_at.get());
    let stats = event_loop.stats();
    assert!(stats.looks as usize >= TASKS - 6, "{stats:?}");
    assert!(stats.clock_samples >= stats.looks, "{stats:?}");
}

#[test]
fn a_loop_without_sources_and_timers_reads_no_clock_and_asks_no_kernel() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let tasks: Vec<_> = (0..1_000).map(|_| spawn_local(yield_now())).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
    let stats = event_loop.stats();
    assert_eq!((stats.looks, stats.clock_samples, stats.parks, stats.events), (0, 0, 0, 0));
    assert_eq!((stats.spawned, stats.ended), (1_000, 1_000));
    assert_eq!((stats.timer_arms, stats.registrations, stats.messages), (0, 0, 0));
}

/// Sends a byte to and fro between a loop and a thread, so often that the loop has learnt.
fn to_and_fro(event_loop: &EventLoop, times: usize) {
    let (to_loop, mut from_thread) = pipe().unwrap();
    let (mut to_thread, mut from_loop) = pipe().unwrap();
    let echo = thread::spawn(move || {
        let mut byte = [0];
        while to_thread.read_exact(&mut byte).is_ok() {
            from_thread.write_all(&byte).unwrap();
        }
    });
    event_loop.block_on(async {
        let reader = Source::new(to_loop).unwrap();
        for _ in 0..times {
            from_loop.write_all(b"x").unwrap();
            reader.read_with(|mut pipe| pipe.read_exact(&mut [0])).await.unwrap();
        }
    });
    drop(from_loop);
    echo.join().unwrap();
}

#[test]
fn a_loop_spins_before_it_parks_only_if_it_was_built_to() {
    let off = EventLoop::new().unwrap();
    to_and_fro(&off, 1_000);
    let stats = off.stats();
    assert_eq!((stats.spins, stats.spins_in_vain), (0, 0));
    assert!(stats.parks > 0, "{stats:?}");

    // Whether it pays is the machine's affair; the counts must agree.
    let on = EventLoop::builder().spin_before_park(true).build().unwrap();
    to_and_fro(&on, 1_000);
    let stats = on.stats();
    assert!(stats.spins >= stats.spins_in_vain, "{stats:?}");
    assert!(stats.parks + stats.spins + stats.looks > 0, "{stats:?}");

    let test = under_test_clock();
    to_and_fro(&test, 100);
    assert_eq!(test.stats().spins, 0);
}

#[test]
fn statistics_count_what_was_done() {
    let event_loop = under_test_clock();
    event_loop.block_on(async {
        let task = task::Builder::new().name("sleeper").spawn_local(async {
            whirligig::time::sleep(Duration::from_millis(1)).await;
        });
        let cancelled = spawn_local(poll_fn(|_| Poll::<()>::Pending));
        yield_now().await;
        cancelled.cancel();
        task.await.unwrap();
    });
    let stats = event_loop.stats();
    assert_eq!((stats.spawned, stats.ended, stats.timers_fired), (2, 2, 1));
    // The root: begin, yielded, joined. The sleeper: begin, woken. The other: begin, cancelled.
    assert_eq!(stats.polls, 3 + 2 + 2);
    // Begin; all three; the cancelled one, then the jump; the sleeper; the root.
    assert_eq!(stats.turns, 5);
}
