//! The two families of socket addresses: those of the internet, and those of this machine.
//!
//! What a socket does with bytes does not depend on where its peer is. So each kind of socket (stream, listener,
//! datagram socket) is one struct over a descriptor, and its family, a type parameter, says what an address is.
//! `TcpStream` and `UnixStream` are two names of one struct.
//!
//! **Alternative:** std's sockets as the parameter. Then std's types would stand in the public signatures, and no
//! other kind of descriptor could ever be put under them.

use std::{
    fmt, io,
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd},
};

use rustix::net::SocketAddrAny;

/// A family of socket addresses: [`Inet`] or [`Unix`](super::Unix).
pub trait Family: sealed::Sealed + fmt::Debug + Send + Sync + Unpin + 'static {
    /// Its addresses.
    type Address: fmt::Debug;
}

/// The internet's addresses, of version 4 and 6: [`std::net::SocketAddr`].
#[derive(Debug)]
pub enum Inet {}

impl Family for Inet {
    type Address = SocketAddr;
}

impl sealed::Sealed for Inet {
    const SHORT_READ_EMPTIES: bool = true;
    const STREAM: &str = "TcpStream";
    const LISTENER: &str = "TcpListener";
    const DATAGRAM: &str = "UdpSocket";

    fn address(any: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
        let any = any.ok_or(io::ErrorKind::NotConnected)?;
        Ok(any.try_into()?)
    }
}

/// Our end's address.
pub(super) fn local_address<F: Family>(socket: impl AsFd) -> io::Result<F::Address> {
    F::address(Some(rustix::net::getsockname(socket)?))
}

/// The peer's address.
pub(super) fn peer_address<F: Family>(socket: impl AsFd) -> io::Result<F::Address> {
    F::address(rustix::net::getpeername(socket)?)
}

/// As std shows a socket.
pub(super) fn show<F: Family>(
    socket: impl AsFd,
    name: &str,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    let socket = socket.as_fd();
    let mut shown = f.debug_struct(name);
    if let Ok(local) = local_address::<F>(socket) {
        shown.field("local", &local);
    }
    if let Ok(peer) = peer_address::<F>(socket) {
        shown.field("peer", &peer);
    }
    shown.field("fd", &socket.as_raw_fd()).finish()
}

pub(super) mod sealed {
    use super::*;

    pub trait Sealed {
        /// Whether a read of a stream that gives less than was asked for has taken all there was.
        const SHORT_READ_EMPTIES: bool;
        /// The names under which users know its sockets.
        const STREAM: &str;
        const LISTENER: &str;
        const DATAGRAM: &str;

        /// What the kernel said, as an address of the family.
        fn address(any: Option<SocketAddrAny>) -> io::Result<Self::Address>
        where
            Self: Family;
    }
}
