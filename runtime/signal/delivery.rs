//! How a signal gets from its handler to those who listen for it, on any loop.
//!
//! For each signal that is listened for there is one [`Delivery`]: a pipe into which the handler writes a byte (which a
//! handler may do, as few other things), and a source that watches its other end. All listeners share it, and a
//! source may be waited for on several loops; so there is no thread, no task and nothing to be turned that stands
//! between the handler and the tasks. Any listener that is polled empties the pipe, and counts once what it found
//! there; each compares that count with the one it has seen. So each hears of each signal, and several that come
//! before it looks are one.
//!
//! The handler is `signal-hook`'s, which this program shares with any other library that uses it: what else was
//! registered for a signal, before or after, is called as well.
//!
//! **What comes back.** The first listener of a signal takes its default away, and the last to go puts it back. The
//! kernel's disposition cannot be put back safely (another library may have changed it meanwhile), so the handler
//! stays, and does what the default would do. A signal that was ignored before, or had a handler, is left to that.
//!
//! What must hold: a byte is in the pipe before the handler returns, and the count is raised under the lock under
//! which the pipe was emptied. A listener looks at the count once more when it has begun to wait: the readiness may
//! have been used up by another, which has raised the count before. Bytes that nobody has taken by then are told by
//! an event: they came to an empty pipe, and that is an edge, for each loop that watches. `tests/models/signals.rs` runs
//! this.
//!
//! **Alternative:** as tokio has it, that the default never comes back. Then a program that has awaited Ctrl-C once
//! can never be ended by it again.
//!
//! **Alternative:** a `signalfd`. It needs the signal blocked in all threads of the process, those of other libraries
//! included, and the children inherit that.

use std::{
    io::{self, PipeReader, Read},
    mem,
    sync::{
        Arc as StdArc, Mutex as StdMutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
};

use signal_hook::{SigId, consts::FORBIDDEN, flag, low_level};

use super::{
    disposition::{Disposition, disposition},
    kind::SignalKind,
};
use crate::{
    engine::base::primitives::{Mutex, lock, seeded},
    io::Source,
};

/// Signals that can be listened for have numbers below this: 64 is the last of Linux.
const NUMBERS: usize = 65;

/// Each signal's part, by its number. Statics are std's, also in a model.
static SIGNALS: [PerSignal; NUMBERS] = [const { PerSignal::new() }; NUMBERS];

struct PerSignal {
    /// The handler does what the default would do: it was the default before, and nobody listens now.
    does_default: AtomicBool,
    state: StdMutex<State>,
}

struct State {
    /// What the signal did before anybody listened. `None`: nobody has yet.
    before: Option<Disposition>,
    listeners: usize,
    /// There while there are listeners.
    open: Option<Open>,
}

struct Open {
    delivery: StdArc<Delivery>,
    /// The handler's write into the pipe.
    write: SigId,
}

impl PerSignal {
    const fn new() -> Self {
        let state = State { before: None, listeners: 0, open: None };
        Self { does_default: AtomicBool::new(false), state: StdMutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// What the listeners of one signal share.
pub(super) struct Delivery {
    pub(super) pipe: Source<PipeReader>,
    pub(super) heard: Heard,
}

/// How many times something was found in the pipe.
pub(crate) struct Heard(Mutex<u64>);

impl Heard {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(0))
    }

    /// The poll of a listener that has heard up to `seen`, which is brought up to date. `poll_op` tries an operation on
    /// the pipe while that may be worth it, and waits when it is not.
    pub(crate) fn poll(
        &self,
        seen: &mut u64,
        poll_op: impl FnOnce(&mut dyn FnMut(&PipeReader) -> io::Result<()>) -> Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        // ANCHOR: poll
        if let Poll::Ready(heard) = poll_op(&mut |pipe| self.hear(pipe, seen)) {
            return Poll::Ready(heard);
        }
        // Another listener may have emptied the pipe before this one came to wait, so that no event follows.
        match update(seen, *lock(&self.0)) && !seeded("signal_listener_looks_once") {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
        // END: poll
    }

    /// Whether the signal came since `seen`.
    ///
    /// # Errors
    /// `WouldBlock`: it did not.
    fn hear(&self, mut pipe: &PipeReader, seen: &mut u64) -> io::Result<()> {
        let mut heard = lock(&self.0);
        let mut bytes = [0; 64];
        let mut is_new = false;
        loop {
            match pipe.read(&mut bytes) {
                Ok(n) => {
                    is_new |= n > 0;
                    if n < bytes.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if is_new && seeded("signal_counted_unlocked") {
            drop(heard);
            heard = lock(&self.0);
        }
        *heard += u64::from(is_new);
        if update(seen, *heard) { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

fn update(seen: &mut u64, heard: u64) -> bool {
    mem::replace(seen, heard) != heard
}

/// One more listens for the signal. Gives what it shares with the others, and the count up to which it has heard.
///
/// # Errors
/// If the signal cannot be listened for, or there is no descriptor left.
pub(super) fn join(kind: SignalKind) -> io::Result<(StdArc<Delivery>, u64)> {
    let signal = find(kind)?;
    let mut state = signal.lock();
    if state.before.is_none() {
        state.before = Some(take_over(kind, signal)?);
    }
    if state.open.is_none() {
        state.open = Some(open(kind)?);
        signal.does_default.store(false, Ordering::SeqCst);
    }
    state.listeners += 1;
    let delivery = state.open.as_ref().map(|open| open.delivery.clone());
    let delivery = delivery.expect("opened for the first listener");
    drop(state);
    // What came before is not this one's. But it is the others', and with the pipe emptied there may be no event for them.
    let mut seen = 0;
    if delivery.heard.hear(delivery.pipe.get_ref(), &mut seen).is_ok() {
        delivery.pipe.wake_waiters();
    }
    Ok((delivery, seen))
}

/// One less listens. The last to go puts the default back.
pub(super) fn leave(kind: SignalKind) {
    let Ok(signal) = find(kind) else { return };
    let mut state = signal.lock();
    state.listeners -= 1;
    if state.listeners > 0 {
        return;
    }
    let was_default = state.before == Some(Disposition::Default);
    signal.does_default.store(was_default, Ordering::SeqCst);
    let open = state.open.take();
    if let Some(open) = &open {
        low_level::unregister(open.write);
    }
    drop(state);
    // The source may wake tasks: with nothing locked.
    drop(open);
}

fn find(kind: SignalKind) -> io::Result<&'static PerSignal> {
    let number = kind.as_raw();
    if FORBIDDEN.contains(&number) {
        let why = match number {
            libc::SIGKILL | libc::SIGSTOP => "the kernel lets no process catch it",
            _ => "it tells of an error of this very program, which cannot go on after it",
        };
        let what = format!("{kind} cannot be listened for: {why}");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    usize::try_from(number)
        .ok()
        .filter(|number| *number != 0)
        .and_then(|n| SIGNALS.get(n))
        .ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("there is no signal {number}"))
        })
}

/// The signal is this library's from now on, as far as it is not another's. Gives what it did before.
fn take_over(kind: SignalKind, signal: &'static PerSignal) -> io::Result<Disposition> {
    let before = disposition(kind)?;
    // Before the write into the pipe, in the order of the handler's actions. A real-time signal is not known there: its
    // default does not come back.
    if before == Disposition::Default && low_level::signal_name(kind.as_raw()).is_some() {
        // Until somebody listens, which may fail.
        signal.does_default.store(true, Ordering::SeqCst);
        flag::register_conditional_default(kind.as_raw(), &signal.does_default)?;
    }
    Ok(before)
}

fn open(kind: SignalKind) -> io::Result<Open> {
    let (reader, writer) = io::pipe()?;
    let pipe = Source::new(reader)?;
    let write = low_level::pipe::register(kind.as_raw(), writer)?;
    Ok(Open { delivery: StdArc::new(Delivery { pipe, heard: Heard::new() }), write })
}
