//! Several commands at once, their lines as they come, a time limit, and Ctrl-C that ends all of them.
//!
//! ```text
//! cargo run --example children -- 'echo one; sleep 1; echo two' 'seq 3' 'exit 4'
//! cargo run --example children -- --limit 2 'seq 3' 'sleep 100 & sleep 100'
//! ```
//!
//! Each command is a shell in a process group of its own, so what is killed is the shell with all that it started. One
//! task reads what a command says and waits for its end. It owns the child, and dropping it kills the group: so the
//! time limit and Ctrl-C need do nothing but drop the task's future.
//!
//! The program fails if a command did. After Ctrl-C it ends by `SIGINT` itself, as a shell expects of it.

use std::{io, process::ExitCode, time::Duration};

use clap::Parser;
use futures_lite::{AsyncBufReadExt, StreamExt, io::BufReader};
use whirligig::{
    process::{Command, ExitStatus, Stdio},
    signal, spawn_local, time,
};

/// Runs commands at once.
#[derive(Parser)]
struct Options {
    /// Seconds after which a command that still runs is killed
    #[arg(long, default_value = "3600")]
    limit: u64,
    /// What the shell is to run
    #[arg(required = true)]
    commands: Vec<String>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match signal::run_until_ctrl_c(run_all(options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(interrupted) => {
            eprintln!("{interrupted}");
            interrupted.exit()
        }
    }
}

/// Whether all went well.
async fn run_all(options: Options) -> bool {
    let limit = Duration::from_secs(options.limit);
    let commands = (1..).zip(options.commands);
    // Dropped with this future, or when the loop ends: each task is.
    let running: Vec<_> = commands
        .map(|(number, command)| {
            spawn_local(async move {
                let end = match time::timeout(limit, run(number, &command)).await {
                    Ok(Ok(status)) if status.success() => return true,
                    Ok(Ok(status)) => status.to_string(),
                    Ok(Err(error)) => error.to_string(),
                    Err(_) => format!("killed after {} s", limit.as_secs()),
                };
                println!("{number}: {end}");
                false
            })
        })
        .collect();
    let mut all_well = true;
    for task in running {
        all_well &= task.await.expect("no task panics");
    }
    all_well
}

/// Runs one command, with its number before each of its lines.
async fn run(number: usize, command: &str) -> io::Result<ExitStatus> {
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut shell = shell.process_group(0).kill_on_drop(true).spawn()?;
    let output = shell.stdout.take().expect("its output is piped");
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next().await {
        println!("{number}| {}", line?);
    }
    shell.wait().await
}
