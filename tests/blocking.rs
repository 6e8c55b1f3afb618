//! The blocking pool: it grows, is bounded, keeps order, lets go, and is waited for at the end.
//!
//! Jobs here wait for what the test sends them, so each state of the pool stands until it was looked
//! at. Nothing waits for time.

use std::{
    fs::{self, File},
    future::Future,
    io::Write,
    pin::Pin,
    process::Command,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_lite::{AsyncReadExt, AsyncWriteExt};
use whirligig::{
    BlockingStats, EventLoop, Handle, Runtime,
    io::Source,
    net::{TcpListener, TcpStream},
    spawn, spawn_local,
    task::{SpawnBlocking, TrySpawnError, spawn_blocking, try_spawn_blocking, yield_now},
    time,
};

fn pool(threads: usize, queue: usize) -> EventLoop {
    EventLoop::builder().blocking_threads(threads).blocking_queue(queue).build().unwrap()
}

/// A job that tells when it has begun and ends when it is let go. Dropping the second lets it go too.
fn gate() -> (impl FnOnce() + Send + 'static, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let (begin, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    let job = move || {
        begin.send(()).unwrap();
        let _ = gone.recv();
    };
    (job, begun, go)
}

/// A job that holds `kept` and is not to be run.
fn must_not_run(kept: Arc<()>) -> impl FnOnce() + Send + 'static {
    move || panic!("it ran, {kept:?}")
}

/// Turns until the pool stands so. It changes on other threads, so that is all one can do.
async fn until(event_loop: &EventLoop, stands: impl Fn(BlockingStats) -> bool) {
    while !stands(event_loop.blocking_stats()) {
        yield_now().await;
    }
}

#[test]
fn outputs_and_panics_come_to_whoever_awaits() {
    let event_loop = EventLoop::new().unwrap();
    let home = thread::current().id();
    event_loop.block_on(async {
        let elsewhere = spawn_blocking(|| thread::current().id()).await.unwrap();
        assert_ne!(elsewhere, home);
        let error = spawn_blocking(|| panic!("in a job")).await.unwrap_err();
        assert!(error.is_panic() && error.to_string().ends_with("panicked: in a job"), "{error}");
        assert!(error.to_string().contains(&format!("spawned at {}:", file!())), "{error}");
        assert_eq!(spawn_blocking(|| 42).await.unwrap(), 42, "the thread outlives the panic");
        until(&event_loop, |stats| stats.ended == 3).await;
    });
    assert_eq!(event_loop.blocking_stats().queued, 0);
}

#[test]
fn the_pool_is_made_when_first_used_and_grows_as_jobs_wait() {
    const JOBS: usize = 8;
    let event_loop = pool(JOBS, 100);
    assert_eq!(event_loop.blocking_stats(), BlockingStats::default());
    event_loop.block_on(async {
        // They meet: each needs a thread of its own.
        let meet = Arc::new(Barrier::new(JOBS));
        let jobs: Vec<_> = (0..JOBS)
            .map(|_| {
                let meet = meet.clone();
                spawn_blocking(move || _ = meet.wait())
            })
            .collect();
        for job in jobs {
            job.await.unwrap();
        }
        until(&event_loop, |stats| stats.idle == JOBS).await;
        assert_eq!(event_loop.blocking_stats().threads, JOBS);
        // With idle threads there is no need for new ones.
        for _ in 0..100 {
            spawn_blocking(|| ()).await.unwrap();
        }
        assert_eq!(event_loop.blocking_stats().threads, JOBS);
    });
}

#[test]
fn jobs_that_meet_get_a_thread_each_also_after_many_short_ones() {
    const MEET: usize = 4;
    let event_loop = pool(MEET, 1000);
    event_loop.block_on(async {
        for _ in 0..10 {
            // From these the pool learns that one thread is enough, and is wrong.
            let short: Vec<_> = (0..100).map(|_| spawn_blocking(|| ())).collect();
            let meet = Arc::new(Barrier::new(MEET));
            let long: Vec<_> = (0..MEET)
                .map(|_| {
                    let meet = meet.clone();
                    spawn_blocking(move || _ = meet.wait())
                })
                .collect();
            for job in short.into_iter().chain(long) {
                job.await.unwrap();
            }
        }
        assert_eq!(event_loop.blocking_stats().threads, MEET);
    });
}

#[test]
fn threads_and_queue_are_bounded() {
    let event_loop = pool(2, 3);
    event_loop.block_on(async {
        let at_once = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let jobs: Vec<_> = (0..200)
            .map(|_| {
                let (at_once, most) = (at_once.clone(), most.clone());
                spawn_local(async move {
                    let job = move || {
                        most.fetch_max(1 + at_once.fetch_add(1, SeqCst), SeqCst);
                        thread::yield_now();
                        at_once.fetch_sub(1, SeqCst);
                    };
                    spawn_blocking(job).await.unwrap();
                })
            })
            .collect();
        for job in jobs {
            let stats = event_loop.blocking_stats();
            assert!(stats.threads <= 2 && stats.queued <= 3 + stats.idle, "{stats:?}");
            job.await.unwrap();
        }
        assert!((1..=2).contains(&most.load(SeqCst)), "{most:?} jobs at once");
    });
}

/// One thread that is busy, a queue of one that is full. Returns what frees the thread.
fn fill(event_loop: &EventLoop, jobs: &mut Vec<SpawnBlocking<()>>) -> mpsc::Sender<()> {
    let (first, begun, go) = gate();
    jobs.push(spawn_blocking(first));
    begun.recv().unwrap();
    jobs.push(spawn_blocking(|| ()));
    let stats = event_loop.blocking_stats();
    assert_eq!((stats.threads, stats.queued, stats.waiting), (1, 1, 0), "{stats:?}");
    go
}

#[test]
fn who_finds_the_queue_full_waits_in_line_first_come_first_served() {
    let event_loop = pool(1, 1);
    event_loop.block_on(async {
        let mut jobs = Vec::new();
        let go = fill(&event_loop, &mut jobs);
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..20)
            .map(|n| {
                let order = order.clone();
                spawn_local(async move {
                    spawn_blocking(move || order.lock().unwrap().push(n)).await.unwrap();
                })
            })
            .collect();
        yield_now().await;
        let stats = event_loop.blocking_stats();
        assert_eq!((stats.threads, stats.queued, stats.waiting), (1, 1, 20), "{stats:?}");
        assert_eq!(try_spawn_blocking(|| ()).unwrap_err(), TrySpawnError::Full);
        drop(go);
        for job in waiting {
            job.await.unwrap();
        }
        assert!(order.lock().unwrap().iter().copied().eq(0..20));
        assert_eq!(event_loop.blocking_stats().waiting, 0);
    });
}

#[test]
fn without_waiting_a_full_pool_is_an_error_that_says_what_to_do() {
    let event_loop = pool(1, 1);
    event_loop.block_on(async {
        let mut jobs = Vec::new();
        let go = fill(&event_loop, &mut jobs);
        let kept = Arc::new(());
        let mine = kept.clone();
        let error = try_spawn_blocking(move || drop(mine)).unwrap_err();
        assert!(error.to_string().contains("await `spawn_blocking` instead"), "{error}");
        assert_eq!(Arc::strong_count(&kept), 1, "the refused job is dropped");
        drop(go);
        for job in jobs {
            job.await.unwrap();
        }
        until(&event_loop, |stats| stats.idle == 1).await;
        assert_eq!(try_spawn_blocking(|| 42).unwrap().await.unwrap(), 42);
    });
}

/// Polls once, with a waker that does nothing.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_dropped_future_beyond_the_queue_does_not_leave_the_line() {
    let event_loop = pool(1, 1);
    event_loop.block_on(async {
        let mut jobs = Vec::new();
        let go = fill(&event_loop, &mut jobs);
        let (done, is_done) = mpsc::channel();
        let mut beyond = spawn_blocking(move || done.send(()).unwrap());
        assert!(poll_once(&mut beyond).is_pending());
        drop(beyond);
        assert_eq!(event_loop.blocking_stats().waiting, 1);
        drop(go);
        is_done.recv().expect("it runs in its turn");
    });
}

#[test]
fn a_cancelled_job_is_gone_at_once() {
    const JOBS: usize = 1_000;
    let event_loop = pool(1, 1);
    event_loop.block_on(async {
        let mut jobs = Vec::new();
        let go = fill(&event_loop, &mut jobs);
        let kept = Arc::new(());
        let cancelled: Vec<_> =
            (0..JOBS).map(|_| spawn_blocking(must_not_run(kept.clone()))).collect();
        assert_eq!(event_loop.blocking_stats().waiting, JOBS);
        // The other way round as well as in order.
        let (front, back) = cancelled.split_at(JOBS / 2);
        for job in front.iter().chain(back.iter().rev()) {
            assert!(job.cancel());
            assert!(job.is_finished(), "its handle knows");
            assert!(!job.cancel(), "it is gone");
        }
        assert_eq!(Arc::strong_count(&kept), 1, "their closures are dropped");
        let stats = event_loop.blocking_stats();
        assert_eq!((stats.queued, stats.waiting), (1, 0), "{stats:?}");
        assert!(jobs[1].cancel());
        let taken = try_spawn_blocking(|| 42).expect("its room is free");
        for job in cancelled {
            assert!(job.await.unwrap_err().is_cancelled());
        }
        drop(go);
        assert_eq!(taken.await.unwrap(), 42);
    });
}

#[test]
fn a_cancel_handle_wakes_the_task_that_awaits_the_job() {
    fn is_shared<T: Clone + Send + Sync + 'static>(_: &T) {}
    let event_loop = pool(1, 1);
    event_loop.block_on(async {
        let mut jobs = Vec::new();
        let go = fill(&event_loop, &mut jobs);
        let call = spawn_blocking(|| ());
        let (cancel, id) = (call.cancel_handle(), call.id());
        is_shared(&cancel);
        let waiting = spawn_local(call);
        yield_now().await;
        // The thread of the pool does not come by, so nothing else can wake it.
        let canceller = thread::spawn(move || (cancel.id(), cancel.cancel(), cancel.cancel()));
        let error = waiting.await.unwrap().unwrap_err();
        assert!(error.is_cancelled() && error.id() == id, "{error}");
        assert_eq!(canceller.join().unwrap(), (id, true, false));
        drop(go);
    });
}

#[test]
fn a_job_is_cancelled_only_before_it_begins() {
    let event_loop = pool(1, 10);
    event_loop.block_on(async {
        let (running, begun, go) = gate();
        let running = spawn_blocking(running);
        begun.recv().unwrap();
        let kept = Arc::new(());
        let mine = kept.clone();
        let queued = spawn_blocking(must_not_run(mine));
        assert!(!running.cancel());
        assert!(queued.cancel());
        assert!(!running.is_finished() && queued.is_finished());
        drop(go);
        running.await.expect("it had begun, so it keeps its output");
        assert!(queued.await.unwrap_err().is_cancelled());
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

#[test]
fn a_dropped_future_lets_its_job_run() {
    let event_loop = pool(1, 10);
    event_loop.block_on(async {
        let (first, begun, go) = gate();
        drop(spawn_blocking(first));
        begun.recv().unwrap();
        let (done, is_done) = mpsc::channel();
        let mut queued = spawn_blocking(move || done.send(()).unwrap());
        assert!(poll_once(&mut queued).is_pending());
        drop(queued);
        go.send(()).unwrap();
        is_done.recv().expect("once queued it runs");
        // An output that nobody wants is dropped, and may panic: the thread goes on.
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                panic!("an unwanted output");
            }
        }
        drop(spawn_blocking(|| Bomb));
        spawn_blocking(|| ()).await.unwrap();
        until(&event_loop, |stats| stats.ended == 4).await;
        assert_eq!(event_loop.blocking_stats().threads, 1);
    });
}

#[test]
#[expect(clippy::async_yields_async, reason = "what it yields is for later")]
fn a_job_awaited_elsewhere_tells_its_outcome_there() {
    let event_loop = EventLoop::new().unwrap();
    let mut job = event_loop.block_on(async { spawn_blocking(|| 42) });
    let other = EventLoop::new().unwrap();
    assert_eq!(other.block_on(&mut job).unwrap(), 42);
    // Or on none: any waker will do.
    let (go, gone) = mpsc::channel::<()>();
    let job = event_loop.block_on(async {
        try_spawn_blocking(move || gone.recv().unwrap()).expect("there is room")
    });
    go.send(()).unwrap();
    job.wait().unwrap();
}

#[test]
fn a_loop_that_goes_drops_what_has_not_begun_and_names_what_goes_on() {
    let event_loop = pool(1, 1);
    let (running, begun, go) = gate();
    let kept = Arc::new(());
    let line = line!() + 2;
    let (running, queued, mut waiting) = event_loop.block_on(async {
        let running = spawn_blocking(running);
        begun.recv().unwrap();
        let (first, second) = (kept.clone(), kept.clone());
        let queued = spawn_blocking(must_not_run(first));
        let mut waiting = spawn_blocking(must_not_run(second));
        assert!(poll_once(&mut waiting).is_pending());
        (running, queued, waiting)
    });
    let handle = event_loop.handle();
    // The running job stands at its gate, so were it waited for, this would not return.
    let report = event_loop.shutdown_timeout(Duration::ZERO).unwrap_err();
    assert_eq!((report.tasks.len(), report.blocking_calls.len()), (0, 1));
    let said = format!("a blocking call made at {}:{line}:", file!());
    assert!(report.to_string().contains(&said), "{report}");
    assert_eq!(Arc::strong_count(&kept), 1, "the other jobs are dropped at once");
    let other = EventLoop::new().unwrap();
    other.block_on(async {
        assert!(queued.await.unwrap_err().is_cancelled());
        assert!((&mut waiting).await.unwrap_err().is_cancelled());
        assert!(!running.is_finished());
        go.send(()).unwrap();
        running.await.expect("it had begun, and nobody stops it");
    });
    assert!(handle.spawn_blocking(|| ()).wait().unwrap_err().is_cancelled());
}

#[test]
fn a_loop_whose_calls_have_ended_shuts_down_without_a_report() {
    let event_loop = pool(2, 10);
    let (done, is_done) = mpsc::channel();
    event_loop.block_on(async { drop(spawn_blocking(move || done.send(()).unwrap())) });
    is_done.recv().unwrap();
    event_loop.shutdown_timeout(Duration::MAX).unwrap();
}

#[test]
fn who_awaits_a_queued_job_is_woken_when_the_loop_goes() {
    let home = pool(1, 1);
    let other = EventLoop::new().unwrap();
    let (go, waiting) = home.block_on(async {
        let mut jobs = Vec::new();
        let go = fill(&home, &mut jobs);
        (go, spawn_blocking(|| panic!("it ran")))
    });
    let waiting = other.spawn_local(waiting);
    other.block_on(yield_now());
    assert!(!waiting.is_finished());
    assert!(home.shutdown_timeout(Duration::ZERO).is_err());
    let outcome = other.block_on(waiting).unwrap();
    assert!(outcome.unwrap_err().is_cancelled());
    drop(go);
}

/// A file that is written while its loop goes. Each piece is written when the loop is on its way out,
/// or later.
#[test]
fn a_file_that_is_being_written_is_whole_when_run_returns() {
    const PIECES: usize = 50;
    let path = std::env::temp_dir().join(format!("whirligig-blocking-{}", std::process::id()));
    let mut file = File::create(&path).unwrap();
    let (begin, begun) = mpsc::channel();
    whirligig::run(async move {
        let call = spawn_blocking(move || {
            begin.send(()).unwrap();
            for _ in 0..PIECES {
                thread::sleep(Duration::from_millis(1));
                file.write_all(b"a piece of it\n").unwrap();
            }
        });
        begun.recv().unwrap();
        drop(call);
    });
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(text.lines().count(), PIECES);
}

#[test]
fn settings_of_the_pool_are_checked_and_none_means_one() {
    let error = EventLoop::builder().blocking_threads(0).build().unwrap_err();
    assert!(error.to_string().contains("blocking_threads is 0"), "{error}");
    let event_loop = pool(1, 0);
    event_loop.block_on(async {
        for n in 0..10 {
            assert_eq!(spawn_blocking(move || n).await.unwrap(), n);
        }
    });
}

#[test]
fn jobs_beyond_the_queue_begin_in_order_though_nobody_awaits_them() {
    const JOBS: u64 = 3_000;
    let event_loop = pool(4, 2);
    event_loop.block_on(async {
        let begun = Arc::new(AtomicU64::new(0));
        let jobs: Vec<_> = (0..JOBS)
            .map(|n| {
                let begun = begun.clone();
                spawn_blocking(move || (n, begun.fetch_add(1, SeqCst)))
            })
            .collect();
        until(&event_loop, |stats| stats.ended == JOBS).await;
        // The last of them began when most had begun: no place in line was lost.
        let (n, at) = jobs.into_iter().last().unwrap().await.unwrap();
        assert!(at > n / 2, "job {n} was the {at}th to begin");
    });
}

/// What a call on the blocking pool finds when it looks around, on an event loop and on a runtime.
fn looks_around() {
    let here = Handle::try_current().expect("the runtime that made the call");
    let nested = spawn_blocking(|| spawn(async { 1 }).wait().unwrap());
    assert_eq!(nested.wait().unwrap(), 1);
    assert_eq!(here.spawn(async { 2 }).wait().unwrap(), 2);
    // Made here, awaited there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let sleep = time::sleep(Duration::from_millis(1));
    let connect = TcpStream::connect(address);
    let sent = spawn(async move {
        sleep.await;
        connect.await.unwrap().peer_addr().unwrap()
    });
    assert_eq!(sent.wait().unwrap(), address);
    drop(listener.accept().unwrap());
    // Made and awaited here, with a task there.
    let echoed = here.block_on(async move {
        let listener = TcpListener::from_std(listener).unwrap();
        let server = spawn(async move {
            time::sleep(Duration::from_millis(1)).await;
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(b"hello").await.unwrap();
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        time::sleep(Duration::from_millis(1)).await;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        server.await.unwrap();
        assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3);
        text
    });
    assert_eq!(echoed, "hello");
}

#[test]
fn a_blocking_call_knows_the_runtime_that_made_it() {
    let event_loop = pool(4, 0);
    event_loop.block_on(async { spawn_blocking(looks_around).await.unwrap() });
    for workers in [1, 2] {
        let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
        runtime.block_on(async { spawn_blocking(looks_around).await.unwrap() });
        runtime.block_on(async { spawn(spawn_blocking(looks_around)).await.unwrap().unwrap() });
    }
}

/// A call's tasks run on its loop, and the call is not there.
#[test]
fn what_a_blocking_call_spawns_runs_on_the_loop() {
    let event_loop = EventLoop::new().unwrap();
    let home = thread::current().id();
    event_loop.block_on(async {
        let call = spawn_blocking(move || {
            let there = spawn(async { thread::current().id() }).wait().unwrap();
            assert_eq!(there, home);
            let (here, inside) = Handle::current().block_on(async {
                let task = spawn(async { thread::current().id() });
                (thread::current().id(), task.await.unwrap())
            });
            assert_eq!((here, inside), (thread::current().id(), home));
        });
        call.await.unwrap();
    });
}

#[test]
fn what_a_blocking_call_can_not_do_says_what_to_do_instead() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let (reader, _writer) = std::io::pipe().unwrap();
        let source = Source::new(reader).unwrap();
        let outcomes = [
            (spawn_blocking(|| drop(spawn_local(async {}))), "use `spawn` if the future"),
            (
                spawn_blocking(|| futures_lite::future::block_on(time::sleep(Duration::MAX / 2))),
                "await it inside `Handle::block_on`",
            ),
            (
                spawn_blocking(move || {
                    let waits = futures_lite::future::block_on(source.readable());
                    panic!("{}", waits.unwrap_err());
                }),
                "inside `Handle::block_on`",
            ),
            (spawn_blocking(|| drop(whirligig::dump())), "on its own thread"),
        ];
        for (call, advice) in outcomes {
            let error = call.await.unwrap_err().to_string();
            assert!(error.contains(advice), "{error}");
        }
    });
}

#[test]
fn who_comes_too_late_is_told_that_it_is_over() {
    let event_loop = EventLoop::new().unwrap();
    let runtime = Runtime::builder().worker_threads(1).build().unwrap();
    let handles = [event_loop.handle(), runtime.handle()];
    drop((event_loop, runtime));
    for handle in handles {
        let _entered = handle.enter();
        let error = try_spawn_blocking(|| ()).unwrap_err();
        assert_eq!(error, TrySpawnError::ShutDown);
        assert!(error.to_string().contains("shut down"), "{error}");
        assert!(spawn_blocking(|| ()).wait().unwrap_err().is_cancelled());
        assert!(spawn(async {}).wait().unwrap_err().is_cancelled());
    }
}

/// A connection by name that nobody waits for any more leaves no look-up behind.
#[test]
fn look_ups_that_nobody_waits_for_leave_the_line() {
    let event_loop = pool(1, 10);
    event_loop.block_on(async {
        let (job, begun, go) = gate();
        drop(spawn_blocking(job));
        begun.recv().unwrap();
        for _ in 0..40 {
            let mut connect = Box::pin(TcpStream::connect("localhost:1"));
            assert!(poll_once(&mut connect).is_pending());
            assert_eq!(event_loop.blocking_stats().queued, 1);
        }
        let timed_out = time::timeout(Duration::from_millis(1), TcpStream::connect("localhost:1"));
        assert!(timed_out.await.is_err());
        assert_eq!(event_loop.blocking_stats().queued, 0);
        drop(go);
    });
}

/// Lets this process map no further thread's stack, or again any.
#[allow(unsafe_code)] // The limit has no safe call here.
fn limit_memory(limited: bool) {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    // Room for what the heap may grow by, and none for a stack of 2 MiB.
    let bytes = if limited { pages * 4096 + (512 << 10) } else { libc::RLIM_INFINITY };
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads a limit that is there.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
}

/// In a process of its own, whose memory ends: a thread's stack is not to be had, until it is again.
#[test]
fn a_thread_that_can_not_be_had_is_asked_for_again() {
    const ROLE: &str = "WHIRLIGIG_TEST_WITHOUT_THREADS";
    let Ok(role) = std::env::var(ROLE) else {
        for role in ["awaited", "waited for"] {
            let test = "a_thread_that_can_not_be_had_is_asked_for_again";
            let child = Command::new(std::env::current_exe().unwrap())
                .args([test, "--exact", "--nocapture", "--test-threads=1"])
                .env(ROLE, role)
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&child.stderr);
            assert!(child.status.success(), "{said}");
            assert_eq!(said.matches("the system gives no thread").count(), 1, "{said}");
        }
        return;
    };
    let event_loop = pool(4, 10);
    limit_memory(true);
    let calls = event_loop
        .block_on(async { (0..100).map(|n| spawn_blocking(move || n)).collect::<Vec<_>>() });
    assert_eq!(event_loop.blocking_stats().threads, 0);
    assert!(calls.iter().all(|call| !call.is_finished()), "they stay in line");
    if role == "waited for" {
        limit_memory(false);
        for (n, call) in calls.into_iter().enumerate() {
            assert_eq!(call.wait().unwrap(), n);
        }
        return;
    }
    event_loop.block_on(async {
        // Nobody comes by but the call's own timer.
        let task = spawn_local(async move {
            for (n, call) in calls.into_iter().enumerate() {
                assert_eq!(call.await.unwrap(), n);
            }
        });
        time::sleep(Duration::from_millis(20)).await;
        assert!(!task.is_finished());
        limit_memory(false);
        task.await.unwrap();
    });
}
