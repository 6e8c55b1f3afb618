//! One round: a runtime, all workloads on it, its end, and what must be true then.
//!
//! `main.rs` runs rounds; the workloads hold the [`Round`] and report to it. A demand that is not met is written
//! down and does not panic: what it breaks may be a task that nobody awaits.

use std::{
    fmt::{self, Debug},
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use fastrand::Rng;
use whirligig::{
    Handle, spawn, spawn_local,
    task::{JoinError, JoinHandle, yield_now},
    time::{sleep, timeout},
};

use crate::{
    census::{Census, Kind, Member},
    resources::Resources,
    variant::{Host, Variant},
    watchdog::{self, Watchdog},
    workloads::{self, Workload},
};

/// Writes down what was expected, unless the condition holds.
macro_rules! demand {
    ($round:expr, $holds:expr, $($what:tt)+) => {
        if !$holds {
            $round.fail(format!($($what)+));
        }
    };
}
pub(crate) use demand;

/// What the workloads of one round share.
#[derive(Debug)]
pub(crate) struct Round {
    pub(crate) variant: Variant,
    seed: u64,
    censuses: [Census; Kind::ALL.len()],
    pub(crate) bytes: AtomicU64,
    /// The workloads are to come to their ends.
    stopped: AtomicBool,
    /// The runtime ends in the middle: any task may be cancelled from here on.
    cut: AtomicBool,
    threads: Mutex<Vec<thread::JoinHandle<()>>>,
    threads_alive: AtomicUsize,
    failures: Mutex<Vec<String>>,
    phase: Mutex<String>,
    phases: AtomicU64,
}

/// What a round has done.
pub(crate) struct Done {
    pub(crate) completed: [u64; Kind::ALL.len()],
    pub(crate) cancelled: u64,
    pub(crate) bytes: u64,
    pub(crate) polls: u64,
    pub(crate) parks: u64,
    pub(crate) in_order: bool,
}

/// The next seed's does not.
fn ends_in_order(seed: u64) -> bool {
    seed.is_multiple_of(2)
}

impl Round {
    /// Runs one. An odd seed's ends in the middle.
    ///
    /// # Panics
    /// If something does not add up.
    pub(crate) fn run(variant: Variant, seed: u64, length: Duration) -> Done {
        let (before, panics) = (Resources::now(), watchdog::panics());
        let round = Arc::new(Self {
            variant,
            seed,
            censuses: Default::default(),
            bytes: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            threads: Mutex::default(),
            threads_alive: AtomicUsize::new(0),
            failures: Mutex::default(),
            phase: Mutex::default(),
            phases: AtomicU64::new(0),
        });
        let mut rng = Rng::with_seed(seed);
        let in_order = ends_in_order(seed);
        let host = Host::new(variant, &mut rng);
        let watchdog = Watchdog::new(Arc::downgrade(&round), host.handle());

        let workloads = workloads::all(variant);
        round.enter_phase("runs");
        host.drive(round.clone().root(workloads.clone(), length, in_order), &mut rng);
        let (polls, parks) = host.stats();
        if in_order {
            round.check_in_order(&host);
            drop(host);
        } else {
            round.cut.store(true, SeqCst);
            let gone = host.shut_down(&round, &mut rng);
            if gone.tasks {
                round.check_ended("shut down", Kind::is_in_tasks);
            }
            if gone.calls {
                round.check_ended("shut down, and its calls with it", |kind| kind == Kind::Job);
            }
        }
        round.clear_up(&workloads, &before);
        for workload in workloads {
            workload.check(&round);
        }
        drop(watchdog);
        round.check_ended("over", |_| true);
        demand!(round, watchdog::panics() == panics, "there were panics that nobody meant");
        round.end();
        Done {
            completed: Kind::ALL.map(|kind| round.census(kind).completed()),
            cancelled: Kind::ALL
                .map(|kind| round.census(kind))
                .map(|census| census.begun() - census.completed())
                .iter()
                .sum(),
            bytes: round.bytes.load(SeqCst),
            polls,
            parks,
            in_order,
        }
    }

    /// Starts everything, and waits: for the workloads' ends, or just a while.
    async fn root(
        self: Arc<Self>,
        workloads: Vec<Arc<dyn Workload>>,
        length: Duration,
        in_order: bool,
    ) {
        let mut rng = Rng::with_seed(self.seed);
        let mut started = Vec::new();
        for workload in workloads {
            started.push((workload.name(), workload.start(&self, rng.fork())));
        }
        sleep(length).await;
        if !in_order {
            return;
        }
        self.stopped.store(true, SeqCst);
        for (name, workload) in started {
            self.enter_phase(format!("waits for the end of the workload `{name}`"));
            if let Err(error) = workload.await {
                self.fail(format!("the workload `{name}` ends with its task: {error}"));
            }
        }
        self.enter_phase("waits for the plain threads");
        while self.threads_alive.load(SeqCst) > 0 {
            sleep(Duration::from_millis(1)).await;
        }
        self.enter_phase("waits for the tasks that nobody awaits");
        while Kind::ALL.into_iter().any(|kind| kind.ends_soon() && self.census(kind).live() > 0) {
            sleep(Duration::from_millis(1)).await;
        }
    }

    fn check_in_order(&self, host: &Host) {
        self.enter_phase("waits for the runtime's list of tasks to be empty");
        while host.tasks() > 0 {
            // A future that was dropped may still stand in the list for a moment.
            match host {
                Host::Runtime(_) => thread::yield_now(),
                Host::EventLoop(event_loop) => event_loop.block_on(yield_now()),
            }
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.always_completes()) {
            let census = self.census(kind);
            demand!(
                self,
                census.completed() == census.begun(),
                "each completes: {kind:?} {census:?}"
            );
        }
    }

    /// The runtime is gone. So must be all that it took from the system, and all that held the round.
    fn clear_up(self: &Arc<Self>, workloads: &[Arc<dyn Workload>], before: &Resources) {
        self.stopped.store(true, SeqCst);
        workloads.iter().for_each(|workload| workload.release());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap());
        for thread in threads {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            self.enter_phase(format!("waits for the plain thread `{name}`"));
            if thread.join().is_err() {
                self.fail(format!("the plain thread `{name}` panicked"));
            }
        }
        self.enter_phase("waits for what is left");
        loop {
            let now = Resources::now();
            // The watchdog has one at times.
            let (held, live) = (Arc::strong_count(self), self.live());
            if now == *before && held == 1 && live == 0 {
                self.enter_phase("is over");
                return;
            }
            *self.phase.lock().unwrap() = format!(
                "waits for what is left: {now:?}, before {before:?}; {live} members; {held} hold the round"
            );
            thread::sleep(Duration::from_micros(200));
        }
    }

    fn live(&self) -> u64 {
        Kind::ALL.map(|kind| self.census(kind).live()).iter().sum()
    }

    /// All of these kinds that began have ended.
    fn check_ended(&self, when: &str, of: impl Fn(Kind) -> bool) {
        for kind in Kind::ALL.into_iter().filter(|&kind| of(kind)) {
            let census = self.census(kind);
            demand!(self, census.adds_up(), "{when}, all have ended once: {kind:?} {census:?}");
        }
    }

    /// # Panics
    /// If there were failures.
    fn end(&self) {
        let failures = self.failures.lock().unwrap();
        assert!(failures.is_empty(), "{self}\n{}", failures.join("\n"));
    }

    /// Grows as long as anything happens.
    pub(crate) fn progress(&self) -> u64 {
        let done: u64 = Kind::ALL.map(|kind| self.census(kind).completed()).iter().sum();
        done + self.phases.load(SeqCst)
    }

    pub(crate) fn enter_phase(&self, phase: impl Into<String>) {
        *self.phase.lock().unwrap() = phase.into();
        self.phases.fetch_add(1, SeqCst);
    }
}

/// What workloads call.
impl Round {
    /// Whether the workload is to go on with something new.
    pub(crate) fn goes_on(&self) -> bool {
        !self.stopped.load(SeqCst)
    }

    /// Whether the runtime is ending in the middle, and whatever was to come may have been cancelled.
    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(SeqCst)
    }

    pub(crate) fn census(&self, kind: Kind) -> &Census {
        &self.censuses[kind as usize]
    }

    /// Counts one in. Dropped, it is counted out.
    pub(crate) fn enrol(self: &Arc<Self>, kind: Kind) -> Member {
        Member::new(self, kind)
    }

    /// Writes down what should have been.
    pub(crate) fn fail(&self, what: String) {
        let mut failures = self.failures.lock().unwrap();
        if failures.len() < 20 {
            failures.push(what);
        }
    }

    /// A task as a member.
    #[track_caller]
    pub(crate) fn spawn<F>(self: &Arc<Self>, kind: Kind, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        spawn(self.member(kind, future))
    }

    /// The same on the event loop's own thread.
    #[track_caller]
    pub(crate) fn spawn_local<F>(self: &Arc<Self>, kind: Kind, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
    {
        spawn_local(self.member(kind, future))
    }

    /// The same from another thread.
    #[track_caller]
    pub(crate) fn spawn_on<F>(self: &Arc<Self>, handle: &Handle, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        handle.spawn(self.member(Kind::Outside, future))
    }

    fn member<F: Future>(
        self: &Arc<Self>,
        kind: Kind,
        future: F,
    ) -> impl Future<Output = F::Output> + use<F> {
        let member = self.enrol(kind);
        async move {
            let output = future.await;
            member.complete();
            output
        }
    }

    /// As many tasks, each with random numbers of its own, and waits for them.
    pub(crate) async fn lanes<F>(
        self: &Arc<Self>,
        number: usize,
        rng: &mut Rng,
        mut lane: impl FnMut(Arc<Self>, Rng) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let lanes: Vec<_> =
            (0..number).map(|_| self.spawn(Kind::Lane, lane(self.clone(), rng.fork()))).collect();
        for lane in lanes {
            self.expect(lane.await, ());
        }
    }

    /// The outcome of a task that nobody cancelled.
    pub(crate) fn expect<T: Debug + PartialEq>(&self, outcome: Result<T, JoinError>, expected: T) {
        match outcome {
            Ok(output) => demand!(self, output == expected, "{output:?} instead of {expected:?}"),
            Err(error) => demand!(self, error.is_cancelled() && self.is_cut(), "{error}"),
        }
    }

    /// The outcome of a task that somebody may have cancelled. Says whether it was.
    pub(crate) fn expect_or_cancelled<T: Debug + PartialEq>(
        &self,
        outcome: Result<T, JoinError>,
        expected: T,
    ) -> bool {
        match outcome {
            Ok(output) => demand!(self, output == expected, "{output:?} instead of {expected:?}"),
            Err(error) => {
                demand!(self, error.is_cancelled(), "{error}");
                return true;
            }
        }
        false
    }

    /// A plain thread, which is waited for.
    pub(crate) fn thread(
        self: &Arc<Self>,
        name: &str,
        f: impl FnOnce(&Arc<Self>) + Send + 'static,
    ) {
        struct Alive(Arc<Round>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.threads_alive.fetch_sub(1, SeqCst);
            }
        }
        self.threads_alive.fetch_add(1, SeqCst);
        let alive = Alive(self.clone());
        let thread = thread::Builder::new().name(name.to_owned());
        let thread = thread.spawn(move || f(&alive.0)).expect("a thread");
        self.threads.lock().unwrap().push(thread);
    }
}

/// Lets others run for a random while: not at all, some turns, or a little time.
pub(crate) async fn pause(rng: &mut Rng) {
    match rng.u8(0..4) {
        0 => {}
        1 | 2 => {
            for _ in 0..rng.u8(1..4) {
                yield_now().await;
            }
        }
        _ => sleep(Duration::from_micros(rng.u64(0..1_000))).await,
    }
}

/// A future with so little time that it often is not enough.
pub(crate) async fn briefly<F: Future>(rng: &mut Rng, future: F) -> Option<F::Output> {
    timeout(Duration::from_micros(rng.u64(0..300)), future).await.ok()
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { variant, seed, .. } = self;
        let phase = self.phase.lock().unwrap();
        let end = if ends_in_order(*seed) { "in order" } else { "in the middle" };
        writeln!(f, "a round on {variant} with seed {seed}, which ends {end}; it {phase}")?;
        writeln!(f, "Begin with it: WHIRLIGIG_STRESS_SECONDS=20 WHIRLIGIG_STRESS_SEED={seed}")?;
        for kind in Kind::ALL {
            let census = self.census(kind);
            let (begun, completed, live) = (census.begun(), census.completed(), census.live());
            writeln!(f, "  {}: {begun} begun, {completed} completed, {live} live", kind.name())?;
        }
        Ok(())
    }
}
