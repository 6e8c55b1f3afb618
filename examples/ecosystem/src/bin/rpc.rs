//! gRPC: a service with all four kinds of calls, and a client of it, by tonic, without tokio's runtime.
//!
//! ```text
//! cargo run -p ecosystem --bin rpc                               # both in one program
//! cargo run -p ecosystem --bin rpc -- serve --listen 127.0.0.1:50051
//! cargo run -p ecosystem --bin rpc -- call 127.0.0.1:50051
//! ```
//!
//! gRPC is HTTP/2 with messages in its bodies. tonic makes the messages, and a server of it is a tower service: so
//! `adapters::hyper::serve` serves it as it serves any. A client of it wants a tower service that sends requests:
//! hyper-util's pooled client over our `Connector` is one. tonic's own `transport`, which needs tokio's runtime, is off.
//!
//! In Python this is `grpc.aio`: `await stub.Square(..)`, `async for number in stub.Count(..)`.

use std::{net::SocketAddr, pin::Pin};

use anyhow::{Context, ensure};
use clap::Parser;
use ecosystem::stop::Stop;
use futures_lite::{Stream, StreamExt, stream};
use futures_util::stream::unfold;
use hyper::Uri;
use hyper_util::client::legacy::Client;
use tonic::{Request, Response, Status, Streaming};
use whirligig::{
    adapters::hyper::{Connector, Executor, Timer, serve},
    net::TcpListener,
    spawn,
    task::CancelToken,
};

use self::{numbers_client::NumbersClient, numbers_server::NumbersServer};

#[allow(unreachable_pub, missing_docs, reason = "written out by tonic's generator")]
mod stubs {
    tonic::include_proto!("ecosystem.Numbers");
}
use self::stubs::{numbers_client, numbers_server};

/// The one message of the service, in each direction.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Number {
    #[prost(int64, tag = "1")]
    value: i64,
}

/// A gRPC service with its four kinds of calls, and a client
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(clap::Subcommand)]
enum What {
    /// Serve until Ctrl-C
    Serve {
        /// Where to listen; port 0 is any free one
        #[arg(long, default_value = "127.0.0.1:50051")]
        listen: SocketAddr,
    },

    /// Make one call of each kind, and print what comes
    Call {
        /// The server
        server: SocketAddr,
    },
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    whirligig::run(async {
        match options.what {
            Some(What::Serve { listen }) => serve_numbers(listen).await,
            Some(What::Call { server }) => call(server).await,
            None => both().await,
        }
    })
}

/// Server and client on one event loop.
async fn both() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let stop = CancelToken::new();
    let serving = serve(listener, NumbersServer::new(Numbers));
    let served = spawn(serving.stop_when(stop.clone().cancelled_owned()).run());
    let called = call(server).await;
    stop.cancel();
    let served = served.await??;
    ensure!(served.cut_off == 0, "no connection was cut off");
    called
}

async fn serve_numbers(listen: SocketAddr) -> anyhow::Result<()> {
    let mut stop = Stop::new()?;
    let listener = TcpListener::bind(listen).await?;
    println!("rpc serves at {}", listener.local_addr()?);
    let serving = serve(listener, NumbersServer::new(Numbers));
    let served = serving.stop_when(stop.requested()).run().await?;
    println!("{} connections, {} of them cut off", served.connections, served.cut_off);
    Ok(())
}

/// One call of each kind.
async fn call(server: SocketAddr) -> anyhow::Result<()> {
    let http = Client::builder(Executor)
        .timer(Timer)
        .pool_timer(Timer)
        .http2_only(true)
        .build(Connector::new());
    let origin: Uri = format!("http://{server}").parse()?;
    let mut numbers = NumbersClient::with_origin(http, origin);
    let number = |value| Number { value };

    let square = numbers.square(number(12)).await.context("square")?.into_inner();
    println!("the square of 12 is {}", square.value);

    let mut counted = numbers.count(number(5)).await?.into_inner();
    let mut text = String::from("counted:");
    while let Some(next) = counted.next().await {
        text += &format!(" {}", next?.value);
    }
    println!("{text}");

    let sum = numbers.sum(stream::iter((1..=100).map(number))).await?.into_inner();
    println!("the sum of 1 to 100 is {}", sum.value);

    let mut sums = numbers.sums(stream::iter([3, 1, 4, 1, 5].map(number))).await?.into_inner();
    let mut text = String::from("sums as they go:");
    while let Some(next) = sums.next().await {
        text += &format!(" {}", next?.value);
    }
    println!("{text}");

    // An error comes back as one, with its code.
    let refused = numbers.square(number(i64::MAX)).await.expect_err("it does not fit");
    println!("refused: {:?}, {}", refused.code(), refused.message());
    Ok(())
}

/// The service.
#[derive(Debug)]
struct Numbers;

type Answers = Pin<Box<dyn Stream<Item = Result<Number, Status>> + Send>>;

#[tonic::async_trait]
impl numbers_server::Numbers for Numbers {
    async fn square(&self, request: Request<Number>) -> Result<Response<Number>, Status> {
        let value = request.into_inner().value;
        let square = value.checked_mul(value);
        let value = square.ok_or_else(|| Status::out_of_range("the square has 64 bits"))?;
        Ok(Response::new(Number { value }))
    }

    type CountStream = Answers;

    /// One message for each number up to the one asked for.
    async fn count(&self, request: Request<Number>) -> Result<Response<Answers>, Status> {
        let counted = (1..=request.into_inner().value).map(|value| Ok(Number { value }));
        Ok(Response::new(stream::iter(counted).boxed()))
    }

    /// Reads all, then answers.
    async fn sum(&self, request: Request<Streaming<Number>>) -> Result<Response<Number>, Status> {
        let mut numbers = request.into_inner();
        let value = numbers.try_fold(0, |sum, next| Ok::<_, Status>(sum + next.value)).await?;
        Ok(Response::new(Number { value }))
    }

    type SumsStream = Answers;

    /// Answers each message before it reads the next.
    async fn sums(&self, request: Request<Streaming<Number>>) -> Result<Response<Answers>, Status> {
        let sums = unfold((request.into_inner(), 0), |(mut numbers, sum)| async move {
            match numbers.next().await? {
                Ok(next) => {
                    let value = sum + next.value;
                    Some((Ok(Number { value }), (numbers, value)))
                }
                Err(status) => Some((Err(status), (numbers, sum))),
            }
        });
        Ok(Response::new(Box::pin(sums)))
    }
}
