//! Accounts and transfers between them, in PostgreSQL: what asyncpg does.
//!
//! ```text
//! cargo run -p ecosystem --bin records -- demo
//!
//! cargo run -p ecosystem --bin servers -- postgres         # in another terminal; says the URL
//! cargo run -p ecosystem --bin records -- --database URL create --accounts 100
//! cargo run -p ecosystem --bin records -- --database URL transfer 1 2 50
//! cargo run -p ecosystem --bin records -- --database URL work --transfers 5000
//! cargo run -p ecosystem --bin records -- --database URL watch
//! cargo run -p ecosystem --bin records -- --database URL pipeline
//! ```
//!
//! `work` has many tasks make transfers over a few connections, and says how many were made and how many refused: an
//! account cannot go below zero, and what was begun is rolled back. Restart the server meanwhile: it says what it waits
//! for, and goes on. `watch` prints each transfer when it is committed (`LISTEN`). `pipeline` makes the same queries one
//! after the other, and all at once on one connection.
//!
//! What holds: no transfer is made twice or by half, also when the connection breaks while its `COMMIT` is under way.
//! Nobody can say then whether it was made. So each has a number of its own, and one that is tried again and is there
//! already, was made.
//!
//! The connections are tokio-postgres's, over our sockets (`connect.rs`). The pool is deadpool's, which asks for a
//! runtime only to have time-outs; [`timeout`] around its `get` is one of ours.

use std::{cell::Cell, fmt, rc::Rc, sync::Arc, time::Duration};

use anyhow::{Context, anyhow, ensure};
use clap::{Parser, Subcommand, value_parser};
use deadpool::managed::{self, Metrics, Pool, PoolError, RecycleError, RecycleResult};
use ecosystem::{
    connect::{self, Backoff},
    servers::Server,
};
use futures_lite::{StreamExt, stream::poll_fn};
use tokio_postgres::{AsyncMessage, Client, Config, error::SqlState};
use whirligig::{
    queue::Queue,
    signal::run_until_ctrl_c,
    spawn,
    task::{self, gather},
    time::{Instant, sleep, timeout},
};

/// Accounts and transfers in PostgreSQL
#[derive(Parser)]
struct Options {
    /// The database
    #[arg(
        long,
        global = true,
        value_name = "URL",
        default_value = "postgres://postgres@127.0.0.1/postgres"
    )]
    database: Config,

    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make the tables anew, with accounts that hold 100 each
    Create {
        /// How many accounts
        #[arg(long, default_value_t = 100, value_parser = value_parser!(i32).range(2..))]
        accounts: i32,
    },
    /// Transfer an amount from one account to another
    Transfer {
        /// The account that gives
        from: i32,
        /// The account that gets
        to: i32,
        /// How much
        #[arg(value_parser = value_parser!(i64).range(1..))]
        amount: i64,
    },
    /// Make many transfers between accounts that chance picks
    Work(Work),
    /// Print the transfers as they are made
    Watch {
        /// End after so many
        #[arg(long)]
        count: Option<usize>,
    },
    /// Make queries one after the other, and then all at once on the same connection
    Pipeline {
        /// How many
        #[arg(long, default_value_t = 200)]
        queries: i32,
    },
    /// All of it, on a server that is started for it
    Demo,
}

#[derive(clap::Args)]
struct Work {
    /// How many transfers
    #[arg(long, default_value_t = 1000)]
    transfers: usize,

    /// How many tasks make them
    #[arg(long, default_value_t = 20, value_parser = value_parser!(u16).range(1..))]
    tasks: u16,

    /// How many connections they share
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u16).range(1..))]
    connections: u16,

    /// Seconds for which a server that is gone is waited for
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    patience: u64,
}

fn main() -> anyhow::Result<()> {
    let Options { database, command } = Options::parse();
    let done = run_until_ctrl_c(async move {
        match command {
            Command::Create { accounts } => create(&database, accounts).await,
            Command::Transfer { from, to, amount } => {
                let mut client = connected(&database).await?;
                transfer(&mut client, fastrand::i64(..), from, to, amount).await?;
                println!("{amount} from {from} to {to}");
                Ok(())
            }
            Command::Work(how) => work(database, how).await,
            Command::Watch { count } => watch(&database, count).await,
            Command::Pipeline { queries } => pipeline(&database, queries).await,
            Command::Demo => demo().await,
        }
    });
    done.unwrap_or_else(|interrupted| interrupted.exit())
}

/// A client whose driver is a task. That ends with the client.
async fn connected(database: &Config) -> anyhow::Result<Client> {
    let (client, driver) = connect::postgres(database).await?;
    drop(spawn(async move {
        if let Err(error) = driver.await {
            eprintln!("a connection to the database is lost: {}", said(&error));
        }
    }));
    Ok(client)
}

async fn create(database: &Config, accounts: i32) -> anyhow::Result<()> {
    let client = connected(database).await?;
    // One message: all of it happens, or nothing.
    client
        .batch_execute(
            "DROP TABLE IF EXISTS transfers, accounts;
             CREATE TABLE accounts (
                 number integer PRIMARY KEY,
                 balance bigint NOT NULL CHECK (balance >= 0)
             );
             CREATE TABLE transfers (
                 id bigint PRIMARY KEY,
                 giver integer NOT NULL REFERENCES accounts DEFERRABLE INITIALLY DEFERRED,
                 taker integer NOT NULL REFERENCES accounts DEFERRABLE INITIALLY DEFERRED,
                 amount bigint NOT NULL
             );",
        )
        .await?;
    let fill = "INSERT INTO accounts SELECT number, 100 FROM generate_series(1, $1) AS number";
    client.execute(fill, &[&accounts]).await?;
    println!("{accounts} accounts");
    Ok(())
}

/// Why a transfer was not made.
#[derive(Debug)]
enum TransferError {
    /// The bank says no; it was rolled back.
    Refused(String),
    /// The database failed, or the connection. It may have been made.
    Failed(tokio_postgres::Error),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) => f.write_str(why),
            Self::Failed(error) => f.write_str(&said(error)),
        }
    }
}

impl std::error::Error for TransferError {}

impl From<tokio_postgres::Error> for TransferError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Failed(error)
    }
}

/// The server's own words; the crate's error shows them only as its source.
fn said(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |answer| answer.message().to_owned())
}

/// Makes the transfer with this number, unless it was made already. All of it is done, or nothing.
///
/// *Cancel safety*: dropped before its end, it is rolled back; dropped while it commits, it may have been made.
async fn transfer(
    client: &mut Client,
    id: i64,
    from: i32,
    to: i32,
    amount: i64,
) -> Result<(), TransferError> {
    let refused = |why: String| Err(TransferError::Refused(why));
    if from == to {
        return refused(format!("account {from} cannot give to itself"));
    }
    let transaction = client.transaction().await?;
    // First of all: the accounts are not to be asked again for a transfer that was made.
    let note = "INSERT INTO transfers VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    if transaction.execute(note, &[&id, &from, &to, &amount]).await? == 0 {
        return Ok(transaction.rollback().await?);
    }
    // In the order of their numbers: two transfers in opposite directions would wait for each other's account.
    let mut changes = [(from, -amount), (to, amount)];
    changes.sort();
    for (account, change) in changes {
        let change_balance = "UPDATE accounts SET balance = balance + $2 WHERE number = $1";
        let changed = transaction.execute(change_balance, &[&account, &change]).await;
        // To return drops the transaction, and that rolls it back.
        match changed {
            Ok(0) => return refused(format!("there is no account {account}")),
            Err(error) if error.code() == Some(&SqlState::CHECK_VIOLATION) => {
                return refused(format!("account {account} has less than {amount}"));
            }
            changed => changed?,
        };
    }
    // Those who listen hear of it when it is committed, and not of one that is rolled back.
    let message = format!("{amount} from {from} to {to}");
    transaction.execute("SELECT pg_notify('transfers', $1)", &[&message]).await?;
    Ok(transaction.commit().await?)
}

/// How the pool makes connections, and whether one can be used again.
struct Manager {
    database: Config,
}

impl managed::Manager for Manager {
    type Type = Client;
    type Error = anyhow::Error;

    async fn create(&self) -> anyhow::Result<Client> {
        connected(&self.database).await
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<anyhow::Error> {
        if client.is_closed() { Err(RecycleError::message("closed")) } else { Ok(()) }
    }
}

#[derive(Default)]
struct Tally {
    begun: Cell<usize>,
    made: Cell<usize>,
    refused: Cell<usize>,
}

fn count(of: &Cell<usize>) {
    of.set(of.get() + 1);
}

async fn work(database: Config, how: Work) -> anyhow::Result<()> {
    let pool = Pool::builder(Manager { database }).max_size(how.connections.into()).build()?;
    let accounts = highest_account(&pool).await?;
    let tally = Rc::new(Tally::default());
    let start = Instant::now();
    // Local tasks: the tally needs no lock.
    let working = task::scope(async |scope| {
        for _ in 0..how.tasks {
            let (pool, tally) = (pool.clone(), tally.clone());
            scope.spawn_local(async move {
                while tally.begun.get() < how.transfers {
                    count(&tally.begun);
                    let outcome = keep_trying(&pool, accounts, how.patience).await;
                    count(if outcome? { &tally.made } else { &tally.refused });
                }
                anyhow::Ok(())
            });
        }
        anyhow::Ok(())
    });
    working.await?;
    let took = start.elapsed();
    println!(
        "{} transfers made, {} refused, over {} connections; {:.0} a second",
        tally.made.get(),
        tally.refused.get(),
        pool.status().size,
        how.transfers as f64 / took.as_secs_f64(),
    );
    Ok(())
}

async fn highest_account(pool: &Pool<Manager>) -> anyhow::Result<i32> {
    let client = pool.get().await.map_err(pool_error)?;
    let highest = client.query_one("SELECT max(number) FROM accounts", &[]).await;
    let highest = highest.map_err(|error| anyhow!("{}: run `records create`", said(&error)))?;
    highest.get::<_, Option<i32>>(0).context("there are no accounts: run `records create`")
}

/// Makes one transfer between two accounts; whether it was made, or refused. While the server is gone it waits.
async fn keep_trying(pool: &Pool<Manager>, accounts: i32, patience: u64) -> anyhow::Result<bool> {
    let id = fastrand::i64(..);
    let from = fastrand::i32(1..=accounts);
    let to = (from + fastrand::i32(1..accounts) - 1) % accounts + 1;
    let amount = fastrand::i64(1..=60);
    let (first, most) = (Duration::from_millis(50), Duration::from_secs(2));
    let patience = Duration::from_secs(patience);
    let mut backoff = Backoff::new(first, most, patience);
    loop {
        let client = timeout(patience, pool.get()).await.context("no connection became free")?;
        let error = match client {
            Ok(mut client) => match transfer(&mut client, id, from, to, amount).await {
                Ok(()) => return Ok(true),
                Err(TransferError::Refused(_)) => return Ok(false),
                Err(TransferError::Failed(error)) if is_passing(&error) => anyhow!(said(&error)),
                Err(error) => return Err(error.into()),
            },
            Err(error) => pool_error(error),
        };
        backoff.wait(error).await?;
    }
}

/// Whether another attempt may do better. By the classes of SQL's codes: the connection is gone (08), the transaction
/// was sacrificed (40), resources are short (53), the server stops or starts (57), its system fails (58).
fn is_passing(error: &tokio_postgres::Error) -> bool {
    let passing = |code: &SqlState| ["08", "40", "53", "57", "58"].contains(&&code.code()[..2]);
    // Without a code there was no answer.
    error.code().is_none_or(passing)
}

fn pool_error(error: PoolError<anyhow::Error>) -> anyhow::Error {
    match error {
        PoolError::Backend(error) => error,
        error => anyhow!(error.to_string()),
    }
}

/// Prints transfers, with a connection of its own; after one is lost, with the next.
async fn watch(database: &Config, count: Option<usize>) -> anyhow::Result<()> {
    let mut left = count.unwrap_or(usize::MAX);
    let (first, most) = (Duration::from_millis(50), Duration::from_secs(2));
    let new_backoff = || Backoff::new(first, most, Duration::from_secs(30));
    let mut backoff = new_backoff();
    while left > 0 {
        let Err(error) = listen(database, &mut left, || backoff = new_backoff()).await else {
            break;
        };
        // What is committed until the next connection listens, nobody is told: `LISTEN` has no memory.
        backoff.wait(error.context("transfers are missed meanwhile")).await?;
    }
    Ok(())
}

/// Prints transfers until there are none `left` to print.
async fn listen(
    database: &Config,
    left: &mut usize,
    connected: impl FnOnce(),
) -> anyhow::Result<()> {
    let (client, mut driver) = connect::postgres(database).await?;
    // Messages come to the driver. It must not wait for this task to print them: answers come by it as well.
    let notes = Arc::new(Queue::unbounded());
    let driving = spawn({
        let notes = notes.clone();
        async move {
            let mut messages = poll_fn(|cx| driver.poll_message(cx));
            let ended = loop {
                match messages.next().await {
                    Some(Ok(AsyncMessage::Notification(note))) => _ = notes.try_put(note),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => break anyhow!(said(&error)),
                    None => break anyhow!("the server closed the connection"),
                }
            };
            notes.close();
            ended
        }
    });
    client.batch_execute("LISTEN transfers").await?;
    connected();
    eprintln!("listening");
    while *left > 0 {
        match notes.get().await {
            Ok(note) => println!("{}", note.payload()),
            Err(_) => return Err(driving.await?),
        }
        *left -= 1;
    }
    Ok(())
}

async fn pipeline(database: &Config, queries: i32) -> anyhow::Result<()> {
    let client = connected(database).await?;
    let square = client.prepare("SELECT $1::int8 * $1::int8").await?;
    let ask = async |number: i32| {
        let row = client.query_one(&square, &[&i64::from(number)]).await?;
        let answer: i64 = row.get(0);
        ensure!(answer == i64::from(number).pow(2), "{number} squared is not {answer}");
        anyhow::Ok(())
    };
    let start = Instant::now();
    for number in 0..queries {
        ask(number).await?;
    }
    let one_by_one = start.elapsed();
    let start = Instant::now();
    // Each future writes its query when it is polled first, and does not wait for the answers before it.
    for answer in gather((0..queries).map(ask)).await {
        answer?;
    }
    let at_once = start.elapsed();
    println!("{queries} queries one after the other {one_by_one:.1?}, at once {at_once:.1?}");
    Ok(())
}

async fn demo() -> anyhow::Result<()> {
    let started = task::spawn_blocking(Server::postgres).await.context("the start panicked")?;
    let server = started?;
    println!("a PostgreSQL at {}", server.address());
    let database: Config = server.url().parse()?;
    create(&database, 10).await?;
    let mut client = connected(&database).await?;
    let watching = watch(&database, Some(2));
    let transfers = async {
        // Not before somebody listens: `pg_stat_activity` shows the last query of each session.
        let listeners = "SELECT count(*) FROM pg_stat_activity WHERE query = 'LISTEN transfers'";
        while client.query_one(listeners, &[]).await?.get::<_, i64>(0) == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        for (from, to, amount) in [(1, 2, 30), (1, 3, 80), (2, 3, 130)] {
            if let Err(refused) = transfer(&mut client, fastrand::i64(..), from, to, amount).await {
                println!("{amount} from {from} to {to} is refused: {refused}");
            }
        }
        anyhow::Ok(())
    };
    let (watched, transferred) = futures_lite::future::zip(watching, transfers).await;
    watched.and(transferred)?;
    let (tasks, connections) = (20, 5);
    work(database.clone(), Work { transfers: 1000, tasks, connections, patience: 30 }).await?;
    pipeline(&database, 200).await
}
