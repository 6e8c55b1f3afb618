//! The chat, with clients of a crate, with a browser, and with the suite that other people test WebSocket servers with.
//!
//! The clients run on an event loop of the test's own.

mod support;

use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    sync::Arc,
};

use async_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{
        Error, Message,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, StreamExt};
use futures_rustls::{
    TlsConnector,
    client::TlsStream,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
    rustls::{ClientConfig, RootCertStore},
};
use serde_json::Value;
use support::{Server, Watchdog, refuses, tool};
use whirligig::net::TcpStream;

const CHAT: &str = env!("CARGO_BIN_EXE_chat");

fn start(more: &[&str]) -> Server {
    let mut arguments = vec!["--listen", "127.0.0.1:0"];
    arguments.extend(more);
    Server::start(CHAT, &arguments)
}

/// One who chats.
struct Client<S>(WebSocketStream<S>);

impl Client<TcpStream> {
    async fn connect(server: &Server, path: &str) -> Self {
        let stream = TcpStream::connect(server.address).await.expect("the server listens");
        Self::upgrade(stream, &format!("ws://{}{path}", server.address)).await
    }

    /// Connects, and waits until it is in the room.
    async fn join(server: &Server, room: &str, name: &str) -> Self {
        let mut client = Self::connect(server, &format!("/ws/{room}")).await;
        client.say(name).await;
        let joined = client.hear().await;
        assert_eq!((&joined["event"], &joined["name"]), (&"joined".into(), &name.into()));
        client
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    async fn upgrade(stream: S, url: &str) -> Self {
        Self(client_async(url, stream).await.expect("the server speaks WebSocket").0)
    }

    async fn say(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.expect("the server reads");
    }

    async fn next(&mut self) -> Message {
        self.0.next().await.expect("there is more").expect("the server speaks WebSocket")
    }

    async fn hear(&mut self) -> Value {
        let message = self.next().await;
        let text = message.to_text().expect("events are texts");
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {message:?}"))
    }

    /// The next event must be this.
    async fn hears(&mut self, event: &str, name: &str, text: Option<&str>) {
        let heard = self.hear().await;
        assert_eq!(heard["event"], event, "{heard}");
        assert_eq!(heard["name"], name, "{heard}");
        assert_eq!(heard["text"].as_str(), text, "{heard}");
    }

    /// The server says goodbye.
    async fn is_closed_with(&mut self, code: CloseCode) {
        let message = self.next().await;
        let Message::Close(Some(CloseFrame { code: closed, .. })) = message else {
            panic!("no close: {message:?}");
        };
        assert_eq!(closed, code);
    }
}

#[test]
fn a_room_hears_what_is_said_in_it_and_who_comes_and_goes() {
    let _watchdog = Watchdog::new("a_room_hears_what_is_said_in_it_and_who_comes_and_goes");
    let server = start(&[]);
    whirligig::run(async {
        let mut ada = Client::join(&server, "lobby", "Ada").await;
        let mut bob = Client::join(&server, "lobby", "Bob").await;
        let mut carl = Client::join(&server, "elsewhere", "Carl").await;
        ada.hears("joined", "Bob", None).await;
        ada.say("  hello, \u{1f408} <b>  ").await;
        bob.say("hello, Ada").await;
        for client in [&mut ada, &mut bob] {
            client.hears("said", "Ada", Some("hello, \u{1f408} <b>")).await;
            client.hears("said", "Bob", Some("hello, Ada")).await;
        }
        // A close, and a connection that breaks: Bob's name is free both times.
        bob.0.close(None).await.expect("the server reads");
        ada.hears("left", "Bob", None).await;
        let bob = Client::join(&server, "lobby", "Bob").await;
        ada.hears("joined", "Bob", None).await;
        drop(bob);
        ada.hears("left", "Bob", None).await;
        // In the other room nothing of it was heard: what comes first there is its own.
        carl.say("alone").await;
        carl.hears("said", "Carl", Some("alone")).await;
    });
    let (printed, log, status) = server.stop();
    assert!(status.success(), "{status}: {printed}{log}");
    assert!(printed.contains("Messages: 3"), "{printed}");
}

#[test]
fn who_does_not_keep_to_the_rules_is_told_and_let_go() {
    let _watchdog = Watchdog::new("who_does_not_keep_to_the_rules_is_told_and_let_go");
    let server = start(&[]);
    whirligig::run(async {
        let _ada = Client::join(&server, "lobby", "Ada").await;
        for (name, why) in [("Ada", "Ada is in this room already"), (" ", "1 to 30 characters")] {
            let mut client = Client::connect(&server, "/ws/lobby").await;
            client.say(name).await;
            let refused = client.hear().await;
            assert_eq!(refused["event"], "refused");
            assert!(refused["why"].as_str().is_some_and(|said| said.contains(why)), "{refused}");
            client.is_closed_with(CloseCode::Policy).await;
        }
        let mut talks = Client::join(&server, "elsewhere", "Bob").await;
        talks.say(&"long ".repeat(1000)).await;
        talks.is_closed_with(CloseCode::Size).await;
        let mut sends = Client::join(&server, "elsewhere", "Carl").await;
        sends.0.send(Message::binary(vec![1, 2, 3])).await.expect("the server reads");
        sends.is_closed_with(CloseCode::Unsupported).await;
    });
}

/// One who does not read misses messages; it does not hold up the others, and is told how many it missed.
#[test]
fn a_slow_client_is_told_what_it_missed() {
    let _watchdog = Watchdog::new("a_slow_client_is_told_what_it_missed");
    let server = start(&["--backlog", "16", "--patience", "60"]);
    whirligig::run(async {
        // More is said than the kernel's buffers hold between the server and who does not read.
        let mut slow = Client::connect(&server, "/ws/lobby").await;
        slow.say("Slow").await;
        slow.hears("joined", "Slow", None).await;
        let mut fast = Client::join(&server, "lobby", "Fast").await;
        let long = "much to read ".repeat(300);
        for _ in 0..2000 {
            fast.say(&long).await;
            fast.hears("said", "Fast", Some(long.trim())).await;
        }
        fast.say("the last").await;
        let (mut heard, mut missed) = (0, 0);
        loop {
            let event = slow.hear().await;
            match event["event"].as_str() {
                Some("missed") => missed += event["events"].as_u64().expect("it is a number"),
                Some("said") if event["text"] == "the last" => break,
                Some("said") => heard += 1,
                _ => assert_eq!(event["name"], "Fast", "it has come"),
            }
        }
        // Whatever fits into the kernel's buffers: each message was heard, or counted as missed. (The one
        // who came may be among those missed.)
        assert!(missed > 0, "heard {heard}");
        assert!((2000..=2001).contains(&(heard + missed)), "heard {heard}, missed {missed}");
    });
}

#[test]
fn the_end_is_said_to_each_client() {
    let _watchdog = Watchdog::new("the_end_is_said_to_each_client");
    let server = start(&[]);
    let (mut ada, mut new, http) = whirligig::run(async {
        let ada = Client::join(&server, "lobby", "Ada").await;
        let new = Client::connect(&server, "/ws/lobby").await;
        let http = TcpStream::connect(server.address).await.expect("the server listens");
        (ada, new, http)
    });
    server.signal(nix::sys::signal::Signal::SIGTERM);
    whirligig::run(async {
        for client in [&mut ada, &mut new] {
            client.is_closed_with(CloseCode::Away).await;
            assert!(
                client.0.next().await.is_none_or(|end| matches!(end, Err(Error::ConnectionClosed)))
            );
        }
    });
    drop(http);
    let (printed, log, status) = server.wait();
    assert!(status.success(), "{status}: {printed}{log}");
    assert!(printed.contains("connections cut off: 0"), "{printed}");
}

/// A certificate of our own, which the client trusts and no other.
#[test]
fn over_tls() {
    let _watchdog = Watchdog::new("over_tls");
    let folder = tempfile::tempdir().expect("there is room");
    let [chain, key] = ["chain.pem", "key.pem"].map(|name| folder.path().join(name));
    let made =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("it can be made");
    fs::write(&chain, made.cert.pem()).expect("there is room");
    fs::write(&key, made.signing_key.serialize_pem()).expect("there is room");
    let [chain, key] = [&chain, &key].map(|path| path.to_str().expect("it is UTF-8"));
    let server = start(&["--tls", "--certificate", chain, "--key", key]);

    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(chain).expect("it was written");
    roots.add(certificate).expect("it is a certificate");
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let connect = async |name: &'static str| -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(server.address).await?;
        connector.connect(ServerName::try_from(name).expect("it is a name"), stream).await
    };
    whirligig::run(async {
        let url = "wss://localhost/ws/lobby";
        let mut ada =
            Client::upgrade(connect("localhost").await.expect("it is trusted"), url).await;
        ada.say("Ada").await;
        ada.hears("joined", "Ada", None).await;
        ada.say("in secret").await;
        ada.hears("said", "Ada", Some("in secret")).await;
        // Another name is not this server's.
        assert!(connect("example.org").await.is_err());
        // And who speaks no TLS gets no page.
        let mut plain = TcpStream::connect(server.address).await.expect("the server listens");
        plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("the server reads");
        let mut answer = Vec::new();
        _ = plain.read_to_end(&mut answer).await;
        assert!(!String::from_utf8_lossy(&answer).contains("html"));
    });
    let (printed, log, status) = server.stop();
    assert!(status.success(), "{status}: {printed}{log}");
}

#[test]
fn what_http_is_answered() {
    let _watchdog = Watchdog::new("what_http_is_answered");
    let server = start(&[]);
    let agent: ureq::Agent =
        ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let ask = |method: &str, path: &str| {
        let url = format!("http://{}{path}", server.address);
        let request = ureq::http::Request::builder().method(method).uri(url).body(());
        let mut response = agent.run(request.expect("it is a request")).expect("it answers");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("it is UTF-8"))
    };
    assert!(ask("GET", "/room/tea").1.starts_with("<!doctype html>"));
    assert_eq!(ask("GET", "/room/tea").0, 200);
    assert_eq!(ask("GET", "/room/no%20room").0, 404);
    assert_eq!(ask("GET", "/favicon.ico").0, 404);
    assert_eq!(ask("DELETE", "/").0, 405);
    assert_eq!(ask("GET", "/ws/lobby").0, 426);
}

/// A browser opens the page, joins, shows what another says, and says what it shows. Over HTTP and over TLS.
#[test]
fn in_a_real_browser() {
    let _watchdog = Watchdog::new("in_a_real_browser");
    for tls in [false, true] {
        let Some(mut chromium) = tool("chromium", "chromium") else { return };
        let server = start(if tls { &["--tls"] } else { &[] });
        let folder = tempfile::tempdir().expect("there is room");
        let profile = format!("--user-data-dir={}", folder.path().display());
        let scheme = if tls { "https" } else { "http" };
        let url = format!("{scheme}://{}/room/test#Browser", server.address);
        let mut listens = async |stream| {
            let mut ada =
                Client::upgrade(stream, &format!("ws://{}/ws/test", server.address)).await;
            ada.say("Ada").await;
            ada.hears("joined", "Ada", None).await;
            chromium.args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ]);
            chromium.args(["--no-first-run", "--ignore-certificate-errors", &profile, &url]);
            chromium.stdout(Stdio::null()).stderr(Stdio::null());
            let mut browser = Browser(chromium.spawn().expect("it is installed"));
            ada.hears("joined", "Browser", None).await;
            ada.say("hello, <i>browser</i>").await;
            ada.hears("said", "Ada", Some("hello, <i>browser</i>")).await;
            // The text of the line in its page: the name, and the message as text, not as HTML.
            ada.hears("said", "Browser", Some("shown: Adahello, <i>browser</i>")).await;
            browser.end();
            ada.hears("left", "Browser", None).await;
        };
        whirligig::run(async {
            let stream = TcpStream::connect(server.address).await.expect("the server listens");
            if tls {
                let config = ClientConfig::builder()
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(anyone::Anyone))
                    .with_no_client_auth();
                let name = ServerName::try_from("localhost").expect("it is a name");
                let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
                listens(Box::new(stream.expect("TLS")) as Box<dyn Stream>).await;
            } else {
                listens(Box::new(stream) as Box<dyn Stream>).await;
            }
        });
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Ended with all its processes, which hold its folder open.
struct Browser(std::process::Child);

impl Browser {
    fn end(&mut self) {
        _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(self.0.id().cast_signed()),
            nix::sys::signal::Signal::SIGTERM,
        );
        _ = self.0.wait();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.end();
    }
}

/// The certificate that the server makes for itself is known to nobody.
mod anyone {
    use futures_rustls::{
        pki_types::{CertificateDer, ServerName, UnixTime},
        rustls::{
            DigitallySignedStruct, Error, SignatureScheme,
            client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
            crypto::ring::default_provider,
        },
    };

    #[derive(Debug)]
    pub(super) struct Anyone;

    impl ServerCertVerifier for Anyone {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            default_provider().signature_verification_algorithms.supported_schemes()
        }
    }
}

/// Frames as no client of a crate would send them, and what RFC 6455 has the server do. (The suite that is known for
/// such cases, Autobahn's, runs on Python 2 alone.)
#[test]
fn frames_of_all_kinds() {
    let _watchdog = Watchdog::new("frames_of_all_kinds");
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    const CLOSE: u8 = 8;
    const PING: u8 = 9;
    const PONG: u8 = 10;
    const FIN: u8 = 0x80;
    let cat = "\u{1f408}".as_bytes();
    let closes = |code: u16| vec![(FIN | CLOSE, code.to_be_bytes().to_vec())];
    let one = |head: u8, payload: &[u8]| frame(head, payload);
    let mut cases: Vec<(&str, Vec<u8>, Vec<Frame>)> = vec![
        ("a text", one(FIN | TEXT, cat), vec![(FIN | TEXT, cat.to_vec())]),
        (
            "a text in three frames, with a ping between them",
            [
                frame(TEXT, &cat[..1]),
                frame(FIN | PING, b"there?"),
                frame(0, &cat[1..3]),
                frame(FIN, &cat[3..]),
            ]
            .concat(),
            vec![(FIN | PONG, b"there?".to_vec()), (FIN | TEXT, cat.to_vec())],
        ),
        (
            "frames without payload",
            [frame(BINARY, b""), frame(0, b""), frame(FIN, b"")].concat(),
            vec![(FIN | BINARY, vec![])],
        ),
        ("the longest ping", one(FIN | PING, &[7; 125]), vec![(FIN | PONG, vec![7; 125])]),
        (
            "a pong that nobody asked for",
            [frame(FIN | PONG, b"here"), frame(FIN | TEXT, b"a")].concat(),
            vec![(FIN | TEXT, b"a".to_vec())],
        ),
        ("a close with a code", one(FIN | CLOSE, &[3, 232]), closes(1000)),
        ("a close with a code of one's own", one(FIN | CLOSE, &[15, 160]), closes(4000)),
        ("a close without a code", one(FIN | CLOSE, b""), vec![(FIN | CLOSE, vec![])]),
        ("a ping that is too long", one(FIN | PING, &[7; 126]), closes(1002)),
        ("a ping in pieces", one(PING, b"there?"), closes(1002)),
        ("a reserved bit", one(FIN | 0x40 | TEXT, b"a"), closes(1002)),
        ("a reserved kind of message", one(FIN | 3, b"a"), closes(1002)),
        ("a reserved kind of control frame", one(FIN | 11, b"a"), closes(1002)),
        ("a continuation of nothing", one(FIN, b"a"), closes(1002)),
        (
            "a message within a message",
            [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(),
            closes(1002),
        ),
        ("a close with half a code", one(FIN | CLOSE, &[3]), closes(1002)),
        ("a close with a code that is none", one(FIN | CLOSE, &[3, 231]), closes(1002)),
        ("a frame without a mask", vec![FIN | TEXT, 1, b'a'], closes(1002)),
        ("a text that is none", one(FIN | TEXT, &[0xff]), closes(1007)),
        (
            "a text that ends within a character",
            [frame(TEXT, &cat[..2]), frame(FIN, b"")].concat(),
            closes(1007),
        ),
    ];
    // The lengths at which the head of a frame takes another form.
    for length in [0, 125, 126, 127, 65_535, 65_536, 1_000_000] {
        let payload = vec![0xfe; length];
        let expected = vec![(FIN | BINARY, payload.clone())];
        cases.push(("a length", frame(FIN | BINARY, &payload), expected));
    }
    let server = start(&[]);
    for (case, sent, expected) in cases {
        // Byte by byte as well, if that does not take for ever.
        for at_once in [sent.len(), 1] {
            if sent.len() > 1000 && at_once == 1 {
                continue;
            }
            let mut stream = upgraded(&server);
            for piece in sent.chunks(at_once) {
                stream.write_all(piece).unwrap_or_else(|error| panic!("{case}: {error}"));
            }
            for (head, payload) in &expected {
                let (got_head, mut got) = read_frame(&mut stream, case);
                assert_eq!(got_head, *head, "{case}: the head of {got:?}");
                if *head == FIN | CLOSE {
                    // After the code there may be a reason.
                    got.truncate(2);
                }
                assert!(got == *payload, "{case}: {:?}", &got[..got.len().min(100)]);
            }
        }
    }
}

/// The first byte of a frame, and its payload.
type Frame = (u8, Vec<u8>);

/// A connection whose WebSocket has begun.
fn upgraded(server: &Server) -> std::net::TcpStream {
    let mut stream = std::net::TcpStream::connect(server.address).expect("the server listens");
    stream.set_nodelay(true).expect("it is a socket");
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    write!(
        stream,
        "GET /echo HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .expect("the server reads");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("the server answers");
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    // The standard's own example (1.3).
    assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    stream
}

/// A frame as a client sends it: masked.
fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![head];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The server's next frame.
fn read_frame(stream: &mut std::net::TcpStream, case: &str) -> Frame {
    let mut read = |length: usize| {
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).unwrap_or_else(|error| panic!("{case}: {error}"));
        bytes
    };
    let head = read(2);
    let length = match head[1] {
        126 => usize::from(u16::from_be_bytes(read(2).try_into().expect("two bytes"))),
        127 => u64::from_be_bytes(read(8).try_into().expect("eight bytes")) as usize,
        length => usize::from(length),
    };
    (head[0], read(length))
}

#[test]
fn wrong_options_are_named() {
    refuses(CHAT, &["--certificate", "chain.pem"], "--key");
    refuses(CHAT, &["--patience", "0"], "over before anything began");
    refuses(CHAT, &["--backlog", "0"], "--backlog");
    let run =
        Command::new(CHAT).args(["--tls", "--certificate", "/none", "--key", "/none"]).output();
    let complaint = String::from_utf8_lossy(&run.expect("it starts").stderr).into_owned();
    assert!(complaint.contains("cannot read certificates from /none"), "{complaint}");
}
