//! Where and when figures were taken, and what the process itself may use and has used.
//!
//! Figures without their machine cannot be compared, so every JSON file carries it. The machine's
//! name is left out: it says nothing about speed.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use nix::sys::{
    resource::{Resource, UsageWho, getrlimit, getrusage, setrlimit},
    time::TimeVal,
};
use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// The machine, as far as it bears on speed.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    cpu: String,
    cpus: usize,
    memory_mib: u64,
    system: String,
    architecture: &'static str,
}

impl Machine {
    fn this() -> Result<Self> {
        let kind = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(kind)?;
        let cpu = system.cpus().first().map(|cpu| cpu.brand().trim().to_owned());
        Ok(Self {
            cpu: cpu.filter(|brand| !brand.is_empty()).unwrap_or_else(|| "unknown".to_owned()),
            cpus: system.cpus().len(),
            memory_mib: system.total_memory() >> 20,
            system: System::kernel_long_version()?,
            architecture: std::env::consts::ARCH,
        })
    }
}

/// Writes `results` to `path` as JSON, with the machine and the date.
pub(crate) fn write_json(path: &Path, what: &str, results: &impl Serialize) -> Result<()> {
    let document = serde_json::json!({
        "what": what,
        "date": jiff::Timestamp::now().to_string(),
        "machine": Machine::this()?,
        "results": results,
    });
    let text = serde_json::to_string_pretty(&document)? + "\n";
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    println!("wrote {}", path.display());
    Ok(())
}

/// Processor time this process has used so far.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct CpuTime {
    pub(crate) user: Duration,
    pub(crate) system: Duration,
}

impl CpuTime {
    pub(crate) fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask for its own usage");
        Self { user: duration(usage.user_time()), system: duration(usage.system_time()) }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, system: self.system - earlier.system }
    }

    pub(crate) fn total(self) -> Duration {
        self.user + self.system
    }
}

fn duration(time: TimeVal) -> Duration {
    Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1000)
}

/// How many threads can run at the same time.
pub(crate) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |count| count.get())
}

/// The most memory that this process had at a time, in bytes. What `getrusage` says of that includes the parent's.
pub(crate) fn peak_memory() -> Result<u64> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// What the processes that this one has started have now, in bytes; memory that several share is divided among them.
pub(crate) fn children_memory() -> Result<u64> {
    let mut sum = 0;
    for thread in std::fs::read_dir("/proc/self/task").context("there is no /proc")? {
        // A thread may end meanwhile.
        let children = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace() {
            sum += kibibytes(&format!("/proc/{child}/smaps_rollup"), "Pss:")?;
        }
    }
    Ok(sum)
}

/// The bytes in a line such as `VmHWM:   1234 kB`.
fn kibibytes(path: &str, start: &str) -> Result<u64> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(start));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    Ok(number.with_context(|| format!("there is no {start} in {path}"))? << 10)
}

/// Lets this process open as many descriptors as the system allows it.
pub(crate) fn raise_descriptor_limit() -> Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Some systems call their hard limit infinite and then refuse it.
    let wanted = hard.min(65_536);
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).context("cannot raise the descriptor limit")
}

/// Keeps this process, and the threads it will start, on `cores`; on any if there are none.
#[cfg(target_os = "linux")]
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    use nix::{sched, unistd::Pid};
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = sched::CpuSet::new();
    cores
        .iter()
        .try_for_each(|&core| set.set(core))
        .and_then(|()| sched::sched_setaffinity(Pid::from_raw(0), &set))
        .with_context(|| format!("cannot run on cores {cores:?}"))
}

/// Keeps this process on `cores`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin(cores: &[usize]) -> Result<()> {
    anyhow::ensure!(cores.is_empty(), "cores can be chosen on Linux only: use --cores free");
    Ok(())
}
