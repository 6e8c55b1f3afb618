//! TCP.
//!
//! The types are `Send + Sync` and belong to no loop: the loop that polls them serves them. They
//! speak futures-io's `AsyncRead` and `AsyncWrite`. `read_exact`, `write_all`, buffers, lines, copying
//! and the like come from the crates that build on those, such as futures-lite or futures-util: `use
//! futures_lite::{AsyncReadExt, AsyncWriteExt}`.
//!
//! Options that are not here are set by way of the descriptor: all of the types are `AsFd`, so
//! `socket2::SockRef::from(&stream)` takes them.

pub use self::{
    addresses::ToAddrs,
    connect::{Connect, ConnectTimeout},
    error::AddressError,
    listener::{Accept, Bind, TcpListener},
    socket::TcpSocket,
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    stream::TcpStream,
};

mod addresses;
mod connect;
mod error;
mod listener;
mod options;
mod socket;
mod split;
mod stream;
mod targets;
