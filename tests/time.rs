//! Sleeps and deadlines: never early, in order, moved, dropped anywhere.
//!
//! Time is the test clock's wherever that shows the same. The real clock is asked only whether
//! something was early. Intervals are in `interval.rs`, what is the test clock's alone in `test_clock.rs`.

use std::{
    cell::{Cell, RefCell},
    future::{Future, pending, poll_fn},
    panic::{RefUnwindSafe, UnwindSafe},
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use whirligig::{
    EventLoop, Runtime, spawn_local,
    task::yield_now,
    time::{
        Hold, Instant, Interval, MissedTicks, Sleep, TestClock, Tick, TimedOut, Timeout, interval,
        interval_at, sleep, sleep_until, timeout, timeout_at,
    },
};

use self::watchdog::Watchdog;

#[path = "support/watchdog.rs"]
mod watchdog;

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    (clock, event_loop)
}

/// Numbers that look random and are the same each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Polls a future once, with a waker that counts.
fn poll_once<F: Future + Unpin>(future: &mut F, woken: &Arc<Woken>) -> Poll<F::Output> {
    let waker = Waker::from(woken.clone());
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn an_hour_of_sleeps_takes_no_time() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        for _ in 0..60 {
            sleep(Duration::from_secs(60)).await;
        }
    });
    assert_eq!(clock.elapsed(), HOUR);
    assert_eq!(event_loop.stats().parks, 0);
}

#[test]
fn ten_thousand_random_sleeps_end_at_their_deadlines_in_order() {
    let (_clock, event_loop) = test_loop();
    let ended = Rc::new(RefCell::new(Vec::new()));
    event_loop.block_on(async {
        let mut numbers = Numbers(1);
        let begin = Instant::now();
        let mut handles = Vec::new();
        for n in 0..10_000 {
            // All sizes, many of them equal: up to 2^40 nanoseconds, some 18 minutes.
            let size = numbers.below(40);
            let delay = Duration::from_nanos(numbers.below(1 << size.max(1)));
            let ended = ended.clone();
            handles.push(spawn_local(async move {
                sleep_until(begin + delay).await;
                assert_eq!(
                    Instant::now(),
                    begin + delay,
                    "exactly then, by a clock that stands still"
                );
                ended.borrow_mut().push((delay, n));
            }));
        }
        for handle in handles {
            handle.await.unwrap();
        }
    });
    let ended = ended.borrow();
    assert_eq!(ended.len(), 10_000);
    assert!(ended.is_sorted(), "by deadline, ties in the order of creation");
}

#[test]
fn no_sleep_on_the_real_clock_is_early() {
    whirligig::run(async {
        let mut numbers = Numbers(2);
        let mut handles = Vec::new();
        for n in 0..400 {
            let delay = Duration::from_nanos(numbers.below(3_000_000));
            handles.push(spawn_local(async move {
                if n % 3 == 0 {
                    yield_now().await;
                }
                let began = std::time::Instant::now();
                sleep(delay).await;
                assert!(began.elapsed() >= delay, "{:?} of {delay:?}", began.elapsed());
                let deadline = std::time::Instant::now() + delay;
                sleep_until(deadline.into()).await;
                assert!(std::time::Instant::now() >= deadline);
            }));
        }
        for handle in handles {
            handle.await.unwrap();
        }
        for micros in [1, 10, 50, 100, 200] {
            let (began, delay) = (std::time::Instant::now(), Duration::from_micros(micros));
            sleep(delay).await;
            assert!(began.elapsed() >= delay, "alone, with the loop parked in between");
        }
    });
}

#[test]
fn equal_deadlines_fire_in_the_order_of_creation() {
    let (_clock, event_loop) = test_loop();
    let order = Rc::new(RefCell::new(Vec::new()));
    event_loop.block_on(async {
        let deadline = Instant::now() + SECOND;
        let mut handles = Vec::new();
        for n in 0..1_000 {
            let order = order.clone();
            handles.push(spawn_local(async move {
                sleep_until(deadline).await;
                order.borrow_mut().push(n);
            }));
        }
        for handle in handles {
            handle.await.unwrap();
        }
    });
    assert!(order.borrow().iter().copied().eq(0..1_000));
}

#[test]
fn delays_from_nothing_to_for_ever_are_all_right() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        sleep(Duration::ZERO).await;
        sleep_until(Instant::now()).await;
        sleep_until(Instant::now() - HOUR).await;
        assert_eq!(clock.elapsed(), Duration::ZERO, "what has passed is waited for no more");
        sleep(Duration::from_nanos(1)).await;
        assert_eq!(clock.elapsed(), Duration::from_nanos(1));

        let never = sleep(Duration::MAX);
        assert_eq!(never.deadline(), Instant::NEVER);
        assert!(!never.is_elapsed());
        let long = Duration::from_secs(u64::from(u32::MAX));
        assert!(timeout(long, never).await.is_err());
        assert_eq!(clock.elapsed(), long + Duration::from_nanos(1));
        for far in [Duration::from_nanos(u64::MAX), Duration::from_secs(u64::MAX), Duration::MAX] {
            assert!(timeout(SECOND, sleep(far)).await.is_err());
        }
        assert!(timeout(Duration::MAX, async {}).await.is_ok());
    });
    // On the real clock too: a wait that the kernel is told of.
    whirligig::run(async {
        let (tell, told) = oneshot::channel::<()>();
        let other = thread::spawn(move || tell.send(()));
        timeout(Duration::MAX, told).await.unwrap().unwrap();
        other.join().unwrap().unwrap();
        sleep(Duration::ZERO).await;
    });
}

#[test]
fn a_deadline_moves_forward_and_back() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        let begin = Instant::now();
        for (first, then) in [(1, 5), (5, 1), (5, 0), (1, 4_000_000), (3, 3)] {
            let begin_of_this = Instant::now();
            let mut sleep = pin!(sleep(SECOND * first));
            assert!(poll_fn(|cx| Poll::Ready(sleep.as_mut().poll(cx))).await.is_pending());
            sleep.as_mut().reset(begin_of_this + SECOND * then);
            assert_eq!(sleep.deadline(), begin_of_this + SECOND * then);
            sleep.await;
            assert_eq!(begin_of_this.elapsed(), SECOND * then);
        }
        assert_eq!(begin.elapsed(), clock.elapsed());

        // One that has ended sleeps again.
        let mut again = sleep(SECOND);
        (&mut again).await;
        assert!(again.is_elapsed());
        again.reset(Instant::now() + SECOND);
        assert!(!again.is_elapsed());
        let before = Instant::now();
        again.await;
        assert_eq!(before.elapsed(), SECOND);
    });
}

#[test]
fn a_timeout_gives_the_output_or_the_error() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        assert_eq!(timeout(SECOND, async { 42 }).await, Ok(42));
        assert_eq!(timeout(SECOND, sleep(SECOND / 2)).await, Ok(()));
        let error = timeout(SECOND, pending::<()>()).await.unwrap_err();
        assert_eq!(error.to_string(), "time was up before the future ended");
        assert_eq!(format!("{error:?}"), "TimedOut(time was up before the future ended)");
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(clock.elapsed(), SECOND * 3 / 2);

        let deadline = Instant::now() + SECOND;
        assert!(timeout_at(deadline, pending::<()>()).await.is_err());
        assert_eq!(Instant::now(), deadline);
        assert!(timeout_at(deadline, pending::<()>()).await.is_err(), "a deadline of the past");
        assert_eq!(timeout_at(deadline, async { 1 }).await, Ok(1), "ready at once, it still wins");
        assert_eq!(timeout(SECOND, sleep(SECOND)).await, Ok(()), "both at once: the output wins");
        let outer = timeout(SECOND, timeout(SECOND * 2, pending::<()>())).await;
        assert!(outer.is_err(), "the shorter of two");
        assert!(timeout(SECOND, async { 1 }).into_inner().await == 1);
    });
}

#[test]
fn a_future_that_uses_up_its_budget_does_not_outrun_its_deadline() {
    let (_clock, event_loop) = test_loop();
    event_loop.block_on(async {
        let busy = async {
            loop {
                // Ready each time, for time stands still; the clock moves by the budget's yields.
                spawn_local(async {}).await.unwrap();
                sleep(Duration::from_millis(1)).await;
                for _ in 0..1_000 {
                    sleep(Duration::ZERO).await;
                }
            }
        };
        assert!(timeout(SECOND, busy).await.is_err());
    });
}

#[test]
fn a_sleep_polled_on_another_loop_moves_there() {
    fn needs_send_and_sync<T: Send + Sync>(_: &T) {}
    let (a, b) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let (on_a, on_b) = (Arc::<Woken>::default(), Arc::<Woken>::default());
    let mut moved = sleep(Duration::from_micros(200));
    needs_send_and_sync(&moved);
    a.block_on(async { assert!(poll_once(&mut moved, &on_a).is_pending()) });
    b.block_on(async { assert!(poll_once(&mut moved, &on_b).is_pending()) });
    b.block_on(async {
        while on_b.0.load(SeqCst) == 0 {
            yield_now().await;
        }
        assert!(poll_once(&mut moved, &on_b).is_ready());
    });
    a.block_on(sleep(Duration::from_micros(400)));
    assert_eq!(on_a.0.load(SeqCst), 0, "it left no timer behind");
    assert_eq!((a.stats().timers_fired, b.stats().timers_fired), (1, 1));
}

#[test]
fn a_sleep_moves_to_a_loop_of_another_clock() {
    let (clock, test) = test_loop();
    let woken = Arc::<Woken>::default();
    let mut moved = sleep_until(test.block_on(async { Instant::now() }) + HOUR);
    let real = EventLoop::new().unwrap();
    real.block_on(async { assert!(poll_once(&mut moved, &woken).is_pending()) });
    drop(real);
    assert_eq!(woken.0.load(SeqCst), 1, "a loop that goes wakes who counts on its timers");
    test.block_on(moved);
    assert_eq!(clock.elapsed(), HOUR);
}

#[test]
fn a_sleep_dropped_on_a_foreign_thread_leaves_nothing_behind() {
    let (clock, event_loop) = test_loop();
    let woken = Arc::<Woken>::default();
    event_loop.block_on(async {
        let mut doomed: Vec<Sleep> = (1..=100).map(|n| sleep(SECOND * n)).collect();
        for sleep in &mut doomed {
            assert!(poll_once(sleep, &woken).is_pending());
        }
        thread::spawn(move || drop(doomed)).join().unwrap();
        sleep(HOUR).await;
    });
    assert_eq!(woken.0.load(SeqCst), 0);
    assert_eq!(event_loop.stats().timers_fired, 1);
    assert_eq!(clock.elapsed(), HOUR);
}

#[test]
fn a_sleep_dropped_on_its_own_thread_or_after_its_loop_leaves_nothing_behind() {
    let (_clock, event_loop) = test_loop();
    let woken = Arc::<Woken>::default();
    let mut orphan = sleep(SECOND);
    event_loop.block_on(async {
        let mut dropped = sleep(SECOND);
        assert!(poll_once(&mut dropped, &woken).is_pending());
        drop(dropped);
        sleep(SECOND * 2).await;
        orphan.reset(Instant::now() + SECOND);
        assert!(poll_once(&mut orphan, &woken).is_pending());
    });
    assert_eq!(woken.0.load(SeqCst), 0);
    drop(event_loop);
    assert_eq!(woken.0.load(SeqCst), 1);
    // Reset and dropped without a loop, or on another thread: the old timer's number means nothing.
    orphan.reset(Instant::now() + SECOND);
    thread::spawn(move || drop(orphan)).join().unwrap();
    assert_eq!(Arc::strong_count(&woken), 1, "every waker is gone");
}

#[test]
fn the_last_waker_is_the_one_that_counts() {
    let (_clock, event_loop) = test_loop();
    let (first, second) = (Arc::<Woken>::default(), Arc::<Woken>::default());
    event_loop.block_on(async {
        let mut sleep = sleep(SECOND);
        assert!(poll_once(&mut sleep, &first).is_pending());
        assert!(poll_once(&mut sleep, &second).is_pending());
        assert!(poll_once(&mut sleep, &second).is_pending());
        whirligig::time::sleep(SECOND * 2).await;
        assert!(poll_once(&mut sleep, &first).is_ready());
    });
    assert_eq!((first.0.load(SeqCst), second.0.load(SeqCst)), (0, 1));
    assert_eq!((Arc::strong_count(&first), Arc::strong_count(&second)), (1, 1));
}

#[test]
fn timeouts_that_are_not_needed_arm_the_kernels_timer_once() {
    const ROUNDS: u64 = 200;
    let event_loop = EventLoop::new().unwrap();
    let (ask, asks) = mpsc::channel::<oneshot::Sender<()>>();
    let other = thread::spawn(move || asks.iter().for_each(|answer| answer.send(()).unwrap()));
    event_loop.block_on(async {
        for _ in 0..ROUNDS {
            let (answer, answered) = oneshot::channel();
            ask.send(answer).unwrap();
            // The loop may well park here. Each deadline is later than the one before.
            timeout(HOUR, answered).await.unwrap().unwrap();
        }
    });
    drop(ask);
    other.join().unwrap();
    let stats = event_loop.stats();
    assert!(stats.timer_arms <= 1, "{stats:?}");
    assert_eq!(stats.timers_fired, 0);
}

#[test]
fn dense_timers_share_wake_ups() {
    const TIMERS: u64 = 2_000;
    let event_loop = EventLoop::new().unwrap();
    let left = Rc::new(Cell::new(TIMERS));
    event_loop.block_on(async {
        let begin = Instant::now();
        let mut handles = Vec::new();
        // One each 10 microseconds: far more than 5,000 a second.
        for n in 0..TIMERS as u32 {
            let left = left.clone();
            handles.push(spawn_local(async move {
                sleep_until(begin + Duration::from_micros(10) * n).await;
                left.set(left.get() - 1);
            }));
        }
        for handle in handles {
            handle.await.unwrap();
        }
    });
    let stats = event_loop.stats();
    assert_eq!((left.get(), stats.timers_fired <= TIMERS), (0, true));
    // 20 ms in steps of 250 us are 80 wake-ups; the first few timers are met one by one.
    assert!(stats.parks <= TIMERS / 5, "{stats:?}");
    assert!(stats.timer_arms <= TIMERS / 5, "{stats:?}");
}

#[test]
fn moments_are_added_compared_and_never_overflow() {
    let now = Instant::now();
    assert_eq!(now + Duration::MAX, Instant::NEVER);
    assert_eq!(Instant::NEVER + SECOND, Instant::NEVER);
    assert_eq!(format!("{:?}", Instant::NEVER), "Instant(never)");
    assert_eq!((now + SECOND) - now, SECOND);
    assert_eq!(now - (now + SECOND), Duration::ZERO, "it saturates");
    // There and back again: later by what reading a clock took, but always by the same.
    let back = |moment: Instant| Instant::from_std(moment.into_std());
    assert!(back(now) >= now, "never early");
    assert_eq!(back(now + HOUR) - back(now), HOUR);
    assert_eq!((now + HOUR).into_std() - now.into_std(), HOUR);
    assert!(Instant::NEVER.into_std() > (now + HOUR).into_std());
    assert!(now - Duration::MAX <= now);
}

/// Polls a future until it is ready, and never returns to the loop in between.
async fn poll_on_and_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(output);
            }
        }
    })
    .await
}

async fn time_passes_within_one_poll() {
    const SHORT: Duration = Duration::from_micros(300);
    // What is asked first after a park reads the clock in any case.
    yield_now().await;
    poll_on_and_on(sleep(SHORT)).await;
    assert!(poll_on_and_on(timeout(SHORT, pending::<()>())).await.is_err());
    poll_on_and_on(interval_at(Instant::now() + SHORT, SHORT).tick()).await;
    // Moved to where it would be waited for anew.
    let mut moved = sleep(SHORT);
    poll_on_and_on(&mut moved).await;
    moved.reset(Instant::now() + SHORT);
    poll_on_and_on(&mut moved).await;
}

#[test]
fn a_sleep_polled_again_within_one_poll_sees_time_pass() {
    let _watchdog = Watchdog::new("a_sleep_polled_again_within_one_poll_sees_time_pass");
    whirligig::run(async { spawn_local(time_passes_within_one_poll()).await.unwrap() });
    for workers in [1, 2] {
        let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
        runtime.block_on(async {
            whirligig::spawn(time_passes_within_one_poll()).await.unwrap();
            time_passes_within_one_poll().await;
        });
    }
}

/// Uses up the budget of this poll: with sleeps that are due when they are made.
fn use_up_the_budget(cx: &mut Context<'_>) {
    while pin!(sleep_until(Instant::now())).poll(cx).is_ready() {}
}

/// In how many polls `future` is ready when each of them begins without a budget.
async fn polls_without_a_budget<F: Future>(future: F) -> u32 {
    let (mut future, mut polls) = (pin!(future), 0);
    poll_fn(|cx| {
        use_up_the_budget(cx);
        polls += 1;
        future.as_mut().poll(cx).map(|_| polls)
    })
    .await
}

#[test]
fn what_is_due_is_not_refused_by_a_budget_that_others_used_up() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        let woken = Arc::<Woken>::default();
        let (mut nap, mut every) = (sleep(SECOND), interval(SECOND));
        let mut deadline = timeout(SECOND, pending::<()>());
        every.tick().await;
        let mut tick = every.tick();
        assert!(poll_once(&mut nap, &woken).is_pending());
        assert!(poll_once(&mut tick, &woken).is_pending());
        assert!(poll_fn(|cx| Poll::Ready(pin!(&mut deadline).poll(cx))).await.is_pending());
        clock.advance(SECOND);
        assert_eq!(polls_without_a_budget(nap).await, 1);
        assert_eq!(polls_without_a_budget(tick).await, 1);
        assert_eq!(polls_without_a_budget(deadline).await, 1);
        // Due when they are asked for the first time, they wait for one turn.
        clock.advance(SECOND);
        assert_eq!(polls_without_a_budget(every.tick()).await, 2);
        assert_eq!(polls_without_a_budget(sleep(Duration::ZERO)).await, 2);
        assert_eq!(polls_without_a_budget(timeout_at(Instant::now(), pending::<()>())).await, 1);
    });
}

#[test]
fn what_is_due_again_and_again_gives_way() {
    let (_clock, event_loop) = test_loop();
    let naps = Rc::new(Cell::new(0));
    let counted = naps.clone();
    event_loop.block_on(async move {
        let greedy = spawn_local(async move {
            loop {
                sleep_until(Instant::now() - SECOND).await;
                counted.set(counted.get() + 1);
            }
        });
        while naps.get() < 1_000 {
            yield_now().await;
        }
        greedy.cancel();
    });
}

#[test]
fn the_types_of_time_survive_a_caught_panic() {
    fn unwinds<T: UnwindSafe + RefUnwindSafe>() {}
    unwinds::<Instant>();
    unwinds::<Sleep>();
    unwinds::<Timeout<Sleep>>();
    unwinds::<TimedOut>();
    unwinds::<Interval>();
    unwinds::<MissedTicks>();
    unwinds::<TestClock>();
    unwinds::<Hold>();
    // A borrow for writing is not safe to unwind past, whatever it borrows.
    fn can_be_looked_at<T: RefUnwindSafe>() {}
    can_be_looked_at::<Tick<'_>>();
}

#[test]
#[cfg(target_pointer_width = "64")]
fn a_sleep_takes_six_words() {
    assert_eq!(size_of::<Sleep>(), 48);
}
