//! A server of slow pages, for a scraper that should bother nobody else's.
//!
//! It runs as a task of the same loop. How many requests were under way at once it counts itself: that is what a
//! limit promises the server.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    response::Html,
    routing::get,
};
use whirligig::{adapters::hyper::serve, net::TcpListener, spawn, task::CancelOnDrop, time::sleep};

/// Milliseconds that a page takes.
const LATENCIES: [u64; 10] = [912, 1034, 873, 956, 1101, 889, 1003, 978, 930, 1060];

const TITLES: [&str; 10] = [
    "A task is a future and a number",
    "The waker that is a number",
    "One turn of the loop",
    "Timers in a wheel",
    "What the kernel says is ready",
    "A queue between tasks",
    "Half a million actions",
    "What changes with several threads",
    "Stealing half of a queue",
    "When to wake a worker",
];

/// The server, until it is dropped.
pub(crate) struct Site {
    address: SocketAddr,
    visits: Arc<Visits>,
    _server: CancelOnDrop<io::Result<()>>,
}

struct Visits {
    divisor: u32,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Site {
    pub(crate) async fn start(divisor: u32) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let [now, most] = [(); 2].map(|()| AtomicUsize::new(0));
        let visits = Arc::new(Visits { divisor, now, most });
        let router = Router::new().route("/page/{number}", get(page)).with_state(visits.clone());
        let server = spawn(async move { serve(listener, router).run().await.map(drop) });
        Ok(Self { address, visits, _server: server.cancel_on_drop() })
    }

    pub(crate) fn template(&self) -> String {
        format!("http://{}/page/{{}}", self.address)
    }

    /// The most requests at once since the last call.
    pub(crate) fn take_most(&self) -> usize {
        self.visits.most.swap(0, Relaxed)
    }
}

async fn page(
    State(visits): State<Arc<Visits>>,
    Path(number): Path<usize>,
) -> Result<Html<String>, StatusCode> {
    let index = number.checked_sub(1).ok_or(StatusCode::NOT_FOUND)?;
    visits.most.fetch_max(visits.now.fetch_add(1, Relaxed) + 1, Relaxed);
    sleep(Duration::from_millis(LATENCIES[index % 10]) / visits.divisor).await;
    visits.now.fetch_sub(1, Relaxed);
    let title = TITLES[index % 10];
    Ok(Html(format!(
        "<!doctype html><html><head><meta charset=utf-8>\n<title>{number}: {title}</title></head>\
         <body><svg><title>not this one</title></svg><h1>{title}</h1></body></html>"
    )))
}
