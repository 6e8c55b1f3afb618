//! hickory's `RuntimeProvider`: a DNS resolver on an event loop or a runtime.
//!
//! Our own `lookup_host` asks the system's resolver, on the blocking pool. hickory speaks DNS itself: for records that
//! are no addresses, for name servers of one's own choice, and for many look-ups at once.
//!
//! What must hold: what it spawns for a name server's connection goes on when the resolver is dropped, until the
//! connection ends; so it ends with that.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hickory_net::runtime::{DnsTcpStream, DnsUdpSocket, RuntimeProvider, Spawn, Time};

use crate::{
    net::{TcpSocket, TcpStream, UdpSocket},
    task::spawn,
    time::{sleep, timeout},
};

/// What a hickory resolver runs on. hickory's `TokioRuntimeProvider`.
///
/// `Resolver::builder_with_config(config, Provider)` makes one of it; `Send` as it is, it serves both variants.
///
/// ```
/// use std::time::Duration;
/// use hickory_net::runtime::{DnsUdpSocket as _, RuntimeProvider as _};
/// use whirligig::adapters::hickory::Provider;
///
/// whirligig::run(async {
///     let any = "127.0.0.1:0".parse().unwrap();
///     let server = Provider.bind_udp(any, any).await?;
///     let client = Provider.bind_udp(any, any).await?;
///     client.send_to(b"a query", server.local_addr()?).await?;
///     let mut query = [0; 512];
///     let (length, _) = hickory_net::runtime::DnsUdpSocket::recv_from(&server, &mut query).await?;
///     assert_eq!(&query[..length], b"a query");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[doc(alias = "TokioRuntimeProvider")]
pub struct Provider;

/// How long a connection to a name server may take, unless hickory says otherwise.
const CONNECT: Duration = Duration::from_secs(5);

/// A future with its type forgotten, as hickory wants it.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl RuntimeProvider for Provider {
    type Handle = Self;
    type Timer = Self;
    type Udp = UdpSocket;
    type Tcp = TcpStream;

    fn create_handle(&self) -> Self {
        *self
    }

    fn connect_tcp(
        &self,
        server: SocketAddr,
        bind: Option<SocketAddr>,
        limit: Option<Duration>,
    ) -> Boxed<io::Result<TcpStream>> {
        Box::pin(async move {
            let socket = match server {
                SocketAddr::V4(_) => TcpSocket::new_v4()?,
                SocketAddr::V6(_) => TcpSocket::new_v6()?,
            };
            if let Some(bind) = bind {
                socket.bind(bind)?;
            }
            let stream = timeout(limit.unwrap_or(CONNECT), socket.connect(server)).await??;
            stream.set_nodelay(true)?;
            Ok(stream)
        })
    }

    fn bind_udp(&self, local: SocketAddr, _: SocketAddr) -> Boxed<io::Result<UdpSocket>> {
        Box::pin(UdpSocket::bind(local))
    }
}

impl Spawn for Provider {
    fn spawn_bg(&mut self, future: impl Future<Output = ()> + Send + 'static) {
        drop(spawn(future));
    }
}

// The trait is one of async_trait's: these are the functions that it stands for.
impl Time for Provider {
    fn delay_for<'a>(duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(sleep(duration))
    }

    fn timeout<'a, F>(
        duration: Duration,
        future: F,
    ) -> Pin<Box<dyn Future<Output = io::Result<F::Output>> + Send + 'a>>
    where
        F: Future + Send + 'static + 'a,
    {
        Box::pin(async move { Ok(timeout(duration, future).await?) })
    }
}

/// With feature `hickory`.
impl DnsUdpSocket for UdpSocket {
    type Time = Provider;

    fn poll_recv_from(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        UdpSocket::poll_recv_from(self, cx, buf)
    }

    fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        buf: &[u8],
        target: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        UdpSocket::poll_send_to(self, cx, buf, target)
    }
}

/// With feature `hickory`.
impl DnsTcpStream for TcpStream {
    type Time = Provider;
}
