//! UDP: what a datagram socket can do with addresses of the internet. All else is in `datagram.rs`.

use std::{
    fmt,
    future::Future,
    io,
    net::{self, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, OwnedFd},
    pin::Pin,
    task::{Context, Poll},
};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::{
    addresses::ToAddrs,
    batch::Datagram,
    bind::Bind,
    datagram::{DatagramSocket, send_to},
    error::AddressError,
    family::Inet,
    many,
    targets::Targets,
};

/// A UDP socket: datagrams between addresses of the internet.
///
/// It may be shared between tasks: see [`DatagramSocket`].
///
/// ```
/// use whirligig::net::UdpSocket;
///
/// whirligig::run(async {
///     let server = UdpSocket::bind("127.0.0.1:0").await?;
///     let client = UdpSocket::bind("127.0.0.1:0").await?;
///     client.send_to(b"hello", server.local_addr()?).await?;
///     let mut buf = [0; 1500];
///     let (length, peer) = server.recv_from(&mut buf).await?;
///     assert_eq!((&buf[..length], peer), (b"hello".as_slice(), client.local_addr()?));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
///
/// Options that must be set before it is bound, such as `SO_REUSEPORT`, are set on a socket of socket2:
///
/// ```
/// use std::net::SocketAddr;
/// use socket2::{Domain, Socket, Type};
/// use whirligig::net::UdpSocket;
///
/// let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
/// socket.set_reuse_port(true)?;
/// socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())?;
/// let socket = UdpSocket::from_std(socket.into())?;
/// # std::io::Result::Ok(())
/// ```
#[doc(alias = "create_datagram_endpoint")]
pub type UdpSocket = DatagramSocket<Inet>;

impl UdpSocket {
    /// A socket at an address, or at the first address of a name that can be had. Port 0 is any free one: see
    /// [`local_addr`](Self::local_addr).
    ///
    /// *Cancel safety*: dropped, it leaves no socket behind.
    ///
    /// # Errors
    /// What the kernel says for [all addresses](super::AddressErrors) that were tried, each with
    /// [its address](AddressError), or the resolver's.
    #[track_caller]
    pub fn bind(to: impl ToAddrs) -> Bind<Self> {
        Bind::new(to, "bind to", |address| {
            let socket =
                Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_nonblocking(true)?;
            socket.bind(&address.into())?;
            Ok(Self::from_nonblocking(socket.into()))
        })
    }

    /// Takes over a socket of std's.
    ///
    /// # Errors
    /// If it cannot be put into non-blocking mode.
    pub fn from_std(socket: net::UdpSocket) -> io::Result<Self> {
        Self::from_any(socket.into())
    }

    /// Gives the socket to std. It stays in non-blocking mode.
    pub fn into_std(self) -> net::UdpSocket {
        self.into_fd().into()
    }

    /// Connects: [`send`](Self::send) sends there, and what others send is not received any more. Nothing is
    /// sent by this, and nobody need be there. The first address that the system has a way to is taken. It may be
    /// called again.
    ///
    /// *Cancel safety*: dropped before it is ready, it has changed nothing.
    ///
    /// # Errors
    /// What the kernel says for [all addresses](super::AddressErrors) that were tried, or the resolver's.
    ///
    /// ```
    /// use whirligig::net::UdpSocket;
    ///
    /// whirligig::run(async {
    ///     let [a, b] = [UdpSocket::bind("127.0.0.1:0").await?, UdpSocket::bind("127.0.0.1:0").await?];
    ///     a.connect(b.local_addr()?).await?;
    ///     b.connect(a.local_addr()?).await?;
    ///     a.send(b"hello").await?;
    ///     assert_eq!(b.recv(&mut [0; 16]).await?, 5);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn connect(&self, to: impl ToAddrs) -> ConnectUdp<'_> {
        ConnectUdp { socket: self, targets: Targets::new(to) }
    }

    /// Sends a datagram to an address. Waits while the socket's buffer has no room for it. It is sent whole or not at
    /// all. (A name is looked up once, by [`lookup_host`](super::lookup_host), and not for each datagram.)
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says, with [the address in it](AddressError).
    #[track_caller]
    #[doc(alias = "sendto")]
    #[doc(alias = "sock_sendto")]
    pub fn send_to<'a>(
        &'a self,
        datagram: &'a [u8],
        to: SocketAddr,
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.write_with(move |socket| send_to_one(socket, datagram, to))
    }

    /// Sends a datagram to an address if there is room. See [`send_to`](Self::send_to).
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the kernel says.
    pub fn try_send_to(&self, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
        self.source.try_write_with(|socket| send_to_one(socket, datagram, to))
    }

    /// [`send_to`](Self::send_to), for other people's traits. One task at a time may wait this way, and the last
    /// waker wins.
    ///
    /// # Errors
    /// As [`send_to`](Self::send_to).
    #[track_caller]
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        datagram: &[u8],
        to: SocketAddr,
    ) -> Poll<io::Result<usize>> {
        self.source.poll_write_with(cx, |socket| send_to_one(socket, datagram, to))
    }

    /// Receives the datagrams that are there, one at least, into the first of `datagrams`, and says how many: no more
    /// than 32 in one call. Waits while none is there, and never for more. On Linux it is one system call.
    ///
    /// *Cancel safety*: dropped before it is ready, it has received nothing.
    ///
    /// # Errors
    /// What the kernel says.
    ///
    /// ```
    /// use whirligig::net::{Datagram, UdpSocket};
    ///
    /// whirligig::run(async {
    ///     let server = UdpSocket::bind("127.0.0.1:0").await?;
    ///     let client = UdpSocket::bind("127.0.0.1:0").await?;
    ///     client.connect(server.local_addr()?).await?;
    ///     let hellos = [(); 3].map(|()| Datagram::from(b"hello".to_vec()));
    ///     assert_eq!(client.send_many(&hellos).await?, 3);
    ///
    ///     // An echo, which copies nothing.
    ///     let mut batch = vec![Datagram::with_capacity(1500); 32];
    ///     let received = server.recv_many(&mut batch).await?;
    ///     assert_eq!(batch[0].peer(), Some(client.local_addr()?));
    ///     server.send_many(&batch[..received]).await?;
    ///     assert_eq!(client.recv(&mut [0; 16]).await?, 5);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    #[doc(alias = "recvmmsg")]
    pub fn recv_many<'a>(
        &'a self,
        datagrams: &'a mut [Datagram],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.read_with(move |socket| many::recv(socket.as_fd(), datagrams))
    }

    /// Sends the first of `datagrams`, one at least, and says how many: no more than 32 in one call, and no more than
    /// there is room for. Waits while there is none. On Linux it is one system call.
    ///
    /// *Cancel safety*: dropped before it is ready, it has sent nothing.
    ///
    /// # Errors
    /// What the kernel says of the first of them, with [the address in it](AddressError). That of a later one comes
    /// when it is the first.
    #[track_caller]
    #[doc(alias = "sendmmsg")]
    pub fn send_many<'a>(
        &'a self,
        datagrams: &'a [Datagram],
    ) -> impl Future<Output = io::Result<usize>> + 'a {
        self.source.write_with(move |socket| {
            let first = datagrams.first().and_then(Datagram::peer);
            many::send(socket.as_fd(), datagrams).map_err(|error| match first {
                Some(peer) => at(peer, error),
                None => error,
            })
        })
    }

    /// Receives the datagrams that are there. See [`recv_many`](Self::recv_many).
    ///
    /// # Errors
    /// `WouldBlock` if none is, and what the kernel says.
    pub fn try_recv_many(&self, datagrams: &mut [Datagram]) -> io::Result<usize> {
        self.source.try_read_with(|socket| many::recv(socket.as_fd(), datagrams))
    }

    /// Sends those of the first datagrams that there is room for. See [`send_many`](Self::send_many).
    ///
    /// # Errors
    /// `WouldBlock` if there is none, and what the kernel says.
    pub fn try_send_many(&self, datagrams: &[Datagram]) -> io::Result<usize> {
        self.source.try_write_with(|socket| many::send(socket.as_fd(), datagrams))
    }
}

fn send_to_one(socket: &OwnedFd, datagram: &[u8], to: SocketAddr) -> io::Result<usize> {
    send_to(socket, datagram, &to).map_err(|error| at(to, error))
}

/// Names the address, in an error that ends the operation.
fn at(address: SocketAddr, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => error,
        _ => AddressError::wrap("send to", address, error),
    }
}

/// Options. Others are set by way of `socket2::SockRef::from(&socket)`.
impl UdpSocket {
    /// Whether datagrams may be sent to broadcast addresses.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_BROADCAST")]
    pub fn broadcast(&self) -> io::Result<bool> {
        SockRef::from(self).broadcast()
    }

    /// Allows datagrams to be sent to broadcast addresses. Without it, that fails with `PermissionDenied`.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "SO_BROADCAST")]
    #[doc(alias = "allow_broadcast")]
    pub fn set_broadcast(&self, broadcast: bool) -> io::Result<()> {
        SockRef::from(self).set_broadcast(broadcast)
    }

    /// How many routers a datagram may pass: the time to live of IPv4, the hop limit of IPv6.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_TTL")]
    #[doc(alias = "IPV6_UNICAST_HOPS")]
    pub fn ttl(&self) -> io::Result<u32> {
        match self.local_addr()? {
            SocketAddr::V4(_) => SockRef::from(self).ttl_v4(),
            SocketAddr::V6(_) => SockRef::from(self).unicast_hops_v6(),
        }
    }

    /// Sets how many routers a datagram may pass. See [`ttl`](Self::ttl).
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_TTL")]
    #[doc(alias = "IPV6_UNICAST_HOPS")]
    pub fn set_ttl(&self, ttl: u32) -> io::Result<()> {
        match self.local_addr()? {
            SocketAddr::V4(_) => SockRef::from(self).set_ttl_v4(ttl),
            SocketAddr::V6(_) => SockRef::from(self).set_unicast_hops_v6(ttl),
        }
    }

    /// Joins a group: datagrams that are sent to it are received. `interface` is the address of the one
    /// that joins; with [`Ipv4Addr::UNSPECIFIED`] the system chooses it.
    ///
    /// # Errors
    /// What the kernel says: no such interface, joined already, and the like.
    ///
    /// ```
    /// use std::net::{Ipv4Addr, SocketAddr};
    /// use whirligig::net::UdpSocket;
    ///
    /// whirligig::run(async {
    ///     let group = Ipv4Addr::new(224, 0, 0, 123);
    ///     let member = UdpSocket::bind("0.0.0.0:0").await?;
    ///     member.join_multicast_v4(group, Ipv4Addr::LOCALHOST)?;
    ///     let port = member.local_addr()?.port();
    ///
    ///     let sender = UdpSocket::bind("127.0.0.1:0").await?;
    ///     sender.set_multicast_if_v4(Ipv4Addr::LOCALHOST)?;
    ///     sender.send_to(b"to all", SocketAddr::from((group, port))).await?;
    ///     assert_eq!(member.recv(&mut [0; 16]).await?, 6);
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[doc(alias = "IP_ADD_MEMBERSHIP")]
    pub fn join_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).join_multicast_v4(&group, &interface)
    }

    /// Leaves a group.
    ///
    /// # Errors
    /// What the kernel says: it was not joined, and the like.
    #[doc(alias = "IP_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v4(&self, group: Ipv4Addr, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v4(&group, &interface)
    }

    /// Joins a group of IPv6, on the interface of that number; 0 is any.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IPV6_ADD_MEMBERSHIP")]
    pub fn join_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).join_multicast_v6(group, interface)
    }

    /// Leaves a group of IPv6.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IPV6_DROP_MEMBERSHIP")]
    pub fn leave_multicast_v6(&self, group: &Ipv6Addr, interface: u32) -> io::Result<()> {
        SockRef::from(self).leave_multicast_v6(group, interface)
    }

    /// Whether what is sent to a group comes back to sockets of this machine that have joined it.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_MULTICAST_LOOP")]
    pub fn multicast_loop(&self) -> io::Result<bool> {
        match self.local_addr()? {
            SocketAddr::V4(_) => SockRef::from(self).multicast_loop_v4(),
            SocketAddr::V6(_) => SockRef::from(self).multicast_loop_v6(),
        }
    }

    /// Has what is sent to a group come back to sockets of this machine that have joined it, or not.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_MULTICAST_LOOP")]
    #[doc(alias = "IPV6_MULTICAST_LOOP")]
    pub fn set_multicast_loop(&self, comes_back: bool) -> io::Result<()> {
        match self.local_addr()? {
            SocketAddr::V4(_) => SockRef::from(self).set_multicast_loop_v4(comes_back),
            SocketAddr::V6(_) => SockRef::from(self).set_multicast_loop_v6(comes_back),
        }
    }

    /// How many routers a datagram to a group may pass.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_MULTICAST_TTL")]
    #[doc(alias = "IPV6_MULTICAST_HOPS")]
    pub fn multicast_ttl(&self) -> io::Result<u32> {
        match self.local_addr()? {
            SocketAddr::V4(_) => SockRef::from(self).multicast_ttl_v4(),
            SocketAddr::V6(_) => SockRef::from(self).multicast_hops_v6(),
        }
    }

    /// Sets how many routers a datagram to a group may pass. 1, as it is by default: it stays in the local network.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_MULTICAST_TTL")]
    #[doc(alias = "IPV6_MULTICAST_HOPS")]
    pub fn set_multicast_ttl(&self, ttl: u32) -> io::Result<()> {
        match self.local_addr()? {
            SocketAddr::V4(_) => SockRef::from(self).set_multicast_ttl_v4(ttl),
            SocketAddr::V6(_) => SockRef::from(self).set_multicast_hops_v6(ttl),
        }
    }

    /// Has what is sent to IPv4 groups leave by the interface of that address.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IP_MULTICAST_IF")]
    pub fn set_multicast_if_v4(&self, interface: Ipv4Addr) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v4(&interface)
    }

    /// Has what is sent to IPv6 groups leave by the interface of that number.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "IPV6_MULTICAST_IF")]
    pub fn set_multicast_if_v6(&self, interface: u32) -> io::Result<()> {
        SockRef::from(self).set_multicast_if_v6(interface)
    }
}

/// The future of [`UdpSocket::connect`].
#[must_use = "futures do nothing unless awaited"]
pub struct ConnectUdp<'a> {
    socket: &'a UdpSocket,
    targets: Targets,
}

impl Future for ConnectUdp<'_> {
    type Output = io::Result<()>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { socket, targets } = &mut *self;
        targets.poll_first(cx, "connect to", |to| Ok(rustix::net::connect(*socket, &to)?))
    }
}

impl fmt::Debug for ConnectUdp<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectUdp").field("targets", &self.targets).finish_non_exhaustive()
    }
}
