//! hyper 1 on an event loop or a runtime: its `rt` traits, and with two more features a server and a connector.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `hyper` | [`Executor`], [`LocalExecutor`], [`Timer`]; [`Read`](::hyper::rt::Read) and [`Write`](::hyper::rt::Write) on TCP and Unix streams, and [`Io`] for all else |
//! | `hyper-server` | [`serve`](fn@serve) and [`serve_local`]: a tower service, such as axum's `Router`, behind a listener |
//! | `hyper-client` | [`Connector`], for hyper-util's pooled client |
//! | `hyper-util` | both |
//!
//! A server and a client, in one program:
//!
#![cfg_attr(feature = "hyper-util", doc = "```")]
#![cfg_attr(not(feature = "hyper-util"), doc = "```ignore")]
//! use std::{convert::Infallible, io};
//!
//! use hyper::{Request, Response, body::Incoming};
//! use hyper_util::client::legacy::Client;
//! use whirligig::{
//!     adapters::hyper::{Connector, Executor, Timer, serve},
//!     net::TcpListener,
//!     spawn,
//!     task::CancelToken,
//! };
//!
//! async fn hello(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
//!     Ok(Response::new(format!("hello, {}", request.uri().path())))
//! }
//!
//! whirligig::run(async {
//!     let listener = TcpListener::bind("127.0.0.1:0").await?;
//!     let address = listener.local_addr()?;
//!     let stop = CancelToken::new();
//!     // An axum `Router` goes here as it is.
//!     let service = tower::service_fn(hello);
//!     let server = spawn(serve(listener, service).stop_when(stop.clone().cancelled_owned()).run());
//!
//!     let client: Client<_, String> =
//!         Client::builder(Executor).pool_timer(Timer).build(Connector::new());
//!     let uri = format!("http://{address}/world").parse().unwrap();
//!     let response = client.get(uri).await.map_err(io::Error::other)?;
//!     assert_eq!(response.status(), 200);
//!
//!     stop.cancel();
//!     let served = server.await.unwrap()?;
//!     assert_eq!((served.connections, served.cut_off), (1, 0));
//!     io::Result::Ok(())
//! })?;
//! # std::io::Result::Ok(())
//! ```
//!
//! On an [`EventLoop`](crate::EventLoop) nothing need be `Send`: take [`serve_local`], or [`LocalExecutor`] with hyper's
//! own builders. On both variants, `Send` futures go by [`serve`](fn@serve) and [`Executor`].
//!
//! What must hold: hyper asks for a timer that is `Send + Sync` also where one thread runs all. Ours is numbers, so it
//! is (`time/sleep.rs`).

#[cfg(feature = "hyper-client")]
pub use self::connector::{Connecting, Connector};
#[cfg(feature = "hyper-server")]
pub use self::serve::{Serve, Served, serve, serve_local};
pub use self::{
    io::Io,
    rt::{Executor, LocalExecutor, Timer},
};

#[cfg(feature = "hyper-client")]
mod connector;
#[cfg(feature = "hyper-server")]
mod first_bytes;
mod io;
mod rt;
#[cfg(feature = "hyper-server")]
mod serve;
