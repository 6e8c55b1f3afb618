//! What a runtime takes from the system, and has to give back: threads and descriptors.
//!
//! Counted before and after each round, by what the kernel lists for this process. (The plain threads of the
//! workloads are joined.)

use std::fs;

/// The test harness has threads as well, which come and go: these are not counted.
const NAME: &str = "whirligig";

/// The threads of runtimes and their blocking pools, by the beginning of their names, and all descriptors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resources {
    threads: Vec<String>,
    descriptors: usize,
}

impl Resources {
    pub(crate) fn now() -> Self {
        let mut threads = Vec::new();
        for thread in fs::read_dir("/proc/self/task").expect("threads are listed") {
            // It may have ended since.
            let Ok(name) = thread.and_then(|thread| fs::read_to_string(thread.path().join("comm")))
            else {
                continue;
            };
            if name.starts_with(NAME) {
                threads.push(name.trim().to_owned());
            }
        }
        threads.sort();
        let descriptors = fs::read_dir("/proc/self/fd").expect("descriptors are listed").count();
        Self { threads, descriptors }
    }
}
