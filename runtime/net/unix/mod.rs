//! Sockets of this machine: between processes, or within one. They have paths for addresses, and they carry
//! descriptors and say who the peer is.
//!
//! What they do with bytes is in `stream.rs`, `listener.rs` and `datagram.rs`, one folder up.

pub use self::{
    address::Unix,
    datagram::UnixDatagram,
    stream::{ConnectUnix, UnixListener, UnixStream},
};
#[cfg(any(target_os = "linux", target_os = "android"))]
pub use self::{
    peer_cred::PeerCred,
    seqpacket::{UnixSeqpacket, UnixSeqpacketListener},
};

mod address;
mod ancillary;
mod datagram;
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod peer_cred;
mod retry;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod seqpacket;
mod stream;
