//! Each thing that can be awaited, in a program that is cancelled at its first poll, its second, its third, and so on.
//!
//! A program here is a future with partners: tasks that make what it waits for happen. It is cancelled in two ways.
//! *Waiting*: right after a poll that came to nothing. *Woken*: when it is woken for a poll, instead of that poll; so
//! what it was woken for (a permit, an item) has to find another. It is cancelled at each of its polls in turn, until
//! it is done before. Each time its partners must come to their end, the program's own checks must hold, and nothing
//! may be left: no waiter, no task, no timer, no source.
//!
//! All of it on the event loop, and on the runtime with one worker and with four.

use std::{
    fmt,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use whirligig::{EventLoop, Runtime, spawn, task};

use self::watchdog::Watchdog;

#[path = "../support/watchdog.rs"]
mod watchdog;

mod io;
mod locks;
mod outside;
mod signals;
mod tasks;
mod time;

/// How a program is cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Waiting,
    Woken,
}

/// At which of its polls a program is cancelled, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    poll: usize,
    how: How,
}

impl Cut {
    /// Runs `future` up to the cut. `None`: it was cancelled there.
    pub(crate) async fn run<F: Future>(self, future: F) -> Option<F::Output> {
        Until { future: Some(future), left: self.poll, how: self.how }.await
    }
}

pin_project_lite::pin_project! {
    struct Until<F> {
        #[pin]
        future: Option<F>,
        left: usize,
        how: How,
    }
}

impl<F: Future> Future for Until<F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if *this.left == 0 {
            // Here it is dropped, where the next poll would have been.
            this.future.set(None);
            return Poll::Ready(None);
        }
        *this.left -= 1;
        let future = this.future.as_mut().as_pin_mut().expect("not polled after its end");
        if let Poll::Ready(output) = future.poll(cx) {
            this.future.set(None);
            return Poll::Ready(Some(output));
        }
        if *this.left == 0 && *this.how == How::Waiting {
            this.future.set(None);
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

/// Cancels `program` at each of its polls. It gets the cut, runs what is to be cancelled with [`Cut::run`], checks what
/// must hold, and says whether that came to its end.
#[track_caller]
pub(crate) fn sweep<F>(program: impl Fn(Cut) -> F)
where
    F: Future<Output = bool> + Send + 'static,
{
    let _watchdog = Watchdog::new("a program of tests/sweep");
    for how in [How::Waiting, How::Woken] {
        for workers in [0, 1, 4] {
            let mut poll = 1;
            while !run(workers, program(Cut { poll, how }), &format_args!("{how:?} at poll {poll}"))
            {
                poll += 1;
                assert!(poll < 1000, "it never comes to its end");
            }
            // With workers the partners may have been faster.
            let waits = poll > 1 || workers != 0;
            assert!(waits, "it never waits: there was nothing to cancel");
        }
    }
}

/// Runs a program on a new loop (no workers) or runtime, and looks at what it leaves.
#[track_caller]
fn run<F>(workers: usize, program: F, cut: &dyn fmt::Display) -> bool
where
    F: Future<Output = bool> + Send + 'static,
{
    let (ended, left) = if workers == 0 {
        let event_loop = EventLoop::new().unwrap();
        let ended = event_loop.block_on(async { spawn(program).await });
        let left = event_loop.block_on(nothing_left(|| format!("{event_loop:?}")));
        (ended, left)
    } else {
        let runtime = Runtime::builder().worker_threads(workers).build().unwrap();
        let ended = runtime.block_on(async { spawn(program).await });
        let left = runtime.block_on(nothing_left(|| format!("{runtime:?}")));
        (ended, left)
    };
    match (ended, left) {
        (Ok(ended), Ok(())) => ended,
        (Err(error), _) => panic!("{workers} workers, {cut}: {error}"),
        (_, Err(left)) => panic!("{workers} workers, {cut}: this is left: {left}"),
    }
}

/// Waits until no task but the one that asks, no timer and no source is left; after a while, says what is.
async fn nothing_left(debug: impl Fn() -> String) -> Result<(), String> {
    let own = usize::from(task::try_id().is_some());
    for _ in 0..100 {
        let tasks = whirligig::dump().tasks.len() - own;
        if tasks == 0 && counts(&debug()) == [0, 0] {
            return Ok(());
        }
        // A handle is told a moment before its task is out of the list, and a source goes by a message.
        task::yield_now().await;
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("{}\n{}", whirligig::dump(), debug()))
}

/// How many timers and how many sources a loop or runtime says that it has.
fn counts(debug: &str) -> [usize; 2] {
    ["timers", "sources"].map(|what| {
        let at = debug.find(&format!("{what}: ")).unwrap_or_else(|| panic!("no {what} in {debug}"));
        let digits = debug[at..].chars().skip_while(|c| !c.is_ascii_digit());
        digits.take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    })
}

/// Lets other tasks run, a few times.
pub(crate) async fn pause() {
    for _ in 0..3 {
        task::yield_now().await;
    }
}

#[test]
fn what_is_left_is_found() {
    use std::sync::Arc;

    let tasks = std::panic::catch_unwind(|| {
        run(
            1,
            async {
                drop(spawn(std::future::pending::<()>()));
                true
            },
            &"here",
        )
    });
    assert!(tasks.is_err());
    // A timer that is leaked.
    let timers = std::panic::catch_unwind(|| {
        let leak = async {
            let mut sleep = Box::pin(whirligig::time::sleep(Duration::from_secs(1000)));
            std::future::poll_fn(|cx| {
                assert!(pin!(&mut sleep).poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
            std::mem::forget(sleep);
            true
        };
        run(0, leak, &"here")
    });
    assert!(timers.is_err());
    // A permit that is lost: the program's own check.
    let lost = std::panic::catch_unwind(|| {
        sweep(|cut| async move {
            let semaphore = Arc::new(whirligig::sync::Semaphore::new(1));
            let own = semaphore.clone();
            let ended = cut.run(async move {
                own.acquire().await.unwrap().forget();
                task::yield_now().await;
            });
            let ended = ended.await.is_some();
            assert_eq!(semaphore.available_permits(), 1);
            ended
        });
    });
    assert!(lost.is_err());
}
