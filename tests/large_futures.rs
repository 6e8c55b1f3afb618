//! A future that holds a large array is spawned on a thread of usual size, also in a build without optimisation, in
//! which each value that is passed on is copied: the tests here overflow the stack if there are a few copies too many.

use std::{hint::black_box, thread};

use whirligig::{
    EventLoop, Handle, Runtime, spawn, spawn_local,
    task::{self, JoinHandle, yield_now},
};

const LARGE: usize = 256 << 10;

/// What `std::thread` gives a thread, and a runtime its workers.
const STACK: usize = 2 << 20;

/// Holds an array over an await. Gives what is at its end.
async fn large(last: u8) -> u8 {
    let mut array = [0_u8; LARGE];
    array[LARGE - 1] = last;
    yield_now().await;
    black_box(&array)[LARGE - 1]
}

/// Runs `f` on a thread of usual size.
fn on_a_usual_stack(f: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(STACK).spawn(f).unwrap().join().unwrap();
}

#[test]
fn the_future_is_as_large_as_it_looks() {
    assert!(size_of_val(&large(0)) > LARGE);
}

/// Awaits one after the other what each of these spawned. A call for each spawn: were they all in one function, that
/// function's own part of the stack would be too large.
async fn sum(spawns: &[fn() -> JoinHandle<u8>]) -> u8 {
    let mut sum = 0;
    for spawn in spawns {
        sum += spawn().await.unwrap();
    }
    sum
}

fn named() -> task::Builder {
    task::Builder::new().name("large")
}

#[test]
fn an_event_loop_takes_it() {
    on_a_usual_stack(|| {
        let event_loop = EventLoop::new().unwrap();
        let outside = event_loop.spawn_local(large(1));
        assert_eq!(event_loop.block_on(outside).unwrap(), 1);
        let sum = event_loop.block_on(sum(&[
            || spawn(large(1)),
            || spawn_local(large(1)),
            || named().spawn(large(1)),
            || named().spawn_local(large(1)),
            || Handle::current().spawn(large(1)),
            || named().spawn_on(&Handle::current(), large(1)),
        ]));
        assert_eq!(sum, 6);
    });
}

#[test]
fn an_event_loop_takes_it_from_another_thread() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let other = thread::Builder::new().stack_size(STACK).spawn(move || {
        let output = handle.spawn(large(1)).wait().unwrap();
        handle.stop();
        output
    });
    event_loop.run_forever();
    assert_eq!(other.unwrap().join().unwrap(), 1);
}

#[test]
fn a_runtime_takes_it() {
    on_a_usual_stack(|| {
        let runtime = Runtime::builder().worker_threads(2).stack_size(STACK).build().unwrap();
        assert_eq!(runtime.spawn(large(1)).wait().unwrap(), 1);
        let inside = sum(&[
            || spawn(large(1)),
            || named().spawn(large(1)),
            || Handle::current().spawn(large(1)),
            || named().spawn_on(&Handle::current(), large(1)),
        ]);
        assert_eq!(runtime.spawn(inside).wait().unwrap(), 4);
    });
}
