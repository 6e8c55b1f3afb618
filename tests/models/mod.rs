//! The models: what two threads share, run once for every way they can interleave.
//!
//! loom runs a model's body again and again and takes each order of its threads' steps in turn. The
//! bodies use the very types that ship: `primitives.rs` gives them loom's atomics and locks. So this
//! module is compiled into the library, and only for the models:
//!
//! ```console
//! $ RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --release --lib models
//! ```
//!
//! One model, with every step it takes:
//!
//! ```console
//! $ LOOM_LOG=trace LOOM_LOCATION=1 RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test --release --lib models::inbox -- --nocapture --test-threads=1
//! ```
//!
//! A model that cannot fail shows nothing. So each protocol holds mistakes that can be switched on,
//! and for each mistake a test that calls [`seeded_bug_is_caught`]: the model must fail with it. To
//! see how, put `SEEDED=name` before the command above. A failing model that takes long to reach its
//! failure is replayed from there: `LOOM_CHECKPOINT_FILE=x.json LOOM_CHECKPOINT_INTERVAL=1` once to
//! record, then the file alone with `LOOM_LOG=trace LOOM_LOCATION=1`. `docs/12-proving-it-with-loom.md`
//! reads what comes out, and says how the next model is written.
//!
//! **Alternative:** a build for each mistake, by `cfg`. One build with a switch in the environment checks
//! all of them in the time of one.

use std::process::Command;

use crate::engine::base::primitives::thread;

mod barrier;
mod blocking;
mod broadcast;
mod cancel_token;
mod condition;
mod event;
mod group;
mod idle;
mod inbox;
mod injector;
mod join;
mod lifo;
mod many;
mod mpsc;
mod mutex;
mod oneshot;
mod pool;
mod queue;
mod registration;
mod rwlock;
mod semaphore;
mod signals;
mod source;
mod source_list;
mod state;
mod stealing;
mod task;
mod timers;
mod watch;

/// Runs a model whose orders are too many: only those in which threads are switched at most `switches`
/// times where they need not be. A mistake needs few.
///
/// loom logs what `loom::model` runs and nothing else, and that has its bound from the environment: set
/// `LOOM_MAX_PREEMPTIONS` along with `LOOM_LOG`.
pub(crate) fn bounded_model(switches: usize, body: impl Fn() + Sync + Send + 'static) {
    if std::env::var_os("LOOM_LOG").is_some() {
        return loom::model(body);
    }
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(switches);
    model.check(body);
}

/// Two sides of a model, of which one runs on a thread of its own. The other is the one that loom runs
/// first.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sides {
    swapped: bool,
}

/// Runs a model of two sides twice, each of them first once.
///
/// loom notes the last access of each object and no other. So a side that loads a word and then exchanges
/// it hides, by its load, that the exchange might have come before a load of the side that ran first: that
/// order is never tried. With the sides swapped it is the one that loom begins with.
pub(crate) fn both_ways(body: impl Fn(Sides) + Copy + Sync + Send + 'static) {
    for swapped in [false, true] {
        loom::model(move || body(Sides { swapped }));
    }
}

impl Sides {
    /// Runs the two at once, and gives what they gave.
    pub(crate) fn at_once<A: 'static, B: 'static>(
        self,
        one: impl FnOnce() -> A + 'static,
        other: impl FnOnce() -> B + 'static,
    ) -> (A, B) {
        if self.swapped {
            let one = thread::spawn(one);
            let other = other();
            return (one.join().unwrap(), other);
        }
        let other = thread::spawn(other);
        let one = one();
        (one, other.join().unwrap())
    }
}

/// Ends of a model that are no finding: it ran out of room, or was not set up.
const NO_FINDING: [&str; 4] = [
    "Model exceeded maximum number of",
    "[loom internal bug]",
    "not compiled with `checkpoint` feature",
    "outside a Loom model",
];

/// Runs the model `models::FILE::FUNCTION` with the mistake `seed` made on purpose, in a process of
/// its own, and gives what it failed with.
///
/// # Panics
///
/// Panics if the model passes, if there is no such model, or if it fails without having found
/// anything: loom at one of its limits, for instance.
#[track_caller]
pub(crate) fn seeded_bug_is_caught(model_test_path: &str, seed: &str) -> String {
    let program = std::env::current_exe().expect("a running program has a path");
    let run = Command::new(program)
        .args([model_test_path, "--exact", "--nocapture", "--test-threads=1"])
        .env("SEEDED", seed)
        .env("RUST_BACKTRACE", "0")
        // These say how to run one model, and this is another.
        .env_remove("LOOM_LOG")
        .env_remove("LOOM_CHECKPOINT_FILE")
        .env_remove("LOOM_MAX_DURATION")
        .env_remove("LOOM_MAX_PERMUTATIONS")
        .output()
        .expect("the tests' own program can be run");
    let stdout = String::from_utf8_lossy(&run.stdout);
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert!(
        stdout.contains("running 1 test\n"),
        "there is no model {model_test_path:?}: say models::FILE::FUNCTION\n{stdout}"
    );
    assert!(
        !run.status.success(),
        "{model_test_path} survived the seeded bug {seed:?}: the model is too weak, or nothing asks \
         for a seed of that name\n{stdout}"
    );
    // The first panic is the finding. A later one may come from unwinding through loom's objects.
    let finding = stderr.split_once("panicked at ").map_or("", |(_, finding)| finding);
    assert!(
        !finding.is_empty() && !NO_FINDING.iter().any(|limit| finding.contains(limit)),
        "{model_test_path} failed under {seed:?}, but found nothing ({}):\n{stderr}",
        run.status
    );
    finding.to_owned()
}

/// The driver itself, on models of a few lines.
mod driver {
    use super::seeded_bug_is_caught;
    use crate::engine::base::primitives::{Arc, AtomicU32, Ordering::Relaxed, seeded, thread};

    #[test]
    fn two_threads_add() {
        loom::model(|| {
            let sum = Arc::new(AtomicU32::new(0));
            let add = |sum: &AtomicU32| {
                if seeded("driver_adds_in_two_steps") {
                    sum.store(sum.load(Relaxed) + 1, Relaxed);
                } else {
                    sum.fetch_add(1, Relaxed);
                }
            };
            let theirs = sum.clone();
            let other = thread::spawn(move || add(&theirs));
            add(&sum);
            other.join().unwrap();
            assert_eq!(sum.load(Relaxed), 2, "an addition was lost");
        });
    }

    #[test]
    fn ends_unless_seeded() {
        loom::model(|| {
            while seeded("driver_never_ends") {
                thread::yield_now();
            }
        });
    }

    /// What the driver says when it does not accept a run.
    fn refusal(model: &'static str, seed: &'static str) -> String {
        let outcome = std::panic::catch_unwind(|| seeded_bug_is_caught(model, seed));
        let payload = outcome.expect_err("the driver took this for a finding");
        payload.downcast_ref::<String>().cloned().unwrap_or_default()
    }

    #[test]
    fn a_finding_is_a_finding() {
        let finding =
            seeded_bug_is_caught("models::driver::two_threads_add", "driver_adds_in_two_steps");
        assert!(finding.contains("an addition was lost"), "{finding}");
    }

    #[test]
    fn a_survivor_is_none() {
        let refusal = refusal("models::driver::two_threads_add", "driver_makes_no_mistake");
        assert!(refusal.contains("survived the seeded bug"), "{refusal}");
    }

    #[test]
    fn a_model_that_does_not_exist_is_none() {
        let refusal = refusal("models::driver::three_threads_add", "driver_adds_in_two_steps");
        assert!(refusal.contains("there is no model"), "{refusal}");
    }

    #[test]
    fn a_limit_of_loom_is_none() {
        let refusal = refusal("models::driver::ends_unless_seeded", "driver_never_ends");
        assert!(refusal.contains("found nothing"), "{refusal}");
    }
}
