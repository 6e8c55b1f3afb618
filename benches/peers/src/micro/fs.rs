//! The command `peers fs`: files in memory, on one thread and on two workers.

use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{Sample, Sampling, compare, rows, save};
use crate::{
    child, common,
    files::{self, Files, Work},
    multi::{self, WORKERS},
    side::Side,
};

/// Options of the comparison of files.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only these workloads, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "WORKLOADS")]
    only: Vec<Workload>,
    #[command(flatten)]
    sampling: Sampling,
}

/// A program of `benches/common/fs.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Workload {
    /// 64 KiB of a large file, read.
    ReadLarge,
    /// One of 10,000 small files, read after the one before.
    ReadSmall,
    /// One of 10,000 small files, read by 32 tasks.
    ReadSmallAtOnce,
    /// 64 KiB of a large file, written.
    WriteLarge,
    /// One of 1,000 small files, written after the one before.
    WriteSmall,
}

impl Workload {
    fn work(self) -> Work {
        match self {
            Self::ReadLarge => Work::ReadLarge,
            Self::ReadSmall => Work::ReadSmall,
            Self::ReadSmallAtOnce => Work::ReadSmallAtOnce,
            Self::WriteLarge => Work::WriteLarge,
            Self::WriteSmall => Work::WriteSmall,
        }
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads = match options.only.as_slice() {
        [] => Workload::value_variants(),
        only => only,
    };
    let rows = rows(workloads, |_, _: Side| true);
    println!("one thread each");
    let mut lines = compare("fs", &rows, &options.sampling)?;
    println!("{WORKERS} workers each");
    lines.extend(compare("fs-multi", &rows, &options.sampling)?);
    save(options.sampling.json.as_deref(), "files, one thread and then two workers, ns", &lines)
}

/// One sample: a workload, a side, and for how long.
#[derive(Args, Debug)]
pub(crate) struct Once {
    workload: Workload,
    side: Side,
    #[arg(long, default_value_t = 200)]
    milliseconds: u64,
}

impl Once {
    pub(crate) fn run(&self) -> Result<()> {
        let (work, files) = (self.workload.work(), Files::new());
        self.report(match self.side {
            Side::Whirligig => {
                let event_loop = common::event_loop();
                Box::new(move || event_loop.block_on(files::whirligig(work, files.clone())))
            }
            Side::Tokio => {
                let runtime = common::tokio_current_thread();
                Box::new(move || runtime.block_on(files::tokio(work, files.clone())))
            }
        })
    }

    pub(crate) fn run_multi(&self) -> Result<()> {
        let (work, files) = (self.workload.work(), Files::new());
        self.report(match self.side {
            Side::Whirligig => {
                let runtime = multi::runtime(WORKERS);
                Box::new(move || {
                    let files = files.clone();
                    let program = async { whirligig::spawn(files::whirligig(work, files)).await };
                    runtime.block_on(program).expect("it does not panic");
                })
            }
            Side::Tokio => {
                let runtime = multi::tokio(WORKERS);
                Box::new(move || {
                    let files = files.clone();
                    let program = async { tokio::spawn(files::tokio(work, files)).await };
                    runtime.block_on(program).expect("it does not panic");
                })
            }
        })
    }

    fn report(&self, run: Box<dyn Fn()>) -> Result<()> {
        let least = Duration::from_millis(self.milliseconds);
        child::report(&Sample::repeat(self.workload.work().operations(), least, run))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_workload_gives_the_right_answer_on_every_side() {
        let files = Files::new();
        let (ours, theirs) = (common::event_loop(), common::tokio_current_thread());
        for workload in Workload::value_variants() {
            ours.block_on(files::whirligig(workload.work(), files.clone()));
            theirs.block_on(files::tokio(workload.work(), files.clone()));
        }
    }
}
