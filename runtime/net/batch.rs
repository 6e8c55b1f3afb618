//! A datagram of a batch: a buffer with its address.
//!
//! It owns the buffer, which is received into and sent from without being copied; so an echo gives back what it got.
//! `many.rs` moves several of them in one system call.
//!
//! **Alternative:** buffers that the caller lends, one slice for each. The addresses and lengths then come in a second
//! array beside them, and two arrays must agree.

use std::{fmt, net::SocketAddr};

/// A datagram, with the address that sent it or that it goes to: one of a batch, for
/// [`UdpSocket::recv_many`](super::UdpSocket::recv_many) and [`send_many`](super::UdpSocket::send_many).
#[derive(Clone, PartialEq, Eq)]
pub struct Datagram {
    pub(super) buf: Box<[u8]>,
    pub(super) len: usize,
    pub(super) peer: Option<SocketAddr>,
    pub(super) is_truncated: bool,
}

/// Datagrams in one system call. More take twice as long, and wait for each other.
pub(super) const MOST: usize = 32;

impl Datagram {
    /// An empty one, with room to receive up to `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { len: 0, ..Self::from(vec![0; capacity]) }
    }

    /// One to send to this address.
    pub fn new(payload: impl Into<Vec<u8>>, to: SocketAddr) -> Self {
        Self { peer: Some(to), ..Self::from(payload.into()) }
    }

    /// Its bytes.
    pub fn payload(&self) -> &[u8] {
        &self.buf[..self.len]
    }

    /// Its bytes, to change them.
    pub fn payload_mut(&mut self) -> &mut [u8] {
        &mut self.buf[..self.len]
    }

    /// Bytes that may be received into it.
    pub fn capacity(&self) -> usize {
        self.buf.len()
    }

    /// Who sent it, or where it goes. `None`: to the address to which the socket is connected.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.peer
    }

    /// Has it go there.
    pub fn set_peer(&mut self, to: Option<SocketAddr>) {
        self.peer = to;
    }

    /// Whether it was longer than the room it was received into: the rest of it is lost.
    #[doc(alias = "MSG_TRUNC")]
    pub fn is_truncated(&self) -> bool {
        self.is_truncated
    }
}

/// One to send to the address to which the socket is connected.
impl From<Vec<u8>> for Datagram {
    fn from(payload: Vec<u8>) -> Self {
        Self { len: payload.len(), buf: payload.into(), peer: None, is_truncated: false }
    }
}

impl fmt::Debug for Datagram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datagram")
            .field("peer", &self.peer)
            .field("payload", &self.payload())
            .field("is_truncated", &self.is_truncated)
            .finish()
    }
}
