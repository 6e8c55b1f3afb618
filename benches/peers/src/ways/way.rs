//! Ways to do work in pieces, each from nothing to nothing: what it stands on is made and ended in the time that counts.

use std::thread;

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use whirligig::{
    executor::{self, ProcessPool, ThreadPool},
    task,
};

use super::piece::{Kind, ON_A_THREAD, Piece};
use crate::{
    common,
    machine::{children_memory, processors},
    multi::{self, WORKERS},
};

/// Threads or processes of a pool whose calls wait; of one whose calls compute there are as many as processors.
pub(super) const WAITING: usize = 32;

/// How the pieces are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Way {
    /// A task each, on the event loop.
    EventLoop,
    /// A task each, on the runtime with two workers.
    Runtime,
    /// A thread each.
    Threads,
    /// A pool of threads.
    ThreadPool,
    /// A pool of processes.
    ProcessPool,
    /// Rayon's threads, one a processor.
    Rayon,
    /// Tasks of the event loop that wait, `executor::cpu` for what computes, `spawn_blocking` for what blocks.
    Each,
}

impl Way {
    /// 10,000 waits on rayon's threads take minutes, and teach no more than their number.
    pub(super) fn does(self, kind: Kind) -> bool {
        (self, kind) != (Self::Rayon, Kind::ManyWaits)
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::EventLoop => "tasks, event loop",
            Self::Runtime => "tasks, 2 workers",
            Self::Threads => "a thread each",
            Self::ThreadPool => "thread pool",
            Self::ProcessPool => "process pool",
            Self::Rayon => "rayon",
            Self::Each => "each where it belongs",
        }
    }

    /// Does the work. Gives the sum, and what memory other processes had at the end, in bytes.
    pub(super) fn run(self, kind: Kind) -> Result<(u64, u64)> {
        let pieces = kind.pieces();
        let width = if kind == Kind::Computing { processors() } else { WAITING };
        let sum = match self {
            Self::EventLoop => common::event_loop().block_on(tasks(pieces))?,
            Self::Runtime => multi::runtime(WORKERS).block_on(tasks(pieces))?,
            Self::Threads => threads(pieces)?,
            Self::ThreadPool => {
                let pool = ThreadPool::new(width);
                pool.map(pieces, Piece::on_a_thread).sum::<Result<u64, _>>()?
            }
            Self::ProcessPool => {
                let pool = ProcessPool::new(width)?;
                let sum = pool.map(&ON_A_THREAD, pieces).sum::<Result<u64, _>>()?;
                return Ok((sum, children_memory()?));
            }
            Self::Rayon => {
                let calls =
                    pieces.into_iter().map(|piece| executor::cpu(move || piece.on_a_thread()));
                let calls: Vec<_> = calls.collect();
                calls.into_iter().map(|call| call.result()).sum::<Result<u64, _>>()?
            }
            Self::Each => common::event_loop().block_on(tasks_and_calls(pieces))?,
        };
        Ok((sum, 0))
    }
}

async fn tasks(pieces: Vec<Piece>) -> Result<u64> {
    let tasks: Vec<_> =
        pieces.into_iter().map(|piece| whirligig::spawn(piece.in_a_task())).collect();
    let mut sum = 0;
    for task in tasks {
        sum += task.await?;
    }
    Ok(sum)
}

async fn tasks_and_calls(pieces: Vec<Piece>) -> Result<u64> {
    let (mut computed, mut called, mut waits) = (Vec::new(), Vec::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Compute(_) => computed.push(executor::cpu(move || piece.on_a_thread())),
            Piece::Block(_) => called.push(task::spawn_blocking(move || piece.on_a_thread())),
            Piece::Wait(_) => waits.push(piece),
        }
    }
    let mut sum = tasks(waits).await?;
    for call in called {
        sum += call.await?;
    }
    for call in computed {
        sum += call.await?;
    }
    Ok(sum)
}

fn threads(pieces: Vec<Piece>) -> Result<u64> {
    let start = |piece: Piece| thread::Builder::new().spawn(move || piece.on_a_thread());
    let threads: Vec<_> = pieces
        .into_iter()
        .map(start)
        .collect::<Result<_, _>>()
        .context("the system gives no more threads")?;
    Ok(threads.into_iter().map(|thread| thread.join().expect("it does not panic")).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pool of processes is left out: in a test there is no `main` of ours, which its processes need.
    #[test]
    fn each_way_gives_the_same_sum() {
        for way in Way::value_variants() {
            if *way != Way::ProcessPool {
                let (sum, _) = way.run(Kind::FewWaits).unwrap();
                assert_eq!(sum, Kind::FewWaits.expected(), "{way:?}");
            }
        }
        assert_eq!(Way::Each.run(Kind::Mixed).unwrap().0, Kind::Mixed.expected());
    }
}
