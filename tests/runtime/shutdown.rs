//! How a runtime ends: what is dropped, when and where; what a destructor may do; who is told what is
//! left.

#![allow(unsafe_code)] // A signal's handler, and the signal.

use std::{
    fs::{self, File},
    future::{Future, pending, poll_fn},
    io::{PipeWriter, Read, Write, pipe},
    os::fd::AsRawFd,
    pin::{Pin, pin},
    sync::{
        Arc, Barrier, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::channel,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_lite::future::block_on;
use whirligig::{
    EventLoop, Handle, Runtime, io::Source, net::TcpListener, queue::Queue, spawn, task, time,
};

use crate::Watchdog;

fn runtimes() -> impl Iterator<Item = Runtime> {
    [1, 2].map(|workers| Runtime::builder().worker_threads(workers).build().unwrap()).into_iter()
}

/// Does something when it is dropped, and counts that.
struct OnDrop<F: FnMut() + Send>(F, Arc<AtomicUsize>);

impl<F: FnMut() + Send> Drop for OnDrop<F> {
    fn drop(&mut self) {
        self.1.fetch_add(1, SeqCst);
        (self.0)();
    }
}

/// Waits until as many tasks wait as there should be, and none runs.
fn await_idle(runtime: &Runtime, tasks: usize) {
    loop {
        let dump = runtime.dump().tasks;
        if dump.len() == tasks && dump.iter().all(|task| !task.running && !task.scheduled) {
            return;
        }
        thread::yield_now();
    }
}

#[test]
fn a_task_that_waits_only_for_its_own_socket_is_dropped() {
    let _watchdog = Watchdog::new("a task and its socket");
    for runtime in runtimes() {
        let dropped = Arc::new(AtomicUsize::new(0));
        // The writer is in the future as well: no event will ever come, and nobody else knows it.
        let guard = OnDrop(|| {}, dropped.clone());
        let task = runtime.spawn(async move {
            let _guard = guard;
            let (reader, _writer) = pipe().unwrap();
            Source::new(reader).unwrap().readable().await.unwrap();
        });
        await_idle(&runtime, 1);
        drop(runtime);
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(task.wait().unwrap_err().is_cancelled());
    }
}

/// A destructor finds the runtime as it would find it in a task, closed: what it spawns is dropped, and
/// what it waits for is not watched.
#[test]
fn a_destructor_may_use_the_runtime_that_ends() {
    let _watchdog = Watchdog::new("a destructor that uses its runtime");
    for runtime in runtimes() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let outcome = Arc::new(Mutex::new(Vec::new()));
        let (counted, said) = (dropped.clone(), outcome.clone());
        let guard = OnDrop(
            move || {
                let inner = OnDrop(|| {}, counted.clone());
                let late = spawn(async move { drop(inner) });
                let mut cx = Context::from_waker(Waker::noop());
                let mut sleep = Box::pin(time::sleep(Duration::from_millis(1)));
                let slept = sleep.as_mut().poll(&mut cx).is_ready();
                let handle = Handle::current();
                said.lock().unwrap().push((late.is_finished(), slept));
                drop((sleep, handle));
            },
            dropped.clone(),
        );
        let task = runtime.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        await_idle(&runtime, 1);
        drop(runtime);
        assert!(task.wait().unwrap_err().is_cancelled());
        assert_eq!(*outcome.lock().unwrap(), [(true, false)]);
        assert_eq!(dropped.load(SeqCst), 2, "the task's guard, and that of what it spawned");
    }
}

/// A chain: the destructor of each task wakes, cancels and at last owns the next.
#[test]
fn destructors_that_wake_cancel_and_own_each_other_harm_nobody() {
    let _watchdog = Watchdog::new("a chain of destructors");
    for runtime in runtimes() {
        let dropped = Arc::new(AtomicUsize::new(0));
        let queue = Arc::new(Queue::<()>::unbounded());
        let mut next = None;
        for _ in 0..50 {
            let (mut owned, items) = (next.take(), queue.clone());
            let guard = OnDrop(
                move || {
                    let _ = items.try_put(());
                    let next: Option<task::JoinHandle<()>> = owned.take();
                    next.inspect(|next| _ = next.cancel());
                },
                dropped.clone(),
            );
            let getter = queue.clone();
            next = Some(runtime.spawn(async move {
                let _guard = guard;
                let _ = getter.get().await;
                pending::<()>().await;
            }));
        }
        await_idle(&runtime, 50);
        drop(runtime);
        assert_eq!(dropped.load(SeqCst), 50);
    }
}

/// The last handle and the runtime itself go with a task that is dropped: on a worker, or by whoever
/// shuts down.
#[test]
fn a_runtime_may_be_owned_by_its_own_task() {
    let _watchdog = Watchdog::new("a runtime owned by its own task");
    for runtime in runtimes() {
        let (shared, dropped) = (Arc::new(runtime), Arc::new(AtomicUsize::new(0)));
        let guard = OnDrop(|| {}, dropped.clone());
        let owner = shared.clone();
        let task = shared.spawn(async move {
            let _guards = (owner, guard);
            pending::<()>().await;
        });
        await_idle(&shared, 1);
        drop(shared);
        // The one who owns it is dropped in a turn of its own worker, and the runtime with it.
        task.cancel();
        assert!(task.wait().unwrap_err().is_cancelled());
        assert_eq!(dropped.load(SeqCst), 1);
    }
}

#[test]
fn a_runtime_dropped_in_a_task_that_blocks_in_place_does_not_wait_for_itself() {
    let _watchdog = Watchdog::new("a runtime dropped in `block_in_place`");
    for runtime in runtimes() {
        let (gone, wait) = channel();
        let handle = runtime.handle();
        drop(handle.spawn(async move {
            task::block_in_place(move || drop(runtime));
            gone.send(()).unwrap();
        }));
        wait.recv().unwrap();
        assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
    }
}

#[test]
fn a_runtime_dropped_inside_another_is_waited_for() {
    let _watchdog = Watchdog::new("a runtime dropped in another");
    for outer in runtimes() {
        let inner = Runtime::builder().worker_threads(2).build().unwrap();
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = OnDrop(|| {}, dropped.clone());
        let task = inner.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        });
        outer.spawn(async move { drop(inner) }).wait().unwrap();
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(task.wait().unwrap_err().is_cancelled());
        let inner = Runtime::builder().worker_threads(1).build().unwrap();
        whirligig::run(async move {
            inner.spawn(async {}).await.unwrap();
            drop(inner);
        });
        let inner = EventLoop::new().unwrap();
        outer.block_on(async move { drop(inner) });
    }
}

#[test]
fn a_shutdown_that_would_wait_for_its_own_task_is_refused_with_a_way_out() {
    let _watchdog = Watchdog::new("a shutdown in a task");
    for runtime in runtimes() {
        let handle = runtime.handle();
        let task = handle.spawn(async move { runtime.shutdown_timeout(Duration::MAX) });
        let error = task.wait().unwrap_err().to_string();
        assert!(error.contains("shutdown_background"), "{error}");
        assert!(
            handle.spawn(async {}).wait().unwrap_err().is_cancelled(),
            "it is shut down anyway"
        );
    }
}

/// The report names the poll and the call that have not come to an end, with the lines that began them.
#[test]
fn the_report_of_a_shutdown_names_task_and_call() {
    let _watchdog = Watchdog::new("a report");
    for runtime in runtimes() {
        let both = Arc::new(Barrier::new(3));
        let (go, gone) = channel::<()>();
        let begun = both.clone();
        let line = line!() + 1;
        let task = task::Builder::new().name("digger").spawn_on(&runtime.handle(), async move {
            begun.wait();
            // Until the test is over: then there is nobody to send.
            let _ = gone.recv();
            pending::<()>().await;
        });
        let (call_go, call_gone) = channel::<()>();
        let begun = both.clone();
        let entered = runtime.enter();
        let call_line = line!() + 1;
        drop(task::spawn_blocking(move || {
            begun.wait();
            let _ = call_gone.recv();
        }));
        drop(entered);
        both.wait();
        let report = runtime.shutdown_timeout(Duration::ZERO).unwrap_err().to_string();
        let file = file!();
        let task_said = format!("'digger', spawned at {file}:{line}:");
        let call_said = format!("a blocking call made at {file}:{call_line}:");
        assert!(report.contains(&task_said) && report.contains(&call_said), "{report}");
        assert_eq!(report.lines().count(), 3, "and nothing else: {report}");
        drop((go, call_go));
        assert!(task.wait().unwrap_err().is_cancelled(), "dropped at the end of its poll");
    }
}

/// A file that is written while its runtime goes: each piece is written when that is on its way out, or
/// later.
#[test]
fn a_file_that_is_being_written_is_whole_when_its_runtime_is_gone() {
    const PIECES: usize = 50;
    let _watchdog = Watchdog::new("a file and its runtime");
    let path = std::env::temp_dir().join(format!("whirligig-shutdown-{}", std::process::id()));
    for runtime in runtimes() {
        let mut file = File::create(&path).unwrap();
        let (begin, begun) = channel();
        drop(runtime.handle().spawn_blocking(move || {
            begin.send(()).unwrap();
            for _ in 0..PIECES {
                thread::sleep(Duration::from_millis(1));
                file.write_all(b"a piece of it\n").unwrap();
            }
        }));
        begun.recv().unwrap();
        drop(runtime);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), PIECES);
    }
    fs::remove_file(&path).unwrap();
}

/// A call that drops the runtime which runs it, and one that shuts it down: neither waits for itself.
#[test]
fn a_runtime_that_ends_in_its_own_call_does_not_wait_for_itself() {
    let _watchdog = Watchdog::new("a runtime dropped in its own call");
    for runtime in runtimes() {
        let handle = runtime.handle();
        handle.spawn_blocking(move || drop(runtime)).wait().unwrap();
        assert!(handle.spawn(async {}).wait().unwrap_err().is_cancelled());
    }
    for runtime in runtimes() {
        let call = runtime.handle().spawn_blocking(move || runtime.shutdown_timeout(Duration::MAX));
        let error = call.wait().unwrap_err().to_string();
        assert!(error.contains("shutdown_background"), "{error}");
    }
}

/// What has not begun is cancelled, with any number of workers, and before a task is dropped.
#[test]
fn a_call_that_has_not_begun_does_not_begin_when_its_runtime_ends() {
    let _watchdog = Watchdog::new("calls that have not begun");
    for workers in [1, 4] {
        let settings = Runtime::builder().worker_threads(workers).blocking_threads(1);
        let runtime = settings.build().unwrap();
        let (begin, begun) = channel();
        let (go, gone) = channel::<()>();
        let running = runtime.handle().spawn_blocking(move || {
            begin.send(()).unwrap();
            gone.recv().unwrap_err();
        });
        begun.recv().unwrap();
        let calls: Vec<_> =
            (0..10).map(|_| runtime.handle().spawn_blocking(|| panic!("it ran"))).collect();
        // The call that runs ends when a task is dropped: its thread is free then, and takes no other.
        let guard = OnDrop(
            {
                let mut go = Some(go);
                move || drop(go.take())
            },
            Arc::new(AtomicUsize::new(0)),
        );
        drop(runtime.spawn(async move {
            let _guard = guard;
            pending::<()>().await;
        }));
        await_idle(&runtime, 1);
        runtime.shutdown_timeout(Duration::MAX).unwrap();
        running.wait().unwrap();
        for call in calls {
            assert!(call.wait().unwrap_err().is_cancelled());
        }
    }
}

/// A spawn, a wake and a shutdown at once, many times: whoever wins, each future is dropped once and
/// each handle is told.
#[test]
fn spawns_and_wakes_beside_a_shutdown_are_done_or_refused() {
    let _watchdog = Watchdog::new("spawns beside a shutdown");
    for round in 0..100 {
        let runtime = Runtime::builder().worker_threads(1 + round % 3).build().unwrap();
        let (made, dropped) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let queue = Arc::new(Queue::unbounded());
        let handle = runtime.handle();
        thread::scope(|scope| {
            let spawner = scope.spawn(|| {
                let task = |n| {
                    let guard = OnDrop(|| {}, dropped.clone());
                    made.fetch_add(1, SeqCst);
                    let queue = queue.clone();
                    handle.spawn(async move {
                        let _guard = guard;
                        match n % 3 {
                            0 => drop(queue.try_put(n)),
                            1 => drop(queue.get().await),
                            _ => task::yield_now().await,
                        }
                    })
                };
                (0..200).map(task).collect::<Vec<_>>()
            });
            for n in 0..round {
                let _ = queue.try_put(n);
            }
            drop(runtime);
            for handle in spawner.join().unwrap() {
                if let Err(error) = handle.wait() {
                    assert!(error.is_cancelled());
                }
            }
        });
        assert_eq!(dropped.load(SeqCst), made.load(SeqCst));
    }
}

/// Where the handler of SIGINT writes.
static INTERRUPTED: OnceLock<PipeWriter> = OnceLock::new();

extern "C" fn interrupt(_signal: libc::c_int) {
    if let Some(writer) = INTERRUPTED.get() {
        // SAFETY: `write` may be called in a handler, the descriptor is open for good, and the byte
        // is there.
        unsafe { libc::write(writer.as_raw_fd(), [0_u8].as_ptr().cast(), 1) };
    }
}

/// Ctrl-C ends a server in order: the root future hears of it, the tasks are told and given time, and
/// what does not listen is dropped.
#[test]
fn ctrl_c_ends_a_server_in_order() {
    let _watchdog = Watchdog::new("a server at Ctrl-C");
    let (reader, writer) = pipe().unwrap();
    INTERRUPTED.set(writer).unwrap();
    // SAFETY: the handler does nothing but what a handler may do.
    unsafe { libc::signal(libc::SIGINT, interrupt as *const () as libc::sighandler_t) };
    let runtime = Runtime::builder().worker_threads(2).build().unwrap();
    let stop = Arc::new(Queue::<()>::unbounded());
    let (polite, rude) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        drop(spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        }));
        let workers: Vec<_> = (0..10)
            .map(|_| {
                let (stop, polite) = (stop.clone(), polite.clone());
                spawn(async move {
                    stop.get().await.unwrap_err();
                    polite.fetch_add(1, SeqCst);
                })
            })
            .collect();
        let guard = OnDrop(|| {}, rude.clone());
        drop(spawn(async move {
            let _guard = guard;
            Deaf.await;
        }));
        let reader = Source::new(reader).unwrap();
        // SAFETY: it raises a signal that is handled.
        unsafe { libc::raise(libc::SIGINT) };
        reader.read_with(|mut pipe| pipe.read(&mut [0])).await.unwrap();
        stop.close();
        for worker in workers {
            worker.await.unwrap();
        }
    });
    assert_eq!((polite.load(SeqCst), rude.load(SeqCst)), (10, 0));
    runtime.shutdown_timeout(Duration::MAX).unwrap();
    assert_eq!(rude.load(SeqCst), 1);
}

/// Never ends, and is never done being polled either.
struct Deaf;

impl Future for Deaf {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// What becomes of a thread that has entered the runtime, and waits there with an executor of its own, when the
/// runtime goes.
fn outlive<F>(
    runtime: Runtime,
    wait: impl FnOnce() -> F + Send + 'static,
) -> thread::Result<F::Output>
where
    F: Future<Output: Send + 'static>,
{
    let handle = runtime.handle();
    let (begin, begun) = channel();
    let blocked = thread::spawn(move || {
        let _entered = handle.enter();
        let mut wait = pin!(wait());
        block_on(poll_fn(|cx| {
            let polled = wait.as_mut().poll(cx);
            let _ = begin.send(());
            polled
        }))
    });
    begun.recv().unwrap();
    drop(runtime);
    blocked.join()
}

/// A blocked waits on a socket. Nobody will tell it anything any more, so it must be told that.
#[test]
fn a_blocked_thread_that_waits_on_a_socket_is_told_of_the_end() {
    let _watchdog = Watchdog::new("a blocked thread and its socket");
    for runtime in runtimes() {
        let (reader, writer) = pipe().unwrap();
        let reader = Source::new(reader).unwrap();
        let ended = outlive(runtime, || async move { reader.readable().await });
        let error = ended.unwrap().unwrap_err();
        assert!(error.to_string().contains("has shut down"), "{error}");
        drop(writer);
    }
}

/// The same with a sleep, which has no error to give.
#[test]
fn a_blocked_thread_that_sleeps_is_told_of_the_end() {
    let _watchdog = Watchdog::new("a blocked thread and its sleep");
    for runtime in runtimes() {
        let ended = outlive(runtime, || time::sleep(Duration::MAX / 2));
        let text = *ended.unwrap_err().downcast::<String>().unwrap();
        assert!(text.contains("its runtime has shut down"), "{text}");
    }
}

/// A task blocks in place past the end, so its worker was another thread's meanwhile. What it then waits for will
/// never come, and it is dropped as any other.
#[test]
fn a_task_that_blocked_past_the_end_waits_and_is_dropped() {
    let _watchdog = Watchdog::new("a task that blocks past the end");
    for runtime in runtimes() {
        let begun = Arc::new(Barrier::new(2));
        let (begin, handle) = (begun.clone(), runtime.handle());
        let dropped = Arc::new(AtomicUsize::new(0));
        let guard = OnDrop(|| {}, dropped.clone());
        let task = runtime.spawn(async move {
            let _guard = guard;
            task::block_in_place(|| {
                begin.wait();
                while handle.call_soon_threadsafe(|| {}).is_ok() {
                    thread::yield_now();
                }
            });
            time::sleep(Duration::from_secs(3600)).await;
        });
        begun.wait();
        runtime.shutdown_timeout(Duration::MAX).unwrap();
        assert_eq!(dropped.load(SeqCst), 1);
        assert!(task.wait().unwrap_err().is_cancelled());
    }
}

/// The first call on the blocking pool comes when the runtime is closed already, from a poll that has not
/// ended: it is refused as any later one, and not waited for.
#[test]
fn a_blocking_pool_that_is_made_too_late_takes_nothing() {
    let _watchdog = Watchdog::new("a late blocking pool");
    for runtime in runtimes() {
        let begun = Arc::new(Barrier::new(2));
        let (begin, handle) = (begun.clone(), runtime.handle());
        let (tell, told) = channel();
        drop(runtime.spawn(async move {
            begin.wait();
            // Until it is closed.
            while handle.call_soon_threadsafe(|| {}).is_ok() {}
            let call = task::spawn_blocking(|| ());
            tell.send(call.is_finished()).unwrap();
        }));
        begun.wait();
        assert!(runtime.shutdown_timeout(Duration::MAX).is_ok());
        assert!(told.recv().unwrap(), "it was taken");
    }
}
