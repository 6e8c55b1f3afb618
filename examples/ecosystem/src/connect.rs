//! Connections for the crates that speak a protocol and leave the socket to their user.
//!
//! Both crates are given a socket of ours, and both split a connection in two: a client, which the program calls, and a
//! driver, a future that reads and writes the socket. The driver is a task here, and ends when the client is dropped or
//! the server closes.
//!
//! What must hold: no timer of tokio's is made. redis makes one for its default time-outs and panics; so they are off,
//! and the program puts [`time::timeout`](whirligig::time::timeout) around what may take too long.

use std::{io, path::Path, time::Duration};

use anyhow::{Context, bail};
use redis::{
    AsyncConnectionConfig, ConnectionAddr, IntoConnectionInfo, aio::MultiplexedConnection,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{NoTls, config::Host, tls::NoTlsStream};
use whirligig::{
    net::{TcpStream, UnixStream},
    spawn,
    time::{Instant, sleep, timeout},
};

use crate::say;

/// How long a server may take to accept a connection and greet.
const GREETING: Duration = Duration::from_secs(5);

/// A socket, TCP's or a Unix one.
pub trait Socket: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Sync + Unpin> Socket for S {}

/// A client of PostgreSQL, and its driver.
pub type Postgres =
    (tokio_postgres::Client, tokio_postgres::Connection<Box<dyn Socket>, NoTlsStream>);

/// Connects to a PostgreSQL. The driver is the caller's, to be spawned, or polled for messages.
///
/// # Errors
/// That name the address, if nobody listens there, or if it does not answer, or refuses.
pub async fn postgres(config: &tokio_postgres::Config) -> anyhow::Result<Postgres> {
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let Some(host) = config.get_hosts().first() else { bail!("the database's URL names no host") };
    let (name, socket) = match host {
        Host::Tcp(host) => (format!("{host}:{port}"), tcp(host, port)),
        Host::Unix(folder) => {
            let path = folder.join(format!(".s.PGSQL.{port}"));
            (path.display().to_string(), unix(&path))
        }
    };
    let greeted =
        timeout(GREETING, async { anyhow::Ok(config.connect_raw(socket.await?, NoTls).await?) });
    greeted
        .await
        .with_context(|| format!("the database at {name} did not answer within {GREETING:?}"))?
        .with_context(|| format!("no connection to the database at {name}"))
}

/// Connects to a Redis. What it pushes (messages of channels that are subscribed to) is given to `pushed`.
///
/// # Errors
/// That name the address, if nobody listens there, or if it does not answer, or refuses.
pub async fn redis(
    url: &str,
    pushed: Option<Box<dyn Fn(redis::PushInfo) + Send + Sync>>,
) -> anyhow::Result<MultiplexedConnection> {
    let info =
        url.into_connection_info().with_context(|| format!("{url:?} is no URL of a Redis"))?;
    let socket = match info.addr() {
        ConnectionAddr::Tcp(host, port) => tcp(host, *port),
        ConnectionAddr::Unix(path) => unix(path),
        _ => bail!("{url:?} wants TLS, which this program does not have: use redis://"),
    };
    let mut settings = info.redis_settings().clone();
    let mut config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    if let Some(pushed) = pushed {
        settings = settings.set_protocol(redis::ProtocolVersion::RESP3);
        config = config.set_push_sender(move |push| {
            pushed(push);
            Ok::<_, std::convert::Infallible>(())
        });
    }
    let greeted = timeout(GREETING, async {
        let socket = socket.await?;
        let (client, driver) =
            MultiplexedConnection::new_with_config(&settings, socket, config).await?;
        drop(spawn(driver));
        anyhow::Ok(client)
    });
    greeted
        .await
        .with_context(|| {
            format!("the Redis at {} did not answer within {GREETING:?}", info.addr())
        })?
        .with_context(|| format!("no connection to the Redis at {}", info.addr()))
}

type Connecting = std::pin::Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

fn tcp(host: &str, port: u16) -> Connecting {
    let address = (host.to_owned(), port);
    Box::pin(async move {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream) as _)
    })
}

fn unix(path: &Path) -> Connecting {
    let path = path.to_owned();
    Box::pin(async move { Ok(Box::new(UnixStream::connect(path).await?) as _) })
}

/// How long to wait before the next attempt: twice as long each time, with a part left to chance, so that a thousand
/// clients of a server that comes back do not all come at once.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    most: Duration,
    since: Instant,
    patience: Duration,
}

impl Backoff {
    /// From `first` up to `most`; [`wait`](Self::wait) fails after `patience`.
    pub fn new(first: Duration, most: Duration, patience: Duration) -> Self {
        Self { next: first, most, since: Instant::now(), patience }
    }

    /// Waits before the next attempt.
    ///
    /// # Errors
    /// With the `error` that was met, if it was tried for long enough.
    pub async fn wait(&mut self, error: anyhow::Error) -> anyhow::Result<()> {
        let tried = self.since.elapsed();
        if tried > self.patience {
            return Err(error.context(format!("given up after {tried:.0?}")));
        }
        let delay = self.next.mul_f64(0.5 + fastrand::f64() / 2.0);
        self.next = self.most.min(self.next * 2);
        say(format_args!("{error:#}; again in {delay:.0?}"));
        sleep(delay).await;
        Ok(())
    }
}
