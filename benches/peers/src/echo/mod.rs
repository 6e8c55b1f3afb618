//! The command `peers echo`: TCP echo of 1 KiB, server and load in processes of their own.
//!
//! [`server`] is one of the servers of `common/echo.rs` with a meter; [`load`] keeps every
//! connection busy with one message at a time. Requests per second say little here, because the
//! kernel's TCP is nearly all of the time; so the server reads its own processor time after the
//! warm-up and after the last request, and the table quotes it per request. With one connection the
//! cores matter most: on two of them the answer is a matter of waking up, on one of switching. The
//! multi-threaded servers share both cores with their load.

pub(crate) mod load;
pub(crate) mod server;

use std::{
    fmt,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Result, ensure};
use clap::{Args, ValueEnum};
use serde::Serialize;

use self::{load::Latencies, server::Spent};
use crate::{
    child::{self, Running},
    machine, rounds,
    stats::Summary,
    table::{self, short},
};

/// Options of the echo servers' comparison.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each server runs.
    #[arg(long, default_value_t = 7, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Numbers of connections, separated by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1,64,1000",
        value_parser = crate::at_least_one
    )]
    connections: Vec<usize>,
    /// Requests measured in one run; a tenth more warms up. By default 20,000 for one connection
    /// and 100,000 for more.
    #[arg(long, value_parser = crate::at_least_one)]
    requests: Option<usize>,
    /// Where server and load run: on a core each, both on the server's, both on both, or where the
    /// system likes. By default multi-threaded servers on both, and the others apart and on the same.
    #[arg(long, value_enum, value_delimiter = ',')]
    cores: Vec<Cores>,
    /// Numbers of workers of the multi-threaded servers, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,2", value_parser = crate::at_least_one)]
    workers: Vec<usize>,
    /// The server's core.
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The load's core, when it is another.
    #[arg(long, default_value_t = 1)]
    client_core: usize,
    /// Lets the load look again and again instead of sleeping until an answer comes.
    #[arg(long)]
    client_spins: bool,
    /// Only these servers, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "SERVERS")]
    only: Vec<Server>,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A server to compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Server {
    /// Ours, as it is by default.
    Whirligig,
    /// Ours, spinning before it parks.
    WhirligigSpins,
    Tokio,
    Mio,
    Monoio,
    WhirligigMulti,
    TokioMulti,
}

impl Server {
    fn is_multi(self) -> bool {
        matches!(self, Self::WhirligigMulti | Self::TokioMulti)
    }

    /// The server of ours that this one is measured against.
    fn ours(self) -> Self {
        if self.is_multi() { Self::WhirligigMulti } else { Self::Whirligig }
    }

    /// Those that run on one thread.
    pub(crate) fn single() -> impl Iterator<Item = Self> {
        Self::value_variants().iter().copied().filter(|server| !server.is_multi())
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.to_possible_value().expect("no server is hidden").get_name())
    }
}

/// Which cores server and load have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cores {
    Apart,
    Same,
    Shared,
    Free,
}

/// One run to make.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Plan {
    pub(crate) server: Server,
    /// 1 if it has no choice.
    pub(crate) workers: usize,
    pub(crate) connections: usize,
    pub(crate) warm_up: usize,
    pub(crate) requests: usize,
    pub(crate) cores: Cores,
    pub(crate) server_core: usize,
    pub(crate) client_core: usize,
    pub(crate) client_spins: bool,
    /// The server runs under a tool that slows it down: its looks go by polls.
    pub(crate) counted: bool,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} connections, {:?}", self.name(), self.connections, self.cores)
    }
}

/// What a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Sample {
    pub(crate) spent: Spent,
    pub(crate) load: Latencies,
}

impl Plan {
    fn name(&self) -> String {
        let plural = if self.workers == 1 { "" } else { "s" };
        match self.server.is_multi() {
            true => format!("{}, {} worker{plural}", self.server, self.workers),
            false => self.server.to_string(),
        }
    }

    /// Starts the server, then the load; `wrap` may put the server under a tool. Returns the sample
    /// and what the server's side wrote to standard error, if the tool's words are wanted.
    pub(crate) fn run(self, wrap: impl FnOnce(Command) -> Command) -> Result<(Sample, String)> {
        let mut serve = with_options(
            child::command(["serve", &self.server.to_string()])?,
            &self,
            &self.server_cores(),
        );
        serve.args(["--workers", &self.workers.to_string()]);
        if self.counted {
            // As many as tokio's.
            serve.args(["--look-interval", "61"]);
        }
        let mut server = Running::start(wrap(serve))?;
        let address: String = server.line()?;
        let mut load =
            with_options(child::command(["load", &address])?, &self, &self.client_cores());
        if self.client_spins {
            load.arg("--spin");
        }
        let load = child::answer(load)?;
        let spent = server.line()?;
        Ok((Sample { spent, load }, server.finish()?))
    }

    fn server_cores(&self) -> Vec<usize> {
        match self.cores {
            Cores::Apart | Cores::Same => vec![self.server_core],
            Cores::Shared => vec![self.server_core, self.client_core],
            Cores::Free => vec![],
        }
    }

    fn client_cores(&self) -> Vec<usize> {
        match self.cores {
            Cores::Apart => vec![self.client_core],
            Cores::Same | Cores::Shared | Cores::Free => self.server_cores(),
        }
    }
}

fn with_options(mut command: Command, plan: &Plan, cores: &[usize]) -> Command {
    command
        .args(["--connections", &plan.connections.to_string()])
        .args(["--warm-up", &plan.warm_up.to_string()])
        .args(["--requests", &plan.requests.to_string()]);
    if !cores.is_empty() {
        let cores: Vec<_> = cores.iter().map(usize::to_string).collect();
        command.args(["--cores", &cores.join(",")]);
    }
    command
}

/// Pipes a wrapped command's standard error to [`Plan::run`].
pub(crate) fn listened_to(mut command: Command) -> Command {
    command.stderr(Stdio::piped());
    command
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let plans = plans(options);
    let two_cores = |plan: &Plan| matches!(plan.cores, Cores::Apart | Cores::Shared);
    ensure!(
        !plans.iter().any(two_cores) || options.server_core != options.client_core,
        "server and load are on core {} both: choose two cores, or --cores same",
        options.server_core
    );
    let samples =
        rounds::interleaved(&plans, options.rounds, |plan| Ok(plan.run(|command| command)?.0))?;

    let mut rest = samples.as_slice();
    for plans in plans.chunk_by(|a, b| (a.cores, a.connections) == (b.cores, b.connections)) {
        let (samples, others) = rest.split_at(plans.len());
        print_table(options.rounds, plans, samples);
        rest = others;
    }
    match &options.json {
        Some(path) => {
            let results: Vec<_> = plans.iter().zip(&samples).collect();
            machine::write_json(path, "TCP echo of 1 KiB", &results)
        }
        None => Ok(()),
    }
}

/// Every run of a round. Those for one table stand together.
fn plans(options: &Options) -> Vec<Plan> {
    let servers = match options.only.as_slice() {
        [] => Server::value_variants(),
        only => only,
    };
    let all_cores: &[Cores] = match options.cores.as_slice() {
        [] => &[Cores::Apart, Cores::Same, Cores::Shared],
        chosen => chosen,
    };
    let mut plans = Vec::new();
    for &cores in all_cores {
        for &connections in &options.connections {
            let requests =
                options.requests.unwrap_or(if connections == 1 { 20_000 } else { 100_000 });
            for &server in servers {
                let is_in_place = server.is_multi() == (cores == Cores::Shared);
                if options.cores.is_empty() && !is_in_place {
                    continue;
                }
                let workers = if server.is_multi() { options.workers.as_slice() } else { &[1] };
                plans.extend(workers.iter().map(|&workers| Plan {
                    server,
                    workers,
                    connections,
                    warm_up: (requests / 10).max(connections),
                    requests,
                    cores,
                    server_core: options.server_core,
                    client_core: options.client_core,
                    client_spins: options.client_spins,
                    counted: false,
                }));
            }
        }
    }
    plans
}

fn print_table(rounds: usize, plans: &[Plan], samples: &[Vec<Sample>]) {
    let plan = plans[0];
    let place = match plan.cores {
        Cores::Apart => {
            format!("server on core {}, load on {}", plan.server_core, plan.client_core)
        }
        Cores::Same => format!("both on core {}", plan.server_core),
        Cores::Shared => {
            format!("both on cores {} and {}", plan.server_core, plan.client_core)
        }
        Cores::Free => "cores as the system likes".to_owned(),
    };
    let spins = if plan.client_spins { ", load spins" } else { "" };
    println!(
        "\nTCP echo 1 KiB, {} connections, {place}{spins}; {rounds} rounds of {} requests",
        plan.connections, plan.requests
    );
    let mut table = table::new([
        "server",
        "requests/s",
        "ours : its",
        "CPU us/request",
        "ours : its",
        "user us",
        "system us",
        "p50 us",
        "p99 us",
    ]);
    let median =
        |of: &[Sample], what: &dyn Fn(&Sample) -> f64| Summary::of(of.iter().map(what)).median;
    let per_request = |seconds: f64| seconds * 1e6 / plan.requests as f64;
    let rate = |of: &[Sample]| median(of, &|sample| plan.requests as f64 / sample.load.seconds);
    let cpu =
        |of: &[Sample]| median(of, &|sample| per_request(sample.spent.0.total().as_secs_f64()));
    for (plan, of) in plans.iter().zip(samples) {
        let ours = (plan.server.ours(), plan.workers);
        let ours = plans.iter().position(|other| (other.server, other.workers) == ours);
        let ratio = |of: &[Sample], what: &dyn Fn(&[Sample]) -> f64| {
            ours.map_or("-".to_owned(), |ours| format!("{:.2} x", what(&samples[ours]) / what(of)))
        };
        table.add_row([
            plan.name(),
            format!("{:.0}", rate(of)),
            ratio(of, &rate),
            short(cpu(of)),
            ratio(of, &cpu),
            short(median(of, &|sample| per_request(sample.spent.0.user.as_secs_f64()))),
            short(median(of, &|sample| per_request(sample.spent.0.system.as_secs_f64()))),
            short(median(of, &|sample| sample.load.p50_us)),
            short(median(of, &|sample| sample.load.p99_us)),
        ]);
    }
    println!("{table}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    fn planned(options: &[&str]) -> Vec<(Server, usize, Cores)> {
        let Line { options } =
            Line::parse_from([&["echo", "--connections", "64"], options].concat());
        plans(&options).iter().map(|plan| (plan.server, plan.workers, plan.cores)).collect()
    }

    #[test]
    fn servers_with_workers_share_both_cores_with_the_load_unless_told_otherwise() {
        let one = planned(&["--only", "mio"]);
        assert_eq!(one, [(Server::Mio, 1, Cores::Apart), (Server::Mio, 1, Cores::Same)]);
        let multi = planned(&["--only", "tokio-multi"]);
        assert_eq!(multi, [1, 2].map(|workers| (Server::TokioMulti, workers, Cores::Shared)));
        let told = planned(&["--only", "mio,tokio-multi", "--workers", "3", "--cores", "free"]);
        let free = [(Server::Mio, 1, Cores::Free), (Server::TokioMulti, 3, Cores::Free)];
        assert_eq!(told, free);
    }
}
