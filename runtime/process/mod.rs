//! Child processes: started, fed, read, waited for, killed.
//!
//! | asyncio, subprocess | here |
//! | --- | --- |
//! | `create_subprocess_exec("ls", "-l")` | `Command::new("ls").arg("-l").spawn()?` |
//! | `create_subprocess_shell(line)` | `Command::new("sh").args(["-c", line]).spawn()?` |
//! | `stdin=PIPE` | `.stdin(Stdio::piped())`, then `child.stdin.take()` |
//! | `await proc.communicate(data)` | `child.communicate(data).await?` |
//! | `await proc.wait()`, `proc.returncode` | `child.wait().await?`, `child.try_wait()?` |
//! | `proc.terminate()`, `proc.kill()`, `proc.send_signal(..)` | `child.signal(SignalKind::terminate())?`, `child.kill().await?` |
//! | `subprocess.run(.., capture_output=True)` | `Command::new(..).output().await?` |
//!
//! A child's end is one more readiness of the reactor (`exit.rs`), and its streams are pipes
//! ([`io::PipeReader`](crate::io::PipeReader)). Nothing is left behind: a child that is dropped is reaped when it ends
//! (`orphans.rs`).

pub use std::process::{ExitStatus, Output, Stdio};

pub use self::{
    child::{Child, ChildHandle, ChildStderr, ChildStdin, ChildStdout},
    command::Command,
    error::CommandError,
    exit::Wait,
};

mod child;
mod command;
mod error;
mod exit;
mod orphans;
