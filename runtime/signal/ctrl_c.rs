//! Ctrl-C: awaited, or as the end of the main future.
//!
//! asyncio's manners are these: the first Ctrl-C cancels the main task, whose clean-ups run; then `run` raises
//! `KeyboardInterrupt`; the second Ctrl-C ends the process at once. Here cancelling is dropping, clean-ups are what
//! `Drop` does, and the exception is an [`Interrupted`] that the caller gets in place of the output. A program
//! chooses this by [`run_until_ctrl_c`] or [`cancel_on_ctrl_c`]: one that says nothing is ended by Ctrl-C as any
//! other, with no more ado.
//!
//! What must hold: from the first Ctrl-C on there is no listener of ours, so the second does what it does by default.
//! It is so before the first destructor runs.
//!
//! **Alternative:** to have `run` itself do so, as asyncio has. Then each program would start with a handler, and one
//! that computes, and never returns to its loop, could not be ended by one Ctrl-C.

use std::{
    error::Error,
    fmt,
    io::{self, Write},
    panic::Location,
    pin::Pin,
    process,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    kind::SignalKind,
    listener::{Signal, signal},
};
use crate::event_loop::run;

/// Waits for Ctrl-C (`SIGINT`), from this call on: not only from the await on.
///
/// While the future is there, Ctrl-C does not end the process; when it is dropped, it does again. So
/// a second Ctrl-C ends a program whose clean-ups take too long.
///
/// To hear each of several, keep a [`signal(SignalKind::interrupt())`](fn@signal).
///
/// *Cancel safety*: nothing is lost but a Ctrl-C that came before it is dropped.
///
/// # Errors
/// If there are no descriptors left.
///
/// ```
/// use whirligig::{signal, spawn, time};
/// use std::time::Duration;
///
/// whirligig::run(async {
///     let server = spawn(async { time::sleep(Duration::from_secs(3600)).await });
///     let ctrl_c = signal::ctrl_c();
///     # signal_hook::low_level::raise(signal::SignalKind::interrupt().as_raw())?;
///     ctrl_c.await?;
///     println!("finishing what has begun; again Ctrl-C ends at once");
///     server.cancel();
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
pub fn ctrl_c() -> CtrlC {
    let listening = signal(SignalKind::interrupt());
    let (signal, error) = match listening {
        Ok(signal) => (Some(signal), None),
        Err(error) => (None, Some(error)),
    };
    CtrlC { signal, error, location: Location::caller() }
}

/// The future of [`ctrl_c`].
///
/// # Panics
/// If it is polled after it was ready.
#[must_use = "futures do nothing unless awaited"]
pub struct CtrlC {
    /// `None` if it could not be made, or the future was ready.
    signal: Option<Signal>,
    error: Option<io::Error>,
    location: &'static Location<'static>,
}

impl Future for CtrlC {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { signal, error, location } = self.get_mut();
        if let Some(error) = error.take() {
            return Poll::Ready(Err(error));
        }
        let Some(listening) = signal else {
            panic!("the future made at {location} was polled after it was ready");
        };
        let heard = ready!(listening.poll_recv(cx, location));
        *signal = None;
        Poll::Ready(heard)
    }
}

impl fmt::Debug for CtrlC {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtrlC").field("location", &self.location).finish_non_exhaustive()
    }
}

/// Runs a future on a new event loop, as [`run`] does, until it ends or Ctrl-C is pressed. asyncio's `run`,
/// with its manners for `KeyboardInterrupt`.
///
/// At the first Ctrl-C the future is dropped, and what its destructors clean up is cleaned up; then the loop ends, and
/// its other tasks are dropped as well. The second Ctrl-C, while that goes on, ends the process at once.
///
/// A clean-up that awaits something goes after the inner future, in one that is not cancelled: see
/// [`cancel_on_ctrl_c`].
///
/// # Errors
/// [`Interrupted`], if Ctrl-C came first.
///
/// # Panics
/// If the system cannot give the loop its descriptors, or if the future panics.
///
/// ```no_run
/// use std::time::Duration;
///
/// fn main() {
///     let outcome = whirligig::signal::run_until_ctrl_c(async {
///         let _file = std::fs::File::create("half.done").unwrap();
///         whirligig::time::sleep(Duration::from_secs(3600)).await;
///     });
///     if let Err(interrupted) = outcome {
///         eprintln!("{interrupted}");
///         interrupted.exit();
///     }
/// }
/// ```
#[track_caller]
#[doc(alias = "KeyboardInterrupt")]
pub fn run_until_ctrl_c<F: Future>(future: F) -> Result<F::Output, Interrupted> {
    match cancel_on_ctrl_c(future) {
        Ok(future) => run(future),
        Err(error) => panic!("Ctrl-C cannot be listened for: {error}"),
    }
}

/// Makes a future that Ctrl-C cancels, from this call on: it is dropped then, and the output is an [`Interrupted`].
///
/// Before it is dropped Ctrl-C does again what it does by default: the second one ends the process, also in the middle
/// of a clean-up.
///
/// If both are ready in the same poll, it is Ctrl-C that counts.
///
/// *Cancel safety*: that of `future`.
///
/// # Errors
/// If there are no descriptors left. The returned future itself gives [`Interrupted`].
///
/// ```
/// use whirligig::{signal::cancel_on_ctrl_c, time::sleep};
/// use std::time::Duration;
///
/// async fn work() {
///     # signal_hook::low_level::raise(2).unwrap();
///     sleep(Duration::from_secs(3600)).await;
/// }
///
/// whirligig::run(async {
///     let outcome = cancel_on_ctrl_c(work())?.await;
///     // Clean-ups that wait for something go here: `finally:`.
///     sleep(Duration::from_millis(1)).await;
///     assert!(outcome.is_err());
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "KeyboardInterrupt")]
pub fn cancel_on_ctrl_c<F: Future>(future: F) -> io::Result<CancelOnCtrlC<F>> {
    let signal = signal(SignalKind::interrupt())?;
    Ok(CancelOnCtrlC { future: Some(future), signal: Some(signal), location: Location::caller() })
}

pin_project! {
    /// The future of [`cancel_on_ctrl_c`].
    ///
    /// # Panics
    /// If it is polled after it was ready.
    #[must_use = "futures do nothing unless awaited"]
    pub struct CancelOnCtrlC<F> {
        // `None` once it has ended, or was cancelled.
        #[pin]
        future: Option<F>,
        signal: Option<Signal>,
        location: &'static Location<'static>,
    }
}

impl<F: Future> Future for CancelOnCtrlC<F> {
    type Output = Result<F::Output, Interrupted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            panic!("the future made at {} was polled after it was ready", this.location);
        };
        // The signal first: after a future that uses its whole budget up in each poll there would be none left for it.
        let heard = this.signal.as_mut().map(|signal| signal.poll_recv(cx, this.location));
        match heard {
            Some(Poll::Ready(Ok(()))) => {
                // In this order: a clean-up that hangs can be ended.
                *this.signal = None;
                this.future.set(None);
                return Poll::Ready(Err(Interrupted { _private: () }));
            }
            // The descriptor cannot be watched: Ctrl-C ends the process at once, which is better than not at all.
            Some(Poll::Ready(Err(_))) => *this.signal = None,
            Some(Poll::Pending) | None => {}
        }
        let output = ready!(future.poll(cx));
        *this.signal = None;
        this.future.set(None);
        Poll::Ready(Ok(output))
    }
}

impl<F> fmt::Debug for CancelOnCtrlC<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelOnCtrlC").field("location", &self.location).finish_non_exhaustive()
    }
}

/// Ctrl-C came before the future's end. Python's `KeyboardInterrupt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interrupted {
    _private: (),
}

impl Interrupted {
    /// Ends the process as Ctrl-C does by default, after the clean-ups: by `SIGINT`, so that a shell which runs a loop of
    /// commands ends that as well. No destructor runs from here on; what is in std's standard output is flushed.
    pub fn exit(self) -> ! {
        let _ = io::stdout().flush();
        let _ = signal_hook::low_level::emulate_default_handler(libc::SIGINT);
        // It does not come to this. By the shells' convention: 128 and the signal's number.
        process::exit(128 + libc::SIGINT)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted by Ctrl-C")
    }
}

impl Error for Interrupted {}
