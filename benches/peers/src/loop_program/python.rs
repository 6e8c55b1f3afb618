//! The Python rows: finding an interpreter, and making a private environment for other loops on first use.
//!
//! uvloop and rloop go into `benches/peers/.venv`, never into the user's own packages. What is missing
//! costs its row and one line that says so, not the comparison.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::Row;
use crate::program::Work;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The interpreter of each Python row that can run.
#[derive(Debug, Default)]
pub(super) struct Interpreters {
    asyncio: Option<PathBuf>,
    uvloop: Option<PathBuf>,
    rloop: Option<PathBuf>,
}

impl Interpreters {
    /// Whether `row` can run: always, unless it needs a Python that cannot be had.
    pub(super) fn prepare(&mut self, row: Row) -> bool {
        let (kept, found) = match row {
            Row::Asyncio => (&mut self.asyncio, system_python()),
            Row::Uvloop => (&mut self.uvloop, private_python("uvloop")),
            Row::Rloop => (&mut self.rloop, private_python("rloop")),
            _ => return true,
        };
        match found {
            Ok(interpreter) => *kept = Some(interpreter),
            Err(error) => eprintln!("leaving out {row}: {error:#}"),
        }
        kept.is_some()
    }

    /// How `row` is run once, if it is a Python row.
    pub(super) fn command(&self, row: Row, work: Work) -> Option<Command> {
        let (interpreter, name) = match row {
            Row::Asyncio => (self.asyncio.as_ref()?, "asyncio"),
            Row::Uvloop => (self.uvloop.as_ref()?, "uvloop"),
            Row::Rloop => (self.rloop.as_ref()?, "rloop"),
            _ => return None,
        };
        let mut command = Command::new(interpreter);
        command
            .arg(Path::new(HERE).join("python/loop_program.py"))
            .args(["--loop", name, "--actions", &work.actions.to_string()])
            .args(["--clock", if work.clock { "on" } else { "off" }]);
        Some(command)
    }
}

fn system_python() -> Result<PathBuf> {
    let python = PathBuf::from("python3");
    succeed(Command::new(&python).arg("--version")).context("python3 is needed")?;
    Ok(python)
}

/// The interpreter of the private environment, with this package installed.
fn private_python(package: &str) -> Result<PathBuf> {
    let environment = Path::new(HERE).join(".venv");
    let python = environment.join("bin/python");
    let import =
        |python: &Path| succeed(Command::new(python).args(["-c", &format!("import {package}")]));
    if import(&python).is_ok() {
        return Ok(python);
    }
    eprintln!("installing {package} in {}, once", environment.display());
    if !python.exists() {
        let system = system_python()?;
        succeed(Command::new(system).args(["-m", "venv"]).arg(&environment)).context(
            "python3 cannot make a virtual environment (on Debian: apt install python3-venv)",
        )?;
    }
    let quietly = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package];
    succeed(Command::new(&python).args(quietly))
        .with_context(|| format!("pip cannot install {package}"))?;
    import(&python).with_context(|| format!("{package} was installed but cannot be imported"))?;
    Ok(python)
}

/// Runs `command` silently; what it had to say is part of the error.
fn succeed(command: &mut Command) -> Result<()> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", errors.trim().lines().last().unwrap_or("it failed"));
    Ok(())
}
