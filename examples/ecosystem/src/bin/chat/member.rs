//! One who is in a room: what it says goes to the room, and what the room says goes to it.
//!
//! Both directions are one loop: whichever comes first is done, and to wait for either loses nothing of the other. While a
//! client does not read, the loop waits in `send`; the room goes on, and the broadcast channel drives out what that
//! client has not seen. When it reads again, it is told how much that was.
//!
//! What must hold: no client holds up another. Each wait for a client has a limit.
//!
//! **Alternative:** a queue for each member, into which the room puts. Bounded, the slowest member decides how fast the
//! room is; unbounded, it decides how much memory there is.

use std::{ops::ControlFlow, time::Duration};

use async_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        error::ProtocolError,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use futures_lite::{AsyncRead, AsyncWrite, FutureExt, StreamExt};
use whirligig::{sync::broadcast::RecvError, time::timeout};

use crate::{
    Chat,
    rooms::{Event, Seat},
};

/// The longest text of one message, in characters.
const LONGEST: usize = 4000;

/// What has come for a member.
enum Next {
    FromClient(Option<Result<Message, Error>>),
    FromRoom(Result<Utf8Bytes, RecvError>),
    Stopping,
}

/// The first text is the client's name; each further one is said in the room. Until the client, or the server, ends it.
pub(crate) async fn converse<S>(
    mut socket: WebSocketStream<S>,
    chat: &Chat,
    room: &str,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let named = chat.stopping.run_until_cancelled(timeout(chat.patience, name(&mut socket))).await;
    let Some(named) = named else { return leave(socket, chat.patience, going_away()).await };
    let why = match named {
        Ok(Ok(Some(name))) => match chat.rooms.join(room, &name) {
            Ok(seat) => return sit(socket, chat, seat).await,
            Err(why) => why,
        },
        Ok(Ok(None)) => return Ok(()),
        Ok(Err(error)) => return failed(socket, chat.patience, error).await,
        Err(_) => "no name came".to_owned(),
    };
    let refused = Message::Text(Event::Refused { why: &why }.json());
    _ = timeout(chat.patience, socket.send(refused)).await;
    leave(socket, chat.patience, CloseFrame { code: CloseCode::Policy, reason: why.into() }).await
}

/// The first text, or `None` if the client goes.
async fn name<S>(socket: &mut WebSocketStream<S>) -> Result<Option<Utf8Bytes>, Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(name) => return Ok(Some(name)),
            Message::Close(_) => return Ok(None),
            _ => {}
        }
    }
    Ok(None)
}

async fn sit<S>(
    mut socket: WebSocketStream<S>,
    chat: &Chat,
    mut seat: Seat<'_>,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let from_client = async { Next::FromClient(socket.next().await) };
        let from_room = async { Next::FromRoom(seat.events.recv().await) };
        let stopping = async {
            chat.stopping.cancelled().await;
            Next::Stopping
        };
        let event = match stopping.or(from_client).or(from_room).await {
            Next::FromClient(None) => return Ok(()),
            Next::FromClient(Some(Err(error))) => {
                return failed(socket, chat.patience, error).await;
            }
            Next::FromClient(Some(Ok(message))) => {
                if let ControlFlow::Break(close) = hear(message, &seat) {
                    return leave(socket, chat.patience, close).await;
                }
                continue;
            }
            Next::FromRoom(Ok(event)) => event,
            Next::FromRoom(Err(RecvError::Lagged(events))) => Event::Missed { events }.json(),
            // The sender is in the room, and the room is there as long as somebody sits in it.
            Next::FromRoom(Err(RecvError::Closed)) | Next::Stopping => {
                return leave(socket, chat.patience, going_away()).await;
            }
        };
        match timeout(chat.patience, socket.send(Message::Text(event))).await {
            Ok(sent) => sent.or_else(ended_by)?,
            Err(elapsed) => return Err(Error::Io(elapsed.into())),
        }
    }
}

/// What a client has sent. tungstenite answers pings and closes by itself.
fn hear(message: Message, seat: &Seat<'_>) -> ControlFlow<CloseFrame> {
    let refuse =
        |code, reason: &'static str| ControlFlow::Break(CloseFrame { code, reason: reason.into() });
    match message {
        Message::Text(text) if text.chars().count() > LONGEST => {
            refuse(CloseCode::Size, "a message has at most 4000 characters")
        }
        Message::Text(text) => {
            if !text.trim().is_empty() {
                seat.say(text.trim());
            }
            ControlFlow::Continue(())
        }
        Message::Binary(_) => refuse(CloseCode::Unsupported, "only text is spoken here"),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_) => {
            ControlFlow::Continue(())
        }
    }
}

/// Sends back each text and each binary message.
pub(crate) async fn echo<S>(mut socket: WebSocketStream<S>, chat: &Chat) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let Some(next) = chat.stopping.run_until_cancelled(socket.next()).await else {
            return leave(socket, chat.patience, going_away()).await;
        };
        match next {
            None => return Ok(()),
            Some(Err(error)) => return failed(socket, chat.patience, error).await,
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => {
                match timeout(chat.patience, socket.send(message)).await {
                    Ok(sent) => sent.or_else(ended_by)?,
                    Err(elapsed) => return Err(Error::Io(elapsed.into())),
                }
            }
            Some(Ok(_)) => {}
        }
    }
}

fn going_away() -> CloseFrame {
    CloseFrame { code: CloseCode::Away, reason: "the server is stopped".into() }
}

/// Closes the WebSocket properly: says so, and waits for the client to say so too.
async fn leave<S>(
    mut socket: WebSocketStream<S>,
    patience: Duration,
    close: CloseFrame,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let closing = async {
        socket.close(Some(close)).await?;
        while socket.next().await.transpose()?.is_some() {}
        Ok(())
    };
    match timeout(patience, closing).await {
        Ok(closed) => closed.or_else(ended_by),
        Err(elapsed) => Err(Error::Io(elapsed.into())),
    }
}

/// A client that has broken the protocol is told how, as RFC 6455 has it (7.4.1).
async fn failed<S>(
    mut socket: WebSocketStream<S>,
    patience: Duration,
    error: Error,
) -> Result<(), Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let code = match &error {
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return Ok(()),
        Error::Protocol(_) => CloseCode::Protocol,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Capacity(_) => CloseCode::Size,
        _ => return ended_by(error),
    };
    let reason = error.to_string();
    // What it sends further is not read: after such an error nobody knows where a frame begins.
    let close = socket.close(Some(CloseFrame { code, reason: reason.into() }));
    _ = timeout(patience, close).await;
    Err(error)
}

/// A client that goes without a word has gone; that is no fault of anybody's.
fn ended_by(error: Error) -> Result<(), Error> {
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Ok(()),
        error => Err(error),
    }
}
