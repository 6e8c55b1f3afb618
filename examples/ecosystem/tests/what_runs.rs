//! The page *What runs on it* is true: each crate in its table is in the lock file at that version, and is used by the
//! program or the test that the table names; what it says does not run, does not.
//!
//! Crates that no program here needs have a small test of their own here. Others are used by a program, whose test is
//! the file of its name.

mod support;

use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use async_compat::CompatExt;
use ecosystem::servers::{Server as Database, or_skip};
use futures_lite::StreamExt;
use hyper::body::Bytes;
use support::Watchdog;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Service, ServiceExt};
use whirligig::{
    EventLoop, Runtime,
    net::{TcpListener, TcpStream},
    spawn,
    task::spawn_blocking,
};

/// Runs it on the event loop, and on two workers. On neither thread is a runtime of tokio's.
fn on_both<F, Fut>(test: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()>,
{
    let alone = || async {
        test().await;
        assert!(tokio::runtime::Handle::try_current().is_err(), "tokio's runtime is here");
    };
    EventLoop::new().expect("there are descriptors").block_on(alone());
    let runtime = Runtime::builder().worker_threads(2).build().expect("there are descriptors");
    runtime.block_on(alone());
}

/// Both ends of a connection.
async fn pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let client = TcpStream::connect(listener.local_addr()?).await?;
    Ok((listener.accept().await?.0, client))
}

/// A server of std's threads, which says this to each request.
fn site(says: &'static str) -> String {
    let http = tiny_http::Server::http("127.0.0.1:0").expect("there is a free port");
    let url = format!("http://{}/", http.server_addr());
    thread::spawn(move || {
        for request in http.incoming_requests() {
            _ = request.respond(tiny_http::Response::from_string(says));
        }
    });
    url
}

#[test]
fn h2_has_fifty_streams_on_one_connection() {
    let _watchdog = Watchdog::new("h2_has_fifty_streams_on_one_connection");
    on_both(|| async {
        let (server, client) = pair().await.expect("loopback works");
        let server = spawn(async move {
            let mut connection = h2::server::handshake(server).await.expect("the client's preface");
            let mut served = 0;
            while let Some(request) = connection.accept().await {
                let (request, mut respond) = request.expect("a request");
                let path = request.uri().path().to_owned();
                let mut body =
                    respond.send_response(http_ok(), false).expect("the client is there");
                body.send_data(Bytes::from(path), true).expect("the client is there");
                served += 1;
            }
            served
        });
        let (requests, connection) = h2::client::handshake(client).await.expect("the server's");
        let connection = spawn(connection);
        let streams: Vec<_> = (0..50)
            .map(|number| {
                let mut requests = requests.clone();
                spawn(async move {
                    let uri = format!("http://here/{number}");
                    let request = hyper::Request::get(uri).body(()).expect("it is a request");
                    let (response, _) = requests.send_request(request, true).expect("it is open");
                    let mut body = response.await.expect("an answer").into_body();
                    let mut text = Vec::new();
                    while let Some(data) = body.data().await {
                        text.extend(data.expect("data"));
                    }
                    assert_eq!(text, format!("/{number}").as_bytes());
                })
            })
            .collect();
        for stream in streams {
            stream.await.expect("each gets its own answer");
        }
        drop(requests);
        connection.await.expect("no panic").expect("a proper end");
        assert_eq!(server.await.expect("no panic"), 50);
    });
}

fn http_ok() -> hyper::Response<()> {
    hyper::Response::new(())
}

#[test]
fn tokio_rustls_echoes_a_mebibyte() {
    use tokio_rustls::{TlsAcceptor, TlsConnector, rustls};
    let _watchdog = Watchdog::new("tokio_rustls_echoes_a_mebibyte");
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
    let certificate = made.cert.der().clone();
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let server = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("they fit");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).expect("it is a certificate");
    let client =
        rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let (acceptor, connector) =
        (TlsAcceptor::from(Arc::new(server)), TlsConnector::from(Arc::new(client)));
    on_both(|| async {
        let (inward, outward) = pair().await.expect("loopback works");
        let acceptor = acceptor.clone();
        let echo = spawn(async move {
            let mut stream = acceptor.accept(inward).await?;
            let mut bytes = vec![0; 1024 * 1024];
            stream.read_exact(&mut bytes).await?;
            stream.write_all(&bytes).await?;
            stream.shutdown().await
        });
        let name = "localhost".try_into().expect("it is a name");
        let mut stream = connector.connect(name, outward).await.expect("it is trusted");
        let sent: Vec<u8> = (0..1024 * 1024).map(|n: u32| n as u8).collect();
        stream.write_all(&sent).await.expect("the server reads");
        stream.flush().await.expect("the server reads");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).await.expect("it comes back, and its end");
        assert!(sent == received);
        echo.await.expect("no panic").expect("the client reads");
    });
}

/// tokio's channels and locks wait by wakers alone: they need nothing of its runtime.
#[test]
fn tokio_sync_wakes_our_tasks() {
    let _watchdog = Watchdog::new("tokio_sync_wakes_our_tasks");
    on_both(|| async {
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let task = spawn(async move {
            for n in 0..100 {
                sender.send(n).await.expect("the receiver is there");
            }
        });
        let mut sum = 0;
        while let Some(n) = receiver.recv().await {
            sum += n;
        }
        task.await.expect("no panic");
        assert_eq!(sum, 4950);
    });
}

#[test]
fn sqlx_on_smol_asks_a_real_postgres() {
    let Some(postgres) = or_skip(Database::postgres()) else { return };
    on_both(|| async {
        let pool = sqlx::postgres::PgPoolOptions::new().max_connections(3);
        let pool = pool.connect(&postgres.url()).await.expect("it runs");
        let tasks: Vec<_> = (0..20_i32)
            .map(|n| {
                let pool = pool.clone();
                spawn(async move {
                    sqlx::query_scalar::<_, i32>("select $1 * $1").bind(n).fetch_one(&pool).await
                })
            })
            .collect();
        for (n, task) in (0..).zip(tasks) {
            assert_eq!(task.await.expect("no panic").expect("an answer"), n * n);
        }
        let mut rows = sqlx::query_scalar::<_, i32>("select generate_series(1, 1000)").fetch(&pool);
        let mut sum = 0;
        while let Some(row) = rows.next().await {
            sum += row.expect("a row");
        }
        assert_eq!(sum, 500_500);
        drop(rows);
        pool.close().await;
    });
}

#[test]
fn rayon_computes_beside_the_loop() {
    use rayon::iter::{IntoParallelIterator, ParallelIterator};
    let _watchdog = Watchdog::new("rayon_computes_beside_the_loop");
    on_both(|| async {
        let sum = whirligig::executor::cpu(|| {
            (0..1_000_000_u64).into_par_iter().map(|n| n % 7).sum::<u64>()
        });
        assert_eq!(sum.await.expect("no panic"), (0..1_000_000_u64).map(|n| n % 7).sum());
    });
}

#[test]
fn ureq_blocks_a_thread_of_the_pool() {
    let _watchdog = Watchdog::new("ureq_blocks_a_thread_of_the_pool");
    let url = site("by ureq");
    on_both(|| async {
        let url = url.clone();
        let get = move || ureq::get(&url).call()?.body_mut().read_to_string();
        let got = spawn_blocking(get).await.expect("no panic");
        assert_eq!(got.expect("the server answers"), "by ureq");
    });
}

#[test]
fn tower_limits_how_many_are_under_way() {
    let _watchdog = Watchdog::new("tower_limits_how_many_are_under_way");
    on_both(|| async {
        let square = tower::service_fn(async |n: u64| Ok::<_, io::Error>(n * n));
        let mut limited = tower::limit::ConcurrencyLimit::new(square, 1);
        let first = limited.ready().await.expect("it never fails").call(3);
        // The one permit is taken, until the first is over.
        assert!(futures_lite::future::poll_once(limited.ready()).await.is_none());
        assert_eq!(first.await.expect("it never fails"), 9);
        assert!(limited.ready().await.is_ok());
    });
}

/// tokio's runtime runs on a thread of `async_compat`'s, and what is wrapped is polled on ours.
#[test]
fn reqwest_within_async_compat() {
    let _watchdog = Watchdog::new("reqwest_within_async_compat");
    let url = site("by reqwest");
    for _ in 0..2 {
        let get = async || -> reqwest::Result<String> { reqwest::get(&url).await?.text().await };
        let got = EventLoop::new().expect("there are descriptors").block_on(get().compat());
        assert_eq!(got.expect("the server answers"), "by reqwest");
    }
}

/// What wants tokio's runtime panics without it. If one of these learns to do without, the page has to say so.
#[test]
fn what_does_not_run_says_so() {
    let _watchdog = Watchdog::new("what_does_not_run_says_so");
    let url = site("by nobody");
    demand_panic("reqwest", async { drop(reqwest::get(&url).await) });
    demand_panic("tower's timeout", async {
        let square = tower::service_fn(async |n: u64| Ok::<_, io::Error>(n * n));
        let mut late = tower::timeout::Timeout::new(square, Duration::from_secs(60));
        drop(late.ready().await.expect("it is ready").call(3).await);
    });
    demand_panic("tower's buffer", async {
        let square = tower::service_fn(|n: u64| std::future::ready(Ok::<_, io::Error>(n * n)));
        let mut buffered = tower::buffer::Buffer::new(square, 1);
        drop(buffered.ready().await.expect("it is ready").call(3).await);
    });
}

fn demand_panic(what: &str, future: impl Future<Output = ()>) {
    let run = || EventLoop::new().expect("there are descriptors").block_on(future);
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err(what);
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref().copied()).unwrap_or("");
    assert!(message.contains("no reactor running"), "{what}: {message}");
}

/// A row of the page's first table.
struct Row {
    krate: String,
    version: String,
    by: Vec<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The rows whose last cell says by what they are run.
fn rows(page: &str) -> Vec<Row> {
    let table = page.split("## What does not").next().unwrap_or_default();
    let lines = table.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [krate, version, .., by] = cells[..] else { panic!("too few cells: {line}") };
            let spans = |cell: &str| {
                cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
            };
            Row { krate: spans(krate).remove(0), version: version.to_owned(), by: spans(by) }
        })
        .collect()
}

/// The versions that the lock file has of each crate.
fn locked(lock: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock.split("[[package]]").skip(1) {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key));
            line.and_then(|value| value.split('"').nth(1)).expect("each package has it")
        };
        versions.entry(value("name = ")).or_default().push(value("version = "));
    }
    versions
}

/// The source of a program with its test; or the one that `FILE::TEST` names: of this file that test alone.
fn source(by: &str) -> String {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some((file, test)) = by.split_once("::") {
        let all = read(&here.join(format!("tests/{file}.rs")));
        let begin = format!("fn {test}() {{\n");
        let (_, rest) = all.split_once(&begin).unwrap_or_else(|| panic!("there is no test {by}"));
        return match file {
            "what_runs" => rest.split("\n}\n").next().unwrap_or_default().to_owned(),
            _ => all,
        };
    }
    let mut sources = read(&here.join(format!("tests/{by}.rs")));
    let one = here.join(format!("src/bin/{by}.rs"));
    if one.exists() {
        return sources + &read(&one);
    }
    for entry in fs::read_dir(here.join(format!("src/bin/{by}"))).expect("a program's folder") {
        sources += &read(&entry.expect("an entry").path());
    }
    sources
}

#[test]
fn the_page_says_what_is_run() {
    let page = read(&root().join("docs/what-runs-on-it.md"));
    let lock = read(&root().join("Cargo.lock"));
    let locked = locked(&lock);
    let rows = rows(&page);
    assert!(rows.len() > 15, "the table was found: {} rows", rows.len());
    let mut wrong = Vec::new();
    for Row { krate, version, by } in &rows {
        let versions = locked.get(krate.as_str()).cloned().unwrap_or_default();
        let line = format!("{version}.");
        if !versions.iter().any(|locked| locked == version || locked.starts_with(&line)) {
            wrong.push(format!("{krate} {version}: the lock file has {versions:?}"));
        }
        if by.is_empty() {
            wrong.push(format!("{krate}: no program and no test is named"));
        }
        let name = krate.replace('-', "_");
        for by in by {
            let source = source(by);
            if !["::", ".", "("].iter().any(|next| source.contains(&format!("{name}{next}"))) {
                wrong.push(format!("{krate}: {by} does not use it"));
            }
        }
    }
    assert!(wrong.is_empty(), "docs/what-runs-on-it.md:\n{}", wrong.join("\n"));
}

/// The check is one that can fail.
#[test]
fn a_wrong_row_is_found() {
    let page = "| crate | version |\n| --- | --- |\n| `h2` | 0.4 | how | `what_runs::h2_has_fifty_streams_on_one_connection` |\n\
                ## What does not\n| `reqwest` | 0.1 | - | - |\n";
    let rows = rows(page);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].krate.as_str(), rows[0].version.as_str()), ("h2", "0.4"));
    assert!(source(&rows[0].by[0]).contains("h2::server"));
    assert!(!source(&rows[0].by[0]).contains("tokio_rustls"), "another test's body");
    let locked = locked("[[package]]\nname = \"h2\"\nversion = \"0.4.1\"\n");
    assert_eq!(locked["h2"], ["0.4.1"]);
    assert!(catch_unwind(|| source("what_runs::none")).is_err());
}
