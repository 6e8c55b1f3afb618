//! The same load on each way to serve, and the table.
//!
//! The load is like wrk's: so many connections, each with one request at a time, for so long. A request that is not
//! answered in two seconds counts as a time-out, and is waited for all the same, until time is over for all. It is made by threads with a blocking client (ureq), one
//! for each connection, so that nothing of what is measured measures itself. Each server is a process of its own.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use comfy_table::{CellAlignment, Table};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use ureq::Agent;

use crate::Options;

/// What one way to serve has come to.
struct Measured {
    /// How long each request took that was answered, in order of length.
    answered: Vec<Duration>,
    timed_out: usize,
    failed: usize,
    took: Duration,
    threads: u64,
    kibibytes: u64,
}

pub(crate) fn compare(options: &Options) -> anyhow::Result<ExitCode> {
    let ways = [
        ("one event loop", "tasks"),
        ("a thread a request", "threads"),
        ("one thread", "one-thread"),
    ];
    let seconds = options.seconds / options.divisor();
    let limit = Duration::from_secs(2) / options.divisor();
    println!(
        "{} connections, {} s each; after {} s a request has timed out.",
        options.connections,
        seconds.as_secs_f64(),
        limit.as_secs_f64()
    );
    let mut table = Table::new();
    table.load_style(comfy_table::presets::ASCII_MARKDOWN);
    table.set_header([
        "served by",
        "answered",
        "a second",
        "timed out",
        "failed",
        "median",
        "p99",
        "threads",
        "MiB",
    ]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let mut a_second = Vec::new();
    for (name, by) in ways {
        let measured = measure(by, options, seconds, limit)?;
        let rate = measured.answered.len() as f64 / measured.took.as_secs_f64();
        let quantile = |share: f64| {
            let last = measured.answered.len().checked_sub(1)?;
            measured.answered.get((last as f64 * share).round() as usize)
        };
        let shown = |time: Option<&Duration>| {
            time.map_or("-".to_owned(), |time| format!("{:.2} s", time.as_secs_f64()))
        };
        table.add_row([
            name.to_owned(),
            measured.answered.len().to_string(),
            format!("{rate:.1}"),
            measured.timed_out.to_string(),
            measured.failed.to_string(),
            shown(quantile(0.5)),
            shown(quantile(0.99)),
            measured.threads.to_string(),
            format!("{:.1}", measured.kibibytes as f64 / 1024.0),
        ]);
        a_second.push(rate);
    }
    println!("{table}");
    if let [tasks, threads, one] = a_second[..] {
        println!(
            "The event loop answers {:.1} times as many as one thread, and {:.2} times as many as a thread a request.",
            tasks / one.max(f64::MIN_POSITIVE),
            tasks / threads.max(f64::MIN_POSITIVE),
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn measure(
    by: &str,
    options: &Options,
    seconds: Duration,
    limit: Duration,
) -> anyhow::Result<Measured> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([
        "--listen",
        "127.0.0.1:0",
        "--by",
        by,
        "--service-timeout",
        "60",
        "--grace",
        "0",
    ]);
    if options.fast {
        command.arg("--fast");
    }
    let mut server = Server(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?);
    let mut line = String::new();
    let stdout = server.0.stdout.take().context("its output is piped")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let url = line.split_whitespace().next_back().context("the server did not start")?;
    let url = format!("{url}/api/sun/97202/us");

    let begin = Instant::now();
    let deadline = begin + seconds;
    let (clients, threads, kibibytes) = thread::scope(|scope| {
        let clients: Vec<_> =
            (0..options.connections).map(|_| scope.spawn(|| load(&url, deadline, limit))).collect();
        thread::sleep(seconds / 2);
        let threads = server.status("Threads:");
        thread::sleep(deadline.saturating_duration_since(Instant::now()));
        let kibibytes = server.status("VmHWM:");
        // What is under way now is broken off.
        drop(server);
        let clients =
            clients.into_iter().map(|client| client.join().expect("a client does not panic"));
        (clients.collect::<Vec<_>>(), threads, kibibytes)
    });
    let mut measured = Measured {
        answered: Vec::new(),
        timed_out: 0,
        failed: 0,
        took: seconds,
        threads: threads?,
        kibibytes: kibibytes?,
    };
    for (answered, timed_out, failed) in clients {
        measured.answered.extend(answered);
        measured.timed_out += timed_out;
        measured.failed += failed;
    }
    measured.answered.sort();
    Ok(measured)
}

/// One client, until the deadline: how long each answer took, how many of them too long, how many requests failed.
fn load(url: &str, deadline: Instant, limit: Duration) -> (Vec<Duration>, usize, usize) {
    let agent = Agent::new_with_defaults();
    let (mut answered, mut timed_out, mut failed) = (Vec::new(), 0, 0);
    loop {
        let begin = Instant::now();
        let got = agent.get(url).call();
        let body = got.and_then(|mut response| response.body_mut().read_to_string());
        if Instant::now() >= deadline {
            timed_out += usize::from(deadline.saturating_duration_since(begin) > limit);
            return (answered, timed_out, failed);
        }
        match body {
            Ok(body) if body.contains("Portland") => {
                answered.push(begin.elapsed());
                timed_out += usize::from(begin.elapsed() > limit);
            }
            Ok(_) | Err(_) => failed += 1,
        }
    }
}

/// The server's process. Dropped, it is stopped.
struct Server(Child);

impl Server {
    /// A line of what the kernel says of it.
    fn status(&self, key: &str) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        ensure!(number.is_some(), "the kernel says nothing of {key}");
        Ok(number.unwrap_or_default().parse()?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        _ = self.0.wait();
    }
}
