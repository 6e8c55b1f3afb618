//! One connection: TLS first, if it is on; then HTTP, which hands out the page; then, if the client asks for it, WebSocket.
//!
//! All of that is one task. So when the server waits for its connections to end, it waits for the upgraded ones too.
//!
//! The streams differ (TCP, TLS over it, what hyper hands out after an upgrade), and each speaks the futures-io traits or
//! hyper's. `Io` leads from one to the other, both ways.

use std::{cell::RefCell, convert::Infallible, future::ready, pin::pin, time::Duration};

use anyhow::{Context, anyhow};
use async_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::server::create_response_with_body,
        protocol::{Role, WebSocketConfig},
    },
};
use futures_lite::{AsyncRead, AsyncWrite, FutureExt};
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
    upgrade::OnUpgrade,
};
use whirligig::{
    adapters::hyper::{Io, Timer},
    net::TcpStream,
    time::timeout,
};

use crate::{Chat, member};

/// How long a client may take to shake hands, and to send the head of a request.
const LIMIT: Duration = Duration::from_secs(20);
/// The largest message, in bytes.
const LARGEST: usize = 64 * 1024;
/// The largest at `/echo`, in bytes.
const LARGEST_ECHO: usize = 32 * 1024 * 1024;

/// What a connection is to become.
#[derive(Debug)]
enum Upgrade {
    /// A member of this room.
    Room(String),
    /// Whatever comes is sent back. That is for programs that test WebSocket servers.
    Echo,
}

type Wanted = RefCell<Option<(Upgrade, OnUpgrade)>>;

/// Serves a connection to its end.
pub(crate) async fn serve(stream: TcpStream, chat: &Chat) -> anyhow::Result<()> {
    match &chat.tls {
        None => http(stream, chat).await,
        Some(tls) => {
            let shaken = timeout(LIMIT, tls.accept(stream)).await;
            let stream = shaken.context("the client shakes no hands")?.context("TLS")?;
            http(stream, chat).await
        }
    }
}

async fn http(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    chat: &Chat,
) -> anyhow::Result<()> {
    let wanted: Wanted = RefCell::new(None);
    {
        let mut builder = http1::Builder::new();
        builder.timer(Timer).header_read_timeout(LIMIT);
        let service = service_fn(|request| ready(Ok::<_, Infallible>(answer(request, &wanted))));
        let mut http = pin!(builder.serve_connection(Io::new(stream), service).with_upgrades());
        let ended = async { Some(http.as_mut().await) };
        let stopping = async {
            chat.stopping.cancelled().await;
            None
        };
        let ended = match ended.or(stopping).await {
            Some(ended) => ended,
            None => {
                http.as_mut().graceful_shutdown();
                http.await
            }
        };
        // A browser that was shown the page and goes away, or is silent for too long, is no news.
        if wanted.borrow().is_none() {
            return ended.or_else(|error| match error {
                error if error.is_timeout() || error.is_incomplete_message() => Ok(()),
                error => Err(error.into()),
            });
        }
    }
    let Some((upgrade, upgraded)) = wanted.into_inner() else { return Ok(()) };
    let stream = Io::new(upgraded.await.context("no upgrade")?);
    let largest = match upgrade {
        Upgrade::Room(_) => LARGEST,
        Upgrade::Echo => LARGEST_ECHO,
    };
    let config =
        WebSocketConfig::default().max_message_size(Some(largest)).max_frame_size(Some(largest));
    let socket = WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await;
    match upgrade {
        Upgrade::Room(room) => member::converse(socket, chat, &room).await,
        Upgrade::Echo => member::echo(socket, chat).await,
    }
    .map_err(|error| anyhow!("WebSocket: {error}"))
}

/// The page, or the answer that begins a WebSocket.
fn answer(request: Request<Incoming>, wanted: &Wanted) -> Response<String> {
    let path = request.uri().path();
    let room = |room: &str| {
        let is_name = (1..=40).contains(&room.len())
            && room.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_name.then(|| room.to_owned())
    };
    let upgrade = match path {
        "/echo" => Some(Upgrade::Echo),
        _ => path.strip_prefix("/ws/").and_then(room).map(Upgrade::Room),
    };
    if let Some(upgrade) = upgrade {
        return match create_response_with_body(&request, String::new) {
            Ok(response) => {
                *wanted.borrow_mut() = Some((upgrade, hyper::upgrade::on(request)));
                response
            }
            Err(error) => {
                let mut response = text(StatusCode::UPGRADE_REQUIRED, &format!("{error}\n"));
                response.headers_mut().insert("upgrade", HeaderValue::from_static("websocket"));
                response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
                response
            }
        };
    }
    if path != "/" && path.strip_prefix("/room/").and_then(room).is_none() {
        return text(StatusCode::NOT_FOUND, "There is a room at /, and at each /room/NAME.\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET is of use here.\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let mut page = text(StatusCode::OK, include_str!("page.html"));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    page.headers_mut().insert(CONTENT_TYPE, html);
    page
}

fn text(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_owned());
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
