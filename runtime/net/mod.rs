//! Sockets: TCP, UDP, and Unix sockets.
//!
//! The types are `Send + Sync` and belong to no loop: the loop that polls them serves them. They
//! speak futures-io's `AsyncRead` and `AsyncWrite`. `read_exact`, `write_all`, buffers, lines, copying
//! and the like come from the crates that build on those, such as futures-lite or futures-util: `use
//! futures_lite::{AsyncReadExt, AsyncWriteExt}`.
//!
//! Options that are not here are set by way of the descriptor: all of the types are `AsFd`, so
//! `socket2::SockRef::from(&stream)` takes them.

#[cfg(any(target_os = "linux", target_os = "android"))]
pub use self::unix::{PeerCred, UnixSeqpacket, UnixSeqpacketListener};
pub use self::{
    addresses::{LookupHost, ToAddrs, lookup_host},
    batch::Datagram,
    bind::Bind,
    connect::{Connect, ConnectTimeout},
    datagram::DatagramSocket,
    error::{AddressError, AddressErrors},
    family::{Family, Inet},
    listener::{Accept, Listener},
    send_file::SendFile,
    socket::TcpSocket,
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    stream::Stream,
    tcp::{TcpListener, TcpStream},
    udp::{ConnectUdp, UdpSocket},
    unix::{ConnectUnix, Unix, UnixDatagram, UnixListener, UnixStream},
};

mod addresses;
mod batch;
mod bind;
mod connect;
mod datagram;
mod error;
mod family;
mod listener;
mod many;
mod options;
#[cfg(target_os = "linux")]
mod recvmmsg;
mod send_file;
mod socket;
mod split;
mod stream;
mod targets;
mod tcp;
mod udp;
pub(crate) mod unix;
