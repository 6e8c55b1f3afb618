//! A worker: it takes jobs, has their functions called on threads beside its loop, and gives the outcomes back.
//!
//! A call takes as long as it takes, and the loop goes on: it keeps the job meanwhile, a few times in each visibility
//! time-out. A worker that is stopped takes no more, and finishes what it has. One that is killed leaves what it had
//! to the others.
//!
//! What must hold: a job is taken when there is a thread for it, and not before; what waits in a worker, no other worker
//! can take.

use std::{cell::Cell, process, rc::Rc, sync::Arc, time::Duration};

use ecosystem::{say, stop::Stop};
use whirligig::{
    executor::CallError,
    spawn_local,
    sync::Semaphore,
    task,
    time::{Instant, sleep},
};

use crate::{
    broker::{Broker, Failed, Job},
    functions::KNOWN,
};

/// How a worker works.
#[derive(clap::Args, Clone)]
pub(crate) struct How {
    /// So many jobs at a time, each on a thread
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) at_once: u16,

    /// Seconds after which the job of a worker that is silent goes to another
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = ecosystem::options::some_seconds)]
    pub(crate) visibility: Duration,

    /// So often a job is tried before it is given up
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) attempts: u16,
}

/// What each job of a worker needs of it.
struct Worker {
    name: String,
    broker: Arc<Broker>,
    how: How,
}

/// Works until it is stopped, by Ctrl-C or `SIGTERM`. `taking` has a connection of its own: commands that wait for jobs
/// would hold up all others.
pub(crate) async fn work(broker: Arc<Broker>, taking: Broker, how: How) -> anyhow::Result<()> {
    let name = format!("worker-{}-{:04x}", process::id(), fastrand::u16(..));
    let mut stop = Stop::new()?;
    let stopping = Rc::new(Cell::new(false));
    let stopped = stopping.clone();
    drop(spawn_local(async move {
        if stop.requested().await.is_ok() {
            say(format_args!("finishing what has begun; once more ends at once"));
            stopped.set(true);
        }
    }));
    let worker = Rc::new(Worker { name: name.clone(), broker: broker.clone(), how });
    say(format_args!("{name} is ready"));
    let working = task::scope(async |scope| {
        let threads = Arc::new(Semaphore::new(usize::from(worker.how.at_once)));
        let often = worker.how.visibility / 4;
        let mut next_claim = Instant::now();
        while !stopping.get() {
            let thread = threads.clone().acquire_owned().await?;
            let mut job = None;
            if Instant::now() >= next_claim {
                job = taking.claim(&name, worker.how.visibility).await?;
                // Where one was left, there may be more.
                next_claim = Instant::now() + if job.is_some() { Duration::ZERO } else { often };
            }
            if job.is_none() {
                // A take that is dropped may have been given a job already; so it is a short one instead.
                job = taking.take(&name, often.min(Duration::from_millis(500))).await?;
            }
            if let Some(job) = job {
                let worker = worker.clone();
                scope.spawn_local(async move {
                    let done = worker.run(job).await;
                    drop(thread);
                    done
                });
            }
        }
        anyhow::Ok(())
    });
    working.await?;
    broker.leave(&name).await?;
    say(format_args!("{name} has ended"));
    Ok(())
}

impl Worker {
    async fn run(&self, job: Job) -> anyhow::Result<()> {
        let Job { id, function, attempt, .. } = &job;
        let (name, most) = (&self.name, usize::from(self.how.attempts));
        if *attempt > most {
            let how = format!("{most} workers that had it died, or were silent for too long");
            return self.fail(&job, &CallError::Died(how)).await;
        }
        say(format_args!("{name} begins {function} {id}, attempt {attempt}"));
        match self.call(&job).await? {
            Ok(output) => {
                self.broker.finish(&job, &output).await?;
                say(format_args!("{name} has done {function} {id}"));
                Ok(())
            }
            Err(error) => self.fail(&job, &error).await,
        }
    }

    /// Calls the job's function, and keeps the job until that has ended.
    async fn call(&self, job: &Job) -> anyhow::Result<Result<Vec<u8>, CallError>> {
        let (name, arguments) = (job.function.clone(), job.arguments.clone());
        let call = task::spawn_blocking(move || {
            let known = KNOWN.iter().find(|known| known.name() == name);
            let unknown = || CallError::Encoding(format!("its worker knows no function {name:?}"));
            known.ok_or_else(unknown)?.call_encoded(&arguments)
        });
        let keeping = async {
            loop {
                sleep(self.how.visibility / 4).await;
                if !self.broker.keep(&self.name, job).await? {
                    say(format_args!(
                        "{} was silent for too long: {} is another's now",
                        self.name, job.id
                    ));
                    // The call cannot be ended. Its output is as good as the other's, if it is the first.
                    return std::future::pending().await;
                }
            }
        };
        let called = async { Ok(call.await?) };
        futures_lite::future::or(called, keeping).await
    }

    async fn fail(&self, job: &Job, error: &CallError) -> anyhow::Result<()> {
        let (name, visibility) = (&self.name, self.how.visibility);
        let most = usize::from(self.how.attempts);
        // Twice as long after each attempt.
        let exponent = u32::try_from(job.attempt)?.min(10);
        let delay = Duration::from_millis(50) * 2_u32.pow(exponent);
        let became = self.broker.fail(name, job, error, most, (delay, visibility)).await?;
        let became = match became {
            Failed::Again => "will be tried again",
            Failed::Dead => "is dead",
            Failed::Elsewhere => "was done elsewhere",
        };
        say(format_args!("{name}: {} {} {became}: {error}", job.function, job.id));
        Ok(())
    }
}
