//! The hidden subcommand `child http-serve`: hyper's server with one small answer, on either side.
//!
//! hyper is set up as its own examples have it, the same on both sides: no limits, so no timers. It prints its
//! address. For each line that it reads it prints what it has used up to there; it ends when its input does, by
//! itself, so it can be put under `callgrind` as it is.

use std::{convert::Infallible, io::BufRead, net::SocketAddr, num::NonZeroU32};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::Args;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde::{Deserialize, Serialize};
use whirligig::{
    EventLoop,
    adapters::hyper::{Executor, LocalExecutor},
};

use super::{Protocol, Server};
use crate::{
    child, common,
    machine::{self, CpuTime},
    multi::{self, WORKERS},
};

/// The body of each answer.
pub(crate) const ANSWER: &[u8] = b"hello, world\n";

/// One server.
#[derive(Args, Debug)]
pub(crate) struct Serve {
    server: Server,
    protocol: Protocol,
    /// The cores to stay on, separated by commas.
    #[arg(long, value_delimiter = ',')]
    cores: Vec<usize>,
    /// Polls between two looks at the sockets, for ours: under a tool that slows it down.
    #[arg(long)]
    look_interval: Option<NonZeroU32>,
}

/// What a process has used up to a moment.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) cpu: CpuTime,
    pub(crate) resident: usize,
}

/// The handler, the same for all.
async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(ANSWER))))
}

impl Serve {
    pub(crate) fn run(&self) -> Result<()> {
        machine::pin(&self.cores)?;
        machine::raise_descriptor_limit()?;
        std::thread::spawn(|| {
            for line in std::io::stdin().lock().lines() {
                line.expect("the parent writes lines");
                let resident = memory_stats::memory_stats().expect("the system tells");
                let level = Level { cpu: CpuTime::now(), resident: resident.physical_mem };
                child::report(&level).expect("the parent reads");
            }
            std::process::exit(0);
        });
        let ready = |address: SocketAddr| println!("\"{address}\"");
        let protocol = self.protocol;
        let served = match self.server {
            Server::Whirligig => {
                let mut builder = EventLoop::builder();
                if let Some(polls) = self.look_interval {
                    builder = builder.look_interval(polls);
                }
                builder.build()?.block_on(local(protocol, ready))
            }
            Server::WhirligigMulti => {
                let runtime = multi::runtime(WORKERS);
                runtime.block_on(async { whirligig::spawn(shared(protocol, ready)).await })?
            }
            Server::Tokio => common::tokio_current_thread().block_on(tokio(protocol, ready)),
            Server::TokioMulti => {
                let runtime = multi::tokio(WORKERS);
                runtime.block_on(async { tokio::spawn(tokio(protocol, ready)).await })?
            }
        };
        served.context("the server failed")
    }
}

/// On our event loop.
async fn local(protocol: Protocol, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = whirligig::net::TcpListener::bind("127.0.0.1:0").await?;
    ready(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match protocol {
            Protocol::Http1 => drop(whirligig::spawn_local(
                http1::Builder::new().serve_connection(stream, service_fn(answer)),
            )),
            Protocol::Http2 => drop(whirligig::spawn_local(
                http2::Builder::new(LocalExecutor::new())
                    .serve_connection(stream, service_fn(answer)),
            )),
        }
    }
}

/// On our runtime.
async fn shared(protocol: Protocol, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = whirligig::net::TcpListener::bind("127.0.0.1:0").await?;
    ready(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match protocol {
            Protocol::Http1 => drop(whirligig::spawn(
                http1::Builder::new().serve_connection(stream, service_fn(answer)),
            )),
            Protocol::Http2 => drop(whirligig::spawn(
                http2::Builder::new(Executor).serve_connection(stream, service_fn(answer)),
            )),
        }
    }
}

/// On either of tokio's.
async fn tokio(protocol: Protocol, ready: impl FnOnce(SocketAddr)) -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    ready(listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let stream = TokioIo::new(stream);
        match protocol {
            Protocol::Http1 => drop(tokio::spawn(
                http1::Builder::new().serve_connection(stream, service_fn(answer)),
            )),
            Protocol::Http2 => drop(tokio::spawn(
                http2::Builder::new(TokioExecutor::new())
                    .serve_connection(stream, service_fn(answer)),
            )),
        }
    }
}
