//! QUIC: an echo by quinn, many streams on one connection, encrypted with a certificate made on the spot.
//!
//! ```text
//! cargo run -p ecosystem --bin quic                                          # both in one program
//! cargo run -p ecosystem --bin quic -- serve --certificate echo.der
//! cargo run -p ecosystem --bin quic -- send 127.0.0.1:4433 --certificate echo.der
//! ```
//!
//! The client opens so many streams at once, sends a megabyte on each, and compares what comes back. quinn asks for
//! a timer, for tasks and for a UDP socket, and gets them from `adapters::quinn::Runtime`.

use std::{
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, ensure};
use clap::Parser;
use ecosystem::stop::Stop;
use futures_lite::FutureExt;
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};
use whirligig::{
    adapters::quinn::Runtime,
    spawn,
    task::{TaskGroup, scope},
    time::Instant,
};

/// An echo over QUIC, and a client
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
        #[arg(long, default_value = "127.0.0.1:4433")]
        listen: SocketAddr,

        /// Where to write the server's certificate, for clients
        #[arg(long)]
        certificate: PathBuf,
    },

    /// Send, and compare what comes back
    Send {
        /// The server
        server: SocketAddr,

        /// The certificate that the server has written
        #[arg(long)]
        certificate: PathBuf,

        /// So many streams at once, of a megabyte each
        #[arg(long, default_value_t = 4)]
        streams: usize,
    },
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    whirligig::run(async {
        match options.what {
            Some(What::Serve { listen, certificate }) => {
                let mut stop = Stop::new()?;
                let (endpoint, own) = server(listen)?;
                whirligig::fs::write(&certificate, own.to_vec()).await?;
                println!("quic echoes at {}", endpoint.local_addr()?);
                let stopped = async { stop.requested().await.context("waiting for Ctrl-C") };
                stopped.or(echo(&endpoint)).await?;
                end(&endpoint).await;
                Ok(())
            }
            Some(What::Send { server, certificate, streams }) => {
                let certificate = whirligig::fs::read(&certificate).await?;
                send(server, certificate.into(), streams).await
            }
            None => {
                let (endpoint, certificate) = server(([127, 0, 0, 1], 0).into())?;
                let address = endpoint.local_addr()?;
                let echoes = spawn({
                    let endpoint = endpoint.clone();
                    async move { echo(&endpoint).await }
                });
                send(address, certificate, 4).await?;
                end(&endpoint).await;
                echoes.await?
            }
        }
    })
}

/// An endpoint at that address, which accepts, and the certificate that it shows.
fn server(listen: SocketAddr) -> anyhow::Result<(Endpoint, CertificateDer<'static>)> {
    let own = rcgen::generate_simple_self_signed(["localhost".into()])?;
    let certificate = own.cert.der().clone();
    let key = PrivatePkcs8KeyDer::from(own.signing_key.serialize_der());
    let config = ServerConfig::with_single_cert(vec![certificate.clone()], key.into())?;
    let socket = UdpSocket::bind(listen).with_context(|| format!("listen at {listen}"))?;
    let endpoint =
        Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(Runtime))?;
    Ok((endpoint, certificate))
}

/// Sends back what comes, on each stream of each connection, until the endpoint is closed.
async fn echo(endpoint: &Endpoint) -> anyhow::Result<()> {
    let mut connections = TaskGroup::new();
    while let Some(incoming) = endpoint.accept().await {
        connections.spawn(async move {
            // A client that breaks off ends its own connection.
            if let Ok(connection) = incoming.await {
                let _ = echo_streams(&connection).await;
            }
        });
    }
    while connections.next().await.is_some() {}
    Ok(())
}

async fn echo_streams(connection: &Connection) -> anyhow::Result<()> {
    let mut streams = TaskGroup::new();
    while let Ok((mut sender, mut receiver)) = connection.accept_bi().await {
        streams.spawn(async move {
            while let Some(chunk) = receiver.read_chunk(64 * 1024, true).await? {
                sender.write_chunk(chunk.bytes).await?;
            }
            sender.finish()?;
            // What is dropped before it has arrived is not sent again.
            sender.stopped().await?;
            anyhow::Ok(())
        });
    }
    while streams.next().await.is_some() {}
    Ok(())
}

/// Sends a megabyte on each of so many streams at once, and compares what comes back.
async fn send(
    server: SocketAddr,
    certificate: CertificateDer<'static>,
    streams: usize,
) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    let mut endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(Runtime))?;
    endpoint.set_default_client_config(ClientConfig::with_root_certificates(Arc::new(roots))?);
    let connecting = endpoint.connect(server, "localhost")?;
    let connection = connecting.await.with_context(|| format!("connect to {server}"))?;
    let begun = Instant::now();
    scope(async |group| {
        for seed in 0..streams {
            let connection = connection.clone();
            group.spawn(async move { send_one(&connection, seed).await });
        }
        anyhow::Ok(())
    })
    .await?;
    let seconds = begun.elapsed().as_secs_f64();
    println!("{streams} streams, {streams} MiB there and back, nothing lost");
    eprintln!("{:.0} MiB a second", streams as f64 / seconds);
    connection.close(0u32.into(), b"done");
    end(&endpoint).await;
    Ok(())
}

async fn send_one(connection: &Connection, seed: usize) -> anyhow::Result<()> {
    let sent: Vec<u8> = (0..1 << 20).map(|n| ((n + seed) % 251) as u8).collect();
    let (mut sender, mut receiver) = connection.open_bi().await?;
    let sends = async {
        sender.write_all(&sent).await?;
        sender.finish()?;
        anyhow::Ok(())
    };
    let receives = async { anyhow::Ok(receiver.read_to_end(2 << 20).await?) };
    let ((), received) = whirligig::try_join!(sends, receives)?;
    ensure!(received == sent, "stream {seed} came back changed");
    Ok(())
}

/// Closes, and waits until the peers were told.
async fn end(endpoint: &Endpoint) {
    endpoint.close(0u32.into(), b"the end");
    endpoint.wait_idle().await;
}
