//! The command `peers http`: hyper with one small answer, on whirligig and on tokio, under the load of `h2load`.
//!
//! [`server`] is hyper's server around the same handler on each side. The load is nghttp2's `h2load`, for HTTP/1.1 and
//! HTTP/2 alike, so that no client of ours flatters a server of ours. Besides rates and latencies it is what each
//! request costs the server that counts: its processor time, read between two loads by the server itself, and its user
//! instructions, which callgrind counts in runs of two lengths. Memory is what the resident set grows by for 10,000
//! connections that have had one answer each and stay open; their client is a process of its own ([`idle`]).

pub(crate) mod idle;
pub(crate) mod server;

use std::{
    env, fmt, fs,
    io::{BufRead, BufReader, Read, Write},
    path::PathBuf,
    process::{self, ChildStdout, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::server::Level;
use crate::{
    child::{self, Running},
    counts::{CALLGRIND, available, instructions},
    machine, rounds,
    stats::{Summary, percentile},
    table::{self, short},
};

/// Options of the HTTP servers' comparison.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each server runs.
    #[arg(long, default_value_t = 5, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Connections of the load.
    #[arg(long, default_value_t = 64, value_parser = crate::at_least_one)]
    connections: usize,
    /// Streams at once on each connection of HTTP/2.
    #[arg(long, default_value_t = 10, value_parser = crate::at_least_one)]
    streams: usize,
    /// Requests measured in one run; a tenth more warms up.
    #[arg(long, default_value_t = 200_000, value_parser = crate::at_least_one)]
    requests: usize,
    /// Connections that stay open, idle, for the figure of memory.
    #[arg(long, default_value_t = 10_000, value_parser = crate::at_least_one)]
    idle: usize,
    /// Requests by which the longer run under callgrind is longer.
    #[arg(long, default_value_t = 5_000, value_parser = crate::at_least_one)]
    counted: usize,
    /// Only these servers, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SERVERS")]
    only: Vec<Server>,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What runs hyper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Server {
    /// Our event loop, with tasks that need not be `Send`.
    Whirligig,
    /// tokio's runtime of one thread.
    Tokio,
    /// Our runtime with two workers.
    WhirligigMulti,
    /// tokio's with two.
    TokioMulti,
}

impl Server {
    fn is_multi(self) -> bool {
        matches!(self, Self::WhirligigMulti | Self::TokioMulti)
    }

    /// tokio's of the same kind.
    fn peer(self) -> Self {
        if self.is_multi() { Self::TokioMulti } else { Self::Tokio }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

/// One run to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Plan {
    server: Server,
    protocol: Protocol,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", name(&self.server), name(&self.protocol))
    }
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

/// What a run found.
#[derive(Debug, Serialize)]
struct Sample {
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: f64,
    user_us: f64,
}

/// A server at work, which says what it has used when it is asked.
struct Serving {
    child: process::Child,
    answers: BufReader<ChildStdout>,
    address: String,
}

impl Serving {
    /// Starts it, on these cores if there are any; `wrap` may put it under a tool.
    fn start(plan: Plan, cores: &str, wrap: impl FnOnce(Command) -> Command) -> Result<Self> {
        let mut command =
            child::command(["http-serve", &name(&plan.server), &name(&plan.protocol)])?;
        if !cores.is_empty() {
            command.args(["--cores", cores]);
        }
        let mut command = wrap(command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let answers = BufReader::new(child.stdout.take().context("it is piped")?);
        let mut serving = Self { child, answers, address: String::new() };
        serving.address = serving.line()?;
        Ok(serving)
    }

    fn line<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the server printed {line:?}"))
    }

    /// What it has used up to here.
    fn level(&mut self) -> Result<Level> {
        self.child.stdin.as_mut().context("it is piped")?.write_all(b"\n")?;
        self.line()
    }

    /// Ends it; what it wrote to standard error, if that is piped.
    fn end(mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let mut errors = String::new();
        if let Some(mut pipe) = self.child.stderr.take() {
            pipe.read_to_string(&mut errors)?;
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "the server failed: {status} {errors}");
        Ok(errors)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Both fail only when it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has `h2load` make so many requests. Gives requests a second, and how long each took, in microseconds, sorted.
fn load(plan: Plan, options: &Load, requests: usize, address: &str) -> Result<(f64, Vec<u64>)> {
    let log = env::temp_dir().join(format!("peers-http-{}.log", process::id()));
    let _ = fs::remove_file(&log);
    let mut command = match options.cores {
        "" => Command::new("h2load"),
        cores => {
            let mut pinned = Command::new("taskset");
            pinned.args(["-c", cores, "h2load"]);
            pinned
        }
    };
    let connections = options.connections.min(requests);
    command
        .args(["-t", "1", "-n", &requests.to_string(), "-c", &connections.to_string()])
        .arg(format!("--log-file={}", log.display()));
    match plan.protocol {
        Protocol::Http1 => command.arg("--h1"),
        Protocol::Http2 => command.args(["-m", &options.streams.to_string()]),
    };
    let output = command.arg(format!("http://{address}/")).output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let all = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
    ensure!(said.contains(&all), "h2load did not get all answers: {said}");
    let rate = said.split(" req/s").next().and_then(|text| text.rsplit(' ').next()?.parse().ok());
    let rate = rate.with_context(|| format!("h2load named no rate: {said}"))?;
    let lines = fs::read_to_string(&log)?;
    fs::remove_file(&log)?;
    let took = |line: &str| line.split('\t').nth(2)?.parse().ok();
    let mut took: Vec<u64> = lines.lines().filter_map(took).collect();
    ensure!(took.len() == requests, "h2load logged {} of {requests} requests", took.len());
    took.sort_unstable();
    Ok((rate, took))
}

struct Load {
    connections: usize,
    streams: usize,
    cores: &'static str,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    Command::new("h2load").arg("--version").output().map(drop).context(
        "h2load is needed as the load: on Debian it is in the package nghttp2-client \
         (apt-get install nghttp2-client)",
    )?;
    let is_chosen = |server: &Server| options.only.is_empty() || options.only.contains(server);
    let servers: Vec<_> = Server::value_variants().iter().copied().filter(is_chosen).collect();
    let plans: Vec<_> = [Protocol::Http1, Protocol::Http2]
        .into_iter()
        .flat_map(|protocol| servers.iter().map(move |&server| Plan { server, protocol }))
        .collect();
    let samples = rounds::interleaved(&plans, options.rounds, |plan| sample(plan, options))?;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let rows: Vec<_> =
            plans.iter().zip(&samples).filter(|(plan, _)| plan.protocol == protocol).collect();
        print_table(protocol, options, &rows);
    }
    print_memory(&servers, options)?;
    if available("valgrind").is_ok() {
        print_counts(&servers, options)?;
    } else {
        println!("\nuser instructions a request: valgrind is not installed");
    }
    match &options.json {
        Some(path) => {
            let results: Vec<_> = plans.iter().zip(&samples).collect();
            machine::write_json(path, "hyper, one small answer", &results)
        }
        None => Ok(()),
    }
}

/// One thread on one core and the load on the other; two workers share both with it.
fn sample(plan: Plan, options: &Options) -> Result<Sample> {
    let (server, client) = if plan.server.is_multi() { ("0,1", "0,1") } else { ("0", "1") };
    let load_options =
        Load { connections: options.connections, streams: options.streams, cores: client };
    let mut serving = Serving::start(plan, server, |command| command)?;
    let address = serving.address.clone();
    load(plan, &load_options, (options.requests / 10).max(options.connections), &address)?;
    let before = serving.level()?;
    let (rate, took) = load(plan, &load_options, options.requests, &address)?;
    let spent = serving.level()?.cpu.since(before.cpu);
    serving.end()?;
    let per_request = |time: Duration| time.as_secs_f64() * 1e6 / took.len() as f64;
    Ok(Sample {
        rate,
        p50_us: percentile(&took, 0.5) as f64,
        p99_us: percentile(&took, 0.99) as f64,
        cpu_us: per_request(spent.total()),
        user_us: per_request(spent.user),
    })
}

fn print_table(protocol: Protocol, options: &Options, rows: &[(&Plan, &Vec<Sample>)]) {
    let streams = match protocol {
        Protocol::Http1 => String::new(),
        Protocol::Http2 => format!(" of {} streams", options.streams),
    };
    println!(
        "\n{}, {} connections{streams}; {} rounds of {} requests",
        name(&protocol),
        options.connections,
        options.rounds,
        options.requests
    );
    let mut table = table::new([
        "server",
        "requests/s",
        "against tokio",
        "CPU us/request",
        "against tokio",
        "user us",
        "p50 us",
        "p99 us",
        "against tokio",
    ]);
    let median = |of: &[Sample], what: fn(&Sample) -> f64| Summary::of(of.iter().map(what)).median;
    for (plan, of) in rows {
        let peer = rows.iter().find(|(other, _)| other.server == plan.server.peer());
        let ratio = |what: fn(&Sample) -> f64| {
            peer.map_or("-".to_owned(), |(_, its)| short(median(of, what) / median(its, what)))
        };
        table.add_row([
            name(&plan.server),
            format!("{:.0}", median(of, |sample| sample.rate)),
            ratio(|sample| sample.rate),
            short(median(of, |sample| sample.cpu_us)),
            ratio(|sample| sample.cpu_us),
            short(median(of, |sample| sample.user_us)),
            short(median(of, |sample| sample.p50_us)),
            short(median(of, |sample| sample.p99_us)),
            ratio(|sample| sample.p99_us),
        ]);
    }
    println!("{table}");
}

/// What the server's resident set grows by, for each connection that has had an answer and stays open.
fn memory(server: Server, connections: usize) -> Result<f64> {
    let plan = Plan { server, protocol: Protocol::Http1 };
    let mut serving = Serving::start(plan, "", |command| command)?;
    let address = serving.address.clone();
    // What a first connection brings with it is not of each.
    drop(idle::open(&address, 8)?);
    let before = serving.level()?;
    let command = child::command(["http-idle", &address, &connections.to_string()])?;
    let mut client = Running::start(command)?;
    let opened: usize = client.line()?;
    let grown = serving.level()?.resident.saturating_sub(before.resident);
    drop(client);
    serving.end()?;
    ensure!(opened == connections, "{opened} of {connections} connections were opened");
    Ok(grown as f64 / connections as f64)
}

fn print_memory(servers: &[Server], options: &Options) -> Result<()> {
    machine::raise_descriptor_limit()?;
    println!("\n{} idle keep-alive connections of HTTP/1.1; resident bytes for each", options.idle);
    let mut table = table::new(["server", "bytes", "against tokio"]);
    let found: Vec<(Server, f64)> = servers
        .iter()
        .map(|&server| Ok((server, memory(server, options.idle)?)))
        .collect::<Result<_>>()?;
    for (server, bytes) in &found {
        let peer = found.iter().find(|(other, _)| *other == server.peer());
        let ratio = peer.map_or("-".to_owned(), |(_, its)| short(bytes / its));
        table.add_row([name(server), short(*bytes), ratio]);
    }
    println!("{table}");
    Ok(())
}

fn print_counts(servers: &[Server], options: &Options) -> Result<()> {
    println!("\nuser instructions a request, callgrind, 8 connections");
    let mut table = table::new(["server", "http1", "http2"]);
    let load_options = Load { connections: 8, streams: options.streams, cores: "" };
    // Where threads park and unpark each other, counts are not the same twice.
    for &server in servers.iter().filter(|server| !server.is_multi()) {
        let count = |protocol| -> Result<String> {
            let plan = Plan { server, protocol };
            let run = |requests| -> Result<u64> {
                let serving = Serving::start(plan, "", |command| {
                    let mut wrapped = Command::new(CALLGRIND[0]);
                    wrapped.args(&CALLGRIND[1..]).arg(command.get_program());
                    wrapped.args(command.get_args()).args(["--look-interval", "61"]);
                    wrapped.stderr(Stdio::piped());
                    wrapped
                })?;
                let address = serving.address.clone();
                load(plan, &load_options, requests, &address)?;
                instructions(&serving.end()?)
            };
            let least = 500;
            let difference = run(least + options.counted)? as f64 - run(least)? as f64;
            Ok(short(difference / options.counted as f64))
        };
        table.add_row([name(&server), count(Protocol::Http1)?, count(Protocol::Http2)?]);
    }
    println!("{table}");
    Ok(())
}
