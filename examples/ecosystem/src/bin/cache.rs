//! Values that expire, counters, and messages, in Redis: what asyncio-redis does.
//!
//! ```text
//! cargo run -p ecosystem --bin cache -- demo
//!
//! cargo run -p ecosystem --bin servers -- redis        # in another terminal; says the URL
//! cargo run -p ecosystem --bin cache -- --redis URL set greeting hello --expires 5
//! cargo run -p ecosystem --bin cache -- --redis URL get greeting
//! cargo run -p ecosystem --bin cache -- --redis URL visit /index.html
//! cargo run -p ecosystem --bin cache -- --redis URL subscribe news
//! cargo run -p ecosystem --bin cache -- --redis URL publish news "it rains"
//! cargo run -p ecosystem --bin cache -- --redis URL pipeline
//! ```
//!
//! `visit` counts a page and notes it as the latest in one transaction (`MULTI`): nobody sees the one without the other.
//! `pipeline` stores and reads many values one after the other, then in one message, then from many tasks on the same
//! connection, and says how long each took.
//!
//! The connection is the redis crate's, over a socket of ours (`connect.rs`), and all tasks share it: their commands go
//! out together, and each gets its own answer. Its time-outs are tokio's, so they are off; what is waited for here has
//! [`timeout`] around it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use clap::{Parser, Subcommand, value_parser};
use ecosystem::{connect, options::some_seconds, servers::Server};
use redis::{
    AsyncCommands, PushInfo, PushKind, aio::MultiplexedConnection, from_redis_value, pipe,
};
use whirligig::{
    queue::Queue,
    signal::run_until_ctrl_c,
    spawn,
    task::{self, gather},
    time::{Instant, sleep, timeout},
};

/// Values that expire, counters and messages in Redis
#[derive(Parser)]
struct Options {
    /// The server
    #[arg(long, global = true, value_name = "URL", default_value = "redis://127.0.0.1")]
    redis: String,

    /// Seconds after which an answer is not waited for any more
    #[arg(long, global = true, value_name = "SECONDS", default_value = "5", value_parser = some_seconds)]
    timeout: Duration,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Store a value
    Set {
        /// Its name
        key: String,
        /// What is stored
        value: String,
        /// Seconds after which it is gone
        #[arg(long, value_name = "SECONDS", value_parser = some_seconds)]
        expires: Option<Duration>,
    },
    /// Print a value
    Get {
        /// Its name
        key: String,
    },
    /// Count a visit of a page, and print how many there were, and the latest pages
    Visit {
        /// The page
        page: String,
    },
    /// Print the messages of a channel
    Subscribe {
        /// Its name
        channel: String,
        /// End after so many
        #[arg(long)]
        count: Option<usize>,
    },
    /// Send a message to all who have subscribed to a channel
    Publish {
        /// Its name
        channel: String,
        /// What is sent
        message: String,
    },
    /// Store and read many values in three ways
    Pipeline {
        /// How many
        #[arg(long, default_value_t = 1000, value_parser = value_parser!(u32).range(1..))]
        values: u32,
    },
    /// All of it, on a server that is started for it
    Demo,
}

fn main() -> anyhow::Result<()> {
    let Options { redis, timeout, command } = Options::parse();
    let done = run_until_ctrl_c(run(redis, timeout, command));
    done.unwrap_or_else(|interrupted| interrupted.exit())
}

async fn run(url: String, patience: Duration, command: Command) -> anyhow::Result<()> {
    if let Command::Demo = command {
        return demo(patience).await;
    }
    if let Command::Subscribe { channel, count } = command {
        return subscribe(&url, &channel, count, || {}).await;
    }
    let mut redis = connect::redis(&url, None).await?;
    let answered = timeout(patience, async {
        match command {
            Command::Set { key, value, expires } => set(&mut redis, &key, &value, expires).await,
            Command::Get { key } => {
                let value: Option<String> = redis.get(&key).await?;
                println!("{}", value.with_context(|| format!("there is no value {key:?}"))?);
                Ok(())
            }
            Command::Visit { page } => visit(&mut redis, &page).await,
            Command::Publish { channel, message } => {
                let heard: usize = redis.publish(channel, message).await?;
                println!("{heard} heard it");
                Ok(())
            }
            Command::Pipeline { values } => pipeline(&redis, values).await,
            Command::Subscribe { .. } | Command::Demo => unreachable!("they are above"),
        }
    });
    answered
        .await
        .with_context(|| format!("the Redis at {url} did not answer within {patience:?}"))?
}

async fn set(
    redis: &mut MultiplexedConnection,
    key: &str,
    value: &str,
    expires: Option<Duration>,
) -> anyhow::Result<()> {
    match expires {
        None => Ok(redis.set(key, value).await?),
        // At least one: Redis takes no 0.
        Some(after) => {
            let milliseconds = u64::try_from(after.as_millis())?.max(1);
            Ok(redis.pset_ex(key, value, milliseconds).await?)
        }
    }
}

async fn visit(redis: &mut MultiplexedConnection, page: &str) -> anyhow::Result<()> {
    let mut transaction = pipe();
    transaction.atomic();
    transaction.incr(format!("visits:{page}"), 1);
    transaction.lpush("latest", page).ignore();
    transaction.ltrim("latest", 0, 4).ignore();
    transaction.lrange("latest", 0, -1);
    let (visits, latest): (u64, Vec<String>) = transaction.query_async(redis).await?;
    println!("{visits} visits; the latest: {}", latest.join(" "));
    Ok(())
}

/// Prints the messages of a channel. Calls `subscribed` when each message from then on is printed.
async fn subscribe(
    url: &str,
    channel: &str,
    count: Option<usize>,
    subscribed: impl FnOnce(),
) -> anyhow::Result<()> {
    let messages = Arc::new(Queue::unbounded());
    let pushed = {
        let messages = messages.clone();
        move |push: PushInfo| match push.kind {
            PushKind::Disconnection => messages.close(),
            PushKind::Message => _ = messages.try_put(push.data),
            _ => {}
        }
    };
    let mut redis = connect::redis(url, Some(Box::new(pushed))).await?;
    redis.subscribe(channel).await?;
    subscribed();
    eprintln!("subscribed to {channel}");
    for _ in 0..count.unwrap_or(usize::MAX) {
        // From a message to the next it may be days: no time-out.
        let message = messages.get().await;
        let message = message.map_err(|_| anyhow!("the Redis at {url} closed the connection"))?;
        let [_channel, text] = <[_; 2]>::try_from(message).map_err(|_| anyhow!("no message"))?;
        println!("{}", from_redis_value::<String>(text)?);
    }
    Ok(())
}

async fn pipeline(redis: &MultiplexedConnection, values: u32) -> anyhow::Result<()> {
    let key = |n: u32| format!("pipeline:{n}");
    let store_and_read = async |n: u32| {
        // A clone is one more user of the same connection.
        let mut redis = redis.clone();
        let () = redis.set(key(n), n).await?;
        let read: u32 = redis.get(key(n)).await?;
        ensure!(read == n, "stored {n}, and read {read}");
        anyhow::Ok(())
    };
    let start = Instant::now();
    for n in 0..values {
        store_and_read(n).await?;
    }
    let one_by_one = start.elapsed();

    let start = Instant::now();
    let mut commands = pipe();
    for n in 0..values {
        commands.set(key(n), n).ignore().get(key(n));
    }
    let read: Vec<u32> = commands.query_async(&mut redis.clone()).await?;
    ensure!(read.into_iter().eq(0..values), "the answers are in the order of the commands");
    let in_one = start.elapsed();

    let start = Instant::now();
    for outcome in gather((0..values).map(store_and_read)).await {
        outcome?;
    }
    let at_once = start.elapsed();

    let mut remove = pipe();
    (0..values).for_each(|n| _ = remove.del(key(n)).ignore());
    let () = remove.query_async(&mut redis.clone()).await?;
    println!(
        "{values} values stored and read: one after the other {one_by_one:.1?}, in one message \
         {in_one:.1?}, from as many futures at once {at_once:.1?}"
    );
    Ok(())
}

async fn demo(patience: Duration) -> anyhow::Result<()> {
    let started = task::spawn_blocking(Server::redis).await.context("the start panicked")?;
    let server = started?;
    let url = server.url();
    println!("a Redis at {}", server.address());
    let mut redis = connect::redis(&url, None).await?;
    let tour = timeout(patience, async {
        set(&mut redis, "greeting", "hello", Some(Duration::from_millis(50))).await?;
        let mut value: Option<String> = redis.get("greeting").await?;
        println!("the greeting is {value:?}");
        while value.is_some() {
            sleep(Duration::from_millis(10)).await;
            value = redis.get("greeting").await?;
        }
        println!("it has expired");
        for page in ["/", "/weather", "/"] {
            visit(&mut redis, page).await?;
        }
        let ready = Arc::new(whirligig::sync::Event::new());
        let subscribed = ready.clone();
        let listening = spawn({
            let url = url.clone();
            async move { subscribe(&url, "news", Some(1), || subscribed.set()).await }
        });
        ready.wait().await;
        let heard: usize = redis.publish("news", "it rains").await?;
        listening.await??;
        println!("{heard} heard it");
        anyhow::Ok(())
    });
    tour.await.context("the Redis does not answer")??;
    pipeline(&redis, 1000).await
}
