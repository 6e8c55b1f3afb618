//! Starts a PostgreSQL or a Redis to play with, and stops it at Ctrl-C.
//!
//! ```text
//! cargo run -p ecosystem --bin servers -- redis postgres
//! ```
//!
//! One sees the address of each, when it is ready. Data, logs and processes are gone when this program is, however it
//! ends.

use anyhow::Context;
use clap::{Parser, ValueEnum};
use ecosystem::servers::Server;
use whirligig::{signal::run_until_ctrl_c, task};

/// Starts servers for as long as this program runs
#[derive(Parser)]
struct Options {
    /// Which
    #[arg(value_enum, required = true)]
    servers: Vec<Which>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Which {
    Postgres,
    Redis,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let interrupted = run_until_ctrl_c(serve(options.servers));
    match interrupted {
        Ok(failed) => failed,
        // The servers were dropped with the future.
        Err(interrupted) => interrupted.exit(),
    }
}

async fn serve(which: Vec<Which>) -> anyhow::Result<()> {
    let mut servers = Vec::new();
    for server in which {
        let started = task::spawn_blocking(move || match server {
            Which::Postgres => Server::postgres(),
            Which::Redis => Server::redis(),
        });
        let server = started.await.context("the call that starts a server panicked")??;
        println!("{}  (process {})", server.url(), server.id().unwrap_or_default());
        servers.push(server);
    }
    eprintln!("Ctrl-C stops them.");
    std::future::pending().await
}
