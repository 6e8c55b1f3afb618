//! A web service that asks other web services: when the sun rises in a town, and what the weather is there.
//!
//! ```text
//! cargo run --release -p ecosystem --bin city_api
//! curl http://127.0.0.1:8080/api/sun/97202/us
//! cargo run --release -p ecosystem --bin city_api -- --compare
//! ```
//!
//! Each answer needs two others: where the town is, then the sun or the weather there. Those take some tenths of a second
//! each, in which there is nothing to do but to wait. Their answers and their latencies are recorded ones here, so
//! nothing leaves this machine.
//!
//! The same service can be served in three ways (`--by`): by tasks of one event loop, with axum; by a thread for
//! each request; and by one thread in all, as a synchronous worker does, one request after the other. `--compare` puts the
//! same load on each, in processes of their own, and prints what came of it. A request that takes more than two seconds
//! counts as timed out, as with wrk. Twenty clients that wait in line for one thread take so long; twenty threads do not,
//! and each is a thread: that is what tasks save.
//!
//! Errors are JSON, too: 400 for a question that is none, 404 for a town or a page that is not there, 405 for a method
//! that does not apply, 504 if those asked take too long. Ctrl-C lets requests finish that have begun.
//!
//! ```text
//! main.rs        options; which way it is served
//! towns.rs       what there is to ask, what the other services answer and how long that takes, errors
//! tasks.rs       served by tasks: axum's routes
//! threads.rs     served by threads, with tiny_http
//! compare.rs     the load, and the table
//! ```

mod compare;
mod tasks;
mod threads;
mod towns;

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::{Parser, ValueEnum};
use ecosystem::options::{address, seconds, some_seconds};

use crate::towns::Services;

/// A web service that asks others, by tasks or by threads.
#[derive(Parser)]
struct Options {
    /// Where to listen, as `host:port`; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:8080", value_parser = address)]
    listen: String,
    /// What serves requests
    #[arg(long, value_enum, default_value_t = By::Tasks)]
    by: By,
    /// Seconds after which the services that are asked count as out of order
    #[arg(long, default_value = "5", value_parser = some_seconds)]
    service_timeout: Duration,
    /// Seconds that requests have to finish once the server is stopped
    #[arg(long, default_value = "5", value_parser = seconds)]
    grace: Duration,
    /// Measure all ways under the same load
    #[arg(long, conflicts_with_all = ["listen", "by", "service_timeout", "grace"])]
    compare: bool,
    /// With --compare: clients at once, each with a connection
    #[arg(long, default_value_t = 20, requires = "compare", value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// With --compare: seconds for each way
    #[arg(long, default_value = "15", requires = "compare", value_parser = some_seconds)]
    seconds: Duration,
    /// Everything in a fifth of its time: latencies, and with --compare the load's duration and its time-out
    #[arg(long)]
    fast: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Tasks of one event loop
    Tasks,
    /// A thread for each request
    Threads,
    /// One thread, one request after the other
    OneThread,
}

impl Options {
    /// What `--fast` divides by.
    fn divisor(&self) -> u32 {
        if self.fast { 5 } else { 1 }
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let options = Options::parse();
    if options.compare {
        return compare::compare(&options);
    }
    let services = Arc::new(Services::new(options.divisor(), options.service_timeout));
    match options.by {
        By::Tasks => whirligig::run(tasks::serve(&options, services)),
        By::Threads | By::OneThread => threads::serve(&options, services),
    }
}
