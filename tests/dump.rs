//! The dump: each task with its name, where it was spawned, and what it waits for at which line.
//!
//! Lines are reckoned from `line!()`, one line above what they speak of. The noted line of a handle
//! is that of its `.await`; every other leaf of ours is a call, and notes where it was called. Behind
//! the traits of futures-io the line is the one that made the socket.

use std::{
    future::{Future, pending, poll_fn},
    io::{Read, pipe},
    panic::Location,
    pin::pin,
    sync::{Arc, mpsc},
    task::Poll,
    time::Duration,
};

use futures_util::{AsyncReadExt, AsyncWriteExt};
use whirligig::{
    EventLoop, Runtime, TaskDump, WaitsFor, WaitsOn,
    io::Source,
    net::{TcpListener, TcpStream},
    queue, spawn_local, sync, task,
    task::yield_now,
    time::{Instant, interval_at, sleep, timeout},
};

/// The line of the caller.
#[track_caller]
fn here() -> u32 {
    Location::caller().line()
}

/// What a task waits for: `waits` begins to, on the line that the dump must tell.
#[track_caller]
fn demand_wait(what: WaitsFor, line: u32, waits: impl Future<Output = ()> + 'static) {
    let event_loop = EventLoop::new().unwrap();
    let asked_at = Location::caller();
    let handle = task_on(&event_loop, "waiting", waits);
    // Names are resolved and sockets connected on the way: turn until the task rests.
    let found = loop {
        event_loop.turn(Some(Duration::ZERO)).unwrap();
        let found = only_task(&event_loop);
        if found.waits.is_some_and(|(waits_for, _)| waits_for == what) {
            break found;
        }
        std::thread::yield_now();
    };
    let (waits_for, at) = found.waits.unwrap();
    assert_eq!((at.file(), at.line()), (file!(), line), "{waits_for:?}, asked at {asked_at}");
    assert_eq!(found.name.as_deref(), Some("waiting"));
    let told = format!("waits for {what} at {}:{line}:", file!());
    assert!(found.to_string().contains(&told), "{found}");
    assert!(!handle.is_finished());
}

#[expect(clippy::async_yields_async, reason = "what it yields is for later")]
fn task_on(
    event_loop: &EventLoop,
    name: &str,
    future: impl Future<Output = ()> + 'static,
) -> task::JoinHandle<()> {
    let name = name.to_owned();
    event_loop.block_on(async move { task::Builder::new().name(name).spawn_local(future) })
}

fn only_task(event_loop: &EventLoop) -> TaskDump {
    let tasks = event_loop.dump().tasks;
    assert_eq!(tasks.len(), 1, "{tasks:#?}");
    tasks.into_iter().next().unwrap()
}

/// One turn, after which the task of this future waits for nothing of ours.
fn demand_no_wait(future: impl Future<Output = ()> + 'static) {
    let event_loop = EventLoop::new().unwrap();
    let _task = task_on(&event_loop, "outer", future);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(only_task(&event_loop).waits, None, "nothing of ours");
}

const LONG: Duration = Duration::from_secs(3600);

#[test]
fn a_sleep() {
    let line = here() + 2;
    demand_wait(WaitsFor::Timer, line, async {
        sleep(LONG).await;
    });
    // Where it was made, not where it is awaited: that is the line which says how long.
    let line = here() + 2;
    demand_wait(WaitsFor::Timer, line, async {
        let made_here = sleep(LONG);
        made_here.await;
    });
}

#[test]
fn a_tick() {
    let line = here() + 3;
    demand_wait(WaitsFor::Timer, line, async {
        let mut beat = interval_at(Instant::now() + LONG, LONG);
        beat.tick().await;
    });
}

#[test]
fn a_timeout_tells_of_what_it_bounds() {
    let line = here() + 2;
    demand_wait(WaitsFor::Timer, line, async {
        timeout(LONG, pending::<()>()).await.unwrap();
    });
    let (reader, writer) = pipe().unwrap();
    let line = here() + 3;
    demand_wait(WaitsFor::Readable, line, async move {
        let (reader, _writer) = (Source::new(reader).unwrap(), writer);
        let readable = reader.readable();
        drop(timeout(LONG, readable).await);
    });
}

#[test]
fn what_a_nested_loop_waited_for_is_not_its_task_s_wait() {
    demand_no_wait(async {
        let nested = EventLoop::new().unwrap();
        drop(nested.spawn_local(sleep(LONG)));
        nested.turn(Some(Duration::ZERO)).unwrap();
        pending::<()>().await;
    });
}

#[test]
fn nor_is_what_a_nested_runtime_s_root_waited_for() {
    demand_no_wait(async {
        let runtime = whirligig::Runtime::builder().worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let mut never = pin!(sleep(LONG));
            poll_fn(|cx| {
                assert!(never.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        });
        pending::<()>().await;
    });
}

#[test]
fn a_handle_is_noted_at_its_await() {
    let event_loop = EventLoop::new().unwrap();
    let line = here() + 3;
    let waiting = event_loop.spawn_local(async {
        let handle = spawn_local(pending::<()>());
        handle.await.unwrap();
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let dump = event_loop.dump();
    let found = dump.tasks.iter().find(|task| task.id == waiting.id()).unwrap();
    let (what, at) = found.waits.unwrap();
    assert_eq!((what, at.file(), at.line()), (WaitsFor::Task, file!(), line));

    // And which task that is: the one it spawned.
    let other = dump.tasks.iter().find(|task| task.id != waiting.id()).unwrap();
    assert_eq!(found.waits_on, Some(WaitsOn::Task(other.id)));
    assert!(found.to_string().ends_with(&format!(": task {}", other.id)), "{found}");
    assert_eq!((found.parent, other.parent), (None, Some(waiting.id())));
}

#[test]
fn a_runtime_s_handle_is_noted_with_its_task() {
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let waiting = runtime.spawn(async {
        whirligig::spawn(pending::<()>()).await.unwrap();
    });
    let (found, other) = loop {
        let mut tasks = runtime.dump().tasks;
        tasks.sort_by_key(|task| task.parent);
        if let [found, other] = &tasks[..]
            && found.waits.is_some()
        {
            break (found.clone(), other.clone());
        }
        std::thread::yield_now();
    };
    assert_eq!(found.id, waiting.id());
    assert_eq!(found.waits_on, Some(WaitsOn::Task(other.id)));
    assert_eq!((found.parent, other.parent), (None, Some(waiting.id())));
}

#[test]
fn a_turn_is_waited_for() {
    let event_loop = EventLoop::new().unwrap();
    let line = here() + 2;
    let task = async {
        yield_now().await;
    };
    event_loop.spawn_local(task);
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let found = only_task(&event_loop);
    let (what, at) = found.waits.unwrap();
    assert_eq!((what, at.line()), (WaitsFor::Turn, line));
    assert!(found.scheduled && found.to_string().ends_with("is scheduled"), "{found}");
}

#[test]
fn a_queue_of_one_thread() {
    let line = here() + 3;
    demand_wait(WaitsFor::Item, line, async {
        let queue = queue::local::Queue::<u8>::unbounded();
        queue.get().await.unwrap();
    });
    let line = here() + 4;
    demand_wait(WaitsFor::Room, line, async {
        let queue = queue::local::Queue::bounded(1);
        queue.try_put(1).unwrap();
        queue.put(2).await.unwrap();
    });
    let line = here() + 4;
    demand_wait(WaitsFor::QueueDone, line, async {
        let queue = queue::local::Queue::bounded(1);
        queue.try_put(1).unwrap();
        queue.join().await;
    });
}

#[test]
fn a_queue_of_several_threads() {
    let line = here() + 3;
    demand_wait(WaitsFor::Item, line, async {
        let queue = queue::Queue::<u8>::unbounded();
        queue.get().await.unwrap();
    });
    let line = here() + 4;
    demand_wait(WaitsFor::Room, line, async {
        let queue = queue::Queue::bounded(1);
        queue.try_put(1).unwrap();
        queue.put(2).await.unwrap();
    });
    let line = here() + 4;
    demand_wait(WaitsFor::QueueDone, line, async {
        let queue = queue::Queue::bounded(1);
        queue.try_put(1).unwrap();
        queue.join().await;
    });
}

#[test]
fn a_lock() {
    let line = here() + 4;
    demand_wait(WaitsFor::Lock, line, async {
        let mutex = sync::Mutex::new(());
        let _guard = mutex.lock().await;
        drop(mutex.lock().await);
    });
    let line = here() + 4;
    demand_wait(WaitsFor::Lock, line, async {
        let lock = sync::RwLock::new(());
        let _guard = lock.read().await;
        drop(lock.write().await);
    });
    let line = here() + 3;
    demand_wait(WaitsFor::Permit, line, async {
        let semaphore = sync::Semaphore::new(1);
        drop(semaphore.acquire_many(2).await);
    });
}

#[test]
fn a_condition_and_then_its_lock() {
    let line = here() + 4;
    demand_wait(WaitsFor::Signal, line, async {
        let (mutex, condition) = (sync::Mutex::new(()), sync::Condition::new());
        let guard = mutex.lock().await;
        drop(condition.wait(guard).await);
    });
    let line = here() + 5;
    demand_wait(WaitsFor::Lock, line, async {
        let (mutex, condition) = (sync::Mutex::new(()), sync::Condition::new());
        let waits = async {
            let guard = mutex.lock().await;
            drop(condition.wait_for(guard, |()| false).await);
        };
        let notifies = async {
            let _guard = mutex.lock().await;
            condition.notify_one();
            pending::<()>().await;
        };
        futures_lite::future::zip(waits, notifies).await;
    });
}

#[test]
fn a_barrier() {
    let line = here() + 3;
    demand_wait(WaitsFor::Signal, line, async {
        let barrier = sync::Barrier::new(2);
        let _ = barrier.wait().await;
    });
}

#[test]
fn what_holds_a_lock() {
    let event_loop = EventLoop::new().unwrap();
    let mutex = Arc::new(sync::Mutex::new(()));
    let held_on = mutex.clone();
    let holding = task_on(&event_loop, "holding", async move {
        let _guard = held_on.lock().await;
        pending::<()>().await;
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let waiting = task_on(&event_loop, "waiting", async move { drop(mutex.lock().await) });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let dump = event_loop.dump();
    let found = dump.tasks.iter().find(|task| task.id == waiting.id()).unwrap();
    if cfg!(debug_assertions) {
        let told = format!(", held by task {} 'holding'", holding.id());
        assert!(found.to_string().ends_with(&told), "{found}");
        assert_eq!(found.held_by[0].task, Some(holding.id()));
    }
    // From outside of any task nobody is named.
    let mutex = Arc::new(sync::Mutex::new(()));
    let _guard = mutex.try_lock().unwrap();
    let shared = mutex.clone();
    let waiting = task_on(&event_loop, "waiting", async move { drop(shared.lock().await) });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let dump = event_loop.dump();
    let found = dump.tasks.iter().find(|task| task.id == waiting.id()).unwrap();
    if cfg!(debug_assertions) {
        assert!(found.to_string().ends_with(", held by something that is no task"), "{found}");
    }
}

#[test]
fn a_pipe() {
    let (reader, writer) = pipe().unwrap();
    let line = here() + 3;
    demand_wait(WaitsFor::Readable, line, async move {
        let (reader, _writer) = (Source::new(reader).unwrap(), writer);
        let read = reader.read_with(|mut pipe| pipe.read(&mut [0; 1]));
        read.await.unwrap();
    });
}

/// Two ends of a connection, blocking and plain.
fn connection() -> (std::net::TcpStream, std::net::TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

#[test]
fn a_socket() {
    let (ours, theirs) = connection();
    let line = here() + 4;
    demand_wait(WaitsFor::Readable, line, async move {
        let (stream, _theirs) = (TcpStream::from_std(ours).unwrap(), theirs);
        let mut buf = [0; 1];
        stream.read(&mut buf).await.unwrap();
    });
    let (ours, theirs) = connection();
    let line = here() + 5;
    demand_wait(WaitsFor::Writable, line, async move {
        let (stream, _theirs) = (TcpStream::from_std(ours).unwrap(), theirs);
        loop {
            // The peer does not read.
            stream.write(&[0; 65_536]).await.unwrap();
        }
    });
}

/// Their caller is a line of the crate whose future calls them. Noted is the user's line that is nearest: where the
/// connection was accepted, connected or taken over, or where it was split.
#[test]
fn a_socket_behind_the_traits_of_futures_io() {
    let (ours, theirs) = connection();
    let line = here() + 3;
    demand_wait(WaitsFor::Readable, line, async move {
        let _theirs = theirs;
        let mut stream = TcpStream::from_std(ours).unwrap();
        stream.write_all(b"x").await.unwrap();
        AsyncReadExt::read(&mut stream, &mut [0; 1]).await.unwrap();
    });
    let line = here() + 4;
    demand_wait(WaitsFor::Readable, line, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let line = here() + 4;
    demand_wait(WaitsFor::Readable, line, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut client = TcpStream::connect(address).await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
    });
    let (ours, theirs) = connection();
    let line = here() + 4;
    demand_wait(WaitsFor::Writable, line, async move {
        let _theirs = theirs;
        let stream = TcpStream::from_std(ours).unwrap();
        let (_reader, mut writer) = stream.into_split();
        writer.write_all(&vec![0; 64 << 20]).await.unwrap();
    });
}

/// Glue of the user's own is noted by itself.
#[test]
fn a_poll_function() {
    let (reader, writer) = pipe().unwrap();
    let line = here() + 3;
    demand_wait(WaitsFor::Readable, line, async move {
        let (reader, _writer) = (Source::new(reader).unwrap(), writer);
        poll_fn(|cx| reader.poll_readable(cx)).await.unwrap();
    });
    let line = here() + 3;
    demand_wait(WaitsFor::Readable, line, async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        poll_fn(|cx| listener.poll_accept(cx)).await.unwrap();
    });
}

#[test]
fn an_accept() {
    let line = here() + 3;
    demand_wait(WaitsFor::Readable, line, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.accept().await.unwrap();
    });
}

#[test]
fn a_blocking_job() {
    let (end, ended) = mpsc::channel::<()>();
    let line = here() + 3;
    demand_wait(WaitsFor::Blocking, line, async move {
        let _end = end;
        let job = task::spawn_blocking(move || ended.recv());
        drop(job.await);
    });
}

#[test]
fn a_future_of_another_crate_is_not_known() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.spawn_local(async {
        yield_now().await;
        pending::<()>().await;
    });
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    let found = only_task(&event_loop);
    assert!(found.waits.is_none() && !found.scheduled && !found.running, "{found:?}");
    assert!(found.to_string().ends_with("waits for a future that is not whirligig's"), "{found}");
}

#[test]
fn tasks_are_listed_with_name_spawn_place_and_stage() {
    let event_loop = EventLoop::new().unwrap();
    let line = here() + 1;
    event_loop.spawn_local(pending::<()>());
    let root = here() + 1;
    let dump = event_loop.block_on(async {
        let late = task::Builder::new().name("late").spawn_local(async {});
        let dump = whirligig::dump();
        assert!(!late.is_finished());
        dump
    });
    let stages: Vec<_> = dump
        .tasks
        .iter()
        .map(|task| (task.spawned_at.line(), task.name.as_deref(), task.running, task.scheduled))
        .collect();
    let expected = [
        (root, None, true, false), // the root future comes first; it asked
        (line, None, false, false),
        (root + 1, Some("late"), false, true),
    ];
    assert_eq!(stages, expected);
    assert_eq!(dump.to_string().lines().count(), 3);
    assert!(dump.to_string().contains(&format!("'late', spawned at {}:{}:", file!(), root + 1)));

    // The root future is gone, and what has ended is not listed.
    event_loop.turn(Some(Duration::ZERO)).unwrap();
    assert_eq!(only_task(&event_loop).spawned_at.line(), line);
}
