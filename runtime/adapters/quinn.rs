//! quinn's `Runtime`: QUIC on an event loop or a runtime.
//!
//! quinn asks for a timer, for tasks, and for a socket. The socket is one of std's in a [`Source`], and what is sent and
//! received on it goes by quinn-udp, which has the kernel cut one buffer into many datagrams and join many into one
//! (GSO and GRO), and reads and sets what QUIC wants of each: the congestion mark, and the address it came to.
//!
//! What must hold: each connection has a poller of its own, and each is woken when there is room again. So they wait
//! by futures, of which there may be any number, and not by `poll_writable`, which has one waiter.
//!
//! **Alternative:** our own `UdpSocket` with its batches. It knows nothing of congestion marks.

use std::{
    fmt,
    future::Future,
    io::{self, IoSliceMut},
    net::{self, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::quinn::{
    AsyncTimer, AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit, UdpSocketState},
};
use rustix::io::Errno;

use crate::{
    io::Source,
    task::spawn,
    time::{Instant, Sleep, sleep_until},
};

/// What a [`quinn::Endpoint`] runs on. quinn's `TokioRuntime`.
///
/// Give it to `Endpoint::new(config, server_config, socket, Arc::new(Runtime))`. The program `quic` of
/// `examples/ecosystem` is a whole server and client.
///
/// # Panics
/// Its methods panic if no runtime runs this thread.
///
/// ```
/// use std::{future::poll_fn, io::IoSliceMut, net::UdpSocket};
/// use quinn::{Runtime as _, udp::{RecvMeta, Transmit}};
/// use whirligig::adapters::quinn::Runtime;
///
/// whirligig::run(async {
///     let sender = Runtime.wrap_udp_socket(UdpSocket::bind("127.0.0.1:0")?)?;
///     let receiver = Runtime.wrap_udp_socket(UdpSocket::bind("127.0.0.1:0")?)?;
///     let destination = receiver.local_addr()?;
///     sender.try_send(&Transmit {
///         destination, ecn: None, contents: b"hello", segment_size: None, src_ip: None,
///     })?;
///     let (mut bytes, mut meta) = ([0; 1500], [RecvMeta::default()]);
///     let mut bufs = [IoSliceMut::new(&mut bytes)];
///     poll_fn(|cx| receiver.poll_recv(cx, &mut bufs, &mut meta)).await?;
///     assert_eq!(&bytes[..meta[0].len], b"hello");
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[doc(alias = "TokioRuntime")]
pub struct Runtime;

impl ::quinn::Runtime for Runtime {
    fn new_timer(&self, deadline: std::time::Instant) -> Pin<Box<dyn AsyncTimer>> {
        Box::pin(sleep_until(Instant::from_std(deadline)))
    }

    #[track_caller]
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        drop(spawn(future));
    }

    fn wrap_udp_socket(&self, socket: net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let state = UdpSocketState::new((&socket).into())?;
        Ok(Arc::new(Socket { source: Source::new(socket)?, state }))
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into_std()
    }
}

/// With feature `quinn`.
impl AsyncTimer for Sleep {
    fn reset(self: Pin<&mut Self>, deadline: std::time::Instant) {
        Sleep::reset(self.get_mut(), Instant::from_std(deadline));
    }

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Future::poll(self, cx)
    }
}

#[derive(Debug)]
struct Socket {
    source: Source<net::UdpSocket>,
    /// What the kernel can do with it.
    state: UdpSocketState,
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { socket: self, waits: None })
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.source.try_write_with(|socket| self.state.send(socket.into(), transmit))
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            let received =
                self.source.poll_read_with(cx, |socket| self.state.recv(socket.into(), bufs, meta));
            match received {
                // About something that was sent before, to one peer. An error would end all connections.
                Poll::Ready(Err(error)) if !is_final(&error) => {}
                received => return received,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.source.get_ref().local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.state.max_gso_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.state.gro_segments()
    }

    fn may_fragment(&self) -> bool {
        self.state.may_fragment()
    }
}

/// Whether no other receive can succeed. What has no number is no kernel's word about a datagram.
fn is_final(error: &io::Error) -> bool {
    Errno::from_io_error(error).is_none_or(|errno| {
        [Errno::BADF, Errno::FAULT, Errno::INVAL, Errno::NOTSOCK, Errno::PERM].contains(&errno)
    })
}

/// Waits for room, for one connection.
struct Poller {
    socket: Arc<Socket>,
    /// From the first `Pending` on.
    waits: Option<Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>>,
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, waits } = &mut *self;
        let wait = waits.get_or_insert_with(|| {
            let socket = socket.clone();
            Box::pin(async move { socket.source.writable().await })
        });
        let writable = ready!(wait.as_mut().poll(cx));
        *waits = None;
        Poll::Ready(writable)
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller").field("waits", &self.waits.is_some()).finish_non_exhaustive()
    }
}
