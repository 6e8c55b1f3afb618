//! Child processes: this very program, called with a hidden subcommand, answering in JSON.
//!
//! Memory that is already mapped, a warm allocator, a thread left over: a runtime measured second in
//! one process is not measured as the first was. So each sample gets a process of its own. A child
//! prints one JSON value a line on its standard output and reports trouble on standard error, which
//! it shares with the parent.

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Serialize, de::DeserializeOwned};

/// This program with the hidden subcommand `child` and `arguments`.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let program = std::env::current_exe().context("this program does not know its own path")?;
    let mut command = Command::new(program);
    command.arg("child").args(arguments);
    Ok(command)
}

/// Runs `command` to its end and parses the one line it prints.
pub(crate) fn answer<T: DeserializeOwned>(command: Command) -> Result<T> {
    let mut running = Running::start(command)?;
    let answer = running.line()?;
    running.finish()?;
    Ok(answer)
}

/// Prints what this child has found out.
pub(crate) fn report(answer: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(answer)?);
    Ok(())
}

/// How a program ends: trouble is told in one line, with its causes.
pub(crate) fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A child at work. Dropped early, it is ended.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
    name: String,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Result<Self> {
        let name = format!("{command:?}");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let output = child.stdout.take().context("the child has no output")?;
        Ok(Self { child, output: BufReader::new(output), name })
    }

    /// The next value the child prints.
    pub(crate) fn line<T: DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            bail!("no answer from {}: {}", self.name, self.child.wait()?);
        }
        serde_json::from_str(&line).with_context(|| format!("{} printed {line:?}", self.name))
    }

    /// Waits for the child's good end. Returns its standard error, if that is piped.
    pub(crate) fn finish(mut self) -> Result<String> {
        let mut errors = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut errors)?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "{} failed: {status} {errors}", self.name);
        Ok(errors)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only when the child has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
