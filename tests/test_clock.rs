//! The test clock: when it jumps, and what keeps it from jumping.

use std::{
    cell::Cell,
    future::pending,
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use tokio::sync::oneshot;
use whirligig::{
    EventLoop,
    io::Source,
    spawn_local, task,
    task::yield_now,
    time::{Instant, TestClock, sleep, timeout},
};

const HOUR: Duration = Duration::from_secs(3600);
const SECOND: Duration = Duration::from_secs(1);

fn test_loop() -> (TestClock, EventLoop) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    (clock, event_loop)
}

#[test]
fn time_stands_still_while_a_task_can_run() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        let timer = spawn_local(sleep(SECOND));
        for _ in 0..10_000 {
            yield_now().await;
        }
        assert_eq!(clock.elapsed(), Duration::ZERO);
        assert!(!timer.is_finished());
        timer.await.unwrap();
        assert_eq!(clock.elapsed(), SECOND);
    });
}

#[test]
fn a_hold_keeps_the_clock_still_for_a_thread_that_nobody_sees() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        for _ in 0..100 {
            let (tell, told) = oneshot::channel();
            let hold = clock.hold();
            let other = thread::spawn(move || {
                // The loop waits for an hour by now, or is about to.
                thread::yield_now();
                tell.send(()).unwrap();
                drop(hold);
            });
            timeout(HOUR, told).await.expect("the thread was given no time").unwrap();
            other.join().unwrap();
        }
    });
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[test]
fn when_the_last_hold_goes_the_clock_jumps() {
    let (clock, event_loop) = test_loop();
    let holds = [clock.hold(), clock.hold()];
    let other = thread::spawn(move || holds.into_iter().for_each(drop));
    event_loop.block_on(async { sleep(HOUR).await });
    other.join().unwrap();
    assert_eq!(clock.elapsed(), HOUR);
}

#[test]
fn without_auto_advance_time_is_moved_by_hand() {
    let (clock, event_loop) = test_loop();
    clock.set_auto_advance(false);
    let done = Rc::new(Cell::new(0));
    let counted = done.clone();
    let task = event_loop.spawn_local(async move {
        for _ in 0..2 {
            sleep(SECOND).await;
            counted.set(counted.get() + 1);
        }
    });
    let turns = || (0..5).for_each(|_| _ = event_loop.turn(Some(Duration::ZERO)).unwrap());
    turns();
    clock.advance(SECOND - Duration::from_nanos(1));
    turns();
    assert_eq!(done.get(), 0);
    clock.advance(Duration::from_nanos(1));
    turns();
    assert_eq!(done.get(), 1);
    // A loop that is parked is unparked for it, whichever comes first.
    let by_hand = clock.clone();
    let other = thread::spawn(move || by_hand.advance(HOUR));
    event_loop.block_on(task).unwrap();
    other.join().unwrap();
    assert_eq!(clock.elapsed(), SECOND + HOUR);

    clock.set_auto_advance(true);
    event_loop.block_on(async { sleep(SECOND).await });
    assert_eq!(clock.elapsed(), SECOND * 2 + HOUR);
}

#[test]
fn time_moved_by_hand_saturates_before_never() {
    let (clock, event_loop) = test_loop();
    clock.set_auto_advance(false);
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    event_loop.block_on(async {
        assert!(Instant::now() < Instant::NEVER);
        assert!(!sleep(Duration::MAX).is_elapsed());
        sleep(Duration::ZERO).await;
    });
}

#[test]
fn after_the_longest_jump_there_is_time_left() {
    let (clock, event_loop) = test_loop();
    let mut jumps = Vec::new();
    for _ in 0..3 {
        let before = clock.elapsed();
        clock.advance(Duration::MAX);
        event_loop.block_on(async {
            assert!(timeout(SECOND, pending::<()>()).await.is_err());
            assert!(timeout(SECOND, sleep(HOUR)).await.is_err());
        });
        jumps.push(clock.elapsed() - before);
    }
    assert!(jumps[0] > 24 * 365 * 100 * HOUR, "as far as it goes: {jumps:?}");
    assert_eq!(jumps[1..], [SECOND * 2, SECOND * 2], "there is no further jump, and time goes on");
    // By hand as well, to the nanosecond.
    clock.set_auto_advance(false);
    let before = clock.elapsed();
    clock.advance(HOUR);
    assert_eq!(clock.elapsed() - before, HOUR);
}

#[test]
fn what_is_on_its_way_through_the_kernel_goes_before_a_jump() {
    let (clock, event_loop) = test_loop();
    let (reader, mut writer) = pipe().unwrap();
    event_loop.block_on(async {
        let reader = Source::new(reader).unwrap();
        for _ in 0..100 {
            let mut byte = [0];
            writer.write_all(b"x").unwrap();
            let read = reader.read_with(|mut pipe| pipe.read_exact(&mut byte));
            timeout(HOUR, read).await.expect("the byte is there").unwrap();
        }
    });
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[test]
fn a_socket_waited_on_delays_the_jump_only() {
    let (clock, event_loop) = test_loop();
    clock.set_real_wait(Duration::from_micros(1));
    let (reader, _writer) = pipe().unwrap();
    event_loop.block_on(async {
        let reader = Source::new(reader).unwrap();
        assert!(timeout(HOUR, reader.readable()).await.is_err());
    });
    assert_eq!(clock.elapsed(), HOUR);
}

/// A pipe, and a thread that writes a byte to it once it is told to, after a pause.
fn pipe_from_a_thread(
    pause: Duration,
) -> (PipeReader, mpsc::Sender<()>, thread::JoinHandle<PipeWriter>) {
    let (reader, mut writer) = pipe().unwrap();
    let (go, gone) = mpsc::channel();
    let other = thread::spawn(move || {
        gone.recv().unwrap();
        thread::sleep(pause);
        writer.write_all(b"x").unwrap();
        writer
    });
    (reader, go, other)
}

#[test]
fn a_socket_is_given_as_much_real_time_as_was_set() {
    let (clock, event_loop) = test_loop();
    // Longer than any test may take: the byte comes first, however slow the other thread is.
    clock.set_real_wait(HOUR);
    let (reader, go, other) = pipe_from_a_thread(Duration::ZERO);
    event_loop.block_on(async {
        let reader = Source::new(reader).unwrap();
        go.send(()).unwrap();
        timeout(SECOND, reader.readable()).await.expect("the byte comes first").unwrap();
        // Nobody waits on the pipe now, so there is nothing to give time to.
        sleep(SECOND).await;
    });
    other.join().unwrap();
    assert_eq!(clock.elapsed(), SECOND);
}

/// Two tasks wait for the same, and the first gives up: the other waits in the source's list alone.
#[test]
fn a_second_waiter_on_a_socket_is_given_real_time_as_well() {
    let (clock, event_loop) = test_loop();
    clock.set_real_wait(HOUR);
    // A loop that does not wait for the byte is done before it comes.
    let (reader, go, other) = pipe_from_a_thread(Duration::from_millis(20));
    event_loop.block_on(async {
        let reader = Rc::new(Source::new(reader).unwrap());
        let waits =
            |reader: Rc<Source<PipeReader>>| spawn_local(async move { reader.readable().await });
        let first = waits(reader.clone());
        yield_now().await;
        let second = waits(reader);
        yield_now().await;
        first.cancel();
        assert!(first.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        timeout(SECOND, second).await.expect("the byte comes first").unwrap().unwrap();
    });
    other.join().unwrap();
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

#[test]
fn a_blocking_job_counts_as_busy() {
    let (clock, event_loop) = test_loop();
    event_loop.block_on(async {
        for _ in 0..100 {
            let job = task::spawn_blocking(thread::yield_now);
            timeout(SECOND, job).await.expect("time stands still for it").unwrap();
        }
        assert_eq!(clock.elapsed(), Duration::ZERO);
        sleep(SECOND).await;
    });
    assert_eq!(clock.elapsed(), SECOND);
}

#[test]
fn one_clock_may_serve_two_loops() {
    let clock = TestClock::new();
    let make = || EventLoop::builder().test_clock(&clock).build().unwrap();
    let (first, second) = (make(), make());
    first.block_on(async { sleep(SECOND).await });
    second.block_on(async {
        sleep(SECOND).await;
        assert_eq!(clock.elapsed(), SECOND * 2);
    });
    drop(first);
    clock.advance(SECOND);
    second.block_on(async { sleep(SECOND).await });
    assert_eq!(clock.elapsed(), SECOND * 4);
}

#[test]
fn settings_that_go_by_the_real_clock_are_refused() {
    let clock = TestClock::new();
    let builder = EventLoop::builder().test_clock(&clock).spin_before_park(true);
    let error = builder.build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("spin_before_park"), "{error}");
}

#[test]
fn a_clock_that_was_moved_to_the_end_of_time_has_deadlines_after_it() {
    let (clock, event_loop) = test_loop();
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    let before = clock.elapsed();
    event_loop.block_on(async {
        timeout(SECOND, std::future::pending::<()>()).await.unwrap_err();
    });
    assert_eq!(clock.elapsed() - before, SECOND);
}
