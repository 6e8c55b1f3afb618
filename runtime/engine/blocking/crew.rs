//! The pool's threads: who runs, who is on its way, who is parked, and whom a new job unparks.
//!
//! Everything here is a decision, made under the pool's lock; the calls that follow from it are made
//! without (`mod.rs`). Unparking a thread costs some microseconds, starting one several times that,
//! and many a job is over before either is done. So a job that comes does not always call a thread:
//!
//! - One who is *on its way* will find it, and calls the next if it leaves others behind. So of many
//!   jobs that come at once, the caller pays for one call and the pool's threads for the others.
//! - While jobs have been short of late and somebody runs them, that one gets to it. A *sentry* bounds
//!   the bet: a parked thread that gets up each [`TICK`] and looks for what has lasted since the one
//!   before. It comes for a job that has waited so long, and has the next be called as if jobs were
//!   long. Whoever runs one job for so long is *stuck*, and nobody counts on it.
//!
//! So a job waits for no more than two ticks behind those that are stuck, and a backlog that lasts
//! gets one thread more every two ticks. The price is a thousand wake-ups a second of one thread,
//! while short jobs are run.
//!
//! The rival is to unpark a thread for each job, or to start one: with jobs that do nothing, that is
//! nine tenths of their price. Another has a thread that is out of jobs spin for the next one before
//! it parks: it takes a processor from those who make the jobs, and was not faster.

use std::{panic::Location, time::Duration};

use slab::Slab;

use crate::engine::base::primitives::{Arc, Condvar, seeded};

/// After how long without work a thread ends.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// How long the sentry sleeps.
const TICK: Duration = Duration::from_millis(1);
/// After so many ticks in a row in which no job came it stands down.
const QUIET_TICKS: u32 = 20;
/// A job of fewer nanoseconds is over before another thread could be there for the next.
const SHORT: u64 = 10_000;
/// What a job is taken to cost as long as nobody knows.
pub(super) const LONG: u64 = 1_000_000;

/// What a thread sleeps at.
pub(super) type Door = Arc<Condvar>;

#[derive(Debug)]
pub(super) struct Crew {
    most: usize,
    threads: usize,
    /// The jobs that have begun and not ended.
    running: Slab<Running>,
    /// How many were ever begun.
    begun: u64,
    /// Threads without a job. One that was started for a job does not count until it is there.
    idle: usize,
    /// The last to park is the first to be unparked: its caches are warm, and the others may retire.
    parked: Vec<Door>,
    sentry: Option<Door>,
    coming: Coming,
    /// Nanoseconds that jobs took of late.
    job_cost: u64,
    watch: Watch,
}

/// A job that is run.
#[derive(Debug)]
struct Running {
    place: &'static Location<'static>,
    /// It was the so-manieth to begin.
    number: u64,
}

/// Who is on its way. One at a time.
#[derive(Debug)]
enum Coming {
    Nobody,
    Started,
    Unparked(Door),
}

/// What the sentry saw at its last tick.
#[derive(Debug, Default)]
struct Watch {
    /// How many jobs had begun.
    begun: u64,
    /// How many had come.
    came: u64,
    /// Jobs up to this number had begun a tick before that. Those that still run are stuck.
    old: u64,
    stuck: usize,
    /// Ticks in a row with nothing to guard.
    quiet: u32,
}

/// Who is called for a job, by the caller and with the lock let go.
#[derive(Debug)]
#[must_use]
pub(super) enum Call {
    Nobody,
    Unpark(Door),
    Start,
}

/// What a thread without a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Post {
    Parked,
    /// It sleeps for a tick.
    Sentry,
    /// It was called.
    Called,
}

/// What a thread does that has slept for as long as it meant to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeUp {
    /// It sleeps on.
    Stay,
    /// There may be a job for it.
    GetUp,
    /// It has had nothing to do for long.
    End,
}

impl Post {
    /// How long to sleep at most.
    pub(super) fn patience(self) -> Duration {
        if self == Self::Sentry { TICK } else { KEEP_ALIVE }
    }
}

impl Crew {
    pub(super) fn new(most: usize, job_cost: u64) -> Self {
        Self {
            most,
            threads: 0,
            running: Slab::new(),
            begun: 0,
            idle: 0,
            parked: Vec::new(),
            sentry: None,
            coming: Coming::Nobody,
            job_cost,
            watch: Watch::default(),
        }
    }

    pub(super) fn threads(&self) -> usize {
        self.threads
    }

    pub(super) fn idle(&self) -> usize {
        self.idle
    }

    /// The lines of the jobs that are run.
    pub(super) fn running(&self) -> impl ExactSizeIterator<Item = &'static Location<'static>> {
        self.running.iter().map(|(_, running)| running.place)
    }

    /// `queued` jobs wait, of which one has just come, or was left behind by whoever took another.
    pub(super) fn call(&mut self, queued: usize) -> Call {
        if queued == 0 || !matches!(self.coming, Coming::Nobody) {
            return Call::Nobody;
        }
        if self.sentry.is_some() && self.has_one_for_the_next() {
            return Call::Nobody;
        }
        // The sentry is the last to be called off.
        if let Some(door) = self.parked.pop().or_else(|| self.sentry.take()) {
            self.coming = Coming::Unparked(door.clone());
            return Call::Unpark(door);
        }
        if self.threads < self.most {
            self.threads += 1;
            self.coming = Coming::Started;
            return Call::Start;
        }
        Call::Nobody
    }

    /// Whether somebody who runs will get to the next job before another thread could.
    fn has_one_for_the_next(&self) -> bool {
        self.job_cost < SHORT && self.running.len() > self.watch.stuck
    }

    /// Whether a thread that comes for a job, or finds none, is to keep guard.
    pub(super) fn lacks_sentry(&self) -> bool {
        self.sentry.is_none() && self.has_one_for_the_next()
    }

    /// Who was on its way is there.
    pub(super) fn arrive(&mut self) {
        let seeded = seeded("blocking_forgets_who_came");
        self.coming = if seeded { Coming::Started } else { Coming::Nobody };
    }

    /// A thread that was to be started could not be. `true`: there is none at all.
    pub(super) fn not_started(&mut self) -> bool {
        self.arrive();
        self.threads -= 1;
        self.threads == 0
    }

    /// A thread ends.
    pub(super) fn leave(&mut self) {
        self.threads -= 1;
    }

    /// A job is begun. Gives its key.
    pub(super) fn begin_job(&mut self, place: &'static Location<'static>) -> usize {
        self.begun += 1;
        self.running.insert(Running { place, number: self.begun })
    }

    /// It has ended, and took so many nanoseconds.
    pub(super) fn end_job(&mut self, key: usize, took: u64) {
        if self.running.remove(key).number <= self.watch.old {
            self.watch.stuck -= 1;
        }
        // One that was long by accident is not to change much.
        let took = took.min(4 * self.job_cost.max(1_000));
        self.job_cost = (3 * self.job_cost + took) / 4;
    }

    /// A thread parks, and counts as idle until it has [risen](Self::rise).
    pub(super) fn park(&mut self, door: &Door, queued: usize) {
        self.idle += 1;
        if self.lacks_sentry() {
            self.watch.quiet = 0;
            self.see(queued);
            self.sentry = Some(door.clone());
        } else {
            self.parked.push(door.clone());
        }
    }

    /// What a thread that has parked is to do. Asked before each time it sleeps.
    pub(super) fn post(&self, door: &Door) -> Post {
        let is = |other: &Door| Arc::ptr_eq(other, door);
        if matches!(&self.coming, Coming::Unparked(coming) if is(coming)) {
            Post::Called
        } else if self.sentry.as_ref().is_some_and(is) {
            Post::Sentry
        } else {
            Post::Parked
        }
    }

    /// A thread has slept for as long as it meant to. `queued` jobs wait.
    pub(super) fn time_is_up(&mut self, door: &Door, queued: usize) -> TimeUp {
        match self.post(door) {
            Post::Called => TimeUp::GetUp,
            Post::Sentry => self.tick(queued),
            Post::Parked if queued > 0 => TimeUp::GetUp,
            Post::Parked => TimeUp::End,
        }
    }

    /// The sentry's tick.
    fn tick(&mut self, queued: usize) -> TimeUp {
        let Watch { begun, came, .. } = self.watch;
        self.see(queued);
        self.watch.old = begun;
        let old = |running: &Running| running.number <= begun;
        self.watch.stuck = self.running.iter().filter(|(_, running)| old(running)).count();
        // Jobs are begun in the order in which they come.
        if self.begun < came {
            self.job_cost = self.job_cost.max(SHORT);
            return TimeUp::GetUp;
        }
        let is_quiet = self.begun == begun && queued == 0;
        self.watch.quiet = if is_quiet { self.watch.quiet + 1 } else { 0 };
        if self.watch.quiet == QUIET_TICKS {
            self.parked.extend(self.sentry.take());
        }
        TimeUp::Stay
    }

    fn see(&mut self, queued: usize) {
        self.watch.begun = self.begun;
        self.watch.came = self.begun + queued as u64;
    }

    /// A parked thread gets up.
    pub(super) fn rise(&mut self, door: &Door) {
        let is = |other: &Door| Arc::ptr_eq(other, door);
        if self.post(door) == Post::Called {
            self.arrive();
        } else if self.sentry.take_if(|sentry| is(sentry)).is_none() {
            self.parked.retain(|parked| !is(parked));
        }
        self.idle -= 1;
    }

    /// The pool closes: everybody gets up.
    pub(super) fn dismiss(&mut self) -> impl Iterator<Item = Door> + use<> {
        let sentry = self.sentry.take_if(|_| !seeded("blocking_closes_past_the_sentry"));
        std::mem::take(&mut self.parked).into_iter().chain(sentry)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A crew whose jobs cost so much, and the doors of as many parked threads, first parked first.
    fn crew(job_cost: u64, parked: usize) -> (Crew, Vec<Door>) {
        let mut crew = Crew::new(parked, job_cost);
        let doors: Vec<_> = (0..parked).map(|_| Door::new(Condvar::new())).collect();
        for _ in &doors {
            assert!(matches!(crew.call(1), Call::Start));
            crew.arrive();
        }
        doors.iter().for_each(|door| crew.park(door, 0));
        (crew, doors)
    }

    fn begin(crew: &mut Crew) -> usize {
        crew.begin_job(Location::caller())
    }

    /// The thread that is called must be the one of `door`, and comes.
    #[track_caller]
    fn comes(crew: &mut Crew, call: &Call, door: &Door) {
        let Call::Unpark(called) = call else { panic!("{call:?}") };
        assert!(Arc::ptr_eq(called, door));
        assert_eq!(crew.post(door), Post::Called);
        crew.rise(door);
    }

    #[test]
    fn of_many_jobs_one_calls_and_who_comes_calls_the_next() {
        let (mut crew, doors) = crew(LONG, 2);
        let call = crew.call(1);
        for queued in 2..10 {
            assert!(matches!(crew.call(queued), Call::Nobody), "one is on its way");
        }
        comes(&mut crew, &call, &doors[1]);
        begin(&mut crew);
        let call = crew.call(8);
        comes(&mut crew, &call, &doors[0]);
        begin(&mut crew);
        assert!(matches!(crew.call(7), Call::Nobody), "there is no thread left");
        assert_eq!((crew.idle(), crew.running().len()), (0, 2));
    }

    #[test]
    fn while_short_jobs_run_one_keeps_guard_and_nobody_is_called() {
        let (mut crew, doors) = crew(0, 2);
        let call = crew.call(1);
        comes(&mut crew, &call, &doors[1]);
        let running = begin(&mut crew);
        let call = crew.call(5);
        comes(&mut crew, &call, &doors[0]);
        assert!(crew.lacks_sentry());
        crew.park(&doors[0], 5);
        assert_eq!(crew.post(&doors[0]), Post::Sentry);
        assert!(matches!(crew.call(6), Call::Nobody));
        crew.end_job(running, 100);
        assert!(matches!(crew.call(1), Call::Unpark(_)), "nobody runs, so somebody must come");
    }

    /// One thread runs a short job, the other is the sentry, and so many jobs wait.
    fn guarded(queued: usize) -> (Crew, usize, Door) {
        let (mut crew, doors) = crew(0, 2);
        let call = crew.call(1);
        comes(&mut crew, &call, &doors[1]);
        let running = begin(&mut crew);
        crew.rise(&doors[0]);
        crew.park(&doors[0], queued);
        assert_eq!(crew.post(&doors[0]), Post::Sentry);
        (crew, running, doors[0].clone())
    }

    #[test]
    fn the_sentry_comes_for_a_job_that_has_waited_for_a_tick() {
        let (mut crew, running, door) = guarded(0);
        // Two came since the sentry parked.
        assert_eq!(crew.time_is_up(&door, 2), TimeUp::Stay);
        crew.end_job(running, 100);
        begin(&mut crew);
        // One of the two is still there, behind it none that was seen.
        assert_eq!(crew.time_is_up(&door, 3), TimeUp::GetUp);
        crew.rise(&door);
        assert!(!crew.lacks_sentry(), "it is to run the job itself");
    }

    #[test]
    fn the_sentry_lets_those_work_who_get_on() {
        let (mut crew, mut running, door) = guarded(3);
        for _ in 0..10 {
            for _ in 0..3 {
                crew.end_job(running, 100);
                running = begin(&mut crew);
            }
            assert_eq!(crew.time_is_up(&door, 3), TimeUp::Stay);
        }
    }

    #[test]
    fn nobody_counts_on_a_thread_that_is_stuck() {
        let (mut crew, running, door) = guarded(0);
        assert_eq!(crew.time_is_up(&door, 0), TimeUp::Stay);
        let call = crew.call(1);
        comes(&mut crew, &call, &door);
        let other = begin(&mut crew);
        assert!(!matches!(crew.call(1), Call::Unpark(_)), "there is no third");
        crew.end_job(other, 100);
        crew.end_job(running, 5_000_000);
        assert_eq!(crew.watch.stuck, 0);
    }

    #[test]
    fn the_sentry_stands_down_when_nothing_comes_but_never_before_a_job() {
        let (mut crew, _running, door) = guarded(0);
        for _ in 1..QUIET_TICKS {
            assert_eq!(crew.time_is_up(&door, 0), TimeUp::Stay);
            assert_eq!(crew.post(&door), Post::Sentry);
        }
        // In the last of these ticks a job comes.
        assert_eq!(crew.time_is_up(&door, 1), TimeUp::Stay);
        assert_eq!(crew.post(&door), Post::Sentry);
        assert_eq!(crew.time_is_up(&door, 1), TimeUp::GetUp);
        let (mut crew, _running, door) = guarded(0);
        for _ in 0..QUIET_TICKS {
            assert_eq!(crew.time_is_up(&door, 0), TimeUp::Stay);
        }
        assert_eq!(crew.post(&door), Post::Parked);
        assert_eq!(crew.time_is_up(&door, 0), TimeUp::End);
    }

    #[test]
    fn one_long_job_among_short_ones_changes_little_and_many_do() {
        let mut crew = Crew::new(1, LONG);
        let mut end = |took| {
            let job = begin(&mut crew);
            crew.end_job(job, took);
            crew.job_cost
        };
        assert!((0..50).map(|_| end(200)).last() < Some(SHORT));
        assert!(end(u64::MAX) < SHORT);
        assert!((0..20).map(|_| end(1_000_000)).last() > Some(SHORT));
    }
}
