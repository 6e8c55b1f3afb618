//! A small server that speaks Redis's protocol, for Redis's own clients and tools.
//!
//! ```text
//! cargo run --release -p ecosystem --bin resp -- --listen 127.0.0.1:6400
//! redis-cli -p 6400 set greeting hello ex 60
//! redis-benchmark -p 6400 -t set,get,incr,lpush,lpop -P 16 -q
//! ```
//!
//! Texts, lists, and keys that expire, in memory. What comes in one piece is answered in one piece: a client that sends
//! fifty commands at once gets fifty answers by one write. Ctrl-C stops the accepting; who is in the middle of a command
//! has it answered, and is let go.
//!
//! ```text
//! main.rs       options, connections, stopping
//! protocol.rs   commands and answers as bytes
//! store.rs      what is stored, and the commands on it
//! ```
//!
//! All connections share one store, behind a lock that is held for the commands of one read, and never across an await.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use ecosystem::{options::address, stop::Stop};
use futures_lite::{AsyncWriteExt, FutureExt};
use whirligig::{
    Runtime,
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::{CancelToken, TaskGroup},
    time::{Instant, timeout},
};

use self::{protocol::Answers, store::Store};

mod protocol;
mod store;

/// So much is read at a time.
const CHUNK: usize = 64 << 10;

/// So many bytes of answers are gathered, before they are written and more commands are run.
const GATHERED: usize = 1 << 20;

/// A small server that speaks Redis's protocol
#[derive(Parser)]
struct Options {
    /// Where to listen, as `host:port`; port 0 is any free one
    #[arg(long, default_value = "127.0.0.1:6400", value_parser = address)]
    listen: String,

    /// Connections at once; further ones wait
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Threads that serve; 0 is one event loop on the main thread
    #[arg(long, default_value_t = 0)]
    workers: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    match options.workers {
        0 => whirligig::run(serve(options)),
        workers => Runtime::builder().worker_threads(workers).build()?.block_on(serve(options)),
    }
}

async fn serve(options: Options) -> anyhow::Result<()> {
    let listener = TcpListener::bind(&options.listen).await;
    let listener = listener.with_context(|| format!("cannot listen at {}", options.listen))?;
    let mut stop = Stop::new().context("cannot watch for signals")?;
    println!("Listening at {}", listener.local_addr()?);

    let store = Arc::new(Mutex::new(Store::default()));
    let permits = Arc::new(Semaphore::new(options.limit as usize));
    let stopping = CancelToken::new();
    let mut connections = TaskGroup::new();
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await.expect("it is never closed");
            Some(listener.accept().await.map(|(stream, _)| (stream, permit)))
        };
        let stopped = async { stop.requested().await.err().map(Err) };
        match stopped.or(next).await {
            Some(Ok((stream, permit))) => {
                let (store, stopping) = (store.clone(), stopping.clone());
                connections.spawn(async move {
                    // A client that is gone, or not a client: that is its affair.
                    drop(converse(stream, &store, &stopping).await);
                    drop(permit);
                });
            }
            Some(Err(error)) => eprintln!("cannot accept: {error}"),
            None => break,
        }
        while connections.try_next().is_some() {}
    }
    drop((listener, stop));
    stopping.cancel();
    eprintln!("Stopping. Connections: {}", connections.len());
    // A client that does not read its answers is not waited for without an end.
    if timeout(GRACE, connections.wait()).await.is_err() {
        eprintln!("Cut off: {}", connections.len());
    }
    Ok(())
}

/// How long clients may take to read their last answers.
const GRACE: Duration = Duration::from_secs(2);

/// Answers a client's commands until it ends, or the server does.
async fn converse(
    mut stream: TcpStream,
    store: &Mutex<Store>,
    stopping: &CancelToken,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    // What was read and not run: from the start of a command on.
    let mut input = Vec::new();
    let mut answers = Answers::default();
    loop {
        let ran = run_all(&mut input, store, &mut answers);
        if !answers.bytes.is_empty() {
            stream.write_all(&answers.bytes).await?;
            answers.bytes.clear();
        }
        match ran {
            Ran::All => {}
            // More is there to be run; others have had their turn meanwhile.
            Ran::Some => continue,
            Ran::NoFurther => return stream.close().await,
        }
        let length = input.len();
        input.resize(length + CHUNK, 0);
        // Between two commands it can be stopped.
        let Some(read) = stopping.run_until_cancelled(stream.read(&mut input[length..])).await
        else {
            return stream.close().await;
        };
        let read = read?;
        input.truncate(length + read);
        if read == 0 {
            return Ok(());
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ran {
    /// All that were there.
    All,
    /// Until there were many answers.
    Some,
    /// What follows is no command.
    NoFurther,
}

/// Runs the commands that have come, and takes them out.
fn run_all(input: &mut Vec<u8>, store: &Mutex<Store>, answers: &mut Answers) -> Ran {
    let mut store = store.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let mut at = 0;
    let ran = loop {
        match protocol::command(&input[at..]) {
            Ok(None) => break Ran::All,
            Ok(Some((words, length))) => {
                at += length;
                if !words.is_empty() {
                    store.run(&words, now, answers);
                }
            }
            Err(error) => {
                answers.error(&error.to_string());
                break Ran::NoFurther;
            }
        }
        if answers.bytes.len() > GATHERED {
            break Ran::Some;
        }
    };
    input.drain(..at);
    ran
}
