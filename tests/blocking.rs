//! The blocking pool: it grows, is bounded, keeps order, lets go, and is waited for at the end.
//!
//! Jobs here wait for what the test sends them, so each state of the pool stands until it was looked
//! at. Nothing waits for time.

use std::{
    fs::{self, File},
    future::Future,
    io::Write,
    pin::Pin,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use whirligig::{
    BlockingStats, EventLoop, spawn_local,
    task::{SpawnBlocking, TrySpawnError, spawn_blocking, try_spawn_blocking, yield_now},
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
