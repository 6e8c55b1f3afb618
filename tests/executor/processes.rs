//! The process pool: real processes, killed, leaking and panicking.

use std::{collections::BTreeSet, process::exit, thread, time::Duration};

use futures_lite::StreamExt;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use whirligig::executor::{
    self, CallError, Function, ProcessPool, ProcessPoolBuilder, as_completed,
};

use crate::{PanicsOnDrop, again, variants::on_each_variant, watchdog::Watchdog};

pub(crate) static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
static SLOW_PID: Function<u64, u32> = Function::new("slow pid", |millis| {
    thread::sleep(Duration::from_millis(millis));
    std::process::id()
});
static SLEEP: Function<(), ()> =
    Function::new("sleep", |()| thread::sleep(Duration::from_secs(1000)));
pub(crate) static DIVIDE: Function<(i32, i32), i32> = Function::new("divide", |(a, b)| a / b);
static EXIT: Function<i32, ()> = Function::new("exit", |code| exit(code));
static ECHO: Function<String, String> = Function::new("echo", |text| text);
static CUBE_LATER: Function<u64, u64> = Function::new("cube later", |n| {
    thread::sleep(Duration::from_millis(40 * n));
    n * n * n
});
static HOSTILE: Function<u8, Hostile> =
    Function::new("hostile", |what| Hostile { what, _drops: None });
static NESTED: Function<u64, u64> = Function::new("nested", |n| {
    let inner = ProcessPool::builder().child_args(["processes::process", "--exact", "--quiet"]);
    inner.max_workers(1).build().unwrap().apply(&SQUARE, n).unwrap()
});
static UNTOLD: Function<(), ()> = Function::new("untold", |()| ());

/// Panics where it is decoded, or where it is dropped after that.
struct Hostile {
    what: u8,
    _drops: Option<PanicsOnDrop>,
}

const WHEN_ENCODED: u8 = 0;
const WHEN_DECODED: u8 = 1;
const WHEN_DROPPED: u8 = 2;

impl Serialize for Hostile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.what, WHEN_ENCODED, "not to be written");
        self.what.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hostile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            WHEN_DECODED => panic!("no such thing"),
            what => Ok(Self { what, _drops: Some(PanicsOnDrop) }),
        }
    }
}

/// What the pool's processes run: this test, and in it nothing else.
#[test]
fn process() {
    executor::init(&[
        &SQUARE,
        &SLOW_PID,
        &SLEEP,
        &DIVIDE,
        &EXIT,
        &ECHO,
        &CUBE_LATER,
        &HOSTILE,
        &NESTED,
    ]);
}

fn builder() -> ProcessPoolBuilder {
    process();
    ProcessPool::builder().child_args(["processes::process", "--exact", "--quiet"])
}

pub(crate) fn pool(workers: usize) -> ProcessPool {
    builder().max_workers(workers).build().unwrap()
}

fn pid(pid: u32) -> Pid {
    Pid::from_raw(pid as i32).expect("no process has number 0")
}

fn is_gone(process: u32) -> bool {
    // A zombie of another parent counts as gone: what reaps it is not ours. It is one when its last thread has ended.
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).map_or(0, Iterator::count);
    let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    test_kill_process(pid(process)).is_err() || threads <= 1 && state.contains(") Z")
}

#[test]
fn five_calls_on_three_processes_and_their_outcomes_in_order() {
    let pool = pool(3);
    let calls: Vec<_> = (0..5).map(|_| pool.submit(&SLOW_PID, 50)).collect();
    let pids: BTreeSet<_> = calls.into_iter().map(|call| call.result().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    assert!(!pids.contains(&std::process::id()));
    let squares: Result<Vec<_>, _> = pool.map(&SQUARE, [5, 2, 3, 4, 1]).collect();
    assert_eq!(squares.unwrap(), [25, 4, 9, 16, 1]);
    assert_eq!(pool.apply(&SQUARE, 8), Ok(64));
    pool.shutdown(true, false);
    assert!(pids.into_iter().all(is_gone));
}

#[test]
fn outcomes_come_as_calls_end() {
    let pool = pool(3);
    let calls = [6, 3, 2, 4, 5].map(|n| pool.submit(&CUBE_LATER, n));
    let cubes: BTreeSet<_> = as_completed(calls).map(Result::unwrap).collect();
    assert_eq!(cubes, BTreeSet::from([8, 27, 64, 125, 216]));
}

#[test]
fn a_process_that_is_killed_costs_its_own_call_and_is_replaced() {
    let _watchdog = Watchdog::new("a process that is killed");
    let pool = pool(1);
    let first = pool.apply(&SLOW_PID, 0).unwrap();
    let (doomed, next) = (pool.submit(&SLEEP, ()), pool.submit(&SLOW_PID, 0));
    while !doomed.running() {
        thread::yield_now();
    }
    kill_process(pid(first), Signal::KILL).unwrap();
    let error = doomed.result().unwrap_err();
    assert_eq!(error, CallError::Died(format!("process {first} was killed by signal 9")));
    let second = next.result().unwrap();
    assert_ne!(first, second);

    // One that dies between calls costs none.
    kill_process(pid(second), Signal::KILL).unwrap();
    while !is_gone(second) {
        thread::yield_now();
    }
    assert_eq!(pool.apply(&SQUARE, 3), Ok(9));
    let exited = pool.apply(&EXIT, 7).unwrap_err().to_string();
    assert!(exited.ends_with("exited with code 7"), "{exited}");
    assert_eq!(pool.apply(&SQUARE, 4), Ok(16));
}

#[test]
fn a_panic_and_a_name_that_nobody_told_are_errors() {
    let pool = pool(1);
    let before = pool.apply(&SLOW_PID, 0).unwrap();
    assert_eq!(pool.apply(&DIVIDE, (10, 2)), Ok(5));
    let panicked = CallError::Panicked("attempt to divide by zero".to_owned());
    assert_eq!(pool.apply(&DIVIDE, (1, 0)), Err(panicked));
    let untold = pool.apply(&UNTOLD, ()).unwrap_err().to_string();
    assert!(untold.contains("`executor::init` of no function \"untold\""), "{untold}");
    assert_eq!(pool.apply(&SLOW_PID, 0), Ok(before), "the process goes on");
    assert!(std::panic::catch_unwind(|| executor::init(&[&SQUARE, &SQUARE])).is_err());
}

/// Decoding and dropping an output is user code, on the pool's own thread. It costs that call alone.
#[test]
fn an_output_that_panics_on_its_way_harms_no_other_call() {
    let pool = pool(1);
    let before = pool.apply(&SLOW_PID, 0).unwrap();
    let encoded = pool.submit(&HOSTILE, WHEN_ENCODED).result().map(|_| ()).unwrap_err();
    assert!(encoded.to_string().contains("not to be written"), "{encoded}");
    assert_eq!(pool.apply(&SLOW_PID, 0), Ok(before), "the process goes on");
    let decoded = pool.submit(&HOSTILE, WHEN_DECODED).result().map(|_| ());
    assert_eq!(decoded, Err(CallError::Panicked("no such thing".to_owned())));
    assert_eq!(pool.apply(&SQUARE, 4), Ok(16));
    // It is in the line behind the other, so its handle is gone before it begins.
    let before = pool.submit(&SLOW_PID, 100);
    drop(pool.submit(&HOSTILE, WHEN_DROPPED));
    assert!(before.result().is_ok());
    assert_eq!(pool.apply(&SQUARE, 5), Ok(25));
}

#[test]
fn a_function_may_have_a_pool_of_its_own() {
    assert_eq!(pool(1).apply(&NESTED, 6), Ok(36));
}

/// Whoever shuts a pool down and waits comes back when all has ended, the second as well.
#[test]
fn each_shutdown_that_waits_has_waited() {
    let pool = pool(1);
    let call = pool.submit(&SLOW_PID, 200);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                pool.shutdown(true, false);
                assert!(call.done());
            });
        }
    });
    assert!(call.result().is_ok());
}

#[test]
fn many_small_calls_and_large_arguments_pass() {
    let pool = pool(2);
    let mut sum = 0;
    for square in pool.map(&SQUARE, 0..2_000) {
        sum += square.unwrap();
    }
    assert_eq!(sum, (0..2_000).map(|n| n * n).sum());
    let mut squares = pool.map_chunks(&SQUARE, 0..100_000, 500);
    assert!((0..100_000).all(|n| squares.next() == Some(Ok(n * n))));
    assert_eq!(squares.next(), None);
    let large = "0123456789abcdef".repeat(4 << 20);
    assert_eq!(large.len(), 64 << 20);
    assert!(pool.apply(&ECHO, large.clone()) == Ok(large));
}

#[test]
fn a_process_serves_so_many_calls_and_no_more() {
    let pool = builder().max_workers(1).max_tasks_per_child(2).build().unwrap();
    let pids: Vec<_> = (0..6).map(|_| pool.apply(&SLOW_PID, 0).unwrap()).collect();
    assert!(pids.chunks(2).all(|pair| pair[0] == pair[1]), "{pids:?}");
    assert_eq!(BTreeSet::from_iter(&pids).len(), 3, "{pids:?}");
}

#[test]
fn what_has_not_begun_is_cancelled_and_a_pool_that_is_shut_down_takes_no_more() {
    let pool = pool(1);
    let first = pool.submit(&SLOW_PID, 50);
    let waiting = [1, 2].map(|n| pool.submit(&SQUARE, n));
    while !first.running() {
        thread::yield_now();
    }
    assert!(!first.cancel() && waiting[0].cancel() && waiting[0].done());
    pool.shutdown(false, true);
    assert_eq!(waiting.map(|call| call.result()), [const { Err(CallError::Cancelled) }; 2]);
    assert_eq!(pool.submit(&SQUARE, 3).result(), Err(CallError::ShutDown));
    let process = first.result().unwrap();
    drop(pool);
    assert!(is_gone(process));
}

async fn awaits_its_calls() {
    let pool = pool(2);
    assert_eq!(pool.submit(&SQUARE, 7).await, Ok(49));
    let squares: Vec<_> = pool.map(&SQUARE, 0..20).stream().collect().await;
    assert_eq!(squares, (0..20).map(|n| Ok(n * n)).collect::<Vec<_>>());
    whirligig::task::spawn_blocking(move || drop(pool)).await.unwrap();
}

#[test]
fn tasks_of_each_variant_await_calls() {
    on_each_variant(|_| awaits_its_calls());
}

#[test]
fn no_process_outlives_a_parent_that_is_killed() {
    const TEST: &str = "processes::no_process_outlives_a_parent_that_is_killed";
    if again::role().is_some() {
        // The parent: its one process is in a long call.
        let pool = pool(1);
        again::say(&pool.apply(&SLOW_PID, 0).unwrap().to_string());
        let _ = pool.apply(&SLEEP, ());
        unreachable!("it is killed before");
    }
    let mut parent = again::this_program(TEST, "parent");
    let process = parent.next_line().parse().expect("it says the number of its process");
    assert!(!is_gone(process));
    parent.send(Signal::KILL.as_raw());
    // The watchdog says if these never come.
    assert_eq!(again::end(parent), (again::by_signal(Signal::KILL.as_raw()), String::new()));
    let _watchdog = Watchdog::new("a parent that is killed");
    while !is_gone(process) {
        thread::sleep(Duration::from_millis(1));
    }
}
