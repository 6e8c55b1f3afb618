//! System calls that the kernel is made to refuse. Included with `#[path]` by the tests of what is done without them.

use std::env::consts::ARCH;

use rustix::io::Errno;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// From here on these calls of this thread, and of those that it starts, end with this error. There is no way back.
pub(crate) fn refuse(calls: &[i64], errno: Errno) {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let refused = SeccompAction::Errno(errno.raw_os_error() as u32);
    let architecture = ARCH.try_into().unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, architecture).unwrap();
    apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}
