//! Child processes: real ones, of the programs that any Unix has (`sh`, `cat`, `sleep`, `true`).
//!
//! Behaviours run on each variant of the runtime (`tests/support/variants.rs`). What counts a process's descriptors,
//! threads or children runs in a process of its own (`tests/support/again.rs`).

mod communicate;
mod counts;
mod ends;
mod kills;
mod spawn;
#[cfg(target_os = "linux")]
mod without_pidfd;

#[path = "../support/again.rs"]
mod again;
#[cfg(target_os = "linux")]
#[path = "../support/refused.rs"]
mod refused;
#[path = "../support/variants.rs"]
mod variants;
#[path = "../support/watchdog.rs"]
mod watchdog;

use whirligig::process::{Command, Stdio};

/// A shell that runs `script`.
fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

/// A child that ends when its input does, with what it read.
fn cat() -> Command {
    let mut command = Command::new("cat");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}
