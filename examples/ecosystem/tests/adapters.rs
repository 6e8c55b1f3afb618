//! Other people's crates over the adapters, on the event loop and on the runtime with one worker and with four.

use std::{
    cell::Cell,
    convert::Infallible,
    error::Error as _,
    future::{pending, ready},
    net::{Ipv4Addr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use axum::{Router, routing::get};
use bytes::Bytes;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode, body::Incoming};
use hyper_util::client::legacy::Client;
use whirligig::{
    EventLoop,
    adapters::{
        hickory,
        hyper::{Connector, Executor, Io, LocalExecutor, Served, Timer, serve, serve_local},
        quinn::Runtime,
    },
    net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream},
    spawn,
    sync::Event,
    task::{CancelToken, JoinHandle},
};

#[path = "../../../tests/support/variants.rs"]
mod variants;
#[path = "../../../tests/support/watchdog.rs"]
mod watchdog;

use variants::on_each_variant;

type Body = Full<Bytes>;
type HttpClient = Client<Connector, Body>;

fn client(http2: bool) -> HttpClient {
    Client::builder(Executor)
        .timer(Timer)
        .pool_timer(Timer)
        .pool_idle_timeout(Duration::from_secs(60))
        .http2_only(http2)
        .build(Connector::new())
}

/// A router behind a listener of its own, and how to stop it.
async fn served(router: Router) -> (SocketAddr, CancelToken, JoinHandle<std::io::Result<Served>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancelToken::new();
    let server = serve(listener, router)
        .header_read_timeout(Duration::from_secs(60))
        .grace(Duration::from_secs(60))
        .stop_when(stop.clone().cancelled_owned());
    (address, stop, spawn(server.run()))
}

async fn text(client: &HttpClient, uri: String) -> String {
    let response = client.get(uri.parse().unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

fn router() -> Router {
    Router::new()
        .route("/", get(async || "hello"))
        .route("/echo", axum::routing::post(async |body: String| body))
}

/// Requests one after the other share a connection; those at once do under HTTP/2. All are idle at the stop, which so
/// cuts nothing off.
#[test]
fn a_router_serves_the_pooled_client_and_stops() {
    on_each_variant(|_| async {
        for http2 in [false, true] {
            let (address, stop, server) = served(router()).await;
            let client = client(http2);
            for _ in 0..20 {
                assert_eq!(text(&client, format!("http://{address}/")).await, "hello");
            }
            // The name is looked up, and one of its addresses answers.
            let uri = format!("http://localhost:{}/", address.port());
            assert_eq!(text(&client, uri).await, "hello");
            let sent: Vec<u8> = vec![b'x'; 1 << 20];
            let request = Request::post(format!("http://{address}/echo"))
                .body(Full::from(sent.clone()))
                .unwrap();
            let echoed = client.request(request).await.unwrap().into_body();
            assert!(echoed.collect().await.unwrap().to_bytes() == sent);
            let at_once = (0..50).map(|_| {
                let client = client.clone();
                spawn(async move { text(&client, format!("http://{address}/")).await })
            });
            for answer in at_once.collect::<Vec<_>>() {
                assert_eq!(answer.await.unwrap(), "hello");
            }
            stop.cancel();
            let served = server.await.unwrap().unwrap();
            assert_eq!(served.cut_off, 0);
            if http2 {
                assert_eq!(served.connections, 2, "one for each name of the host");
            }
        }
    });
}

/// At the stop a request goes on: it gets its answer, and then the connection ends.
#[test]
fn what_has_begun_is_finished() {
    on_each_variant(|_| async {
        let (begun, go_on) = (Arc::new(Event::new()), Arc::new(Event::new()));
        let waits = {
            let (begun, go_on) = (begun.clone(), go_on.clone());
            get(async move || {
                begun.set();
                go_on.wait().await;
                "finished"
            })
        };
        let (address, stop, server) = served(Router::new().route("/", waits)).await;
        let client = client(false);
        let answer = spawn(async move { text(&client, format!("http://{address}/")).await });
        begun.wait().await;
        stop.cancel();
        // The listener is gone first.
        while TcpStream::connect(address).await.is_ok() {}
        assert!(!server.is_finished());
        go_on.set();
        assert_eq!(answer.await.unwrap(), "finished");
        let served = server.await.unwrap().unwrap();
        assert_eq!(served.cut_off, 0);
    });
}

/// One that does not finish is cut off when the grace is over, and counted; an idle one is not.
#[test]
fn what_does_not_finish_is_cut_off() {
    on_each_variant(|_| async {
        let begun = Arc::new(Event::new());
        let never = {
            let begun = begun.clone();
            get(async move || {
                begun.set();
                pending::<&str>().await
            })
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancelToken::new();
        let server = serve(listener, Router::new().route("/", never))
            .grace(Duration::from_millis(20))
            .stop_when(stop.clone().cancelled_owned());
        let server = spawn(server.run());
        let mut idle = TcpStream::connect(address).await.unwrap();
        let mut asks = TcpStream::connect(address).await.unwrap();
        asks.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        begun.wait().await;
        stop.cancel();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.connections, served.cut_off), (2, 1));
        for stream in [&mut idle, &mut asks] {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert_eq!(rest, b"");
        }
    });
}

/// Nothing, half of HTTP/2's preface, half a head: each is given up.
#[test]
fn a_client_that_does_not_go_on_is_given_up() {
    on_each_variant(|_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancelToken::new();
        let server = serve(listener, router())
            .header_read_timeout(Duration::from_millis(20))
            .stop_when(stop.clone().cancelled_owned());
        let server = spawn(server.run());
        for beginning in ["", "PRI * HTTP/2", "GET / HTTP/1.1\r\nhost: he"] {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
            assert!(!String::from_utf8_lossy(&rest).contains("200"), "{beginning:?}");
        }
        stop.cancel();
        let served = server.await.unwrap().unwrap();
        assert_eq!((served.connections, served.cut_off), (3, 0));
    });
}

#[test]
fn a_dropped_server_leaves_no_connection() {
    on_each_variant(|_| async {
        let (address, _stop, server) = served(router()).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
        drop(server.cancel_on_drop());
        // The end, after what is left of the answer.
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
}

/// A service that is not `Send`, over TCP and over a Unix socket.
#[test]
fn a_local_service_needs_no_send() {
    let event_loop = EventLoop::new().unwrap();
    event_loop.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let visits = Rc::new(Cell::new(0));
        let count = {
            let visits = visits.clone();
            tower_service_fn(move |_| {
                visits.set(visits.get() + 1);
                Response::new(Body::from(format!("visit {}", visits.get())))
            })
        };
        let stop = CancelToken::new();
        let listener = UnixListener::bind(&path).unwrap();
        let server = serve_local(listener, count).stop_when(stop.clone().cancelled_owned());
        let server = whirligig::spawn_local(server.run());
        let stream = UnixStream::connect(&path).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(LocalExecutor::new(), stream).await.unwrap();
        let connection = whirligig::spawn_local(connection);
        for visit in 1..=3 {
            let request = Request::get("http://here/").body(Body::default()).unwrap();
            let answer = sender.send_request(request).await.unwrap();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("visit {visit}"));
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        stop.cancel();
        assert_eq!(server.await.unwrap().unwrap().cut_off, 0);
        assert_eq!(visits.get(), 3);
    });
}

/// A tower service of a function.
fn tower_service_fn<F>(
    answer: F,
) -> impl tower_service::Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = std::future::Ready<Result<Response<Body>, Infallible>>,
> + Clone
where
    F: FnMut(Request<Incoming>) -> Response<Body> + Clone,
{
    #[derive(Clone)]
    struct Service<F>(F);
    impl<F: FnMut(Request<Incoming>) -> Response<Body>> tower_service::Service<Request<Incoming>>
        for Service<F>
    {
        type Response = Response<Body>;
        type Error = Infallible;
        type Future = std::future::Ready<Result<Response<Body>, Infallible>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Incoming>) -> Self::Future {
            ready(Ok((self.0)(request)))
        }
    }
    Service(answer)
}

#[test]
fn the_connector_says_where_it_could_not_connect() {
    on_each_variant(|_| async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = closed.local_addr().unwrap();
        drop(closed);
        let told = async |uri: String| {
            let error = client(false).get(uri.parse().unwrap()).await.unwrap_err();
            assert!(error.is_connect());
            error.source().unwrap().to_string()
        };
        let refused = told(format!("http://localhost:{}/", address.port())).await;
        assert!(refused.contains(&format!("localhost:{}", address.port())), "{refused}");
        let insecure = told("https://localhost/".into()).await;
        assert!(insecure.contains("enforce_http(false)"), "{insecure}");
        let unknown = told("http://no-such-host.invalid/".into()).await;
        assert!(unknown.contains("no-such-host.invalid:80"), "{unknown}");
    });
}

/// hyper over TLS: tokio-rustls by tokio's traits below, futures-rustls by `Io` above.
#[test]
fn hyper_speaks_over_tls() {
    on_each_variant(|_| async {
        let own = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let certificate = own.cert.der().clone();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let server = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.into())
            .unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let config =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = futures_rustls::TlsAcceptor::from(Arc::new(server));
            let stream = acceptor.accept(stream).await.unwrap();
            let echo = hyper::service::service_fn(async |request: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(request.into_body()))
            });
            hyper::server::conn::http1::Builder::new()
                .serve_connection(Io::new(stream), echo)
                .await
                .unwrap();
        });
        let stream = TcpStream::connect(address).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        let sent = "x".repeat(1 << 20);
        let head = format!(
            "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            sent.len()
        );
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let (written, answer) = futures_util::join!(
            async {
                use tokio::io::AsyncWriteExt;
                writer.write_all(head.as_bytes()).await?;
                writer.write_all(sent.as_bytes()).await?;
                writer.flush().await
            },
            async {
                use tokio::io::AsyncReadExt;
                let mut answer = String::new();
                reader.read_to_string(&mut answer).await.map(|_| answer)
            }
        );
        written.unwrap();
        assert!(answer.unwrap().ends_with(&sent));
        serving.await.unwrap();
    });
}

/// A megabyte to a QUIC server and back, on each of four streams.
#[test]
fn quinn_echoes() {
    on_each_variant(|_| async {
        let own = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
        let certificate = own.cert.der().clone();
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
        let config =
            quinn::ServerConfig::with_single_cert(vec![certificate.clone()], key.into()).unwrap();
        let socket = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let endpoint = |config| {
            let own = quinn::EndpointConfig::default();
            quinn::Endpoint::new(own, config, socket(), Arc::new(Runtime)).unwrap()
        };
        let server = endpoint(Some(config));
        let address = server.local_addr().unwrap();
        let echo = spawn({
            let server = server.clone();
            async move {
                let connection = server.accept().await.unwrap().await.unwrap();
                while let Ok((mut sender, mut receiver)) = connection.accept_bi().await {
                    spawn(async move {
                        while let Some(chunk) = receiver.read_chunk(1 << 16, true).await.unwrap() {
                            sender.write_chunk(chunk.bytes).await.unwrap();
                        }
                        sender.finish().unwrap();
                        let _ = sender.stopped().await;
                    });
                }
            }
        });
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate).unwrap();
        let trusts = quinn::ClientConfig::with_root_certificates(Arc::new(roots)).unwrap();
        let client = endpoint(None);
        let connection = client.connect_with(trusts, address, "localhost").unwrap().await.unwrap();
        let streams = (0..4).map(|seed| {
            let connection = connection.clone();
            spawn(async move {
                let sent: Vec<u8> = (0..1 << 20).map(|n| ((n + seed) % 251) as u8).collect();
                let (mut sender, mut receiver) = connection.open_bi().await.unwrap();
                let sends = async {
                    sender.write_all(&sent).await.unwrap();
                    sender.finish().unwrap();
                };
                let ((), received) = futures_util::join!(sends, receiver.read_to_end(2 << 20));
                assert!(received.unwrap() == sent);
            })
        });
        for stream in streams.collect::<Vec<_>>() {
            stream.await.unwrap();
        }
        connection.close(0u32.into(), b"done");
        echo.await.unwrap();
        for endpoint in [client, server] {
            endpoint.close(0u32.into(), b"");
            endpoint.wait_idle().await;
        }
    });
}

/// The answer of a name server to a query for an address: 192.0.2.7.
fn answer_to(query: &[u8]) -> Vec<u8> {
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + usize::from(query[end]);
    }
    end += 5;
    let mut answer = query[..end].to_vec();
    answer[2..4].copy_from_slice(&[0x81, 0x80]);
    let is_a = query[end - 4..end - 2] == [0, 1];
    answer[6..12].copy_from_slice(&[0, u8::from(is_a), 0, 0, 0, 0]);
    if is_a {
        answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7]);
    }
    answer
}

/// A look-up at a name server of ours, by UDP and by TCP.
#[test]
fn hickory_looks_up() {
    use hickory_resolver::{
        Resolver,
        config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    };
    on_each_variant(|_| async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ports = (socket.local_addr().unwrap().port(), listener.local_addr().unwrap().port());
        let by_udp = spawn(async move {
            let mut query = [0; 1500];
            loop {
                let (length, from) = socket.recv_from(&mut query).await.unwrap();
                socket.send_to(&answer_to(&query[..length]), from).await.unwrap();
            }
        });
        let by_tcp = spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut length = [0; 2];
            while stream.read_exact(&mut length).await.is_ok() {
                let mut query = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut query).await.unwrap();
                let answer = answer_to(&query);
                let length = (answer.len() as u16).to_be_bytes();
                stream.write_all(&[&length, answer.as_slice()].concat()).await.unwrap();
            }
        });
        let [mut udp, mut tcp] = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
        (udp.port, tcp.port) = ports;
        for connection in [udp, tcp] {
            let server = NameServerConfig::new(Ipv4Addr::LOCALHOST.into(), true, vec![connection]);
            let config = ResolverConfig::from_parts(None, vec![], vec![server]);
            let resolver =
                Resolver::builder_with_config(config, hickory::Provider).build().unwrap();
            let found = resolver.lookup_ip("example.test.").await.unwrap();
            let found: Vec<_> = found.iter().collect();
            assert_eq!(found, [std::net::IpAddr::from([192, 0, 2, 7])]);
        }
        by_udp.cancel();
        by_tcp.cancel();
    });
}
