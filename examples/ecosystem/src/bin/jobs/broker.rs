//! Jobs in Redis: a stream that workers read as a consumer group, a stream of results for each submitter, and the
//! dead-letter list.
//!
//! ```text
//! submit ──► work ──► a worker (pending) ──finish──► results of the submitter
//!                       │    ▲                            ▲
//!                       └────┘ fail, or not kept:         │
//!                         another worker's after a while ─┴─► dead, after so many attempts
//! ```
//!
//! A job that is delivered stays *pending* in the group until it is finished. Its worker *keeps* it, again and again; one
//! that was not kept for the visibility time-out belongs to whichever worker claims it. The stream counts deliveries, so
//! a job that kills its workers comes to its end as one that panics.
//!
//! What must hold: a job is in the work stream, or its result is in the submitter's, or it is dead, and never two of
//! these, whatever breaks in between. So each change is one script, which Redis does wholly or not at all and writes to
//! its log before it answers. Each may be called twice, for an answer that was lost: the second call finds that it is
//! done. What runs twice, then, is a function, if its worker was thought dead; its result counts once.
//!
//! **Alternative:** apalis, with its Redis backend. It asks for no runtime of its own. But in its scripts (1.0.0) the number
//! of attempts is 25, whatever a job asks for, and those of a job that kills its workers are not counted: it goes round
//! for ever. Or a list, moved from by `BLMOVE`: who had a job, and since when, would be for us to keep.

use std::{
    collections::HashMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, anyhow};
use ecosystem::connect::{self, Backoff};
use redis::{
    AsyncCommands, RedisError, RedisResult, Script, Value,
    aio::MultiplexedConnection,
    from_redis_value,
    streams::{StreamId, StreamReadOptions, StreamReadReply},
};
use whirligig::{executor::CallError, sync::Mutex, time::timeout};

/// The consumer group.
const GROUP: &str = "workers";

/// For so many seconds results, and the numbers of jobs submitted, are kept.
const KEPT: u64 = 24 * 60 * 60;

/// What is waited for beside a command that blocks.
const ANSWER: Duration = Duration::from_secs(5);

/// A job, as a worker has it.
pub(crate) struct Job {
    /// The stream's number for it.
    entry: String,
    /// The submitter's.
    pub(crate) id: String,
    pub(crate) function: String,
    pub(crate) arguments: Vec<u8>,
    /// Where the result goes.
    results: String,
    /// How often it was delivered, this time included.
    pub(crate) attempt: usize,
}

/// A result, as its submitter has it.
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) output: Result<Vec<u8>, CallError>,
}

/// What became of a job that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    Again,
    Dead,
    /// Another worker has finished it.
    Elsewhere,
}

/// A queue of jobs, over one connection. Commands that are under way when that breaks are sent again over the next.
pub(crate) struct Broker {
    url: String,
    queue: String,
    /// How long a Redis that is gone is waited for.
    patience: Duration,
    /// With its number, so that each broken one is given up once.
    connection: Mutex<Option<(u64, MultiplexedConnection)>>,
    connections: AtomicU64,
}

impl Broker {
    pub(crate) fn new(url: &str, queue: &str, patience: Duration) -> Self {
        Self {
            url: url.to_owned(),
            queue: queue.to_owned(),
            patience,
            connection: Mutex::new(None),
            connections: AtomicU64::new(0),
        }
    }

    /// The braces keep a queue's keys together on one machine of a Redis cluster.
    fn key(&self, what: &str) -> String {
        format!("{{{}}}:{what}", self.queue)
    }

    /// The key of a submitter's results.
    pub(crate) fn results_of(&self, submitter: &str) -> String {
        self.key(&format!("results:{submitter}"))
    }

    /// Puts a job into the stream, unless it is, or was, there.
    pub(crate) async fn submit(
        &self,
        id: &str,
        function: &str,
        arguments: &[u8],
        results: &str,
    ) -> anyhow::Result<()> {
        static SUBMIT: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "if redis.call('SET', KEYS[2], 1, 'NX', 'EX', ARGV[1]) then
                     redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'function', ARGV[3],
                         'arguments', ARGV[4], 'results', ARGV[5])
                 end",
            )
        });
        let mut call = SUBMIT.prepare_invoke();
        call.key(self.key("work")).key(self.key(&format!("submitted:{id}")));
        call.arg(KEPT).arg(id).arg(function).arg(arguments).arg(results);
        let call = &call;
        self.command(ANSWER, move |mut redis| async move { call.invoke_async(&mut redis).await })
            .await
    }

    /// The next job that nobody has had, if one comes within `wait`.
    pub(crate) async fn take(&self, worker: &str, wait: Duration) -> anyhow::Result<Option<Job>> {
        let wait_ms = usize::try_from(wait.as_millis())?.max(1);
        let options = StreamReadOptions::default().group(GROUP, worker).count(1).block(wait_ms);
        let (key, options) = (&self.key("work"), &options);
        // Delivered, and the answer lost: then it is pending, and is claimed as that of a worker that died.
        let read: Option<StreamReadReply> = self
            .command(wait + ANSWER, move |mut redis| async move {
                redis.xread_options(&[key], &[">"], options).await
            })
            .await?;
        let entry = read.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids).next();
        entry.map(|StreamId { id, map, .. }| Job::new(id, map, 1)).transpose()
    }

    /// A job that its worker has not kept for so long, if there is one.
    pub(crate) async fn claim(
        &self,
        worker: &str,
        unkept: Duration,
    ) -> anyhow::Result<Option<Job>> {
        static CLAIM: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                // One call looks at a few pending jobs only, and says where to go on.
                "local cursor, entry = '0-0', nil
                 repeat
                     local claimed = redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], ARGV[3],
                         cursor, 'COUNT', 1)
                     cursor, entry = claimed[1], claimed[2][1]
                 until entry or cursor == '0-0'
                 if not entry then return false end
                 local pending = redis.call('XPENDING', KEYS[1], ARGV[1], entry[1], entry[1], 1)
                 return {entry[1], entry[2], pending[1][4]}",
            )
        });
        let mut call = CLAIM.prepare_invoke();
        call.key(self.key("work")).arg(GROUP).arg(worker).arg(u64::try_from(unkept.as_millis())?);
        let call = &call;
        let claimed: Option<(String, HashMap<String, Value>, usize)> = self
            .command(ANSWER, move |mut redis| async move { call.invoke_async(&mut redis).await })
            .await?;
        claimed.map(|(entry, fields, attempt)| Job::new(entry, fields, attempt)).transpose()
    }

    /// Says that the worker has the job still; whether it is its own still.
    pub(crate) async fn keep(&self, worker: &str, job: &Job) -> anyhow::Result<bool> {
        static KEEP: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
                 if not pending or pending[2] ~= ARGV[2] then return 0 end
                 redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'JUSTID')
                 return 1",
            )
        });
        let mut call = KEEP.prepare_invoke();
        call.key(self.key("work")).arg(GROUP).arg(worker).arg(&job.entry);
        let call = &call;
        self.command(ANSWER, move |mut redis| async move { call.invoke_async(&mut redis).await })
            .await
    }

    /// Takes the job out of the stream and gives its submitter the output; unless another worker has done so.
    pub(crate) async fn finish(&self, job: &Job, output: &[u8]) -> anyhow::Result<()> {
        static FINISH: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "if redis.call('XACK', KEYS[1], ARGV[1], ARGV[2]) == 0 then return end
                 redis.call('XDEL', KEYS[1], ARGV[2])
                 redis.call('XADD', KEYS[2], '*', 'id', ARGV[3], 'output', ARGV[4])
                 redis.call('EXPIRE', KEYS[2], ARGV[5])",
            )
        });
        let mut call = FINISH.prepare_invoke();
        call.key(self.key("work")).key(&job.results);
        call.arg(GROUP).arg(&job.entry).arg(&job.id).arg(output).arg(KEPT);
        let call = &call;
        self.command(ANSWER, move |mut redis| async move { call.invoke_async(&mut redis).await })
            .await
    }

    /// Has a job tried again after `delay`; or, if it was tried so often already, puts it on the dead-letter list, and
    /// gives its submitter the error. `visibility` is after which a job can be claimed.
    pub(crate) async fn fail(
        &self,
        worker: &str,
        job: &Job,
        error: &CallError,
        attempts: usize,
        (delay, visibility): (Duration, Duration),
    ) -> anyhow::Result<Failed> {
        static FAIL: LazyLock<Script> = LazyLock::new(|| {
            Script::new(
                "local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1)[1]
                 if not pending then return 'elsewhere' end
                 if pending[4] < tonumber(ARGV[6]) then
                     if pending[2] == ARGV[2] then
                         redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3],
                             'IDLE', ARGV[7], 'JUSTID')
                     end
                     return 'again'
                 end
                 redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
                 redis.call('XDEL', KEYS[1], ARGV[3])
                 redis.call('XADD', KEYS[3], '*', 'id', ARGV[4], 'function', ARGV[8],
                     'arguments', ARGV[9], 'results', KEYS[2], 'kind', ARGV[11],
                     'error', ARGV[5], 'attempts', pending[4], 'worker', ARGV[2])
                 redis.call('XADD', KEYS[2], '*', 'id', ARGV[4], 'kind', ARGV[11],
                     'error', ARGV[5])
                 redis.call('EXPIRE', KEYS[2], ARGV[10])
                 return 'dead'",
            )
        });
        let idle = visibility.saturating_sub(delay);
        let (kind, error) = match error {
            CallError::Panicked(text) => ("panicked", text.clone()),
            CallError::Died(how) => ("died", how.clone()),
            CallError::Encoding(why) => ("encoding", why.clone()),
            other => ("broken", other.to_string()),
        };
        let mut call = FAIL.prepare_invoke();
        call.key(self.key("work")).key(&job.results).key(self.key("dead"));
        call.arg(GROUP).arg(worker).arg(&job.entry).arg(&job.id).arg(error).arg(attempts);
        call.arg(u64::try_from(idle.as_millis())?).arg(&job.function).arg(&job.arguments).arg(KEPT);
        call.arg(kind);
        let call = &call;
        let became: String = self
            .command(ANSWER, move |mut redis| async move { call.invoke_async(&mut redis).await })
            .await?;
        Ok(match became.as_str() {
            "again" => Failed::Again,
            "dead" => Failed::Dead,
            _ => Failed::Elsewhere,
        })
    }

    /// A submitter's results after that number, the first `after` being "0"; each with its own number.
    pub(crate) async fn results(
        &self,
        key: &str,
        after: &str,
        wait: Duration,
    ) -> anyhow::Result<Vec<(String, Outcome)>> {
        let wait_ms = usize::try_from(wait.as_millis())?.max(1);
        let options = &StreamReadOptions::default().count(100).block(wait_ms);
        let read: Option<StreamReadReply> = self
            .command(wait + ANSWER, move |mut redis| async move {
                redis.xread_options(&[key], &[after], options).await
            })
            .await?;
        let entries = read.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids);
        let outcome = |StreamId { id: number, mut map, .. }: StreamId| {
            let id = field(&mut map, "id")?;
            let output = match map.contains_key("output") {
                true => Ok(field(&mut map, "output")?),
                false => Err(error(&mut map)?),
            };
            Ok((number, Outcome { id, output }))
        };
        entries.map(outcome).collect()
    }

    /// Removes what a submitter has read.
    pub(crate) async fn forget(&self, results: &str) -> anyhow::Result<()> {
        self.command(ANSWER, move |mut redis| async move { redis.del(results).await }).await
    }

    /// Takes a worker that has nothing pending out of the group.
    pub(crate) async fn leave(&self, worker: &str) -> anyhow::Result<()> {
        let key = &self.key("work");
        self.command(ANSWER, move |mut redis| async move {
            redis.xgroup_delconsumer(key, GROUP, worker).await
        })
        .await
    }

    /// What there is.
    pub(crate) async fn status(&self) -> anyhow::Result<Status> {
        let (work, dead) = (&self.key("work"), &self.key("dead"));
        let read = move |mut redis: MultiplexedConnection| async move {
            let mut commands = redis::pipe();
            commands.xlen(work).xpending_count(work, GROUP, "-", "+", 1000).xrange_all(dead);
            commands.query_async(&mut redis).await
        };
        let (length, pending, dead): (usize, Vec<Pending>, Vec<Entry>) =
            self.command(ANSWER, read).await?;
        let dead = dead.into_iter().map(|(_, mut fields)| {
            Ok(Dead {
                id: field(&mut fields, "id")?,
                function: field(&mut fields, "function")?,
                error: error(&mut fields)?,
                attempts: field(&mut fields, "attempts")?,
            })
        });
        Ok(Status {
            waiting: length.saturating_sub(pending.len()),
            running: pending
                .into_iter()
                .map(|(_, worker, unkept, attempt)| Running {
                    worker,
                    unkept: Duration::from_millis(unkept),
                    attempt,
                })
                .collect(),
            dead: dead.collect::<anyhow::Result<_>>()?,
        })
    }

    /// Has Redis do it; over another connection, if this one breaks, until its patience is over.
    async fn command<T, F>(
        &self,
        answers_within: Duration,
        send: impl Fn(MultiplexedConnection) -> F,
    ) -> anyhow::Result<T>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let mut backoff = self.backoff();
        loop {
            let (number, redis) = self.connected().await?;
            let error = match timeout(answers_within, send(redis)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if !is_lost(&error) => return Err(error.into()),
                Ok(Err(error)) => {
                    anyhow!(error).context(format!("the Redis at {} is lost", self.url))
                }
                Err(_) => anyhow!("the Redis at {} did not answer in time", self.url),
            };
            let mut connection = self.connection.lock().await;
            if connection.as_ref().is_some_and(|(current, _)| *current == number) {
                *connection = None;
            }
            drop(connection);
            backoff.wait(error).await?;
        }
    }

    async fn connected(&self) -> anyhow::Result<(u64, MultiplexedConnection)> {
        let mut connection = self.connection.lock().await;
        if let Some(connected) = &*connection {
            return Ok(connected.clone());
        }
        let mut backoff = self.backoff();
        let redis = loop {
            match self.connect().await {
                Ok(redis) => break redis,
                Err(error) => backoff.wait(error).await?,
            }
        };
        let connected = (self.connections.fetch_add(1, Ordering::Relaxed), redis);
        *connection = Some(connected.clone());
        Ok(connected)
    }

    /// Connects, and makes the group, if it is not there.
    async fn connect(&self) -> anyhow::Result<MultiplexedConnection> {
        let mut redis = connect::redis(&self.url, None).await?;
        let made: RedisResult<()> =
            timeout(ANSWER, redis.xgroup_create_mkstream(self.key("work"), GROUP, "0"))
                .await
                .with_context(|| format!("the Redis at {} did not answer in time", self.url))?;
        match made {
            Err(error) if error.code() != Some("BUSYGROUP") => Err(error.into()),
            _ => Ok(redis),
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(Duration::from_millis(50), Duration::from_secs(2), self.patience)
    }
}

impl Job {
    fn new(
        entry: String,
        mut fields: HashMap<String, Value>,
        attempt: usize,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            entry,
            id: field(&mut fields, "id")?,
            function: field(&mut fields, "function")?,
            arguments: field(&mut fields, "arguments")?,
            results: field(&mut fields, "results")?,
            attempt,
        })
    }
}

fn field<T: redis::FromRedisValue>(
    fields: &mut HashMap<String, Value>,
    name: &str,
) -> anyhow::Result<T> {
    let value = fields.remove(name).with_context(|| format!("an entry has no field {name:?}"))?;
    Ok(from_redis_value(value)?)
}

fn error(fields: &mut HashMap<String, Value>) -> anyhow::Result<CallError> {
    let (kind, text): (String, String) = (field(fields, "kind")?, field(fields, "error")?);
    Ok(match kind.as_str() {
        "panicked" => CallError::Panicked(text),
        "died" => CallError::Died(text),
        "encoding" => CallError::Encoding(text),
        _ => CallError::Broken(text),
    })
}

/// Whether another connection may do better: this one is closed, or the server is reading back its log.
fn is_lost(error: &RedisError) -> bool {
    error.is_io_error()
        || error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || error.code() == Some("LOADING")
}

/// An entry of a stream: its number, its fields.
type Entry = (String, HashMap<String, Value>);

/// A pending one: its number, who has it, how many milliseconds it was not kept, how often it was delivered.
type Pending = (String, String, u64, usize);

/// The state of a queue.
pub(crate) struct Status {
    pub(crate) waiting: usize,
    pub(crate) running: Vec<Running>,
    pub(crate) dead: Vec<Dead>,
}

pub(crate) struct Running {
    pub(crate) worker: String,
    pub(crate) unkept: Duration,
    pub(crate) attempt: usize,
}

pub(crate) struct Dead {
    pub(crate) id: String,
    pub(crate) function: String,
    pub(crate) error: CallError,
    pub(crate) attempts: usize,
}
