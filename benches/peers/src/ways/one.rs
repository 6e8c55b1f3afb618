//! One of each, one after the other: what the way there and back costs, with nothing done at its end.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use clap::ValueEnum;
use serde::Serialize;
use whirligig::{
    executor::{self, ProcessPool, ThreadPool},
    process::Command,
    signal::{SignalKind, signal},
    task,
};

use super::piece::{ON_A_THREAD, Piece};
use crate::common;

/// What is begun and awaited, and does nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum One {
    /// A task of the event loop.
    Task,
    /// A call on the loop's blocking pool.
    SpawnBlocking,
    /// A call on rayon's threads.
    Cpu,
    /// A call on a pool of threads, waited for by a thread.
    ThreadPool,
    /// A thread, started and joined.
    Thread,
    /// A signal that the process sends to itself.
    Signal,
    /// A call on a pool of processes, waited for by a thread.
    ProcessPool,
    /// A program, started and awaited.
    Process,
}

/// The piece of work that does nothing.
const NOTHING: Piece = Piece::Compute(0);

impl One {
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Task => "a task, spawned and awaited",
            Self::SpawnBlocking => "`spawn_blocking`, awaited",
            Self::Cpu => "`executor::cpu`, awaited",
            Self::ThreadPool => "`ThreadPool::submit`, waited for by a thread",
            Self::Thread => "a thread, started and joined",
            Self::Signal => "a signal to oneself, heard",
            Self::ProcessPool => "`ProcessPool::submit`, waited for by a thread",
            Self::Process => "a program (`true`), started and awaited",
        }
    }

    /// Microseconds for one, of as many as fit into this time.
    pub(super) fn measure(self, least: Duration) -> Result<f64> {
        match self {
            Self::Task => on_the_loop(least, async || {
                whirligig::spawn_local(async {}).await?;
                Ok(())
            }),
            Self::SpawnBlocking => {
                on_the_loop(least, async || Ok(task::spawn_blocking(|| ()).await?))
            }
            Self::Cpu => on_the_loop(least, async || Ok(executor::cpu(|| ()).await?)),
            Self::ThreadPool => {
                let pool = ThreadPool::new(1);
                on_this_thread(least, || Ok(pool.submit(|| ()).result()?))
            }
            Self::Thread => on_this_thread(least, || {
                thread::Builder::new().spawn(|| ())?.join().expect("it does not panic");
                Ok(())
            }),
            Self::Signal => {
                let mut signals = signal(SignalKind::user_defined1())?;
                on_the_loop(least, async || {
                    nix::sys::signal::raise(nix::sys::signal::Signal::SIGUSR1)?;
                    Ok(signals.recv().await?)
                })
            }
            Self::ProcessPool => {
                let pool = ProcessPool::new(1)?;
                on_this_thread(least, || {
                    ensure!(pool.submit(&ON_A_THREAD, NOTHING).result()? == 0);
                    Ok(())
                })
            }
            Self::Process => on_the_loop(least, async || {
                ensure!(Command::new("true").status().await?.success());
                Ok(())
            }),
        }
    }
}

/// How many come before the clock starts.
const WARM_UP: u32 = 3;

fn on_the_loop(least: Duration, mut one: impl AsyncFnMut() -> Result<()>) -> Result<f64> {
    common::event_loop().block_on(async {
        for _ in 0..WARM_UP {
            one().await?;
        }
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < least {
            one().await?;
            count += 1;
        }
        Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(count))
    })
}

fn on_this_thread(least: Duration, mut one: impl FnMut() -> Result<()>) -> Result<f64> {
    for _ in 0..WARM_UP {
        one()?;
    }
    let (start, mut count) = (Instant::now(), 0_u32);
    while start.elapsed() < least {
        one()?;
        count += 1;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pool of processes is left out, which needs a `main` of ours.
    #[test]
    fn each_comes_back() {
        for one in One::value_variants() {
            if *one != One::ProcessPool {
                assert!(one.measure(Duration::from_millis(1)).unwrap() > 0.0, "{one:?}");
            }
        }
    }
}
