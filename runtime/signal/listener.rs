//! One listener for one signal: a future for the next, or a stream of them.
//!
//! A listener is polled as a waiter of the source that all listeners of the signal share (`delivery.rs`), each
//! under a key of its own. It keeps how far it has heard; so it may be polled on one loop now and on another then.

use std::{
    fmt, io,
    panic::Location,
    pin::Pin,
    sync::Arc as StdArc,
    task::{Context, Poll},
};

use futures_core::Stream;

use super::{
    delivery::{self, Delivery},
    kind::SignalKind,
};
use crate::engine::{
    base::{
        location::{WaitsFor, WaitsOn},
        this_poll,
    },
    reactor::{
        flags::Direction,
        source::{Caller, WaiterKey},
    },
};

/// Listens for a signal, from now on.
///
/// What the signal does by default, such as ending the process, it does not do while there is a listener; when the last
/// one is dropped, it does again. (Not so a real-time signal.) A signal that was ignored before stays ignored, and
/// what else listens for it with a handler of its own hears it as well.
///
/// It may be called anywhere, before a loop is there or in a thread.
///
/// # Errors
/// `InvalidInput` for a signal that cannot be listened for: `SIGKILL` and `SIGSTOP`, those that tell of an error of this
/// program, such as `SIGSEGV`, and numbers that are none. And if there are no descriptors left.
///
/// ```
/// use whirligig::signal::{SignalKind, signal};
///
/// whirligig::run(async {
///     let mut hangup = signal(SignalKind::hangup())?;
///     # signal_hook::low_level::raise(SignalKind::hangup().as_raw())?;
///     hangup.recv().await?;
///     println!("reading the configuration again");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "add_signal_handler")]
#[doc(alias = "open_signal_receiver")]
pub fn signal(kind: SignalKind) -> io::Result<Signal> {
    let (delivery, seen) = delivery::join(kind)?;
    Ok(Signal { delivery, kind, seen, key: 0, location: Location::caller() })
}

/// Listens for one signal. From [`signal`](fn@signal).
///
/// Any number may listen for the same signal, on any loops, and each hears of it. Signals that come before a
/// listener looks are one to it: a signal says that something happened, not how often.
///
/// As a [`Stream`] it never ends. Dropping the last listener of a signal puts back what it did before.
#[must_use = "the default comes back as soon as this is dropped"]
pub struct Signal {
    delivery: StdArc<Delivery>,
    kind: SignalKind,
    /// How far it has heard.
    seen: u64,
    /// Its waiter's, while it waits.
    key: WaiterKey,
    location: &'static Location<'static>,
}

impl Signal {
    /// Waits for the signal, unless it came since the last time.
    ///
    /// *Cancel safety*: dropped before it is ready, it has heard nothing.
    ///
    /// # Errors
    /// What the kernel says to watching one more descriptor.
    ///
    /// # Panics
    /// On a thread that no loop runs, if it must wait.
    #[track_caller]
    pub fn recv(&mut self) -> Recv<'_> {
        Recv { signal: self, location: Location::caller() }
    }

    /// The signal that it listens for.
    pub fn kind(&self) -> SignalKind {
        self.kind
    }

    pub(crate) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        location: &'static Location<'static>,
    ) -> Poll<io::Result<()>> {
        let Self { delivery, kind, seen, key, .. } = self;
        let heard = delivery.heard.poll(seen, |hear| {
            let hear = |pipe: &_, _| hear(pipe);
            delivery.pipe.poll_op(Direction::Read, Caller::Future(key), cx, location, hear)
        });
        if heard.is_ready() {
            self.stop_waiting();
            return heard;
        }
        let number = WaitsOn::OsSignal(kind.as_raw() as u64);
        this_poll::note_on(WaitsFor::OsSignal, number, location);
        Poll::Pending
    }

    fn stop_waiting(&mut self) {
        self.delivery.pipe.leave(Direction::Read, self.key);
        self.key = 0;
    }
}

impl Stream for Signal {
    type Item = io::Result<()>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        this.poll_recv(cx, this.location).map(Some)
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.stop_waiting();
        delivery::leave(self.kind);
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signal").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// The future of [`Signal::recv`].
#[must_use = "futures do nothing unless awaited"]
pub struct Recv<'a> {
    signal: &'a mut Signal,
    location: &'static Location<'static>,
}

impl Future for Recv<'_> {
    type Output = io::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { signal, location } = self.get_mut();
        signal.poll_recv(cx, location)
    }
}

impl Drop for Recv<'_> {
    fn drop(&mut self) {
        self.signal.stop_waiting();
    }
}

impl fmt::Debug for Recv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recv")
            .field("kind", &self.signal.kind)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
