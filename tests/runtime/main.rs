//! `Runtime`, as its users see it: what it owes them (`basics`, `sockets`), its settings and hooks, the guard, the
//! end of it, what its workers tell the trace, and how it bears with foreign code that misbehaves.

use std::{process, sync::mpsc, thread, time::Duration};

use whirligig::Runtime;

mod basics;
mod guard;
mod hostile;
mod settings;
mod shutdown;
mod sockets;
mod trace;

/// Ends the whole program if the test that holds this is not over in time: what is tested here fails by
/// hanging. No test is meant to come near it.
struct Watchdog(#[expect(dead_code, reason = "dropped, it calls the dog off")] mpsc::Sender<()>);

impl Watchdog {
    fn new(test: &'static str) -> Self {
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

/// With one worker, with two, and with more than there may be processors.
fn runtimes() -> impl Iterator<Item = Runtime> {
    [1, 2, 4].map(|workers| Runtime::builder().worker_threads(workers).build().unwrap()).into_iter()
}
