//! Ends the program when a round hangs, and says what hung.
//!
//! A round makes progress when anything completes or a phase of it is over. A minute without any is a hang: no
//! sound round comes near it, on a slow machine neither, as it need not get far but only on.

use std::{
    panic, process,
    sync::{
        Once, Weak,
        atomic::{AtomicU64, Ordering::SeqCst},
        mpsc::{self, RecvTimeoutError, Sender},
    },
    thread,
    time::{Duration, Instant},
};

use whirligig::Handle;

use crate::round::Round;

const LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
/// What it takes to print what the tasks wait for, if it can be done at all.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Watches a round until it is dropped.
pub(crate) struct Watchdog(#[expect(dead_code, reason = "dropped, it ends the watch")] Sender<()>);

impl Watchdog {
    pub(crate) fn new(round: Weak<Round>, handle: Handle) -> Self {
        let (alive, over) = mpsc::channel();
        thread::spawn(move || {
            let (mut last, mut since) = (0, Instant::now());
            while over.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let Some(round) = round.upgrade() else { return };
                let progress = round.progress();
                if progress != last {
                    (last, since) = (progress, Instant::now());
                } else if since.elapsed() > LIMIT {
                    end(&round, handle);
                }
            }
        });
        Self(alive)
    }
}

fn end(round: &Round, handle: Handle) -> ! {
    eprintln!("\nNothing has happened for {LIMIT:?}: {round}");
    // On another thread: it may hang as well.
    let is_event_loop = round.variant.workers.is_none();
    let (said, wait) = mpsc::channel();
    thread::spawn(move || {
        let print = move || {
            eprintln!("The tasks there are:\n{}", whirligig::dump());
            let _ = said.send(());
        };
        if is_event_loop {
            // On its own thread, if that still turns.
            let _ = handle.call_soon_threadsafe(print);
        } else {
            let _entered = handle.enter();
            print();
        }
    });
    if wait.recv_timeout(LAST_WORDS).is_err() {
        eprintln!("Its tasks could not be asked what they wait for.");
    }
    process::abort();
}

static PANICS: AtomicU64 = AtomicU64::new(0);

/// Has each panic counted that no workload meant: those unwind without the hook (see `workloads/panics.rs`).
pub(crate) fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICS.fetch_add(1, SeqCst);
            print(info);
        }));
    });
}

/// How many panics there were that nobody meant.
pub(crate) fn panics() -> u64 {
    PANICS.load(SeqCst)
}
