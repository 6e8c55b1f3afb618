//! Intervals, and what becomes of ticks that were not taken in time.
//!
//! The three behaviours are those that asyncio programs write by hand and tokio names
//! `MissedTickBehavior`; the expected moments below are worked out from their definitions.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use whirligig::{
    EventLoop,
    time::{Instant, Interval, MissedTicks, TestClock, interval, interval_at, sleep, timeout},
};

const MS: Duration = Duration::from_millis(1);

fn under_test_clock<T>(program: impl Future<Output = T>) -> T {
    EventLoop::builder().test_clock(&TestClock::new()).build().unwrap().block_on(program)
}

/// An interval of 50 ms, in a task that sleeps for 120 ms after the second tick. For each tick: when
/// it was due, and when it was had, in milliseconds.
fn taken_ticks(missed: MissedTicks) -> Vec<(u128, u128)> {
    under_test_clock(async {
        let begin = Instant::now();
        let mut ticks = interval(50 * MS);
        ticks.set_missed_ticks(missed);
        assert_eq!((ticks.missed_ticks(), ticks.period()), (missed, 50 * MS));
        let mut taken = Vec::new();
        for n in 0..7 {
            let due = ticks.tick().await;
            taken.push(((due - begin).as_millis(), begin.elapsed().as_millis()));
            if n == 1 {
                sleep(120 * MS).await;
            }
        }
        taken
    })
}

#[test]
fn burst_makes_up_for_missed_ticks() {
    // Back at 170: the ticks of 100 and 150 come at once, then it goes on as before.
    let expected = [(0, 0), (50, 50), (100, 170), (150, 170), (200, 200), (250, 250), (300, 300)];
    assert_eq!(taken_ticks(MissedTicks::Burst), expected);
    assert_eq!(MissedTicks::default(), MissedTicks::Burst);
}

#[test]
fn delay_counts_from_when_the_late_tick_was_taken() {
    // Back at 170, from which the next period is counted.
    let expected = [(0, 0), (50, 50), (100, 170), (220, 220), (270, 270), (320, 320), (370, 370)];
    assert_eq!(taken_ticks(MissedTicks::Delay), expected);
}

#[test]
fn skip_keeps_to_multiples_of_the_period() {
    // Back at 170: the tick of 150 is left out, the next comes when it would have come.
    let expected = [(0, 0), (50, 50), (100, 170), (200, 200), (250, 250), (300, 300), (350, 350)];
    assert_eq!(taken_ticks(MissedTicks::Skip), expected);
}

#[test]
fn a_tick_that_is_late_by_less_than_a_period_is_not_missed() {
    for missed in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
        under_test_clock(async {
            let begin = Instant::now();
            let mut ticks = interval(50 * MS);
            ticks.set_missed_ticks(missed);
            ticks.tick().await;
            sleep(80 * MS).await;
            assert_eq!(ticks.tick().await - begin, 50 * MS);
            // Delay alone counts anew, and only once a whole tick was missed.
            assert_eq!((ticks.tick().await - begin, begin.elapsed()), (100 * MS, 100 * MS));
        });
    }
}

#[test]
fn exactly_a_period_late_is_a_tick_missed() {
    let taken = |missed| {
        under_test_clock(async move {
            let begin = Instant::now();
            let mut ticks = interval(50 * MS);
            ticks.set_missed_ticks(missed);
            ticks.tick().await;
            sleep(100 * MS).await;
            ticks.tick().await;
            (ticks.tick().await - begin).as_millis()
        })
    };
    assert_eq!(taken(MissedTicks::Burst), 100);
    assert_eq!(taken(MissedTicks::Delay), 150);
    assert_eq!(taken(MissedTicks::Skip), 150, "the tick of this very moment was the missed one");
}

#[test]
fn interval_at_begins_when_it_is_told() {
    under_test_clock(async {
        let begin = Instant::now();
        let mut ticks = interval_at(begin + 70 * MS, 50 * MS);
        assert_eq!(ticks.tick().await - begin, 70 * MS);
        assert_eq!(ticks.tick().await - begin, 120 * MS);
    });
}

#[test]
fn an_interval_starts_over() {
    under_test_clock(async {
        let begin = Instant::now();
        let mut ticks = interval(50 * MS);
        ticks.tick().await;
        sleep(30 * MS).await;
        ticks.reset();
        assert_eq!(ticks.tick().await - begin, 80 * MS);
    });
}

#[test]
fn a_tick_given_up_is_not_taken() {
    under_test_clock(async {
        let begin = Instant::now();
        let mut ticks: Interval = interval(50 * MS);
        ticks.tick().await;
        assert!(timeout(20 * MS, ticks.tick()).await.is_err());
        {
            let mut tick = pin!(ticks.tick());
            assert!(poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx))).await.is_pending());
        }
        assert_eq!(ticks.tick().await - begin, 50 * MS);
    });
}

#[test]
#[should_panic(expected = "an interval's period must not be zero")]
fn a_period_of_zero_is_refused() {
    drop(interval(Duration::ZERO));
}

#[test]
fn a_period_of_for_ever_ticks_once() {
    under_test_clock(async {
        for missed in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
            let mut ticks = interval(Duration::MAX);
            ticks.set_missed_ticks(missed);
            ticks.tick().await;
            assert!(timeout(1000 * MS, ticks.tick()).await.is_err());
        }
    });
}
