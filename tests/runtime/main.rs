//! `Runtime`, as its users see it: what it owes them (`basics`, `sockets`), its settings and hooks, the guard, the
//! end of it, what its workers tell the trace, and how it bears with user code that misbehaves.

use whirligig::Runtime;

use self::watchdog::Watchdog;

mod basics;
mod guard;
mod hostile;
mod settings;
mod shutdown;
mod sockets;
mod trace;
#[path = "../support/watchdog.rs"]
mod watchdog;

/// With one worker, with two, and with more than there may be processors.
fn runtimes() -> impl Iterator<Item = Runtime> {
    [1, 2, 4].map(|workers| Runtime::builder().worker_threads(workers).build().unwrap()).into_iter()
}
