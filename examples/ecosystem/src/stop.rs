//! What makes a server stop: Ctrl-C, or a request to terminate.
//!
//! A server waits for [`Stop::requested`] beside its next connection, drops the `Stop`, and lets what has begun
//! finish. From the drop on there is no listener of ours, so a second Ctrl-C ends the process at once.

use std::io;

use futures_lite::FutureExt;
use whirligig::signal::{Signal, SignalKind, signal};

/// Listens for both signals as long as it is there.
#[derive(Debug)]
pub struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    /// Signals count from here on.
    ///
    /// # Errors
    /// If there are no descriptors left.
    pub fn new() -> io::Result<Self> {
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the first of either.
    ///
    /// *Cancel safety*: dropped, it has taken no signal.
    ///
    /// # Errors
    /// If the signals can be heard no longer.
    pub async fn requested(&mut self) -> io::Result<()> {
        self.interrupt.recv().or(self.terminate.recv()).await
    }
}
