//! A server: connections accepted, each a task that speaks HTTP/1 or 2 with a service, and an end that lets them finish.
//!
//! hyper-util serves one connection; all around it each program would write again, and most would leave something
//! out. Here it is once:
//!
//! - At the limit of descriptors or memory the listener waits, longer each time, and accepts again (`Listener::accept`).
//!   An error that concerns one connection that was about to be accepted ends nothing.
//! - A client that sends nothing, or its head too slowly, is given up after a limit.
//! - The end: no connection is accepted any more, idle ones are closed, the others finish their requests; after a
//!   while those that have not are cut off, and counted.
//!
//! What must hold: no connection's task outlives the server. They are children of a group, which cancels them when
//! the server itself is dropped. (hyper runs the handlers of HTTP/2 in tasks of its own. With their connection gone these
//! are dropped where they wait; one that computes at that moment ends its poll first, on another worker.)
//!
//! A service's future need not be `Send` on an event loop, and must be on a runtime. The two kinds differ in how a
//! task is spawned and in nothing else: [`accept_all`] is given that.
//!
//! **Alternative:** `axum::serve`, whose loop is the same without limits, and which wants tokio's listener.

use std::{
    error::Error,
    fmt,
    future::{Future, Pending, pending, poll_fn},
    io,
    ops::Deref,
    pin::pin,
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use ::hyper::{
    Request, Response,
    body::{Body, Incoming},
};
use hyper_util::{
    server::conn::auto::{self, HttpServerConnExec},
    service::{TowerToHyperService, TowerToHyperServiceFuture},
};
use rustix::io::Errno;
use tower_service::Service;

use super::{
    first_bytes::FirstBytes,
    rt::{Executor, LocalExecutor, Timer},
};
use crate::{
    engine::base::user_code::discard_value,
    net::{Family, Listener, Stream},
    task::{CancelToken, TaskGroup},
    time::{sleep, timeout},
};

/// What hyper asks an error to become.
type BoxError = Box<dyn Error + Send + Sync>;

/// Serves a tower service, such as axum's `Router`, on a listener: HTTP/1 and HTTP/2 without TLS, and upgrades, such as
/// WebSocket. On an event loop or a runtime.
///
/// Nothing happens before [`run`](Serve::run). The connections are tasks beside the one that awaits it; on a runtime,
/// on all of its workers. [`serve_local`] is for services that are not `Send`.
///
#[cfg_attr(feature = "hyper-util", doc = "```")]
#[cfg_attr(not(feature = "hyper-util"), doc = "```ignore")]
/// use std::convert::Infallible;
/// use hyper::{Request, Response, body::Incoming};
/// use whirligig::{adapters::hyper::serve, net::TcpListener, task::CancelToken};
///
/// async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
///     Ok(Response::new(String::from("hello")))
/// }
///
/// whirligig::run(async {
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     let stop = CancelToken::new();
///     let server = serve(listener, tower::service_fn(hello)).stop_when(stop.cancelled());
/// #   stop.cancel();
///     // `whirligig::signal::ctrl_c()` is another thing to stop for.
///     let served = server.run().await?;
///     println!("{} connections, {} of them cut off", served.connections, served.cut_off);
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "start_server")]
pub fn serve<F: Family, S>(listener: Listener<F>, service: S) -> Serve<F, S> {
    Serve::new(listener, service, Executor)
}

/// [`serve`] for a service that need not be `Send`, on an event loop: its connections stay on that one's thread.
///
/// ```
/// use std::{cell::Cell, convert::Infallible, future::ready, rc::Rc};
/// use hyper::{Request, Response, body::Incoming};
/// use whirligig::{adapters::hyper::serve_local, net::TcpListener};
///
/// whirligig::run(async {
///     let visits = Rc::new(Cell::new(0));
///     let count = tower::service_fn(move |_: Request<Incoming>| {
///         visits.set(visits.get() + 1);
///         ready(Ok::<_, Infallible>(Response::new(format!("visit {}", visits.get()))))
///     });
///     let listener = TcpListener::bind("127.0.0.1:0").await?;
///     serve_local(listener, count).stop_when(async {}).run().await?;
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub fn serve_local<F: Family, S>(listener: Listener<F>, service: S) -> Serve<F, S, LocalExecutor> {
    Serve::new(listener, service, LocalExecutor::new())
}

/// A server that is set up: from [`serve`] or [`serve_local`].
#[must_use = "a server does nothing until it is run"]
pub struct Serve<F: Family, S, E = Executor, Stop = Pending<()>> {
    listener: Listener<F>,
    service: S,
    http: auto::Builder<E>,
    stop: Stop,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    head: Duration,
    grace: Duration,
}

/// What a server has done, when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Served {
    /// Connections that were accepted.
    pub connections: u64,
    /// Those of them that had not ended when the grace was over, and were closed in the middle of something.
    pub cut_off: usize,
}

impl<F: Family, S, E: Clone> Serve<F, S, E> {
    fn new(listener: Listener<F>, service: S, executor: E) -> Self {
        let mut http = auto::Builder::new(executor);
        http.http1().timer(Timer).header_read_timeout(HEAD);
        http.http2().timer(Timer).keep_alive_interval(KEEP_ALIVE);
        let limits = Limits { head: HEAD, grace: Duration::from_secs(10) };
        Self { listener, service, http, stop: pending(), limits }
    }
}

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(30);
/// hyper adds a limit to the time it is. This is as good as none.
const LONGEST: Duration = Duration::from_secs(1 << 30);
/// Between two attempts to accept where one has failed.
const PAUSE: Duration = Duration::from_millis(10);
/// How often a client of HTTP/2 is asked whether it is still there.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

impl<F: Family, S, E, Stop> Serve<F, S, E, Stop> {
    /// Ends the server when `stop` is ready, whatever it gives: Ctrl-C, or a
    /// [`CancelToken`]'s [`cancelled`](CancelToken::cancelled). See [`grace`](Self::grace).
    ///
    /// Without it the server ends when it is dropped, and cuts all connections off.
    #[doc(alias = "with_graceful_shutdown")]
    pub fn stop_when<Other: Future>(self, stop: Other) -> Serve<F, S, E, Other> {
        let Self { listener, service, http, stop: _, limits } = self;
        Serve { listener, service, http, stop, limits }
    }

    /// How long connections may take to finish what they have begun, after the stop: ten seconds, unless this says
    /// otherwise. Then they are cut off.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.limits.grace = grace;
        self
    }

    /// How long a client may take to send the head of a request: thirty seconds, unless this says otherwise. It
    /// counts from the connection's beginning, from its first byte, and from the end of the request before, so a
    /// connection of HTTP/1 that is idle for so long is closed too.
    #[doc(alias = "keep_alive_timeout")]
    pub fn header_read_timeout(mut self, limit: Duration) -> Self {
        self.limits.head = limit;
        self.http.http1().header_read_timeout(limit.min(LONGEST));
        self
    }

    /// Has `set` change other settings, of hyper-util's builder. Timers are set already.
    ///
    /// ```
    /// # use whirligig::{adapters::hyper::serve, net::TcpListener};
    /// # whirligig::run(async {
    /// # let listener = TcpListener::bind("127.0.0.1:0").await?;
    /// # let router = ();
    /// let server = serve(listener, router).configure(|http| {
    ///     http.http2().max_concurrent_streams(100);
    /// });
    /// # drop(server);
    /// # std::io::Result::Ok(())
    /// # }).unwrap();
    /// ```
    pub fn configure(mut self, set: impl FnOnce(&mut auto::Builder<E>)) -> Self {
        set(&mut self.http);
        self
    }
}

impl<F, S, B, Stop> Serve<F, S, Executor, Stop>
where
    F: Family,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    Stop: Future,
{
    /// Accepts and serves until the stop, and then until the connections have ended, or the grace is over.
    ///
    /// A connection of HTTP/1 that was upgraded is the upgrader's: it is not waited for. (An upgrade over HTTP/2 is a
    /// stream of its connection, and ends with that.) What a connection has met (a client that is gone, and the like)
    /// ends that one alone.
    ///
    /// *Cancel safety*: dropped, it accepts nothing more, and cuts off the connections that there are.
    ///
    /// # Errors
    /// Those of `accept` after which no other can succeed: the descriptor is no listener, and the like. What passes
    /// (no descriptor left, a connection gone before it was accepted) is no error.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    pub async fn run(self) -> io::Result<Served> {
        let Self { listener, service, http, stop, limits } = self;
        let http = Arc::new(http);
        let connect = |stream, stopping| {
            let stream = FirstBytes::new(stream, limits.head);
            connection(http.clone(), service.clone(), stream, stopping)
        };
        let spawn = |group: &mut TaskGroup<()>, task| _ = group.spawn(task);
        accept_all(listener, stop, limits.grace, connect, spawn).await
    }
}

impl<F, S, B, Stop> Serve<F, S, LocalExecutor, Stop>
where
    F: Family,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    Stop: Future,
{
    /// As that of [`serve`], on an event loop.
    ///
    /// # Errors
    /// Those of `accept` after which no other can succeed.
    ///
    /// # Panics
    /// If no event loop runs this thread.
    pub async fn run(self) -> io::Result<Served> {
        let Self { listener, service, http, stop, limits } = self;
        let http = Rc::new(http);
        let connect = |stream, stopping| {
            let stream = FirstBytes::new(stream, limits.head);
            connection(http.clone(), service.clone(), stream, stopping)
        };
        let spawn = |group: &mut TaskGroup<()>, task| _ = group.spawn_local(task);
        accept_all(listener, stop, limits.grace, connect, spawn).await
    }
}

/// Accepts until the stop, each connection a child; then waits until the children have ended, or cuts them off.
async fn accept_all<F: Family, Task>(
    listener: Listener<F>,
    stop: impl Future,
    grace: Duration,
    connect: impl Fn(Stream<F>, CancelToken) -> Task,
    spawn: impl Fn(&mut TaskGroup<()>, Task),
) -> io::Result<Served> {
    let mut connections = TaskGroup::new();
    let (stopping, mut accepted) = (CancelToken::new(), 0);
    let mut stop = pin!(stop);
    let outcome = loop {
        let next = poll_fn(|cx| {
            // Those that have ended are taken out; a panic ended its own connection, and was printed.
            while let Poll::Ready(Some(outcome)) = pin!(connections.next()).poll(cx) {
                discard_value(OUTCOME, outcome);
            }
            match stop.as_mut().poll(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            }
        });
        match next.await {
            None => break Ok(()),
            Some(Ok((stream, _))) => {
                accepted += 1;
                // What a Unix socket refuses. On TCP an answer must not wait for the one before to be acknowledged.
                let _ = rustix::net::sockopt::set_tcp_nodelay(&stream, true);
                spawn(&mut connections, connect(stream, stopping.clone()));
            }
            Some(Err(error)) if is_final(&error) => break Err(error),
            Some(Err(error)) if Errno::from_io_error(&error) == Some(Errno::CONNABORTED) => {}
            // What it is about may last.
            Some(Err(_)) => sleep(PAUSE).await,
        }
    };
    drop(listener);
    stopping.cancel();
    let _ = timeout(grace, all_ended(&mut connections)).await;
    // More may have ended than were taken in time.
    while let Some(outcome) = connections.try_next() {
        discard_value(OUTCOME, outcome);
    }
    let cut_off = connections.len();
    connections.cancel();
    all_ended(&mut connections).await;
    outcome.map(|()| Served { connections: accepted, cut_off })
}

/// Of a handler that panicked it has the payload, whose drop is the user's code as well.
const OUTCOME: &str = "a connection's outcome";

async fn all_ended(connections: &mut TaskGroup<()>) {
    while let Some(outcome) = connections.next().await {
        discard_value(OUTCOME, outcome);
    }
}

/// Whether no other `accept` can succeed. Else it was about one connection, or about something that may come back.
fn is_final(error: &io::Error) -> bool {
    [Errno::BADF, Errno::FAULT, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP]
        .contains(&Errno::from_io_error(error).unwrap_or(Errno::AGAIN))
}

/// One connection: served until it ends by itself or, told to stop, has finished what it had begun.
async fn connection<F, S, B, E>(
    http: impl Deref<Target = auto::Builder<E>>,
    service: S,
    stream: FirstBytes<F>,
    stopping: CancelToken,
) where
    F: Family,
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + 'static,
    S::Future: 'static,
    S::Error: Into<BoxError>,
    B: Body + 'static,
    B::Error: Into<BoxError>,
    E: HttpServerConnExec<TowerToHyperServiceFuture<S, Request<Incoming>>, B>,
{
    let service = TowerToHyperService::new(service);
    let mut served = pin!(http.serve_connection_with_upgrades(stream, service));
    let mut stop = pin!(stopping.cancelled());
    let mut is_told = false;
    // What the connection has met concerns its client, which is gone or has broken the protocol.
    // ANCHOR: connection
    let _ = poll_fn(|cx| {
        if !is_told && stop.as_mut().poll(cx).is_ready() {
            is_told = true;
            served.as_mut().graceful_shutdown();
        }
        served.as_mut().poll(cx)
    })
    .await;
    // END: connection
}

impl<F: Family, S, E, Stop> fmt::Debug for Serve<F, S, E, Stop> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
