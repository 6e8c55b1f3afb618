//! The command `peers counts`: instructions and system calls, which do not drift.
//!
//! Times change with the machine and the hour; counts hardly do. Each figure is the difference of
//! two runs of different length, divided by the difference in length, so that start-up and tear-down
//! cancel out. The exact commands are in `benches/README.md`, to be run by hand on a single row.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};

use crate::{
    echo::{self, Cores, Plan, Server},
    loop_program::{self, Row, grouped},
    program::Work,
    rounds::progress_bar,
    table::{self, short},
};

/// Options of the counts.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// What to count, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "loop,echo")]
    what: Vec<What>,
    /// Actions of the longer run of the loop program.
    #[arg(long, default_value_t = 500_000, value_parser = loop_program::even)]
    actions: u64,
    /// Requests by which the longer run of an echo server is longer.
    #[arg(long, default_value_t = 5_000, value_parser = crate::at_least_one)]
    requests: usize,
    /// Numbers of connections of the echo server, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,64", value_parser = crate::at_least_one)]
    connections: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum What {
    Loop,
    Echo,
}

const LOOP_ROWS: [Row; 7] = [
    Row::Whirligig,
    Row::Tokio,
    Row::TokioSelfWaking,
    Row::Smol,
    Row::SmolRc,
    Row::Monoio,
    Row::MonoioRc,
];

pub(crate) fn run(options: &Options) -> Result<()> {
    available("valgrind")?;
    if options.what.contains(&What::Loop) {
        loop_counts(options.actions)?;
    }
    if options.what.contains(&What::Echo) {
        available("strace")?;
        for &connections in &options.connections {
            echo_counts(connections, options.requests)?;
        }
    }
    Ok(())
}

pub(crate) fn available(tool: &str) -> Result<()> {
    let found = Command::new(tool).arg("--version").output();
    found
        .map(drop)
        .with_context(|| format!("{tool} is needed: install it with your package manager"))
}

/// `command` under `tool` and its options, the tool's words piped.
fn under(tool: &[&str], command: &Command) -> Command {
    let mut wrapped = Command::new(tool[0]);
    wrapped.args(&tool[1..]).arg(command.get_program()).args(command.get_args());
    echo::listened_to(wrapped)
}

pub(crate) const CALLGRIND: [&str; 3] =
    ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"];
const STRACE: [&str; 3] = ["strace", "-f", "-c"];

/// Instructions in a report of callgrind's: `==7== Collected : 123`.
pub(crate) fn instructions(report: &str) -> Result<u64> {
    let line = report.lines().find(|line| line.contains("Collected :"));
    let count = line.and_then(|line| line.split_whitespace().next_back()?.parse().ok());
    count.with_context(|| format!("callgrind gave no count: {report}"))
}

/// Calls in the last row of `strace -c`: share, seconds, time per call, calls, errors, `total`.
fn system_calls(report: &str) -> Result<u64> {
    let line = report.lines().find(|line| line.trim_end().ends_with(" total"));
    let count = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    count.with_context(|| format!("strace gave no count: {report}"))
}

fn loop_counts(actions: u64) -> Result<()> {
    const LEAST: u64 = 2;
    ensure!(actions > LEAST, "counting needs more than {LEAST} actions");
    let mut table = table::new(["runtime", "user instructions per poll"]);
    let bar = progress_bar(LOOP_ROWS.len());
    for row in LOOP_ROWS {
        bar.set_message(row.to_string());
        let count = |actions| {
            let work = Work { actions, clock: false };
            let command = loop_program::child_command(row, work)?;
            let output = under(&CALLGRIND, &command).output()?;
            let report = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{row} failed under callgrind: {report}");
            instructions(&report)
        };
        let difference = count(actions)? - count(LEAST)?;
        // A put and its yield are one poll of a producer, a get and its yield one of the consumer.
        let polls = 2 * (actions - LEAST);
        table.add_row([row.to_string(), short(difference as f64 / polls as f64)]);
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("loop program, {} actions, callgrind", grouped(actions));
    println!("{table}");
    Ok(())
}

fn echo_counts(connections: usize, requests: usize) -> Result<()> {
    let mut table =
        table::new(["server", "user instructions per request", "system calls per request"]);
    // Where threads park and unpark each other, counts are not the same twice.
    let servers: Vec<_> = Server::single().collect();
    let bar = progress_bar(servers.len());
    for server in servers {
        bar.set_message(server.to_string());
        let least = 10 * connections;
        let plan = |requests| Plan {
            server,
            workers: 1,
            connections,
            warm_up: 0,
            requests,
            cores: Cores::Free,
            server_core: 0,
            client_core: 0,
            client_spins: false,
            counted: true,
        };
        let count = |tool: &[&str], parse: fn(&str) -> Result<u64>| -> Result<f64> {
            let run = |requests| {
                let (_, report) = plan(requests).run(|command| under(tool, &command))?;
                parse(&report)
            };
            let (longer, shorter) = (run(least + requests)?, run(least)?);
            Ok((longer as f64 - shorter as f64) / requests as f64)
        };
        let user = count(&CALLGRIND, instructions)?;
        let system = count(&STRACE, system_calls)?;
        table.add_row([server.to_string(), short(user), short(system)]);
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("TCP echo 1 KiB, {connections} connections, callgrind and strace");
    println!("{table}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_found_in_the_reports() {
        let report = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(instructions(report).unwrap(), 123_456);
        let report = "% time seconds usecs/call calls errors syscall\n\
                      100.00 0.001 5 40 2 read\n\
                      ------ --- --- --- --- ---\n\
                      100.00 0.000123 2 60 2 total\n";
        assert_eq!(system_calls(report).unwrap(), 60);
    }

    #[test]
    fn a_report_without_a_count_is_an_error() {
        assert!(instructions("valgrind: failed to start").is_err());
        assert!(system_calls("strace: attach: not permitted").is_err());
    }
}
