//! What a worker tells the trace: small programs on one worker, asserted line by line.
//!
//! Each expected line says why it must stand there. Laid beside `tests/traces.rs`, this is how a
//! worker's turn differs from an event loop's.

use std::{
    io::{Read, Write, pipe},
    num::NonZeroU32,
    sync::mpsc,
    time::Duration,
};

use whirligig::{
    Runtime,
    io::Source,
    spawn, task,
    trace::{self, Event},
};

use crate::Watchdog;

/// What one worker recorded of `program`, from its first poll to its last.
fn trace_of(program: impl Future<Output = ()> + Send + 'static) -> Vec<String> {
    let _watchdog = Watchdog::new("a traced program");
    let (sender, events) = mpsc::channel();
    let runtime = Runtime::builder()
        .worker_threads(1)
        // It looks when nothing is ready, and else never: the clock has no say in what is recorded.
        .look_interval(NonZeroU32::MAX)
        .on_thread_start(move |_worker| {
            let sender = sender.clone();
            let listening = trace::listen(move |event: &Event| {
                let _ = sender.send(event.clone());
            });
            std::mem::forget(listening);
        })
        .build()
        .unwrap();
    runtime.spawn(program).wait().unwrap();
    runtime.shutdown_timeout(Duration::MAX).unwrap();
    let lines = trace::lines(&events.iter().collect::<Vec<_>>());
    let at = |line| lines.iter().position(|said| said == line).expect(line);
    lines[at("root polled")..=at("root completed")].to_vec()
}

/// Spawns a task with a name.
fn named<T: Send + 'static>(
    name: &str,
    future: impl Future<Output = T> + Send + 'static,
) -> task::JoinHandle<T> {
    task::Builder::new().name(name).spawn(future)
}

#[test]
fn spawn_and_join() {
    let lines = trace_of(async {
        named("child", async {}).await.unwrap();
    });
    let expected = [
        "root polled",           // the program, spawned from outside
        "child spawned",         // in that poll
        "child scheduled",       // behind whatever is ready
        "root waits for a task", // the handle has no output yet
        "child polled",          // it was the only one
        "root woken by child",   // its end is told before the task itself is done with
        "root scheduled",        // in the lifo slot
        "child completed",
        "root polled", // no turn between: a worker runs what is ready until there is none
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_task_just_woken_runs_before_the_others() {
    let lines = trace_of(async {
        let (tell, told) = futures_channel::oneshot::channel();
        let woken = named("woken", async { told.await.unwrap() });
        task::yield_now().await;
        let other = named("other", async {});
        tell.send(()).unwrap();
        woken.await.unwrap();
        other.await.unwrap();
    });
    let expected = [
        "root polled",
        "woken spawned",
        "woken scheduled",
        "root woken by root", // a yield is a wake of oneself
        "root scheduled",     // at the back of the queue, never in the slot: it gives way
        "root waits for its next turn",
        "woken polled",
        "woken waits", // for another crate's channel: no leaf of ours
        "root polled",
        "other spawned",
        "other scheduled",
        "woken woken by root",
        "woken scheduled",       // in the lifo slot
        "root waits for a task", // for `woken`
        "woken polled",          // before `other`, which was ready first
        "root woken by woken",
        "root scheduled", // in the slot again
        "woken completed",
        "root polled",
        "root waits for a task", // for `other`, which has waited for two polls
        "other polled",          // the slot is empty
        "root woken by other",
        "root scheduled",
        "other completed",
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_source_wakes_the_task_that_waits_for_it() {
    let lines = trace_of(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        drop(spawn(async move {
            writer.write_all(b"x").unwrap();
        }));
        reader.read_with(|mut pipe| pipe.read(&mut [0])).await.unwrap();
    });
    let expected = [
        "root polled",
        "task 1 spawned",
        "task 1 scheduled",
        "root waits for readiness to read", // the kernel had nothing
        "task 1 polled",                    // it writes
        "task 1 completed",
        "parked",         // nothing is ready, so the worker waits in its reactor
        "unparked",       // at once: the kernel has an event
        "source 0 ready", // the first of this reactor
        "root woken by source 0",
        "root scheduled",
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_timer_wakes_the_task_that_waits_for_it() {
    let mut lines = trace_of(async {
        whirligig::time::sleep(Duration::from_millis(1)).await;
    });
    // On a slow machine the timer is due before the worker gets so far.
    lines.retain(|line| line != "parked" && line != "unparked");
    let expected = [
        "root polled",
        "root waits for a timer",
        "timer 0 fired", // the first of this wheel
        "root woken by timer 0",
        "root scheduled",
        "root polled",
        "root completed",
    ];
    assert_eq!(lines, expected);
}
