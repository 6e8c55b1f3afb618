//! Ends a test that hangs. Included with `#[path]` by the tests whose faults show by hanging.

use std::{process, sync::mpsc, thread, time::Duration};

/// Ends the whole program if the test that holds this is not over in time: no test is meant to come near it.
pub(crate) struct Watchdog(
    #[expect(dead_code, reason = "dropped, it ends the watch")] mpsc::Sender<()>,
);

impl Watchdog {
    pub(crate) fn new(test: &'static str) -> Self {
        let (alive, over) = mpsc::channel();
        thread::spawn(move || {
            if over.recv_timeout(Duration::from_secs(60)) == Err(mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{test} hangs");
                process::abort();
            }
        });
        Self(alive)
    }
}
